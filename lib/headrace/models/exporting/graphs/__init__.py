"""The compiled form of a fitted pipeline as one graph of ONNX: raw columns in, predictions out, in doubles."""

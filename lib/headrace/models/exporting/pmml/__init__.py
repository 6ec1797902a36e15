"""The compiled form of a fitted pipeline as a document of PMML 4.4: raw columns in, predictions out, in doubles."""

"""What vectors are asked for before a model learns from them."""

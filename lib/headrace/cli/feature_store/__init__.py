"""What `headrace features` tells: facts, words, and the query of a sample."""

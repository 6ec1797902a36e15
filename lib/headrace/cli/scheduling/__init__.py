"""What `headrace schedule` writes, a file for each kind of scheduler."""

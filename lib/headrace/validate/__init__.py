"""Validate: every row is judged by all rules in one pass."""

"""Spark's word on every SQL expression of a pipeline."""

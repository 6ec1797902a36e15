"""Headrace from Python: pipelines, and functions on any DataFrame, in scripts, notebooks and spark-submit."""

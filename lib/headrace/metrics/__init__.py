"""Metrics on DataFrames: exact values, slices, 95 % intervals."""

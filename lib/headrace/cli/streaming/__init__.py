"""The work of `jobs/stream.py`."""

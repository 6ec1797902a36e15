"""Versions as files for other programs: built from the compiled form, and compared with `transform` before they are left."""

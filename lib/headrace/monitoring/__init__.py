"""Monitoring: how far scored rows lie from the rows trained on, and how good predictions turned out to be."""

"""Training set: one row per spine row, features as known at the time."""

"""Clean: typed rows, one per key."""

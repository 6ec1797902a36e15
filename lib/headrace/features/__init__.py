"""Features: cleaned tables become feature tables."""

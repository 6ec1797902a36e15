"""Score: exactly once, with one pinned model version."""

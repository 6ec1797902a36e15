"""The commands, and the door of `jobs/`."""

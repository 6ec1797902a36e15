"""The work of commands that tend to tables that are there: replay, maintain."""

"""The work of `headrace publish`."""

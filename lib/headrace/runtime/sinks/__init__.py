"""Places outside of the warehouse that tables are written on to. What was sent is read from the place itself."""

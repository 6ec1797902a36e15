"""The online copy of feature tables: of each entity the values of now, found by its key."""

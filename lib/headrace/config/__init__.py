"""The typed YAML: reading it, its types. Needs no Spark."""

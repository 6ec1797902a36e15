"""From the text of a YAML file to plain values, each with its place in the file."""

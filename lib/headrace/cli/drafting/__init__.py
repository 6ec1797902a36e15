"""From facts about a data set to a commented YAML that trains."""

"""What a data set holds: opened as ingest would read it, looked at in one pass, told in words."""

"""The model store: logging, loading, scoring, versions and aliases."""

"""Ingest: sources become raw tables."""

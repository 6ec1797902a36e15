"""Delivery: predictions and feature tables are written on to where others read them, each row once."""

"""Fitted pipelines compiled for scoring: whole columns at a time, in NumPy and XGBoost, without Spark and without a JVM."""

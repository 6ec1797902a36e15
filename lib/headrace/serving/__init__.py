"""Answers in real time: no Spark and no JVM."""

"""What can be wrong between the sections of a pipeline, found without Spark."""

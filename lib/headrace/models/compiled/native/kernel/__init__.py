"""Trees as a function of Spark, in Java."""

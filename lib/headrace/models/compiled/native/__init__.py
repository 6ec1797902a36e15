"""The compiled scorer in Spark's own columns: of sums and small trees no row leaves the JVM."""

"""SQL expressions, read without Spark: columns, tables, sure mistakes, casts that cannot abort."""

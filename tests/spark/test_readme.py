"""The README's Python examples."""

from __future__ import annotations

import re

from pyspark.sql import SparkSession

from tests.conftest import PROJECT


def test_python_blocks_run(spark: SparkSession) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.S)
    assert blocks
    times = "timestamp'2024-01-01 12:00:00'"
    names = {
        "spine": spark.sql(f"select 'UA' carrier, {times} predict_at"),
        "events": spark.sql(f"select 'UA' carrier, {times} - interval 1 hour arrived_at, 30 arr_delay"),
    }
    exec(blocks[0], names)
    assert [tuple(r) for r in names["rows"].select("carrier", "delay_mean_3h").collect()] == [("UA", 30.0)]

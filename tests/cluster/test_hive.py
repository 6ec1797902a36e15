"""The flights loop with its tables in a Hive metastore on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import PROJECT
from tests.support.flights import SMALL, sample
from tests.support.running import headrace, run_job
from tests.support.servers import Server

SETS = tuple(part for change in SMALL for part in ("--set", change))

QUERY = """
    select 'predictions' as name, count(*) as n from flights.predictions
    union all select 'latest', count(*) from flights.latest_predictions
"""


def test_tables_are_in_the_metastore_for_other_applications(
    metastore: Server, jdbc_jar: Path, metastore_classes: str, tmp_path: Path
) -> None:
    config, home = sample(tmp_path, 3_000), tmp_path / "home"
    (config.parent / "env").mkdir()
    (config.parent / "env" / "hive.yaml").write_text((PROJECT / "conf" / "env" / "hive.yaml").read_text())
    where = {
        "HEADRACE_JDBC_JAR": str(jdbc_jar),
        "HEADRACE_METASTORE_URL": metastore.url,
        "HEADRACE_METASTORE_USER": metastore.user,
        "HEADRACE_METASTORE_PASSWORD": metastore.password,
        "HEADRACE_WAREHOUSE": str(tmp_path / "shared"),
    }
    first = {
        "HEADRACE_METASTORE_CREATE": "true",
        "HEADRACE_METASTORE_START": "Classes",
        "HEADRACE_METASTORE_CLASSES": metastore_classes,
    }
    made = run_job("pipeline", config, home, "--env", "hive", *SETS, **where, **first)
    assert made.code == 0, made.said[-3000:]

    again = run_job("pipeline", config, home, "--env", "hive", *SETS, **where)
    assert again.code == 0, again.said[-3000:]
    assert set(again.stages().values()) == {"unchanged"}

    shown = headrace(home, "sql", "--config", str(config), "--env", "hive", "show tables in flights", **where)
    assert shown.code == 0, shown.said[-3000:]
    tables = {word for line in shown.out.splitlines() for word in line.split("\t")}
    assert {"flights", "training_set", "predictions", "carrier_delays", "latest_predictions"} <= tables

    asked = headrace(home, "sql", "--config", str(config), "--env", "hive", QUERY, **where)
    assert asked.code == 0, asked.said[-3000:]
    counts = dict(line.split("\t") for line in asked.out.splitlines()[1:])
    assert int(counts["predictions"]) > 100
    assert counts["predictions"] == counts["latest"]
    assert (tmp_path / "shared" / "flights" / "predictions").is_dir()

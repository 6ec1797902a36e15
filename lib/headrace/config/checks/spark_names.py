"""Settings of Spark: is there such a one, and may it be set here?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

from headrace.config.file.complaints import meant
from headrace.config.spark_types import Spark

Found = tuple[str, str]

OPEN = (
    "spark.hadoop.", "spark.hive.", "spark.executorEnv.", "spark.kubernetes.", "spark.yarn.appMasterEnv.",
    "spark.metrics.conf.", "spark.sql.catalog.", "spark.databricks.delta.properties.defaults.",
    "spark.executor.resource.", "spark.driver.resource.", "spark.task.resource.", "spark.worker.resource.",
    "spark.shuffle.io.", "spark.rpc.io.", "spark.files.io.", "spark.delta.", "spark.ssl.",
)  # fmt: skip
"""Beginnings after which anything may stand."""

SERVICES = re.compile(r"spark\.(yarn\.)?security\.(credentials|tokens)\.[A-Za-z0-9_-]+\.enabled")
"""One for each service whose tokens Spark fetches (`HadoopDelegationTokenManager`): hadoopfs, hbase, hive, kafka ..."""

OWN = {
    "spark.sql.session.timeZone": "all times are UTC",
    "spark.sql.ansi.enabled": "SQL means the same everywhere",
    "spark.sql.warehouse.dir": "`warehouse` of an overlay (--env) says where tables are",
    "spark.sql.catalogImplementation": "`metastore` of an overlay (--env) chooses the catalogue",
}
"""What Headrace sets itself, and why nobody else does."""

AT_RUN_TIME = "spark.databricks.delta.properties.defaults."


@cache
def known() -> Mapping[str, bool]:
    """The settings of Spark 4.2 and Delta 4.4 by name, and whether each can be set while Spark runs.

    Written by `benchmarks/spark_settings.py`.
    """
    found: dict[str, bool] = {}
    text = resources.files("headrace.config.checks").joinpath("spark_settings.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        group, _, names = line.partition(": ")
        found |= {f"{group}.{name.removeprefix('+')}": name.startswith("+") for name in names.split()}
    return found


def check(spark: Spark) -> Iterator[Found]:
    """What is wrong with the settings: pairs (where, what is wrong and what is allowed)."""
    for name in spark.application:
        yield from _one(f'spark["{name}"]', name)
    for stage, settings in spark.stages.items():
        for name in settings:
            where = f'spark.stages.{stage}["{name}"]'
            wrong = list(_one(where, name))
            yield from wrong
            if not wrong and not known().get(name, name.startswith(AT_RUN_TIME)):
                yield (
                    where,
                    f"{name} is read when Spark starts, and cannot change for one stage; put it directly under `spark`",
                )


def _one(where: str, name: str) -> Iterator[Found]:
    if name in OWN:
        yield where, f"{name} is set by Headrace itself: {OWN[name]}; leave it out"
    elif not name.startswith("spark."):
        close = meant(name, known()) or meant(f"spark.{name}", known())
        yield where, f"{name!r} is no setting of Spark: their names begin with `spark.`{close}"
    elif not is_known(name):
        close = (
            meant(name, known()) or "; Spark's are listed in https://spark.apache.org/docs/latest/configuration.html"
        )
        yield where, f"Spark has no setting {name!r}{close}"


def is_known(name: str) -> bool:
    """Whether Spark or Delta know a setting, or a plugin may: one in a group that is none of Spark's, nor like one."""
    if name in known() or SERVICES.fullmatch(name) or (name.startswith(OPEN) and not name.endswith(".")):
        return True
    group, _, rest = name.removeprefix("spark.").partition(".")
    groups = {other.split(".")[1] for other in known()}
    return bool(rest) and group not in groups and not difflib.get_close_matches(group, groups, n=1, cutoff=0.75)

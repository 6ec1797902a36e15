"""How Spark ML makes sure that vectors hold numbers, in a quick way.

Every estimator of Spark ML asks of each value of each row, twice in a fit, whether it is NaN or infinite; Spark 4.2 looks its
configuration up for each of them, which takes longer than many a fit. A rule of the optimizer asks for the largest and
the least value instead: in generated code, with the same answer.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError

from headrace.runtime.janino import cooked, instance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CLASS = "FiniteVectors"


def quickly_checked(spark: SparkSession) -> bool:
    """Let a session check vectors quickly, if it does not yet; whether it does: another Spark may have other classes."""
    try:
        methods: Any = spark._jsparkSession.experimental()  # type: ignore[union-attr]
        rules = methods.extraOptimizations()
        if not any(rules.apply(place).getClass().getSimpleName() == _CLASS for place in range(rules.size())):
            getattr(methods, "extraOptimizations_$eq")(rules.appended(_rule(spark)))
    except (Py4JError, AttributeError, TypeError):
        return False
    return True


def _rule(spark: SparkSession) -> Any:
    context: Any = spark.sparkContext
    compiler = cooked(context, files(__package__).joinpath(f"{_CLASS}.java").read_text())
    return instance(context, compiler.getClassLoader().loadClass(f"headrace.{_CLASS}"))

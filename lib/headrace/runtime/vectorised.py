"""Python over whole columns at a time, as Spark hands them over by Arrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def vectorised(function: Callable[..., Any], arguments: Sequence[str], returns: str) -> Any:
    """A function of pandas Series as one of columns; the types need not be imported where it is defined.

    Args:
        function: From Series to a Series, or to a DataFrame where `returns` has several columns.
        arguments: Names of its arguments.
        returns: SQL type, or columns.
    """
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    several = pd.DataFrame if "," in returns else pd.Series
    function.__annotations__ = {**dict.fromkeys(arguments, pd.Series), "return": several}
    make: Any = pandas_udf
    return make(function, returns)

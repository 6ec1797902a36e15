"""How good lists of recommended items are, user by user: the metrics at k of Spark's RankingMetrics."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def list_metrics(recommended: Column, relevant: Column, k: int) -> dict[str, Column]:
    """The metrics of one user.

    Args:
        recommended: array of items, the best first; null or shorter than `k` where there are no more.
        relevant: array of distinct items; users without any are not to be judged (null).
        k: Length of the lists.

    Returns:
        Metric -> double; null where nothing is relevant.
    """
    listed = F.slice(F.coalesce(recommended, F.array().cast("array<long>")), 1, k)
    hits = F.transform(listed, lambda item: F.array_contains(relevant, item).cast("int"))
    count, most = F.size(relevant), F.least(F.size(relevant), F.lit(k))
    right = F.aggregate(hits, F.lit(0), lambda total, hit: total + hit)
    places = F.zip_with(
        hits, F.sequence(F.lit(1), F.lit(k)), lambda hit, place: F.struct(hit.alias("h"), place.alias("p"))
    )
    gain = F.aggregate(places, F.lit(0.0), lambda total, x: total + F.when(x["h"] == 1, _gain(x["p"])).otherwise(0.0))
    ideal = F.aggregate(F.sequence(F.lit(1), most), F.lit(0.0), lambda total, place: total + _gain(place))
    nothing = F.struct(F.lit(0).alias("n"), F.lit(0.0).alias("s"))
    precise = F.aggregate(
        places,
        nothing,
        lambda state, x: F.struct(
            (state["n"] + F.coalesce(x["h"], F.lit(0))).alias("n"),
            (state["s"] + F.when(x["h"] == 1, (state["n"] + 1) / x["p"]).otherwise(0.0)).alias("s"),
        ),
        lambda state: state["s"],
    )
    found = {
        "ndcgAtK": gain / ideal,
        "precisionAtK": right / F.lit(k),
        "recallAtK": right / count,
        "meanAveragePrecisionAtK": precise / most,
    }
    return {metric: F.when(count > 0, value).cast("double") for metric, value in found.items()}


def _gain(place: Column) -> Column:
    return F.lit(1.0) / F.log(place + F.lit(1.0))

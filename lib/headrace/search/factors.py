"""Recommendations: numbers for users and items, their popularity, and alternating least squares over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.search.recipe import Parameter, Recipe

if TYPE_CHECKING:
    from pyspark.ml import Estimator, PipelineModel, Transformer
    from pyspark.sql import DataFrame

DAMPING = 10.0
"""Ratings at the overall mean that each item is given beforehand, so that one rating makes no favourite."""
NOBODY = -(2**31)
KEPT = ("__who", "__user", "__item", "__what", "__popularity", "label")
"""Columns of prepared rows; see `models.recommend`."""
FINAL = (
    "select *, coalesce(nanvl(cast(__als as double), cast(null as double)), __popularity) as prediction from __THIS__"
)
"""What the factors say; where they know the user or the item not, the popularity."""
WHOLE = ("tinyint", "smallint", "int", "bigint")


def _als(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
    from pyspark.ml.recommendation import ALS

    return ALS(
        userCol="__user",
        itemCol="__item",
        ratingCol="label",
        coldStartStrategy="nan",
        rank=int(params["rank"]),
        regParam=params["regularization"],
        alpha=params["alpha"],
        maxIter=10,
        checkpointInterval=3,
        numUserBlocks=max(2, workers),
        numItemBlocks=max(2, workers),
        seed=seed,
    ).setPredictionCol("__als")


RECOMMENDING: dict[str, Recipe] = {
    "als": Recipe(
        tasks=("recommendation",),
        kind="ids",
        first={"rank": 16, "regularization": 0.1, "alpha": 10.0},
        space={
            "rank": Parameter(4, 64, "int"),
            "regularization": Parameter(0.003, 1.0, "log"),
            "alpha": Parameter(0.5, 60.0, "log"),  # implicit only: how much more a weight says than none
        },
        build=_als,
    )
}


def fit_ids(train: DataFrame, user: str, item: str, implicit: bool) -> PipelineModel:
    """Fit the stages from users and items to prepared rows. Runs Spark jobs.

    Items, and users whose ids are no 32-bit numbers, come to the driver by name: Spark ML keeps such names in the model.

    Args:
        train: `user`, `item`, `label` (double).
        user: Column of the user.
        item: Column of the item.
        implicit: Whether the label is a weight: then an item is as popular as the share of users who had it, else as
            its damped mean rating.
    """
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import IndexToString, SQLTransformer, StringIndexerModel

    items, popular, unknown = _popularity(train, user, item, implicit)
    texts = [repr(one) for one in (*popular, unknown)]
    known = len(items)
    other = f"-1 - (xxhash64(`{item}`) & 1152921504606846975L)"
    what = f"case when __item < {known} then cast(__item as bigint) when `{item}` is not null then {other} end"
    return PipelineModel(
        [
            _users(train, user),
            StringIndexerModel.from_labels(items, inputCol=item, outputCol="__item", handleInvalid="keep"),
            IndexToString(inputCol="__item", outputCol="__text", labels=texts),
            SQLTransformer(
                statement=f"select *, `{user}` as __who, {what} as __what, cast(__text as double) as __popularity "
                "from __THIS__"
            ),
        ]
    )


def _users(train: DataFrame, user: str) -> Transformer:
    from pyspark.ml.feature import SQLTransformer, StringIndexerModel
    from pyspark.sql import functions as F

    if train.schema[user].dataType.simpleString() in WHOLE:
        low, high = train.agg(F.min(user), F.max(user)).collect()[0]
        if low is not None and low > NOBODY and high < 2**31:
            number = f"cast(coalesce(try_cast(`{user}` as int), {NOBODY}) as double)"
            return SQLTransformer(statement=f"select *, {number} as __user from __THIS__")
    names = train.where(F.col(user).isNotNull()).select(F.col(user).cast("string").alias("name")).distinct()
    found = sorted(row["name"] for row in names.collect())  # Spark ML keeps them in the model
    return StringIndexerModel.from_labels(found, inputCol=user, outputCol="__user", handleInvalid="keep")


def _popularity(train: DataFrame, user: str, item: str, implicit: bool) -> tuple[list[str], list[float], float]:
    """Items as text, the most popular first; their popularity; that of an unknown item."""
    from pyspark.sql import functions as F

    named = train.where(F.col(item).isNotNull()).groupBy(F.col(item).cast("string").alias("name"))
    whole: Any = train.agg(F.avg("label"), F.count_distinct(F.col(user))).first()
    mean, users = float(whole[0]), max(1, int(whole[1]))
    liked = F.count_distinct(F.when(F.col("label") > 0, F.col(user))) / F.lit(float(users))
    damped = (F.sum("label") + DAMPING * mean) / (F.count("label") + DAMPING)
    popular = named.agg((liked if implicit else damped).alias("popularity"))
    rows = popular.orderBy(F.desc("popularity"), "name").collect()  # Spark ML keeps them in the model
    return [row["name"] for row in rows], [float(row["popularity"]) for row in rows], 0.0 if implicit else mean

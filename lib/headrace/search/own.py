"""The user's own Spark ML classes in a search: estimators, and transformers before the preparation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, PipelineModel, Transformer
from pyspark.ml.util import MLReadable, MLWritable
from pyspark.sql import functions as F

from headrace.config import hook_types
from headrace.config.hooks import WANTED, Use, use
from headrace.errors import ConfigError, DataError
from headrace.runtime.hooks import load, naming
from headrace.runtime.transforms import KEPT
from headrace.search import outliers
from headrace.search.estimators import ESTIMATORS
from headrace.search.one_core import is_learner, spread
from headrace.search.recipe import Recipe
from headrace.search.shaped import parameter, shaped
from headrace.search.wanted import UNSEEN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.config.types import Pipeline

TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Stage:
    """A Transformer of the user's, or an Estimator of one, as the YAML sets it."""

    use: Use
    made: Any


def recipes(spark: SparkSession, pipeline: Pipeline) -> dict[str, Recipe]:
    """All estimators of a pipeline: the user's own, which are tried first, and Headrace's.

    Raises:
        ConfigError: If a class is no Estimator of Spark ML, or refuses its parameters.
    """
    own = {}
    for number, one in enumerate(pipeline.search.estimators):
        if one.class_:
            where = use(pipeline, f"search.estimators[{number}].class")
            own[one.name] = _recipe(load(spark, pipeline, where), where, one)
    given = {one.name: one for one in pipeline.search.estimators if not one.class_}
    return own | {name: shaped(recipe, given.get(name)) for name, recipe in ESTIMATORS.items()}


def _recipe(kind: type, where: Use, one: hook_types.Estimator) -> Recipe:
    spark_ml = issubclass(kind, Estimator)
    if not spark_ml and not is_learner(kind):
        raise ConfigError(
            f"{where.where}: {where.hook} is no Estimator of Spark ML, nor has it scikit-learn's interface; derive it "
            "from pyspark.ml.Estimator, or from sklearn.base.BaseEstimator"
        )

    def made_of_ml(task: str, params: Mapping[str, Any], seed: int, workers: int) -> Estimator:
        made = _made(kind, where, {**one.params, **params})
        if made.hasParam("seed") and "seed" not in one.params:
            made.set(made.getParam("seed"), seed)
        return made

    def alone(task: str, params: Mapping[str, Any], seed: int) -> Any:
        made = _made(kind, where, {**one.params, **params})
        if "random_state" in made.get_params() and "random_state" not in one.params:
            made.set_params(random_state=seed)
        return made

    build = made_of_ml if spark_ml else spread(alone)
    space = {name: parameter(term) for name, term in one.space.items()}
    first = dict(one.first) or {name: known.middle for name, known in space.items()}
    build("", first, 0, 1)  # a parameter that the class does not have is told now, and not by every trial
    return Recipe(TASKS, one.features, first, space, build, _packages(where), None if spark_ml else alone, where)


def _made(kind: type, where: Use, params: Mapping[str, Any]) -> Any:
    with naming(where):
        return _called(kind, where, params)


def _called(kind: type, where: Use, params: Mapping[str, Any]) -> Any:
    try:
        return kind(**params)
    except TypeError as error:
        there = _allowed(kind) if not params or _plain(kind) else []
        allowed = f"; its parameters are {', '.join(sorted(there))}" if there else ""
        raise ConfigError(
            f"{where.where}: {where.hook} refuses {', '.join(params) or 'no parameters'}: {error}{allowed}"
        ) from error


def _allowed(kind: type) -> list[str]:
    made: Any = kind()
    return list(made.get_params()) if is_learner(kind) else [param.name for param in made.params]


def _plain(kind: type) -> bool:
    """Whether a class can be made without parameters."""
    try:
        kind()
    except TypeError:
        return False
    return True


def _packages(where: Use) -> tuple[str, ...]:
    """What a reader of the model needs, where the class is of an installed package."""
    from importlib.metadata import packages_distributions

    return tuple(packages_distributions().get(where.module.partition(".")[0], ())[:1])


def check_saveable(where: Use, stage: object) -> None:
    """Refuse what could not be logged with the model, and read again to score with.

    Raises:
        ConfigError: If it cannot be written, or not be read.
    """
    if not (isinstance(stage, MLWritable) and isinstance(stage, MLReadable)):
        raise ConfigError(
            f"{where.where}: {where.hook} gives a {type(stage).__name__}, which cannot be saved with the model; derive "
            "it from DefaultParamsWritable and DefaultParamsReadable of pyspark.ml.util as well"
        )


def stages(spark: SparkSession, pipeline: Pipeline) -> tuple[Stage, ...]:
    """What becomes of outliers, then the user's transformers, not fitted yet, in the order of the YAML.

    Raises:
        ConfigError: If a class is neither Transformer nor Estimator of Spark ML, or refuses its parameters.
    """
    found = [Stage(where, made) for where, made in outliers.estimators(pipeline)]
    for number, one in enumerate(pipeline.search.transformers):
        where = use(pipeline, f"search.transformers[{number}].class")
        kind = load(spark, pipeline, where)
        if not issubclass(kind, Transformer | Estimator):
            raise ConfigError(f"{where.where}: {where.hook} is neither; wanted is {WANTED['transformer']}")
        found.append(Stage(where, _made(kind, where, one.params)))
    return tuple(found)


def fit_stages(own: Sequence[Stage], train: DataFrame) -> list[Transformer]:
    """Fit the user's stages, each on what those before it make. Runs Spark jobs.

    Args:
        own: In their order.
        train: `label` (double) and the raw feature columns of the rows to learn from.

    Raises:
        ConfigError: If a stage cannot be saved.
        DataError: If the stages lose rows, or the label.
        HeadraceError: If one raises.
    """
    fitted: list[Transformer] = []
    given = frame = _carrying(train)
    for one in own:
        with naming(one.use):
            stage = one.made.fit(frame.drop(KEPT)) if isinstance(one.made, Estimator) else one.made
            frame = stage.transform(frame)
        check_saveable(one.use, stage)
        fitted.append(stage)
    if own:
        before, after = train.count(), frame.count()
        named = ", ".join(one.use.hook for one in own)
        gone = [name for name in ("label", KEPT) if name in given.columns and name not in frame.columns]
        if gone or before != after:
            lost = (
                f"were given {before:,} rows and returned {after:,}"
                if before != after
                else f"dropped the column {gone[0]}"
            )
            raise DataError(
                f"search.transformers: {named} {lost}; a transformer keeps rows, and columns it does not know"
            )
    return fitted


def through(own: PipelineModel, rows: DataFrame) -> DataFrame:
    """Rows as the user's fitted stages make them; what these do not see is with the rows again afterwards."""
    made = own.transform(_carrying(rows)) if own.stages else rows
    unseen = [name for name in UNSEEN if name in rows.columns]
    if KEPT not in made.columns or not unseen:
        return made
    rest = [F.col(f"`{name}`") for name in made.columns if name != KEPT]
    return made.select(*rest, *[F.col(f"{KEPT}.`{name}`").alias(name) for name in unseen])


def _carrying(rows: DataFrame) -> DataFrame:
    """Rows with what the user's stages do not see in one column, that goes through them."""
    unseen = [F.col(name) for name in UNSEEN if name in rows.columns]
    return rows.withColumn(KEPT, F.struct(*unseen)).drop(*UNSEEN) if unseen else rows

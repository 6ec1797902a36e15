"""Features and predictions for any DataFrame, by the functions that training and scoring use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.api.pipeline import Pipeline, Time, moment
from headrace.config.file.complaints import meant
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from headrace.models.store import ModelStore
    from headrace.models.version import Version

SCHEME = "models:/"


def training_set(
    spine_df: DataFrame,
    features: Sequence[str] | None = None,
    *,
    config: str | Path | Pipeline,
    time: str = "predict_at",
    as_of: Time | None = None,
) -> DataFrame:
    """Add to each row of a spine the features as they were known at its time.

    The same computation as in stage `training_set`: windows are evaluated at each row's own cut-off from the cleaned
    events, looked-up features are joined point-in-time from the published tables. The pipeline must have run up to
    stage `features`.

    Args:
        spine_df: Rows to compute features for, with the entity columns of the feature tables and a time; all columns
            are passed through. Duplicates, and rows with nulls in key or time, stay (the latter without features).
        features: Feature tables, in order; default: those of the pipeline's `training_set`, without one all.
        config: The pipeline, or its YAML.
        time: The column of the cut-off: timestamp, timestamp_ntz (read as UTC) or date (00:00 UTC).
        as_of: The logical now: what became known later does not exist; default: the clock.

    Returns:
        The spine's columns, then `<feature_table>__<column>` for each feature. Rows in = rows out. Types are those of
        `window_features` for windows, those of the source columns for `latest` and `lookup`.

    Raises:
        ConfigError: For a feature table, table or column that is not there, or a name that would stand twice.

    Example:
        >>> import headrace
        >>> spine = spark.sql("select 'UA' carrier, timestamp'2013-07-01 12:00:00Z' predict_at")
        >>> rows = headrace.training_set(spine, features=["carrier_delays"], config=flights)
        >>> rows.columns[:3]
        ['carrier', 'predict_at', 'carrier_delays__arr_delay_mean_3h']
        >>> rows.count()
        1
    """
    from headrace.api.session import steady, with_delta
    from headrace.engine.assemble import add_features
    from headrace.runtime.tables import Tables
    from headrace.training.stage import reader

    pipeline = _pipeline(config)
    names = _feature_tables(pipeline, features)
    if time.lower() not in (name.lower() for name in spine_df.columns):
        raise ConfigError(
            f"time: there is no column {time!r} among {', '.join(spine_df.columns)}; name the one that holds "
            "each row's cut-off: training_set(..., time=...)"
        )
    where = pipeline.places
    tables = Tables(steady(with_delta(spine_df.sparkSession)), where.root, where.schema, where.elsewhere)
    now = moment("as_of", as_of) or datetime.now(UTC)
    read = reader(pipeline.config, lambda name: tables.read(name, tables.last(name).version), now)
    return add_features(spine_df, pipeline.config, names, read, spine_time=time)


def score(df: DataFrame, model: str, *, config: str | Path | Pipeline | None = None) -> DataFrame:
    """Score rows that have the features of a model.

    Args:
        df: Rows with the columns of the model's signature, of the same names and types; all columns are passed
            through.
        model: `models:/<name>@<alias>` or `models:/<name>/<version>`, as `models:/flights@champion`.
        config: The pipeline, or its YAML, whose overlay says where the model store is; default: the store in
            `HEADRACE_HOME`.

    Returns:
        The columns of `df`, then `prediction` (in the label's own type and values) and `probability` (double, of the
        positive class; multiclass: map<string,double> from class to probability; regression: null). Rows in = rows out.

    Raises:
        ConfigError: If there is no such model, or `df` has a column `prediction` or `probability`.
        DataError: If columns are missing or of other types than in the training; shows the difference.

    Example:
        >>> import headrace
        >>> rows = flights.table("training_set").where("split = 'score'")
        >>> headrace.score(rows, "models:/flights@champion").columns[-2:]
        ['prediction', 'probability']
    """
    taken = [name for name in df.columns if name.lower() in ("prediction", "probability")]
    if taken:
        raise ConfigError(f"the frame has {', '.join(taken)} already, and score adds such a column; rename or drop it")
    from headrace.models.compiled import running
    from headrace.models.compiled.admitting import compiled
    from headrace.models.predict import predict

    store, version = _version(model, _pipeline(config) if config is not None else None)
    ready, _ = compiled(store, version)
    if ready is not None:
        return running.score(ready, df, df.columns)
    return predict(store.load(version.uri), store.card(version.run_id), df, keep=df.columns)


def _pipeline(config: str | Path | Pipeline) -> Pipeline:
    return config if isinstance(config, Pipeline) else Pipeline.from_yaml(config)


def _feature_tables(pipeline: Pipeline, asked: Sequence[str] | None) -> tuple[str, ...]:
    there = list(pipeline.config.feature_tables)
    if asked is None:
        section = pipeline.config.training_set
        asked = section.features if section else there
    names = tuple(name.lower() for name in ((asked,) if isinstance(asked, str) else asked))
    for name in names:
        if name not in there:
            raise ConfigError(
                f"features: there is no feature table {name!r} in {pipeline.path}; there are: "
                f"{', '.join(there) or 'none'}{meant(name, there)}"
            )
    return names


def _version(model: str, pipeline: Pipeline | None) -> tuple[ModelStore, Version]:
    """The store, and the version that an address of MLflow's stands for."""
    from headrace.config.types import Environment
    from headrace.models.store import ModelStore
    from headrace.runtime.home import home, model_store

    name, mark, wanted = model.removeprefix(SCHEME).partition("@")
    if not mark:
        name, mark, wanted = name.partition("/")
    if not model.startswith(SCHEME) or not name or not wanted or "/" in wanted:
        raise ConfigError(f"{model!r} is no model; write models:/flights@champion or models:/flights/3")
    uri = model_store(pipeline.environment if pipeline else Environment())
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise ConfigError(
            f"there is no model store {uri}; train a model first, or set HEADRACE_HOME ({home()}) to its folder"
        )
    store = ModelStore(uri)
    return store, store.resolve(name, wanted)

"""Times until an event, many of them censored: from the file to what is scored, against Spark's own and pair by pair."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import AFTSurvivalRegression
from pyspark.sql import functions as F

from headrace.config.learning import Search, TrainingSet
from headrace.errors import DataError
from headrace.models.store import ModelStore
from headrace.monitoring import quality, verdicts
from headrace.search.tallies import ROW
from headrace.search.wanted import rows_named
from tests.spark.modelling import shared_home, sqlite
from tests.support.pairwise import harrell
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: machines
tables: {machines: {source: {format: csv, path: machines.csv}, key: machine}}
training_set:
  from: machines
  label: hours
  censored: status = 'running'
  split: {shares: [0.6, 0.15, 0.25]}
search: {max_evals: 1}
gates: [{metric: concordance, at_least: 0.6}, {beats: champion}]
"""


@pytest.fixture
def project(scratch: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A scratch project; MLflow's tables are made once for all."""
    shared, home = shared_home(tmp_path_factory) / "mlflow", scratch.folder / "home"
    shared.mkdir(parents=True, exist_ok=True)
    home.mkdir(exist_ok=True)
    (home / "mlflow").symlink_to(shared)
    return scratch


def machines(rows: int = 700) -> list[str]:
    """Weibull lives, of which a good third is not seen to its end; the last twenty are new and have none yet."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, rows))
    life = np.exp(3 + 0.8 * x - 0.5 * y) * rng.weibull(2.0, rows)
    seen = rng.exponential(40, rows)
    hours = np.round(np.minimum(life, seen), 3) + 0.001
    lines = []
    for i in range(rows):
        status, told = ("failed" if life[i] <= seen[i] else "running"), f"{hours[i]:.3f}"
        status, told = ("new", "") if i >= rows - 20 else (status, told)
        lines.append(f"{i},{x[i]:.5f},{y[i]:.5f},{told},{status}")
    return lines


def write(project: Project, lines: list[str]) -> None:
    project.write("machines.csv", "\n".join(["machine,x,y,hours,status", *lines]) + "\n")


def test_from_the_file_to_what_is_scored(project):
    write(project, machines())
    first = project.run(YAML, to="monitor")
    assert set(statuses(first).values()) == {"done"}
    assert set(statuses(project.run(YAML, to="monitor")).values()) == {"unchanged"}

    rows = project.table("training_set")
    assert rows.columns == ["machine", "predict_at", "split", "label", "censored", "label_known_at", "x", "y"]
    known = {r["machine"]: r for r in rows.collect()}
    late = [r["censored"] for r in known.values() if r["label"] is not None]
    assert 0.25 < np.mean(late) < 0.6

    # Spark's own, of the same rows
    taught = rows.where("split in ('train', 'validation') and label is not null").withColumn(
        "event", F.when(F.col("censored"), 0.0).otherwise(1.0)
    )
    assembled = VectorAssembler(inputCols=["x", "y"], outputCol="features")
    plain = AFTSurvivalRegression(censorCol="event", maxIter=100).fit(assembled.transform(taught))
    assert plain.coefficients.toArray() == pytest.approx([0.8, -0.5], abs=0.12)
    wanted = {r["machine"]: r["prediction"] for r in plain.transform(assembled.transform(rows)).collect()}
    tested = {r["machine"]: r["prediction"] for r in project.table("test_predictions").collect()}
    scored = {r["machine"]: r["prediction"] for r in project.table("predictions").collect()}
    assert len(scored) == 20
    assert len(tested) > 120
    table = project.table("test_predictions")
    assert table.columns[:5] == ["machine", "predict_at", "split", "label", "censored"]
    assert {r["machine"]: r["censored"] for r in table.collect()} == {m: known[m]["censored"] for m in tested}
    for machine, value in {**tested, **scored}.items():
        assert value == pytest.approx(wanted[machine], rel=2e-3)

    metrics = {part: found for done in first.done for part, found in done.metrics.items()}
    assert set(metrics["test"]) == {"concordance"}
    test = metrics["test"]["concordance"]
    judged = [known[machine] for machine in tested]
    assert test["value"] == pytest.approx(
        harrell([r["label"] for r in judged], [tested[r["machine"]] for r in judged], [r["censored"] for r in judged])
    )
    assert 0.7 < test["lower"] < test["value"] < test["upper"] < 1
    assert metrics["validation"]["concordance"]["baseline"] == 0.5

    store = ModelStore(sqlite(project.folder / "home"))
    version = store.resolve("machines", "champion")
    assert store.card(version.run_id).estimator == "survival_regression"
    second = project.run(YAML.replace("max_evals: 1", "max_evals: 1, seed: 7"), to="register")
    told = f"{second.refused} {[done.notes for done in second.done]}"
    assert "beats champion: concordance better by +0.0000" in told


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({3: "3,0.1,0.2,0,failed", 4: "4,0.1,0.2,-2,running"}, "2 of 80 labels are no time until an event"),
        ({5: "5,0.1,0.2,3,"}, "training_set.censored is null of 1 of 80 rows"),
        ({i: f"{i},0.1,0.2,{i + 1},running" for i in range(80)}, "all 80 rows with a label are censored"),
    ],
)
def test_what_is_no_time_or_does_not_say_what_it_is(project, changed, says):
    lines = machines(100)
    write(project, [changed.get(i, line) for i, line in enumerate(lines)])
    with pytest.raises(DataError, match=says):
        project.run(YAML, to="training_set")


def still_running(project: Project, lines: list[str], which: str) -> None:
    """Write the machines again; those of some rows of the training set have not failed by then."""
    some = {r["machine"] for r in project.table("training_set").where(which).collect()}
    write(project, [line.replace("failed", "running") if i in some else line for i, line in enumerate(lines)])


def test_a_part_or_a_fold_where_nothing_happened(project):
    lines, folds = machines(100), YAML.replace("0.25]}", "0.25], folds: 2}")
    write(project, lines)
    project.run(folds, to="training_set")
    still_running(project, lines, "split = 'validation'")
    with pytest.raises(DataError, match=r"every row with a label is censored in validation, so .*'validation': '0 of"):
        project.run(YAML, to="training_set")
    assert statuses(project.run(folds, to="training_set"))["training_set"] == "done"  # cut through train and validation
    still_running(project, lines, "fold = 2")
    with pytest.raises(DataError, match="fold 1 of 2: there learns no row that had its event, all are censored"):
        project.run(folds, to="search")


def test_rows_are_told_apart_by_their_features_alone(spark):
    told = "label double, censored boolean, fold int, split string, label_known_at timestamp, x int"
    values = [
        (1.0, True, 1, "train", None, 1),
        (2.0, False, 2, "validation", None, 1),
        (1.0, True, 1, "train", None, 2),
    ]
    training = TrainingSet.model_validate({"from": "t", "label": "y", "censored": "late", "split": {"folds": 2}})
    found = [r[ROW] for r in rows_named(spark.createDataFrame(values, told), Search(), training, (), True).collect()]
    assert found[0] == found[1] != found[2]


def test_folds_slices_and_a_regression_that_is_judged_by_order(project):
    lines = [f"{line},{'ab'[i % 2]}" for i, line in enumerate(machines(300))]
    project.write("machines.csv", "\n".join(["machine,x,y,hours,status,kind", *lines]) + "\n")
    yaml = YAML.replace("0.25]}", "0.25], folds: 2}").replace(
        "{beats: champion}", "{metric: concordance, at_least: 0.55, slice: kind, min_rows: 20}"
    )
    done = project.run(yaml, to="evaluate")
    assert set(statuses(done).values()) == {"done"}
    measured = project.rows("evaluation", "metric", "slice_column", "slice_value")
    assert {row[0] for row in measured} == {"concordance"}
    assert {row[2] for row in measured} == {None, "a", "b"}
    plain = yaml.replace("  censored: status = 'running'\n", "  exclude: [status]\n  task: regression\n").replace(
        "max_evals: 1", "max_evals: 1, estimators: survival_regression"
    )
    project.run(plain, to="evaluate")
    judged = {row[0]: row[1] for row in project.rows("evaluation", "metric", "value", "slice_value") if row[2] is None}
    assert set(judged) == {"rmse", "mae", "r2", "mse", "concordance"}
    both = project.table("test_predictions").where("label is not null").collect()
    wanted = harrell([r["label"] for r in both], [r["prediction"] for r in both], [False] * len(both))
    assert judged["concordance"] == pytest.approx(wanted)


def test_what_comes_true_is_measured_by_version_and_day(spark):
    rng = np.random.default_rng(4)
    count = 300
    days = [datetime(2024, 5, 1 + int(d), 12, tzinfo=UTC) for d in rng.integers(0, 3, count)]
    label, version = rng.integers(1, 40, count), rng.integers(1, 3, count)
    said, late = label * 0.1 + rng.normal(size=count), rng.random(count) < 0.4
    known = [None if i % 10 == 0 else float(label[i]) for i in range(count)]
    spine = spark.createDataFrame(
        [(i, days[i], known[i], days[i], "score", bool(late[i])) for i in range(count)],
        "id int, predict_at timestamp, label double, label_known_at timestamp, split string, censored boolean",
    )
    predictions = spark.createDataFrame(
        [(i, days[i], float(said[i]), int(version[i])) for i in range(count)],
        "id int, predict_at timestamp, prediction double, model_version int",
    )
    now = datetime(2024, 6, 1, tzinfo=UTC)
    frame = quality.judged(predictions, spine, ["id"], (), now, 0, None, "censored")
    found = verdicts.measured(quality.metrics_of(frame, "survival"))
    assert {(r["model_version"], r["day"] and r["day"].day) for r in found} == {
        (number, day) for number in ("1", "2") for day in (None, 1, 2, 3)
    }
    for row in found:
        mine = [
            i
            for i in range(count)
            if str(version[i]) == row["model_version"] and (row["day"] is None or days[i].day == row["day"].day)
        ]
        judged = [i for i in mine if known[i] is not None]
        assert (row["metric"], row["rows"], row["labelled_rows"]) == ("concordance", len(mine), len(judged))
        wanted = harrell([known[i] for i in judged], [said[i] for i in judged], [bool(late[i]) for i in judged])
        assert row["value"] == pytest.approx(wanted)
        assert row["lower"] < row["value"] < row["upper"]

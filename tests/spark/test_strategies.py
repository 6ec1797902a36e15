"""Batch scoring by a strategy: who scores whom is the same as in real time, and each row is scored once."""

from __future__ import annotations

import random
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import functions as F

from headrace.cli.experiment import experiment
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.models.assignment import assigned
from headrace.models.predict import predict
from headrace.models.promotion import Word, promote
from headrace.models.store import ModelStore
from headrace.models.version import COMPILED
from headrace.runtime.home import places
from headrace.runtime.runner import Options
from headrace.scoring import ways
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")
YAML = """
pipeline: shop
tables: {orders: {source: {format: csv, path: orders.csv}, key: id, event_time: at}}
training_set: {from: orders, label: late}
search: {estimators: %s, max_evals: 1}
"""
STRATEGIES = {
    "canary": "{canary: {share: 0.2, ramp: [{from: 2024-01-12, share: 0.6}]}}",
    "arms": "{ab: {arms: {champion: 0.5, '2': 0.5}}, entity: customer, salt: spring}",
    "shadow": "{shadow: {}}",
    "nobody": "{canary: {challenger: someone, share: 0.5}}",
    "gone": "{shadow: {challenger: 3}}",
}


def write(scratch: Project) -> dict[int, tuple[str, datetime]]:
    """Orders, of which the last 150 have no label yet; their customers and times."""
    rng, lines, waiting = random.Random(5), ["id,customer,at,paid,late"], {}
    for i in range(450):
        paid, at = rng.randint(1, 99), datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=37 * i)
        late = "" if i >= 300 else str(rng.random() < (0.8 if paid > 60 else 0.2)).lower()
        customer = f"c{rng.randint(0, 30)}"
        lines.append(f"{i},{customer},{at:%Y-%m-%dT%H:%M:%S},{paid},{late}")
        if i >= 300:
            waiting[i] = (customer, at)
    scratch.write("orders.csv", "\n".join(lines) + "\n")
    return waiting


def two_versions(scratch: Project) -> ModelStore:
    """A logistic regression, the champion, and a tree."""
    scratch.run(YAML % "logistic_regression", to="register")
    scratch.run(YAML % "decision_tree", to="register")
    pipeline, environment = read_pipeline(scratch.folder / "pipeline.yaml")
    store = ModelStore(places(pipeline, environment).tracking_uri)
    promote(store, "shop", 1, Word("it goes on"))
    return store


def test_each_row_is_scored_once_by_whom_the_strategy_says(
    scratch: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = write(scratch)
    store = two_versions(scratch)
    store.set_alias("shop", 2, "challenger")
    rows = scratch.table("training_set")
    want = {
        number: {r["id"]: (r["prediction"], r["probability"]) for r in predict(
            store.load(version.uri), store.card(version.run_id), rows, ["id"]).collect()}
        for number in (1, 2) for version in [store.version("shop", number)]
    }  # fmt: skip

    def scored(name: str, **more):
        text = YAML % "decision_tree" + f"scoring: {{output: p_{name}, strategy: {STRATEGIES[name]}}}\n"
        done = scratch.run(text, only="score")
        found = scratch.table(f"p_{name}").collect()
        assert len(found) == len({r["id"] for r in found}) == 150
        for r in found:
            prediction, probability = want[r["model_version"]][r["id"]]
            assert (r["prediction"], r["probability"]) == (prediction, pytest.approx(probability, rel=1e-6))
        return {r["id"]: r["model_version"] for r in found}, [note for one in done.done for note in one.notes]

    numbers = {"champion": 1, "challenger": 2, "2": 2}
    who, notes = scored("canary")
    strategy = scratch.pipeline.scoring.strategy
    assert who == {i: numbers[assigned(strategy, [i], at)] for i, (_, at) in waiting.items()}
    shares = [sum(who[i] == 2 for i in who if (waiting[i][1] >= datetime(2024, 1, 12, tzinfo=UTC)) is late) for late in
              (False, True)]  # fmt: skip
    assert shares[0] > 0
    assert shares[1] > 0
    assert sorted(note.split(" rows scored by ")[1] for note in notes if " rows scored" in note) == [
        "shop version 1",
        "shop version 2",
    ]

    who, _ = scored("arms")
    strategy = scratch.pipeline.scoring.strategy
    assert who == {i: numbers[assigned(strategy, [customer], at)] for i, (customer, at) in waiting.items()}
    assert set(who.values()) == {1, 2}

    who, _ = scored("shadow")
    assert set(who.values()) == {1}
    shadow = {r["id"]: (r["model_version"], r["prediction"]) for r in scratch.table("p_shadow_shadow").collect()}
    assert shadow == {i: (2, want[2][i][0]) for i in waiting}

    who, notes = scored("nobody")
    assert set(who.values()) == {1}
    assert any("no version of shop is someone: the champion scores in its place" in note for note in notes)

    scratch.run(YAML % "naive_bayes", to="register")
    promote(store, "shop", 1, Word("it goes on"))
    folder = store.client.download_artifacts(store.version("shop", 3).run_id, "")
    for place in ("model", "compiled"):
        shutil.rmtree(f"{folder}/{place}")
    who, notes = scored("gone")  # a challenger that cannot be read does not keep the champion from scoring
    assert set(who.values()) == {1}
    assert any(
        "3 (version 3) cannot score, the champion does in its place: it cannot be read" in note for note in notes
    )

    text = YAML % "decision_tree" + f"scoring: {{strategy: {STRATEGIES['arms']}}}\n"
    experiment(str(scratch.write("pipeline.yaml", text)), 0.1)
    told = capsys.readouterr().out
    assert "to see a difference of 0.1 in areaUnderROC with a chance of 80%" in told
    assert re.search(
        r"champion +50\.0% +[\d,]+ labelled rows\n2 +50\.0% +[\d,]+ labelled rows\ntogether [\d,]+; version 1 had", told
    )
    with pytest.raises(ConfigError, match=r"--metric rmse: version 1 was tested by .*areaUnderROC"):
        experiment(str(scratch.folder / "pipeline.yaml"), 0.1, metric="rmse")

    store.set_alias("shop", 1, "challenger")  # another run finds nothing to do: what was acted on stands
    before = scratch.rows("p_canary", "id", "model_version")
    text = YAML % "decision_tree" + f"scoring: {{output: p_canary, strategy: {STRATEGIES['canary']}}}\n"
    scratch.run(text, only="score")
    assert scratch.rows("p_canary", "id", "model_version") == before


def test_a_challenger_that_fails_while_it_scores_leaves_all_rows_to_the_champion(
    scratch: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = write(scratch)
    store = two_versions(scratch)
    store.tag(store.version("shop", 2), {COMPILED: "not for this"})
    card = store.card(store.version("shop", 2).run_id)

    def failing(model, its, rows, keep):
        found = predict(model, its, rows, keep)
        stops = F.when(F.col("id") % 50 == 7, F.raise_error(F.lit("it stumbles"))).otherwise(F.col("prediction"))
        return found.withColumn("prediction", stops.cast("boolean")) if its == card else found

    monkeypatch.setattr(ways, "predict", failing)
    text = YAML % "decision_tree" + f"scoring: {{strategy: {STRATEGIES['arms']}}}\n"
    scratch.run(text, only="score")
    assert "2 (version 2) scored beside the champion Spark failed" in "".join(capsys.readouterr())
    assert {row["id"]: row["model_version"] for row in scratch.table("predictions").collect()} == dict.fromkeys(
        waiting, 1
    )
    assert scratch.table("predictions").count() == 150


def test_a_test_is_read_from_when_both_score(scratch: Project) -> None:
    waiting = write(scratch)
    two_versions(scratch)
    begins = datetime(2024, 1, 10, tzinfo=UTC)
    scratch.run(YAML % "decision_tree", only="score", options=Options(until=begins))
    assert 0 < scratch.table("predictions").count() < 100
    text = YAML % "decision_tree" + "scoring: {strategy: {ab: {arms: {champion: 0.5, '2': 0.5}}}}\n"
    scratch.run(text, only="score")
    lines = (scratch.folder / "orders.csv").read_text().splitlines()
    known = [line + random.Random(line).choice(["true", "false"]) if line.endswith(",") else line for line in lines]
    scratch.write("orders.csv", "\n".join(known) + "\n")
    scratch.run(text)
    notes = [note for one in scratch.run(text, only="monitor").done for note in one.notes]
    told = next(note for note in notes if note.startswith("version 2 against 1"))
    first = {}
    for row in scratch.table("predictions").collect():
        first[row["model_version"]] = min(first.get(row["model_version"], row["predict_at"]), row["predict_at"])
    assert f"since {max(first.values()):%Y-%m-%d %H:%M} UTC" in told
    counted = re.search(r"\((\d+) and (\d+) labelled rows", told)
    assert counted
    both = [
        r["model_version"] for r in scratch.table("predictions").collect() if r["predict_at"] >= max(first.values())
    ]
    assert tuple(map(int, counted.groups())) == (both.count(2), both.count(1))
    assert both.count(1) + both.count(2) < len(waiting)

"""Clusters, odd rows, topics and recommendations from the file to what is monitored, and a second run that changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from headrace.cli.reproduce import reproduction
from headrace.config.reading import read_pipeline
from headrace.models.record import page, record_of
from headrace.models.store import ModelStore
from tests.spark.modelling import shared_home, sqlite
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")


@pytest.fixture
def project(scratch: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A scratch project; MLflow's tables are made once for all."""
    shared, home = shared_home(tmp_path_factory) / "mlflow", scratch.folder / "home"
    shared.mkdir(parents=True, exist_ok=True)
    home.mkdir(exist_ok=True)
    (home / "mlflow").symlink_to(shared)
    return scratch


def both(project: Project, yaml: str):
    """The first run, and the second, which must be unchanged."""
    first = project.run(yaml, to="monitor")
    assert set(statuses(first).values()) == {"done"}
    assert set(statuses(project.run(yaml, to="monitor")).values()) == {"unchanged"}
    return first


def reproduced(project: Project) -> None:
    """Train the champion again: on the same rows, of whatever tasks, it says the same."""
    lines, same = reproduction(
        project.spark, *read_pipeline(project.folder / "pipeline.yaml"), wanted="champion", tolerance=1e-6
    )
    assert same, lines
    assert lines[-1].startswith("reproduced "), lines


def against_the_champion(project: Project, yaml: str) -> str:
    """What the gates say of a version with another seed."""
    second = project.run(yaml.replace("max_evals: 1", "max_evals: 1, seed: 7"), to="register")
    return f"{second.refused} {second.done[-2].notes if len(second.done) > 1 else ''} {second.done[-1].notes}"


def test_clusters(project):
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [6, 0], [0, 6]])
    group = rng.integers(0, 3, 240)
    xs = centres[group] + rng.normal(size=(240, 2))
    lines = [f"{i},{x:.4f},{'' if i % 40 == 0 else f'{y:.4f}'},{'uvw'[g]}" for i, ((x, y), g) in
             enumerate(zip(xs, group, strict=True))]  # fmt: skip
    project.write("shops.csv", "\n".join(["shop,x,y,colour", *lines]) + "\n")
    yaml = """
pipeline: shops
tables: {shops: {source: {format: csv, path: shops.csv}, key: shop}}
training_set: {from: shops, task: clustering}
search: {estimators: kmeans, max_evals: 1}
gates: [{metric: silhouette, at_least: 0.3}, {beats: champion}]
"""
    first = both(project, yaml)
    metrics = {part: found for done in first.done for part, found in done.metrics.items()}
    test = metrics["test"]["silhouette"]
    assert 0.3 < test["lower"] < test["value"] < test["upper"] < 1
    assert metrics["validation"]["silhouette"]["better_by"] > 0.3
    rows = project.rows("predictions", "shop", "prediction", "probability", "model_version")
    assert [row[0] for row in sorted(rows)] == list(range(240))
    assert {row[1] for row in rows} <= set(range(4))
    assert all(row[2] is None for row in rows)
    assert project.table("predictions").schema["prediction"].dataType.simpleString() == "int"
    assert {row[0] for row in project.rows("training_set", "label")} == {None}
    drifted = project.rows("drift_metrics", "feature", "alarm")
    assert ("prediction:prediction", False) in drifted
    assert {feature for feature, _ in drifted} >= {"x", "y", "colour"}
    assert project.table("quality_metrics").count() == 0
    reproduced(project)
    assert "beats champion: silhouette better by" in against_the_champion(project, yaml)


def test_odd_rows(project):
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    y = x + 0.1 * rng.normal(size=400)
    odd = set(range(0, 400, 50))
    y = np.where([i in odd for i in range(400)], -x - 3 * np.sign(x), y)  # usual in each feature alone
    lines = [f"{i},{a:.4f},{b:.4f}" for i, (a, b) in enumerate(zip(x, y, strict=True))]
    project.write("meters.csv", "\n".join(["meter,x,y", *lines]) + "\n")
    first = both(
        project,
        """
pipeline: meters
tables: {meters: {source: {format: csv, path: meters.csv}, key: meter}}
training_set: {from: meters, task: anomaly, contamination: 0.03, split: {shares: [0.6, 0.2, 0.2]}}
search: {max_evals: 1}
gates: [{metric: flaggedShare, at_most: 0.2}]
""",
    )
    metrics = {part: found for done in first.done for part, found in done.metrics.items()}
    assert (
        metrics["validation"]["logLikelihood"]["better_by"] > 0.5
    )  # than with features that know nothing of each other
    assert set(metrics["test"]) == {"logLikelihood", "flaggedShare"}
    rows = project.rows("predictions", "meter", "prediction", "probability")
    assert len(rows) == 400
    assert odd <= {meter for meter, flagged, _ in rows if flagged}
    assert 0.01 < np.mean([flagged for _, flagged, _ in rows]) < 0.08
    assert all(0 <= p <= 1 and (p > 0.97) == flagged for _, flagged, p in rows)
    assert "prediction:probability" in {feature for (feature,) in project.rows("drift_metrics", "feature")}
    reproduced(project)


def test_topics(project):
    """Three subjects; a title and a body, of which some have no known word."""
    rng = np.random.default_rng(3)
    subjects = [[f"{subject}{'abcdefgh'[n]}" for n in range(8)] for subject in ("sea", "law", "bee")]
    lines = []
    for i in range(240):
        words = rng.choice(subjects[i % 3], rng.integers(4, 14))
        lines.append(f"{i},{' '.join(words[:2]).title()} the,{' and '.join(words[2:])}!,{i / 10},{'NS'[i % 2]}")
    odd = {240: ",", 241: "?!,the and of", 242: "Never,seen before", 243: "seaa,", 244: ",Lawb"}
    lines += [f"{i},{texts},1.5,N" for i, texts in odd.items()]
    project.write("letters.csv", "\n".join(["letter,title,body,weight,region", *lines]) + "\n")
    yaml = """
pipeline: letters
tables: {letters: {source: {format: csv, path: letters.csv}, key: letter}}
training_set: {from: letters, task: topics, texts: [title, body]}
search: {max_evals: 2, points: [{estimator: lda, topics: 3}], parallelism: 1}
gates: [{metric: perplexity, at_most: 20}, {metric: perplexity, at_most: 25, slice: region, min_rows: 5}, {beats: champion}]
"""
    first = both(project, yaml)
    metrics = {part: found for done in first.done for part, found in done.metrics.items()}
    test = metrics["test"]["perplexity"]
    assert 1 < test["lower"] < test["value"] < test["upper"] < 20
    validation = metrics["validation"]["perplexity"]
    assert validation["baseline"] == pytest.approx(24, rel=0.1)  # 24 words, each as frequent
    assert validation["better_by"] > 5
    store = ModelStore(sqlite(project.folder / "home"))
    version = store.alias("letters")
    card = store.card(version.run_id)
    assert card.params["topics"] == 3  # and not the ten that are tried as well
    assert dict(card.features) == {"title": "string", "body": "string"}
    known = card.learned["topics"]
    named = {place: {word[:3] for word in list(one["words"])[:8]} for place, one in enumerate(known)}
    assert sorted(map(sorted, named.values())) == [["bee"], ["law"], ["sea"]]
    rows = {row[0]: row[1:] for row in project.rows("predictions", "letter", "prediction", "probability")}
    assert set(rows) == set(range(245)) - {240, 241, 242}
    for letter, (topic, share) in rows.items():
        subject = {243: "sea", 244: "law"}.get(letter) or ("sea", "law", "bee")[letter % 3]
        assert named[topic] == {subject}
        assert 1 / 3 < share <= 1
    assert {row[0]: row[1] for row in project.rows("predictions_rejected", "letter", "reason")} == dict.fromkeys(
        (240, 241, 242), "no known word"
    )
    assert project.table("predictions").schema["prediction"].dataType.simpleString() == "int"
    assert ("prediction:prediction", False) in project.rows("drift_metrics", "feature", "alarm")
    told = page(record_of(store, version), card)
    assert "Finds 3 topics in `title`, `body` (topics)" in told
    assert "## Topics" in told
    assert "\u2588" in told
    assert any(note.startswith("topic ") for done in first.done for note in done.notes)
    reproduced(project)
    again = against_the_champion(project, yaml.replace("max_evals: 2", "max_evals: 1"))
    assert "beats champion: perplexity better by" in again
    fewer = yaml.replace("max_evals: 2,", "max_evals: 1, preparation: {vocabulary: {size: 6}},")
    again = project.run(fewer, to="register")  # a smaller perplexity, and less said of the same words
    assert "beats champion: perplexity better by -" in again.refused
    left = yaml.replace("max_evals: 2,", "max_evals: 1, preparation: {vocabulary: {leave_out: [seaa]}},")
    again = project.run(left, to="register")
    assert "beats champion: the champion makes other words of the same texts" in again.refused


def test_recommendations(project):
    """Two tastes; ratings of later days are foretold by those of earlier ones."""
    start, rng = datetime(2024, 1, 1), np.random.default_rng(2)
    lines = []
    for user in range(24):
        for place, item in enumerate(rng.permutation(16)[:12]):
            stars = int(np.clip((5 if (user + item) % 2 else 1) + rng.integers(-1, 2), 1, 5))
            at = start + timedelta(days=int(place), minutes=user)
            lines.append(f"user {user},{item},{'' if place == 11 else stars},{at.isoformat()}")
    lines += [
        f"stranger,3,,{(start + timedelta(days=11)).isoformat()}",
        f"user 1,99,,{(start + timedelta(days=11)).isoformat()}",
    ]
    project.write("stars.csv", "\n".join(["reader,book,stars,at", *lines]) + "\n")
    yaml = """
pipeline: books
tables: {stars: {source: {format: csv, path: stars.csv}, key: [reader, book], event_time: at}}
training_set:
  from: stars
  user: reader
  item: book
  rating: stars
  top_k: 3
  split: {by: time, train_until: 2024-01-08, validation_until: 2024-01-10, test_until: 2024-01-12}
search: {max_evals: 1, metric: rmse}
gates: [{metric: rmse, at_most: 1.8}, {beats: champion, metric: ndcgAtK}]
"""
    first = both(project, yaml)
    metrics = {part: found for done in first.done for part, found in done.metrics.items()}
    assert set(metrics["test"]) == {"rmse", "ndcgAtK", "precisionAtK", "recallAtK", "meanAveragePrecisionAtK"}
    assert metrics["validation"]["rmse"]["better_by"] > 0.3  # than the books' mean ratings
    rows = project.rows("predictions", "reader", "book", "prediction", "probability")
    assert len(rows) == 26
    assert all(np.isfinite(row[2]) and row[3] is None for row in rows)
    listed = project.rows("recommendations", "reader", "book", "rank", "prediction")
    had = {(reader, book) for reader, book, label in project.rows("training_set", "reader", "book", "label") if label}
    assert {reader for reader, *_ in listed} == {f"user {user}" for user in range(24)}
    assert not {(reader, book) for reader, book, *_ in listed} & had
    assert {rank for _, _, rank, _ in listed} == {1, 2, 3}
    for user in range(24):
        scores = [s for reader, _, _, s in sorted(listed, key=lambda row: row[2]) if reader == f"user {user}"]
        assert scores == sorted(scores, reverse=True)
    store = ModelStore(sqlite(project.folder / "home"))
    version = store.alias("books")
    told = record_of(store, version)
    assert store.card(version.run_id).learned["user"] == "reader"
    assert told["definitions"] == {
        "tables.stars.event_time": "at",
        "training_set.from": "stars",
        "training_set.rating": "stars",
    }
    assert "Recommends the 3 best `book` for each `reader` (recommendation), from `stars`." in page(
        told, store.card(version.run_id)
    )
    reproduced(project)
    assert "beats champion: ndcgAtK better by" in against_the_champion(project, yaml)

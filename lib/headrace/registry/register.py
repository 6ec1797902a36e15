"""A version of the registered model, its tags, its gates, and the alias, which is moved last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame

from headrace.errors import DataError
from headrace.metrics.measure import Difference, difference
from headrace.metrics.own import own_metric
from headrace.models import changes
from headrace.models.card import ModelCard, check_columns
from headrace.models.predict import predict
from headrace.models.store import CHAMPION, INTERVALS, TESTED, ModelStore
from headrace.models.version import Version
from headrace.registry.gates import Verdict, judge
from headrace.runtime.step import Done, Run


def register(run: Run) -> Done:
    """Run the stage: once a version per model; a repeat with other gates judges the same version anew."""
    facts, store = run.facts("trials")["facts"], ModelStore(run.tracking_uri)
    changes.settle(store, run.model_name)
    card = store.card(facts["mlflow_run_id"])
    evaluation = [row.asDict() for row in run.read("evaluation").collect()]  # bounded: metrics and slices
    version = store.find(run.model_name, "model_uri", facts["model_uri"])
    champion = store.alias(run.model_name)
    verdicts = judge(
        run.pipeline.gates,
        evaluation,
        card.task,
        lambda metric: _against(run, store, version, champion, metric),
        run.pipeline.metrics,
    )
    version = store.register(run.model_name, facts["model_uri"], _tags(run, card, evaluation))
    told = {"owner": run.pipeline.owner or "", "tags": ", ".join(run.pipeline.tags)}
    store.describe(run.model_name, run.pipeline.description or "", told)
    refused = [one.text for one in verdicts if not one.passed]
    store.tag(version, _outcome(verdicts, refused))
    if not refused:
        _promote(run, store, version, verdicts)
    # last of the tags: what carries it is complete
    store.tag(version, {"fingerprint": run.fingerprint})
    return _done(store, version, verdicts, refused)


def _promote(run: Run, store: ModelStore, version: Version, verdicts: list[Verdict]) -> None:
    """Make a version champion, unless it has been: what took its place then, a person's word, stands."""
    if changes.up_to_date(store, version.name).held(version.number):
        return
    why = f"its gates passed ({len(verdicts)} of {len(verdicts)})" if verdicts else "there are no gates"
    changes.move(store, version.name, version.number, "register", why, run_id=run.run_id)


def registered(run: Run) -> Done | None:
    """What an earlier run with this fingerprint brought about."""
    store = ModelStore(run.tracking_uri)
    version = store.find(run.model_name, "fingerprint", run.fingerprint)
    if version is None:
        return None
    verdicts = [Verdict(one["passed"], one["text"]) for one in json.loads(version.tags.get("gates", "[]"))]
    return _done(store, version, verdicts, [one.text for one in verdicts if not one.passed])


def _done(store: ModelStore, version: Version, verdicts: list[Verdict], refused: list[str]) -> Done:
    journal = changes.read(store, version.name)
    is_champion = journal.champion == version.number
    notes = [f"{'passed' if one.passed else 'refused'}: {one.text}" for one in verdicts]
    text = None
    if refused and is_champion and journal.forced:
        notes.append(f"champion all the same: forced by {journal.forced.who} ({journal.forced.why})")
    elif refused:
        now = f"version {journal.champion} stays champion" if journal.champion else "there is no champion"
        text = (
            f"version {version.number} of {version.name} was refused by {len(refused)} of {len(verdicts)} gates "
            f"({now}):\n  " + "\n  ".join(refused)
        )
    elif not is_champion:
        notes.append(_taken(version, journal))
    return Done(
        rows_out=0,
        notes=tuple(notes),
        model={"name": version.name, "version": version.number, "alias": CHAMPION if is_champion else None},
        refused=text,
    )


def _taken(version: Version, journal: changes.Journal) -> str:
    """Why a version that passed its gates is not champion."""
    taken = journal.taken_from(version.number)
    by = f": {taken.action} by {taken.who}{f' ({taken.why})' if taken.why else ''}" if taken else ""
    return (
        f"version {version.number} has been champion and is no more{by}; "
        f"to bring it back: headrace promote FILE.yaml {version.number}"
    )


def _tags(run: Run, card: ModelCard, evaluation: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    trained = run.facts("trials")
    tables = {name: run.version(name) for name in ("training_set", "trials", "evaluation", "test_predictions")}
    overall = [row for row in evaluation if row["slice_column"] is None]
    return {
        "run_id": run.run_id,
        "training_set_version": str((trained.get("inputs") or {}).get("training_set", tables["training_set"])),
        "tables": json.dumps(tables),
        TESTED: json.dumps({row["metric"]: row["value"] for row in overall}),
        INTERVALS: json.dumps({row["metric"]: [row["lower"], row["upper"]] for row in overall}),
        "code": json.dumps(trained.get("code")),
        "search_fingerprint": str(trained.get("fingerprint")),
        "task": card.task,
        "estimator": card.estimator,
        "card": card.to_json()[:50_000],
    }


def _outcome(verdicts: list[Verdict], refused: list[str]) -> dict[str, str]:
    listed = [{"passed": one.passed, "text": one.text[:1000]} for one in verdicts]
    return {"gates": json.dumps(listed), "outcome": "refused" if refused else "passed"}


def _against(
    run: Run, store: ModelStore, version: Version | None, champion: Version | None, metric: str
) -> Difference | str:
    """The new model and the champion on the same test rows."""
    facts = run.facts("trials")["facts"]
    if champion is None:
        return "there is none yet"
    if version and version.number == champion.number:
        return f"version {champion.number} is the champion itself"
    new, old = store.card(facts["mlflow_run_id"]), store.card(champion.run_id)
    test = run.read("training_set").where("split = 'test' and label is not null")
    if (new.task, new.label_type) != (old.task, old.label_type) or (new.task == "binary" and new.labels != old.labels):
        return f"version {champion.number} learned another label ({old.task}, {old.label_type}): nothing to compare"
    try:
        check_columns(old, _types(test))
    except DataError as error:
        return f"version {champion.number} cannot score these rows, for {error.message}"
    keep = [*new.key, "predict_at", "label"]
    ours = predict(store.load(facts["model_uri"]), new, test, keep)
    theirs = predict(store.load(champion.uri), old, test, keep)
    own = own_metric(run.spark, run.pipeline, metric)
    if own:
        sign = 1 if own.larger_is_better else -1
        return Difference(metric, sign * (own.of(ours) - own.of(theirs)))
    return difference(
        ours,
        theirs,
        new.task,
        tuple(dict.fromkeys((*new.labels, *old.labels))),
        [*new.key, "predict_at"],
        metric,
        seed=run.pipeline.search.seed,
    )


def _types(frame: DataFrame) -> dict[str, Any]:
    return {field.name: field.dataType.simpleString() for field in frame.schema}

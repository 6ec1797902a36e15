"""A version of the registered model, its tags, its gates, and the alias, which is moved last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from headrace.errors import ConfigError
from headrace.models import changes
from headrace.models.card import ModelCard
from headrace.models.compiled.admitting import admit
from headrace.models.definitions import digest
from headrace.models.record import DEFINITIONS, EXAMPLE_FILE, PAGE_FILE, RECORD_FILE, page, record_of
from headrace.models.searched import searched
from headrace.models.store import CARD_FILE, CHAMPION, INTERVALS, TESTED, ModelStore
from headrace.models.version import Version
from headrace.registry.against import against
from headrace.registry.gates import Verdict, judge
from headrace.registry.record import example, record, rows_of, stays, trained_on
from headrace.runtime.carried import without_secrets
from headrace.runtime.step import Done, Run


def register(run: Run) -> Done:
    """Run the stage: once a version per model; a repeat with other gates judges the same version anew.

    Raises:
        ConfigError: If the search has not ended, or the evaluation is of another model.
    """
    facts, store = searched(run), ModelStore(run.tracking_uri)
    judged = (run.facts("evaluation").get("facts") or {}).get("model_uri", facts["model_uri"])
    if judged != facts["model_uri"]:
        raise ConfigError(
            "the table evaluation is of another model than that of the last search; run jobs/train.py --from evaluate"
        )
    changes.settle(store, run.model_name)
    card = store.card(facts["mlflow_run_id"])
    evaluation = [row.asDict() for row in run.read("evaluation").collect()]  # bounded: metrics and slices
    version = store.find(run.model_name, "model_uri", facts["model_uri"])
    champion, rows = store.alias(run.model_name), rows_of(run)
    verdicts = judge(
        run.pipeline.gates,
        evaluation,
        str(run.pipeline.training_set.way(card.task) if run.pipeline.training_set else card.task),
        lambda metric: against(run, store, version, champion, rows, metric),
        run.pipeline.metrics,
    )
    content = record(run, card, rows, _metrics(evaluation))
    if version is not None and "fingerprint" in version.tags:  # judged anew: where it comes from stays as it was told
        content |= stays(record_of(store, version), content)
    version = store.register(run.model_name, facts["model_uri"], _tags(run, card, content))
    content |= {"version": version.number, "gates": [asdict(one) for one in verdicts]}
    _carry(store, version, card, content, example(run, card))
    told = {"owner": run.pipeline.owner or "", "tags": ", ".join(run.pipeline.tags)}
    store.describe(run.model_name, run.pipeline.description or "", told)
    admit(store, version, facts["model_uri"], card, lambda: run.read_version("training_set", trained_on(run)))
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


def _metrics(evaluation: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    overall = [row for row in evaluation if row["slice_column"] is None]
    return {row["metric"]: {part: row[part] for part in ("value", "lower", "upper", "rows")} for row in overall}


def _tags(run: Run, card: ModelCard, content: Mapping[str, Any]) -> dict[str, str]:
    trained, metrics = run.facts("trials"), content["metrics"]
    tables = {name: run.version(name) for name in ("training_set", "trials", "evaluation", "test_predictions")}
    return {
        "run_id": run.run_id,
        "training_set_version": str(trained_on(run)),
        "tables": json.dumps(tables),
        TESTED: json.dumps({metric: one["value"] for metric, one in metrics.items()}),
        INTERVALS: json.dumps({metric: [one["lower"], one["upper"]] for metric, one in metrics.items()}),
        "code": json.dumps(trained.get("code")),
        "search_fingerprint": str(trained.get("fingerprint")),
        "task": card.task,
        "estimator": card.estimator,
        "card": CARD_FILE,  # whole, in the version's run
        **({DEFINITIONS: digest(content["definitions"])} if content["definitions"] else {}),
    }


def _carry(
    store: ModelStore, version: Version, card: ModelCard, content: Mapping[str, Any], rows: Mapping[str, Any]
) -> None:
    """Write what the version carries, for commands and for people."""
    text = page(content, card)
    told = {RECORD_FILE: without_secrets(content), EXAMPLE_FILE: rows}
    files = {name: json.dumps(one, indent=1, default=str, ensure_ascii=False) for name, one in told.items()}
    store.log_texts(version.run_id, {**files, PAGE_FILE: text})
    store.describe_version(version, text)


def _outcome(verdicts: list[Verdict], refused: list[str]) -> dict[str, str]:
    longest = max(80, 4_000 // max(1, len(verdicts)) - 40)  # a tag of MLflow's databases holds 5,000 characters
    listed = [{"passed": one.passed, "text": one.text[:longest]} for one in verdicts]
    return {"gates": json.dumps(listed, ensure_ascii=False), "outcome": "refused" if refused else "passed"}

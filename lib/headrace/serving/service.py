"""From the rows of a request to their predictions: looked up, assigned by the strategy, scored, put on record."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from headrace.config.strategies import CHAMPION, Strategy
from headrace.errors import DataError, HeadraceError
from headrace.models.assignment import assigned
from headrace.serving.body import BadRequestError, mistake
from headrace.serving.form import Form, Row
from headrace.serving.inference_log import InferenceLog
from headrace.serving.lookup import Looked, Lookup, fetch
from headrace.serving.metrics import Metrics
from headrace.serving.models import Models, Served, State
from headrace.serving.online.store import OnlineStore, Publish
from headrace.serving.typed import table_of

SHADOW = "shadow"


@dataclass
class Answer:
    """What a row came to."""

    row: Row
    looked: Looked
    role: str
    served: Served
    prediction: Any = None
    probability: Any = None
    features: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """For the client."""
        said = {
            "prediction": self.prediction, "probability": self.probability,
            "model_version": self.served.version.number, "role": self.role,
        }  # fmt: skip
        return said | ({"stale": self.looked.stale} if self.looked.stale else {})


@dataclass(frozen=True)
class Known:
    """What is made of a state of models and a publish, once for all requests."""

    state: State
    publish: Publish | None
    form: Form
    lookup: Lookup | None


class Service:
    """Answers.

    Args:
        models: What scores.
        strategy: Who answers for whom.
        store: Where features are looked up; None: nowhere.
        log: Where answers go on record; None: nowhere.
        metrics: What is counted.
    """

    def __init__(
        self,
        models: Models,
        strategy: Strategy,
        store: OnlineStore | None = None,
        log: InferenceLog | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.models, self.strategy, self.store, self.log = models, strategy, store, log
        self.metrics, self.name = metrics or Metrics(), models.state.champion.version.name
        self.problem: str | None = None
        self._lock, self._renewing = threading.Lock(), threading.Lock()
        self._known = self._learned(self.models.state, self._published())

    @property
    def known(self) -> Known:
        """What there is now."""
        state, known = self.models.state, self._known
        if known.state.roles != state.roles:
            with self._lock:
                known = self._known = self._learned(state, known.publish)
        return known

    def look(self) -> None:
        """See whether something new was published; called now and then, by no request."""
        publish, known = self._published(), self.known
        if (publish and publish.number) != (known.publish and known.publish.number):
            with self._lock:
                self._known = self._learned(self.models.state, publish)

    def answer(self, given: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Answer for rows.

        Raises:
            BadRequestError: If a field is missing, or no such value is allowed.
            HeadraceError: If what is to be looked up cannot be.
        """
        known = self.known
        rows = known.form.rows(given)
        looked = self._looked(known, rows)
        if looked is None:
            known = self._renewed(known)
            rows = known.form.rows(given)
            looked = self._looked(known, rows)
        if looked is None:
            raise HeadraceError("features are being published at this moment; ask again")
        if known.form.computed:
            _computed(known, rows, looked)
        answers = [self._assigned(known, row, one) for row, one in zip(rows, looked, strict=True)]
        for served in dict.fromkeys(id(one.served) for one in answers):
            score([one for one in answers if id(one.served) == served])
        self._count(answers)
        return answers

    def shadow(self, answers: Sequence[Answer]) -> list[Answer]:
        """What a challenger says of rows that have been answered; nobody acts on it."""
        challenger = self.models.state.roles.get(self.strategy.shadow.challenger) if self.strategy.shadow else None
        if challenger is None:
            return []
        shadows = [Answer(one.row, one.looked, SHADOW, challenger) for one in answers if _complete(challenger, one)]
        if shadows:
            score(shadows)
        self.metrics.skipped.labels(self.name, SHADOW).inc(len(answers) - len(shadows))
        self._count(shadows)
        return shadows

    def record(self, request_id: str, answers: Sequence[Answer], start: int = 0) -> None:
        """Put answers on record; never waits."""
        if self.log is not None:
            before, at = self.log.dropped, datetime.now(UTC)
            self.log.put(lambda: [_record(request_id, start + i, at, one) for i, one in enumerate(answers)])
            self.metrics.dropped.inc(self.log.dropped - before)

    def _published(self) -> Publish | None:
        before = self._known.publish if hasattr(self, "_known") else None
        try:
            found = self.store.publish() if self.store else None
        except HeadraceError as error:
            self.problem = error.message
            return before
        self.problem = None
        if found is None and before is not None:
            self.problem = "the online store is empty, and was not; run headrace publish"
            return before
        return found

    def _learned(self, state: State, publish: Publish | None) -> Known:
        key = tuple(self.strategy.entity) or state.champion.card.key
        entity = key if self.strategy.kind in ("canary", "ab") else ()
        others = [one for role, one in state.roles.items() if role != state.main]
        form = Form(state.champion, others, publish, entity, (*key, *state.champion.card.key))
        return Known(state, publish, form, Lookup(form, publish) if publish and form.tables else None)

    def _looked(self, known: Known, rows: Sequence[Row]) -> list[Looked] | None:
        """What is looked up; None where something newer was published."""
        lookup = known.lookup
        if lookup is None or self.store is None:
            return [Looked({}) for _ in rows]
        publish, found = fetch(self.store, rows)
        return [lookup.looked(row, found) for row in rows] if publish.number == lookup.number else None

    def _renewed(self, known: Known) -> Known:
        """What there is since something was published: perhaps for another version, which answers from then on."""
        with self._renewing:
            if self._known is known:  # else another request has done it
                self.models.refresh()
                self.look()
        return self.known

    def _assigned(self, known: Known, row: Row, looked: Looked) -> Answer:
        champion, main = known.state.champion, known.state.main
        if self.strategy.kind not in ("canary", "ab"):
            return Answer(row, looked, main, champion)
        role = assigned(self.strategy, [row.entity[name] for name in known.form.entity], row.at)
        other = known.state.roles.get(role)
        if role == CHAMPION or other is None or not _complete(other, Answer(row, looked, role, other)):
            if role != CHAMPION:
                self.metrics.skipped.labels(self.name, role).inc()
            return Answer(row, looked, main, champion)
        return Answer(row, looked, role, other)

    def _count(self, answers: Sequence[Answer]) -> None:
        counts: dict[tuple[str, str], int] = {}
        for one in answers:
            where = str(one.served.version.number), one.role
            counts[where] = counts.get(where, 0) + 1
            if one.role != SHADOW:
                for table in one.looked.stale:
                    self.metrics.stale.labels(self.name, table).inc()
                for table in one.looked.missing:
                    self.metrics.missing.labels(self.name, table).inc()
        for (version, role), count in counts.items():
            self.metrics.predictions.labels(self.name, version, role).inc(count)


def _computed(known: Known, rows: Sequence[Row], looked: Sequence[Looked]) -> None:
    """Add row features to what was looked up."""
    whole = [one.values | row.given for row, one in zip(rows, looked, strict=True)]
    known.form.derived.add(whole)
    for one, values in zip(looked, whole, strict=True):
        one.values.update({name: values[name] for name in known.form.computed if name in values})


def _value(name: str, one: Answer) -> Any:
    return one.row.given[name] if name in one.row.given else one.looked.values[name]


def _complete(served: Served, one: Answer) -> bool:
    """Whether all features of a version are there: it may take others than the champion."""
    return all(name in one.row.given or name in one.looked.values for name, _ in served.features)


def score(answers: Sequence[Answer]) -> None:
    """Score rows with one version.

    Raises:
        BadRequestError: For a value that its type cannot hold.
    """
    served = answers[0].served
    columns = [[_value(name, one) for one in answers] for name, _ in served.features]
    try:
        table = table_of(served.features, columns)
    except (ValueError, OverflowError, TypeError) as error:  # Arrow's own errors are among these
        raise BadRequestError([mistake(["rows"], f"a value does not fit its type: {error}")]) from error
    try:
        scored = served.scorer.score(table)
    except (DataError, ValueError) as error:  # what the model itself refuses
        told = error.message if isinstance(error, DataError) else str(error)
        raise BadRequestError([mistake(["rows"], told)]) from error
    names = [name for name, _ in served.features]
    results = zip(answers, scored["prediction"].to_pylist(), scored["probability"].to_pylist(), strict=True)
    for number, (one, prediction, probability) in enumerate(results):
        one.prediction = prediction
        one.probability = dict(probability) if isinstance(probability, list) else probability
        one.features = {name: columns[i][number] for i, name in enumerate(names)}


def _record(request_id: str, number: int, at: datetime, one: Answer) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "row": number,
        "at": at,
        "predict_at": one.row.at,
        "model_name": one.served.version.name,
        "model_version": one.served.version.number,
        "role": one.role,
        "acted_on": one.role != SHADOW,
        "entity": one.row.entity,
        "features": one.features,
        "prediction": one.prediction,
        "probability": one.probability,
        "stale": one.looked.stale,
    }

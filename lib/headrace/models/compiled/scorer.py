"""The compiled scorer: Arrow tables of raw feature columns in, predictions in the label's own values out.

Needs neither Spark nor a JVM:

    compiled = Compiled.read(Path("compiled"))
    compiled.score(table)          # prediction, probability; a row for each row of the table
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import DataError
from headrace.models.card import ModelCard
from headrace.models.compiled import boosting, learners, members, stages, trees
from headrace.models.compiled.answers import Answers
from headrace.models.compiled.columns import Frame, arrow_type, column
from headrace.models.compiled.expressions import names
from headrace.models.compiled.stages import Step, Unscorable

FORMAT = 1
PLAN, ARRAYS = "scorer.json", "arrays.npz"
KINDS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Step]] = {
    "sql": stages.sql, "index": stages.index, "hot": stages.hot, "assemble": stages.assemble, "picked": stages.picked,
    "components": stages.components, "times": stages.times, "normal": stages.normal, "spread": stages.spread,
    "rising": stages.rising, "logistic": learners.logistic, "machine": learners.machine, "linear": learners.linear,
    "bayes": learners.bayes, "against_the_rest": learners.against_the_rest, "forest": trees.forest,
    "boosted": trees.boosted, "values": trees.values, "xgboost": boosting.xgboost,
}  # fmt: skip
MADE_OF_OTHERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], members.Build], Step]] = {
    "segments": members.segments,
    "mean": members.mean,
}
Described = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""A step: its kind, what JSON holds of it, and its arrays."""


def step(kind: str, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Step:
    """A step, ready to run."""
    if kind in MADE_OF_OTHERS:
        return MADE_OF_OTHERS[kind](params, arrays, step)
    return KINDS[kind](params, arrays)


class Compiled:
    """A model, ready to score.

    Args:
        card: The model's.
        inputs: Feature columns that are read, in order.
        steps: In order.
        in_spark: Whether it may be computed by Spark's own columns, where it is of that kind (see `native`).

    Raises:
        ValueError: If the model's answers have a type that is not known here.
    """

    def __init__(
        self, card: ModelCard, inputs: Sequence[str], steps: Sequence[Described], in_spark: bool = True
    ) -> None:
        self.card, self.inputs, self.in_spark = card, tuple(inputs), in_spark
        self.types = {name: arrow_type(card.features[name]) for name in inputs}
        self.described = list(steps)
        self._answers = Answers.of(card)
        self._steps = [step(kind, params, arrays) for kind, params, arrays in steps]
        self._used_up = _used_up(steps)

    @property
    def labels(self) -> pa.Array | None:
        """The classes in the label's own values; None of a number."""
        return self._answers.labels

    @property
    def names(self) -> tuple[str, ...]:
        """The classes as text, of more than two."""
        return tuple(self._answers.names)

    @property
    def schema(self) -> pa.Schema:
        """Of what `score` gives: `prediction` and `probability`, as `models.predict` has them."""
        return self._answers.schema

    def score(self, table: pa.Table | pa.RecordBatch) -> pa.Table:
        """Score rows; a pure function.

        Args:
            table: The columns of `inputs`, of the types of the training; others are no matter.

        Returns:
            `prediction` (the label's own type) and `probability` (double of the positive class; multiclass:
            map<string,double>; regression: null double); rows in = rows out, in their order.

        Raises:
            DataError: If a column is missing, or of a type that does not become that of the training.
            Unscorable: If the model itself refuses a row.
        """
        rows = table.num_rows
        if rows == 0:
            return self.schema.empty_table()
        there = {name: place for place, name in enumerate(table.schema.names)}
        frame: Frame = {name: column(self._taken(table, there.get(name), name)) for name in self.inputs}
        with np.errstate(all="ignore"):  # what is no number is NaN, as in Spark
            for run, used_up in zip(self._steps, self._used_up, strict=True):
                run(frame, rows)
                for name in used_up:
                    frame.pop(name, None)
            return self._answers.table(frame, rows)

    def _taken(self, table: pa.Table | pa.RecordBatch, place: int | None, name: str) -> pa.Array:
        wanted = self.types[name]
        if place is None:
            raise DataError(f"the column {name} ({self.card.features[name]}) is missing: the model reads it")
        found = table.column(place)
        if isinstance(found, pa.ChunkedArray):
            found = found.chunk(0) if found.num_chunks == 1 else found.combine_chunks()
        if found.type == wanted:
            return found
        try:
            return found.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{name} is {found.type}, and the model reads {wanted}: {error}") from error

    def files(self) -> dict[str, bytes]:
        """All of it as files: JSON and arrays."""
        told = [[kind, dict(params), sorted(arrays)] for kind, params, arrays in self.described]
        plan = {
            "format": FORMAT, "card": self.card.as_dict(), "inputs": self.inputs, "steps": told, "in_spark": self.in_spark
        }  # fmt: skip
        held = io.BytesIO()
        every = {f"{n}:{name}": one for n, (_, _, arrays) in enumerate(self.described) for name, one in arrays.items()}
        np.savez_compressed(held, **every)
        return {PLAN: json.dumps(plan, indent=1, default=str).encode(), ARRAYS: held.getvalue()}

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Compiled:
        """From `files`."""
        plan = json.loads(files[PLAN])
        if plan["format"] != FORMAT:
            raise ValueError(f"a compiled scorer of format {plan['format']}, and this is {FORMAT}")
        with np.load(io.BytesIO(files[ARRAYS]), allow_pickle=False) as held:
            steps = [
                (kind, params, {name: held[f"{number}:{name}"] for name in arrays})
                for number, (kind, params, arrays) in enumerate(plan["steps"])
            ]
        return cls(ModelCard.from_dict(plan["card"]), plan["inputs"], steps, plan.get("in_spark", False))

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)

    @classmethod
    def read(cls, folder: Path) -> Compiled:
        """From the folder that `save` wrote."""
        return cls.of({name: (Path(folder) / name).read_bytes() for name in (PLAN, ARRAYS)})


def _used_up(steps: Sequence[Described]) -> list[set[str]]:
    """After each step the columns that no later one reads: room that stays in the processor's caches."""
    found, later = list[set[str]](), {"prediction", "probability"}
    for kind, params, _ in reversed(steps):
        named = [params.get("input"), *params.get("inputs", ()), *params.get("margins", ())]
        read = set().union(*map(names, params["make"].values())) if kind == "sql" else {one for one in named if one}
        found.append(read - later)
        later |= read
    return found[::-1]


def answers_of(files: Mapping[str, bytes]) -> pa.Schema:
    """Of what a scorer gives, also of one that cannot be made ready here."""
    return Answers.of(ModelCard.from_dict(json.loads(files[PLAN])["card"])).schema


__all__ = ["Compiled", "Unscorable", "answers_of"]

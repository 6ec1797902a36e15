"""Successive halving: who goes on, by a slow reading of the rule; what a restart knows."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from headrace.config.checks import modelling
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.search.halving import KEPT, Halving, over_iterations, over_rows


@pytest.mark.parametrize("seed", range(20))
def test_who_is_in_the_best_third_of_those_before_goes_on(seed: int) -> None:
    drawn = random.Random(seed)
    losses = [drawn.choice([0.1, 0.2, 0.3, 0.4, 0.5]) for _ in range(30)]
    halving = Halving(over_rows([50_000, 40_000]))
    for number, loss in enumerate(losses, 1):
        seen = sorted(losses[:number])
        worst_kept = seen[math.ceil(number / KEPT) - 1]
        why = halving.lost(0, loss)
        assert (why is None) == (number < KEPT or loss <= worst_kept)
        if why:
            assert f"of {number} trials were better" in why
            assert "11% of the rows" in why


def test_rungs_are_told_apart_and_those_of_an_earlier_run_count() -> None:
    halving = Halving(over_iterations())
    for losses, end in (([0.5, 0.1], 0.05), ([0.4], None), ([0.3, 0.2], None)):
        halving.remember(losses, end)
    assert halving.lost(0, 0.45)  # two of four are allowed, and two are better
    assert halving.lost(1, 0.05) is None
    assert halving.lost(1, 0.15)


def test_hyperopt_is_told_what_a_stopped_trial_would_have_come_to() -> None:
    halving = Halving(over_iterations())
    halving.remember([0.5, 0.4], 0.3)
    halving.remember([0.9, 0.6], None)
    assert halving.expected(0, 0.7) == pytest.approx(0.5)
    for rung, end in ((0.6, 0.5), (0.5, 0.1)):
        halving.ended([rung], end)
    assert halving.expected(0, 0.7) == pytest.approx(0.5)  # 0.1, 0.2 and 0.4 were gained
    assert halving.expected(1, 0.7) == pytest.approx(0.6)
    assert Halving(over_iterations()).expected(0, 0.7) == 0.7


@pytest.mark.parametrize(
    ("rows", "shares"),
    [([20_000], 2), ([9_000], 1), ([5_000], 0), ([20_000, 50], 0), ([20_000, 70], 1), ([20_000, 180], 2)],
)
def test_shares_of_too_few_rows_are_left_out(rows: list[int], shares: int) -> None:
    assert len(over_rows(rows)) == shares


def test_a_trial_that_fails_in_the_end_holds_nobody_back() -> None:
    halving = Halving(over_iterations())
    for _ in range(4):
        assert halving.lost(0, 0.1) is None
    assert halving.lost(0, 0.2)
    for _ in range(4):
        halving.withdraw([0.1])
    assert halving.lost(0, 0.2) is None


YAML = """pipeline: p
tables: {t: {source: {format: csv, path: x.csv}}}
training_set: {from: t, label: "a = 1"}
search: {%s}
"""


def test_what_a_search_cannot_have_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(YAML.replace('label: "a = 1"', "task: clustering") % "pruning: halving")
    with pytest.raises(
        ConfigError, match="halving learns from a share of the rows, which says little of task clustering"
    ):
        read_pipeline(file)
    file.write_text(YAML % "pruning: {hyperband: {over: folds}}")
    with pytest.raises(
        ConfigError, match=r"hyperband over folds needs some; write training_set.split.folds: 5, or over: ro"
    ):
        read_pipeline(file)
    file.write_text(YAML % "algorithm: optuna, pruning: halving")
    read_pipeline(file)
    monkeypatch.setattr(modelling, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"optuna is not installed here: pip install 'headrace\[optuna\]'"):
        read_pipeline(file)


@pytest.mark.parametrize(
    ("written", "kind", "over"),
    [
        ("none", "none", None),
        ("racing", "racing", None),
        ("halving", "halving", "rows"),
        ("{halving: }", "halving", "rows"),
        ("{halving: {over: iterations}}", "halving", "iterations"),
        ("hyperband", "hyperband", "rows"),
        ("{hyperband: {over: folds}}", "hyperband", "folds"),
    ],
)
def test_pruning_is_a_word_or_says_more(tmp_path: Path, written: str, kind: str, over: str | None) -> None:
    file = tmp_path / "p.yaml"
    folds = YAML.replace('"a = 1"', '"a = 1", split: {folds: 3}')
    file.write_text(folds % f"pruning: {written}")
    pruning = read_pipeline(file)[0].search.pruning
    assert (pruning.kind, pruning.over) == (kind, over)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("asha", "'asha' is no way of pruning; allowed: none, racing, halving, hyperband"),
        ("{halving: {}, racing: {}}", "pruning is one of racing, halving, hyperband; this one has racing and halving"),
        ("{hyperband: {over: row}}", "'row' is not one of rows, iterations, folds; did you mean 'rows'"),
        ("{hyperbands: {over: rows}}", "did you mean 'hyperband'"),
    ],
)
def test_what_is_no_pruning_is_told(tmp_path: Path, written: str, says: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(YAML % f"pruning: {written}")
    with pytest.raises(ConfigError, match=says):
        read_pipeline(file)

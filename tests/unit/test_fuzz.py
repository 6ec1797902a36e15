"""A file of anything is a pipeline, or mistakes with their places: never another exception."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.config.file.yamlfile import parse
from headrace.config.reading import read_pipeline
from headrace.config.types import Pipeline
from headrace.errors import ConfigError, Mistake
from tests.support import hooks

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("HEADRACE_FUZZ", "120"))


class Raw(str):
    """Text that is written into the YAML as it is."""


Pairs = list[tuple[Any, Any]]
"""A mapping, which may have a key twice."""


def documented() -> list[str]:
    """Every YAML of a whole pipeline that the repository shows."""
    texts = [(ROOT / "conf" / "flights.yaml").read_text()]
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        texts += re.findall(r"```yaml\n(pipeline:.*?)```", page.read_text(), re.S)
    package = ROOT / "lib" / "headrace"
    return texts + [file.read_text() for file in sorted(package.rglob("*.yaml")) if "pipeline:" in file.read_text()]


def pairs(data: Any) -> Any:
    if isinstance(data, dict):
        return [(key, pairs(value)) for key, value in data.items()]
    return tuple(pairs(item) for item in data) if isinstance(data, list) else data


def written(data: Any, indent: int = 0) -> str:
    """Flow style, an entry per line."""
    if isinstance(data, Raw):
        return data
    if isinstance(data, list):
        inner = ",\n".join(" " * (indent + 1) + f"{written(k)}: {written(v, indent + 1)}" for k, v in data)
        return f"{{\n{inner}\n{' ' * indent}}}"
    if isinstance(data, tuple):
        return f"[{', '.join(written(item, indent + 1) for item in data)}]"
    return json.dumps(data, ensure_ascii=False, default=str)


BASES = [pairs(parse(text, "").data) for text in documented()]
SCALARS = [
    "NO", "on", "1e5", "012", "1_000", "0x1F", ".nan", "-.inf", "1e400", "-0", "2013-02-30", "2013-10-01",
    "9999-12-31T23:59:59-14:00", "12:30", "~", "''", "'é'", "'\\0'", '"\\0"', '"\\ud800"', '"\\u2028"', "!!int x", "!!binary aGk=",
    "!x y", "&a [*a]", "*a", "{<<: 1}", "'1 month'", "'0 days'", "'99999999999999999999 weeks'", "${X}", '"${X}"',
    '"${X:-}"', '"${secret:X}"', "'${'", "'((('", "'a +'", "'`'", "'select 1'", "'(select a from flights)'", "'x -> x'",
    "'a b'", "'/*'", "'*'", "'__'", "'flights'", "'label'", "'%s{}'", "[]", "{}", "[[]]", "[~]", "{a: {b: [c]}}",
    "true", "99999999999999999999999", "'" + "x" * 3000 + "'", "'" + "(" * 500 + "'", "'../../etc/passwd'", "'a:b'",
    "'os:system'", "'s3a://x/y'", "'example:nycflights13/none.csv'", "'/dev/zero'", "'[*?{'",
]  # fmt: skip
scalars = st.one_of(st.sampled_from(SCALARS).map(Raw), st.text(max_size=8), st.integers(), st.floats())
KEYS = ["from", "label", "on", "python", "class", "metric", "by", "tables", "<<", "extends", "x", "", "Flights", "_a"]
steps = st.tuples(
    st.sampled_from(["delete", "duplicate", "rename", "replace", "swap", "wrap", "insert"]),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    scalars,
    st.sampled_from(KEYS),
)


def mutated(data: Any, kind: str, way: list[int], value: Any, key: str) -> Any:
    """Change what stands at the end of a way through the tree."""
    if not isinstance(data, list | tuple) or not data:
        return value
    at = way[0] % len(data)
    here, inner = data[at], data[at][1] if isinstance(data, list) else data[at]
    if len(way) > 1 and isinstance(inner, list | tuple) and inner:
        new = mutated(inner, kind, way[1:], value, key)
        return type(data)([*data[:at], (here[0], new) if isinstance(data, list) else new, *data[at + 1 :]])
    if isinstance(data, tuple):
        put = {"delete": (), "duplicate": (here, here), "insert": (here, value), "wrap": ((here,),)}.get(kind, (value,))
        return (*data[:at], *put, *data[at + 1 :])
    other = data[(at + 1) % len(data)][1]
    entries: dict[str, Pairs] = {
        "delete": [],
        "duplicate": [here, here],
        "rename": [(key, inner)],
        "swap": [(here[0], other)],
        "wrap": [(here[0], (inner,))],
        "insert": [here, (key, value)],
    }
    return [*data[:at], *entries.get(kind, [(here[0], value)]), *data[at + 1 :]]


cuts = st.none() | st.tuples(st.floats(0, 1), st.floats(0, 0.3))


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X", raising=False)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(range(len(BASES))), st.lists(steps, min_size=1, max_size=4), cuts)
def test_a_mutated_pipeline(tmp_path: Path, base: int, changes: list[Any], cut: tuple[float, float] | None) -> None:
    data = BASES[base]
    for change in changes:
        data = mutated(data, *change)
    text = written(data)
    if cut:
        start = int(cut[0] * len(text))
        text = text[:start] + text[start + int(cut[1] * len(text)) :]
    file = tmp_path / "mutated.yaml"
    file.write_bytes(text.encode(errors="surrogatepass"))

    pipeline, mistakes = outcome(file)
    assert isinstance(pipeline, Pipeline) != bool(mistakes)
    for mistake in mistakes:
        assert mistake.file == str(file)
        assert 1 <= (mistake.line or 0) <= text.count("\n") + 1
        assert mistake.message.strip()
        assert len(mistake.message) < 1500


def outcome(file: Path) -> tuple[Pipeline | None, list[Mistake]]:
    try:
        return read_pipeline(file)[0], []
    except ConfigError as error:
        return None, error.mistakes


def test_the_examples_are_valid_as_they_stand(tmp_path: Path) -> None:
    hooks.written(tmp_path)
    for number, base in enumerate(BASES):
        (tmp_path / f"{number}.yaml").write_text(written(base))
        assert isinstance(read_pipeline(tmp_path / f"{number}.yaml")[0], Pipeline)

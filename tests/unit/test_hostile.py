"""Files that mean harm are refused in words, with a place, and quickly."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError

CHURN = """\
pipeline: churn
tables:
  customers: {source: {format: csv, path: data/churn.csv}, key: customer_id}
training_set: {from: customers, label: "churn = 'Yes'"}
"""
LAUGHS = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
LAUGHS += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
MERGES = ["a0: &a0 {x: 1, y: 2}"]
MERGES += [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}, *a{i - 1}], k{i}: 1}}" for i in range(1, 20)]


def refused(file: Path, seconds: float = 5.0) -> str:
    """What is said of a file, which must be said in time."""
    start = time.process_time()
    with pytest.raises(ConfigError) as error:
        read_pipeline(file)
    assert time.process_time() - start < seconds
    assert all(mistake.file == str(file) for mistake in error.value.mistakes)
    return error.value.message


def changed(old: str, new: str) -> str:
    return CHURN.replace(old, new)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CHURN + "search: !!python/object/apply:os.system ['true']\n", "is not allowed; write plain values"),
        (CHURN + "spark: !!binary aGVsbG8=\n", "is not allowed; write plain values"),
        ("\n".join(LAUGHS), "once its anchors are expanded"),
        ("\n".join(MERGES), "once its anchors are expanded"),
        (
            CHURN + f"description: &d {'x' * 100_000}\nspark:\n" + "".join(f"  k{i}: *d\n" for i in range(100)),
            "anchors",
        ),
        ("a: &a {b: *a}", "an anchor that contains itself"),
        ("a: " + "[" * 400 + "]" * 400, "nested more than"),
        ("".join("  " * i + "a:\n" for i in range(300)), "nested more than"),
        (CHURN + "#" + "x" * 600_000, "a configuration is smaller"),
        (CHURN + "<<: [1, 2]\n", "`<<` merges mappings"),
        (changed("churn = 'Yes'", "a + " * 5000 + "1"), "cut it into several columns"),
        (changed("churn = 'Yes'", "(" * 4000 + "1"), "never closed"),
        (changed("data/churn", "data/\0churn"), ":3:48: is no YAML"),
        (changed("data/churn.csv", '"data/\\0churn.csv"'), "control characters"),
        (changed("customers:", '"cust\\0omers":'), "is no name"),
        (b"pipeline: caf\xe9\n", "is not UTF-8"),
        (CHURN.encode("utf-16"), "is not UTF-8"),
        (changed("pipeline: churn", "pipeline: ../../etc"), "is no name"),
        (changed("customers", "../x"), "is no name"),
        (changed("pipeline: churn", 'pipeline: "x; drop table y"'), "is no name"),
        (changed("customer_id", '"a` , (select 1)"'), "is no column"),
        (changed("key:", 'types: {a: "int) or (1=1"}, key:'), "is no type"),
        (CHURN + "scoring: {output: ../../x}\n", "is no name"),
        (CHURN + "scoring: {model: '`; drop'}\n", "is no model"),
        (CHURN + f"search: {{timeout: {'9' * 400} days}}\n", "longer than 1000 years"),
        (CHURN + f"search: {{max_evals: {'9' * 5000}}}\n", "search.max_evals"),
        (CHURN + "gates: [{metric: f1, at_least: .nan}]\n", "finite number"),
        (changed("Yes'\"", "Yes'\", split: {by: time, train_until: 9999-12-31T23:59:59-14:00}"), "is no time"),
        (changed("churn.csv", "\\ud800.csv").replace("data", '"data').replace("csv}", 'csv"}'), "unicode"),
    ],
)
def test_refused_in_words(tmp_path: Path, text: str | bytes, says: str) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)

    assert says in refused(file)


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")

    for name, says in {
        "pipe": "no plain file",
        "folder": "directory",
        "zero": "no plain file",
        "loop": "cannot",
    }.items():
        assert says in refused(tmp_path / f"{name}.yaml", 1.0)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/random", "[*?{", "/x" * 2000, "~nobody/x"])
def test_a_source_that_never_ends_is_not_read(tmp_path: Path, path: str) -> None:
    file = tmp_path / "pipe.yaml"
    file.write_text(changed("data/churn.csv", f'"{path}"'))
    start = time.process_time()

    assert read_pipeline(file)[0].pipeline == "churn"
    assert time.process_time() - start < 2

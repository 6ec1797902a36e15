"""The YAML of a pipeline: what is read from it, and how its mistakes are told."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.config.reading import read_pipeline
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, Mistake

CHURN = """\
pipeline: churn
tables:
  customers: {source: {format: csv, path: data/churn.csv}, key: customer_id}
training_set: {from: customers, label: "churn = 'Yes'"}
"""

FLIGHTS = """\
pipeline: flights
tables:
  flights:
    source: {format: csv, path: /data/flights.csv, options: {nullValue: NA}}
    columns: {departs_at: "make_timestamp(year, month, day, 1, 0, 0)"}
    key: [carrier, flight, departs_at]
    event_time: departs_at
    available_at: arrived_at
    known_early: [carrier, flight]
    rules:
      - {name: plausible, check: "arr_delay between -120 and 2880"}
      - {name: airport, check: "dest in (select faa from airports)", on_fail: warn}
  airports: {source: {format: csv, path: /data/airports.csv}, key: faa}
feature_tables:
  delays:
    from: flights
    entity: carrier
    aggregates:
      - {column: arr_delay, functions: [mean, p90], windows: [3 hours, 1 day]}
training_set:
  from: flights
  predict_at: "departs_at - interval 2 hours"
  label: "arr_delay >= 15"
  features: [delays]
  split: {by: time, train_until: 2013-10-01, validation_until: 2013-11-01, test_until: 2013-12-01}
search: {max_evals: 30, timeout: 4 minutes}
gates: [{metric: areaUnderROC, at_least: 0.70}, {beats: champion}]
"""


def written(folder: Path, text: str | bytes, name: str = "pipe.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def mistakes(path: Path, **given: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read_pipeline(path, **given)  # type: ignore[arg-type]
    return [str(mistake).removeprefix(f"{path.parent}/") for mistake in error.value.mistakes]


def outcome(path: Path, **given: object) -> tuple[Pipeline | None, list[Mistake]]:
    """A pipeline, or its mistakes; any other exception is the test's failure."""
    try:
        return read_pipeline(path, **given)[0], []  # type: ignore[arg-type]
    except ConfigError as error:
        return None, error.mistakes


def test_a_label_and_a_table_make_a_pipeline(tmp_path: Path) -> None:
    pipeline, environment = read_pipeline(written(tmp_path, CHURN))

    assert pipeline.tables["customers"].key == ("customer_id",)
    assert pipeline.training_set is not None
    assert pipeline.training_set.label == "churn = 'Yes'"
    assert environment == Environment()


def test_the_large_one_is_valid(tmp_path: Path) -> None:
    pipeline, _ = read_pipeline(written(tmp_path, FLIGHTS))

    assert pipeline.feature_tables["delays"].aggregates[0].windows == ("3 hours", "1 day")


def test_all_mistakes_at_once_each_with_its_place(tmp_path: Path) -> None:
    text = FLIGHTS.replace("on_fail: warn", "on_fail: wran").replace("max_evals: 30", "max_evals: thirty")
    text = text.replace("entity: carrier", "entty: carrier").replace("[delays]", "[delay]").replace("p90", "p9")

    assert mistakes(written(tmp_path, text)) == [
        "pipe.yaml:12:79 tables.flights.rules[1].on_fail: 'wran' is not one of quarantine, warn, fail; "
        "did you mean 'warn'?",
        "pipe.yaml:17:5 feature_tables.delays.entty: unknown key 'entty'; allowed here: aggregates, describe, "
        "description, entity, every, from, latest, lookup, max_age, owner, publish, shared, tags, time, until; did you mean 'entity'?",
        "pipe.yaml:19:47 feature_tables.delays.aggregates[0].functions[1]: 'p9' is no aggregate; allowed: count, "
        "sum, mean, stddev, min, max, first, last, distinct, approx_distinct, mode, trend, since_last, p01 ... p99",
        "pipe.yaml:24:14 training_set.features[0]: no feature table is called 'delay'; there are: delays; "
        "did you mean 'delays'?",
        "pipe.yaml:26:21 search.max_evals: 'thirty' came; it must be a whole number",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a\n", "the top is a list"),
        ("just words", "the top is 'just words'"),
        (b"pipeline: caf\xe9\n", "byte 0xe9 is not UTF-8"),
        ("a: {b: ${X}}\n", "put the text into quotes"),
        ("a:\n\t b: 1\n", "spaces, not tabs"),
        ("a: [1\n", "is no YAML"),
        ("a: &x [*x]\n", "an anchor that contains itself"),
        ("[" * 3000, "nested more than"),
        ("a: 1\n---\nb: 2\n", "is no YAML"),
    ],
)
def test_what_is_no_configuration_at_all(tmp_path: Path, text: str | bytes, says: str) -> None:
    found = mistakes(written(tmp_path, text))

    assert len(found) == 1
    assert says in found[0]


def test_the_place_of_a_byte_that_is_not_utf8(tmp_path: Path) -> None:
    assert mistakes(written(tmp_path, b"a: 1\npipeline: caf\xe9\n"))[0].startswith("pipe.yaml:2:14:")


def test_a_missing_file(tmp_path: Path) -> None:
    assert "there is no such file" in mistakes(tmp_path / "nope.yaml")[0]


def test_anchors_that_explode_are_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    start = time.monotonic()

    assert "once its anchors are expanded" in mistakes(written(tmp_path, "\n".join(lines)))[0]
    assert time.monotonic() - start < 10


def test_anchors_and_merges_are_allowed(tmp_path: Path) -> None:
    more = "  other: &t {source: {format: csv, path: /x}, key: k}\n  third: {<<: *t, key: z}\n"
    text = CHURN.replace("  customers:", more + "  customers:")
    pipeline, _ = read_pipeline(written(tmp_path, text))

    assert pipeline.tables["third"].key == ("z",)
    assert pipeline.tables["third"].source == pipeline.tables["other"].source


def test_yaml_1_2(tmp_path: Path) -> None:
    options = "{a: NO, b: on, c: 1e5, d: true, e: 012, f: 1_000, g: 12:30}"
    text = CHURN.replace("path: data/churn.csv", f"path: /x, options: {options}")
    pipeline, _ = read_pipeline(written(tmp_path, text))

    wanted = {"a": "NO", "b": "on", "c": 100000.0, "d": True, "e": 12, "f": "1_000", "g": "12:30"}
    assert pipeline.tables["customers"].source.options == wanted


def test_duplicate_keys_and_tags(tmp_path: Path) -> None:
    text = CHURN + "pipeline: other\nsearch: {metric: !!python/object:os.system x}\n"

    assert mistakes(written(tmp_path, text)) == [
        "pipe.yaml:5:1 pipeline: 'pipeline' stands twice, first in line 1; keep one of the two",
        "pipe.yaml:6:18 search.metric: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed; "
        "write plain values",
        "pipe.yaml:6:18 search.metric: 'x' is not a known metric; allowed: areaUnderROC, areaUnderPR, accuracy, f1, "
        "logLoss, weightedPrecision, weightedRecall",
    ]


def test_tables_that_differ_in_case_only(tmp_path: Path) -> None:
    text = CHURN.replace("training_set:", "  Customers: {source: {format: csv, path: x}}\ntraining_set:")

    assert "differs from 'customers' in case only" in mistakes(written(tmp_path, text))[0]


def test_variables_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/lake")
    monkeypatch.delenv("NOT_SET", raising=False)
    text = CHURN.replace("data/churn.csv", '"${WHERE}/${NOT_SET:-x}.csv"').replace("'Yes'", "'$${keep}'")
    pipeline, _ = read_pipeline(written(tmp_path, text))

    assert pipeline.tables["customers"].source.path == "/lake/x.csv"
    assert pipeline.training_set is not None
    assert pipeline.training_set.label == "churn = '${keep}'"


def test_a_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)

    assert mistakes(written(tmp_path, CHURN.replace("data/churn.csv", '"${NOT_SET}/x"'))) == [
        "pipe.yaml:3:43 tables.customers.source.path: the environment variable NOT_SET is not set; set it, or give "
        "a default: ${NOT_SET:-...}"
    ]


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    (here / "data").mkdir(parents=True)
    (here / "data" / "both.csv").touch()
    file = written(tmp_path / "conf", CHURN)
    for name in ("both.csv", "beside.csv"):
        written(tmp_path / "conf" / "data", "", name)
    monkeypatch.chdir(here)

    def path_of(path: str) -> str:
        return read_pipeline(file, sets=[f"tables.customers.source.path={path}"])[0].tables["customers"].source.path

    assert path_of("data/both.csv") == str(here / "data/both.csv")
    assert path_of("data/beside.csv") == str(tmp_path / "conf/data/beside.csv")
    assert path_of("data/nowhere.csv") == str(here / "data/nowhere.csv")
    assert path_of("/abs/x.csv") == "/abs/x.csv"
    assert path_of("s3a://bucket/x.csv") == "s3a://bucket/x.csv"
    assert path_of("example:nycflights13/none.csv") == "example:nycflights13/none.csv"


def test_set_replaces_values(tmp_path: Path) -> None:
    sets = ["search.max_evals=5", "tables.flights.rules[0].on_fail=fail", "scoring.model=3", "search.metric=f1"]
    pipeline, _ = read_pipeline(written(tmp_path, FLIGHTS), sets=sets)

    assert pipeline.search.max_evals == 5
    assert pipeline.tables["flights"].rules[0].on_fail == "fail"
    assert pipeline.scoring.model == "3"
    assert pipeline.search.metric == "f1"


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("search.max_evls=5", "--set search.max_evls=5: search.max_evls: unknown key 'max_evls'"),
        ("search.max_evals=many", "--set search.max_evals=many: search.max_evals: 'many' came"),
        ("tables.flights.rules[7].on_fail=warn", "has 2 entries"),
        ("pipeline.x=1", "pipeline is 'flights', not a mapping"),
        ("nothing", "'nothing' is no setting"),
        ("=3", "'=3' is no setting"),
        ("search.metric={", "is no YAML"),
    ],
)
def test_mistakes_point_to_the_flag(tmp_path: Path, flag: str, says: str) -> None:
    found = mistakes(written(tmp_path, FLIGHTS), sets=[flag])

    assert len(found) == 1
    assert found[0].startswith(f"--set {flag}:")
    assert says in found[0]


def test_an_overlay_changes_where_things_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "p", CHURN)
    written(tmp_path / "p" / "env", "{prefix: dev_, spark: {spark.executor.memory: 8g}}", "dev.yaml")
    written(tmp_path / "conf" / "env", "master: yarn", "prod.yaml")

    assert read_pipeline(file, "dev")[1] == Environment(prefix="dev_", spark={"spark.executor.memory": "8g"})
    assert read_pipeline(file, "prod")[1] == Environment(master="yarn")
    assert "there are: dev, prod; did you mean 'prod'?" in mistakes(file, env="prd")[0]
    assert "no environment is called '../x'" in mistakes(file, env="../x")[0]


def test_mistakes_of_both_files_are_told(tmp_path: Path) -> None:
    file = written(tmp_path, CHURN.replace("label", "lable"))
    written(tmp_path / "env", "label: x\n", "dev.yaml")

    found = mistakes(file, env="dev")
    assert [text.split(":")[0] for text in found] == ["env/dev.yaml", "pipe.yaml"]


def test_120_lines_are_validated_below_a_second_without_spark(tmp_path: Path) -> None:
    rules = "".join(f'      - {{name: rule_{i}, check: "x_{i} between {i} and 2 * (y + {i})"}}\n' for i in range(100))
    file = written(tmp_path, FLIGHTS.replace("    rules:\n", "    rules:\n" + rules))
    program = textwrap.dedent(
        f"""
        import sys, time
        start = time.process_time()
        from headrace.config.reading import read_pipeline
        read_pipeline({str(file)!r})
        heavy = [name for name in ("pyspark", "pandas", "numpy", "mlflow") if name in sys.modules]
        print(heavy, time.process_time() - start)
        """
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)

    heavy, _, seconds = answer.stdout.strip().rpartition(" ")
    assert heavy == "[]"
    assert float(seconds) < 1.0


LINES = FLIGHTS.splitlines()
EDITS = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, len(FLIGHTS) - 1), st.integers(1, 40).map(str)),
    st.tuples(st.just("put"), st.integers(0, len(FLIGHTS) - 1), st.text(max_size=6)),
    st.tuples(
        st.just("put"),
        st.integers(0, len(FLIGHTS) - 1),
        st.sampled_from(["\n", " ", "{", "}", "[", "]", ": ", "- ", "&a ", "*a", "null", "!", "${A}", "'", '"', "|"]),
    ),
    st.tuples(st.just("drop line"), st.integers(0, len(LINES) - 1), st.just("")),
    st.tuples(st.just("value"), st.integers(0, len(LINES) - 1), st.sampled_from(["", " 3", " [1]", " {a: b}", " ~"])),
)


def edited(text: str, edits: list[tuple[str, int, str]]) -> str:
    for kind, at, what in edits:
        lines = text.splitlines()
        if kind == "cut":
            text = text[:at] + text[at + int(what) :]
        elif kind == "put":
            text = text[:at] + what + text[at:]
        elif kind == "drop line":
            text = "\n".join(lines[:at] + lines[at + 1 :])
        elif at < len(lines):
            lines[at] = lines[at].partition(":")[0] + ":" + what
            text = "\n".join(lines)
    return text


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_a_mutated_file_is_a_pipeline_or_a_config_error(tmp_path: Path, edits: list[tuple[str, int, str]]) -> None:
    file = tmp_path / "mutated.yaml"
    file.write_bytes(edited(FLIGHTS, edits).encode(errors="surrogatepass"))
    pipeline, told = outcome(file)

    assert isinstance(pipeline, Pipeline) != bool(told)
    assert all(mistake.message and (mistake.file or mistake.where) for mistake in told)


SECTIONS = ["tables", "feature_tables", "training_set", "search", "gates", "scoring", "monitoring", "spark", "pipeline"]
VALUES = ["", "~", "[]", "{}", "1", "[[1]]", "{a: {b: c}}", "text", "[{a: 1}, 2]", "-.inf", "2013-13-45", "{1: 2}"]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", VALUES)
def test_any_value_for_any_section(tmp_path: Path, section: str, value: str) -> None:
    pipeline, told = outcome(written(tmp_path, FLIGHTS), sets=[f"{section}={value}"])

    assert isinstance(pipeline, Pipeline) != bool(told)

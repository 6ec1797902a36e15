"""Secrets: what may be used and never be seen."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import launch
from headrace.runtime.spark_errors import translated
from tests.unit.test_config_reading import mistakes, written

VALUE = "s3cr3t & p@ss/word"
YAML = """\
pipeline: shop
tables:
  orders:
    source:
      format: csv
      path: orders.csv
      options: {url: "jdbc:postgresql://me:${secret:SHOP_PW}@db:5432/shop", password: "${secret:SHOP_PW}"}
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test knows no secrets of the others."""
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setattr(secrets, "_pattern", [])
    monkeypatch.setenv("SHOP_PW", VALUE)


def test_the_configuration_keeps_the_reference_and_the_user_of_an_option_gets_the_value(tmp_path: Path) -> None:
    pipeline, _ = read_pipeline(written(tmp_path, YAML))
    options = pipeline.tables["orders"].source.options

    assert VALUE not in pipeline.model_dump_json() + repr(pipeline)
    assert options["password"] == "${secret:SHOP_PW}"
    assert secrets.revealed({**options, "header": True, "sep": None}) == {
        "url": f"jdbc:postgresql://me:{VALUE}@db:5432/shop",
        "password": VALUE,
        "header": "true",
    }


def test_a_file_named_by_the_variable_holds_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pw").write_text("from a file\n")
    monkeypatch.delenv("SHOP_PW")
    monkeypatch.setenv("SHOP_PW_FILE", str(tmp_path / "pw"))

    assert secrets.reveal("<${secret:SHOP_PW}>") == "<from a file>"


def test_what_is_not_set_and_where_no_secret_may_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_PW")
    text = YAML.replace("pipeline: shop\n", "pipeline: shop\ndescription: '${secret:OTHER}'\n")
    text = text.replace('password: "${secret:SHOP_PW}"', 'password: "${secret:}"')

    assert mistakes(written(tmp_path, text)) == [
        "pipe.yaml:2:14 description: ${secret:OTHER} cannot stand here; secrets belong into `options`, a source's `url`, "
        "`user`, `password`, into `spark`, `on_failure`, and `mlflow` of an overlay (--env)",
        "pipe.yaml:8:22 tables.orders.source.options.url: the secret SHOP_PW is not set; set the environment "
        "variable SHOP_PW, or let SHOP_PW_FILE name a file that holds it",
        "pipe.yaml:8:87 tables.orders.source.options.password: ${secret:} names no secret; write ${secret:NAME}, "
        "with letters, digits and _",
    ]


@pytest.mark.parametrize("place", ["/no/such/file", "/", "\0"])
def test_a_file_that_cannot_be_read_is_a_mistake(place: str) -> None:
    with pytest.raises(ConfigError, match="PW_FILE"):
        secrets.value_of("PW", {"PW_FILE": place})


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("password: hunter22", "write ${secret:PASSWORD}, and set PASSWORD where the job runs"),
        ("password: 123456", "a secret stands here in plain text"),
        ("sslKeyPassword: hunter22", "write ${secret:SSLKEYPASSWORD}"),
        ("url: 'jdbc:postgresql://me:hunter22@db/shop'", "a password stands in this text"),
        ("url: 'jdbc:mysql://db/shop?user=me&password=hunter22'", "a password stands in this text"),
        ("kafka.sasl.jaas.config: 'x.Plain required password=\"hunter22\";'", "a password stands in this text"),
    ],
)
def test_a_secret_in_plain_text_is_a_mistake_that_does_not_repeat_it(tmp_path: Path, option: str, says: str) -> None:
    text = YAML.replace(YAML[YAML.index("options:") :], f"options:\n        {option}\n")

    (told,) = mistakes(written(tmp_path, text))

    assert told.startswith("pipe.yaml:8:")
    assert says in told
    assert "hunter22" not in told
    assert "123456" not in told


@pytest.mark.parametrize(
    "option",
    [
        "url: 'jdbc:postgresql://db:5432/shop?user=me&ssl=true'",
        "url: 'jdbc:postgresql://me@db:5432/shop'",
        "url: 'jdbc:x://db/shop;password=${secret:SHOP_PW};y=1'",
        "query: \"select * from users where token = 'x'\"",
        "tokenizer: words",
        "password: ''",
        "useToken: true",
    ],
)
def test_what_only_looks_like_a_secret_is_none(tmp_path: Path, option: str) -> None:
    read_pipeline(written(tmp_path, YAML.replace(YAML[YAML.index("options:") :], f"options:\n        {option}\n")))


def test_a_flag_that_holds_a_secret_is_not_repeated(tmp_path: Path) -> None:
    (told,) = mistakes(written(tmp_path, YAML), sets=["tables.orders.source.options.password=hunter22"])

    assert told.startswith("--set tables.orders.source.options.password=***: tables.orders.source.options.password: ")
    assert "hunter22" not in told


def test_every_form_of_a_secret_that_was_read_is_redacted() -> None:
    multiline = "-----BEGIN KEY-----\nabcdefgh/ijkl\n-----END KEY-----"
    texts = [VALUE, json.dumps(VALUE), repr(VALUE), "s3cr3t%20%26%20p%40ss%2Fword", "s3cr3t+%26+p%40ss%2Fword"]
    before = secrets.redacted(VALUE)

    secrets.value_of("SHOP_PW")
    secrets.value_of("KEY", {"KEY": multiline})
    secrets.value_of("SHORT", {"SHORT": "ab"})

    assert before == VALUE
    assert [secrets.redacted(f"<{text}>").count("***") for text in texts] == [1] * 5
    assert "abcdefgh" not in secrets.redacted(" ".join(multiline.split())) + secrets.redacted("at abcdefgh/ijkl")
    assert secrets.redacted("ab cab 'ab'") == "*** cab '***'"


def test_errors_lose_it_also_those_that_hide_it_in_their_cause() -> None:
    secrets.value_of("SHOP_PW")
    told = translated(HeadraceError(f"no such url {VALUE}"), "ingest")
    try:
        try:
            raise ValueError(f"charset {VALUE}")
        except ValueError as cause:
            raise KeyError("options") from cause
    except KeyError as error:
        hidden = translated(error, "ingest")
        held = secrets.held_by(error)

    assert str(told) == "no such url ***"
    assert held
    assert str(hidden) == "ingest: KeyError: 'options'"
    assert not secrets.held_by(hidden)


def test_a_guarded_stream_redacts_and_is_otherwise_itself() -> None:
    secrets.value_of("SHOP_PW")
    stream = io.StringIO()
    guarded = secrets.Guarded(stream)

    print("a", VALUE, "b", file=guarded)  # type: ignore[arg-type]

    assert stream.getvalue() == "a *** b\n"
    assert not guarded.isatty()


def test_settings_of_spark_with_secrets_are_in_memory_only(tmp_path: Path) -> None:
    plain = launch._properties(tmp_path, {"spark.a": "1"})
    hidden = launch._properties(tmp_path, {"spark.hadoop.fs.s3a.secret.key": "${secret:SHOP_PW}"})

    assert plain.read_text() == "spark.a=1\n"
    assert hidden.read_text() == hidden.read_text() == f"spark.hadoop.fs.s3a.secret.key={VALUE}\n"
    assert [VALUE in path.read_text() for path in tmp_path.rglob("*.conf")] == [False]

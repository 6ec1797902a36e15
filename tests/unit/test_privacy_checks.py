"""Sensitive columns, sinks and personal names, as far as the YAML alone tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.clean.inference import ColumnProfile
from headrace.cli.profiling.facts import ColumnFacts
from headrace.cli.profiling.personal import personal
from headrace.config.reading import read_pipeline
from headrace.config.types import Table
from headrace.errors import ConfigError
from headrace.ingest.privacy import refuse_in_paths

BASE = """
pipeline: shop
tables:
  people:
    source: {format: parquet, path: s3a://x/people}
    columns: {domain: "substr(email, 3)"}
    key: id
    event_time: at
    sensitive: %s
feature_tables:
  facts: {from: people, entity: id, lookup: [%s]}
training_set: {from: people, label: "bought = 1", features: [facts], row_features: {f: "%s"}%s}
sinks:
  out: {from: %s, format: parquet, path: out}
"""


def read(tmp_path: Path, *parts: str) -> list[str]:
    given = [*parts, *("email", "age", "age + 1", "", "predictions")[len(parts) :]]
    file = tmp_path / "p.yaml"
    file.write_text(BASE % tuple(given))
    try:
        read_pipeline(file)
    except ConfigError as error:
        return [f"{m.where}: {m.message}" for m in error.mistakes]
    return []


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (("email",), []),
        (("[email]",), []),
        (("{email: mask, ssn: drop}",), []),
        (("{email: encrypt}",), ["tables.people.sensitive.email: 'encrypt' is not one of hash, mask, drop"]),
        (("{id: drop}",), ["tables.people.sensitive.id: 'id' is dropped, and the table needs it"]),
        (("{id: mask}",), ["tables.people.sensitive.id: a mask makes different values equal"]),
        (("email", "domain"), ["feature_tables.facts.lookup[0]: 'domain' is sensitive, and would become a feature"]),
        (("email", "age", "length(email)"), ["training_set.row_features.f: 'email' is sensitive"]),
        (("email", "age", "length(email)", ", allow_sensitive: [email]"), []),
        (("email", "age", "1", ", allow_sensitive: [age]"), ["training_set.allow_sensitive[0]: 'age' is not sensitive"]),
        (("email", "age", "1", "", "predictons"), ["sinks.out.from: 'predictons' is neither"]),
        (("email", "age", "1", "", "people"), ["sinks.out.from: 'people' is neither"]),
        (("email", "age", "1", "", "facts"), []),
    ],
)  # fmt: skip
def test_what_the_file_alone_gives_away(tmp_path: Path, parts: tuple[str, ...], told: list[str]) -> None:
    found = read(tmp_path, *parts)
    assert len(found) == len(told), found
    for one, wanted in zip(found, told, strict=True):
        assert one.startswith(wanted), found


@pytest.mark.parametrize(
    ("sink", "told"),
    [
        (
            "{from: predictions, format: kafka, options: {topic: t}}",
            "a sink of Kafka needs options.kafka.bootstrap.servers",
        ),
        (
            "{from: predictions, format: kafka, options: {topic: t, kafka.bootstrap.servers: h, kafka.acks: 1}}",
            "decided by the delivery",
        ),
        (
            "{from: predictions, format: kafka, options: {topic: t, kafka.bootstrap.servers: h, kafka.ssl.truststore.location: x}}",
            "for clients in Java",
        ),
        ("{from: predictions, format: kafka, options: {topic: 'a b', kafka.bootstrap.servers: h}}", "is no topic"),
        (
            "{from: predictions, format: kafka, options: {topic: t, kafka.bootstrap.servers: h, acks: 1}}",
            "has no option 'acks'",
        ),
        ("{from: predictions, format: jdbc, options: {url: 'jdbc:x:y'}}", "a JDBC sink needs options.dbtable"),
        ("{from: predictions, format: parquet}", "needs `path`"),
        ("{from: predictions, format: jdbc, options: {url: 'jdbc:x:y', dbtable: t, password: abc}}", "plain text"),
        ("{from: predictions, format: jdbc, options: {url: 'jdbc:x:y', dbtable: t, truncate: true}}", "decided by"),
    ],
)
def test_sinks_that_cannot_be(tmp_path: Path, sink: str, told: str) -> None:
    text = BASE % ("email", "age", "1", "", "predictions")
    (tmp_path / "p.yaml").write_text(text.replace("{from: predictions, format: parquet, path: out}", sink))
    with pytest.raises(ConfigError, match=told):
        read_pipeline(tmp_path / "p.yaml")


def test_a_folder_named_after_a_sensitive_value_is_refused() -> None:
    source = {"format": "parquet", "path": "s3a://x/people"}
    table = Table.model_validate({"source": source, "sensitive": ["email"]})
    refuse_in_paths("people", table, ["s3a://x/people/country=DE/1.parquet"])
    with pytest.raises(ConfigError, match="folders named after values of email"):
        refuse_in_paths("people", table, ["s3a://x/people/Email=ada%40x.org/1.parquet"])


def test_a_key_in_the_file_is_refused(tmp_path: Path) -> None:
    text = BASE % ("email", "age", "1", "", "predictions")
    (tmp_path / "p.yaml").write_text(text + "privacy: {key: not-a-secret-at-all}\n")
    with pytest.raises(ConfigError, match=r"privacy.key: a key does not stand in a file"):
        read_pipeline(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("name", "examples", "kind"),
    [
        ("email", (), "e-mail address"),
        ("customer_email", (), "e-mail address"),
        ("contact", ("a@b.org", "c@d.de"), "e-mail address"),
        ("contact", ("a@b.org", "none"), None),
        ("phone_number", (), "telephone number"),
        ("last_name", (), "name of a person"),
        ("name", (), None),
        ("product_name", (), None),
        ("emailed", (), None),
        ("ssn", (), "social security or tax number"),
        ("amount", ("1",), None),
    ],
)
def test_names_that_look_like_persons_data(name: str, examples: tuple[str, ...], kind: str | None) -> None:
    assert personal(ColumnFacts(name, name, "string", ColumnProfile(name, 1), examples=examples)) == kind

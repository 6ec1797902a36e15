"""Sensitive columns: no table ever holds what came, hashes are HMAC-SHA256, and none becomes a feature by itself."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from headrace.config import secrets
from headrace.errors import ConfigError
from headrace.ingest.privacy import protected
from tests.support.runs import Project
from tests.support.searching import holding

pytestmark = pytest.mark.usefixtures("interpreted")

KEY = "a key of more than sixteen bytes"
YAML = """
pipeline: shop
tables:
  people:
    source: {format: csv, path: people}
    key: id
    sensitive: {email: hash, name: mask, ssn: drop}
    rules: [{name: old, check: "age > 17"}]
"""
PEOPLE = "id,email,name,ssn,age\n1,ada@x.org,Ada L. 7é,111-11,36\n2,,Bob,222-22,15\n3,ada@x.org,,333-33,50\n"
BROKEN = "4,eve@x.org,Eve,444-44,20,surplus\n"
PLAIN = ("ada@x.org", "Ada L.", "111-11", "222-22", "eve@x.org", "444-44", KEY)


def expected(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def shop(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setattr(secrets, "_pattern", [])
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", KEY)
    scratch.write("people/1.csv", PEOPLE + BROKEN)
    return scratch


def test_no_file_holds_what_came_and_rows_can_still_be_told_apart(shop: Project) -> None:
    shop.run(YAML)
    ada = expected("ada@x.org")
    assert shop.rows("people", "id", "email", "name", "age") == [(1, ada, "Xxx*X**nx", 36), (3, ada, None, 50)]
    assert shop.rows("people_quarantine", "id", "email", "name", "_reasons")[0] == ("2", None, "Xxx", ["old"])
    assert "ssn" not in shop.table("raw_people").columns
    [broken] = shop.table("raw_people").where("_corrupt is not null").collect()
    assert (broken["_corrupt"][:10], broken["id"], broken["email"], broken["age"]) == ("(withheld:", None, None, None)
    for text in PLAIN:
        assert holding(shop.folder / "home", text) == [], text


def test_another_key_reads_all_anew_and_a_key_that_can_be_guessed_is_refused(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run(YAML, only="ingest")
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", KEY[::-1])
    shop.write("people/2.csv", "id,email,name,ssn,age\n9,ada@x.org,Z,1,40\n")
    shop.run(YAML)
    assert len({row[0] for row in shop.rows("people", "email")}) == 1  # one key for all of them
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", "short")
    shop.write("people/3.csv", "id,email,name,ssn,age\n10,a@x.org,Z,1,40\n")
    with pytest.raises(ConfigError, match="has 5 bytes"):
        shop.run(YAML)


def test_what_has_landed_in_plain_or_is_misspelt_is_told(shop: Project) -> None:
    plain = YAML.replace("email: hash, ", "")
    shop.run(plain, only="ingest")
    found = holding(shop.folder / "home", "ada@x.org")  # so the search of the first test could find it
    assert [path for path in found if path.endswith(".parquet")], found
    with pytest.raises(ConfigError, match=r"raw_people holds email as it came"):
        shop.run(YAML, only="ingest")
    with pytest.raises(ConfigError, match="emial"):
        shop.run(YAML.replace("email: hash", "emial: hash"), only="ingest")


def test_what_landed_in_plain_is_not_made_anew_in_plain(shop: Project) -> None:
    shop.run(YAML.replace("email: hash, ", ""), to="clean")
    with pytest.raises(ConfigError, match=r"raw_people holds email as it came"):
        shop.run(YAML.replace("age > 17", "age > 16"), only="validate")


def test_rescued_rows_keep_what_has_a_place(shop: Project) -> None:
    shop.write("people/1.csv", PEOPLE)
    rescuing = YAML.replace("path: people}", "path: people, on_drift: rescue}")
    shop.run(rescuing)
    shop.write("people/2.csv", PEOPLE.replace("id,", "coupon,id,").replace("\n1,", "\nc,11,").replace("\n2,", "\nc,12,")
               .replace("\n3,", "\nc,13,"))  # fmt: skip
    shop.run(rescuing)
    assert [row[:2] for row in shop.rows("people", "id", "email") if row[0] > 9] == [
        (11, expected("ada@x.org")),
        (13, expected("ada@x.org")),
    ]
    assert holding(shop.folder / "home", "ada@x.org") == []


def test_a_folder_named_after_a_value_is_refused_however_its_name_is_written(shop: Project) -> None:
    yaml = YAML.replace("email: hash, name: mask, ssn: drop", "e_mail: hash").replace("path: people", "path: mails")
    shop.write("mails/E-Mail=ada@x.org/1.csv", "id,age\n1,20\n")
    with pytest.raises(ConfigError, match="lie in folders named after values of e_mail"):
        shop.run(yaml, only="ingest")


def test_hashes_are_those_of_python_whatever_the_value_and_the_key(scratch: Project) -> None:
    values = ["", " ", "a", "é", "日本", "x" * 200, "\x00", "a|b", None]
    frame = scratch.spark.createDataFrame([(i, v) for i, v in enumerate(values)], "n int, v string")
    for key in (b"k" * 16, b"k" * 64, bytes(range(256)) * 3):
        found = protected(frame, {"v": "hash"}, key, "t").orderBy("n")
        assert found.columns == ["n", "v"]
        assert [row["v"] for row in found.collect()] == [
            None if v is None else hmac.new(key, v.encode(), hashlib.sha256).hexdigest() for v in values
        ]
        plan = found._jdf.queryExecution().toString()
        assert key[:16].hex() not in plan.lower().replace(" ", "")
        assert bytes(b ^ 0x36 for b in key[:16]).hex() not in plan.lower()
    numbers = scratch.spark.sql("select 7L a, array(1, 2) b, cast(null as double) c")
    [row] = protected(numbers, {"a": "hash", "b": "hash", "c": "hash"}, b"k" * 16, "t").collect()
    told = [hmac.new(b"k" * 16, v, hashlib.sha256).hexdigest() for v in (b"7", b"[1,2]")]
    assert list(row) == [*told, None]


def test_a_sensitive_column_is_there_for_slices_and_is_no_feature(shop: Project) -> None:
    header = "id,group,age,bought\n"
    shop.write("rows.csv", header + "".join(f"{i},{'ab'[i % 2]},{i % 50},{int(i % 3 == 0)}\n" for i in range(200)))
    yaml = """
pipeline: fair
tables:
  rows: {source: {format: csv, path: rows.csv}, key: id, sensitive: [group], columns: {group_2: "concat(group, 'x')"}}
training_set: {from: rows, label: "bought = 1"}
"""
    outcome = shop.run(yaml, to="training_set")
    table = shop.table("training_set")
    assert {"group", "group_2", "age"} <= set(table.columns)
    assert {row[0] for row in table.select("group").collect()} == {expected("a"), expected("b")}
    facts = next(d.outputs[0].facts for d in outcome.done if d.outputs and d.outputs[0].table == "training_set")
    assert facts["features"] == ["age"]
    shop.run(yaml.replace('1"}', '1", allow_sensitive: [group]}'), to="training_set")

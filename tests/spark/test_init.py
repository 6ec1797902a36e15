"""`headrace init`: from a small file to a YAML that is valid and says why."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from headrace.cli.drafting.job import write
from headrace.cli.drafting.outfile import check_out
from headrace.cli.profiling.facts import Request
from headrace.config.reading import read_pipeline
from headrace.config.types import Pipeline
from headrace.errors import ConfigError, DataError


def csv(folder: Path, rows: list[dict[str, object]], name: str = "churn.csv", sep: str = ",") -> str:
    lines = [sep.join(rows[0])] if rows else []
    lines += [sep.join("" if value is None else str(value) for value in row.values()) for row in rows]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def churn(number: int = 200) -> list[dict[str, object]]:
    rng = random.Random(1)
    rows: list[dict[str, object]] = []
    for i in range(number):
        left = rng.random() < 0.3
        rows.append(
            {
                "customerID": f"C{i:05d}",
                "Tenure (months)": rng.randrange(72),
                "Plan": rng.choice(["basic", "gold", "pro"]),
                "TotalCharges": "NA" if i % 20 == 0 else f"{rng.random() * 100:.2f}",
                "Zip": f"{rng.randrange(30):05d}",
                "country": "DE",
                "left_on": "2024-01-05" if left else None,
                "Churn?": "Yes" if left else "No",
            }
        )
    return rows


def made(spark: SparkSession, request: Request, out: Path) -> tuple[str, Pipeline]:
    write(spark, request, str(out))
    pipeline, _ = read_pipeline(out)
    return out.read_text(encoding="utf-8"), pipeline


def test_binary(spark: SparkSession, tmp_path: Path) -> None:
    text, pipeline = made(spark, Request(csv(tmp_path, churn()), "churn?"), tmp_path / "out.yaml")

    table, training = pipeline.tables["churn"], pipeline.training_set
    assert training is not None
    assert (training.label, training.task, training.split.by) == ("churn = 'Yes'", "binary", "hash")
    assert table.key == ("customerid",)
    assert table.source.options == {"nullValue": "NA"}
    assert table.types == {
        "customerid": "string",
        "tenure_months": "bigint",
        "plan": "string",
        "totalcharges": "double",
        "zip": "string",
        "country": "string",
        "left_on": "date",
        "churn": "string",
    }
    assert training.exclude == ("country", "left_on")
    assert "- country  # has one value only" in text
    assert "- left_on  # LEAK? it is filled only for some values of the label" in text
    assert "'Tenure (months)' in the file" in text
    assert "positive: the rarer value" in text
    assert pipeline.search.timeout == "3 minutes"


def test_multiclass_with_another_separator_and_marks_of_two_kinds(spark: SparkSession, tmp_path: Path) -> None:
    rng = random.Random(2)
    rows: list[dict[str, object]] = [
        {
            "Größe": rng.choice(["?", "1", "2", "3"]),
            "amount": "-" if i % 9 == 0 else "n/a" if i % 7 == 0 else f"{rng.randrange(10)}.5",
            "visits": f"{rng.randrange(1, 9)},{rng.randrange(1000):03d}",
            "copy of species": "abc"[i % 3],
            "end": ["setosa", "virginica", "versicolor"][i % 3],
        }
        for i in range(150)
    ]
    request = Request(csv(tmp_path, rows, "iris 2.csv", ";"), "end", name="Iris")
    text, pipeline = made(spark, request, tmp_path / "out.yaml")

    table, training = pipeline.tables["iris"], pipeline.training_set
    assert training is not None
    assert (training.task, training.label) == ("multiclass", "`end`")
    assert table.source.options == {"sep": ";", "nullValue": "?"}
    assert table.columns["visits"] == "cast(replace(visits, ',', '') as double)"
    assert "not in ('n/a', '-')" in table.columns["amount"]
    assert training.exclude == ("copy_of_species",)
    assert "LEAK? its values tell the label in 100.0% of the rows" in text
    assert "# key: none was found" in text


def test_regression_split_by_time(spark: SparkSession, tmp_path: Path) -> None:
    rng = random.Random(3)
    start = datetime(2024, 1, 1)
    rows: list[dict[str, object]] = []
    for i in range(200):
        price = rng.random() * 1000
        rows.append(
            {
                "sold_at": f"{start + timedelta(hours=6 * i):%Y-%m-%d %H:%M:%S}",
                "rooms": rng.randrange(1, 9),
                "price_in_cents": round(price * 100, 3),
                "price": round(price, 5),
            }
        )
    text, pipeline = made(spark, Request(csv(tmp_path, rows, "homes.csv"), "price"), tmp_path / "out.yaml")

    training = pipeline.training_set
    assert training is not None
    assert (training.task, training.label, training.exclude) == ("regression", "price", ("price_in_cents",))
    assert pipeline.tables["homes"].event_time == "sold_at"
    assert (training.split.train_until, training.split.validation_until, training.split.test_until) == tuple(
        datetime.fromisoformat(f"2024-{day}T00:00:00+00:00") for day in ("02-04", "02-12", "02-20")
    )
    assert "its correlation with the label is 1.00000" in text


def test_times_in_another_form(spark: SparkSession, tmp_path: Path) -> None:
    start = datetime(2024, 1, 1)
    rows: list[dict[str, object]] = [
        {"day": f"{start + timedelta(days=i):%d.%m.%Y}", "x": i * 37 % 11, "y": i * 7 % 2} for i in range(100)
    ]
    request = Request(csv(tmp_path, rows, "days.csv"), "Y", event_time="Day", key=("day",))
    _, pipeline = made(spark, request, tmp_path / "out.yaml")

    table = pipeline.tables["days"]
    assert table.columns == {"day": "to_date(day, 'dd.MM.yyyy')"}
    assert table.event_time == "day"


def test_parquet_keeps_its_types(spark: SparkSession, tmp_path: Path) -> None:
    data = str(tmp_path / "events.parquet")
    frame = spark.range(100).selectExpr("id as event_id", "id % 7 as n", "array(id) as list", "id % 3 = 0 as hit")
    frame.write.parquet(data)
    text, pipeline = made(spark, Request(data, "hit"), tmp_path / "out.yaml")

    training = pipeline.training_set
    assert training is not None
    assert (training.task, training.label, training.exclude) == ("binary", "hit", ("list",))
    assert pipeline.tables["events"].key == ("event_id",)
    assert pipeline.tables["events"].types == {}
    assert "#   n: bigint" in text


def test_a_label_that_is_not_there(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--label chrun: .* there are: customerID, .*; did you mean 'Churn\?'"):
        write(spark, Request(csv(tmp_path, churn(5)), "chrun"), str(tmp_path / "out.yaml"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("a,b\n", "has no rows"),
        ("a,b\n1,x\n2,x\n", "only the value 'x'"),
        ("a,b\n1,\n2,\n", "no value"),
    ],
)
def test_data_that_cannot_be_used(spark: SparkSession, tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "d.csv").write_text(content)
    with pytest.raises(DataError, match=says):
        write(spark, Request(str(tmp_path / "d.csv"), "b"), str(tmp_path / "out.yaml"))

    assert not (tmp_path / "out.yaml").exists()


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    out = tmp_path / "out.yaml"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        check_out(str(out), force=False)

    check_out(str(out), force=True)


def test_topics_are_of_texts(spark: SparkSession, tmp_path: Path) -> None:
    """Of the long ones, where there are any; also of those of which no row has that of another."""
    rows = [{"Id": i, "Shop": "ab"[i % 2], "Stars": i % 5, "What I Think": f"number {i} is " + "very " * (i % 7 + 5)}
            for i in range(40)]  # fmt: skip
    _, pipeline = made(spark, Request(csv(tmp_path, rows, "said.csv"), task="topics"), tmp_path / "said.yaml")
    assert pipeline.training_set is not None
    assert (pipeline.training_set.task, pipeline.training_set.texts) == ("topics", ("what_i_think",))
    assert pipeline.training_set.exclude == ()
    short = [{key: row[key] for key in ("Id", "Shop", "Stars")} for row in rows]
    _, pipeline = made(spark, Request(csv(tmp_path, short, "short.csv"), task="topics"), tmp_path / "short.yaml")
    assert pipeline.training_set is not None
    assert pipeline.training_set.texts == ("shop",)


def test_without_a_label(spark: SparkSession, tmp_path: Path) -> None:
    """Of recommendations the names are those of the columns as they will be called."""
    rows = [{"User Id": f"u{i % 12}", "Film": i % 7, "Stars!": 1 + i % 5, "Seen": f"2024-01-{1 + i % 28:02d}"}
            for i in range(80)]  # fmt: skip
    data = csv(tmp_path, rows, "films.csv")
    rated = Request(data, task="recommendation", user="User Id", item="Film", rating="Stars!")
    text, pipeline = made(spark, rated, tmp_path / "rated.yaml")
    training = pipeline.training_set
    assert training is not None
    assert (training.user, training.item, training.rating, training.label) == ("user_id", "film", "stars", None)
    assert (training.exclude, training.split.by) == ((), "time"), text
    for request, wanted in (
        (Request(data, task="recommendation", user="user id", item="film"), ("1", "recommendation")),
        (Request(data, task="anomaly"), (None, "anomaly")),
    ):
        _, drafted = made(spark, request, tmp_path / f"{request.task}.yaml")
        assert drafted.training_set is not None
        assert (drafted.training_set.implicit, drafted.training_set.task) == wanted
    with pytest.raises(DataError, match="reads texts, and no column of text is left"):
        made(spark, Request(data, task="topics", exclude=("User Id",)), tmp_path / "x")
    with pytest.raises(ConfigError, match="a rating is a number"):
        made(spark, Request(data, task="recommendation", user="Film", item="Stars!", rating="User Id"), tmp_path / "x")
    with pytest.raises(ConfigError, match="--item"):
        made(spark, Request(data, task="recommendation", user="Film", item="Fim"), tmp_path / "x")

"""Which files of a source are read, and what is known of them; without a JVM."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.ingest.files import SourceFile, is_single_file, listed
from headrace.ingest.landed import Landed
from headrace.ingest.looks import wrong_texts
from headrace.ingest.reading import rows
from headrace.runtime.commits import is_local

A, B, C = (SourceFile(f"file:///in/{name}.csv", 10, 1) for name in "abc")


def landed(*files: SourceFile, **more: object) -> Landed:
    return Landed(files={f.path: f.version for f in files}, known=True, mode="append", **more)  # type: ignore[arg-type]


def test_a_folder_gives_what_is_new_or_replaced() -> None:
    newer = SourceFile(B.path, 11, 2)
    assert landed(A, B).to_read([A, newer, C], "append") == [newer, C]
    assert landed(A, B).replaced([newer, C]) == [newer]
    assert landed(A, B).missing([A, C]) == [B.path]


def test_a_file_that_was_emptied_is_known_until_it_changes() -> None:
    empty, refilled = SourceFile(A.path, 5, 2), SourceFile(A.path, 12, 3)
    before = landed(A, B, emptied={A.path: empty.version})
    assert before.to_read([empty, B], "append") == []
    assert before.to_read([refilled, B], "append") == [refilled]
    assert before.still_empty([C]) == {A.path: empty.version}
    assert before.still_empty([refilled]) == {}


def test_a_snapshot_is_read_as_a_whole_or_not_at_all() -> None:
    assert landed(A, B).to_read([A, B], "snapshot") == []
    assert landed(A, B).to_read([A], "snapshot") == [A]
    assert landed(A).to_read([A, B], "snapshot") == [A, B]


def test_read_in_another_way_all_is_read_anew() -> None:
    other = Landed(files={A.path: A.version}, emptied={B.path: B.version}, known=False)
    assert other.to_read([A, B], "append") == [A, B]
    assert other.replaced([A, C]) == [A]


def test_a_hundred_thousand_files(tmp_path: Path) -> None:
    files = [SourceFile(f"file:///in/{i:06}.csv", 10, i) for i in range(100_000)]
    before = Landed({f.path: f.version for f in files}, known=True)
    assert before.to_read(files, "append") == []
    assert len(before.missing(files[1:])) == 1


class Reader:
    """Counts how often Spark is asked for the columns of a file."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def load(self, path: str) -> Reader:
        self.asked.append(path)
        return self

    @property
    def columns(self) -> list[str]:
        text = Path(self.asked[-1].removeprefix("file://")).read_text().strip()
        return text.splitlines()[0].split(",") if text else []


def test_each_different_header_is_asked_for_once_and_groups_the_files(tmp_path: Path) -> None:
    from headrace.ingest.schemas import _by_header

    for number in range(5):
        (tmp_path / f"{number}.csv").write_text(f"a,b\n{number},1\n")
    (tmp_path / "5.csv").write_text("\n\n")
    (tmp_path / "6.csv").write_text("b,a\n1,2\n")
    files = listed(None, str(tmp_path))  # type: ignore[arg-type]
    reader = Reader()
    found = _by_header(None, reader, files, {})  # type: ignore[arg-type]
    assert [(g.schema.names, len(g.files)) for g in found] == [(["a", "b"], 5), (["b", "a"], 1)]
    assert reader.asked == [files[0].literal, files[5].literal, files[6].literal]
    assert _by_header(None, reader, files, {"comment": "#"}) == found  # type: ignore[arg-type]
    assert len(reader.asked) == 3 + 7


def test_what_lies_elsewhere_is_told_from_what_is_here() -> None:
    elsewhere = ("s3a://lake/x", "s3a:///x", "hdfs:/x", "hdfs://server:1/x", "HDFS:///x")
    assert [is_local(path) for path in elsewhere] == [False] * len(elsewhere)
    assert [is_local(path) for path in ("/data/x", "file:///data/x", "/data/a:b/c", "x")] == [True] * 4


@pytest.mark.parametrize("path", ["hdfs:///in/a b.csv", "hdfs:/in//a b.csv", "hdfs://server:8020/in/a b.csv"])
def test_one_file_elsewhere_is_a_single_file_however_its_server_is_written(path: str) -> None:
    assert is_single_file(path, [SourceFile("hdfs://server:8020/in/a%20b.csv", 1, 1)])
    assert not is_single_file(path, [SourceFile("hdfs://server:8020/out/in/a%20b.csv", 1, 1)])
    assert not is_single_file("hdfs:///in", [SourceFile("hdfs://server:8020/in/a%20b.csv", 1, 1)])


def test_files_without_a_byte_are_not_asked_for_anything() -> None:
    assert rows(None, "csv", {}, [SourceFile(A.path, 0, 1)]) is None  # type: ignore[arg-type]


def test_an_empty_folder_is_listed(tmp_path: Path) -> None:
    assert listed(None, str(tmp_path)) == []  # type: ignore[arg-type]


def test_links_are_followed_once_and_leftovers_of_writers_left_alone(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    for name in ("day=1/a b%.csv", "_temporary/0/x.csv", ".hidden/y.csv", "_SUCCESS", ".z.csv.crc", "w.csv._COPYING_"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("x")
    (data / "_day=2").mkdir()
    (data / "_day=2" / "c.csv").write_text("x")
    other.mkdir()
    (other / "linked.csv").write_text("x")
    (data / "loop").symlink_to(data)
    (data / "other").symlink_to(other)
    (data / "again").symlink_to(other)
    (data / "dangling.csv").symlink_to(tmp_path / "nowhere")
    found = listed(None, str(data))  # type: ignore[arg-type]
    assert [(f.plain.removeprefix(f"file://{data}/"), f.keys) for f in found] == [
        ("_day=2/c.csv", ("_day",)),
        ("again/linked.csv", ()),
        ("day=1/a b%.csv", ("day",)),
    ]
    below = listed(None, f"{data}/*=*/*.csv")  # type: ignore[arg-type]
    assert [f.keys for f in below] == [("_day",), ("day",)]
    assert [f.keys for f in listed(None, f"{data}/day=1")] == [()]  # type: ignore[arg-type]


def test_a_single_file_is_told_by_whatever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b.csv").write_text("x")
    monkeypatch.chdir(tmp_path)
    for path in ("a b.csv", "./a b.csv", str(tmp_path / "a b.csv")):
        assert is_single_file(path, listed(None, path))  # type: ignore[arg-type]
    assert not is_single_file(str(tmp_path), listed(None, str(tmp_path)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "content", "options", "said"),
    [
        ("csv", "id,v\n1,M\xfcller\n".encode("latin-1"), {}, "line 2 is no UTF-8 (byte 0xfc)"),
        ("csv", "id,v\n1,M\xfcller\n".encode("latin-1"), {"encoding": "ISO-8859-1"}, None),
        ("csv", "id,v\n1,M\xfcller\n".encode("utf-16"), {}, "looks like UTF-16"),
        ("text", "abc".encode("utf-16-le"), {}, "looks like UTF-16"),
        ("json", b'{"a": "\xfc"}', {}, "line 1 is no UTF-8"),
        ("json", '{"a": 1}'.encode("utf-16"), {"multiLine": "true"}, None),
        ("csv", b'id,v\n1,"a\nb"\n', {}, "line 2 opens a quote"),
        ("csv", b'id,v\n1,"a\nb"\n', {"multiLine": "true"}, None),
        ("csv", b'id,v\n1,"a\nb"\n', {"multiLine": "false"}, None),
        ("csv", b"id,v\n1,'a\nb'\n", {"quote": "'"}, "line 2 opens a quote"),
        ("csv", b'id,v\r\n1,5" pipe\r\n2,"a ""b"" c"\r\n3,"x \\" y"\r\n', {"escape": "\\"}, None),
        ("csv", b"id,v\n1," + "\N{SNOWMAN}".encode() * 2_000_000, {}, None),
    ],
)
def test_texts_are_looked_at_before_spark_guesses(
    tmp_path: Path, kind: str, content: bytes, options: dict[str, str], said: str | None
) -> None:
    (tmp_path / "x").write_bytes(content)
    found = wrong_texts(kind, options, listed(None, str(tmp_path)))  # type: ignore[arg-type]
    assert [said in told for told in found.values()] == [True] if said else found == {}

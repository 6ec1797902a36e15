"""Which files of a source are read, and what is known of them; without a JVM."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import DataError
from headrace.ingest.files import SourceFile, listed, rows
from headrace.ingest.landed import Landed

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
        text = Path(self.asked[-1]).read_text().strip()
        return text.splitlines()[0].split(",") if text else []


def test_each_different_header_is_asked_for_once(tmp_path: Path) -> None:
    from headrace.ingest.files import _header

    for number in range(5):
        (tmp_path / f"{number}.csv").write_text(f"a,b\n{number},1\n")
    (tmp_path / "5.csv").write_text("\n\n")
    paths = sorted(map(str, tmp_path.iterdir()))
    reader = Reader()
    assert _header(reader, paths, by_line=True) == ["a", "b"]
    assert reader.asked == [paths[0], paths[5]]
    _header(reader, paths, by_line=False)
    assert len(reader.asked) == 2 + 6
    (tmp_path / "6.csv").write_text("b,a\n")
    with pytest.raises(DataError, match="in another order"):
        _header(reader, [*paths, str(tmp_path / "6.csv")], by_line=True)


def test_files_without_a_byte_are_not_asked_for_anything() -> None:
    assert rows(None, "csv", {}, [SourceFile(A.path, 0, 1)]) is None  # type: ignore[arg-type]


def test_an_empty_folder_is_listed(tmp_path: Path) -> None:
    assert listed(None, str(tmp_path)) == []  # type: ignore[arg-type]

"""The inference log: what was asked and answered, as files of JSON lines that Spark reads.

A request only puts records into a bounded queue; a thread writes them. A file has a name that Spark passes over until it
is whole: `.open-*`. What a killed server left open is taken over by the next one.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from headrace.serving.typed import plain

OPEN = ".open-"
_OPTIONS = orjson.OPT_NON_STR_KEYS
_BATCH = 500


class InferenceLog:
    """Writes records.

    Args:
        folder: Where to; made where there is none.
        seconds: After which a file is closed.
        size: Bytes after which it is, too.
        capacity: Records that wait at most; those beyond are dropped, and counted.
    """

    def __init__(self, folder: Path, seconds: float = 60, size: int = 32_000_000, capacity: int = 20_000) -> None:
        self.dropped = 0
        self._folder, self._seconds, self._size = folder, seconds, size
        self._queue: queue.Queue[Callable[[], list[Mapping[str, Any]]] | None] = queue.Queue(capacity)
        folder.mkdir(parents=True, exist_ok=True)
        recover(folder)
        self._file: FileIO | None = None
        self._opened, self._written = 0.0, 0
        self._thread = threading.Thread(target=self._run, name="inference log", daemon=True)
        self._thread.start()

    def put(self, records: Callable[[], list[Mapping[str, Any]]]) -> None:
        """Log records, that the log's own thread makes; never waits."""
        try:
            self._queue.put_nowait(records)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write all that waits, and close the file."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            batch = self._batch()
            going = None not in batch
            try:
                for make in batch:
                    if make is not None:
                        self._write(make())
                if self._file and (not going or self._due()):
                    self._roll()
            except OSError:  # a full disk must not end the log for good, nor the server
                self.dropped += len(batch)

    def _batch(self) -> list[Any]:
        """What waits, soon enough to close a file in time."""
        try:
            batch = [self._queue.get(timeout=1.0)]
            while len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            return batch if "batch" in locals() else []
        return batch

    def _write(self, records: list[Mapping[str, Any]]) -> None:
        if self._file is None:
            self._file = FileIO(str(self._folder / f"{OPEN}{os.getpid()}-{uuid.uuid4().hex[:12]}.jsonl"), "xb")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._opened, self._written = time.monotonic(), 0
        lines = b"".join(orjson.dumps(one, default=plain, option=_OPTIONS) + b"\n" for one in records)
        self._file.write(lines)
        self._written += len(lines)

    def _due(self) -> bool:
        return self._written >= self._size or time.monotonic() - self._opened >= self._seconds

    def _roll(self) -> None:
        file, self._file = self._file, None
        assert file is not None  # asked before
        os.fsync(file.fileno())
        _closed(Path(str(file.name)))
        file.close()


def recover(folder: Path) -> int:
    """Close the files of servers that are no more; a last line that was cut is cut off. Returns how many there were."""
    count = 0
    for path in folder.glob(f"{OPEN}*.jsonl"):
        try:
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not path.exists():
                    continue  # another server was first
                content = file.read()
                file.truncate(content.rfind(b"\n") + 1)
                _closed(path)
                count += 1
        except (BlockingIOError, FileNotFoundError):  # at work, or closed meanwhile
            continue
    return count


def _closed(path: Path) -> None:
    name = path.name.removeprefix(OPEN)
    path.rename(path.with_name(f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{name}"))

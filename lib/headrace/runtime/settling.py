"""Commits that are verified after they are written.

Such a commit says by which SQL its rows are told from others. It stands when a commit without rows says so; one of a run
that was killed before is taken back by the next run, that makes its rows again. A run that is alive may be taken back as well,
by one that begins while it verifies: it sees that, and writes again. Delta lets only one of the two through, since both use
the same number of a transaction.
"""

from __future__ import annotations

import json
import uuid
from itertools import islice
from typing import TYPE_CHECKING, Any

from headrace.runtime.comments import METADATA, lost_race
from headrace.runtime.commits import Commit, CommitLog
from headrace.runtime.merging import MEANING, TXN, name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

UNSETTLED, SETTLES, TAKES_BACK = "unsettled", "settles", "takes_back"
"""In the note of a commit: SQL of its rows, while they are not verified; the versions that it settles, or takes back."""
LOOK = 30
"""Commits that are looked through for one that was never settled: others may have written after it."""


def unsettled(log: CommitLog, table: str) -> list[Commit]:
    """Commits of a table that were never settled, newest first."""
    found, done = list[Commit](), set[int]()
    for commit in islice(log.newest_first(table), LOOK):
        done |= _spoken_of(commit)
        if commit.operation == "RESTORE":
            break  # who did this by hand knows what is there
        if commit.note.get(UNSETTLED) and commit.version not in done:
            found.append(commit)
    return found


def _spoken_of(commit: Commit) -> set[int]:
    return {int(version) for key in (SETTLES, TAKES_BACK) for version in commit.note.get(key) or ()}


def stands(log: CommitLog, table: str, written: Commit) -> bool:
    """Whether what a commit wrote has not been taken back, nor the table been put back to an earlier state."""
    for commit in log.newest_first(table):
        if commit.version <= written.version:
            return commit.version == written.version
        back = commit.restored is not None and commit.restored < written.version
        if back or written.version in (commit.note.get(TAKES_BACK) or ()):
            return False
    return False


def taken_back(spark: SparkSession, log: CommitLog, txn: str, table: str, commit: Commit) -> bool:
    """Take out the rows of a commit; False where its own run, or another, was faster. Runs Delta's DELETE.

    Args:
        spark: The session.
        log: The commits.
        txn: Of the table: what Delta calls an application.
        table: The table.
        commit: Never settled.
    """
    newest = log.last(table)
    if newest is None:
        return False
    number, token = int(newest.note.get("txn", 0)) + 1, uuid.uuid4().hex
    note: dict[str, Any] = {**commit.note, TAKES_BACK: [commit.version], "fingerprint": None, "counts": {}}
    note |= {"headrace": token, "txn": number}
    del note[UNSETTLED]
    session = spark.newSession()  # DELETE takes these settings from its session; they must not reach other threads
    for key in MEANING:
        session.conf.set(key, str(spark.conf.get(key)))
    session.conf.set(METADATA, json.dumps(note, default=str))
    session.conf.set(f"{TXN}.txnAppId", txn)
    session.conf.set(f"{TXN}.txnVersion", str(number))
    try:
        session.sql(f"DELETE FROM delta.{name(log.folder(table))} WHERE {commit.note[UNSETTLED]}")
    except Exception as error:  # Delta's conflicts have no common base class
        if lost_race(error):
            return False
        raise
    after = (one for one in log.newest_first(table) if one.version > newest.version)
    return any(one.note.get("headrace") == token for one in after)

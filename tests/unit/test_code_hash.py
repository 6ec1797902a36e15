"""What a stage's code is: all that decides its results, whatever it is written in."""

from __future__ import annotations

import pytest

from headrace.runtime import code


def test_java_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {package: code.code_hash(package) for package in ("headrace.scoring", "headrace.clean")}
    assert b"class Trees" in code._java("headrace.models.compiled.native.kernel")
    code.code_hash.cache_clear()
    monkeypatch.setattr(code, "_java", lambda package: b"else" if package.endswith(".kernel") else b"")
    assert code.code_hash("headrace.scoring") != before["headrace.scoring"]
    assert code.code_hash("headrace.clean") == before["headrace.clean"]
    code.code_hash.cache_clear()

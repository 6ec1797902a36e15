"""What the page on cleaning shows is what happens."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from tests.support.runs import Project

PAGE = (Path(__file__).parents[2] / "docs" / "cleaning.md").read_text(encoding="utf-8")


def test_the_page_on_cleaning(scratch: Project) -> None:
    [csv], [yaml] = re.findall(r"```csv\n(.*?)```", PAGE, re.S), re.findall(r"```yaml\n(pipeline:.*?)```", PAGE, re.S)
    scratch.write("readings.csv", csv)
    outcome = scratch.run(yaml)
    assert scratch.rows("readings", "id", "name", "weight_kg", "price", "read_at") == [
        (1, "köln mitte", 12.5, Decimal("1234.50"), datetime(2024, 6, 1, 10)),
        (2, "köln mitte", 0.8, Decimal("7.00"), datetime(2024, 1, 15, 11)),
    ]
    assert scratch.rows("readings_quarantine", "id", "_reasons") == [
        ("3", ["time_exists"]),
        ("4", ["unit_known"]),
        ("5", ["cast:price"]),
    ]
    [notes] = [done.notes for done in outcome.done if any("set aside" in note for note in done.notes)]
    assert "warnings: time_once: 1" in notes

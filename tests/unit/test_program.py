"""A program without a file goes on where Spark would take it for its doctests."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAYS = "try:\n    import pyspark.sql.connect\nexcept ImportError:\n    pass\nprint('went on')"


@pytest.mark.parametrize(
    ("before", "said"), [("", ""), ("from headrace.models.program import named; named()", "went on\n")]
)
def test_a_program_without_a_file_goes_on(before: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{before}\n{SAYS}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, said)

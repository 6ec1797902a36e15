"""The pages: they build as a site, and the first one leads to each of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT


def test_the_pages_build_without_a_broken_link(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "configuration" / "index.html").is_file()


def test_the_first_page_leads_to_every_page() -> None:
    pages = {str(page.relative_to(PROJECT / "docs")) for page in (PROJECT / "docs").rglob("*.md")} - {"index.md"}
    first = (PROJECT / "docs" / "index.md").read_text()
    assert sorted(page for page in pages if f"({page})" not in first) == []

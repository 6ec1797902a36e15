"""The main job on flights, timed as a person waits for it: from nothing, then with nothing changed.

    .venv/bin/python benchmarks/main_job.py [RUNS]

Each run has a `HEADRACE_HOME` of its own; the jars are shared. Prints a Markdown table of medians.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def run(home: Path, name: str) -> tuple[float, dict]:
    """Seconds on the wall, and the summary."""
    summary = home / f"{name}.json"
    line = ["./spark-submit.sh", "jobs/pipeline.py", "--config", "conf/flights.yaml", "--summary", str(summary)]
    started = time.monotonic()
    subprocess.run(line, cwd=PROJECT, env={**os.environ, "HEADRACE_HOME": str(home)}, check=True, capture_output=True)
    return time.monotonic() - started, json.loads(summary.read_text())


def once(jars: Path) -> dict[str, float]:
    """One fresh home: three runs."""
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        home = Path(folder)
        shutil.copytree(jars, home / "jars")
        first, summary = run(home, "first")
        found = {"first run": first}
        found |= {f"- {s['name']}": s["seconds"] for s in summary["stages"]}
        found["November areaUnderROC"] = summary["metrics"]["test"]["areaUnderROC"]["value"]
        found["second run, nothing changed"] = run(home, "second")[0]
        found["third run, nothing changed"] = run(home, "third")[0]
        return found


def main() -> None:
    """Run so many times and print the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    jars = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")) / "jars"
    found = [once(jars) for _ in range(runs)]
    print(f"| what | median of {runs} |\n| --- | --- |")
    for key in found[0]:
        value = statistics.median(f[key] for f in found)
        print(f"| {key} | {value:.4f} |" if "area" in key else f"| {key} | {value:.1f} s |")


if __name__ == "__main__":
    main()

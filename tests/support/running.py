"""Runs jobs and commands as a person would: in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.runtime.launch import LIGHT

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """A process that is over."""

    code: int
    out: str
    err: str
    summary: dict[str, Any] | None = None

    @property
    def said(self) -> str:
        """All that was said: spark-submit passes what a job's Python says on standard error on as standard output."""
        return self.out + self.err

    def stages(self) -> dict[str, str]:
        """Status per stage."""
        return {s["name"]: s["status"] for s in (self.summary or {}).get("stages", [])}


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment with a home of its own that shares the resolved jars."""
    jars = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")).absolute()
    home.mkdir(parents=True, exist_ok=True)
    for shared in ("jars", "packages", "cache"):  # the archive of classes, too, is made once for all
        (jars / shared).mkdir(parents=True, exist_ok=True)
        if not (home / shared).exists():
            (home / shared).symlink_to(jars / shared)
    return {**os.environ, "HEADRACE_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", **more}


def command(job: str, config: Path, *arguments: str, spark: tuple[str, ...] = ()) -> list[str]:
    """The command line of a job; two cores, few partitions, and no time lost on compiling what runs for seconds."""
    lean = ("--master", "local[2]", "--driver-memory", "2g", "--conf", "spark.sql.shuffle.partitions=2",
            "--conf", f"spark.driver.extraJavaOptions={LIGHT}")  # fmt: skip
    return [str(PROJECT / "spark-submit.sh"), *(spark or lean), f"jobs/{job}.py", "--config", str(config), *arguments]


def run_job(
    job: str, config: Path, home: Path, *arguments: str, spark: tuple[str, ...] = (), timeout: int = 900, **env: str
) -> Ended:
    """Run a job to its end."""
    summary = home / "summary.json"
    summary.unlink(missing_ok=True)
    line = command(job, config, *arguments, "--summary", str(summary), spark=spark)
    done = subprocess.run(
        line, cwd=PROJECT, env=environment(home, **env), capture_output=True, text=True, timeout=timeout, check=False
    )
    content = json.loads(summary.read_text()) if summary.exists() else None
    return Ended(done.returncode, done.stdout, done.stderr, content)


def headrace(home: Path, *arguments: str, timeout: int = 300, **env: str) -> Ended:
    """Run the command `headrace`."""
    import sys

    line = [str(Path(sys.executable).parent / "headrace"), *arguments]
    done = subprocess.run(
        line, cwd=PROJECT, env=environment(home, **env), capture_output=True, text=True, timeout=timeout, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def kill_in(step: str, job: str, config: Path, home: Path, *arguments: str, after: float) -> bool:
    """Start a job and kill it, with all its processes, so many seconds after a step has begun.

    Returns:
        Whether the step had begun; False where the job ended before.
    """
    with _begun(step, command(job, config, *arguments), home, after) as (process, _):
        return process.poll() is None


def terminate_in(step: str, job: str, config: Path, home: Path, *arguments: str, after: float) -> str:
    """Start a job and ask Spark to end, as schedulers do, so many seconds after a step has begun.

    Returns:
        What was said, once no process of the job is left.
    """
    with _begun(step, command(job, config, *arguments), home, after) as (process, log):
        process.terminate()
        deadline = time.monotonic() + 60
        while (left := _alive(process.pid)) and time.monotonic() < deadline:
            process.poll()
            time.sleep(0.2)
        assert not left, f"{left} did not end: {log.read_text()[-2000:]}"
        return log.read_text()


@contextmanager
def _begun(step: str, line: list[str], home: Path, after: float) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A job, so many seconds after a step has begun, or after its end, and where it writes what it says; it is killed afterwards."""
    log = home / "killed.log"
    with log.open("w") as err:
        process = subprocess.Popen(
            line, cwd=PROJECT, env=environment(home), stdout=err, stderr=err, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 600
            while process.poll() is None and time.monotonic() < deadline:
                said = [text.strip() for text in log.read_text().splitlines()]
                if any(text.startswith(step) and text.endswith("...") for text in said):
                    time.sleep(after)
                    break
                time.sleep(0.05)
            if process.poll() is None and time.monotonic() >= deadline:
                raise TimeoutError(f"{step} did not begin: {log.read_text()[-2000:]}")
            yield process, log
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _alive(group: int) -> list[str]:
    """Processes of a group."""
    said = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    fields = [line.split(maxsplit=2) for line in said.splitlines()]
    return [command for of, state, command in fields if int(of) == group and not state.startswith("Z")]

"""The scripts as people call them: help, mistakes and exit codes; nothing here starts Spark or installs anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def run(project: Path, tmp_path: Path):
    """Run a command in an empty folder, with the environment of these tests."""

    def call(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
        whole = {**os.environ, "PYTHONPATH": str(project / "lib"), "HEADRACE_HOME": str(tmp_path / "home"), **env}
        return subprocess.run(
            command, cwd=tmp_path, env=whole, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
        )

    return call


def submit(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headrace.cli.submit", *arguments]


def headrace(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headrace.cli.main", *arguments]


def test_help_shows_an_example_and_the_jobs(run) -> None:
    done = run(*submit("--help"))
    assert done.returncode == 0
    assert "./spark-submit.sh jobs/pipeline.py --config conf/flights.yaml" in done.stdout
    assert "jobs/score.py" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "jobs/pipeline.py"),
        (("jobs/nope.py",), "there is no job jobs/nope.py"),
        (("--mastr", "local", "jobs/pipeline.py"), "did you mean --master?"),
        (("jobs/pipeline.py",), "--config"),
        (("jobs/pipeline.py", "--config", "nope.yaml"), "nope.yaml"),
    ],
)
def test_mistakes_end_with_2_in_words_before_spark_starts(
    run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run(*submit(*arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_jobs_own_help_needs_no_spark(run, tmp_path: Path) -> None:
    done = run(*submit("jobs/score.py", "--help"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "--as-of" in done.stdout
    assert not (tmp_path / "home").exists()


def test_headrace_lists_its_commands_with_examples(run) -> None:
    done = run(*headrace("--help"))
    assert done.returncode == 0
    for word in ("init", "validate", "plan", "submit", "sql", "status", "Examples:", "Exit codes:"):
        assert word in done.stdout


def test_sql_refuses_an_unknown_schema_before_spark_starts(run) -> None:
    done = run(*headrace("sql", "--pipeline", "nope", "select 1"))
    assert done.returncode == 2
    assert "there is no schema 'nope'" in done.stderr


def test_a_folder_with_something_else_is_not_taken_for_the_environment(run, project: Path, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "thesis.txt").write_text("mine")
    done = run("bash", str(project / "spark-submit.sh"), "--help", HEADRACE_VENV=str(tmp_path / "venv"))
    assert done.returncode == 2
    assert "something else in it" in done.stderr
    assert [path.name for path in (tmp_path / "venv").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("linked", [False, True])
def test_the_environment_of_another_clone_is_left_alone(run, project: Path, tmp_path: Path, linked: bool) -> None:
    other, venv = tmp_path / "another clone", tmp_path / "venv"
    (other / ".venv" / "bin").mkdir(parents=True)
    (other / "setup.sh").touch()
    stamp = other / ".venv" / ".ready-requirements.lock"
    stamp.write_text(f"{other} 123 456\n")
    if linked:
        venv.symlink_to(other / ".venv")
    else:
        venv = other / ".venv"
    before = sorted(other.rglob("*"))
    done = run("bash", str(project / "spark-submit.sh"), "--help", HEADRACE_VENV=str(venv))
    assert done.returncode == 2
    assert f"{venv} is the environment of the clone {other}, which is still there" in done.stderr
    assert "set HEADRACE_VENV to a new folder" in done.stderr
    assert sorted(other.rglob("*")) == before
    assert stamp.read_text() == f"{other} 123 456\n"


def test_no_python_is_told_with_2(run, project: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname", "cat", "cksum", "mkdir", "ls"):
        found = next(Path(folder, tool) for folder in ("/usr/bin", "/bin") if Path(folder, tool).exists())
        (tools / tool).symlink_to(found)
    done = run("bash", str(project / "spark-submit.sh"), PATH=str(tools), HEADRACE_VENV=str(tmp_path / "venv"))
    assert done.returncode == 2
    assert "Python 3.11" in done.stderr


@pytest.mark.parametrize("script", ["spark-submit.sh", "test.sh", "setup.sh", ".ci/run"])
def test_scripts_are_bash_without_mistakes_of_syntax(run, project: Path, script: str) -> None:
    done = run("bash", "-n", str(project / script))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-java.lock"])
def test_locks_hold_hashes_and_name_no_registry(project: Path, lock: str) -> None:
    text = (project / lock).read_text()
    assert "://" not in text
    blocks = [block for block in text.split("\n") if "==" in block and not block.startswith("#")]
    assert blocks
    assert all(block.endswith("\\") for block in blocks), "each version is followed by its hashes"

"""`headrace init` and `headrace profile` before Spark starts: templates, and flags that do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.cli.drafting.templates import NAMES
from headrace.cli.main import main
from headrace.config.reading import read_pipeline
from headrace.config.schema import SCHEMA


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    said = capsys.readouterr()
    return int(exit_.value.code or 0), said.out, said.err


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_a_valid_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    out = tmp_path / "conf" / f"{name}.yaml"
    code, told, _ = ended(capsys, "init", "--template", name, "--out", str(out))
    pipeline, _ = read_pipeline(out)

    assert (code, pipeline.pipeline) == (0, name)
    assert pipeline.training_set is not None
    assert pipeline.gates
    assert f"--config {out}{NAMES[name]}" in told
    assert sorted(path.name for path in out.parent.iterdir()) == sorted([SCHEMA, f"{name}.yaml"])


def test_a_template_replaces_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("mine")
    code, _, err = ended(capsys, "init", "--template", "churn", "--out", str(out))
    assert (code, "--force" in err, out.read_text()) == (2, True, "mine")
    assert ended(capsys, "init", "--template", "churn", "--out", str(out), "--force")[0] == 0
    assert out.read_text().startswith("# yaml-language-server")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("init", "--template", "churm", "--out"), "delays, churn, fraud"),
        (("init", "data.csv", "--template", "churn", "--key", "id", "--out"), "leave out --key, data.csv"),
        (("init", "data.csv", "--out"), "--label COL"),
        (("init", "--label", "y", "--out"), "say where the data are"),
        (("init", "data.csv", "--label", "y", "--task", "binry", "--out"), "topics; did you mean 'binary'?"),
        (("init", "d.csv", "--task", "clustering", "--label", "y", "--out"), "leave --label out"),
        (("init", "d.csv", "--task", "recommendation", "--user", "u", "--out"), "needs --item COL"),
        (("init", "d.csv", "--label", "y", "--user", "u", "--out"), "that is of --task recommendation"),
        (("profile", "--label"), "say where the data are"),
        (("profile", "data.csv", "--format"), "text, markdown, json"),
    ],
)
def test_flags_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    code, _, err = ended(capsys, *arguments, str(tmp_path / "x.yaml"))
    assert (code, says in err, list(tmp_path.iterdir())) == (2, True, []), err


def test_a_template_needs_neither_spark_nor_pandas(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom headrace.cli.main import main\n"
        f"try: main(['init', '--template', 'churn', '--out', {str(tmp_path / 'x.yaml')!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.exit(', '.join({'pyspark', 'pandas', 'pyarrow'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

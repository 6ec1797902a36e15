"""What Airflow, cron, systemd and Kubernetes are given, as they read it."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.schedules import COMMAND, SHOP, called, shop, stand_in, written

__all__ = ["shop"]


def options_of(source: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Keywords of the DAG as plain values, and the tasks' commands."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    dags = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "DAG"]
    jobs = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "HeadraceJob"]
    tasks = [{k.arg: ast.literal_eval(k.value) for k in job.keywords} for job in jobs]
    keywords = {str(k.arg): ast.unparse(k.value) for k in dags[0].keywords}
    return keywords, {task["task_id"]: task["bash_command"] for task in tasks}


class TestAirflow:
    def test_a_dag_each(self, shop: Path) -> None:
        made = written(shop, "airflow")
        assert sorted(made) == ["shop_nightly.py", "shop_weekly.py"]
        dag, tasks = options_of(made["shop_nightly.py"])
        assert dag["schedule"] == "CronDataIntervalTimetable('30 3 * * 1,2,3,4,5', timezone='Europe/Berlin')"
        assert dag["start_date"] == "datetime.fromisoformat('2026-01-01T00:00:00+00:00')"
        assert (dag["catchup"], dag["max_active_runs"]) == ("True", "1")
        assert (
            "'retries': 2, 'retry_delay': timedelta(seconds=300), 'skip_on_exit_code': [2, 3, 4]" in dag["default_args"]
        )
        assert f"'cwd': '{shop.parent}', 'env': {{'HEADRACE_HOME': '{shop.parent}/.headrace'}}" in dag["default_args"]
        assert tasks == {
            "ingest": f"{COMMAND} jobs/ingest.py --config {shop}",
            "clean": f"{COMMAND} jobs/clean.py --config {shop}",
            "score": f"{COMMAND} jobs/score.py --config {shop} "
            "--since '{{ (data_interval_end - macros.timedelta(seconds=259200)).isoformat() }}' "
            "--until '{{ data_interval_end.isoformat() }}' --as-of '{{ data_interval_end.isoformat() }}'",
        }
        assert made["shop_nightly.py"].rstrip().endswith("ingest >> clean >> score")

    def test_what_looks_like_a_template_is_none(self, shop: Path) -> None:
        dag, tasks = options_of(written(shop, "airflow", "--set", "description=a {{ x }}")["shop_weekly.py"])
        assert (dag["catchup"], "'retries': 0" in dag["default_args"]) == ("False", True)
        assert tasks["train"].startswith("{% raw %}")
        assert tasks["train"].endswith("{% endraw %}")
        words = shlex.split(tasks["train"].removeprefix("{% raw %}").removesuffix("{% endraw %}"))
        assert words[-4:] == ["--set", "description=a {{ x }}", "--set", "description=a b%'$X"]

    def test_without_a_window_it_is_the_interval(self, shop: Path) -> None:
        shop.write_text(SHOP.replace("window: 3 days, ", ""))
        assert (
            "--since '{{ data_interval_start.isoformat() }}' --until"
            in options_of(written(shop, "airflow")["shop_nightly.py"])[1]["score"]
        )

    def test_rows_without_a_time_have_no_interval(self, shop: Path) -> None:
        shop.write_text(SHOP.replace("    event_time: at\n", ""))
        assert options_of(written(shop, "airflow")["shop_nightly.py"])[1]["score"].endswith(f"--config {shop}")


def lines_of(crontab: str) -> list[tuple[str, str]]:
    """Times and commands, as cron reads them: the zone before, `\\%` for `%`."""
    found = re.findall(r"^CRON_TZ=(\S+)\n((?:\S+ ){5})(.+)$", crontab, re.MULTILINE)
    assert all(not re.search(r"(?<!\\)%", command) for _, _, command in found)
    return [(f"{when}{zone}", command.replace("\\%", "%")) for zone, when, command in found]


def run_line(shop: Path, codes: str, number: int = 0) -> tuple[str, list[str]]:
    """What cron would send by mail, and the jobs that were called."""
    folder = shop.parent
    (folder / "needs.env").write_text("SHOP_PW=geheim\nSHOP_DATA=/data\n")
    script = stand_in(folder, codes)
    made = written(shop, "cron", "--needs", str(folder / "needs.env"), "--force", "--command", f"{script} submit")
    command = lines_of(made["shop.crontab"])[number][1].replace("/bin/sleep 300", "/bin/sleep 0")
    said = subprocess.run(["/bin/sh", "-c", command], env={}, cwd="/", capture_output=True, text=True, check=False)
    return said.stdout + said.stderr, (folder / "calls").read_text().splitlines()


class TestCron:
    def test_times_and_zones(self, shop: Path) -> None:
        made = written(shop, "cron")
        assert list(made) == ["shop.crontab"]
        assert [when for when, _ in lines_of(made["shop.crontab"])] == [
            "30 3 * * 1,2,3,4,5 Europe/Berlin",
            "0 0 * * 1 UTC",
        ]
        assert "/etc/headrace/shop.env must hold NAME=value for: SHOP_PW, SHOP_DATA" in made["shop.crontab"]

    @pytest.mark.skipif(not Path("/usr/bin/flock").exists(), reason="needs flock")
    def test_jobs_run_in_order_with_their_environment(self, shop: Path) -> None:
        mail, calls = run_line(shop, "0")
        home = f"{shop.parent}/.headrace"
        assert mail == ""
        assert calls == [
            f"{home} geheim {shop.parent} submit jobs/{job}.py --config {shop} --schedule nightly"
            for job in ("ingest", "clean", "score")
        ]
        assert os.path.exists(f"{home}/logs/shop_nightly.log")

    @pytest.mark.skipif(not Path("/usr/bin/flock").exists(), reason="needs flock")
    @pytest.mark.parametrize(
        ("codes", "jobs", "ends"),
        [
            ("1 0 0 0", "ingest ingest clean score", None),
            ("0 1 0 0 137 0 0 0", "ingest clean ingest clean score ingest clean score", None),
            ("1 1 1 0", "ingest ingest ingest", 1),
            ("0 0 3 0", "ingest clean score", 3),
            ("2 0", "ingest", 2),
            ("4 0", "ingest", 4),
        ],
    )
    def test_exit_code_1_is_tried_again_and_2_3_4_are_not(
        self, shop: Path, codes: str, jobs: str, ends: int | None
    ) -> None:
        mail, calls = run_line(shop, codes)
        assert [found[1] for call in calls if (found := re.search(r"jobs/(\w+)\.py", call))] == jobs.split()
        log = f"{shop.parent}/.headrace/logs/shop_nightly.log"
        assert mail == ("" if ends is None else f"shop_nightly ended with exit code {ends}, see {log}\n")

    @pytest.mark.skipif(not Path("/usr/bin/flock").exists(), reason="needs flock")
    def test_one_try_and_difficult_words(self, shop: Path) -> None:
        mail, calls = run_line(shop, "1", number=1)
        assert mail.startswith("shop_weekly ended with exit code 1")
        assert [call.partition(" --set ")[2] for call in calls] == ["description=a b%'$X --schedule weekly"]

    @pytest.mark.skipif(not Path("/usr/bin/flock").exists(), reason="needs flock")
    def test_a_run_that_goes_on_is_not_joined_by_another(self, shop: Path) -> None:
        home = shop.parent / ".headrace"
        (home / "logs").mkdir(parents=True)
        holding = ["/usr/bin/flock", str(home / "logs" / "shop_nightly.lock"), "/bin/sh", "-c", "echo; sleep 30"]
        holder = subprocess.Popen(holding, stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert run_line(shop, "0") == ("", [])
        finally:
            holder.kill()
        assert (home / "logs" / "shop_nightly.log").read_text() == "still running\n"

    def test_a_line_too_long_for_cron(self, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
        more = [part for number in range(60) for part in ("--set", f"search.seed={number:08}")]
        assert called(str(shop), "--to", "cron", *more) == 2
        assert "cron takes 998; shorten" in capsys.readouterr().err


class TestSystemd:
    def test_units(self, shop: Path) -> None:
        made = written(shop, "systemd", "--needs", "/etc/shop.env")
        assert sorted(made) == [
            f"headrace-shop_{n}.{kind}" for n in ("nightly", "weekly") for kind in ("service", "timer")
        ]
        service = made["headrace-shop_nightly.service"]
        for line in (
            "Type=oneshot", "EnvironmentFile=/etc/shop.env", "Restart=on-failure", "RestartPreventExitStatus=2 3 4",
            "StartLimitBurst=3", "StartLimitIntervalSec=86370", "RestartSec=300", f"WorkingDirectory={shop.parent}",
            f"ExecStart={COMMAND} jobs/score.py --config {shop} --schedule nightly",
        ):  # fmt: skip
            assert f"\n{line}\n" in service
        assert service.count("ExecStart=") == 3
        assert '"description=a b%%\'$$X"' in made["headrace-shop_weekly.service"]
        assert "\nRestart=no\n" in made["headrace-shop_weekly.service"]
        assert "\nOnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 03:30:00 Europe/Berlin\n" in made["headrace-shop_nightly.timer"]

    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
    def test_systemd_takes_them(self, shop: Path) -> None:
        script = stand_in(shop.parent, "0")
        (shop.parent / "needs.env").write_text("")
        written(shop, "systemd", "--needs", str(shop.parent / "needs.env"), "--command", f"{script} submit")
        for unit in sorted((shop.parent / "out").iterdir()):
            checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
            assert unit.name not in checked.stderr
            when = re.search(r"OnCalendar=(.+)", unit.read_text())
            if when:
                asked = ["systemd-analyze", "calendar", when[1]]
                assert subprocess.run(asked, capture_output=True, check=False).returncode == 0

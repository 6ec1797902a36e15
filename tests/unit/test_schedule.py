"""`headrace schedule`: what Airflow, cron, systemd and Kubernetes are given, as they read it."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from headrace import flow
from headrace.cli.intervals import scheduled
from headrace.cli.main import main
from headrace.cli.running import Request
from headrace.cli.scheduling.schedules import Asked
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "schedules.md"
SHOP = """\
pipeline: shop
tables:
  orders:
    source: {format: csv, path: "${SHOP_DATA}/orders.csv", options: {password: "${secret:SHOP_PW}"}}
    key: id
    event_time: at
training_set: {from: orders, label: "late", split: {by: hash}}
schedules:
  nightly: {job: [ingest, clean, score], cron: "30 3 * * mon-fri", time_zone: Europe/Berlin, window: 3 days, start: 2026-01-01}
  weekly: {job: train, every: week, retries: 0, arguments: [--set, "description=a b%'$X"]}
"""
COMMAND = "/opt/bin/headrace submit"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_DATA", "/data")
    for name in ("SHOP_PW", "HEADRACE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "shop.yaml").write_text(SHOP)
    return tmp_path / "shop.yaml"


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["schedule", *arguments])
    return int(end.value.code or 0)


def written(shop: Path, to: str, *more: str) -> dict[str, str]:
    folder = shop.parent / "out"
    pods = to in ("kubernetes", "spark-operator")
    command = [] if pods else ["--command", COMMAND]
    image = ["--image", "shop:1"] if pods else []
    assert called(str(shop), "--to", to, "--out", str(folder), *command, *image, *more) == 0
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


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


def stand_in(folder: Path, codes: str) -> Path:
    """A `headrace` that notes what it is called with, and ends with one exit code after the other."""
    script = folder / "bin" / "headrace"
    script.parent.mkdir(exist_ok=True)
    text = f"""#!/bin/sh
echo "$HEADRACE_HOME $SHOP_PW $PWD $*" >> {folder}/calls
code=$(sed -n "$(wc -l < {folder}/calls)p" {folder}/codes)
exit ${{code:-0}}
"""
    script.write_text(text)
    script.chmod(0o755)
    (folder / "codes").write_text(codes.replace(" ", "\n") + "\n")
    (folder / "calls").write_text("")
    return script


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


def manifest(made: dict[str, str], name: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(made[name]))


class TestKubernetes:
    def test_a_cron_job(self, shop: Path) -> None:
        made = written(shop, "kubernetes")
        assert sorted(made) == ["shop_nightly.cronjob.yaml", "shop_weekly.cronjob.yaml"]
        found = manifest(made, "shop_nightly.cronjob.yaml")
        assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
        assert found["metadata"]["name"] == "shop-nightly"
        spec = found["spec"]
        assert (spec["schedule"], spec["timeZone"]) == ("30 3 * * 1,2,3,4,5", "Europe/Berlin")
        assert spec["concurrencyPolicy"] == "Forbid"
        job = spec["jobTemplate"]["spec"]
        assert job["backoffLimit"] == 2
        assert job["podFailurePolicy"]["rules"] == [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": "headrace", "operator": "In", "values": [2, 3, 4]},
            }
        ]
        pod = job["template"]["spec"]
        (container,) = pod["containers"]
        assert (pod["restartPolicy"], container["name"], container["image"]) == ("Never", "headrace", "shop:1")
        one = "headrace submit jobs/{}.py --config /app/shop.yaml --schedule nightly"
        assert container["command"] == ["/bin/sh", "-c", " && ".join(map(one.format, ("ingest", "clean", "score")))]
        assert container["env"] == [
            {"name": "HEADRACE_HOME", "value": "/app/.headrace"},
            {"name": "SHOP_PW", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "SHOP_PW"}}},
            {"name": "SHOP_DATA", "valueFrom": {"configMapKeyRef": {"name": "shop", "key": "SHOP_DATA"}}},
        ]
        assert pod["volumes"] == [{"name": "home", "persistentVolumeClaim": {"claimName": "headrace"}}]

    def test_one_job_needs_no_shell(self, shop: Path) -> None:
        found = manifest(written(shop, "kubernetes", "--set", "description=$(X)"), "shop_weekly.cronjob.yaml")
        command = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"]
        assert command == [
            "headrace", "submit", "jobs/train.py", "--config", "/app/shop.yaml", "--set", "description=$$(X)",
            "--set", "description=a b%'$X", "--schedule", "weekly",
        ]  # fmt: skip

    def test_an_application_of_the_operator(self, shop: Path) -> None:
        (shop.parent / "env").mkdir()
        settings = "{spark.executor.memory: 8g, spark.executor.instances: 5}"
        overlay = f'prefix: p_\nwarehouse: s3a://lake\nmlflow: "${{secret:MLFLOW_URI}}"\nspark: {settings}\n'
        (shop.parent / "env" / "prod.yaml").write_text(overlay)
        shop.write_text(SHOP.replace("[ingest, clean, score]", "score"))
        made = written(shop, "spark-operator", "--env", "prod")
        found = manifest(made, "p_shop_nightly.spark.yaml")
        assert (found["apiVersion"], found["kind"]) == ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication")
        spec = found["spec"]
        assert spec["schedule"] == "CRON_TZ=Europe/Berlin 30 3 * * 1,2,3,4,5"
        template = spec["template"]
        assert (template["type"], template["mode"], template["image"]) == ("Python", "cluster", "shop:1")
        assert template["mainApplicationFile"] == "local:///opt/headrace/jobs/score.py"
        assert template["arguments"] == ["--config", "/app/shop.yaml", "--env", "prod", "--schedule", "nightly"]
        assert template["restartPolicy"] == {"type": "Never"}
        assert (template["executor"]["memory"], template["executor"]["instances"]) == ("8g", 5)
        assert template["sparkConf"]["spark.sql.warehouse.dir"] == "s3a://lake"
        assert template["sparkConf"]["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"
        assert {env["name"] for env in template["driver"]["env"]} == {
            "HEADRACE_HOME", "SHOP_PW", "MLFLOW_URI", "SHOP_DATA",
        }  # fmt: skip

    def test_what_the_operator_cannot_do(self, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert called(str(shop), "--to", "spark-operator", "--image", "x") == 2
        assert "give `warehouse` and `mlflow` in an overlay" in capsys.readouterr().err
        (shop.parent / "env").mkdir()
        (shop.parent / "env" / "prod.yaml").write_text("warehouse: s3a://lake\nmlflow: http://mlflow\n")
        assert called(str(shop), "--to", "spark-operator", "--image", "x", "--env", "prod") == 2
        assert "runs one job, not ingest, clean, score" in capsys.readouterr().err
        secret = ["--set", "spark={spark.hadoop.fs.s3a.secret.key: '${secret:KEY}'}"]
        assert called(str(shop), "--to", "spark-operator", "--image", "x", "--env", "prod", *secret) == 2
        assert "spark.hadoop.fs.s3a.secret.key: a secret in Spark's settings" in capsys.readouterr().err


class TestCommand:
    @pytest.mark.parametrize("to", ["airflow", "cron", "systemd", "kubernetes"])
    def test_no_secret_is_written(self, shop: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
        monkeypatch.setenv("SHOP_PW", "geheim-1234")
        made = "".join(written(shop, to).values())
        assert "SHOP_PW" in made
        assert "geheim" not in made

    def test_nothing_is_replaced_unasked(self, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
        first = written(shop, "airflow")
        (shop.parent / "out" / "shop_weekly.py").write_text("mine")
        (shop.parent / "out" / "shop_nightly.py").unlink()
        capsys.readouterr()
        assert called(str(shop), "--to", "airflow", "--out", str(shop.parent / "out")) == 2
        assert "out/shop_weekly.py: there already; give another folder, or --force" in capsys.readouterr().err
        assert not (shop.parent / "out" / "shop_nightly.py").exists()
        assert written(shop, "airflow", "--force") == first

    def test_standard_output_is_the_same(self, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (made,) = written(shop, "cron").values()
        capsys.readouterr()
        assert called(str(shop), "--to", "cron", "--command", COMMAND) == 0
        assert capsys.readouterr().out == made

    def test_one_of_them(self, shop: Path) -> None:
        assert list(written(shop, "airflow", "weekly")) == ["shop_weekly.py"]

    def test_another_place(self, shop: Path) -> None:
        (shop.parent / "env").mkdir()
        (shop.parent / "env" / "prod.yaml").write_text("prefix: prod_\n")
        made = written(shop, "systemd", "--project", "/srv/shop", "--env", "prod")
        service = made["headrace-prod_shop_nightly.service"]
        assert (
            f"ExecStart={COMMAND} jobs/clean.py --config /srv/shop/shop.yaml --env prod --schedule nightly" in service
        )
        assert "HEADRACE_HOME=/srv/shop/.headrace" in service
        assert "EnvironmentFile=/etc/headrace/prod_shop.env" in service

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            (["nightli", "--to", "cron"], "there are: nightly, weekly; did you mean 'nightly'?"),
            (["--to", "kubernetes"], "needs the container's image"),
            (["--to", "cron", "--project", "srv"], "--project srv is no absolute path"),
            (["--to", "cron", "--needs", "x.env"], "--needs x.env is no absolute path"),
            (["--to", "cron", "--command", "headrace submit"], "schedulers have no PATH"),
            (["--to", "cron", "--set", "on_failure.webhook=https://chat/geheim"], "name it by ${secret:NAME}"),
            (["--to", "cron", "--env", "nowhere"], "no environment is called 'nowhere'"),
        ],
    )
    def test_what_is_refused(self, shop: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str) -> None:
        assert called(str(shop), *more) == 2
        error = capsys.readouterr().err
        assert says in error
        assert "geheim" not in error

    def test_scoring_every_is_a_schedule(self, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
        bare = SHOP[: SHOP.index("schedules:")]
        shop.write_text(bare)
        assert called(str(shop), "--to", "cron") == 2
        assert "add `schedules: {nightly: {job: pipeline, every: day}}`" in capsys.readouterr().err
        shop.write_text(bare + "scoring: {every: hour}\n")
        assert list(written(shop, "airflow")) == ["shop_scoring.py"]


@pytest.mark.parametrize(
    ("schedule", "where", "says"),
    [
        ("{job: score, cron: '0 25 * * *'}", "10:25 schedules.x.cron", "'25' is no hour"),
        ("{job: score, every: day, time_zone: Berlin}", "10:42 schedules.x.time_zone", "did you mean 'Europe/Berlin'?"),
        ("{job: scores, every: day}", "schedules.x.job", "did you mean 'score'?"),
        ("{job: score, every: daily}", "schedules.x.every", "did you mean 'day'?"),
        ("{job: score, evry: day}", "schedules.x.evry", "did you mean 'every'?"),
        ("{job: score}", "schedules.x", "exactly one of `every`"),
        ("{job: score, every: day, cron: '0 0 * * *'}", "schedules.x", "exactly one of `every`"),
        ("{job: [pipeline, monitor], every: day}", "schedules.x", "pipeline stands last"),
        ("{job: [score, score], every: day}", "schedules.x", "stands twice"),
        ("{job: [], every: day}", "schedules.x.job", "0 entries"),
        ("{job: score, every: day, window: 1 month}", "schedules.x.window", "no fixed length"),
        ("{job: score, every: day, window: 23 hours}", "schedules.x.window", "rows before it would never be scored"),
        ("{job: score, every: day, arguments: [--set, a.password=b]}", "schedules.x.arguments[1]", "a.password=***"),
        ("{job: score, every: day, retries: -1}", "schedules.x.retries", "greater than or equal to 0"),
        (
            "{job: score, every: day, arguments: [--since=2026-01-01]}",
            "schedules.x.arguments[0]",
            "comes from `window`",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(shop: Path, schedule: str, where: str, says: str) -> None:
    shop.write_text(f"{SHOP[: SHOP.index('  nightly')]}\n  x: {schedule}\n")
    with pytest.raises(ConfigError, match=re.escape(where)) as caught:
        read_pipeline(shop, outside=Asked())
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("[--onyl, score]", "unrecognized arguments: --onyl score"),
        ("[--as, 2026-01-01]", "the interval is the schedule's own"),
        ("[--force, --only]", "argument --only: expected one argument"),
    ],
)
def test_arguments_are_those_of_the_job(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: str, says: str
) -> None:
    shop.write_text(f"{SHOP[: SHOP.index('  nightly')]}\n  x: {{job: pipeline, every: day, arguments: {arguments}}}\n")
    assert called(str(shop), "--to", "cron") == 2
    assert f"schedules.x.arguments: {says}" in capsys.readouterr().err


class TestInterval:
    def request(self, shop: Path, job: str, name: str, as_of: str = "2026-01-14", **more: Any) -> Request:
        pipeline, _ = read_pipeline(shop, outside=Asked())
        moment = datetime.fromisoformat(as_of).replace(tzinfo=UTC)
        return scheduled(Request(job, as_of=moment, **more), pipeline, name)

    def test_the_window_ends_with_the_interval(self, shop: Path) -> None:
        end = datetime(2026, 1, 13, 2, 30, tzinfo=UTC)
        asked = self.request(shop, "score", "nightly")
        assert asked == Request("score", since=datetime(2026, 1, 10, 2, 30, tzinfo=UTC), until=end, as_of=end)

    def test_without_a_window_it_is_the_interval(self, shop: Path) -> None:
        shop.write_text(SHOP.replace("window: 3 days, ", ""))
        assert self.request(shop, "score", "Nightly", "2026-01-12").since == datetime(2026, 1, 8, 2, 30, tzinfo=UTC)

    def test_jobs_that_do_not_score_and_rows_without_a_time_take_none(self, shop: Path) -> None:
        plain = datetime(2026, 1, 14, tzinfo=UTC)
        assert self.request(shop, "clean", "nightly") == Request("clean", as_of=plain)
        shop.write_text(SHOP.replace("    event_time: at\n", ""))
        assert self.request(shop, "score", "nightly") == Request("score", as_of=plain)

    def test_what_is_refused(self, shop: Path) -> None:
        with pytest.raises(ConfigError, match="there are: nightly, weekly; did you mean 'nightly'"):
            self.request(shop, "score", "nightli")
        with pytest.raises(ConfigError, match="one of train, not of score"):
            self.request(shop, "score", "weekly")
        with pytest.raises(ConfigError, match="leave out --since and --until"):
            self.request(shop, "score", "nightly", until=datetime(2026, 1, 1, tzinfo=UTC))


def test_schedules_are_no_part_of_any_step() -> None:
    with_them, _ = read_pipeline(ROOT / "conf" / "flights.yaml")
    without, _ = read_pipeline(ROOT / "conf" / "flights.yaml", sets=["schedules={}"])
    assert with_them.schedules
    assert not without.schedules
    assert [(s.name, s.config) for s in flow.steps(with_them)] == [(s.name, s.config) for s in flow.steps(without)]


class TestPage:
    """The page's YAML gives what the page shows."""

    def shown(self) -> dict[str, str]:
        pairs = re.findall(r"```bash\n(headrace schedule [^\n]+)\n```\n```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL)
        return dict(pairs)

    def test_every_scheduler_has_an_example(self) -> None:
        found = {match[1] for command in self.shown() if (match := re.search(r"--to (\S+)", command))}
        assert found == {"airflow", "cron", "systemd", "kubernetes", "spark-operator"}

    def test_examples(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("HEADRACE_HOME", raising=False)
        yaml = re.findall(r"```yaml\n# (conf/\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
        assert len(yaml) == 2
        for name, text in yaml:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        for command, output in self.shown().items():
            assert called(*shlex.split(command)[2:]) == 0, capsys.readouterr().err
            assert capsys.readouterr().out == output, command

"""`headrace schedule`: the command, mistakes in schedules, and the intervals of runs."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace import flow
from headrace.cli.intervals import scheduled
from headrace.cli.running import Request
from headrace.cli.scheduling.schedules import Asked
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from tests.support.schedules import COMMAND, SHOP, called, shop, written

__all__ = ["shop"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "schedules.md"


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


def test_features_are_published_after_they_are_made(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = "{job: [features, publish], every: hour, arguments: [%s]}"
    shop.write_text(f"{SHOP[: SHOP.index('  nightly')]}\n  x: {jobs % '--set, scoring.every=day'}\n")
    line = written(shop, "cron")["shop.crontab"]
    assert "for j in features publish; do" in line
    dag = written(shop, "airflow")["shop_x.py"]
    assert "features >> publish" in dag
    assert "jobs/publish.py" in dag
    shop.write_text(f"{SHOP[: SHOP.index('  nightly')]}\n  x: {jobs % '--to, sqlite'}\n")
    assert called(str(shop), "--to", "cron") == 2  # not an argument of both; the store is HEADRACE_ONLINE
    assert "schedules.x.arguments" in capsys.readouterr().err
    shop.write_text(
        f"{SHOP[: SHOP.index('  nightly')]}\n  x: {{job: publish, every: day, arguments: [--to, sqlite]}}\n"
    )
    assert any("--to sqlite" in one for one in written(shop, "systemd").values())


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

"""A shop with schedules, and what `headrace schedule` writes for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.main import main

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

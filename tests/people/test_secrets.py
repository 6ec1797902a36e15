"""A secret's value, as a person uses it: in an overlay's `spark:`, in options, in the webhook; and never seen again."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.support.running import headrace, run_job

VALUE = "s3cr3t/and+strange 99"
YAML = """\
pipeline: shop
tables:
  orders:
    source: {python: "shop_source:orders", options: {password: "${secret:SHOP_PW}", rows: 2}}
    key: id
on_failure: {webhook: "${secret:SHOP_HOOK}"}
"""
SOURCE = """\
import os

def orders(spark, password, rows):
    reached = spark.sparkContext._jsc.hadoopConfiguration().get("fs.s3a.secret.key")
    if reached != password or os.environ.get("BREAK"):
        raise RuntimeError(f"jdbc:x://db/shop?user=me&password={password} refused, the key is {reached}")
    return spark.range(rows)
"""


def test_a_secret_is_nowhere_after_a_job_that_succeeds_and_one_that_fails_with_it(tmp_path: Path) -> None:
    home, config = tmp_path / "home", tmp_path / "shop.yaml"
    config.write_text(YAML)
    (tmp_path / "shop_source.py").write_text(SOURCE)
    (tmp_path / "env").mkdir()
    overlay = 'spark: {spark.hadoop.fs.s3a.secret.key: "${secret:SHOP_PW}"}\n'
    (tmp_path / "env" / "prod.yaml").write_text(overlay)
    (tmp_path / "pw").write_text(f"{VALUE}\n")
    told: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"SHOP_PW_FILE": str(tmp_path / "pw"), "SHOP_HOOK": f"http://127.0.0.1:{server.server_port}/"}
        env["HEADRACE_FAST_START"] = "off"
        line = ("--env", "prod", "--set", "tables.orders.source.options.rows=3")
        done = run_job("ingest", config, home, *line, **env)
        failed = run_job("ingest", config, home, *line, BREAK="1", **env)
        server.shutdown()
    status = headrace(home, "status", str(config), "--env", "prod", **env)

    assert (done.code, failed.code) == (0, 1), done.err + failed.err
    assert "password=***" in failed.out + failed.err
    assert "tables.orders.source.options.rows=3" in status.out
    assert [(t["stage"], t["exit_code"], t["status"], t["pipeline"]) for t in told] == [("ingest", 1, "failed", "shop")]
    assert "password=***" in told[0]["error"]
    shown = "".join((done.out, done.err, failed.out, failed.err, status.out, status.err, json.dumps(told)))
    assert VALUE not in shown
    files = [p for p in home.rglob("*") if p.is_file() and "jars" not in p.relative_to(home).parts]
    files += (home / "cache").glob("spark-*.conf")  # the cache may be shared by a link
    assert [str(p) for p in files if VALUE.encode() in p.read_bytes()] == []

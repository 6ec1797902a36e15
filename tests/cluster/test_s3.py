"""Files on S3 by s3a, against moto: the job brings the client's jars itself. Asked for by HEADRACE_TEST_S3=1.

It costs a minute and more: an environment for moto, 18 MB of jars, three jobs.
"""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import pytest

from tests.support.running import headrace, run_job
from tests.support.servers import s3

pytestmark = pytest.mark.skipif(not os.environ.get("HEADRACE_TEST_S3"), reason="HEADRACE_TEST_S3=1 asks for it")
YAML = """
pipeline: lake
tables:
  orders: {source: {format: csv, path: "s3a://lake/orders/"}}
spark:
  spark.hadoop.fs.s3a.endpoint: "${ENDPOINT}"
  spark.hadoop.fs.s3a.endpoint.region: us-east-1
  spark.hadoop.fs.s3a.path.style.access: true
  spark.hadoop.fs.s3a.connection.ssl.enabled: false
  spark.hadoop.fs.s3a.access.key: "${secret:S3_KEY}"
  spark.hadoop.fs.s3a.secret.key: "${secret:S3_SECRET}"
"""


def put(url: str, text: str = "") -> None:
    request = urllib.request.Request(url, data=text.encode(), method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def test_objects_land_once(tmp_path: Path) -> None:
    config, home = tmp_path / "lake.yaml", tmp_path / "home"
    config.write_text(YAML)
    with s3() as endpoint:
        where = {"ENDPOINT": endpoint, "S3_KEY": "key-Qx81", "S3_SECRET": "secret-Zp42"}
        put(f"{endpoint}/lake")
        put(f"{endpoint}/lake/orders/day=1/a%20b.csv", "id,note\n1,x\n2,\n")
        first = run_job("ingest", config, home, **where)
        assert first.code == 0, first.said[-3000:]
        put(f"{endpoint}/lake/orders/day=2/c.csv", "id,note\n3,y\n")
        again = run_job("ingest", config, home, **where)
        assert again.code == 0, again.said[-3000:]
        assert run_job("ingest", config, home, **where).stages() == {"ingest": "unchanged"}
    found = headrace(
        home, "sql", "--config", str(config), "select id, _batch from lake.raw_orders order by id", **where
    )
    assert [line.split("\t") for line in found.out.splitlines()[1:]] == [["1", "1"], ["2", "1"], ["3", "2"]], found.said
    assert "secret-Zp42" not in first.said + again.said

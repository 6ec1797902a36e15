"""What Kubernetes and the Spark operator are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.schedules import SHOP, called, shop, written

__all__ = ["shop"]


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

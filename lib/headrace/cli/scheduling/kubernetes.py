"""Kubernetes: a CronJob that runs spark-submit in its pod, or a ScheduledSparkApplication of the Spark operator."""

from __future__ import annotations

import io
import shlex
from importlib.metadata import version
from typing import Any

from ruamel.yaml import YAML

from headrace.cli.scheduling.schedules import FOR_GOOD, Planned, There
from headrace.config import secrets
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError
from headrace.runtime import places, settings

LONGEST = 52
"""Characters of a CronJob's name."""
CONTAINER = "headrace"
PODS: tuple[tuple[str, tuple[tuple[str, int | str], ...]], ...] = (
    ("driver", (("cores", 1), ("memory", "2g"))),
    ("executor", (("cores", 1), ("memory", "2g"), ("instances", 2))),
)
"""Sizes of the operator's pods, unless settings of Spark say otherwise."""
SIZES = frozenset(f"spark.{who}.{part}" for who, parts in PODS for part, _ in parts)


def cron_jobs(schedules: list[Planned], there: There, environment: Environment) -> dict[str, str]:
    """A CronJob each."""
    return {f"{one.name}.cronjob.yaml": _written(one, there, cron_job(one, there, environment)) for one in schedules}


def applications(
    schedules: list[Planned], there: There, environment: Environment, pipeline: Pipeline
) -> dict[str, str]:
    """A ScheduledSparkApplication each."""
    conf = _spark_conf(pipeline, environment)
    return {f"{one.name}.spark.yaml": _written(one, there, application(one, there, conf)) for one in schedules}


def cron_job(one: Planned, there: There, environment: Environment) -> dict[str, Any]:
    """The manifest of a CronJob; its exit codes decide what is tried again."""
    for_good = {"containerName": CONTAINER, "operator": "In", "values": list(FOR_GOOD)}
    job = {
        "backoffLimit": one.schedule.retries,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": for_good}]},
        "template": {"metadata": {"labels": _labels(one)}, "spec": _pod(one, there, environment)},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": _name(one), "labels": _labels(one)},
        "spec": {
            "schedule": one.when.text,
            "timeZone": one.schedule.time_zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": int(one.when.shortest.total_seconds()),
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": job},
        },
    }


def _pod(one: Planned, there: There, environment: Environment) -> dict[str, Any]:
    """A pod that submits; `HEADRACE_HOME` outlives it where tables or models are in it."""
    own_home = not (environment.warehouse and environment.mlflow)
    volume = {"persistentVolumeClaim": {"claimName": "headrace"}} if own_home else {"emptyDir": {}}
    container = {
        "name": CONTAINER,
        "image": there.image,
        "workingDir": there.project,
        "command": _command(one, there),
        "env": [{"name": "HEADRACE_HOME", "value": there.home}, *_env(there)],
        "volumeMounts": [{"name": "home", "mountPath": there.home}],
    }
    return {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "home", **volume}]}


def application(one: Planned, there: There, conf: dict[str, str]) -> dict[str, Any]:
    """The manifest of a ScheduledSparkApplication.

    Raises:
        ConfigError: If the schedule has several jobs.
    """
    if len(one.calls) > 1:
        raise ConfigError(
            f"schedules.{one.key}.job: one application of the operator runs one job, not {', '.join(one.schedule.job)}; "
            "make a schedule of each, take `pipeline`, or --to kubernetes"
        )
    call = one.calls[0]
    env = [{"name": "HEADRACE_HOME", "value": there.home}, *_env(there)]
    rest = {key: value for key, value in conf.items() if key not in SIZES}
    size = {key: int(conf[key]) if conf[key].isdigit() else conf[key] for key in SIZES if key in conf}
    driver, executor = ({part: size.get(f"spark.{who}.{part}", least) for part, least in parts} for who, parts in PODS)
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "ScheduledSparkApplication",
        "metadata": {"name": _name(one), "labels": _labels(one)},
        "spec": {
            "schedule": f"CRON_TZ={one.schedule.time_zone} {one.when.text}",
            "concurrencyPolicy": "Forbid",
            "successfulRunHistoryLimit": 3,
            "failedRunHistoryLimit": 3,
            "template": {
                "type": "Python",
                "pythonVersion": "3",
                "mode": "cluster",
                "sparkVersion": version("pyspark"),
                "image": there.image,
                "mainApplicationFile": f"local://{there.command[0]}/{call.job}.py",
                "arguments": [*call.arguments, "--schedule", one.key],
                "sparkConf": rest,
                # the operator does not look at exit codes, and 2, 3 and 4 must not be tried again
                "restartPolicy": {"type": "Never"},
                "driver": {**driver, "serviceAccount": "spark-operator-spark", "env": env},
                "executor": {**executor, "env": env},
            },
        },
    }


def _command(one: Planned, there: There) -> list[str]:
    """One job as it is; several by a shell. Kubernetes replaces `$(NAME)`."""
    interval = ("--schedule", one.key)
    if len(one.calls) == 1:
        words = one.calls[0].words(there, *interval)
    else:
        words = ["/bin/sh", "-c", " && ".join(shlex.join(call.words(there, *interval)) for call in one.calls)]
    return [word.replace("$(", "$$(") for word in words]


def _spark_conf(pipeline: Pipeline, environment: Environment) -> dict[str, str]:
    """What `headrace submit` would tell spark-submit.

    Raises:
        ConfigError: If tables would die with the pod, or a setting holds a secret.
    """
    if not (environment.warehouse and environment.mlflow):
        raise ConfigError(
            "tables and models would be in a pod that ends; give `warehouse` and `mlflow` in an overlay (--env NAME), "
            "or take --to kubernetes, which mounts a volume for them"
        )
    own = settings.read_file(places.conf() / "base.conf") | settings.DELTA
    own["spark.sql.warehouse.dir"] = environment.warehouse
    own["spark.sql.catalogImplementation"] = "hive" if environment.metastore == "hive" else "in-memory"
    given = settings.as_text(pipeline.spark.application), settings.as_text(environment.spark.application)
    conf = settings.layered(own, *given)
    held = sorted(key for key, value in conf.items() if secrets.names(value))
    if held:
        raise ConfigError(
            f"{', '.join(held)}: a secret in Spark's settings would stand in the application's manifest; take "
            "--to kubernetes, where spark-submit reads it from the pod's environment"
        )
    return conf


def _env(there: There) -> list[dict[str, Any]]:
    """Needs by reference: secrets from a Secret, variables from a ConfigMap of the same name."""
    kinds = [("secretKeyRef", there.secrets), ("configMapKeyRef", there.variables)]
    return [
        {"name": name, "valueFrom": {kind: {"name": there.needs, "key": name}}}
        for kind, names in kinds
        for name in names
    ]


def _labels(one: Planned) -> dict[str, str]:
    return {"app.kubernetes.io/name": "headrace", "app.kubernetes.io/instance": _name(one)}


def _name(one: Planned) -> str:
    name = one.name.replace("_", "-")
    if len(name) > LONGEST:
        raise ConfigError(
            f"{name} has {len(name)} characters, and Kubernetes takes {LONGEST}; shorten schedules.{one.key}"
        )
    return name


def _written(one: Planned, there: There, manifest: dict[str, Any]) -> str:
    head = [f"{one.title}", f"Written by: {one.origin}", f"The image holds {there.config}, and Headrace."]
    if manifest["kind"] == "ScheduledSparkApplication":
        head.append("It also holds Delta's jars (delta-spark, delta-storage) in Spark's folder of jars.")
        head.append("Nothing is tried again: the operator cannot tell exit code 1 from 2, 3 and 4.")
    elif "persistentVolumeClaim" in str(manifest):
        head.append("Tables and models are on the volume claim `headrace`, which must be there.")
    if there.secrets:
        head.append(f"Needs a Secret {there.needs!r} with the keys {', '.join(there.secrets)}.")
    if there.variables:
        head.append(f"Needs a ConfigMap {there.needs!r} with the keys {', '.join(there.variables)}.")
    yaml, text = YAML(), io.StringIO()
    yaml.width = 4000
    yaml.representer.ignore_aliases = lambda _: True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(manifest, text)
    return "".join(f"# {line}\n" for line in head) + text.getvalue()

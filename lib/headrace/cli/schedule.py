"""`headrace schedule`: the files by which a scheduler runs a pipeline. Needs no Spark."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from headrace.cli.scheduling.schedules import Asked, Planned, There, planned
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError
from headrace.runtime import places
from headrace.runtime.home import home

To = Literal["airflow", "cron", "systemd", "kubernetes", "spark-operator"]
IN_PODS = ("kubernetes", "spark-operator")


def schedule(
    file: Annotated[str, typer.Argument(metavar="FILE.yaml", help="the pipeline")],
    to: Annotated[To, typer.Option(help="what runs it")],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="one of its schedules; default: all")] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="where to write; default: standard output")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace files that are there")] = False,
    env: Annotated[str | None, typer.Option(metavar="NAME", help="the jobs' overlay")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="a.b=value", help="the jobs' settings")] = None,
    project: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="this folder, where the jobs run; default: the same, in pods /app"),
    ] = None,
    command: Annotated[
        str | None, typer.Option(help="what submits a job there, with options of Spark; default: this installation")
    ] = None,
    needs: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE", help="what holds secrets and variables: a file, in pods a Secret and a ConfigMap"
        ),
    ] = None,
    image: Annotated[str, typer.Option(help="the container's image: kubernetes and spark-operator need it")] = "",
) -> None:
    """Write the files by which Airflow, cron, systemd, Kubernetes or its Spark operator run the `schedules` of a pipeline.

    Examples: headrace schedule conf/flights.yaml --to cron

      headrace schedule conf/flights.yaml --to airflow --env prod --out dags

      headrace schedule conf/flights.yaml --to kubernetes --image REGISTRY/headrace:1.0
    """
    sets = list(set_ or ())
    asked = Asked()
    _without_secrets(sets)
    pipeline, environment = read_pipeline(file, env, sets, asked)
    there = _there(file, to, project, command, needs or _default_needs(to, pipeline, environment), asked, image)
    given = [*_options(env=env), *(word for text in sets for word in ("--set", text))]
    placed = _options(project=project, command=command, needs=needs, image=image)
    origin = shlex.join(["headrace", "schedule", file, *([name] if name else []), "--to", to, *given, *placed])
    schedules = planned(pipeline, environment, there, given, origin, name)
    made = _files(to, schedules, there, pipeline, environment)
    if out is None:
        sys.stdout.write("\n".join(f"# --- {name}\n{text}" if len(made) > 1 else text for name, text in made.items()))
    else:
        _write(Path(out), made, force)


def _without_secrets(sets: list[str]) -> None:
    for text in sets:
        if secrets.masked(text) != text:
            raise ConfigError(f"--set {secrets.masked(text)} would be written into a file; name it by ${{secret:NAME}}")


def _files(
    to: To, schedules: list[Planned], there: There, pipeline: Pipeline, environment: Environment
) -> dict[str, str]:
    """What is to be written, by name; each scheduler's module is read when it is wanted."""
    if to == "airflow":
        from headrace.cli.scheduling import airflow

        return airflow.files(schedules, there)
    if to == "cron":
        from headrace.cli.scheduling import crontab

        return crontab.files(schedules, there)
    if to == "systemd":
        from headrace.cli.scheduling import systemd

        return systemd.files(schedules, there)
    from headrace.cli.scheduling import kubernetes

    if to == "kubernetes":
        return kubernetes.cron_jobs(schedules, there, environment)
    return kubernetes.applications(schedules, there, environment, pipeline)


def _there(file: str, to: To, project: str | None, command: str | None, needs: str, asked: Asked, image: str) -> There:
    """The place where jobs run, from that where we are.

    Raises:
        ConfigError: If it cannot be told.
    """
    if to in IN_PODS and not image:
        raise ConfigError(f"--to {to} needs the container's image, which holds this folder: --image NAME:TAG")
    here = Path.cwd()
    folder = project or ("/app" if to in IN_PODS else str(here))
    if not os.path.isabs(folder):
        raise ConfigError(f"--project {folder} is no absolute path; write where this folder is when the jobs run")
    if to in ("cron", "systemd") and not os.path.isabs(needs):
        raise ConfigError(f"--needs {needs} is no absolute path; name the file with the environment of the jobs")
    config = os.path.abspath(file)
    if folder != str(here):
        inside = os.path.relpath(config, here)
        if inside.startswith(os.pardir):
            raise ConfigError(f"{file} is not in this folder, which --project moves to {folder}; call from its project")
        config = os.path.join(folder, inside)
    moved = project or to in IN_PODS
    return There(
        project=folder,
        config=config,
        home=f"{folder.rstrip('/')}/.headrace" if moved and not os.environ.get("HEADRACE_HOME") else str(home()),
        command=_command(to, command),
        needs=needs,
        variables=tuple(asked.variables),
        secrets=tuple(asked.secrets),
        image=image,
    )


def _command(to: To, command: str | None) -> tuple[str, ...]:
    """What submits a job; for the operator, the folder of the jobs."""
    if to == "spark-operator":
        return ((command or "/opt/headrace/jobs").rstrip("/"),)
    if command:
        words = tuple(shlex.split(command))
        if to != "kubernetes" and not os.path.isabs(words[0]):
            raise ConfigError(f"--command {words[0]}: schedulers have no PATH to find it; write its absolute path")
        return words
    if to == "kubernetes":
        return ("headrace", "submit")
    clone = places.project()
    if clone:
        return (str(clone / "spark-submit.sh"),)
    beside = Path(sys.executable).with_name("headrace")
    return (str(beside if beside.is_file() else shutil.which("headrace") or beside), "submit")


def _default_needs(to: To, pipeline: Pipeline, environment: Environment) -> str:
    name = f"{environment.prefix}{pipeline.pipeline}".lower()
    return name.replace("_", "-") if to in IN_PODS else f"/etc/headrace/{name}.env"


def _options(**values: str | None) -> list[str]:
    """Options as words, without those that were not given."""
    return [word for name, value in values.items() if value for word in (f"--{name}", value)]


def _write(folder: Path, made: dict[str, str], force: bool) -> None:
    """Write all files, or none.

    Raises:
        ConfigError: If one is there, or the folder cannot be written.
    """
    there = [str(folder / name) for name in made if (folder / name).exists()]
    if there and not force:
        raise ConfigError(f"{', '.join(there)}: there already; give another folder, or --force to replace them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            part = folder / f".{name}.{os.getpid()}"
            part.write_text(text, encoding="utf-8")
            part.replace(folder / name)
            sys.stdout.write(f"{folder / name}\n")
    except OSError as error:
        raise ConfigError(f"--out {folder} cannot be written: {error.strerror}; name another folder") from error

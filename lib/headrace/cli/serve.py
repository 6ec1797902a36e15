"""`headrace serve`: answers requests in real time over HTTP. No Spark and no JVM."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.publish import Online
from headrace.cli.running import hush, impatient
from headrace.errors import ConfigError
from headrace.runtime.home import model_store, places

if TYPE_CHECKING:
    from headrace.serving.settings import Settings


def serve(
    file: Annotated[str | None, typer.Argument(metavar="FILE.yaml", help="the pipeline's YAML")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="a registered model, instead of a YAML")] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0: let others in")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    online: Online = "sqlite",
    log: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write what was asked and answered; Spark reads it")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="keys, one a line; or the variable HEADRACE_API_KEY")
    ] = None,
    poll: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="between two looks at the registry")] = 10.0,
    max_body: Annotated[int, typer.Option(min=1000, metavar="BYTES", help="of a request")] = 1_000_000,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/")
    ] = None,
) -> None:
    """Serve the champion over HTTP, and follow the alias: a promotion needs no restart.

    Examples: headrace serve conf/flights.yaml

      headrace serve --model flights --host 0.0.0.0 --port 8080 --api-key-file keys.txt --log inference/
    """
    from headrace.serving.nospark import keep_out

    keep_out()
    hush()
    impatient()
    _installed()
    from headrace.serving.online.store import check
    from headrace.serving.settings import Settings, keys

    check(online)
    settings = Settings(
        **_chosen(file, model, env),
        online=online,
        log=str(log.absolute()) if log else None,
        key_file=str(api_key_file.absolute()) if api_key_file else None,
        poll=poll,
        max_body=max_body,
    )
    if not keys(settings) and host not in ("127.0.0.1", "localhost", "::1"):
        sys.stderr.write(
            f"warning: whoever reaches {host}:{port} is answered; give --api-key-file, or HEADRACE_API_KEY\n"
        )
    _run(settings, host, port, workers)


def _installed() -> None:
    try:
        import fastapi  # noqa: F401
        import orjson  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"headrace serve needs {error.name}; install it: pip install 'headrace[serve]'") from error


def _chosen(file: str | None, model: str | None, env: str | None) -> dict[str, Any]:
    """The model, where it is registered, and the strategy.

    Raises:
        ConfigError: If not exactly one of a file and a name is given.
    """
    if (file is None) == (model is None):
        raise ConfigError("name a pipeline's YAML, or a registered model with --model NAME: exactly one of them")
    if file is None:
        from headrace.config.types import Environment

        uri = os.environ.get("MLFLOW_TRACKING_URI") or model_store(Environment())
        return {"model": str(model), "tracking_uri": uri}
    from headrace.config.reading import read_pipeline

    pipeline, environment = read_pipeline(file, env)
    where = places(pipeline, environment)
    scoring = pipeline.scoring
    return {
        "model": where.schema,
        "tracking_uri": where.tracking_uri,
        "alias": scoring.model,
        "strategy": scoring.strategy.model_dump_json(by_alias=True, exclude_defaults=True),
    }


def _run(settings: Settings, host: str, port: int, workers: int) -> None:
    import uvicorn

    from headrace.runtime.home import has_models
    from headrace.serving import app, metrics

    if not has_models(settings.tracking_uri):
        raise ConfigError(
            f"there is no model {settings.model} in {settings.tracking_uri} yet; train one with jobs/train.py, or name the "
            "overlay under which it was trained: --env NAME"
        )
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "log_level": "warning",
        "access_log": False,
        "timeout_graceful_shutdown": 30,
    }
    service = app.service_of(settings)
    state = service.models.state
    for problem in filter(None, (state.problem, service.problem)):
        sys.stderr.write(f"warning: {problem}\n")
    told = ", ".join(f"{role} is version {served.version.number}" for role, served in state.roles.items())
    sys.stderr.write(f"{service.name}: {told}; http://{host}:{port}/docs\n")
    if workers == 1:
        uvicorn.run(app.create(service, settings), **options)
        return
    if service.log:
        service.log.close()  # that of each worker is its own
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({**settings.to_environment(), metrics.MULTIPROCESS: folder})
        uvicorn.run("headrace.serving.app:from_environment", factory=True, workers=workers, **options)

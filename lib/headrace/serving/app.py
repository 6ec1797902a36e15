"""The HTTP server: predictions, health, metrics, and a page that explains them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hmac
import sys
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask

from headrace.config.secrets import redacted
from headrace.errors import HeadraceError
from headrace.serving import describe
from headrace.serving.body import BadRequestError, listed, mistake
from headrace.serving.inference_log import InferenceLog
from headrace.serving.metrics import CONTENT_TYPE, Metrics
from headrace.serving.models import Models, State
from headrace.serving.online.store import opened
from headrace.serving.service import Answer, Service
from headrace.serving.settings import Settings, keys
from headrace.serving.typed import plain

IN_PLACE = 64
"""Rows up to which scoring costs less than handing them to another thread."""
THREADS = 4


def service_of(settings: Settings) -> Service:
    """Load what answers.

    Raises:
        ConfigError: If there is no champion, or it cannot be served without Spark.
        HeadraceError: If the registry does not answer.
    """
    from headrace.models.store import ModelStore
    from headrace.serving.fitting import Fitting
    from headrace.serving.loading import loaded

    strategy, store, online = (
        settings.chosen,
        ModelStore(settings.tracking_uri),
        opened(settings.online, settings.model),
    )
    models = Models(store, settings.model, (settings.alias, *strategy.others), loaded, Fitting(store, online))
    log = InferenceLog(Path(settings.log)) if settings.log else None
    return Service(models, strategy, online, log, Metrics())


def from_environment() -> FastAPI:
    """The server of a worker."""
    from headrace.serving.nospark import keep_out

    keep_out()
    settings = Settings.from_environment()
    return create(service_of(settings), settings)


def create(service: Service, settings: Settings) -> FastAPI:
    """The server.

    Args:
        service: Answers.
        settings: What it was told.
    """
    allowed, pool = keys(settings), ThreadPoolExecutor(THREADS, "scoring")

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        service.models.follow(settings.poll, _Watch(service))
        sys.setswitchinterval(0.0005)  # a look at the registry in its thread holds no request up for 5 ms
        gc.collect()
        gc.freeze()  # what was imported is looked through no more
        yield
        service.models.close()
        pool.shutdown()
        if service.log:
            await asyncio.to_thread(service.log.close)

    app = FastAPI(title=f"{service.name} by Headrace", lifespan=life, version="1")
    app.openapi = lambda: describe.openapi(app, service, bool(allowed))  # type: ignore[method-assign]
    name, counted = service.name, service.metrics

    @app.post(f"/v1/models/{name}/predict")
    async def predict(request: Request) -> Response:
        started, request_id = time.perf_counter(), request.headers.get("x-request-id", "")[:100] or uuid.uuid4().hex
        try:
            _let_in(request, allowed)
            rows = listed(_parsed(await _body(request, settings.max_body)))
            remote = service.store is not None and service.store.remote
            if len(rows) <= IN_PLACE and not remote:
                answers = service.answer(rows)
            else:
                answers = await asyncio.get_running_loop().run_in_executor(pool, service.answer, rows)
            response = _answered(service, request_id, answers)
        except _RefusedError as error:
            response = _json(error.status, {"detail": error.details, "request_id": request_id})
        except BadRequestError as error:
            response = _json(422, {"detail": error.details, "request_id": request_id})
        except HeadraceError as error:
            response = _json(503, {"detail": error.message, "request_id": request_id})
        except Exception:  # noqa: BLE001  # a mistake of ours: told with its place, and other requests go on
            say(f"request {request_id}: {traceback.format_exc()}")
            response = _json(
                500, {"detail": "a mistake of the server, which told it in its log", "request_id": request_id}
            )
        response.headers["x-request-id"] = request_id
        counted.seconds.labels(name).observe(time.perf_counter() - started)
        counted.requests.labels(name, str(response.status_code)).inc()
        return response

    @app.get("/health")
    async def health() -> Response:
        return _json(200, describe.health(service))

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(counted.text), media_type=CONTENT_TYPE)

    return app


class _RefusedError(Exception):
    """A request that is not read."""

    def __init__(self, status: int, details: Any) -> None:
        super().__init__(details)
        self.status, self.details = status, details


def _let_in(request: Request, allowed: Sequence[bytes]) -> None:
    if not allowed:
        return
    given = request.headers.get("x-api-key") or ""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    given = given or (token.strip() if kind.lower() == "bearer" else "")
    fits = [hmac.compare_digest(given.encode("utf-8", "replace"), one) for one in allowed]  # all: in constant time
    if not any(fits):
        came = "another key came" if given else "no API key came"
        raise _RefusedError(401, f"{came}; send it as `X-API-Key: ...` or `Authorization: Bearer ...`")


async def _body(request: Request, limit: int) -> bytes:
    too_long = _RefusedError(413, f"a request has at most {limit:,} bytes; send fewer rows at a time")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise too_long
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_long
        parts.append(part)
    return b"".join(parts)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError([mistake([], f"this is no JSON: {error}")]) from error


def _json(status: int, content: Any, background: BackgroundTask | None = None) -> Response:
    return Response(orjson.dumps(content, default=plain), status, media_type="application/json", background=background)


def _answered(service: Service, request_id: str, answers: list[Answer]) -> Response:
    content = {
        "request_id": request_id,
        "model_name": service.name,
        "predictions": [one.told() for one in answers],
    }
    if service.strategy.shadow is None:
        service.record(request_id, answers)
        return _json(200, content)

    def afterwards() -> None:
        service.record(request_id, answers)
        service.record(request_id, service.shadow(answers))

    return _json(200, content, BackgroundTask(afterwards))


class _Watch:
    """Tells what has changed since the last look at the registry, in the log and to Prometheus."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._told = self._words(service.models.state)  # the command has told it

    def __call__(self, state: State) -> None:
        service, told = self._service, self._service.metrics
        service.look()
        for alias, served in state.roles.items():
            told.version.labels(service.name, alias).set(served.version.number)
        told.healthy.labels(service.name).set(0 if state.problem or service.problem else 1)
        publish = service.known.publish
        if publish:
            told.online.labels(service.name).set(publish.as_of.timestamp())
        words = self._words(state)
        for line in (one for one in words if one not in self._told):
            say(line)
        self._told = words

    def _words(self, state: State) -> list[str]:
        name = self._service.name
        versions = [f"{name}: {role} is version {served.version.number}" for role, served in state.roles.items()]
        return [*versions, *(f"warning: {one}" for one in (state.problem, self._service.problem) if one)]


def say(text: str) -> None:
    """A line of the server's own log: on standard error, whatever libraries do to Python's loggers."""
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {redacted(text)}\n")
    sys.stderr.flush()

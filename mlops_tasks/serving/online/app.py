"""The ASGI app: the champion of one model behind HTTP. `server` runs it as a process.

    POST /predict       one row or a list of rows                     key with scope `predict`
    GET  /version       version, digest, lineage of what answers      any key
    GET  /openapi.json  the document of what answers                  any key
    GET  /metrics       for Prometheus                                key with scope `admin`
    GET  /healthz       the process runs                              open
    GET  /readyz        there is a champion and it answers            open

Guarantees, each held by a test: what a client sends is never answered with a 500, a model that
breaks is; every refusal is JSON; without a file of keys only a local stack is served, to everybody
until there is one.
"""

import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlops_tasks.doors import is_local
from mlops_tasks.errors import MlopsError, SettingsError
from mlops_tasks.governance.residency import observed_region, refuse_misplaced
from mlops_tasks.serving.online.answers import Answers
from mlops_tasks.serving.online.endpoints import JSON, Endpoints
from mlops_tasks.serving.online.envelope import REQUEST_ID, Envelope, Receive, Scope, Send
from mlops_tasks.serving.online.keys import KeyRing, key_file
from mlops_tasks.serving.online.metrics import Metrics
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.online.problems import RequestRefused
from mlops_tasks.serving.online.slot import Slot
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings.schema import Settings, StackSettings

ROUTES = ("/predict", "/version", "/openapi.json", "/metrics", "/healthz", "/readyz")
_log = logging.getLogger(__name__)


def application(settings: Settings, options: Options | None = None) -> "Application":
    """The app that serves a project's champion.

    Parameters
    ----------
    settings
        Name the model, the registry, the store and the prediction log.
    options
        Limits and intervals; all defaults if not given.

    Raises
    ------
    SettingsError
        If there are no keys and the stack is not local.
    ResidencyRefused
        If the model's data may not be used here; that is on record.
    """
    options = options or Options()
    refuse_misplaced(settings)
    return Application(settings, options, key_ring(settings.stack, options))


def key_ring(stack: StackSettings, options: Options) -> KeyRing:
    """The keys of a server.

    Raises
    ------
    SettingsError
        If there are none and the stack is not local.
    """
    file = options.keys or key_file(stack)
    if file.exists():
        return KeyRing(file)
    if options.keys is None and is_local(stack):
        return KeyRing(file, open_without=True)
    raise SettingsError(
        "there are no API keys, so anybody could ask",
        where=str(file),
        next_step="`mlops keys add NAME --scope predict`",
    )


class Application:
    """The app around a slot; it opens and closes slot and log with its own life.

    Parameters
    ----------
    settings, options
        As for `application`.
    keys
        Who may ask.
    """

    def __init__(self, settings: Settings, options: Options, keys: KeyRing) -> None:
        self.failed: MlopsError | None = None
        self._settings = settings
        self._options = options
        self._keys = keys
        self._metrics = Metrics(ROUTES)
        self._starlette = Starlette(
            lifespan=self._life,
            exception_handlers={
                RequestRefused: _refused,
                HTTPException: _not_found,
                Exception: _failed,
            },
        )
        self._starlette.router.redirect_slashes = False
        self._envelope = Envelope(self._starlette, self._metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass the life of the app on."""
        await self._envelope(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _life(self, app: Starlette) -> AsyncIterator[None]:
        settings, options, metrics = self._settings, self._options, self._metrics
        try:
            log = open_log(settings)
        except MlopsError as error:
            self.failed = error  # an ASGI server tells nobody but its own log
            raise
        slot = Slot(settings.stack, settings.registered_model, options, metrics, log)
        answers = Answers(
            options,
            metrics,
            observed_region(settings.stack),
            log,
            waits_for_disk=not settings.serving.log.sync_seconds,
        )
        endpoints = Endpoints(slot, answers, self._keys, options, metrics)
        app.router.routes[:] = _routes(endpoints)
        slot.start()
        try:
            yield
        finally:
            # The order matters: whoever may still write to the log ends before it does.
            slot.stop()
            answers.close()
            log.close()


def _routes(endpoints: Endpoints) -> list[Route]:
    return [
        Route("/predict", endpoints.predict, methods=["POST"]),
        Route("/version", endpoints.version),
        Route("/openapi.json", endpoints.openapi),
        Route("/metrics", endpoints.metrics),
        Route("/healthz", endpoints.healthz),
        Route("/readyz", endpoints.readyz),
    ]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    body = error.body(request.scope[REQUEST_ID])
    return Response(body, error.status, error.headers, JSON)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = RequestRefused(error.status_code, "no_such_route", error.detail)
    body = refusal.body(request.scope[REQUEST_ID])
    return Response(body, error.status_code, dict(error.headers or {}), JSON)


async def _failed(request: Request, error: Exception) -> Response:
    request_id = request.scope[REQUEST_ID]
    _log.error("request %s failed", request_id)
    refusal = RequestRefused(500, "failed", "the server failed; its log says more")
    return Response(refusal.body(request_id), 500, media_type=JSON)

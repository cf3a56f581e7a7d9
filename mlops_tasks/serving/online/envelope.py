"""What surrounds every answer: request id, the version that made it, timing, and counting.

Each request gets an id of its own, `x-request-id`: it stands in the prediction log, and labels are
joined by it, so no client can make two records look like one. What a client sends under that name
comes back as `x-client-request-id`.

Guarantees, each held by a test: no two answers have the same id, whatever clients send; a client's
id is repeated only if it is short and plain, so nothing foreign gets into headers or logs.
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import Response

from mlops_tasks.serving.online.loading import Served
from mlops_tasks.serving.online.metrics import Metrics
from mlops_tasks.serving.online.problems import RequestRefused

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = "mlops.request_id"
SERVED = "mlops.served"
CROWDED = "mlops.crowded"
ALIVE = "/healthz"  # a server with much to do is not to be killed for it
GONE = 499  # nobody waited for the answer
_PLAIN = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ALWAYS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Envelope:
    """An ASGI app around another.

    Parameters
    ----------
    app
        Finds its request id in the scope, and leaves there the version that answered.
    metrics
        Where requests are counted.
    """

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass the life of the app on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = GONE
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        scope[REQUEST_ID] = request_id = uuid.uuid4().hex

        async def signed(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [*message["headers"], (b"x-request-id", request_id.encode()), *_ALWAYS]
                if _PLAIN.fullmatch(given):
                    more.append((b"x-client-request-id", given))
                served: Served | None = scope.get(SERVED)
                if served:
                    more.append((b"x-model-version", str(served.version).encode()))
                    more.append((b"x-model-digest", served.digest.encode()))
                message["headers"] = more
            await send(message)

        try:
            if scope.get(CROWDED) and scope["path"] != ALIVE:
                body = RequestRefused(503, "crowded", "too many connections").body(request_id)
                headers = {"retry-after": "1", "connection": "close"}
                await Response(body, 503, headers, "application/json")(scope, receive, signed)
                return
            await self._app(scope, receive, signed)
        finally:
            self._metrics.answered(scope["path"], status, time.perf_counter() - started)

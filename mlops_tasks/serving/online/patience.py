"""How long a connection may take over the head of a request, how large that may be, how many ask.

uvicorn has no limit for the first two (0.54), and answers with plain text beyond the third; bodies
are the affair of `limits`.

Guarantees, each held by a test: a connection that says nothing, or says it byte by byte, is closed;
one that sends headers without end is closed; a request on one connection too many is refused as all
refusals are, by the app, which finds `CROWDED` in its scope.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mlops_tasks.serving.online.envelope import CROWDED

if TYPE_CHECKING:
    from asyncio import TimerHandle

HEAD_SECONDS = 10.0
LARGEST_HEAD = 64 << 10


_Protocol: Any = AutoHTTPProtocol  # one of two classes, by what is installed


class PatientProtocol(_Protocol):  # type: ignore[misc]
    """uvicorn's own protocol with these two limits."""

    head_seconds = HEAD_SECONDS
    largest_head = LARGEST_HEAD
    _head_bytes = 0
    _head_timer: "TimerHandle | None" = None

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        app: Any = self.app
        most: int | None = self.limit_concurrency

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            if most is not None and len(self.connections) > most:
                scope[CROWDED] = True
            await app(scope, receive, send)

        self.app: Any = counted
        self.limit_concurrency: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is not complete has limits."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._head_bytes += len(data)
            if self._head_bytes > self.largest_head:
                self._give_up()
            elif self._head_timer is None:
                self._wait()
        elif self._head_timer is not None or self._head_bytes:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(self.head_seconds, self._give_up)

    def _rest(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._rest()
        if not self.transport.is_closing():
            self.transport.close()

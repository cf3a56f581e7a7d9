"""How long a connection may take over the head of a request, and how large that may be.

uvicorn has no limit for either (0.54); bodies are the affair of `limits`.

Guarantees, each held by a test: a connection that says nothing, or says it byte by byte, is closed;
one that sends headers without end is closed.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

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

"""How much a request may bring, and how long it may take; nothing is read beyond that.

Guarantees, each held by a test: of a body without a declared length no more than the limit is kept
in memory; its parts, the first one too, have one deadline in all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from mlops_tasks.serving.online.problems import RequestRefused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int, seconds: float
) -> bytes:
    """The whole body of a request.

    Raises
    ------
    RequestRefused
        If it is larger (413) or slower (408) than allowed.
    ClientGone
        If the client hung up.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    message = await _next(receive, seconds)
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    parts, size = [], 0
    while True:
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await _next(receive, deadline - loop.time())


async def _next(receive: Receive, seconds: float) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
    except TimeoutError as error:
        raise RequestRefused(408, "too_slow", "the body took too long to arrive") from error
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def _too_large(max_bytes: int) -> RequestRefused:
    return RequestRefused(413, "too_large", f"the body is larger than {max_bytes} bytes")

"""Waiting out a server that is unwell: again, later and later, with jitter, and not for ever.

An outage passes: the server answers 408, 425, 429 or 5xx, takes too long, or hangs up half way. So
does that of a PostgreSQL, which is away for a moment whenever it is started again. Anything else
does not: a refused connection (nobody is there), a missing bucket, missing rights.

Guarantees, each held by a test: what does not pass is reported at once; what may pass is tried
again for `MLOPS_RETRY_SECONDS` (45) and then reported as it was; nothing is tried again that is not
wrapped, so wrap only what may be done twice. The waiting is tenacity's.
"""

import os
from collections.abc import Callable, Iterator
from functools import wraps
from http import HTTPStatus
from typing import ParamSpec, TypeVar

SECONDS = "MLOPS_RETRY_SECONDS"
DEFAULT_SECONDS = 45.0
LONGEST_PAUSE = 5.0
# One attempt of a client should end well within the whole.
CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0

# SQLSTATEs of a PostgreSQL that ends, begins, or has lost us; an error without one is libpq's own.
AWAY = ("", "57P01", "57P02", "57P03", "08000", "08001", "08003", "08006")
UNWELL = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
# By name: requests, urllib3, botocore, aiohttp and httpx need not be loaded to tell.
SLOW = frozenset(
    {
        "Timeout",  # requests
        "TimeoutException",  # httpx
        "FSTimeoutError",  # fsspec
        "ServerTimeoutError",  # aiohttp
        "ConnectTimeoutError",  # urllib3, botocore
        "ReadTimeoutError",
        "ConnectionClosedError",  # botocore
        "IncompleteRead",
        "IncompleteReadError",
        "ResponseStreamingError",
        "ChunkedEncodingError",
        "ClientPayloadError",
        "ServerDisconnectedError",
        "ProtocolError",
        "RetryError",  # requests: its own patience ended at 5xx
        "RemoteDisconnected",
    }
)
ABSENT = frozenset(
    {
        "ConnectionRefusedError",
        "NewConnectionError",
        "NameResolutionError",
        "EndpointConnectionError",
        "ClientConnectorError",
        "ConnectError",
    }
)

P = ParamSpec("P")
R = TypeVar("R")


def read_seconds() -> float:
    """Seconds after which one request that nobody answers is given up."""
    return min(READ_SECONDS, max(1.0, budget() / 3))


def budget() -> float:
    """Seconds for which an unwell server is asked again; 0 turns that off."""
    try:
        return max(0.0, float(os.environ.get(SECONDS) or DEFAULT_SECONDS))
    except ValueError:
        return DEFAULT_SECONDS


def may_pass(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that a server is there but unwell."""
    chain = list(causes(error))
    if any(_is_away(each) for each in chain):
        return True
    names = {name.__name__ for each in chain for name in type(each).__mro__}
    if names & ABSENT:
        return False
    statuses = [status for each in chain if (status := _status(each)) is not None]
    if statuses:
        return any(status in UNWELL or status >= 500 for status in statuses)
    hung_up = (TimeoutError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
    return bool(names & SLOW) or any(isinstance(each, hung_up) for each in chain)


def patient(function: Callable[P, R]) -> Callable[P, R]:
    """The same function; while its server is unwell, it is called again.

    Parameters
    ----------
    function
        Doing it twice must come to the same as doing it once.
    """

    @wraps(function)
    def again(*args: P.args, **kwargs: P.kwargs) -> R:
        from tenacity import Retrying, retry_if_exception, stop_after_delay
        from tenacity import wait_random_exponential as jitter

        attempts = Retrying(
            retry=retry_if_exception(may_pass),
            stop=stop_after_delay(budget()),
            wait=jitter(multiplier=0.5, max=LONGEST_PAUSE),
            reraise=True,
        )
        return attempts(function, *args, **kwargs)

    return again


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, also where a library put that among its arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        waiting += [found for found in inner if isinstance(found, BaseException)]


def _is_away(error: BaseException) -> bool:
    """Whether a driver of PostgreSQL says that it lost the server or cannot get at it."""
    drivers = {
        kind.__module__.partition(".")[0]
        for kind in type(error).__mro__
        if kind.__name__ == "OperationalError"
    }
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    return bool(drivers & {"psycopg", "psycopg2"}) and state in AWAY


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error of botocore, requests, aiohttp, Azure or MLflow carries."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    elif type(error).__name__ == "RestException":  # MLflow's server; its client's own say 500 too
        found = error.get_http_status_code()  # type: ignore[attr-defined]
    else:
        found = getattr(response, "status_code", None) or getattr(error, "status_code", None)
        found = found or getattr(error, "code", None) or getattr(error, "status", None)
    return found if isinstance(found, int) and 100 <= found < 600 else None

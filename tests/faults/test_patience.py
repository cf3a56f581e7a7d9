"""What may pass and what does not, and that trying again is bounded."""

import http.client
import socket
import urllib.error
from collections.abc import Callable

import aiohttp
import botocore.exceptions as aws
import pytest
import requests
import urllib3.exceptions as low
from mlflow.exceptions import MlflowException, RestException

from mlops_tasks.patience import may_pass, patient


def answered(status: int) -> aws.ClientError:
    told = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(told, "PutObject")


def caused(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


def refused() -> Exception:
    found = requests.ConnectionError(
        low.MaxRetryError(None, "/", low.NewConnectionError(None, "refused"))  # type: ignore[arg-type]
    )
    return caused(MlflowException("API request failed"), found)


def of_requests(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


PASSES = [
    answered(500),
    answered(503),
    answered(429),
    answered(408),
    caused(OSError("internal error"), answered(500)),
    of_requests(502),
    RestException({"error_code": "INTERNAL_ERROR", "message": "x"}),
    RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "x"}),
    caused(MlflowException("failed"), requests.exceptions.RetryError("too many 500")),
    caused(MlflowException("failed"), requests.ReadTimeout()),
    aws.ReadTimeoutError(endpoint_url="x"),
    aws.ConnectTimeoutError(endpoint_url="x"),
    aws.ConnectionClosedError(endpoint_url="x"),
    requests.ConnectionError(low.ProtocolError("aborted", http.client.RemoteDisconnected())),
    urllib.error.HTTPError("x", 503, "x", {}, None),  # type: ignore[arg-type]
    urllib.error.URLError(TimeoutError()),
    aiohttp.ServerDisconnectedError(),
    ConnectionResetError(),
    TimeoutError(),
]
STAYS = [
    answered(403),
    answered(404),
    answered(301),
    caused(PermissionError("no"), answered(403)),
    caused(FileNotFoundError("no bucket"), answered(404)),
    of_requests(401),
    RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "x"}),
    RestException({"error_code": "PERMISSION_DENIED", "message": "x"}),
    MlflowException("No such artifact"),  # the client's own; it would say 500
    refused(),
    aws.EndpointConnectionError(endpoint_url="x"),
    aws.NoCredentialsError(),
    urllib.error.URLError(ConnectionRefusedError()),
    urllib.error.URLError(socket.gaierror()),
    OSError(28, "No space left on device"),
    FileNotFoundError("x"),
    ValueError("x"),
]


@pytest.mark.parametrize("error", PASSES, ids=repr)
def test_what_may_pass(error: Exception) -> None:
    assert may_pass(error)


@pytest.mark.parametrize("error", STAYS, ids=repr)
def test_what_does_not_pass(error: Exception) -> None:
    assert not may_pass(error)


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[int]]:
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "done"

    return call, calls


def test_it_is_called_again_until_it_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "60")
    call, calls = failing(2, answered(500))
    assert patient(call)() == "done"
    assert len(calls) == 3


def test_what_does_not_pass_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "3600")
    call, calls = failing(1, answered(403))
    with pytest.raises(aws.ClientError):
        patient(call)()
    assert len(calls) == 1


@pytest.mark.parametrize(("seconds", "least"), [("0", 1), ("0.6", 2)])
def test_it_ends_and_the_error_is_the_last_one(
    monkeypatch: pytest.MonkeyPatch, seconds: str, least: int
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", seconds)
    error = answered(500)
    call, calls = failing(10_000, error)
    with pytest.raises(aws.ClientError) as caught:
        patient(call)()
    assert caught.value is error
    assert least <= len(calls) < 100

"""What does not fit is refused with the name of what is wrong; nothing a client sends is a 500."""

import asyncio
import socket
import time
from collections.abc import Iterable
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol

from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.limits import read_body
from mlops_tasks.serving.online.patience import PatientProtocol
from mlops_tasks.serving.online.problems import RequestRefused
from tests.registry.life import Life
from tests.serving.online.conftest import QUICK, STILL, Running, placed, running, wait

GOOD = {"x": 0.25, "y": -0.5}


@pytest.mark.parametrize(
    ("body", "code", "field", "row"),
    [
        ({"x": 0.1}, "missing", "y", None),
        ([GOOD, {"y": 0.1}], "missing", "x", 1),
        (GOOD | {"z": 1}, "unknown", "z", None),
        ([GOOD, GOOD, GOOD | {"late": 1}], "unknown", "late", 2),
        (GOOD | {"x": "0.1"}, "invalid", "x", None),
        (GOOD | {"x": None}, "invalid", "x", None),
        (GOOD | {"x": True}, "invalid", "x", None),
        (GOOD | {"x": [0.1]}, "invalid", "x", None),
        (GOOD | {"x": {"y": 1}}, "invalid", "x", None),
        (GOOD | {"y": 1e39}, "invalid", "y", None),
        ([GOOD | {"y": -1e300}], "invalid", "y", 0),
        ([], "empty", None, None),
        ([GOOD] * 501, "too_many_rows", None, None),
        ([[0.1, 0.2]], "invalid", None, 0),
        ([None], "invalid", None, 0),
        (17, "invalid", None, None),
        ("rows", "invalid", None, None),
        ({}, "missing", "x", None),
        ({"rows": [GOOD]}, "unknown", "rows", None),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(
    server: Running, body: Any, code: str, field: str | None, row: int | None
) -> None:
    answer = httpx.post(f"{server.url}/predict", json=body)

    said = answer.json()
    assert (answer.status_code, said["code"], said["field"], said["row"]) == (422, code, field, row)
    assert said["message"]
    assert said["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"null", "invalid"),
        (b"{", "not_json"),
        (b'{"x": 0.1, "y": }', "not_json"),
        (b'{"x": NaN, "y": 1}', "not_json"),
        (b'{"x": Infinity, "y": 1}', "not_json"),
        (b'{"x": 1, "y": 1} trailing', "not_json"),
        (b"\x00\x01\x02", "not_json"),
        (b"[" * 30_000, "not_json"),
        (b'{"x": "\xff\xfe", "y": 1}', "not_utf8"),
    ],
)
def test_what_is_not_json_is_a_400(server: Running, body: bytes, code: str) -> None:
    answer = httpx.post(
        f"{server.url}/predict", content=body, headers={"content-type": "application/json"}
    )

    assert answer.status_code in (400, 422)
    if answer.status_code == 400:
        assert answer.json()["code"] == code
    else:
        assert answer.json()["code"] == "invalid"


def test_a_long_or_strange_name_of_a_column_is_not_thrown_back_whole(server: Running) -> None:
    answer = httpx.post(f"{server.url}/predict", json=GOOD | {"n" * 10_000: 1})

    assert answer.status_code == 422
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("PUT", "/predict", 405),
        ("POST", "/version", 405),
        ("GET", "/", 404),
        ("GET", "/predict/", 404),
        ("GET", "/docs", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_other_routes_and_methods_are_refused_as_json(
    server: Running, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, server.url + path)

    assert answer.status_code == status
    assert answer.json()["code"] == "no_such_route"


def test_another_type_of_content_is_a_415(server: Running) -> None:
    answer = httpx.post(f"{server.url}/predict", data={"x": "0.1"})

    assert (answer.status_code, answer.json()["code"]) == (415, "not_json")


def test_a_huge_body_is_refused_before_it_is_read(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(_head("Content-Length: 100000000"))
        assert b" 413 " in line.recv(4096)


def test_a_huge_body_without_a_length_is_refused_at_the_limit(server: Running) -> None:
    def parts() -> Any:
        for _ in range(1000):
            yield b" " * 1024

    try:
        answer = httpx.post(f"{server.url}/predict", content=parts())
        assert answer.status_code == 413
    except httpx.WriteError:  # the server hung up on what it does not read
        pass
    assert httpx.post(f"{server.url}/predict", json=GOOD).status_code == 200


def test_a_body_that_does_not_come_is_a_408_and_others_do_not_wait(trained: Life) -> None:
    from dataclasses import replace

    app = application(placed(trained), replace(STILL, body_seconds=0.5))
    with running(app) as found:
        wait(lambda: httpx.get(f"{found.url}/readyz").status_code == 200, "not ready")
        with socket.create_connection(("127.0.0.1", found.port)) as line:
            line.sendall(_head("Content-Length: 40") + b'{"x": ')
            assert httpx.post(f"{found.url}/predict", json=GOOD).status_code == 200
            line.settimeout(30)
            assert b" 408 " in line.recv(4096)


def test_a_trickling_body_has_one_deadline_in_all() -> None:
    """Each part comes in time; the whole does not."""

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(RequestRefused) as refused:
        asyncio.run(read_body(receive, {}, max_bytes=1 << 20, seconds=0.4))
    assert refused.value.status == 408


def test_the_first_part_of_a_body_has_no_deadline_of_its_own() -> None:
    parts = iter([(0.3, True), (0.3, False)])

    async def receive() -> dict[str, Any]:
        pause, more = next(parts)
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": b" ", "more_body": more}

    with pytest.raises(RequestRefused) as refused:
        asyncio.run(read_body(receive, {}, max_bytes=10, seconds=0.5))
    assert refused.value.status == 408


class Hasty(PatientProtocol):
    head_seconds = 0.3
    largest_head = 8 << 10


class HastyH11(PatientProtocol, H11Protocol):
    head_seconds = 0.3
    largest_head = 8 << 10


@pytest.fixture(scope="module", params=[Hasty, HastyH11])
def hasty(request: pytest.FixtureRequest, trained: Life) -> Any:
    with running(application(placed(trained), STILL), request.param) as found:
        yield found


def test_a_connection_that_says_nothing_is_closed(hasty: Running) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as line:
        line.settimeout(30)
        assert line.recv(100) == b""


def test_a_head_that_trickles_is_closed_also_after_a_good_request(hasty: Running) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as line:
        line.settimeout(30)
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in line.recv(4096)
        letters = b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"x" * 2000
        assert is_cut_off(line, (bytes([letter]) for letter in letters), pause=0.02)


def test_endless_headers_are_closed(hasty: Running) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as line:
        line.settimeout(30)
        line.sendall(b"GET /healthz HTTP/1.1\r\n")
        headers = (f"X-{number}: {'x' * 100}\r\n".encode() for number in range(100_000))
        assert is_cut_off(line, headers)


def test_a_slow_request_in_time_is_answered(hasty: Running) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as line:
        line.settimeout(30)
        for _ in range(3):
            line.sendall(b"GET /healthz HTTP/1.1\r\n")
            time.sleep(0.05)
            line.sendall(b"Host: x\r\n\r\n")
            answer = HTTPResponse(line)
            answer.begin()
            assert (answer.status, len(answer.read()) > 0) == (200, True)


@pytest.mark.parametrize("protocol", [Hasty, HastyH11])
def test_one_connection_too_many_is_refused_like_all_else(trained: Life, protocol: Any) -> None:
    class Patient(protocol):  # type: ignore[misc]
        head_seconds = 60.0

    app = application(placed(trained), STILL)
    with running(app, Patient, connections=2) as found, found.client() as client:
        wait(lambda: client.get("/readyz").status_code == 200, "not ready")
        with (
            socket.create_connection(("127.0.0.1", found.port)),
            socket.create_connection(("127.0.0.1", found.port)),
        ):
            wait(lambda: client.get("/readyz").status_code == 503, "nobody is refused")
            answer = client.post("/predict", json=GOOD)
            said = answer.json()
            assert (answer.status_code, said["code"]) == (503, "crowded")
            assert said["request_id"] == answer.headers["x-request-id"]
            assert answer.headers["retry-after"]
            assert client.get("/healthz").status_code == 200
        wait(lambda: client.get("/readyz").status_code == 200, "it stays refused")
        assert 'route="/predict",status="503"' in client.get("/metrics").text


def test_without_a_champion_it_starts_and_is_not_ready(tmp_path: Any) -> None:
    life = Life(tmp_path)
    with running(application(placed(life), QUICK)) as found, found.client() as client:
        wait(lambda: "no champion" in client.get("/readyz").json()["reason"], "no reason")
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        for answer in (client.post("/predict", json=GOOD), client.get("/version")):
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.headers["retry-after"]


def is_cut_off(line: socket.socket, parts: Iterable[bytes], pause: float = 0.0) -> bool:
    try:
        for part in parts:
            line.sendall(part)
            time.sleep(pause)
    except OSError:  # reset or broken pipe, as the system likes
        return True
    return False


def _head(*more: str) -> bytes:
    lines = ["POST /predict HTTP/1.1", "Host: x", "Content-Type: application/json", *more, "", ""]
    return "\r\n".join(lines).encode()


def test_the_document_is_what_the_server_does(server: Running) -> None:
    """Every operation of the OpenAPI document, with good and bad input: no 5xx, no surprise."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings

    document = httpx.get(f"{server.url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()
        takes_input = operation.path == "/predict"  # nothing can be wrong with the others
        for mode in list(schemathesis.GenerationMode)[: 1 + takes_input]:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=60,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: Any) -> None:
                answer = case.call(base_url=server.url)
                asked.append((case.path, answer.status_code))
                assert answer.status_code < 500, answer.text
                case.validate_response(answer)

            ask()
    assert {path for path, _ in asked} == set(document["paths"])
    assert {status for path, status in asked if path == "/predict"} >= {200, 422}

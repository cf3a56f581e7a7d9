"""The limits of a server are options of `mlops serve`, and hold in its process."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_tasks.cli import app
from tests.registry.life import Life
from tests.serving.online.conftest import Running, wait
from tests.serving.online.production import started

GOOD = {"x": 0.25, "y": -0.5}


def asked(server: Running, rows: int) -> tuple[int, str]:
    answer = server.ask("POST", "predict", json=[GOOD] * rows)
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.slow
def test_what_a_request_may_bring_is_said_by_options(trained: Life, tmp_path: Path) -> None:
    words = ["serve", "--port", "0", "--max-rows", "3", "--max-bytes", "200"]
    words += ["--body-seconds", "0.5", "--max-connections", "2"]
    with started(trained, words, tmp_path) as server:
        server.wait_for(2)
        assert asked(server, 3) == (200, "")
        assert asked(server, 4) == (422, "too_many_rows")
        assert asked(server, 20) == (413, "too_large")
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: 40\r\n\r\n".encode())
            line.settimeout(8)  # sooner than by default
            assert b" 408 " in line.recv(4096)
        with (
            socket.create_connection(("127.0.0.1", server.port)),
            socket.create_connection(("127.0.0.1", server.port)),
        ):
            wait(lambda: asked(server, 1) == (503, "crowded"), "nobody is refused")
        wait(lambda: asked(server, 1) == (200, ""), "it stays refused")


@pytest.mark.slow
def test_how_long_a_model_may_take_is_said_by_an_option(trained: Life, tmp_path: Path) -> None:
    words = ["serve", "--port", "0", "--max-rows", "100000", "--max-bytes", "10000000"]
    with started(trained, [*words, "--predict-seconds", "0.001"], tmp_path) as server:
        server.wait_for(2)
        assert asked(server, 1) == (200, "")
        assert asked(server, 50_000) == (503, "too_slow")
    with started(trained, words, tmp_path) as server:
        server.wait_for(2)
        assert asked(server, 50_000) == (200, "")


def test_help_says_units_and_defaults() -> None:
    said = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    for option, unit, default in (
        ("--max-rows", "rows", "1000"),
        ("--max-bytes", "bytes", "2097152"),
        ("--body-seconds", "seconds", "10.0"),
        ("--predict-seconds", "seconds", "10.0"),
        ("--max-connections", "connections", "1000"),
    ):
        [line] = [line for line in said.splitlines() if option in line]
        assert unit in line.partition(option)[2]
        assert f"default: {default}" in line

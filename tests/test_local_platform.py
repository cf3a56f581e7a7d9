"""Commands find a platform that runs in the background, and are not misled by one that does not."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks.local_platform import API, FOLDER, KEY, KEY_FILE, RECORD, identity, look

POSTGRES = {"MLOPS_TRACKING_URI": "postgresql://mlflow", "MLOPS_LEDGER_URI": "postgresql://ledger"}
SERVER = """
import socket
with socket.socket() as listening:
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    while True:
        listening.accept()[0].close()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    """Something that listens, and how the record would tell of it."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield {
            "name": "prefect",
            "pid": process.pid,
            "started": identity(process.pid),
            "address": f"http://127.0.0.1:{port}",
        }
        process.kill()


def recorded(home: Path, *services: object, **more: object) -> Path:
    (home / FOLDER).mkdir(parents=True)
    record = {"format": 1, "services": services, "clients": {}, "database": "sqlite"} | more
    (home / FOLDER / RECORD).write_text(json.dumps(record))
    (home / FOLDER / KEY_FILE).write_text("mlops:secret\n")
    return home


def test_without_a_record_nothing_is_said(tmp_path: Path) -> None:
    assert look(tmp_path, {}) == look(tmp_path / "none", {})
    assert (dict(look(tmp_path, {}).variables), look(tmp_path, {}).complaint) == ({}, "")


def test_one_that_runs_is_found_with_its_key(tmp_path: Path, server: dict[str, Any]) -> None:
    found = look(recorded(tmp_path, server), {})
    assert found.variables == {API: f"{server['address']}/api", KEY: "mlops:secret"}
    assert found.complaint == ""


def test_an_address_that_the_user_has_set_is_left_alone(
    tmp_path: Path, server: dict[str, Any]
) -> None:
    """And no key goes there that was not made for it."""
    home = recorded(tmp_path, server, clients=POSTGRES)
    mine = {API: "https://team.example.org/api", "MLOPS_LEDGER_URI": "postgresql://mine"}
    found = look(home, mine)
    assert found.variables == {"MLOPS_TRACKING_URI": "postgresql://mlflow"}
    assert found.complaint == ""


@pytest.mark.parametrize(
    "other", [{"pid": 2**30}, {"started": "another boot:1"}, {"started": ""}, {"pid": os.getpid()}]
)
def test_a_dead_one_is_ignored_in_one_sentence(
    tmp_path: Path, server: dict[str, Any], other: dict[str, Any]
) -> None:
    """Also where its number is somebody else's by now, and its port answers."""
    found = look(recorded(tmp_path, server | other), {})
    assert found.variables == {}
    assert "mlops up" in found.complaint
    assert "\n" not in found.complaint


def test_one_that_does_not_answer_is_ignored(tmp_path: Path, server: dict[str, Any]) -> None:
    found = look(recorded(tmp_path, server | {"address": "http://127.0.0.1:9"}), {})
    assert found.variables == {}
    assert "does not answer" in found.complaint


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"services": [{"name": "prefect"}]}', '{"services": [3]}']
)
def test_a_spoilt_record_is_no_record(tmp_path: Path, text: str) -> None:
    (recorded(tmp_path) / FOLDER / RECORD).write_text(text)
    assert look(tmp_path, {}).variables == {}


def test_a_history_in_postgresql_is_never_continued_in_a_file(
    tmp_path: Path, server: dict[str, Any]
) -> None:
    for number, services in enumerate([(), (server,), (server | {"started": "dead"},)]):
        home = recorded(tmp_path / str(number), *services, clients=POSTGRES, database="embedded")
        assert look(home, {}).variables.items() >= POSTGRES.items()
    for environment in ({}, POSTGRES):  # before and after the addresses were set
        assert "is stopped" in look(tmp_path / "0", environment).complaint


def test_after_a_stop_nothing_is_said(tmp_path: Path) -> None:
    found = look(recorded(tmp_path), {})
    assert (found.variables, found.complaint) == ({}, "")


IMPORTED = """
import os, sys, mlops_tasks
print(os.environ.get("PREFECT_API_URL"), os.environ.get("PREFECT_API_AUTH_STRING"))
print(sorted({"psutil", "http.client", "urllib.request", "sqlalchemy", "rich"} & set(sys.modules)))
"""


def test_importing_the_library_finds_it_and_loads_nothing_for_that(
    tmp_path: Path, server: dict[str, Any]
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = kept | {"MLOPS_HOME": str(recorded(tmp_path, server))}
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{server['address']}/api mlops:secret\n[]\n"
    assert done.stderr == ""


SKEWED = """
import datetime, time
real = time.time
time.time = lambda: real() + 3600
time.time_ns = lambda: int(time.time() * 1e9)
"""


def test_a_clock_that_is_an_hour_wrong_changes_nothing(
    tmp_path: Path, server: dict[str, Any]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SKEWED)
    home = recorded(tmp_path / "home", server)
    code = f"import time; from pathlib import Path; from mlops_tasks.local_platform import *; \
print(time.time(), sorted(look(Path({str(home)!r}), {{}}).variables))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    clock, found = done.stdout.decode().split(" ", 1)
    assert float(clock) > time.time() + 3000
    assert found == f"['{KEY}', '{API}']\n"

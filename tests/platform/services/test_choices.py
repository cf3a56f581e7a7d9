"""Ports, databases, programs and the lock: what is chosen, and what is refused."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.environment import TELEMETRY_OFF
from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import identity
from mlops_tasks.platform.services import database, ports, programs
from mlops_tasks.platform.services.locking import alone
from mlops_tasks.platform.services.readiness import Ended, wait
from mlops_tasks.platform.services.record import Service
from mlops_tasks.settings.addresses import carries_secret
from mlops_tasks.settings.residency import is_within

URL = "postgresql://ada@db.example.org:5433/mlops"
CANARY = "kQ7-canary"


@pytest.fixture
def taken() -> "socket.socket":
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def test_a_port_that_was_asked_for_and_is_taken_is_named(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    with pytest.raises(PlatformError, match=str(port)):
        ports.choose("prefect", asked=port, had=None)


def test_a_port_that_was_had_is_kept_if_it_is_free(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    assert ports.choose("prefect", asked=None, had=port) != port
    taken.close()
    assert ports.choose("prefect", asked=None, had=port) == port
    assert ports.choose("prefect", asked=port, had=None) == port


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ada:{CANARY}@db/mlops",
        f"postgres://ada:{CANARY}@db/mlops",
        f"postgresql://ada:p@{CANARY}@db/mlops",
        f"postgresql://db/mlops?password={CANARY}",
        f"postgresql://db/mlops?sslpassword={CANARY}",
        f"mysql://ada:{CANARY}@db/mlops",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(PlatformError) as caught:
        database.require_usable(url)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://db", "postgresql://db/a b", "postgresql://db/a/b", "x"]
)
def test_an_address_without_a_database_is_refused(url: str) -> None:
    with pytest.raises(PlatformError):
        database.require_usable(url)


@given(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True),
    st.sampled_from(["", "?sslmode=require", "?host=/run/my%20folder"]),
)
def test_three_programs_never_share_a_database(name: str, query: str) -> None:
    from sqlalchemy import make_url

    url = database.require_usable(f"postgres://ada@db/{name}{query}")
    found = database.postgres(url)
    addresses = [make_url(each) for each in (found.prefect, found.mlflow, *found.clients.values())]
    assert {each.database for each in addresses} == set(database.names(url))
    assert len(database.names(url)) == 3
    assert {each.username for each in addresses} == {"ada"}
    assert len({tuple(each.query.items()) for each in addresses}) == 1


def test_addresses_of_a_socket_can_be_read_and_carry_no_secret() -> None:
    from sqlalchemy import make_url

    found = database.postgres(database.on_socket(Path("/home/ada lovelace/.mlops/postgres")))
    for address in (found.prefect, found.mlflow, *found.clients.values()):
        assert make_url(address).query["host"] == "/home/ada lovelace/.mlops/postgres"
        assert not carries_secret(address)


def test_residency_takes_a_socket_in_a_folder_for_that_folder(tmp_path: Path) -> None:
    uri = database.postgres(database.on_socket(tmp_path / "postgres")).mlflow
    assert is_within(uri, str(tmp_path))
    assert not is_within(uri, str(tmp_path / "other"))
    assert not is_within(uri, "postgresql://")


@pytest.mark.parametrize(
    "query", ["host=us.example.org", "hostaddr=10.0.0.1", "host=/run", "service=us"]
)
def test_residency_sees_the_server_that_the_query_names(query: str) -> None:
    """Drivers prefer it: `postgresql://eu/db?host=us` is in the US."""
    assert is_within("postgresql://eu.example.org/db", "postgresql://eu.example.org")
    assert not is_within(f"postgresql://eu.example.org/db?{query}", "postgresql://eu.example.org")


def all_programs(inherited: dict[str, str]) -> list[programs.Program]:
    addresses = database.postgres(URL)
    api = {"PREFECT_API_URL": "http://127.0.0.1:1/api", "PREFECT_API_AUTH_STRING": CANARY}
    return [
        programs.prefect(1, addresses, CANARY, inherited),
        programs.mlflow(2, addresses, Path("/home/ada/.mlops"), inherited),
        programs.worker(3, "name", api, inherited),
    ]


def test_no_secret_is_on_a_command_line_or_shown() -> None:
    for program in all_programs({"PGPASSWORD": CANARY}):
        assert CANARY not in " ".join(program.command)
        assert CANARY not in repr(program)
        assert program.environment["PGPASSWORD"] == CANARY


def test_everything_listens_on_this_machine_only_and_sends_no_usage_data() -> None:
    prefect, mlflow, worker = all_programs({})
    for program in (prefect, mlflow):
        assert program.command[program.command.index("--host") + 1] == "127.0.0.1"
    assert worker.environment["PREFECT_WORKER_WEBSERVER_HOST"] == "127.0.0.1"
    for program in (prefect, mlflow, worker):
        assert TELEMETRY_OFF.items() <= program.environment.items()


def test_the_addresses_of_another_platform_are_not_inherited() -> None:
    other = {
        "PREFECT_API_URL": "http://other",
        "PREFECT_API_KEY": "other",
        "PREFECT_SERVER_API_HOST": "other",
        "MLFLOW_TRACKING_URI": "http://other",
        "MLOPS_TRACKING_URI": "http://other",
        "MLOPS_LEDGER_URI": "http://other",
    }
    for program in all_programs(other):
        assert "other" not in str(sorted(program.environment.values()))


HOLDER = """
import sys, time
from pathlib import Path
from mlops_tasks.platform.services.locking import alone
with alone(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lock_keeps_others_out_and_a_dead_holder_does_not(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waited: list[int] = []
        with pytest.raises(PlatformError), alone(tmp_path, lambda: waited.append(1), seconds=0.3):
            pass
        assert waited == [1]
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert (tmp_path / "lock").exists()
    waited.clear()
    with alone(tmp_path, lambda: waited.append(1), seconds=5):
        assert waited == []


def service(pid: int, log: Path) -> Service:
    return Service(
        "mlflow", pid, identity(pid), "", "http://127.0.0.1:9", "http://127.0.0.1:9", str(log)
    )


def test_a_process_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("address already in use")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"])
    with pytest.raises(Ended, match="address already in use"):
        wait(service(child.pid, log))
    child.wait()


def test_a_process_that_does_not_become_ready_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="not ready") as caught:
        wait(service(os.getpid(), tmp_path / "none"), seconds=0.5)
    assert "mlops logs mlflow" in caught.value.next_step
    assert not isinstance(caught.value, Ended)


def test_somebody_elses_answer_does_not_count(tmp_path: Path) -> None:
    """The port answers, but the process that was started for it is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    gone = service(child.pid, tmp_path / "log")
    child.wait()
    with pytest.raises(Ended):
        wait(gone, lambda _: True)

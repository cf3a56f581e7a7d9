"""The platform as a person meets it: up, found, killed, repaired, down. With real servers."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from mlops_tasks.local_platform import FOLDER, RECORD, identity, read_key
from tests.platform.services.conftest import MLOPS, Home, command_lines

pytestmark = pytest.mark.slow

FLOW = """
import mlops_tasks
import os, sys, time
from pathlib import Path
from prefect import flow, task

@task
def step(number):
    time.sleep(0.5)
    return number

@flow
def count(steps: int):
    done = 0
    for number in range(steps):
        done += step(number) >= 0
        print("step", number, flush=True)
    return done

print("done", count(int(sys.argv[1])), os.environ["PREFECT_API_URL"])
"""
DEPLOYED = """
import json, os
from pathlib import Path
from prefect import flow

@flow
def note():
    home = Path(os.environ["MLOPS_HOME"])
    (home / "ran.json").write_text(json.dumps([str(home), os.environ["PREFECT_API_URL"]]))
"""
DEPLOY = """
import mlops_tasks
import sys
from prefect import flow
from prefect.deployments import run_deployment

if __name__ == "__main__":
    note = flow.from_source(source=sys.argv[1], entrypoint="flows.py:note")
    note.deploy(name="it", work_pool_name="local", print_next_steps=False)
    print(run_deployment("note/it", timeout=240, poll_interval=1).state.type.value)
"""
RUNS = """
import mlops_tasks
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print([run.state.type.value for run in client.read_flow_runs()])
"""


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Home]) -> Home:
    """A platform on SQLite that was started by two commands at once."""
    home = new_home()
    starts = [
        subprocess.Popen(
            [*MLOPS, "up", "--json"], env=home.environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    answers = [start.communicate(timeout=400)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0]
    assert json.loads(answers[0]) == json.loads(answers[1])
    return home


def finished(process: "subprocess.Popen[str]") -> str:
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return out


def test_two_at_once_make_one_platform(home: Home) -> None:
    assert {each["state"] for each in home.status().values()} == {"ready"}
    for name, pid in home.pids().items():
        assert leaders(home, name) == [pid]


def test_again_it_changes_nothing(home: Home) -> None:
    before = home.pids()
    home.mlops("up")
    assert home.pids() == before


def test_strangers_are_turned_away(home: Home) -> None:
    address = home.status()["prefect"]["address"]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{address}/api/flows/count", data=b"{}", timeout=10)


def test_no_key_is_shown(home: Home) -> None:
    """Not by commands, in logs, in the record or in the list of processes."""
    key = read_key(home.path)
    said = [home.mlops("status").stdout, home.mlops("status", "--json").stdout]
    said += [home.mlops("logs", "--lines", "1000").stdout, home.mlops("up").stderr]
    said += [(home.path / FOLDER / RECORD).read_text(), *command_lines()]
    assert len(key) > 30
    assert all(key.partition(":")[2] not in each for each in said)


def test_a_flow_finds_it_and_so_does_prefect(home: Home) -> None:
    said = finished(home.python(FLOW, "1"))
    assert f"done 1 {home.status()['prefect']['address']}/api" in said
    shell = f'eval "$({" ".join(MLOPS)} status --export)" && python -m prefect flow-run ls'
    environment = home.environment | {"PREFECT_HOME": str(home.path / "elsewhere")}
    path = f"{os.path.dirname(MLOPS[0])}:{home.environment['PATH']}"
    listed = subprocess.run(
        ["bash", "-c", shell], env=environment | {"PATH": path}, capture_output=True, text=True
    )
    assert "count" in listed.stdout, listed.stderr


def test_a_server_that_is_killed_is_noticed_ignored_and_repaired(home: Home) -> None:
    before = home.status()
    os.kill(before["prefect"]["pid"], signal.SIGKILL)
    asked = home.mlops("status", check=False)
    assert (asked.returncode, "dead" in asked.stdout) == (3, True)
    train = home.mlops("config", check=False)
    assert train.stderr.count("`mlops up` repairs it") == 1
    home.mlops("up")
    after = home.status()
    assert {each["state"] for each in after.values()} == {"ready"}
    assert after["prefect"]["address"] == before["prefect"]["address"]
    assert after["prefect"]["pid"] != before["prefect"]["pid"]
    assert after["mlflow"]["pid"] == before["mlflow"]["pid"]


def test_what_killed_servers_leave_behind_is_cleared(home: Home) -> None:
    """MLflow's children go on listening when their parent is killed."""
    before = home.status()
    for name in ("mlflow", "worker"):
        os.kill(before[name]["pid"], signal.SIGKILL)
    home.mlops("up")
    after = home.status()
    assert {each["state"] for each in after.values()} == {"ready"}
    assert after["mlflow"]["address"] == before["mlflow"]["address"]
    assert after["prefect"]["pid"] == before["prefect"]["pid"]


def test_its_worker_runs_what_is_deployed(home: Home) -> None:
    """With the environment that a flow needs to find home and server."""
    (home.path / "flows.py").write_text(DEPLOYED)
    said = finished(home.python(DEPLOY, str(home.path)))
    assert "COMPLETED" in said
    ran = json.loads((home.path / "ran.json").read_text())
    assert ran == [str(home.path), f"{home.status()['prefect']['address']}/api"]


def test_one_that_hangs_is_started_again(home: Home) -> None:
    before = home.pids()["mlflow"]
    for pid in marked(f"mlflow@{home.path}"):
        os.kill(pid, signal.SIGSTOP)
    home.mlops("up")
    assert home.status()["mlflow"]["state"] == "ready"
    assert home.pids()["mlflow"] != before


def test_a_port_that_is_taken_meanwhile_is_given_up(home: Home) -> None:
    before = home.status()["prefect"]["address"]
    home.mlops("down")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(before.rpartition(":")[2])))
        other.listen()
        home.mlops("up")
        assert home.status()["prefect"]["address"] != before
    assert "done 1" in finished(home.python(FLOW, "1"))


def test_a_flow_survives_the_restart_of_its_server(home: Home) -> None:
    """Killed in the middle, and back half a minute later: Prefect's client waits for it."""
    flow = home.python(FLOW, "6")
    assert flow.stdout is not None
    while "step 1" not in flow.stdout.readline():
        assert flow.poll() is None
    os.kill(home.pids()["prefect"], signal.SIGKILL)
    home.mlops("up")
    assert "done 6" in finished(flow)
    assert "RUNNING" not in finished(home.python(RUNS))


def test_down_ends_everything_and_again_does_nothing(home: Home) -> None:
    pids = home.pids()
    flow = home.python("import time; time.sleep(600)")
    said = home.mlops("down").stderr
    assert "stopped" in said
    assert not any(identity(pid) for pid in pids.values())
    assert not [each for name in pids for each in marked(f"{name}@{home.path}")]
    assert flow.poll() is None
    flow.kill()
    flow.communicate()
    assert "nothing was running" in home.mlops("down").stderr
    assert home.mlops("status", check=False).returncode == 1


def test_a_port_that_is_asked_for_and_taken_is_named_and_nothing_is_left(home: Home) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        done = home.mlops("up", "--port-base", str(taken - 1), check=False)
    assert done.returncode == 1
    assert f"port {taken}" in done.stderr
    assert home.mlops("status", check=False).returncode == 1
    assert not marked(f"prefect@{home.path}")


def test_a_start_that_is_killed_is_taken_over(home: Home) -> None:
    start = subprocess.Popen([*MLOPS, "up"], env=home.environment, stderr=subprocess.DEVNULL)
    while not marked(f"mlflow@{home.path}"):
        assert start.poll() is None
        time.sleep(0.05)
    start.kill()
    start.wait()
    home.mlops("up")
    assert {each["state"] for each in home.status().values()} == {"ready"}
    for name, pid in home.pids().items():
        assert leaders(home, name) == [pid]


def leaders(home: Home, name: str) -> list[int]:
    """The processes of a service that nobody but `up` started."""
    return [pid for pid in marked(f"{name}@{home.path}") if os.getsid(pid) == pid]


def marked(mark: str) -> list[int]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and process.environ().get("MLOPS_SERVICE") == mark:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found

"""The Prefect server is killed while a worker runs a training; it comes back, the run finishes."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_tasks.environment import defaults
from mlops_tasks.platform.local_server import free_port
from tests.conftest import Generated
from tests.deployments.conftest import asked, reigns, start, state, states, until, worker
from tests.deployments.test_killed import attempts, held, holding

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
__all__ = ["held"]  # a fixture


def prefect_server(home: Path, port: int) -> "subprocess.Popen[bytes]":
    """A server on a given port, with what an earlier one left in its home."""
    home.mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{port}/api"
    environment = {**defaults(), **os.environ, "PREFECT_HOME": str(home)}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env=environment,
        stdout=(home / "server.log").open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until("the server does not start", lambda: answers(f"{url}/health"), 180)
    return process


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


def kill(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_outlives_its_server(held: Generated, tmp_path: Path) -> None:
    port = free_port()
    home = tmp_path / "server"
    server = prefect_server(home, port)
    api = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    here = replace(held, environment=held.environment | api)
    pool = here.environment["POOL"]
    before = len(reigns(held))
    try:
        here.run("prefect", "work-pool", "create", pool, "--type", "process")
        here.run("prefect", "--no-prompt", "deploy", "--all")
        with holding(here) as let_go, worker(here, pool, tmp_path / "worker.log"):
            run = start(here, "train/flight-delay", ["model=held", "seed=11"])
            until("no fit", lambda: attempts(here))
            kill(server)
            let_go()  # the next step needs a server that is not there
            time.sleep(5)
            server = prefect_server(home, port)
            ended = ("Completed", "Failed", "Crashed")
            until("it does not end", lambda: state(here, run) in ended, 240)
            log = (tmp_path / "worker.log").read_text()[-3000:]
            assert state(here, run) == "Completed", log
            assert states(here, run).count("Running") == 1, "it went on, and did not begin again"
            assert asked(here, f"flow_runs/{run}")["run_count"] == 1
    finally:
        kill(server)
    assert len(reigns(held)) == before + 1

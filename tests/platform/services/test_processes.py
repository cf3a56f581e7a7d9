"""Background processes: found again, ended with all they started, and nobody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from mlops_tasks.local_platform import identity, lives
from mlops_tasks.platform.services.processes import MARK, end, end_one, start

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen({SLEEP!r}, start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
START = """
import os
from pathlib import Path
from mlops_tasks.platform.services.processes import start
print(*start({command!r}, dict(os.environ), mark={mark!r}, log=Path({log!r})))
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); \
time.sleep(600)"

FORGETFUL = """
import os, signal, sys, time
def go(*_):
    os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(2)"], {})
signal.signal(signal.SIGTERM, go)
print(1, flush=True)
time.sleep(600)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    name = f"test-{uuid4().hex}"
    yield name
    end(name, seconds=2)


def launched(command: list[str], mark: str, log: Path) -> tuple[int, str]:
    return start(command, dict(os.environ), mark=mark, log=log)


def said(log: Path) -> str:
    for _ in range(200):
        if log.exists() and (text := log.read_text()):
            return text
        time.sleep(0.05)
    raise AssertionError("it said nothing")


def test_it_is_in_a_session_of_its_own(mark: str, tmp_path: Path) -> None:
    pid, started = launched(SLEEP, mark, tmp_path / "log")
    assert lives(pid, started)
    assert os.getsid(pid) == pid != os.getsid(0)


def test_it_outlives_the_command_that_started_it(mark: str, tmp_path: Path) -> None:
    code = START.format(command=SLEEP, mark=mark, log=str(tmp_path / "log"))
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    pid, started = done.stdout.split()
    assert done.stderr == ""
    assert lives(int(pid), started)


def test_what_it_started_ends_with_it_even_in_another_session(mark: str, tmp_path: Path) -> None:
    pid, started = launched([sys.executable, "-c", PARENT], mark, tmp_path / "log")
    child = int(said(tmp_path / "log"))
    end(mark)
    assert not lives(pid, started)
    assert not identity(child)


def test_what_a_killed_one_left_behind_is_found(mark: str, tmp_path: Path) -> None:
    pid, _ = launched([sys.executable, "-c", PARENT], mark, tmp_path / "log")
    child = int(said(tmp_path / "log"))
    os.kill(pid, signal.SIGKILL)
    end(mark)
    assert not identity(child)


def test_one_that_does_not_listen_is_killed(mark: str, tmp_path: Path) -> None:
    pid, started = launched([sys.executable, "-c", DEAF], mark, tmp_path / "log")
    said(tmp_path / "log")
    end(mark, seconds=0.5)
    assert not lives(pid, started)


def test_one_that_loses_its_mark_on_its_way_out_is_waited_for(mark: str, tmp_path: Path) -> None:
    """As every process does: the kernel frees its environment before it is gone."""
    pid, started = launched([sys.executable, "-c", FORGETFUL], mark, tmp_path / "log")
    said(tmp_path / "log")
    end(mark)
    assert not lives(pid, started)


def test_others_are_left_alone(mark: str, tmp_path: Path) -> None:
    """Also those whose mark begins in the same way."""
    other = f"{mark}-2"
    pid, started = launched(SLEEP, other, tmp_path / "log")
    try:
        end(mark)
        assert lives(pid, started)
    finally:
        end(other)


def test_a_reused_number_is_not_signalled(mark: str, tmp_path: Path) -> None:
    pid, started = launched(SLEEP, mark, tmp_path / "log")
    end_one(pid, started + "1", signal.SIGKILL)
    assert lives(pid, started)
    end_one(pid, started, signal.SIGTERM)
    assert not lives(pid, started)


def test_a_dead_child_that_nobody_has_waited_for_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    for _ in range(200):
        if psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert identity(child.pid) == ""
    child.wait()


def test_an_identity_does_not_change_and_is_nobody_elses() -> None:
    assert identity(os.getpid()) == identity(os.getpid()) != ""
    assert identity(os.getpid()) != identity(os.getppid())
    assert identity(2**30) == ""


def test_a_large_log_is_put_aside(mark: str, tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("wb") as stream:
        stream.truncate(6_000_000)
    launched([sys.executable, "-c", "print('new')"], mark, log)
    assert said(log) == "new\n"
    assert (tmp_path / "service.log.1").stat().st_size == 6_000_000


def test_the_mark_is_the_only_thing_added_to_the_environment(mark: str, tmp_path: Path) -> None:
    code = "import os; print(sorted(os.environ))"
    start([sys.executable, "-c", code], {"A": "1"}, mark=mark, log=tmp_path / "log")
    assert set(eval(said(tmp_path / "log"))) <= {"A", MARK, "LC_CTYPE"}

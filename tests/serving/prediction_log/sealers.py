"""The processes that seal, seen from outside."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from mlops_tasks.serving.prediction_log.sealing_process import ENTRY


def eventually(condition: Callable[[], object], complaint: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.005)


def sealers(folder: Path) -> list[int]:
    """The processes that seal a log in this folder."""
    listed = subprocess.check_output(["ps", "-ewwo", "pid=,args="], text=True)
    lines = [line.split(maxsplit=1) for line in listed.splitlines()]
    return [int(pid) for pid, command in lines if ENTRY in command and str(folder) in command]

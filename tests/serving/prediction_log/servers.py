"""Processes that log answers and say so over a pipe, made to be killed."""

import contextlib
import multiprocessing
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from mlops_tasks.serving.prediction_log.writer import open_log
from tests.serving.prediction_log.answers import answered, settings_in

FORKS = multiprocessing.get_context("forkserver")  # forks a process that only imported
FORKS.set_forkserver_preload(
    [__name__, "msgspec", "filelock", "upath", "sqlalchemy", "skops.io", "pyarrow.parquet"]
)


@dataclass(frozen=True)
class Server:
    """`said` grows by the id of every record whose `append` returned."""

    process: BaseProcess
    listener: threading.Thread
    said: list[str]


def start(folder: Path, name: str) -> Server:
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=serve, args=(folder, name, theirs))
    process.start()
    theirs.close()
    said: list[str] = []

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError), ours:
            while True:
                said.append(ours.recv_bytes().decode())

    listener = threading.Thread(target=listen)
    listener.start()
    return Server(process, listener, said)


def serve(folder: Path, name: str, acknowledge: Connection) -> None:
    log = open_log(settings_in(folder, roll_rows=50, roll_seconds=0.02))
    for number in range(10**9):
        log.append(answered(f"{name}-{number}"))
        acknowledge.send_bytes(f"{name}-{number}".encode())

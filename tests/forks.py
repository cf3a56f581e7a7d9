"""Processes of their own for tests that kill: forked from one that has imported and opened nothing.

A database or a thread pool that is open does not survive a fork, and the process that runs the
tests has many. So `warmly` runs a function in a child of a clean, warmed-up server process; there
`in_child` and `run_crashing` may fork as they like.
"""

import json
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM = (
    "mlflow", "mlflow.models", "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store", "sklearn.pipeline", "sklearn.tree",
    "sklearn.linear_model", "skops.io", "model_signing", "cyclonedx.model", "sqlalchemy", "upath",
    "rfc8785", "filelock", "mlops_tasks.registry.proposals", "tests.registry.life",
)  # fmt: skip
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(list(WARM))


class ChildError(Exception):
    """What a child raised: the name of the error, and what it said."""

    @property
    def kind(self) -> str:
        return str(self.args[0])


def in_child(function: Callable[..., Any], *words: Any) -> Any:
    """Run a function in a forked child; its result comes back as JSON."""
    return answer(start(function, *words))


def start(function: Callable[..., Any], *words: Any) -> tuple[int, int]:
    """Fork a child that runs a function: its process, and where its answer will be read."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            said = {"value": function(*words)}
        except BaseException as error:
            said = {"error": [type(error).__name__, str(error), traceback.format_exc()]}
        try:
            with os.fdopen(writing, "w") as pipe:
                pipe.write(json.dumps(said))
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


def answer(started: tuple[int, int]) -> Any:
    """What a started child gives back."""
    child, reading = started
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    said = json.loads(text)
    if "error" in said:
        raise ChildError(*said["error"])
    return said["value"]


def warmly(function: Callable[..., Any], *words: Any) -> Any:
    """Run a module's function in a clean process that has everything imported already."""
    here, there = FORKS.Pipe()
    folder = str(Path(__file__).parents[1])
    process = FORKS.Process(target=_answering, args=(there, folder, function, words))
    process.start()
    there.close()
    try:
        said = here.recv()
    except EOFError:
        said = {"error": ["EOFError", "the process ended without an answer", ""]}
    process.join()
    if "error" in said:
        raise ChildError(*said["error"])
    return said["value"]


def _answering(
    pipe: Any, folder: str, function: Callable[..., Any], words: tuple[Any, ...]
) -> None:
    os.chdir(folder)
    try:
        pipe.send({"value": function(*words)})
    except BaseException as error:
        pipe.send({"error": [type(error).__name__, str(error), traceback.format_exc()]})

"""Imports what the last steps of a training need while its first ones compute.

MLflow, its store and the signing of models take seconds to import, on one core; fitting and
evaluating leave another core free. Whoever needs them sooner waits for what is left.

Guarantees: what cannot be imported here is no error here, the step that needs it says so. What
both sides import is imported before they part: two threads in one package whose modules import
each other might see half of it.
"""

import contextlib
import functools
import importlib
import threading

from mlops_tasks.doors import is_server
from mlops_tasks.settings.schema import StackSettings

COMMON = ("sklearn.base",)  # with the parts of SciPy and pandas that MLflow takes too
RECORDING = ("mlflow", "model_signing.signing")
LOCAL_STORE = ("mlflow.store.tracking.sqlalchemy_store",)


def head_start(stack: StackSettings) -> threading.Thread:
    """Begin to import what recording in this stack will need, and do not wait for it.

    Returns
    -------
    Thread
        Which does it, once in a process, and does not keep the process alive.
    """
    return _begun(() if is_server(stack.tracking_uri) else LOCAL_STORE)


@functools.cache
def _begun(of_store: tuple[str, ...]) -> threading.Thread:
    _import(COMMON)
    names = RECORDING + of_store
    thread = threading.Thread(target=_import, args=(names,), name="head start", daemon=True)
    thread.start()
    return thread


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)

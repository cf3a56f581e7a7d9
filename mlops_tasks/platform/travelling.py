"""Functions of tasks that may run in other processes, and know there which run they belong to.

Guarantees, each held by a test: pickled inside a run, a function enters that run again where it
arrives, for the length of a call; the process there is asked where it is, as the one was in which
the flow began. Outside of a run nothing is taken along, and a step on data is refused.

`alone` steps compute one at a time in each process: numpy's generator and the threads of BLAS
belong to the process, and equal bits need them. Steps side by side are processes side by side.
"""

import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable
from typing import Any

from mlops_tasks.governance import residency

_COMPUTES = threading.Lock()


class Travelling:
    """A function that checks where it is (see `residency.resident`), wherever it is called.

    Parameters
    ----------
    function
        A function that can be imported: it travels by name.
    alone
        Whether no other such step may compute in this process meanwhile.
    run
        The run that it came with from another process.
    """

    # Not in `__dict__`: Prefect copies that into the task, and it would be pickled with it.
    __slots__ = ("__dict__", "_alone", "_checked", "_function", "_run")

    def __init__(
        self, function: Callable[..., Any], alone: bool = False, run: residency.Run | None = None
    ) -> None:
        functools.update_wrapper(self, function)
        self._function, self._alone, self._run = function, alone, run
        self._checked = residency.resident(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, in the run that it came with if it came with one."""
        if self._run is None:
            return self._called(*args, **kwargs)
        return contextvars.copy_context().run(self._arrived, self._run, args, kwargs)

    def _arrived(self, run: residency.Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        residency.enter_again(run)
        return self._called(*args, **kwargs)

    def _called(self, *args: Any, **kwargs: Any) -> Any:
        with _COMPUTES if self._alone else contextlib.nullcontext():
            return self._checked(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return Travelling, (self._function, self._alone, self._run or residency.entered_run())

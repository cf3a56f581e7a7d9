"""End a process at a boundary between two writes, as a power cut would, and see what is left.

The child is forked: whoever calls this must not have opened a database or started threads.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable

from mlops_tasks.boundaries import BOUNDARIES, CRASH_AT, WATCHING


def run_crashing(function: Callable[[], object], boundary: str) -> bool:
    """Run a function in a forked process that kills itself at a boundary.

    Parameters
    ----------
    function
        What is done; its result is lost.
    boundary
        One of `mlops_tasks.boundaries.BOUNDARIES` or `WATCHING`.

    Returns
    -------
    bool
        True if the process was killed there, False if the function ended without getting there.

    Raises
    ------
    ValueError
        If there is no such boundary.
    RuntimeError
        If the function failed; its traceback is on the standard error.
    """
    if boundary not in (*BOUNDARIES, *WATCHING):
        raise ValueError(f"there is no boundary {boundary!r}")
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _end(function, boundary)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the function failed on its way to {boundary!r}: {status}")
    return status != 0


def _end(function: Callable[[], object], boundary: str) -> None:
    """Never returns: nothing of the parent, no test and no exit handler, goes on in the child."""
    os.environ[CRASH_AT] = boundary
    code = 1
    try:
        function()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

"""Named places between two writes, where a test may end the process as a power cut would.

`boundary(name)` does nothing, unless the environment variable `MLOPS_CRASH_AT` is that name: then
the process kills itself on the spot, without cleaning up. `mlops_tasks.testing.crash` uses it.
"""

import os
import signal

CRASH_AT = "MLOPS_CRASH_AT"
BOUNDARIES = (
    "registration leased",
    "run created",
    "metrics logged",
    "artifacts logged",
    "run finished",
    "version created",
    "registration recorded",
    "challenger set",
    "registration witnessed",
    "evidence kept",
    "request opened",
    "request witnessed",
    "vote recorded",
    "vote witnessed",
    "lease taken",
    "alias settled",
    "version copied",
    "intent recorded",
    "previous moved",
    "champion moved",
    "challenger removed",
    "outcome recorded",
    "lease given back",
    "witnessed",
)
WATCHING = ("window recorded", "alarm recorded", "training called", "answer recorded")


def boundary(name: str) -> None:
    """Mark the place after a write."""
    if os.environ.get(CRASH_AT) == name:
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

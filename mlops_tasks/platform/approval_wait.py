"""A deployed flow that needs an approval: it is suspended, and wakes when people have decided.

Guarantee: while it waits there is no process, so workers may come and go. When it wakes the flow
begins again; finished steps come from the cache, and whether the approval counts is asked of the
ledger, not of whoever woke it. If nobody decides in time the run fails: a timeout is a no.

A flow that a person runs is not suspended: it ends, and `mlops promote` goes on.
"""

import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

from mlops_tasks.artifacts import Registration

FLOW_RUN = "PREFECT__FLOW_RUN_ID"
SPARE_SECONDS = 10  # a vote of the last second still wakes it


def wait_for_approval(registration: Registration, expires_hours: float) -> None:
    """Suspend the flow run if a worker runs it and its registration waits for an approval."""
    if registration.standing != "waiting" or not os.environ.get(FLOW_RUN):
        return
    from prefect.flow_runs import suspend_flow_run

    # A key of its own: woken too early, the flow must be able to wait again.
    suspend_flow_run(timeout=int(expires_hours * 3600) + SPARE_SECONDS, key=uuid4().hex)


def wake(flow_run: str) -> str:
    """Resume a suspended flow run, and say what became of it."""
    if not os.environ.get("PREFECT_API_URL"):
        return f"flow run {flow_run} waits: resume it where PREFECT_API_URL is set"
    from prefect.flow_runs import resume_flow_run

    try:
        resume_flow_run(UUID(flow_run))
    except Exception as error:  # the vote is on record; how Prefect is doing must not undo that
        return f"flow run {flow_run} could not be resumed: {error}"
    return f"flow run {flow_run} goes on, {datetime.now(UTC):%H:%M:%S} UTC"

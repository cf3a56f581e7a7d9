"""A training that an alarm has started goes on only if it is the one that answers the alarm.

Prefect forgets within minutes which events it has heard, so the same alarm may start two flow runs,
hours apart. Guarantee, held by a test: one of them works; the other ends at its first step, as
Completed under the name "Answered". It takes the alarm over only if the one before it has crashed.
"""

from uuid import UUID, uuid4

from mlops_tasks.governance.record import ledger_of, witness
from mlops_tasks.monitoring.answers import claim
from mlops_tasks.settings.schema import Settings

ANSWERED = "Answered"


def answer(settings: Settings, alarm: str) -> None:
    """Put this flow run on record as the one that answers an alarm, or end it.

    Parameters
    ----------
    settings
        Name the model and the ledger.
    alarm
        Hash of the alarm's entry in the ledger.

    Raises
    ------
    Abort
        Prefect's signal that a flow run is over: another run answers the alarm.
    LedgerError
        If it cannot be recorded.
    """
    from prefect.runtime import flow_run

    run = flow_run.get_id() or uuid4().hex
    holder = claim(ledger_of(settings.stack), settings.registered_model, alarm, run, _crashed)
    witness(settings.stack)
    if holder != run:
        _end(run, f"Alarm {alarm[:12]} is answered by flow run {holder}.")


def _crashed(run: str) -> bool:
    """Whether the server says so; a run that it does not know has, for all we know, answered."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(run)).state
    except (ObjectNotFound, ValueError):
        return False
    return state is not None and state.is_crashed()


def _end(run: str, message: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import Abort
    from prefect.states import Completed

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), Completed(name=ANSWERED, message=message))
    raise Abort(message)

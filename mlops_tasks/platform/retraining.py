"""An alarm becomes a Prefect event, and an automation that was deployed starts the training.

Guarantees, each held by a test: the event has an identity that follows from the alarm's entry in
the ledger, so calling twice within the minutes that Prefect remembers is calling once, and later it
is a training that ends at once, see `answering`; a call that a killed process did not make is made
by the next monitor, for `OLDEST`; of several that were not made the newest is, whose training knows
the rows of the others too; nobody but the automation starts anything.
"""

import json
import os
import shlex
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from mlops_tasks.boundaries import boundary
from mlops_tasks.errors import PlatformError
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.record import actor, ledger_of, witness
from mlops_tasks.monitoring.answers import CALL, is_answered
from mlops_tasks.monitoring.memory import ALARM, RETRAINING
from mlops_tasks.settings.schema import Settings

EVENT = "mlops.drift.alarm"
CALLED = "called"
SUPERSEDED = "superseded"
OLDEST = timedelta(days=30)  # an alarm that nobody heard for so long is the past


def call_for_training(settings: Settings) -> tuple[str, ...]:
    """Send the event of the newest alarm that asks for a training, if it was not sent yet.

    Alarms before it that were not sent either are superseded. Without a Prefect server there is no
    automation that could hear it: it stays unsent, and the next monitor that has one sends it.

    Parameters
    ----------
    settings
        Name the model and the ledger.

    Returns
    -------
    tuple of str
        What was done, in sentences.

    Raises
    ------
    PlatformError
        If the server does not take the event. The alarm is on record, and sent again.
    """
    ledger, model = ledger_of(settings.stack), settings.registered_model
    unheard = _unheard(ledger, model)
    if not unheard:
        return ()
    newest = unheard.pop()
    facts = newest.event.facts
    if not os.environ.get("PREFECT_API_URL"):
        words = shlex.join(["mlops", "train", *json.loads(facts["overrides"])])
        return (f"no Prefect server hears it: run `{words}`",)
    # Before the newest is sent: afterwards, one of them would be the newest.
    for alarm in unheard:
        ledger.append(_heard(model, alarm, SUPERSEDED))
    _send(settings, newest)
    boundary("training called")
    ledger.append(_heard(model, newest, CALLED))
    witness(settings.stack)
    return (f"a training was called for, because of window {facts['window']}",)


def identity(alarm: Entry) -> UUID:
    """The id of the Prefect event of an alarm: the same whoever sends it, and how often."""
    return uuid5(NAMESPACE_URL, f"mlops:alarm:{alarm.hash}")


def _unheard(ledger: Ledger, model: str) -> list[Entry]:
    since = (datetime.now(UTC) - OLDEST).isoformat(timespec="microseconds")
    wanted = Wanted(subject=model, action=(ALARM,), outcome=RETRAINING, since=since)
    return [
        each
        for each in ledger.entries(wanted)
        if not ledger.find(f"{CALL}:{each.hash}") and not is_answered(ledger, each.hash)
    ]


def _heard(model: str, alarm: Entry, outcome: str) -> Event:
    return Event(
        actor(),
        CALL,
        model,
        outcome,
        facts={"window": alarm.event.facts["window"], "event": str(identity(alarm))},
        once=f"{CALL}:{alarm.hash}",
    )


def _send(settings: Settings, alarm: Entry) -> None:
    """To the server's own door, which answers: a queue in this process could die with it."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = os.environ["PREFECT_API_URL"]
    facts = alarm.event.facts
    body = {
        "id": str(identity(alarm)),
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {
            "prefect.resource.id": f"mlops.model.{settings.registered_model}",
            "prefect.resource.name": settings.registered_model,
        },
        "related": [],
        "payload": {
            "alarm": alarm.hash,
            "window": facts["window"],
            "overrides": json.loads(facts["overrides"]),
            "reason": alarm.event.reason,
        },
    }
    try:
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[body])
    except (httpx.HTTPError, OSError) as error:
        raise PlatformError(
            f"Prefect does not take the alarm: {error}",
            where=url,
            next_step="start the server; the next `mlops monitor` sends it",
        ) from error

"""An alarm becomes a Prefect event, and an automation that was deployed starts the training.

Guarantees, each held by a test: the event has an identity that follows from the alarm's entry in
the ledger, so calling twice is calling once; a call that a killed process did not make is made by
the next monitor; nobody but the automation starts anything.
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
from mlops_tasks.monitoring.memory import ALARM, RETRAINING
from mlops_tasks.settings.schema import Settings

EVENT = "mlops.drift.alarm"
CALL = "retraining"
CALLED = "called"
OLDEST = timedelta(days=1)  # an alarm that nobody heard for so long is the past


def call_for_training(settings: Settings) -> tuple[str, ...]:
    """Send the events of all alarms that ask for a training and were not sent yet.

    Without a Prefect server there is no automation that could hear them: they stay unsent, and the
    next monitor that has one sends them.

    Parameters
    ----------
    settings
        Name the model and the ledger.

    Returns
    -------
    tuple of str
        What was done, a sentence for each alarm.

    Raises
    ------
    PlatformError
        If the server does not take an event. The alarm is on record, and asked for again.
    """
    ledger, model = ledger_of(settings.stack), settings.registered_model
    said = []
    for alarm in _unheard(ledger, model):
        window = alarm.event.facts["window"]
        if not os.environ.get("PREFECT_API_URL"):
            words = shlex.join(["mlops", "train", *json.loads(alarm.event.facts["overrides"])])
            said.append(f"no Prefect server hears it: run `{words}`")
            continue
        _send(settings, alarm)
        boundary("training called")
        ledger.append(
            Event(
                actor(),
                CALL,
                model,
                CALLED,
                facts={"window": window, "event": str(identity(alarm))},
                once=f"{CALL}:{alarm.hash}",
            )
        )
        said.append(f"a training was called for, because of window {window}")
    if said:
        witness(settings.stack)
    return tuple(said)


def identity(alarm: Entry) -> UUID:
    """The id of the Prefect event of an alarm: the same whoever sends it, and how often."""
    return uuid5(NAMESPACE_URL, f"mlops:alarm:{alarm.hash}")


def _unheard(ledger: Ledger, model: str) -> list[Entry]:
    since = (datetime.now(UTC) - OLDEST).isoformat(timespec="microseconds")
    wanted = Wanted(subject=model, action=(ALARM,), outcome=RETRAINING, since=since)
    return [each for each in ledger.entries(wanted) if not ledger.find(f"{CALL}:{each.hash}")]


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

"""Which run answers an alarm: the one that is on record for it, whatever was sent how often.

The record is the ledger's, so it outlives every server's memory of what it has heard. What a run
is, and whether it has crashed, is the affair of whoever asks.

Guarantees, each held by a test: of runs that ask at once one gets the alarm; asking again, after a
crash or a pause, gives the same answer; a run that has crashed for good gives way to the next, and
then no longer has the alarm itself.
"""

from collections.abc import Callable

from mlops_tasks.boundaries import boundary
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.governance.record import actor

CALL = "retraining"
BEGUN = "begun"


def claim(ledger: Ledger, model: str, alarm: str, run: str, crashed: Callable[[str], bool]) -> str:
    """Put a run on record as the one that answers an alarm, if no other does.

    Parameters
    ----------
    ledger, model
        Where, and of which model.
    alarm
        Hash of the alarm's entry in the ledger.
    run
        Names the run that asks.
    crashed
        Whether another run has died. One that ended by itself, well or not, has answered.

    Returns
    -------
    str
        The run that answers: if it is another, there is nothing left to do.

    Raises
    ------
    LedgerError
        If it cannot be recorded: then nothing may be done.
    """
    number, holder = _last(ledger, alarm)
    while not holder or (holder != run and crashed(holder)):
        number += 1
        facts = {"alarm": alarm, "run": run}
        event = Event(actor(), CALL, model, BEGUN, facts=facts, once=_key(alarm, number))
        holder = ledger.append(event).event.facts["run"]
        boundary("answer recorded")
    return holder


def is_answered(ledger: Ledger, alarm: str) -> bool:
    """Whether a run has begun to answer an alarm."""
    return bool(_last(ledger, alarm)[1])


def _last(ledger: Ledger, alarm: str) -> tuple[int, str]:
    """How many runs have had the alarm, and the last of them."""
    number, holder = 0, ""
    while found := ledger.find(_key(alarm, number + 1)):
        number, holder = number + 1, found.event.facts["run"]
    return number, holder


def _key(alarm: str, number: int) -> str:
    return f"{CALL}:{BEGUN}:{alarm}:{number}"

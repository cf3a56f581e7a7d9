"""How a model's traffic is split now, read from the ledger: there is no second store.

Every event of action "traffic", also a refusal, carries the whole split as it is after it, so the
newest one is the answer, however long the history. A promotion or rollback that comes after it ends
canary and shadow: they were started against another champion, or one of them is the champion.

Guarantee: a few steps in an index, whatever the length of the ledger; no call to the registry.
Whether a version may be trusted is checked where it is loaded (`registry.release`), not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.promotion import MOVES
from mlops_tasks.settings.schema import StackSettings

ACTION = "traffic"
OUTCOMES = ("started", "widened", "held", "withdrawn", "refused")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which versions a request may meet beside the champion.

    `canary_weight` is the share of the keys that the canary answers (see `split.choose`), 0 where
    there is none. The shadow answers nobody.
    """

    canary_version: int | None = None
    canary_weight: float = 0.0
    shadow_version: int | None = None

    @property
    def without_canary(self) -> "Traffic":
        """The same with nobody beside the champion but a shadow."""
        return Traffic(shadow_version=self.shadow_version)


ALL_TO_CHAMPION = Traffic()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A split, and the newest event that it rests on; None where there is none."""

    traffic: Traffic
    entry: Entry | None


def traffic_of(stack: StackSettings, model: str) -> Traffic:
    """How the traffic of a model is split now; cheap enough to be asked every second.

    Raises
    ------
    LedgerError
        If the ledger does not answer or says nothing that can be understood. The champion alone
        must answer then.
    """
    return recorded(ledger_of(stack), model).traffic


def recorded(ledger: Ledger, model: str) -> Recorded:
    """The split, and the place in the ledger where it was decided.

    Raises
    ------
    LedgerError
        As for `traffic_of`.
    """
    # One by one, each is a step in the index; together they would be sorted.
    kinds = [(ACTION, outcome) for outcome in OUTCOMES] + [(move, "done") for move in MOVES]
    found = [
        entry
        for action, outcome in kinds
        for entry in ledger.entries(
            Wanted(subject=model, action=(action,), outcome=outcome), newest=True, limit=1
        )
    ]
    newest = max(found, key=lambda entry: entry.seq, default=None)
    if newest is None:
        return Recorded(ALL_TO_CHAMPION, None)
    if newest.event.action != ACTION:
        return Recorded(ALL_TO_CHAMPION, newest)
    return Recorded(_understood(newest), newest)


def facts_of(traffic: Traffic) -> dict[str, str]:
    """A split as facts of an event."""
    return {
        "canary": _text(traffic.canary_version),
        "canary_weight": repr(traffic.canary_weight),
        "shadow": _text(traffic.shadow_version),
    }


def _understood(entry: Entry) -> Traffic:
    facts: Mapping[str, str] = entry.event.facts
    try:
        canary, shadow = _number(facts["canary"]), _number(facts["shadow"])
        weight = float(facts["canary_weight"])
    except (KeyError, ValueError) as error:
        raise _unclear(entry) from error
    if not isfinite(weight) or not 0 <= weight <= 1 or (canary is None) != (weight == 0):
        raise _unclear(entry)
    return Traffic(canary, weight, shadow)


def _number(text: str) -> int | None:
    return int(text) if text else None


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _unclear(entry: Entry) -> LedgerError:
    return LedgerError(
        "the ledger does not say clearly how traffic is split",
        where=f"entry {entry.seq}",
        next_step="`mlops audit verify`; the next promotion or rollback ends the split",
    )

"""Who was champion when: a query over the ledger, which the registry cannot answer.

MLflow says who holds the alias now (`standing_champion`); the two should agree.
"""

from dataclasses import dataclass

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.models import CHAMPION, by_alias, number_of
from mlops_tasks.registry.promotion import MOVES, Kind
from mlops_tasks.settings.schema import StackSettings


@dataclass(frozen=True, slots=True)
class Reign:
    """A version's time as champion. `until` is empty for the one that reigns now."""

    version: int
    since: str
    until: str
    kind: str
    actor: str
    reason: str
    candidate: str
    approved_by: tuple[str, ...] = ()


def reigns(ledger: Ledger, model: str) -> list[Reign]:
    """All champions of a model, oldest first."""
    entries = ledger.entries(Wanted(subject=model, action=MOVES, outcome="done"))
    ends = [*(entry.at for entry in entries[1:]), ""]
    return [_reign(entry, until) for entry, until in zip(entries, ends, strict=False)]


def champion_at(ledger: Ledger, model: str, at: str) -> Reign | None:
    """The champion at a time (ISO, UTC), or None. Indexed look-ups, however long the ledger."""
    # One for each kind of move: both at once would have to be sorted.
    found = [
        entry
        for kind in MOVES
        for entry in ledger.entries(_moves(model, kind, until=at), newest=True, limit=1)
    ]
    if not found:
        return None
    last = max(found, key=_number)
    later = [
        entry
        for kind in MOVES
        for entry in ledger.entries(_moves(model, kind, after=last.seq), limit=1)
    ]
    return _reign(last, min(later, key=_number).at if later else "")


def _moves(model: str, kind: Kind, *, until: str = "", after: int = 0) -> Wanted:
    return Wanted(subject=model, action=(kind,), outcome="done", until=until, after=after)


def _number(entry: Entry) -> int:
    return entry.seq


def standing_champion(stack: StackSettings, model: str) -> int | None:
    """The version that holds the alias now, as the registry says.

    Raises
    ------
    RegistryError
        If it does not answer.
    """
    client = connect(stack)
    with talking(stack):
        return number_of(by_alias(client, model, CHAMPION))


def _reign(entry: Entry, until: str) -> Reign:
    event = entry.event
    version = event.facts.get("version", "")
    if not version.isdecimal():
        raise LedgerError(
            "an entry says that a champion changed, and not which version it is",
            where=f"entry {entry.seq} of the ledger, by {event.actor}",
            next_step="find out who wrote it: `mlops audit log --json`",
        )
    return Reign(
        version=int(version),
        since=entry.at,
        until=until,
        kind=event.action,
        actor=event.actor,
        reason=event.reason,
        candidate=event.digests.get("candidate", ""),
        approved_by=tuple(name for name in event.facts.get("approved_by", "").split(", ") if name),
    )

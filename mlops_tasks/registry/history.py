"""Who was champion when: a query over the ledger, which the registry cannot answer.

MLflow says who holds the alias now (`standing_champion`); the two should agree.
"""

from dataclasses import dataclass

from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.models import CHAMPION, by_alias, number_of
from mlops_tasks.registry.promotion import MOVES
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
    """The champion at a time (ISO, UTC), or None. One indexed look-up, however long the ledger."""
    wanted = Wanted(subject=model, action=MOVES, outcome="done", until=at)
    found = ledger.entries(wanted, newest=True, limit=1)
    if not found:
        return None
    after = Wanted(subject=model, action=MOVES, outcome="done", since=at)
    later = [each for each in ledger.entries(after, limit=2) if each.seq > found[0].seq]
    return _reign(found[0], later[0].at if later else "")


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
    return Reign(
        version=int(event.facts["version"]),
        since=entry.at,
        until=until,
        kind=event.action,
        actor=event.actor,
        reason=event.reason,
        candidate=event.digests.get("candidate", ""),
        approved_by=tuple(name for name in event.facts.get("approved_by", "").split(", ") if name),
    )

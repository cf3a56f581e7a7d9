"""Which models saw this data? A query over the ledger's registrations, of all its projects.

For the person who must answer it in an hour: the data was wrong, or may no longer be used. Where a
single version comes from is `ancestry`'s affair.

Guarantees, each held by a test: refused candidates are found as well as versions, and for each it
is said whether and when it was champion, in whatever stage.
"""

import re
from dataclasses import dataclass

from mlops_tasks.errors import SettingsError
from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.registry.history import Reign, reigns
from mlops_tasks.registry.promotion import MOVES
from mlops_tasks.registry.release import REGISTRATION

SHORTEST = 6
STAGE = re.compile(r"\.(staging|prod)$")


@dataclass(frozen=True, slots=True)
class Descendant:
    """A registered version, or a refused candidate (no version), that was made from the data.

    `matched` names what was recognised: "data" (the snapshot), "train" (the training rows) or
    "dvc_rev". `reigns` has its times as champion, each with the model's name in that stage.
    """

    model: str
    version: int | None
    run_id: str
    outcome: str
    at: str
    candidate: str
    matched: str
    reigns: tuple[tuple[str, Reign], ...]


def descendants(ledger: Ledger, digest: str) -> list[Descendant]:
    """All models that were trained on the data, oldest first.

    Parameters
    ----------
    ledger
        Holds the registrations.
    digest
        The beginning, at least `SHORTEST` characters, of the digest of the snapshot, of that of the
        training rows, or of the DVC revision.

    Raises
    ------
    SettingsError
        If it is too short, or no digest.
    """
    prefix = digest.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},}}", prefix):
        raise SettingsError(
            f"{digest!r} is not the beginning of a digest",
            where="--from-data",
            next_step=f"give at least {SHORTEST} of its characters, 0-9 and a-f; "
            "`mlops lineage --json` shows those of a model as data, train and dvc_rev",
        )
    registrations = ledger.entries(Wanted(action=(REGISTRATION,)))
    found = [(entry, matched) for entry in registrations if (matched := _match(entry, prefix))]
    if not found:
        return []
    moved = ledger.entries(Wanted(action=MOVES, outcome="done"))
    names = sorted({entry.event.subject for entry in moved})
    past = {name: reigns(ledger, name) for name in names}
    return [_descendant(entry, matched, past) for entry, matched in found]


def _match(entry: Entry, prefix: str) -> str:
    """What of a registration begins like this."""
    digests, facts = entry.event.digests, entry.event.facts
    known = {
        "data": digests.get("data", ""),
        "train": digests.get("train", ""),
        "dvc_rev": facts.get("dvc_rev", ""),
    }
    return next((name for name, value in known.items() if value.startswith(prefix)), "")


def _descendant(entry: Entry, matched: str, past: dict[str, list[Reign]]) -> Descendant:
    event = entry.event
    number, candidate = event.facts.get("version", ""), event.digests.get("candidate", "")
    held = [
        (name, reign)
        for name, each in past.items()
        if number and STAGE.sub("", name) == STAGE.sub("", event.subject)
        for reign in each
        # Another stage has numbers of its own; there the very same model counts.
        if reign.candidate == candidate and (name != event.subject or str(reign.version) == number)
    ]
    return Descendant(
        model=event.subject,
        version=int(number) if number else None,
        run_id=event.facts.get("run_id", ""),
        outcome=event.outcome,
        at=entry.at,
        candidate=candidate,
        matched=matched,
        reigns=tuple(sorted(held, key=lambda pair: pair[1].since)),
    )

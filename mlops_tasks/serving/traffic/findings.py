"""What a comparison found, on record: by the digest of its report, of both models.

How it is made is the affair of `trial`; that a step asks for it, that of `steering`.

Guarantees, each held by a test: of one pair of models the newest finding that is clear counts, and
that of another pair never does; a version that was found worse gets no more than it had then.
"""

from typing import TYPE_CHECKING, Literal

from mlops_tasks.encoding import digest
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.record import actor, ledger_of, record
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlops_tasks.serving.traffic.trial import Trial

ACTION = "traffic.comparison"
LONGEST_REASON = 2000
Finding = Literal["accepted", "worse", "unclear"]


def finding_of(trial: "Trial") -> Finding:
    """What the gate said; unclear where there was not enough for it to judge."""
    if not trial.report.enough:
        return "unclear"
    return "accepted" if trial.decision.accepted else "worse"


def keep(settings: Settings, trial: "Trial") -> Entry:
    """Put a comparison on record.

    Raises
    ------
    LedgerError
        If that cannot be done.
    """
    report = trial.report
    reasons = report.missing or trial.decision.reasons
    event = Event(
        actor(),
        ACTION,
        settings.registered_model,
        finding_of(trial),
        "; ".join(reasons)[:LONGEST_REASON],
        {
            "candidate": trial.other.digest,
            "champion": trial.champion.digest,
            "report": digest([report, trial.decision]),
        },
        {
            "role": report.role,
            "version": str(trial.other.version),
            "champion_version": str(trial.champion.version),
            "labelled": str(report.other.labelled),
            "share": repr(trial.share),
        },
    )
    return record(settings.stack, event)


def newest(ledger: Ledger, model: str, candidate: str, champion: str) -> Entry | None:
    """The last clear word on a pair of models, whatever its role; None where there is none."""
    for entry in ledger.entries(Wanted(subject=model, action=(ACTION,)), newest=True):
        said = entry.event.digests
        about = (said.get("candidate"), said.get("champion"))
        if about == (candidate, champion) and entry.event.outcome != "unclear":
            return entry
    return None


def speaks_against(settings: Settings, candidate: str, champion: str, share: float) -> str:
    """Why a version should not get this share; empty where nothing on record says so."""
    found = newest(ledger_of(settings.stack), settings.registered_model, candidate, champion)
    if found is None or found.event.outcome != "worse":
        return ""
    if share <= float(found.event.facts.get("share", 0)):
        return ""
    return f"the comparison of entry {found.seq} says that it is worse: {found.event.reason}"

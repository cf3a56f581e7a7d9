"""The running canary or shadow held against the champion, from this stack's log and ledger.

What is compared, and how, is the affair of `comparison`; here the rows are found: those since the
canary got its present weight (or the shadow was started), with the labels that have arrived.

Guarantee: whom the rows are of is told by the ledger (version and digest), not by the log.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from mlops_tasks.artifacts import Decision
from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.cases import digest_of
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.models import CHAMPION, by_alias, by_number
from mlops_tasks.registry.release import open_release
from mlops_tasks.serving.prediction_log.labels import labelled, read_labels
from mlops_tasks.serving.prediction_log.reader import predictions
from mlops_tasks.serving.prediction_log.records import Role as LoggedRole
from mlops_tasks.serving.traffic.comparison import (
    COLUMNS,
    Contestant,
    Role,
    TrafficReport,
    compare_traffic,
    judged,
)
from mlops_tasks.serving.traffic.state import ACTION, Traffic, traffic_of
from mlops_tasks.serving.traffic.trust import refused
from mlops_tasks.settings.schema import Settings

WEIGHS = ("started", "widened")
CHAMPION_ROLE: LoggedRole = "champion"


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen of whom, and what the gate says to it.

    `share` is that of the keys which the other answered: none, if it was in the shadow.
    """

    report: TrafficReport
    decision: Decision
    champion: Contestant
    other: Contestant
    share: float = 0.0


def trial_of(settings: Settings, role: Role) -> Trial:
    """Compare what runs now in this role, and judge it.

    Parameters
    ----------
    settings
        The model is that of the stack's stage.
    role
        Canary or shadow.

    Raises
    ------
    PromotionRefused
        If nothing runs in this role, or there is no champion.
    AlteredObject
        If the version is not, in every byte, what was registered.
    RegistryError, StorageError
        If registry or log do not answer.
    """
    stack, model = settings.stack, settings.registered_model
    traffic = traffic_of(stack, model)
    number = version_in(traffic, role)
    if number is None:
        raise refused(
            settings, f"there is no {role}", f"`mlops {role} start VERSION` lets one be tried"
        )
    client = connect(stack)
    with talking(stack):
        reigning = by_alias(client, model, CHAMPION)
        if reigning is None:
            raise refused(settings, "there is no champion", "`mlops promote` makes one")
        champion = Contestant(int(reigning.version), digest_of(stack, reigning))
        release = open_release(client, stack, by_number(client, model, number))
    other = Contestant(number, release.evidence.candidate.digest)
    rows = _rows(settings, champion, other, role, _begun(settings, role))
    report = compare_traffic(rows, champion, other, role, settings)
    decision = judged(report, release.evidence, champion, settings.policy)
    share = traffic.canary_weight if role == "canary" else 0.0
    return Trial(report, decision, champion, other, share)


def version_in(traffic: Traffic, role: Role) -> int | None:
    """The version that runs in a role."""
    return traffic.canary_version if role == "canary" else traffic.shadow_version


def _begun(settings: Settings, role: Role) -> datetime:
    """Since when the split is what it is for this role."""
    steps = Wanted(subject=settings.registered_model, action=(ACTION,))
    ledger, seen = ledger_of(settings.stack), 0
    # The newest few are enough, unless much was held and refused since.
    for limit in (20, None):
        found = ledger.entries(steps, newest=True, limit=limit)
        for entry in found[seen:]:
            if _sets(entry, role):
                return datetime.fromisoformat(entry.at)
        seen = len(found)
    raise AssertionError("what runs was started")


def _sets(entry: Entry, role: Role) -> bool:
    return entry.event.outcome in WEIGHS and entry.event.facts.get("role") == role


def _rows(
    settings: Settings, champion: Contestant, other: Contestant, role: Role, since: datetime
) -> pl.DataFrame:
    model, now = settings.registered_model, datetime.now(UTC)
    sides = [
        predictions(settings, model, since, now, version=who.version, role=which, columns=COLUMNS)
        for who, which in ((champion, CHAMPION_ROLE), (other, role))
    ]
    return labelled(pl.concat(sides), read_labels(settings, model))

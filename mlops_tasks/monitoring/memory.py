"""What the ledger remembers of earlier windows, and what follows from the newest.

The trigger is a function of its history, and the history is on record: nothing else is kept.

Guarantees, each held by a test: a window is on record once, with the verdict that it got first;
judging it again, after a crash, by another process or when its labels have come, gives the same
decision and asks for no second training; windows count in the order of their ends, whenever they
are judged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops_tasks.artifacts import Champion
from mlops_tasks.boundaries import boundary
from mlops_tasks.drift.verdict import DriftReport, Verdict
from mlops_tasks.encoding import digest
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.record import actor, ledger_of, witness
from mlops_tasks.monitoring.trigger import Observation, TriggerState, step
from mlops_tasks.monitoring.window import Window
from mlops_tasks.settings.monitoring import TriggerRules
from mlops_tasks.settings.schema import Settings

DRIFT = "drift"
ALARM = "alarm"
RETRAINING = "retraining"
HELD_BACK = "held back"
LONGEST_REASON = 2000
REMEMBERED = 200  # windows; a rule that looks at more of them looks at these


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a window leads to. `entry` is the hash of its event in the ledger, if it rang."""

    model: str
    window: str
    verdict: Verdict
    rang: bool
    retrain: bool
    reasons: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    entry: str = ""


def decide(
    settings: Settings,
    champion: Champion,
    window: Window,
    drift: DriftReport,
    overrides: Sequence[str] = (),
    retrain: Sequence[str] | None = None,
) -> Alarm:
    """Put a judged window on record, and say whether a training shall start.

    Parameters
    ----------
    settings
        Name the model and the rules of the trigger.
    champion
        Whose traffic it was.
    window, drift
        The window and its verdict.
    overrides
        What the monitor was started with: a training that follows gets it too.
    retrain
        What the training gets besides; if not given, what `training_overrides` says.

    Raises
    ------
    LedgerError
        If it cannot be recorded: then nothing may follow from it.
    """
    ledger, model = ledger_of(settings.stack), settings.registered_model
    rules = settings.monitoring.trigger
    besides = training_overrides(settings, window) if retrain is None else retrain
    words = (*overrides, *besides)
    with lease(ledger, f"monitoring:{model}"):
        seen = _observed(ledger.append(_judged(model, champion, window, drift)))
        boundary("window recorded")
        reasons: tuple[str, ...] = ()
        rung = ledger.find(_bell(model, window))
        if rung is None:
            state = remembered(ledger, model, rules, leave_out=window.name)
            _, decision = step(state, seen, rules)
            reasons = decision.reasons
            if decision.alarm:
                outcome = RETRAINING if decision.retrain else HELD_BACK
                rung = ledger.append(_rung(model, window, outcome, reasons, words))
                boundary("alarm recorded")
    witness(settings.stack)
    found = Alarm(model, window.name, seen.verdict, False, False, reasons)
    return found if rung is None else _as_rung(found, rung)


def _as_rung(alarm: Alarm, rung: Entry) -> Alarm:
    """As the record says, whether it was made now or when the window was judged first."""
    retrain = rung.event.outcome == RETRAINING
    words = tuple(json.loads(rung.event.facts["overrides"])) if retrain else ()
    reasons = tuple(rung.event.reason.split("; "))
    return replace(
        alarm, rang=True, retrain=retrain, reasons=reasons, overrides=words, entry=rung.hash
    )


def remembered(
    ledger: Ledger, model: str, rules: TriggerRules, *, leave_out: str = ""
) -> TriggerState:
    """The state of the trigger after the windows on record, in the order of their ends."""
    newest = ledger.entries(Wanted(subject=model, action=(DRIFT,)), newest=True, limit=REMEMBERED)
    seen = sorted(map(_observed, newest), key=lambda each: each.at)
    state = TriggerState()
    for each in seen:
        if each.window != leave_out:
            state, _ = step(state, each, rules)
    # Rules may have changed since: what was started is what the record says.
    rung = ledger.entries(
        Wanted(subject=model, action=(ALARM,), outcome=RETRAINING), newest=True, limit=REMEMBERED
    )
    started = (_end(each) for each in rung if each.event.facts["window"] != leave_out)
    return replace(state, retrained=tuple(sorted(started)))


def training_overrides(settings: Settings, window: Window) -> list[str]:
    """What a training after this window learns from: the days before its end."""
    if settings.data.time is None:
        return []
    found = [f"data.window.end={_plain(window.end)}"]
    days = settings.monitoring.retrain_days
    if days is not None:
        found.insert(0, f"data.window.start={_plain(window.end - timedelta(days=days))}")
    return found


def _plain(time: datetime) -> str:
    """As Hydra takes it without quotes being lost on the way."""
    return f"'{time:%Y-%m-%dT%H:%M:%S}'"


def _judged(model: str, champion: Champion, window: Window, drift: DriftReport) -> Event:
    return Event(
        actor(),
        DRIFT,
        model,
        drift.verdict,
        "; ".join(drift.reasons)[:LONGEST_REASON],
        {
            "candidate": champion.candidate.digest,
            "reference": drift.reference,
            "report": digest(drift),
        },
        {
            "window": window.name,
            "end": window.end.isoformat(),
            "version": str(champion.version),
            "rows": str(drift.rows),
            "share_drifted": f"{drift.share_drifted:.4f}",
        },
        once=f"{DRIFT}:{model}:{champion.version}:{window.name}",
    )


def _rung(
    model: str, window: Window, outcome: str, reasons: Sequence[str], overrides: Sequence[str]
) -> Event:
    return Event(
        actor(),
        ALARM,
        model,
        outcome,
        "; ".join(reasons)[:LONGEST_REASON],
        {},
        {
            "window": window.name,
            "end": window.end.isoformat(),
            "overrides": json.dumps(list(overrides)),
        },
        once=_bell(model, window),
    )


def _bell(model: str, window: Window) -> str:
    """A window rings once."""
    return f"{ALARM}:{model}:{window.name}"


def _observed(entry: Entry) -> Observation:
    verdict: Verdict = entry.event.outcome  # type: ignore[assignment]
    return Observation(
        entry.event.facts["window"], _end(entry), verdict, entry.event.digests["reference"]
    )


def _end(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.event.facts["end"])

"""Shall a training start? Hysteresis, cool-down and budget as data: state in, state out.

Pure: no clock, no events. The caller keeps the state, hands in each window once it is judged, and
acts on `Decision.retrain`. Guarantees, each held by a test: a training starts only if the latest
window has drifted and enough of the last ones have; windows that could not be judged, or were held
against another reference, never count; never within the cool-down and never beyond the budget;
handing in the latest window again gives the same answer, and starts nothing more; replaying all
windows gives the same state.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_tasks.drift.verdict import Verdict
from mlops_tasks.errors import DataError
from mlops_tasks.settings.monitoring import TriggerRules


@dataclass(frozen=True, slots=True)
class Observation:
    """A judged window: its name, its end, the verdict, and the digest of the reference."""

    window: str
    at: datetime
    verdict: Verdict
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one window. `alarm` is the hysteresis alone; `window` makes it idempotent."""

    window: str
    alarm: bool
    retrain: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What must be remembered: the last judged windows, when trainings started, the last answer."""

    recent: tuple[Observation, ...] = ()
    retrained: tuple[datetime, ...] = ()
    latest: Observation | None = None
    answer: Decision | None = None


def step(
    state: TriggerState, seen: Observation, rules: TriggerRules
) -> tuple[TriggerState, Decision]:
    """Take in one window.

    Parameters
    ----------
    state
        After the window before; `TriggerState()` at first.
    seen
        Windows come in the order of their ends. One that ends earlier than the latest is not
        counted.
    rules
        How many of how many, cool-down and budget.

    Returns
    -------
    tuple
        The state to keep, and the decision.

    Raises
    ------
    DataError
        If the window's end has no time zone.
    """
    if seen.at.tzinfo is None:
        raise DataError(
            "the end of a window has no time zone",
            where=f"window {seen.window}, {seen.at.isoformat()}",
            next_step="give times with their zone, for example UTC",
        )
    if state.latest is not None and state.answer is not None:
        if seen.window == state.latest.window:
            return state, state.answer
        if seen.at < state.latest.at:
            reason = f"it ends before {state.latest.window}, which has been judged"
            return state, Decision(seen.window, False, False, (reason,))
    recent = tuple(each for each in state.recent if each.reference == seen.reference)
    if seen.verdict != "not enough rows":
        recent = (*recent, seen)[-rules.of_windows :]
    retrained = _remembered(state.retrained, seen.at, rules)
    alarm, reason = _hysteresis(recent, seen, rules)
    held_back = _held_back(retrained, seen.at, rules) if alarm else ()
    decision = Decision(seen.window, alarm, alarm and not held_back, (reason, *held_back))
    if decision.retrain:
        retrained = (*retrained, seen.at)
    return TriggerState(recent, retrained, seen, decision), decision


def _hysteresis(
    recent: tuple[Observation, ...], seen: Observation, rules: TriggerRules
) -> tuple[bool, str]:
    if seen.verdict == "not enough rows":
        return False, "the latest window has not enough rows to be judged"
    drifted = sum(each.verdict == "drift" for each in recent)
    count = (
        f"{drifted} of the last {len(recent)} windows have drifted, "
        f"it takes {rules.drifted_windows} of {rules.of_windows}"
    )
    if seen.verdict == "no drift":
        return False, f"the latest window has not drifted; {count}"
    return drifted >= rules.drifted_windows, count


def _held_back(
    retrained: tuple[datetime, ...], at: datetime, rules: TriggerRules
) -> tuple[str, ...]:
    found = []
    cool_down, period = _cool_down(rules), _period(rules)
    if retrained and at - retrained[-1] < cool_down:
        until = retrained[-1] + cool_down
        found.append(f"the last training was started recently, cool-down until {until.isoformat()}")
    spent = sum(at - each < period for each in retrained)
    if spent >= rules.budget:
        found.append(
            f"the budget is spent: {spent} trainings within {rules.budget_days:g} days, "
            f"the rules allow {rules.budget}"
        )
    return tuple(found)


def _remembered(
    retrained: tuple[datetime, ...], at: datetime, rules: TriggerRules
) -> tuple[datetime, ...]:
    """The starts that a rule can still ask for."""
    longest = max(_cool_down(rules), _period(rules))
    return tuple(each for each in retrained if at - each < longest)


def _cool_down(rules: TriggerRules) -> timedelta:
    return timedelta(hours=rules.cool_down_hours)


def _period(rules: TriggerRules) -> timedelta:
    return timedelta(days=rules.budget_days)

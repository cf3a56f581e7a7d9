"""Is work done where it may be done? Asked when a run is entered and when each of its tasks starts.

What the policy says is `settings.residency`'s affair. Where a process runs is what its environment
says in `MLOPS_REGION`: whoever starts a worker sets it, not the configuration that is checked
against it.

Guarantees, each held by a test: a task on data starts only after a run was entered, and only in a
region that all its inputs allow; a process that does not know where it is may work for a local
stack only; every yes and every no is an event, written before anything is read. A yes that a run
has said in the same process, of the same step and data, is not said again.
"""

import functools
import inspect
import os
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from mlops_tasks.data.placement import common_regions, datasets_in
from mlops_tasks.doors import is_local
from mlops_tasks.errors import ResidencyRefused
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.record import actor, record
from mlops_tasks.settings.residency import ResidencyRule
from mlops_tasks.settings.schema import Settings, StackSettings

RESIDENCY = "residency"
OBSERVED = "MLOPS_REGION"
CONFIGURED = "configuration"
DIGESTS = 20  # in one event; more inputs than that are told by their number
RUNS = 64  # that a process remembers what they said

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was entered; it may be entered again in other processes, where its steps are."""

    settings: Settings
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


_entered: ContextVar[Run | None] = ContextVar("entered", default=None)


def observed_region(stack: StackSettings, environment: Mapping[str, str] = os.environ) -> str:
    """Where this process is: `MLOPS_REGION`; on a person's own machine, where they say it is.

    Empty if nobody knows.
    """
    named = environment.get(OBSERVED, "")
    return named or (stack.regions.compute if is_local(stack) else "")


def refuse_misplaced(settings: Settings) -> None:
    """Check a whole configuration, and that this process is where it says that work is done.

    Raises
    ------
    ResidencyRefused
        With all that is wrong, after it was recorded.
    """
    observed = observed_region(settings.stack)
    wrong = [*settings.misplaced, *_elsewhere(observed, settings.stack.regions.compute)]
    if wrong:
        raise _refused(settings, CONFIGURED, observed, "; ".join(wrong))


def enter(settings: Settings) -> None:
    """Begin a run: its tasks may work on data from now on, where that data may be.

    Raises
    ------
    ResidencyRefused
        See `refuse_misplaced`.
    """
    enter_again(Run(settings))


def enter_again(run: Run) -> None:
    """Go on with a run in a process that may be another one, and elsewhere.

    Raises
    ------
    ResidencyRefused
        See `refuse_misplaced`.
    """
    refuse_misplaced(run.settings)
    _allowed(run, CONFIGURED, observed_region(run.settings.stack))
    _entered.set(run)


def entered_run() -> Run | None:
    """The run that was entered here; None outside of one."""
    return _entered.get()


def entered() -> Settings | None:
    """The configuration of the run that was entered here; None outside of one."""
    run = _entered.get()
    return run.settings if run else None


def resident(function: Callable[P, R]) -> Callable[P, R]:
    """The same function; before it starts, the regions of all its inputs are checked.

    Raises
    ------
    ResidencyRefused
        When called where an input may not be, or before a run was entered.
    """
    signature, name = inspect.signature(function), function.__name__

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        inputs = signature.bind(*args, **kwargs).arguments
        found = dict(datasets_in(inputs))
        rule = inputs.get("residency")
        if not found and not isinstance(rule, ResidencyRule):
            return function(*args, **kwargs)
        run = _entered.get()
        if run is None:
            raise ResidencyRefused(
                "nobody has entered a run: it is not known where this may be done",
                where=f"task {name!r}",
                next_step="begin the flow with `settings = enter(ROOT, overrides)`",
            )
        allowed = common_regions(found) if found else ()
        if isinstance(rule, ResidencyRule):
            allowed = rule.regions
        digests = {key: each.digest for key, each in found.items()}
        settings = run.settings
        observed = observed_region(settings.stack)
        if not observed or observed not in allowed:
            where = f"here is {observed or 'an unknown place'}"
            why = f"{where}, and the inputs may only be in {', '.join(allowed) or 'no region'}"
            raise _refused(settings, name, observed, why, digests)
        _allowed(run, name, observed, digests, allowed)
        try:
            return function(*args, **kwargs)
        except ResidencyRefused as error:
            _decided(settings, name, observed, "refused", error.what, digests)
            raise

    return checked


def _elsewhere(observed: str, declared: str) -> list[str]:
    if not observed:
        return [f"this process does not know where it is: {OBSERVED} is not set"]
    if declared and observed != declared:
        return [f"this process is in {observed!r}, and stack.regions.compute says {declared!r}"]
    return []


def _refused(
    settings: Settings,
    subject: str,
    observed: str,
    why: str,
    digests: Mapping[str, str] | None = None,
) -> ResidencyRefused:
    _decided(settings, subject, observed, "refused", why, digests)
    return ResidencyRefused(
        why,
        where=f"{settings.project}, {subject}",
        next_step="correct regions and policy.residency (see docs/governance.md), or run it where "
        f"the data may be; a worker says where it is by {OBSERVED}",
    )


@functools.lru_cache(maxsize=RUNS)
def _said(run: str) -> set[tuple[object, ...]]:
    """What a run has allowed in this process, and recorded."""
    return set()


def _allowed(
    run: Run,
    task: str,
    observed: str,
    digests: Mapping[str, str] | None = None,
    allowed: tuple[str, ...] = (),
) -> None:
    decision = (task, observed, tuple((digests or {}).items()), allowed)
    if decision not in _said(run.id):
        _decided(run.settings, task, observed, "allowed", "", digests, allowed)
        _said(run.id).add(decision)


def _decided(
    settings: Settings,
    task: str,
    observed: str,
    outcome: str,
    reason: str = "",
    digests: Mapping[str, str] | None = None,
    allowed: tuple[str, ...] = (),
) -> None:
    facts = {"task": task, "region": observed or "unknown", "data": settings.data.classification}
    if allowed:
        facts["allowed"] = ", ".join(allowed)
    why = reason or f"{task} in {observed}"
    told = dict(list((digests or {}).items())[:DIGESTS])
    event = Event(actor(), RESIDENCY, settings.registered_model, outcome, why, told, facts)
    record(settings.stack, event)

"""How one step in the split of traffic is taken: lease → decide → write, if nothing changed.

Which steps there are is the affair of `steering`.

Guarantee: an event is written only if the newest one that it was decided on still is the newest, so
that a holder whose lease ended while it verified a version writes nothing.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance.appending import append_within
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.leases import Lease, lease
from mlops_tasks.governance.record import actor, ledger_of, witness
from mlops_tasks.registry.client import talking
from mlops_tasks.registry.promotion import settle
from mlops_tasks.serving.traffic.state import ACTION, Recorded, Traffic, facts_of, recorded
from mlops_tasks.serving.traffic.trust import refused
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

Role = Literal["canary", "shadow"]
Outcome = Literal["started", "widened", "held", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Steered:
    """The split now; `entry` says so in the ledger, and is None where it was so before."""

    traffic: Traffic
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done: the split after it, and what else the event says."""

    outcome: Outcome
    traffic: Traffic
    facts: Mapping[str, str]
    digests: Mapping[str, str] = field(default_factory=dict)


Plan = Callable[[Recorded], Step | None]


def take(
    settings: Settings,
    role: Role,
    plan: Plan,
    reason: str,
    client: "MlflowClient | None" = None,
) -> Steered:
    """Decide under the lease on the split as it is, and write only if it is still that.

    Parameters
    ----------
    settings
        The model is that of the stack's stage.
    role
        Whom the step is about.
    plan
        Gives the step, or None where there is nothing to do; raises `PromotionRefused` to refuse,
        which is put on record.
    reason
        Goes on record.
    client
        Of the registry, where the plan asks it.

    Raises
    ------
    PromotionRefused
        If the plan refuses, or the split changed while it decided.
    """
    stack, model = settings.stack, settings.registered_model
    ledger = ledger_of(stack)
    try:
        with talking(stack) if client else nullcontext(), lease(ledger, model) as held:
            if client:
                settle(client, ledger, model)  # a move that was killed would end what starts now
            now = recorded(ledger, model)
            try:
                step = plan(now)
            except PromotionRefused as refusal:
                said = {"role": role, **facts_of(now.traffic)}
                refusal_on_record = Event(
                    actor(), ACTION, model, "refused", refusal.what[:2000], facts=said
                )
                append(held, now, refusal_on_record)
                raise
            if step is None:
                return Steered(now.traffic, None)
            facts = {"role": role, **step.facts, **facts_of(step.traffic)}
            event = Event(actor(), ACTION, model, step.outcome, reason, step.digests, facts)
            entry = append(held, now, event)
        if entry is None:
            raise refused(
                settings, "the split changed meanwhile: nothing was done", "`mlops canary status`"
            )
        return Steered(step.traffic, entry)
    finally:
        witness(stack)


def append(held: Lease, now: Recorded, event: Event) -> Entry | None:
    """Write the event if the newest one is still that on which it was decided."""
    if not held.still_held():
        return None
    with held.ledger.writing() as connection:
        newest = recorded(held.ledger, held.subject).entry
        if newest != now.entry:
            return None
        return append_within(connection, event)

"""How an alias moves: lease → check → intent → compare and swap → read back → outcome.

MLflow's aliases have no history, no compare-and-swap and no protection; this gives them all three.

Guarantees, each held by a test: one move at a time for each model, whoever tries; a move happens
only if the champion is the one that was expected; every move leaves an intent and an outcome in the
ledger; a process killed anywhere leaves an intent that the next move settles first, by completing
it if the champion had moved and undoing it otherwise. An alias that somebody moved past us is left
alone and said to be in conflict.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mlops_tasks.boundaries import boundary
from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.leases import Lease, lease
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.record import actor, ledger_of, witness
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.models import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    by_alias,
    number_of,
    set_alias,
)
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient

Kind = Literal["promotion", "rollback"]
MOVES: tuple[Kind, ...] = ("promotion", "rollback")
NOBODY = ""
TOLD_AGAIN = ("version", "from", "stage", "approved_by")


@dataclass(frozen=True, slots=True)
class Aliases:
    """Which versions hold the aliases of a model."""

    champion: int | None
    previous: int | None
    challenger: int | None


@dataclass(frozen=True, slots=True)
class Move:
    """What is about to happen: `version` becomes champion, `previous` the one to fall back on."""

    kind: Kind
    version: int
    previous: int | None
    digests: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moved:
    """How it ended. `version` is champion now; `entry` says so in the ledger, if anything moved."""

    version: int
    entry: Entry | None


Plan = Callable[["MlflowClient", Aliases], Move | None]


def move(stack: StackSettings, model: str, kind: Kind, plan: Plan, *, once: bool = False) -> Moved:
    """Settle what is unfinished, ask `plan` what is to be done, and do it.

    Parameters
    ----------
    stack
        Where registry and ledger are.
    model
        Name of the registered model.
    kind
        What a refusal is recorded as.
    plan
        Called under the lease with the aliases as they are: everything is checked there, again.
        Gives None where there is nothing to move; raises `PromotionRefused` to refuse.
    once
        Whether a move of this kind that was killed half way and is completed now is what was asked
        for, so that it is not done a second time.

    Raises
    ------
    PromotionRefused
        If the plan refuses, or another move of this model does not end. The first is on record.
    """
    client, ledger = connect(stack), ledger_of(stack)
    try:
        with talking(stack), lease(ledger, model) as held:
            boundary("lease taken")
            settled = settle(client, ledger, model)
            aliases = read_aliases(client, model)
            if once and settled and (settled.event.action, settled.event.outcome) == (kind, "done"):
                return Moved(aliases.champion or 0, settled)
            planned = _planned(client, ledger, model, kind, aliases, plan)
            if planned is None:
                return Moved(aliases.champion or 0, None)
            entry = _carry_out(client, held, aliases, planned)
        boundary("lease given back")
        return Moved(planned.version, entry)
    finally:
        witness(stack)
        boundary("witnessed")


def read_aliases(client: "MlflowClient", model: str) -> Aliases:
    """The aliases as the registry has them now."""
    held = (number_of(by_alias(client, model, name)) for name in (CHAMPION, PREVIOUS, CHALLENGER))
    return Aliases(*held)


def settle(client: "MlflowClient", ledger: Ledger, model: str) -> Entry | None:
    """Complete or undo the move that a killed process left; call it under the lease only."""
    wanted = Wanted(subject=model, action=MOVES, outcome="intent")
    newest = ledger.entries(wanted, newest=True, limit=1)
    if not newest or ledger.find(_outcome_key(newest[0])) is not None:
        return None
    intent, facts = newest[0], newest[0].event.facts
    champion = read_aliases(client, model).champion
    if champion == _number(facts["version"]):
        set_alias(client, model, PREVIOUS, _number(facts["previous"]))
        if facts["challenger"] == facts["version"]:
            set_alias(client, model, CHALLENGER, None)
        boundary("alias settled")
        return _outcome(ledger, intent, "done", "completed after an interruption")
    if champion == _number(facts["from"]):
        set_alias(client, model, PREVIOUS, _number(facts["previous_before"]))
        boundary("alias settled")
        return _outcome(ledger, intent, "undone", "undone after an interruption")
    why = f"the champion is version {champion}, which nobody recorded: it is left as it is"
    return _outcome(ledger, intent, "conflict", why)


def _planned(
    client: "MlflowClient",
    ledger: Ledger,
    model: str,
    kind: Kind,
    aliases: Aliases,
    plan: Plan,
) -> Move | None:
    try:
        return plan(client, aliases)
    except PromotionRefused as refusal:
        ledger.append(Event(actor(), kind, model, "refused", reason=refusal.what))
        raise


def _carry_out(client: "MlflowClient", held: Lease, aliases: Aliases, planned: Move) -> Entry:
    ledger, model = held.ledger, held.subject
    facts = {
        "version": str(planned.version),
        "from": _text(aliases.champion),
        "previous": _text(planned.previous),
        "previous_before": _text(aliases.previous),
        "challenger": _text(aliases.challenger),
        **planned.facts,
    }
    event = Event(actor(), planned.kind, model, "intent", planned.reason, planned.digests, facts)
    intent = ledger.append(event)
    boundary("intent recorded")
    if not held.still_held() or read_aliases(client, model).champion != aliases.champion:
        _outcome(ledger, intent, "undone", "the champion changed, or the lease ended, meanwhile")
        raise _beaten(model)
    set_alias(client, model, PREVIOUS, planned.previous)
    boundary("previous moved")
    set_alias(client, model, CHAMPION, planned.version)
    boundary("champion moved")
    if aliases.challenger == planned.version:
        set_alias(client, model, CHALLENGER, None)
        boundary("challenger removed")
    found = read_aliases(client, model).champion
    if found != planned.version:
        _outcome(ledger, intent, "conflict", f"read back: the champion is version {found}")
        raise _beaten(model)
    return _outcome(ledger, intent, "done", planned.reason)


def _outcome(ledger: Ledger, intent: Entry, outcome: str, reason: str) -> Entry:
    said = intent.event
    facts = {name: value for name, value in said.facts.items() if name in TOLD_AGAIN}
    entry = ledger.append(
        Event(
            actor(),
            said.action,
            said.subject,
            outcome,
            reason,
            said.digests,
            facts | {"intent": str(intent.seq)},
            once=_outcome_key(intent),
        )
    )
    boundary("outcome recorded")
    return entry


def _outcome_key(intent: Entry) -> str:
    return f"outcome:{intent.hash}"


def _number(text: str) -> int | None:
    return int(text) if text else None


def _text(number: int | None) -> str:
    return NOBODY if number is None else str(number)


def _beaten(model: str) -> PromotionRefused:
    return PromotionRefused(
        "the champion changed meanwhile: nothing was moved",
        where=model,
        next_step="look at `mlops history`, then train or ask for approval again",
    )

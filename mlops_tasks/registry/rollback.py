"""Back to a version that had been champion: pre-authorised, immediate, on record.

No approval is asked for, because every version that it can bring back was approved once. One step
goes back to `previous`; further back a version is named.
"""

from typing import TYPE_CHECKING

from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.history import reigns
from mlops_tasks.registry.models import by_number
from mlops_tasks.registry.promotion import Aliases, Move, Moved, move
from mlops_tasks.registry.release import open_release
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def rollback(stack: StackSettings, model: str, *, to: int | None = None, reason: str = "") -> Moved:
    """Make the previous champion, or the version `to`, champion again.

    Raises
    ------
    PromotionRefused
        If there is nothing to go back to, or the version was never champion.
    AlteredObject
        If that version is not, in every byte, what was registered.
    """

    def plan(client: "MlflowClient", aliases: Aliases) -> Move | None:
        target = to or aliases.previous
        if target is None:
            raise _refused(
                model,
                "there is no previous champion",
                "name a version of `mlops history`: `mlops rollback --to VERSION`",
            )
        if target == aliases.champion:
            return None
        past = [reign.version for reign in reigns(ledger_of(stack), model)]
        if target not in past:
            why = f"version {target} was never champion: rolling back to it is not authorised"
            raise _refused(model, why, "`mlops promote` asks for its approval")
        release = open_release(client, stack, by_number(client, model, target))
        earlier = past[: past.index(target)]
        return Move(
            "rollback",
            target,
            # Not the one that is left behind: a second rollback must not bring it back.
            earlier[-1] if earlier else None,
            {"candidate": release.evidence.candidate.digest, "evidence": release.evidence_digest},
            reason,
        )

    return move(stack, model, "rollback", plan, once=to is None)


def _refused(model: str, why: str, next_step: str) -> PromotionRefused:
    return PromotionRefused(why, where=model, next_step=next_step)

"""From a registered model to a champion: what the policy of a stage asks before `promotion` moves.

Where the policy allows it the gate's yes is enough; elsewhere a request is opened, people sign it,
and the promotion that uses it checks everything again. Another stage gets the same artifact, by
digest: nothing is retrained, but the model is held against that stage's own champion.

Guarantees, each held by a test: evidence is judged again with today's policy, whatever the decision
that came with it says; an approval counts only for the digests, the policy and the champion that
were signed; a version that was rolled back is not promoted again without a person.
"""

import itertools
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mlops_tasks.artifacts import Registration
from mlops_tasks.boundaries import boundary
from mlops_tasks.errors import PromotionRefused, SettingsError
from mlops_tasks.governance.approvals import NO_CHAMPION, Request
from mlops_tasks.governance.record import ledger_of, witness
from mlops_tasks.governance.requests import Filed, open_request, policy_digest, standing
from mlops_tasks.registry.cases import Case, authors_of, case_of, digest_of, source_of
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.history import reigns
from mlops_tasks.registry.models import CHAMPION, by_alias, create_version
from mlops_tasks.registry.promotion import Aliases, Move, move
from mlops_tasks.settings.approval import Stage
from mlops_tasks.settings.schema import Settings, registered_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

FLOW_RUN = "PREFECT__FLOW_RUN_ID"  # set where a worker runs a deployment


@dataclass(frozen=True, slots=True)
class Proposal:
    """How far a version came: "champion", "waiting", "rejected" or "expired", and why."""

    model: str
    version: int
    standing: str
    note: str = ""
    request: str = ""


def propose(root: str, settings: Settings, registration: Registration) -> Registration:
    """Take a registration as far as the policy of its stage lets it go without a person.

    If another champion was let in since the comparison, it stays a challenger, and the note says
    so: a training that lost a race has not failed.
    """
    if registration.version is None:
        return registration
    stack, version = settings.stack, registration.version
    if stack.stage in settings.policy.approval.automatic and _withdrawn(settings, registration):
        note = f"this model was rolled back: `mlops promote --version {version}` insists"
        return replace(registration, note=note)
    try:
        found = promote(Path(root), settings, version=version)
    except PromotionRefused as refusal:  # it is on record
        return replace(registration, note=f"{refusal.what}; `mlops train` compares anew")
    return replace(registration, standing=found.standing, note=found.note)


def promote(
    root: Path, settings: Settings, *, to: Stage | None = None, version: int | None = None
) -> Proposal:
    """Make a version champion of a stage, or ask for the approval that this needs.

    Parameters
    ----------
    root
        The project's folder: its allowed signers count.
    settings
        The stack's stage is where the version is registered.
    to
        The stage that gets it; the stack's own where None.
    version
        By default the challenger of the own stage, or its champion for another one.

    Raises
    ------
    PromotionRefused
        If the evidence does not satisfy the policy, or the champion is not the expected one.
    AlteredObject
        If the version is not, in every byte, what was registered.
    SettingsError
        If there is no such stage.
    """
    stage = to or settings.stack.stage
    if stage not in get_args(Stage):
        raise SettingsError(
            f"there is no stage {stage!r}",
            where=settings.project,
            next_step=f"choose from {', '.join(get_args(Stage))}",
        )
    model = registered_name(settings.project, stage)
    client = connect(settings.stack)
    with talking(settings.stack):
        source = source_of(client, settings, model, version)
        case = case_of(client, root, settings, model, source)
        if case.champion == case.release.evidence.candidate.digest:
            return _already(model, case)
        if stage in settings.policy.approval.automatic:
            return _go(case, stage, None)
        filed = open_request(root, settings, _request(case), os.environ.get(FLOW_RUN, ""))
        witness(settings.stack)
        boundary("request witnessed")
        if filed.standing.approved:
            return _go(case, stage, filed)
    note = f"{filed.standing.summary}, until {filed.request.expires}"
    state = filed.standing.state
    return Proposal(model, int(source.version), state, note, filed.request.id)


def _request(case: Case) -> Request:
    now = datetime.now(UTC)
    ends = now + timedelta(hours=case.settings.policy.approval.expires_hours)
    return Request(
        model=case.model,
        source=str(case.source.name),
        version=int(case.source.version),
        candidate=case.release.evidence.candidate.digest,
        evidence=case.evidence_digest,
        policy=policy_digest(case.root, case.settings),
        champion=case.champion,
        authors=authors_of(case),
        opened=now.isoformat(timespec="seconds"),
        expires=ends.isoformat(timespec="seconds"),
    )


def _go(case: Case, stage: Stage, filed: Filed | None) -> Proposal:
    settings, stack = case.settings, case.settings.stack
    digests = {
        "candidate": case.release.evidence.candidate.digest,
        "evidence": case.evidence_digest,
        "policy": policy_digest(case.root, settings),
        "champion": "" if case.champion == NO_CHAMPION else case.champion,
        "request": filed.request.id if filed else "",
    }
    facts = {"stage": stage, "approved_by": "policy"}

    def plan(client: "MlflowClient", aliases: Aliases) -> Move | None:
        incumbent = by_alias(client, case.model, CHAMPION)
        if digest_of(stack, incumbent) == digests["candidate"]:
            return None
        if digest_of(stack, incumbent) != case.champion:
            raise _refused(case, "the champion is not the one that was expected")
        if filed:
            counted = standing(case.root, settings, filed.request)
            if not counted.approved or policy_digest(case.root, settings) != filed.request.policy:
                raise _refused(case, f"the approval cannot be used: {counted.summary}")
            facts["approved_by"] = ", ".join(counted.yes)
        version = int(case.source.version)
        if case.source.name != case.model:
            tags = dict(case.source.tags)
            version = create_version(client, case.model, case.release.run_id, tags)
            boundary("version copied")
        reason = f"approved by {facts['approved_by']}"
        kept = {name: value for name, value in digests.items() if value}
        return Move("promotion", version, aliases.champion, kept, reason, facts)

    done = move(stack, case.model, "promotion", plan)
    request = filed.request.id if filed else ""
    return Proposal(
        case.model, done.version, "champion", f"approved by {facts['approved_by']}", request
    )


def _already(model: str, case: Case) -> Proposal:
    """Nothing to decide; but a move that was killed half way is settled."""
    done = move(case.settings.stack, model, "promotion", lambda *_: None)
    return Proposal(model, done.version, "champion", "it is champion already")


def _withdrawn(settings: Settings, registration: Registration) -> bool:
    """Whether this very model was rolled back, under whatever number."""
    past = reigns(ledger_of(settings.stack), settings.registered_model)
    pairs = itertools.pairwise(past)
    return any(
        one.candidate == registration.candidate_digest and two.kind == "rollback"
        for one, two in pairs
    )


def _refused(case: Case, why: str) -> PromotionRefused:
    return PromotionRefused(
        why,
        where=f"{case.model}, version {case.source.version} of {case.source.name}",
        next_step="look at `mlops history`, then run `mlops promote` or `mlops train` again",
    )

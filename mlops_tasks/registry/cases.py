"""What is decided about: a verified version, held against the champion that it would replace.

Opening a case judges the evidence again with today's policy. A stage that has another champion than
the one the version was compared with gets a new comparison on the same frozen rows, kept beside the
sealed evidence and named on record by its digest. Nothing here moves an alias.

Guarantees, each held by a test: a version whose files are not those of its run is refused, and so
is evidence in another primary metric, or without the slices, than the project asks for today.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Candidate, Evidence
from mlops_tasks.boundaries import boundary
from mlops_tasks.encoding import encode
from mlops_tasks.errors import PromotionRefused
from mlops_tasks.evaluation.comparison import compare
from mlops_tasks.evaluation.gate import judge
from mlops_tasks.governance.approvals import NO_CHAMPION
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.record import actor, ledger_of, record
from mlops_tasks.registry.models import CHALLENGER, CHAMPION, by_alias, by_number, package_of
from mlops_tasks.registry.release import REGISTRATION, Release, bytes_digest, open_release
from mlops_tasks.settings.schema import Settings, StackSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

GIT_SECONDS = 20
UNKNOWN = "unknown"
LONGEST_WHY = 2000


@dataclass(frozen=True, slots=True)
class Case:
    """A verified version, proposed to `model`, with evidence that covers that model's champion."""

    root: Path
    settings: Settings
    model: str
    source: "ModelVersion"
    release: Release
    evidence: Evidence
    evidence_digest: str
    champion: str


def case_of(
    client: "MlflowClient", root: Path, settings: Settings, model: str, source: "ModelVersion"
) -> Case:
    """Open a version, hold it against the champion of `model`, and judge it again.

    Raises
    ------
    PromotionRefused
        If the version's files are not its run's, or the evidence does not satisfy the policy; that
        is on record then.
    AlteredObject
        If the version or the champion is not, in every byte, what was registered.
    """
    release = open_release(client, settings.stack, source)
    # The seal is checked on the run's files; MLflow would load what the version points at.
    if source.source != package_of(client, release.run_id):
        raise _refused(
            settings, model, source, "the version points at files that are not its run's"
        )
    if why := "; ".join(_unmeasured(release.evidence, settings)):
        raise _refused(settings, model, source, f"the evidence is not what is asked for: {why}")
    incumbent = by_alias(client, model, CHAMPION)
    champion = digest_of(settings.stack, incumbent)
    evidence, known = release.evidence, release.evidence_digest
    covered = (NO_CHAMPION, evidence.champion_digest, evidence.candidate.digest)
    # In its own stage a version that was held against another champion is simply too late.
    if incumbent and champion not in covered and model != settings.registered_model:
        rival = open_release(client, settings.stack, incumbent)
        evidence = _held_against(evidence, rival.evidence.candidate, settings)
        known = _keep(client, settings, model, release.run_id, evidence)
    held = None if champion == NO_CHAMPION else champion
    decision = judge(
        release.evidence.candidate,
        evidence.evaluation,
        evidence.comparisons,
        settings.policy,
        champion_digest=held,
    )
    if not decision.accepted:
        why = f"the evidence does not satisfy the policy: {'; '.join(decision.reasons)}"
        raise _refused(settings, model, source, why)
    return Case(root, settings, model, source, release, evidence, known, champion)


def _unmeasured(evidence: Evidence, settings: Settings) -> Iterator[str]:
    """What the project asks of an evaluation today and this one does not say."""
    asked, found = settings.evaluation, evidence.evaluation
    if found.primary != asked.primary:
        yield f"its primary metric is {found.primary}, the project's is {asked.primary}"
    if settings.policy.slice_floor is not None:
        sliced = {part.column for part in found.slices}
        for column in asked.slices:
            if column not in sliced:
                yield f"there are no slices of {column}"


def _refused(settings: Settings, model: str, source: "ModelVersion", why: str) -> PromotionRefused:
    """The refusal, put on record."""
    record(settings.stack, Event(actor(), "promotion", model, "refused", reason=why[:LONGEST_WHY]))
    return PromotionRefused(
        why,
        where=f"{source.name} version {source.version}",
        next_step="train a better one, or compare it anew: `mlops train`",
    )


def _held_against(evidence: Evidence, rival: Candidate, settings: Settings) -> Evidence:
    found = compare(
        evidence.evaluation,
        {CHAMPION: rival},
        evidence.evaluation.comparison,
        settings.evaluation,
        evidence.candidate.seed,
    )
    others = tuple(each for each in evidence.comparisons if each.rival != CHAMPION)
    return replace(evidence, comparisons=(*others, *found))


def _keep(
    client: "MlflowClient", settings: Settings, model: str, run_id: str, evidence: Evidence
) -> str:
    """New evidence beside the sealed one, on record by its digest."""
    content = encode(evidence)
    name = bytes_digest(content)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.json"
        file.write_bytes(content)
        client.log_artifact(run_id, str(file), "evidence")
    boundary("evidence kept")
    digests = {"candidate": evidence.candidate.digest, "evidence": name}
    event = Event(
        actor(),
        "evidence",
        model,
        "recorded",
        digests=digests,
        facts={"run_id": run_id},
        once=f"evidence:{model}:{name}",
    )
    record(settings.stack, event)
    return name


def source_of(
    client: "MlflowClient", settings: Settings, model: str, version: int | None
) -> "ModelVersion":
    """The version that is meant: by number, or the challenger, or for another stage the champion.

    Raises
    ------
    PromotionRefused
        If there is none.
    """
    own = settings.registered_model
    if version is not None:
        return by_number(client, own, version)
    alias = CHALLENGER if model == own else CHAMPION
    found = by_alias(client, own, alias) or by_alias(client, own, CHAMPION)
    if found is None:
        raise PromotionRefused(
            f"there is no {alias} to promote",
            where=own,
            next_step="run `mlops train`, or name one with --version",
        )
    return found


def authors_of(case: Case) -> tuple[str, ...]:
    """Who trained it, as the ledger says, and who wrote the commit it was trained at."""
    found = ledger_of(case.settings.stack).find(f"{REGISTRATION}:{case.release.run_id}")
    names = {found.event.actor} if found else set()
    commit = case.release.evidence.lineage.git_commit
    try:
        done = subprocess.run(
            ["git", "-C", str(case.root), "log", "-1", "--format=%ae%n%ce", commit, "--"],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
        )
        names |= {line for line in done.stdout.splitlines() if line}
    except (OSError, subprocess.SubprocessError):
        pass  # the actor on record remains
    return tuple(sorted(names))


def digest_of(stack: StackSettings, version: "ModelVersion | None") -> str:
    """The candidate's digest as the ledger has it, not the tag that anybody may write."""
    if version is None:
        return NO_CHAMPION
    registered = ledger_of(stack).find(f"{REGISTRATION}:{version.run_id}")
    return registered.event.digests.get("candidate", UNKNOWN) if registered else UNKNOWN

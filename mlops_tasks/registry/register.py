"""The end of a training: a run of MLflow, an event in the ledger; an accepted model gets a version.

Guarantees: a version exists only of a run that is completely recorded and sealed, so a Ctrl-C or a
crash leaves no half-registered model; a result that is already recorded is not recorded again; a
refused candidate leaves a run with its reasons, an event, and no version. Being registered lets
nobody in: that is `promotion`'s affair. What a run says is `run_record`'s.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import (
    Candidate,
    Comparison,
    Decision,
    Evaluation,
    Evidence,
    Lineage,
    Registration,
)
from mlops_tasks.boundaries import boundary
from mlops_tasks.encoding import digest
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.locked_environment import NONE
from mlops_tasks.governance.record import actor, ledger_of, record, witness
from mlops_tasks.registry.client import connect, experiment, talking
from mlops_tasks.registry.models import (
    CHALLENGER,
    CHAMPION,
    by_alias,
    create_version,
    number_of,
    set_alias,
)
from mlops_tasks.registry.release import REGISTRATION, bytes_digest, evidence_of
from mlops_tasks.registry.run_record import (
    KEY_TAG,
    REPORT_FILE,
    run_tags,
    version_tags,
    write_run,
)
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MAX_REASON = 2000


def register(
    settings: Settings,
    candidate: Candidate,
    evaluation: Evaluation,
    comparisons: Sequence[Comparison],
    decision: Decision,
    lineage: Lineage,
    overrides: Sequence[str] = (),
) -> Registration:
    """Record a training and, if it was accepted, make its model a version: the challenger.

    Parameters
    ----------
    settings
        The resolved configuration; logged once, as YAML and as parameters.
    candidate, evaluation, comparisons, decision
        What was fitted, measured and decided.
    lineage
        Written as tags of the run and of the version.
    overrides
        What the user typed, so that `mlops compare` can tell runs apart.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    LedgerError
        If the event cannot be recorded.
    """
    stack, model = settings.stack, settings.registered_model
    evidence = Evidence(candidate, evaluation, tuple(comparisons), decision, lineage)
    key = digest([candidate, decision, lineage.config_digest, lineage.environment_digest])
    client = connect(stack)
    with talking(stack), lease(ledger_of(stack), f"registration:{key}"):
        boundary("registration leased")
        experiment_id = experiment(client, stack, settings.project)
        run = _finished(client, experiment_id, key) or _reigning(client, settings, evidence)
        repeated = run is not None
        if run is None:
            _give_up_unfinished(client, experiment_id, key)
            tags = run_tags(key, evidence, overrides)
            run = client.create_run(experiment_id, run_name=candidate.name, tags=tags)
            boundary("run created")
            write_run(client, run.info.run_id, settings, evidence)
        run_id, version = run.info.run_id, None
        if decision.accepted:
            version = create_version(client, model, run_id, version_tags(evidence))
            boundary("version created")
        _on_record(settings, client, run_id, evidence, version)
        if version not in (None, number_of(by_alias(client, model, CHAMPION))):
            set_alias(client, model, CHALLENGER, version)
            boundary("challenger set")
    witness(stack)
    boundary("registration witnessed")
    return Registration(
        model=model,
        run_id=run_id,
        version=version,
        accepted=decision.accepted,
        reasons=decision.reasons,
        primary=evaluation.primary,
        score=evaluation.metrics.get(evaluation.primary),
        candidate_digest=candidate.digest,
        report_uri=f"{run.info.artifact_uri}/{REPORT_FILE}",
        repeated=repeated,
        standing="registered" if decision.accepted else "refused",
    )


def _on_record(
    settings: Settings,
    client: "MlflowClient",
    run_id: str,
    evidence: Evidence,
    version: int | None,
) -> None:
    """One event for each run, whatever becomes of its model."""
    lineage, decision = evidence.lineage, evidence.decision
    sealed = bytes_digest(evidence_of(client, run_id))
    event = Event(
        actor=actor(),
        action=REGISTRATION,
        subject=settings.registered_model,
        outcome="accepted" if decision.accepted else "refused",
        reason="; ".join(decision.reasons)[:MAX_REASON],
        digests={
            "candidate": evidence.candidate.digest,
            "evidence": sealed,
            "policy": decision.policy_digest,
            "data": lineage.data_digest,
            "train": evidence.candidate.train.digest,
            "config": lineage.config_digest,
            "environment": lineage.environment_digest,
            **({"lock": lineage.lock_digest} if lineage.lock_digest != NONE else {}),
            "code": lineage.code_digest,
        },
        facts={
            "run_id": run_id,
            "version": "" if version is None else str(version),
            "git_commit": lineage.git_commit,
            "dvc_rev": lineage.dvc_rev,
            "region": lineage.region,
            "environment_state": lineage.environment_state,
            "seed": str(lineage.seed),
        },
        once=f"{REGISTRATION}:{run_id}",
    )
    record(settings.stack, event)
    boundary("registration recorded")


def _give_up_unfinished(client: "MlflowClient", experiment_id: str, key: str) -> None:
    """Runs of this result that a killed process left behind; nobody else works on it now."""
    left = f"tags.`{KEY_TAG}` = '{key}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment_id], left):
        client.set_terminated(run.info.run_id, "KILLED")


def _finished(client: "MlflowClient", experiment_id: str, key: str) -> "Run | None":
    """The completely recorded run of this very result, if there is one."""
    wanted = f"tags.`{KEY_TAG}` = '{key}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    return found[0] if found else None


def _reigning(client: "MlflowClient", settings: Settings, evidence: Evidence) -> "Run | None":
    """The champion's run, if this is the champion again: it was let in meanwhile, or long ago.

    It is not held against itself, so what is decided now differs from what was decided then.
    """
    champion = by_alias(client, settings.registered_model, CHAMPION)
    if champion is None or not evidence.decision.accepted:
        return None
    found = ledger_of(settings.stack).find(f"{REGISTRATION}:{champion.run_id}")
    if found is None or found.event.outcome != "accepted":
        return None
    same = {
        "candidate": evidence.candidate.digest,
        "policy": evidence.decision.policy_digest,
        "config": evidence.lineage.config_digest,
        "environment": evidence.lineage.environment_digest,
    }
    if any(found.event.digests.get(name) != value for name, value in same.items()):
        return None
    return client.get_run(str(champion.run_id))

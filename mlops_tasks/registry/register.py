"""The end of a training: record it in MLflow, and let the model in if the gate said yes.

Guarantees: a version exists only of a run that is completely recorded, so a Ctrl-C or a crash
leaves no half-registered model; a result that is already recorded is not recorded again; a refused
candidate leaves a run with its reasons, and no version.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tasks.artifacts import (
    Candidate,
    Comparison,
    Decision,
    Evaluation,
    Lineage,
    Registration,
    digest,
    encode,
)
from mlops_tasks.evaluation.report import render_report
from mlops_tasks.registry.client import connect, experiment, talking
from mlops_tasks.registry.models import CANDIDATE_FILE, DIGEST_TAG, let_in
from mlops_tasks.registry.packaging import write_mlflow_model
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run

KEY_TAG = "mlops.key"
REPORT_FILE = "report.html"
MAX_PARAM_LENGTH = 6000


def register(
    settings: Settings,
    candidate: Candidate,
    evaluation: Evaluation,
    comparisons: Sequence[Comparison],
    decision: Decision,
    lineage: Lineage,
    overrides: Sequence[str] = (),
) -> Registration:
    """Record a training and, if it was accepted, make its model the champion.

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
    """
    stack = settings.stack
    client = connect(stack)
    key = digest([candidate, decision, lineage.config_digest, lineage.environment_digest])
    with talking(stack):
        experiment_id = experiment(client, stack, settings.project)
        run = _finished(client, experiment_id, key)
        repeated = run is not None
        if run is None:
            run = client.create_run(
                experiment_id,
                run_name=candidate.name,
                tags=_tags(key, candidate, decision, lineage, overrides),
            )
            page = render_report(
                settings.project, candidate, evaluation, comparisons, decision, lineage
            )
            _record(client, run.info.run_id, settings, candidate, evaluation, comparisons, page)
        run_id = run.info.run_id
        version = None
        if decision.accepted:
            version = let_in(client, settings.project, run_id, _version_tags(candidate, lineage))
    return Registration(
        model=settings.project,
        run_id=run_id,
        version=version,
        accepted=decision.accepted,
        reasons=decision.reasons,
        primary=evaluation.primary,
        score=evaluation.metrics.get(evaluation.primary),
        candidate_digest=candidate.digest,
        report_uri=f"{run.info.artifact_uri}/{REPORT_FILE}",
        repeated=repeated,
    )


def _finished(client: "MlflowClient", experiment_id: str, key: str) -> "Run | None":
    """The completely recorded run of this very result, if there is one."""
    wanted = f"tags.`{KEY_TAG}` = '{key}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment_id], wanted, max_results=1)
    return found[0] if found else None


def _record(
    client: "MlflowClient",
    run_id: str,
    settings: Settings,
    candidate: Candidate,
    evaluation: Evaluation,
    comparisons: Sequence[Comparison],
    page: str,
) -> None:
    try:
        client.log_batch(
            run_id, metrics=_metrics(evaluation, comparisons), params=_params(settings)
        )
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / REPORT_FILE).write_text(page, encoding="utf-8")
            (folder / CANDIDATE_FILE).write_bytes(encode(candidate))
            (folder / "evaluation.json").write_bytes(encode(evaluation))
            (folder / "config.yaml").write_text(_yaml(settings), encoding="utf-8")
            write_mlflow_model(candidate, folder / "model")
            client.log_artifacts(run_id, str(folder))
    except BaseException as error:  # Ctrl-C too: a run must not stay RUNNING for ever
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        client.set_terminated(run_id, "KILLED" if killed else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _metrics(evaluation: Evaluation, comparisons: Sequence[Comparison]) -> list["Metric"]:
    from mlflow.entities import Metric

    values = {"latency_ms": evaluation.latency_ms, "comparison_rows": float(evaluation.rows)}
    for name, interval in evaluation.metrics.items():
        values |= {
            name: interval.value,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
        }
    for each in comparisons:
        values[f"gain_over_{each.rival}"] = each.gain.value
    now = int(time.time() * 1000)
    return [Metric(name, value, now, 0) for name, value in values.items()]


def _params(settings: Settings) -> list["Param"]:
    from mlflow.entities import Param

    flat = _flatten(settings.model_dump(mode="json"))
    return [Param(name, str(value)[:MAX_PARAM_LENGTH]) for name, value in flat.items()]


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _yaml(settings: Settings) -> str:
    import yaml

    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _tags(
    key: str,
    candidate: Candidate,
    decision: Decision,
    lineage: Lineage,
    overrides: Sequence[str],
) -> dict[str, str]:
    return _version_tags(candidate, lineage) | {
        KEY_TAG: key,
        "mlops.decision": "accepted" if decision.accepted else "refused",
        "mlops.reasons": "; ".join(decision.reasons)[:MAX_PARAM_LENGTH],
        "mlops.policy_digest": decision.policy_digest,
        "mlops.overrides": " ".join(overrides),
        "mlops.model": candidate.name,
    }


def _version_tags(candidate: Candidate, lineage: Lineage) -> dict[str, str]:
    facts = {f"mlops.{name}": str(value) for name, value in asdict(lineage).items()}
    return facts | {DIGEST_TAG: candidate.digest, "mlops.train_digest": candidate.train.digest}

"""What a run in MLflow says of a training: metrics, parameters, tags, report and release.

Guarantee: a run is FINISHED only when all of it is there; whatever interrupts ends it as KILLED or
FAILED. When a run is made, and whether its model becomes a version, is `register`'s affair.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tasks.artifacts import Evidence
from mlops_tasks.boundaries import boundary
from mlops_tasks.evaluation.report import render_report
from mlops_tasks.registry.models import DIGEST_TAG
from mlops_tasks.registry.release import write_release
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

KEY_TAG = "mlops.key"
REPORT_FILE = "report.html"
MAX_PARAM_LENGTH = 6000


def write_run(client: "MlflowClient", run_id: str, settings: Settings, evidence: Evidence) -> None:
    """Log everything into a run that has been created with `run_tags`, and finish it."""
    try:
        client.log_batch(run_id, metrics=_metrics(evidence), params=_params(settings))
        boundary("metrics logged")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            page = render_report(
                settings.project,
                evidence.candidate,
                evidence.evaluation,
                evidence.comparisons,
                evidence.decision,
                evidence.lineage,
            )
            (folder / REPORT_FILE).write_text(page, encoding="utf-8")
            (folder / "config.yaml").write_text(_yaml(settings), encoding="utf-8")
            write_release(settings, evidence, folder)
            client.log_artifacts(run_id, str(folder))
        boundary("artifacts logged")
    except BaseException as error:  # Ctrl-C too: a run must not stay RUNNING for ever
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        client.set_terminated(run_id, "KILLED" if killed else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    boundary("run finished")


def run_tags(key: str, evidence: Evidence, overrides: Sequence[str]) -> dict[str, str]:
    """The tags of a run; by `key` the same result is found again."""
    decision = evidence.decision
    return version_tags(evidence) | {
        KEY_TAG: key,
        "mlops.decision": "accepted" if decision.accepted else "refused",
        "mlops.reasons": "; ".join(decision.reasons)[:MAX_PARAM_LENGTH],
        "mlops.policy_digest": decision.policy_digest,
        "mlops.overrides": " ".join(overrides),
        "mlops.model": evidence.candidate.name,
    }


def version_tags(evidence: Evidence) -> dict[str, str]:
    """The tags of a version: its lineage and digests, which its run has too."""
    candidate = evidence.candidate
    facts = {f"mlops.{name}": str(value) for name, value in asdict(evidence.lineage).items()}
    return facts | {DIGEST_TAG: candidate.digest, "mlops.train_digest": candidate.train.digest}


def _metrics(evidence: Evidence) -> list["Metric"]:
    from mlflow.entities import Metric

    evaluation = evidence.evaluation
    values = {"latency_ms": evaluation.latency_ms, "comparison_rows": float(evaluation.rows)}
    for name, interval in evaluation.metrics.items():
        values |= {
            name: interval.value,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
        }
    for each in evidence.comparisons:
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
        # Keys that a user invents (people, metrics) may hold what MLflow takes no name of.
        if isinstance(value, dict) and all(key.isidentifier() for key in value):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _yaml(settings: Settings) -> str:
    import yaml

    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)

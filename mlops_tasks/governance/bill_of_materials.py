"""What a model is made of: a CycloneDX 1.7 bill of materials with its model card (an ML-BOM).

The subject is the model file; below it lie the training and the comparison data and the installed
distributions, flat, because which of those needs which is not known here. Written as JSON by hand:
the library `cyclonedx-python-lib` has no model card yet (its issue 912) and is the judge instead,
in `bill_check`.

Guarantee: equal inputs give equal bytes, whatever the clock, the machine and the order of packages.
No address of an object, no parameter of the model and no row of data is in it.
"""

import hashlib
import math
import uuid
from collections.abc import Iterable, Sequence
from importlib.metadata import distributions
from typing import Any
from urllib.parse import quote

from mlops_tasks.artifacts import (
    Dataset,
    Evaluation,
    Evidence,
    Interval,
)
from mlops_tasks.encoding import canonical
from mlops_tasks.settings.schema import CardSettings

SPEC_VERSION = "1.7"
TASK = "binary classification"
MODEL, TRAINING, COMPARISON = "model", "data:training", "data:comparison"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "bill-of-materials.mlops-tasks")

Json = dict[str, Any]


def bill_of_materials(
    model: str,
    version: str,
    evidence: Evidence,
    card: CardSettings,
    packages: Iterable[tuple[str, str]],
    licence: str = "",
) -> bytes:
    """Write the bill as JSON.

    Parameters
    ----------
    model, version
        What the model is called.
    evidence
        What was trained, on what, how it did and what the gate said.
    card
        What people say about it; what they do not say is left out.
    packages
        Name and version of each distribution it needs, for example `installed()`.
    licence
        The model's, as SPDX expression; left out where it is empty.
    """
    candidate, evaluation = evidence.candidate, evidence.evaluation
    named = {(_normal(name), number) for name, number in packages}
    libraries = [_library(name, number) for name, number in sorted(named)]
    data = [_data(TRAINING, candidate.train), _data(COMPARISON, evaluation.comparison)]
    subject = {
        "bom-ref": MODEL,
        "type": "machine-learning-model",
        "name": model,
        "version": version,
        "hashes": _sha256(candidate.digest),
        "modelCard": _model_card(evidence, card),
        "properties": _lineage(evidence),
    }
    if licence:
        subject["licenses"] = [{"expression": licence}]
    content: Json = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"component": subject, "tools": {"components": [_tool(evidence)]}},
        "components": [*data, *libraries],
        "dependencies": [
            {"ref": MODEL, "dependsOn": [each["bom-ref"] for each in (*data, *libraries)]}
        ],
    }
    serial = uuid.uuid5(NAMESPACE, hashlib.sha256(canonical(content)).hexdigest())
    return canonical(content | {"serialNumber": serial.urn})


def installed() -> tuple[tuple[str, str], ...]:
    """Name and version of every distribution in this environment, by name."""
    found = {
        (_normal(name), str(each.version))
        for each in distributions()
        if (name := each.metadata["Name"])
    }
    return tuple(sorted(found))


def _model_card(evidence: Evidence, card: CardSettings) -> Json:
    datasets = [{"ref": TRAINING}, {"ref": COMPARISON}]
    written: Json = {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": TASK,
            "modelArchitecture": evidence.candidate.name,
            "datasets": datasets,
            "outputs": [{"format": "probability between 0 and 1"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": _performance(evidence.evaluation)},
    }
    said = {"useCases": card.intended_use, "technicalLimitations": card.limits}
    considerations = {name: [text] for name, text in said.items() if text.strip()}
    if considerations:
        written["considerations"] = considerations
    if card.owner.strip():
        written["properties"] = _properties(owner=card.owner)
    return written


def _performance(evaluation: Evaluation) -> list[Json]:
    whole = [
        {"type": name, **_value(interval)} for name, interval in sorted(evaluation.metrics.items())
    ]
    parts = [
        {
            "type": evaluation.primary,
            "slice": f"{each.column} = {each.level}",
            **_value(each.score),
        }
        for each in evaluation.slices
    ]
    return whole + parts


def _value(interval: Interval | None) -> Json:
    """The value with its interval; nothing where it is not defined."""
    if interval is None or not math.isfinite(interval.value):
        return {}
    value: Json = {"value": repr(interval.value)}
    if math.isfinite(interval.low) and math.isfinite(interval.high):
        bounds = {"lowerBound": repr(interval.low), "upperBound": repr(interval.high)}
        value["confidenceInterval"] = bounds
    return value


def _data(ref: str, data: Dataset) -> Json:
    facts = _properties(
        rows=data.rows,
        quarantined_rows=data.quarantined_rows,
        regions=", ".join(data.regions),
        dvc_rev=data.dvc_rev or "none",
        columns=", ".join(data.columns),
    )
    name = f"{ref.removeprefix('data:')} data"
    return {
        "bom-ref": ref,
        "type": "data",
        "name": name,
        "version": data.digest[:12],
        "hashes": _sha256(data.digest),
        "data": [{"type": "dataset", "name": name, "contents": {"properties": facts}}],
    }


def _library(name: str, version: str) -> Json:
    purl = f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}"
    return {
        "bom-ref": purl,
        "type": "library",
        "name": name,
        "version": version,
        "purl": purl,
    }


def _tool(evidence: Evidence) -> Json:
    return {
        "type": "application",
        "name": "mlops-tasks",
        "version": evidence.lineage.library_version,
    }


def _lineage(evidence: Evidence) -> list[Json]:
    lineage, decision = evidence.lineage, evidence.decision
    return _properties(
        decision="accepted" if decision.accepted else "refused",
        policy_digest=decision.policy_digest,
        git_commit=lineage.git_commit,
        git_dirty=str(lineage.git_dirty).lower(),
        dvc_rev=lineage.dvc_rev or "none",
        data_digest=lineage.data_digest,
        config_digest=lineage.config_digest,
        environment_digest=lineage.environment_digest,
        lock_digest=lineage.lock_digest,
        environment_state=lineage.environment_state,
        code_digest=lineage.code_digest,
        seed=lineage.seed,
        region=lineage.region,
    )


def _properties(**facts: object) -> list[Json]:
    return [{"name": f"mlops-tasks:{name}", "value": str(fact)} for name, fact in facts.items()]


def _sha256(digest: str) -> Sequence[Json]:
    return [{"alg": "SHA-256", "content": digest}]


def _normal(name: str) -> str:
    """The name as a package URL of type `pypi` spells it."""
    return name.lower().replace("_", "-")

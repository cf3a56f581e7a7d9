"""A registered version, verified, loaded, and ready to answer. Nothing here decides which one.

Guarantees, each held by a test: what is returned was verified by `registry.release` (signature,
ledger, digest), and has scored a row; how it answers was sealed with it, so neither training rows
nor a converter are needed. A package from before that was sealed answers natively, by its rows.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Evidence
from mlops_tasks.data.frames import read_frame
from mlops_tasks.errors import MlopsError, RegistryError
from mlops_tasks.inference.features import Feature, features_of
from mlops_tasks.inference.predictors import Predictor
from mlops_tasks.inference.serving_form import ServingForm, blank_row, predictor_of
from mlops_tasks.registry.release import Release, open_release
from mlops_tasks.serving.online.schema import RowSchema
from mlops_tasks.settings.schema import StackSettings
from mlops_tasks.training.model_files import read_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

OLDER = "it was registered before its ONNX form was sealed with it"


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A version that can answer. `slow_because` says why ONNX Runtime is not used, if it is not."""

    model: str
    version: int
    run_id: str
    digest: str
    evidence: Evidence
    evidence_digest: str
    schema: RowSchema
    predictor: Predictor
    slow_because: str
    loaded: str


def load_version(
    client: "MlflowClient", stack: StackSettings, version: "ModelVersion", *, max_rows: int
) -> Served:
    """Verify and load a version.

    Parameters
    ----------
    client, stack
        Where it is registered.
    version
        As the registry names it.
    max_rows
        The longest list of rows that its schema takes.

    Raises
    ------
    AlteredObject
        If it is not, in every byte, what was registered.
    MlopsError
        If it cannot be loaded.
    """
    release = open_release(client, stack, version)
    candidate = release.evidence.candidate
    form = release.files.form or _older_form(release)
    try:
        estimator = read_model(candidate.model_uri, candidate.digest)
        predictor, why = predictor_of(form, estimator, release.files.onnx)
        _try_out(predictor, form.features)
    except MlopsError:
        raise
    except Exception as error:  # a model file can fail in any way on other versions
        raise RegistryError(
            f"the model cannot score here: {type(error).__name__}: {str(error)[:200]}",
            where=f"{version.name} version {version.version}",
            next_step="serve it with the package versions that it was trained on",
        ) from error
    return Served(
        model=str(version.name),
        version=release.version,
        run_id=release.run_id,
        digest=candidate.digest,
        evidence=release.evidence,
        evidence_digest=release.evidence_digest,
        schema=RowSchema(form.features, max_rows),
        predictor=predictor,
        slow_because=why,
        loaded=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _older_form(release: Release) -> ServingForm:
    candidate = release.evidence.candidate
    features = features_of((read_frame(candidate.train),), candidate.columns)
    return ServingForm(features, "native", OLDER)


def _try_out(predictor: Predictor, features: tuple[Feature, ...]) -> None:
    """Score a row that nobody sent; text that a model may refuse proves nothing."""
    any_text = any(each.kind == "text" and not each.choices for each in features)
    try:
        predictor.scores([blank_row(features)])
    except ValueError:
        if not any_text:
            raise

"""What servers and monitors need of a model, beside it in the sealed package.

    serving.json    its columns, and who answers for it (`inference.serving_form`)
    model.onnx      the same model for ONNX Runtime, only where it was found to say the same
    profile.json    what its columns and scores looked like (`drift.reference`), no rows

They are made once, when the model is registered, so that a server needs neither training rows nor a
converter. The seal is `release`'s affair; nothing is read here before it was checked.

Guarantees, each held by a test: the same evidence gives the same bytes; a package from before these
files were made gives None for each of them.
"""

from dataclasses import dataclass
from pathlib import Path

from mlops_tasks.artifacts import Evidence
from mlops_tasks.data.frames import read_frame
from mlops_tasks.drift import documents
from mlops_tasks.drift.profile import Profile
from mlops_tasks.drift.reference import reference_of
from mlops_tasks.inference import serving_form
from mlops_tasks.inference.serving_form import ServingForm, form_of
from mlops_tasks.registry.private_rows import columns_as_logged, rows_as_logged
from mlops_tasks.settings.schema import Settings
from mlops_tasks.training.model_files import read_model

FORM_FILE = "serving.json"
ONNX_FILE = "model.onnx"
PROFILE_FILE = "profile.json"


@dataclass(frozen=True, slots=True)
class ServingFiles:
    """The files as they were sealed, not yet understood: what only moves models need not be."""

    form_content: bytes | None = None
    onnx: bytes | None = None
    profile_content: bytes | None = None

    @property
    def form(self) -> ServingForm | None:
        """How the model is to be asked; None in an older package.

        Raises
        ------
        DataError
            If this version of the library cannot read it.
        """
        return serving_form.decode(self.form_content) if self.form_content is not None else None

    @property
    def profile(self) -> Profile | None:
        """What drift is measured against; None in an older package.

        Raises
        ------
        DataError
            If this version of the library cannot read it.
        """
        if self.profile_content is None:
            return None
        return documents.decode(self.profile_content, Profile)


def write_serving_files(settings: Settings, evidence: Evidence, package: Path) -> None:
    """Write the files of a judged model into its package.

    What the prediction log may not keep is not in the profile either, see `private_rows`.

    Raises
    ------
    StorageError
        If the model, its rows, its scores or the key of digests are gone or altered.
    DataError
        If a column cannot be profiled.
    """
    candidate, evaluation = evidence.candidate, evidence.evaluation
    train, comparison = read_frame(candidate.train), read_frame(evaluation.comparison)
    estimator = read_model(candidate.model_uri, candidate.digest)
    form, onnx = form_of(estimator, train, comparison, candidate.columns)
    (package / FORM_FILE).write_bytes(serving_form.encode(form))
    if onnx is not None:
        (package / ONNX_FILE).write_bytes(onnx)
    columns = columns_as_logged(candidate.columns, settings)
    learned, judged = (rows_as_logged(each, columns, settings) for each in (train, comparison))
    profile = reference_of(learned, judged, read_frame(evaluation.scores), columns)
    (package / PROFILE_FILE).write_bytes(documents.encode(profile))


def read_serving_files(package: Path) -> ServingFiles:
    """The files of a package whose seal holds."""
    names = (FORM_FILE, ONNX_FILE, PROFILE_FILE)
    return ServingFiles(*(_content(package / name) for name in names))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None

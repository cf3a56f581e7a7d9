"""A candidate as an MLflow model folder, around the very file that was judged.

MLflow would write the estimator anew, with other bytes; here its file is replaced by the canonical
one, so that the digest in the lineage is the digest of what is served.
"""

import shutil
import warnings
from importlib.metadata import version
from pathlib import Path

from mlops_tasks.artifacts import Candidate
from mlops_tasks.data.frames import read_frame
from mlops_tasks.registry.client import silent
from mlops_tasks.storage import fetch
from mlops_tasks.training.model_files import TRUSTED, read_model

REQUIREMENTS = ("scikit-learn", "skops", "polars", "pandas", "numpy")
SAMPLE_ROWS = 200


def write_mlflow_model(candidate: Candidate, folder: Path) -> None:
    """Write an MLflow sklearn model with signature and pinned requirements.

    Raises
    ------
    StorageError
        If the model file or the training rows are gone or altered.
    """
    import mlflow.sklearn
    from mlflow.models import infer_signature

    estimator = read_model(candidate.model_uri, candidate.digest)
    sample = read_frame(candidate.train).select(candidate.columns.features).head(SAMPLE_ROWS)
    with silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # integer columns without missing values
        signature = infer_signature(sample.to_pandas(), estimator.predict_proba(sample))
        mlflow.sklearn.save_model(
            estimator,
            folder,
            serialization_format="skops",
            skops_trusted_types=list(TRUSTED),
            signature=signature,
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            pyfunc_predict_fn="predict_proba",
        )
    with fetch(candidate.model_uri, candidate.digest) as judged:
        shutil.copyfile(judged, folder / "model.skops")

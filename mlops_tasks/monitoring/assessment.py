"""How does the champion do on a window? Realised where labels have come, estimated where not.

Its traffic also goes through the training path, which must say what the server said. The arithmetic
is that of `performance`, `estimation` and `skew`; here it gets its inputs.
"""

from dataclasses import dataclass

import polars as pl

from mlops_tasks.artifacts import Champion, Dataset, Evaluation
from mlops_tasks.data.frames import read_frame
from mlops_tasks.errors import AlteredObject, DataError, StorageError
from mlops_tasks.evaluation.slices import cuts_of
from mlops_tasks.inference.features import features_of
from mlops_tasks.monitoring.calibration import calibrate
from mlops_tasks.monitoring.estimation import Estimate, estimate
from mlops_tasks.monitoring.late import labels_digest
from mlops_tasks.monitoring.performance import Performance, realised
from mlops_tasks.monitoring.skew import skew
from mlops_tasks.monitoring.skew_report import SkewReport
from mlops_tasks.monitoring.traffic import read_traffic
from mlops_tasks.monitoring.window import Window
from mlops_tasks.registry.reigning import release_of
from mlops_tasks.serving.prediction_log.labels import labelled, read_labels
from mlops_tasks.serving.prediction_log.records import FEATURE
from mlops_tasks.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Health:
    """What is known about a window's predictions. `estimated` is None where nothing can be said.

    `judged` is how the champion did when it was let in, `labels` names the labels that had come.
    """

    realised: Performance
    estimated: Estimate | None
    skew: SkewReport
    judged: Evaluation
    unestimated_because: str = ""
    labels: str = ""


def assess(settings: Settings, champion: Champion, traffic: Dataset, window: Window) -> Health:
    """Measure and estimate the champion's performance on its traffic.

    Parameters
    ----------
    settings
        What is measured, and how many labels a figure takes.
    champion
        Whose comparison set says what its scores mean.
    traffic
        What it answered, see `traffic.gather`.
    window
        Names the figures.

    Raises
    ------
    AlteredObject
        If the champion or the traffic is not, in every byte, what it was.
    """
    model = settings.registered_model
    release = release_of(settings.stack, model, champion)
    evidence, candidate = release.evidence, champion.candidate
    rows = labelled(read_traffic(traffic), read_labels(settings, model))
    cuts = _cuts(evidence.evaluation, settings.evaluation.slices)
    found = realised(
        rows,
        settings.evaluation,
        minimum_labels=settings.monitoring.minimum_labels,
        seed=settings.seed,
        window=window.name,
        cuts=cuts,
    )
    expected, why = None, ""
    try:
        meaning = calibrate(read_frame(evidence.evaluation.scores), candidate.columns.target)
        expected = estimate(
            meaning,
            rows["score"],
            settings.evaluation,
            seed=settings.seed,
            window=window.name,
            sliced=_sliced(rows, settings.evaluation.slices),
            cuts=cuts,
        )
    except DataError as error:
        why = error.what
    form = release.files.form
    features = (
        form.features if form else features_of((read_frame(candidate.train),), candidate.columns)
    )
    hashed, seed = settings.serving.log.hashed, settings.seed
    skewed = skew(candidate, features, rows, seed=seed, hashed=hashed)
    return Health(found, expected, skewed, evidence.evaluation, why, labels_digest(rows))


def _sliced(rows: pl.DataFrame, slices: tuple[str, ...]) -> pl.DataFrame:
    """The columns to slice by that the log has, under the names that the model knows."""
    names = [name for name in slices if FEATURE + name in rows.columns]
    return rows.select(pl.col(FEATURE + name).alias(name) for name in names)


def _cuts(judged: Evaluation, slices: tuple[str, ...]) -> dict[str, tuple[float, ...]] | None:
    """Where the slices of the champion's own report cut numbers; None where its rows are gone."""
    try:
        frame = read_frame(judged.comparison)
    except AlteredObject:
        raise
    except StorageError:
        return None
    return cuts_of(frame, tuple(name for name in slices if name in frame.columns))

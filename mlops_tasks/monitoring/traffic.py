"""The traffic of a window as a dataset: rows of the prediction log, named by content.

Features have their own names again; what the log's rules of privacy dropped is not there.

Guarantee, held by a test: it lies with the log, whose retention deletes it, also half written, with
the day on which the window begins.
"""

import polars as pl

from mlops_tasks.artifacts import Champion, Dataset
from mlops_tasks.data.frames import write_frame
from mlops_tasks.data.placement import common_regions
from mlops_tasks.monitoring.window import Window
from mlops_tasks.serving.prediction_log.places import COPIES, place_of
from mlops_tasks.serving.prediction_log.reader import predictions
from mlops_tasks.serving.prediction_log.records import FEATURE
from mlops_tasks.settings.schema import Settings
from mlops_tasks.storage import fetch


def gather(settings: Settings, champion: Champion, window: Window) -> Dataset:
    """All that the champion answered in a window, kept beside the log.

    Raises
    ------
    StorageError
        If the log cannot be read or written.
    """
    name = settings.registered_model
    rows = predictions(settings, name, window.start, window.end, version=champion.version)
    allowed = set(common_regions(champion)) & set(settings.residency.regions)
    ordered = rows.sort("time", "request_id", "row")
    folder = place_of(settings.stack, name).day(window.start.date(), COPIES)
    return write_frame(ordered, str(folder), regions=tuple(sorted(allowed)))


def read_traffic(traffic: Dataset) -> pl.DataFrame:
    """The rows again, as the log has them; there may be none.

    Raises
    ------
    StorageError, AlteredObject
        If they are gone, or not what their digest says.
    """
    with fetch(traffic.uri, traffic.digest) as path:
        return pl.read_parquet(path, glob=False)


def features_in(rows: pl.DataFrame) -> pl.DataFrame:
    """The logged features under the names that the model knows, and the score."""
    names = {name: name.removeprefix(FEATURE) for name in rows.columns if name.startswith(FEATURE)}
    return rows.select(*names, "score").rename(names)

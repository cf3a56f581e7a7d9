"""A real model of the template's flights, and its live traffic as the prediction log has it."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Candidate, Columns, Dataset, Evaluation, Split
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.drift.profile import Profile
from mlops_tasks.drift.reference import reference_of
from mlops_tasks.evaluation.evaluate import evaluate
from mlops_tasks.inference.features import Feature, features_of
from mlops_tasks.inference.predictors import NativePredictor
from mlops_tasks.references import code
from mlops_tasks.serving.prediction_log.records import FEATURE
from mlops_tasks.settings.schema import EvaluationSettings, ModelSettings
from mlops_tasks.training import baselines
from mlops_tasks.training.fit import fit
from mlops_tasks.training.model_files import read_model

FLIGHTS = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}" / "data" / "flights.parquet"
CATEGORICAL = ("carrier", "origin", "destination")
COLUMNS = Columns(
    key=("flight_id",),
    target="late",
    numeric=(
        "distance_miles",
        "scheduled_duration_minutes",
        "scheduled_hour",
        "departure_delay_minutes",
        "temperature_f",
        "wind_speed_mph",
    ),
    categorical=CATEGORICAL,
    time="scheduled_departure",
)
MEASURE = EvaluationSettings(
    bootstrap_samples=200, importance_repeats=2, slices=("carrier", "distance_miles")
)


@dataclass(frozen=True)
class Live:
    """A fitted model, how it was judged, and rows that it has not seen, with labels."""

    candidate: Candidate
    evaluation: Evaluation
    features: tuple[Feature, ...]
    profile: Profile
    unseen: pl.DataFrame
    columns: Columns = COLUMNS

    def log(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What a server would log of these rows; features as JSON gives them back."""
        asked = rows.select(self.columns.features).rows()
        score = NativePredictor(self._estimator, self.features).scores(asked)
        named = {f"{FEATURE}{name}": rows[name] for name in self.columns.features}
        return pl.DataFrame(
            {
                "request_id": rows["flight_id"],
                "row": pl.repeat(0, rows.height, dtype=pl.Int32, eager=True),
                "time": rows["scheduled_departure"].dt.replace_time_zone("UTC"),
                "model": pl.repeat("flights", rows.height, eager=True),
                "version": pl.repeat(1, rows.height, eager=True),
                "digest": pl.repeat(self.candidate.digest, rows.height, eager=True),
                "score": pl.Series(score, dtype=pl.Float64),
                "prediction": pl.Series([int(each >= 0.5) for each in score], dtype=pl.Int64),
                **named,
            }
        )

    def labelled(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The log with all labels, each two hours after its prediction."""
        logged = self.log(rows)
        return logged.with_columns(
            rows["late"].alias("label"),
            (logged["time"] + timedelta(hours=2)).alias("label_time"),
        )

    @property
    def scores(self) -> pl.DataFrame:
        """Key, target and score of the comparison set."""
        return read_frame(self.evaluation.scores)

    @property
    def _estimator(self):
        return _loaded(self.candidate.model_uri, self.candidate.digest)


@cache
def _loaded(uri: str, digest: str):
    return read_model(uri, digest)


def learn(store: Path, *, mixed: bool, columns: Columns = COLUMNS) -> Live:
    """Train on 7,000 flights, judge on 3,000; `mixed` draws them from the whole year.

    Drawn from the whole year, unseen rows end as seen ones did: there is no concept drift. In the
    order of time, seasons change what a score means.
    """
    flights = pl.read_parquet(FLIGHTS)
    if mixed:
        order = np.random.default_rng(1).permutation(flights.height)
        flights = flights[order.tolist()]
    else:
        flights = flights.sort("scheduled_departure", "flight_id")
    train, comparison, unseen = flights[:7000], flights[7000:10_000], flights[10_000:]
    kept = [_keep(each, store) for each in (train, comparison)]
    split = Split(*kept, columns, "random")
    model = code(baselines.REFERENCE)
    candidate = fit(split, model, ModelSettings(name="linear"), 3, store=str(store))
    evaluation = evaluate(candidate, kept[1], MEASURE, store=str(store))
    features = features_of((train, comparison), columns)
    profile = reference_of(train, comparison, read_frame(evaluation.scores), columns)
    return Live(candidate, evaluation, features, profile, unseen, columns)


def _keep(frame: pl.DataFrame, store: Path) -> Dataset:
    return write_frame(frame, str(store), regions=("local",))

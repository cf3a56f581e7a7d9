"""A champion's answers in the prediction log, at times of one's choice, and labels to hand in.

`python answering.py ROOT START ROWS OFFSET [drifted]`, in a project's environment, prints CSV as
`mlops log label` takes it: what turned out to be true of the rows that the champion has answered.
Drifted rows are those that left late.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from mlops_tasks.data.frames import read_frame
from mlops_tasks.inference.features import features_of
from mlops_tasks.inference.predictors import NativePredictor
from mlops_tasks.registry.reigning import reigning_champion
from mlops_tasks.serving.prediction_log.records import Answered
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings.compose import compose
from mlops_tasks.training.model_files import read_model


def answer(root: str, start: str, rows: str, offset: str, *words: str) -> None:
    settings = compose(Path(root), [], placed=False)
    champion = reigning_champion(settings)
    candidate = champion.candidate
    known = read_frame(candidate.train)
    if "drifted" in words:
        known = known.filter(pl.col("departure_delay_minutes") > 0)
    features = features_of((read_frame(candidate.train),), candidate.columns)
    names = candidate.columns.features
    flights = known.sample(fraction=1, seed=1, shuffle=True)[int(offset) : int(offset) + int(rows)]
    asked = flights.select(names).rows()
    scores = list(
        NativePredictor(read_model(candidate.model_uri, candidate.digest), features).scores(asked)
    )
    request = f"{start}-{offset}"
    log = open_log(settings, names)
    log.append(
        Answered(
            request_id=request,
            time=datetime.fromisoformat(start) + timedelta(seconds=1),
            model=settings.registered_model,
            version=champion.version,
            digest=candidate.digest,
            region="local",
            role="champion",
            latency_ms=1.0,
            names=tuple(names),
            rows=asked,
            scores=[float(each) for each in scores],
            predictions=[int(each >= 0.5) for each in scores],
        )
    )
    log.close()
    target = flights[candidate.columns.target].cast(pl.Int64)
    given = pl.DataFrame(
        {"request_id": [request] * len(asked), "row": range(len(asked)), "label": target}
    )
    sys.stdout.write(given.write_csv())


if __name__ == "__main__":
    answer(*sys.argv[1:])

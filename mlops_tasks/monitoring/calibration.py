"""What a model's scores mean: the rates that were observed on its comparison set.

Guarantees, each held by a test: a wrong calibration of the model is put right; rates that few rows
tell are drawn from a wider posterior; a bin without events is not taken to be without risk.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.evaluate import as_arrays
from mlops_tasks.evaluation.metrics import Array

MOST_BINS, LEAST_PER_BIN = 20, 50
LEAST_REFERENCE = 200
CERTAIN = 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """What scores meant on the comparison set, in bins of about as many rows each.

    `centres` are mean scores, ascending; shape `(bins,)` all. Between centres, the difference of
    observed rate and score is interpolated; beyond the first and last it stays the same.
    """

    centres: tuple[float, ...]
    rows: tuple[int, ...]
    positives: tuple[int, ...]
    low: float
    high: float

    @property
    def offsets(self) -> Array:
        """Observed rate minus mean score of each bin, shape `(bins,)`."""
        found: Array = np.array(self.positives) / np.array(self.rows) - np.array(self.centres)
        return found

    def probabilities(self, score: Array, offsets: Array) -> Array:
        """Chance of a positive label for each score, shape `(rows,)`, for given offsets."""
        return np.clip(score + np.interp(score, self.centres, offsets), 0.0, 1.0)

    def drawn_offsets(self, generator: np.random.Generator) -> Array:
        """Offsets as they might have come out: rates drawn from their posterior in each bin.

        A beta posterior whose prior has weight one and the mean score for its mean, kept off 0 and
        1: a bin in which nothing happened is not taken for one in which nothing can.
        """
        rows, positives, centres = (np.array(x) for x in (self.rows, self.positives, self.centres))
        prior = np.clip(centres, CERTAIN, 1 - CERTAIN)
        rates = generator.beta(positives + prior, rows - positives + (1 - prior))
        return np.asarray(rates - centres, dtype=np.float64)


def calibrate(reference: pl.DataFrame, target: str) -> Calibration:
    """Learn what the scores meant on the comparison set.

    Parameters
    ----------
    reference
        The frame of `Evaluation.scores`: one row per comparison row, with target and score.
    target
        Name of the target.

    Raises
    ------
    DataError
        If there are fewer than 200 rows, or one class only.
    """
    outcome, score = as_arrays(reference, target)
    if len(score) < LEAST_REFERENCE or len(np.unique(outcome)) < 2:
        raise DataError(
            f"scores cannot be calibrated on {len(score)} comparison rows with "
            f"{int(outcome.sum())} positives",
            where="Evaluation.scores",
            next_step=f"use a comparison set of at least {LEAST_REFERENCE} rows with both classes",
        )
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    bins = min(MOST_BINS, len(score) // LEAST_PER_BIN)
    places = np.arange(1, bins) * len(score) // bins
    # A score belongs to one bin: rows that tie are not torn apart.
    starts = np.unique(np.r_[0, np.searchsorted(ordered, ordered[places], side="left")])
    rows = np.diff(np.r_[starts, len(score)])
    return Calibration(
        tuple((np.add.reduceat(ordered, starts) / rows).tolist()),
        tuple(rows.tolist()),
        tuple(np.add.reduceat(outcome[order], starts).astype(int).tolist()),
        float(ordered[0]),
        float(ordered[-1]),
    )

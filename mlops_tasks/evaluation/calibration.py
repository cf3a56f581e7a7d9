"""Does a score of 0.3 come true three times in ten? Bins of equal width for the diagram."""

import numpy as np

from mlops_tasks.artifacts import CalibrationBin
from mlops_tasks.evaluation.metrics import Array


def calibration_bins(target: Array, score: Array, bins: int) -> tuple[CalibrationBin, ...]:
    """Mean score against observed rate in each bin that has rows.

    Parameters
    ----------
    target, score
        Shape `(rows,)`.
    bins
        Number of bins between 0 and 1; a score of exactly 1 belongs to the last.
    """
    index = np.minimum((score * bins).astype(int), bins - 1)
    return tuple(
        CalibrationBin(
            low=number / bins,
            high=(number + 1) / bins,
            rows=int(member.sum()),
            mean_score=float(score[member].mean()),
            observed_rate=float(target[member].mean()),
        )
        for number in range(bins)
        if (member := index == number).any()
    )

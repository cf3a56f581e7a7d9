"""What a person is told after scoring."""

from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import average_precision_score, log_loss

from mlops_tasks.data.frames import write_frame
from mlops_tasks.project import words

LATE = [0, 1, 1, 0, 1, 0, 0, 1]
SCORE = [0.1, 0.8, 0.35, 0.4, 0.9, 0.2, 0.6, 0.7]


def told(
    folder: Path, capsys: pytest.CaptureFixture[str], primary: str, late: list[int | None]
) -> str:
    columns = {"flight_id": list(range(len(late))), "late": late, "score": SCORE}
    frame = pl.DataFrame(columns).with_columns(
        pl.lit(3).alias("model_version"), pl.lit("d").alias("model_digest")
    )
    words.scores(write_frame(frame, str(folder), regions=("local",)), "late", primary, None)
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("primary", "reference"),
    [("average_precision", average_precision_score), ("log_loss", log_loss)],
)
def test_scores_are_told_by_the_primary_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], primary: str, reference: object
) -> None:
    said = told(tmp_path, capsys, primary, [*LATE])
    assert f"8 have a label: {primary} {reference(LATE, SCORE):.4f}," in said  # type: ignore[operator]
    assert "roc_auc" not in said


def test_a_metric_that_is_not_defined_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(tmp_path, capsys, "roc_auc", [1, 1, 1, None, None, None, None, None])
    assert "3 have a label: roc_auc is not defined," in said
    assert "nan" not in said

"""One whole body of evidence, and one in which every label is hostile."""

from dataclasses import replace

from mlops_tasks.artifacts import (
    CalibrationBin,
    Candidate,
    Check,
    Code,
    Columns,
    Comparison,
    Dataset,
    Decision,
    Evaluation,
    Evidence,
    Importance,
    Interval,
    Lineage,
    SliceScore,
)

SECRET = "/home/ada/secret-place"
TRAIN = Dataset(f"{SECRET}/train.parquet", "1" * 64, 36_512, ("id", "hour"), ("eu",), "5" * 32, 12)
COMPARISON = Dataset(f"{SECRET}/held.parquet", "2" * 64, 12_171, ("id", "hour"), ("eu",))
EVIDENCE = Evidence(
    candidate=Candidate(
        model_uri=f"{SECRET}/model.skops",
        digest="c" * 64,
        name="boosted",
        params={"max_depth": 6, "cache": f"{SECRET}/params"},
        seed=7,
        train=TRAIN,
        columns=Columns(("id",), "delayed", ("hour",), ("carrier",), time="day"),
        code=Code("flights.models:MODELS", "e" * 64),
        size_bytes=1_812_345,
        fit_seconds=3.25,
    ),
    evaluation=Evaluation(
        candidate_digest="c" * 64,
        comparison=COMPARISON,
        primary="roc_auc",
        rows=12_171,
        positives=2_390,
        metrics={
            "log_loss": Interval(0.4312, 0.4251, 0.4377),
            "roc_auc": Interval(0.7421, 0.7318, 0.7519),
        },
        slices=(
            SliceScore("carrier", "AA", 4_012, 801, Interval(0.751, 0.731, 0.768)),
            SliceScore("carrier", "HA", 212, 9, Interval(0.583, 0.442, float("nan"))),
            SliceScore("carrier", "OO", 31, 0, None),
        ),
        calibration=(
            CalibrationBin(0.0, 0.5, 900, 0.2, 0.21),
            CalibrationBin(0.5, 1.0, 100, 0.7, 0.5),
        ),
        importance=(Importance("hour", 0.0912, 0.0021, False),),
        scores=Dataset(f"{SECRET}/scores.parquet", "3" * 64, 12_171, ("id", "score"), ("eu",)),
        latency_ms=1.4,
    ),
    comparisons=(
        Comparison("linear", "4" * 64, "roc_auc", 0.7102, Interval(0.0319, 0.0244, 0.0398), 0),
        Comparison("champion", "6" * 64, "roc_auc", 0.74, Interval(0.0012, -0.0024, 0.0049), None),
    ),
    decision=Decision(
        False,
        (
            Check("minimum rows", True, "there are 12171 rows"),
            Check("slice carrier=HA", False, "0.5830 on carrier=HA, the floor is 0.65"),
        ),
        "f" * 64,
    ),
    lineage=Lineage(
        git_commit="9fceb02d0ae598e95dc970b74767f19372d61af8",
        git_dirty=True,
        dvc_rev="5" * 32,
        data_digest="7" * 64,
        config_digest="8" * 64,
        environment_digest="9" * 64,
        code_digest="a" * 64,
        library_version="0.1.0",
        seed=7,
        region="eu-central-1",
    ),
)


def with_labels(text: str) -> Evidence:
    """The same evidence where everything that people or data may name is called `text`."""
    data = replace(TRAIN, columns=(text,), regions=(text,), dvc_rev=text)
    score = Interval(0.5, 0.4, 0.6)
    return replace(
        EVIDENCE,
        candidate=replace(
            EVIDENCE.candidate,
            name=text,
            params={text: text},
            train=data,
            columns=Columns((text,), text, (text,), (text,), text, text),
            code=Code(text, "e" * 64),
        ),
        evaluation=replace(
            EVIDENCE.evaluation, comparison=data, slices=(SliceScore(text, text, 1, 0, score),)
        ),
        comparisons=(replace(EVIDENCE.comparisons[0], rival=text),),
        decision=Decision(False, (Check(text, False, text),), text),
        lineage=replace(EVIDENCE.lineage, git_commit=text, region=text, dvc_rev=text),
    )

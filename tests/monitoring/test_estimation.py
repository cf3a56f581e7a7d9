"""Estimates against labels that are drawn many times, and against real flights."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.metrics import Array, point
from mlops_tasks.evaluation.slices import SLICE_SAMPLES, cuts_of, slices_of
from mlops_tasks.monitoring import estimation
from mlops_tasks.monitoring.calibration import Calibration, calibrate
from mlops_tasks.monitoring.estimation import ESTIMABLE, LEAST_SLICE, estimate
from tests.monitoring.live import MEASURE, Live, learn


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    return learn(tmp_path_factory.mktemp("store"), mixed=True)


def simulated(rows: int, seed: int) -> tuple[Array, Array]:
    """Scores, and labels that come true as often as the scores say."""
    generator = np.random.default_rng((4, seed))
    score = generator.beta(0.7, 1.6, rows)
    return score, (generator.uniform(size=rows) < score).astype(float)


def frame(score: Array, target: Array) -> pl.DataFrame:
    return pl.DataFrame({"id": np.arange(len(score)), "late": target, "score": score})


def calibrated(rows: int = 4000, seed: int = 0) -> Calibration:
    return calibrate(frame(*simulated(rows, seed)), "late")


@given(seed=st.integers(0, 1000), rows=st.integers(120, 300))
@examples(max_examples=8)
def test_an_estimate_is_the_mean_over_drawn_labels(seed: int, rows: int) -> None:
    meaning, (score, _) = calibrated(1000, seed), simulated(rows, seed + 1)
    chance = meaning.probabilities(score, meaning.offsets)
    generator = np.random.default_rng(seed)
    found = estimate(meaning, pl.Series("score", score), MEASURE, seed=seed)
    labels = [(generator.uniform(size=rows) < chance).astype(float) for _ in range(400)]
    for name in ESTIMABLE:
        draws = np.array([point(name, label, score) for label in labels])
        expected, error = draws.mean(), draws.std() / np.sqrt(len(draws))
        interval = found.metric(name)
        assert interval is not None
        # A ratio of means is not the mean of ratios: they differ by some 1 / rows.
        bias = 1.5 / rows if name in ("roc_auc", "average_precision") else 0.0
        assert abs(interval.value - expected) < 4.5 * error + bias, name


def test_the_interval_is_that_of_a_naive_loop() -> None:
    """Draw offsets, rows and labels one after the other, and sort what comes out."""
    meaning, (score, _) = calibrated(), simulated(500, 9)
    fine = MEASURE.model_copy(update={"bootstrap_samples": 1500})
    found = estimate(meaning, pl.Series("score", score), fine, seed=2)
    for name in ("roc_auc", "log_loss", "accuracy"):
        draws = sorted(naive_draws(meaning, score, name, 1500))
        low, high = draws[37], draws[1462]
        interval = found.metric(name)
        assert interval is not None
        width = high - low
        assert abs(interval.low - low) < 0.12 * width
        assert abs(interval.high - high) < 0.12 * width


def naive_draws(meaning: Calibration, score: Array, name: str, samples: int) -> Iterator[float]:
    generator = np.random.default_rng(77)
    for _ in range(samples):
        offsets = []
        bins = zip(meaning.centres, meaning.rows, meaning.positives, strict=True)
        for centre, rows, positives in bins:
            prior = min(max(centre, 0.01), 0.99)
            offsets.append(generator.beta(positives + prior, rows - positives + 1 - prior) - centre)
        drawn = score[generator.integers(0, len(score), len(score))]
        chance = np.clip(drawn + np.interp(drawn, meaning.centres, offsets), 0, 1)
        label = (generator.uniform(size=len(drawn)) < chance).astype(float)
        yield point(name, label, drawn)


def test_bins_hold_all_rows_and_tear_no_ties() -> None:
    score, target = simulated(3000, 3)
    score = np.round(score, 1)  # eleven values only
    meaning = calibrate(frame(score, target), "late")
    assert sum(meaning.rows) == 3000
    assert sum(meaning.positives) == target.sum()
    assert list(meaning.centres) == sorted(set(meaning.centres))
    for centre, rows in zip(meaning.centres, meaning.rows, strict=True):
        nearest = np.abs(score - centre)
        assert rows >= np.sum(nearest < 1e-9)
    every = calibrate(frame(np.full(300, 0.4), np.tile([0.0, 1.0], 150)), "late")
    assert (every.centres, every.rows, every.positives) == ((pytest.approx(0.4),), (300,), (150,))
    assert every.probabilities(np.array([0.4]), every.offsets) == pytest.approx([0.5])


def test_a_model_that_is_wrongly_calibrated_is_put_right() -> None:
    score, target = simulated(6000, 1)
    live_score, live_target = simulated(3000, 2)
    meaning = calibrate(frame(score**3, target), "late")
    found = estimate(meaning, pl.Series("score", live_score**3), MEASURE, seed=1)
    for name in ESTIMABLE:
        interval, truth = found.metric(name), point(name, live_target, live_score**3)
        assert interval is not None
        assert interval.low <= truth <= interval.high, name
    believed = np.mean((live_score**3) * (1 - live_score**3))  # the Brier score it would claim
    brier = point("brier_score", live_target, live_score**3)
    assert abs(found.metric("brier_score").value - brier) < abs(believed - brier) / 5  # type: ignore[union-attr]


def hits(live: Live, windows: list[pl.DataFrame]) -> dict[str, int]:
    """In how many windows the realised figure lies in the interval of the estimate."""
    meaning, found = calibrate(live.scores, "late"), dict.fromkeys(ESTIMABLE, 0)
    for window in windows:
        logged = live.log(window)
        expected = estimate(meaning, logged["score"], MEASURE, seed=1)
        target, score = window["late"].cast(pl.Float64).to_numpy(), logged["score"].to_numpy()
        for name in ESTIMABLE:
            interval, truth = expected.metric(name), point(name, target, score)
            assert interval is not None
            found[name] += interval.low <= truth <= interval.high
    return found


def test_on_real_flights_the_interval_holds_the_realised_figure(live: Live) -> None:
    """At 95 %, fewer than 17 of 20 windows would happen once in 400 times."""
    windows = [live.unseen[start : start + 700] for start in range(0, 14_000, 700)]
    assert all(17 <= found <= 20 for found in hits(live, windows).values())


def test_on_slices_it_is_the_estimate_of_their_rows(live: Live) -> None:
    """The same slices as training, and most of their intervals hold what turned out."""
    meaning, names = calibrate(live.scores, "late"), MEASURE.slices
    cuts, hit, told = cuts_of(live.unseen, names), 0, 0
    for start in range(0, 8_000, 2_000):
        window = live.unseen[start : start + 2_000]
        score, sliced = live.log(window)["score"], window.select(names)
        found = estimate(meaning, score, MEASURE, seed=1, sliced=sliced, cuts=cuts).slices
        assert {each.column for each in found} == set(names)
        members = slices_of(sliced, names, cuts)
        for each, (column, level, member) in zip(found, members, strict=True):
            assert (each.column, each.level, each.rows) == (column, level, member.sum())
            if each.rows < LEAST_SLICE:
                assert each.score is None, "a figure of so few rows says nothing"
                continue
            alone = MEASURE.model_copy(update={"bootstrap_samples": SLICE_SAMPLES})
            own = estimate(meaning, score.filter(pl.Series(member)), alone, seed=1)
            assert each.score == own.metric("roc_auc")
            target = window["late"].filter(pl.Series(member)).cast(pl.Float64).to_numpy()
            truth = point("roc_auc", target, score.filter(pl.Series(member)).to_numpy())
            if each.score is not None and not np.isnan(truth):
                told += 1
                hit += each.score.low <= truth <= each.score.high
    assert told > 40
    assert hit >= 0.85 * told, (hit, told)


def test_a_slice_of_few_rows_is_named_without_a_figure() -> None:
    rows = 2 * LEAST_SLICE - 1
    score = pl.Series("score", simulated(rows, 6)[0])
    level = ["enough"] * LEAST_SLICE + ["few"] * (rows - LEAST_SLICE)
    sliced = pl.DataFrame({"level": level})
    enough, few = estimate(calibrated(), score, MEASURE, seed=1, sliced=sliced).slices
    assert (enough.level, few.level, few.rows) == ("enough", "few", LEAST_SLICE - 1)
    assert few.score is None
    assert enough.score is not None
    assert enough.score.low < enough.score.value < enough.score.high
    assert estimate(calibrated(), score, MEASURE, seed=1).slices == ()


def test_other_flights_than_before_are_allowed(live: Live) -> None:
    """Mostly those that left late: twice as many arrive late, and scores are twice as high."""
    kept = np.random.default_rng(0).uniform(size=live.unseen.height) < 0.2
    shifted = live.unseen.filter((pl.col("departure_delay_minutes") > 5) | pl.Series(kept))
    before, after = live.scores["late"].mean(), shifted["late"].mean()
    assert after > 1.8 * before  # type: ignore[operator]
    windows = [shifted[start : start + 500] for start in range(0, 5_000, 500)]
    assert all(found >= 8 for found in hits(live, windows).values())


def test_concept_drift_is_not_seen_for_it_cannot_be(live: Live) -> None:
    """Late flights come in time and the others late: the estimate says what it said before."""
    meaning, window = calibrate(live.scores, "late"), live.unseen[:1500]
    logged = live.log(window)
    interval = estimate(meaning, logged["score"], MEASURE, seed=1).metric("accuracy")
    upside_down = 1 - window["late"].cast(pl.Float64).to_numpy()
    assert interval is not None
    assert point("accuracy", upside_down, logged["score"].to_numpy()) < 0.3 < interval.low


def test_a_bin_without_events_is_not_taken_to_be_without_risk() -> None:
    score = np.linspace(0.0, 0.5, 400)
    target = (score > 0.25).astype(float)
    meaning = calibrate(frame(score, target), "late")
    assert meaning.positives[0] == 0
    draws = np.array([meaning.drawn_offsets(np.random.default_rng(n))[0] for n in range(200)])
    assert draws.std() > 0


def test_drawn_offsets_lie_around_those_that_were_found() -> None:
    """A prior that pulls towards one half would make rare events look frequent."""
    score, target = simulated(2000, 5)
    meaning = calibrate(frame(score**4, (target * (score > 0.6))), "late")
    draws = np.array([meaning.drawn_offsets(np.random.default_rng(n)) for n in range(800)])
    rare = np.array(meaning.positives) == 0
    assert rare.any()
    assert np.abs(draws.mean(axis=0) - meaning.offsets)[rare] == pytest.approx(0, abs=2e-3)


def test_a_smaller_comparison_set_makes_a_wider_interval() -> None:
    score = pl.Series("score", simulated(3000, 8)[0])
    widths = []
    for rows in (200, 1000, 20_000):
        interval = estimate(calibrated(rows), score, MEASURE, seed=1).metric("brier_score")
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 2 * widths[2]


def test_the_same_seed_gives_the_same_estimate_and_another_does_not() -> None:
    meaning, score = calibrated(), pl.Series("score", simulated(400, 6)[0])
    found = estimate(meaning, score, MEASURE, seed=1, window="w")
    assert found == estimate(meaning, score, MEASURE, seed=1, window="w")
    assert found != estimate(meaning, score, MEASURE, seed=2, window="w")
    assert (found.window, found.rows, found.reference_rows) == ("w", 400, 4000)
    assert found.positive_rate is not None
    assert found.positive_rate.low < found.positive_rate.value < found.positive_rate.high
    assert found.metric("precision") is None


def test_scores_that_the_comparison_set_never_had_are_counted() -> None:
    score, target = simulated(1000, 0)
    meaning = calibrate(frame(score * 0.5, target), "late")
    live = pl.Series("score", np.concatenate([np.full(30, 0.9), np.full(70, 0.2)]))
    assert estimate(meaning, live, MEASURE, seed=1).outside == pytest.approx(0.3)


def test_no_more_rows_are_used_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    score = pl.Series("score", simulated(900, 6)[0])
    monkeypatch.setattr(estimation, "MOST_ROWS", 300)
    sliced = pl.DataFrame({"high": score > 0.5})
    found = estimate(calibrated(), score, MEASURE, seed=1, sliced=sliced)
    assert (found.rows, found.measured) == (900, 300)
    assert sum(each.rows for each in found.slices) == 300
    low, high = found.slices
    assert low.positives < low.rows / 2
    assert high.positives > high.rows / 2, "the rows that were drawn, with their own slices"


def test_a_window_without_rows_has_no_figures() -> None:
    found = estimate(calibrated(), pl.Series("score", [], pl.Float64), MEASURE, seed=1)
    assert (found.rows, found.metrics, found.positive_rate) == (0, (), None)


@pytest.mark.parametrize("spoilt", [float("nan"), -0.1, 1.1, None])
def test_what_is_no_probability_is_refused(spoilt: float | None) -> None:
    with pytest.raises(DataError, match="no probability"):
        estimate(calibrated(), pl.Series("score", [0.2, spoilt]), MEASURE, seed=1)


@pytest.mark.parametrize(("rows", "target"), [(199, [0, 1]), (400, [0]), (400, [1])])
def test_a_comparison_set_that_teaches_nothing_is_refused(rows: int, target: list[int]) -> None:
    labels = np.resize(np.array(target, np.float64), rows)
    with pytest.raises(DataError, match="cannot be calibrated") as caught:
        calibrate(frame(np.linspace(0, 1, rows), labels), "late")
    assert caught.value.next_step

"""Embeddings in a few figures, and drift of real ones."""

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_digits

from mlops_tasks.drift import documents
from mlops_tasks.drift.bins import Array
from mlops_tasks.drift.domain import domain_drift
from mlops_tasks.drift.embeddings import EmbeddingSummary, project, summary_of
from mlops_tasks.drift.profile import count, profile_of
from mlops_tasks.drift.verdict import DriftReport, compare
from mlops_tasks.errors import DataError
from mlops_tasks.settings.monitoring import DriftRules


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    """Sixty-four numbers for each image, and which digit it is."""
    data, digit = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(data))
    return data[order], digit[order]


def report_of(reference: Array, window: Array) -> DriftReport:
    summary = summary_of(reference)
    profile = profile_of(project(reference, summary), project(reference, summary).columns)
    domain = domain_drift(reference, window, seed=0)
    return compare(profile, count(project(window, summary), profile), DriftRules(), domain=domain)


def test_the_summary_is_what_a_singular_value_decomposition_says(digits: tuple[Array, Array]):
    data = digits[0]
    summary = summary_of(data)
    _, values, vectors = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    assert summary.mean == pytest.approx(data.mean(axis=0))
    assert summary.spreads == pytest.approx(values[:8] / np.sqrt(len(data)))
    assert summary.rest == pytest.approx(np.sqrt(np.sum(values[8:] ** 2) / len(data)))
    for found, exact in zip(np.array(summary.directions), vectors[:8], strict=True):
        assert abs(found @ exact) == pytest.approx(1.0)
        assert found[np.argmax(np.abs(found))] > 0
    turned = np.array(summary.directions) @ np.array(summary.directions).T
    assert turned == pytest.approx(np.eye(8), abs=1e-7)


def test_the_projection_of_the_reference_has_mean_zero_and_the_spreads(digits):
    data = digits[0]
    summary = summary_of(data, directions=5)
    frame = project(data, summary)
    assert frame.columns == [*(f"direction_{number}" for number in range(1, 6)), "rest", "length"]
    along = frame.select(pl.col("^direction_.*$")).to_numpy()
    assert along.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert along.std(axis=0) == pytest.approx(summary.spreads)
    assert np.sqrt((frame["rest"] ** 2).mean()) == pytest.approx(summary.rest)
    assert frame["length"].to_numpy() == pytest.approx(np.linalg.norm(data, axis=1))


def test_the_same_embeddings_give_the_same_document(digits):
    data = digits[0]
    summary = summary_of(data)
    assert summary_of(data.copy()) == summary
    written = documents.encode(summary)
    assert documents.decode(written, EmbeddingSummary) == summary
    assert len(written) < 12_000
    assert repr(data[0].tolist())[1:-1].encode() not in written


def test_other_digits_have_not_drifted_and_a_missing_digit_has(digits):
    data, digit = digits
    assert report_of(data[:1000], data[1000:]).verdict == "no drift"
    window, kept = data[1000:], digit[1000:] > 3
    report = report_of(data[:1000], window[kept])
    assert report.drifted
    assert any(each.drifted for each in report.columns)


def test_directions_that_the_reference_does_not_have_are_the_rest():
    draw = np.random.default_rng(0)
    flat = np.zeros((1500, 20))
    flat[:, :3] = draw.normal(size=(1500, 3))
    flat[:, 3:] = draw.normal(0, 0.1, size=(1500, 17))
    window = flat[1000:] + draw.normal(0, 0.2, size=(500, 20)) * (np.arange(20) >= 3)
    summary = summary_of(flat[:1000], directions=3)
    profile = profile_of(project(flat[:1000], summary), ("direction_1", "rest"))
    report = compare(profile, count(project(window, summary), profile), DriftRules())
    assert [each.name for each in report.columns if each.drifted] == ["rest"]


def test_few_rows_and_dimensions_are_enough():
    summary = summary_of(np.array([[1.0, 2.0]]))
    assert (summary.mean, summary.spreads, summary.rest) == ((1.0, 2.0), (0.0, 0.0), 0.0)
    assert project(np.empty((0, 2)), summary).height == 0


def test_what_is_no_embedding_is_refused():
    good = np.ones((3, 4))
    for wrong in (np.ones(3), good * np.nan):
        with pytest.raises(DataError, match="finite numbers"):
            summary_of(wrong)
    with pytest.raises(DataError, match="has none"):
        summary_of(np.empty((0, 4)))
    with pytest.raises(DataError, match="3 and 4"):
        project(np.ones((2, 3)), summary_of(good))
    with pytest.raises(ValueError, match="dimensions"):
        EmbeddingSummary((0.0,), ((1.0, 0.0),), (1.0,), 0.0)

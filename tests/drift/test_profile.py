"""Profiles and counts of frames and files, and their documents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks.artifacts import Columns
from mlops_tasks.drift import documents
from mlops_tasks.drift.files import count_file
from mlops_tasks.drift.profile import Counts, Profile, beside, count, merge, profile_of
from mlops_tasks.drift.reference import reference_of
from mlops_tasks.drift.verdict import compare
from mlops_tasks.errors import DataError
from mlops_tasks.settings.monitoring import DriftRules

NAMES = ("amount", "code", "city", "paid", "at")


def frame_of(rows: int, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "amount": pl.Series(draw.normal(size=rows)).set(
                pl.Series(draw.random(rows) < 0.1), None
            ),
            "code": draw.integers(1, 6, rows),
            "city": pl.Series([f"city {x}" for x in draw.integers(0, 30, rows)], dtype=pl.String),
            "paid": draw.random(rows) < 0.3,
            "at": pl.Series(draw.integers(0, 10**9, rows)).cast(pl.Datetime("us")),
        }
    )


@pytest.fixture(scope="module")
def profile() -> Profile:
    return profile_of(frame_of(2_000, 0), NAMES, categorical=("code",))


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 1_000))
@settings(max_examples=30, deadline=None)
def test_merging_is_counting_the_rows_of_both(profile: Profile, first: int, second: int, seed: int):
    a, b = frame_of(first, seed), frame_of(second, seed + 1)
    together = count(pl.concat([a, b]), profile)
    assert merge(count(a, profile), count(b, profile)) == together
    assert together.rows == first + second


def test_a_profile_finds_its_own_counts(profile: Profile):
    found = count(frame_of(2_000, 0), profile)
    assert found == profile.reference
    assert [each.kind for each in profile.bins] == [
        "number",
        "category",
        "category",
        "boolean",
        "time",
    ]


@given(st.integers(1, 700), st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_a_file_is_counted_like_its_rows(
    profile: Profile, tmp_path_factory: pytest.TempPathFactory, at_once: int, rows: int
):
    path = tmp_path_factory.mktemp("rows") / "rows [1].parquet"
    frame = frame_of(rows, 5)
    frame.with_columns(unwatched=pl.lit("x")).write_parquet(path, row_group_size=100)
    assert count_file(path, profile, rows_at_once=at_once) == count(frame, profile)


def test_a_file_that_is_none_is_an_error_with_its_name(profile: Profile, tmp_path: Path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"rows\.parquet"):
        count_file(path, profile)
    with pytest.raises(DataError, match=r"gone\.parquet"):
        count_file(tmp_path / "gone.parquet", profile)
    frame_of(5, 1).drop("city", "paid").write_parquet(path)
    with pytest.raises(DataError, match="city, paid"):
        count_file(path, profile)


def test_a_window_must_have_the_columns_in_their_types(profile: Profile):
    frame = frame_of(10, 1)
    with pytest.raises(DataError, match="city"):
        count(frame.drop("city"), profile)
    with pytest.raises(DataError, match="amount: the profile counts it as number"):
        count(frame.with_columns(amount=pl.lit("a lot")), profile)
    nothing = frame.with_columns(amount=pl.lit(None), city=pl.lit(None))
    assert [each.missing for each in count(nothing, profile).tallies] == [10, 0, 10, 0, 0]


def test_a_reference_that_cannot_be_profiled_is_refused():
    frame = frame_of(10, 1)
    with pytest.raises(DataError, match="needs rows"):
        profile_of(frame.clear(), NAMES)
    with pytest.raises(DataError, match="named twice"):
        profile_of(frame, ("paid", "paid"))
    with pytest.raises(DataError, match="ages"):
        profile_of(frame, ("ages",))
    with pytest.raises(DataError, match=r"List.*cannot be counted"):
        profile_of(frame.with_columns(tags=pl.lit([1])), ("tags",))


def test_counts_of_other_bins_are_refused(profile: Profile):
    other = profile_of(frame_of(500, 9), NAMES, categorical=("code",))
    window = frame_of(300, 2)
    with pytest.raises(DataError, match="another profile"):
        compare(profile, count(window, other), DriftRules())
    with pytest.raises(DataError, match="different profiles"):
        merge(count(window, profile), count(window, other))
    found = count(window, profile)
    with pytest.raises(DataError, match="another profile"):
        compare(profile, Counts(found.bins, found.rows + 1, found.tallies), DriftRules())
    with pytest.raises(ValueError, match="not of these bins"):
        Profile(profile.bins, other.reference)


def test_documents_give_back_what_was_written(profile: Profile):
    window = count(frame_of(300, 2), profile)
    report = compare(profile, window, DriftRules(), window="march")
    for each in (profile, window, report):
        written = documents.encode(each)
        assert documents.decode(written, type(each)) == each
        assert documents.encode(documents.decode(written, type(each))) == written
    with pytest.raises(DataError, match="not a Profile"):
        documents.decode(documents.encode(window), Profile)


SPOILED = {
    "fewer than none": lambda profile: tally_in(profile).update(missing=-1),
    "more than there are": lambda profile: tally_in(profile).update(missing=10**9),
    "a bin is gone": lambda profile: tally_in(profile)["counts"].pop(),
    "edges fall": lambda profile: profile["bins"][0]["edges"].reverse(),
    "other bins": lambda profile: profile["bins"][0].update(name="another"),
    "more in it": lambda profile: profile.update(extra=1),
    "text for a number": lambda profile: tally_in(profile).update(missing="3"),
}


def tally_in(profile: dict[str, Any]) -> dict[str, Any]:
    return profile["reference"]["tallies"][0]


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_altered_documents_are_refused(profile: Profile, spoil: Callable[[dict[str, Any]], None]):
    raw = json.loads(documents.encode(profile))
    assert documents.decode(json.dumps(raw), Profile) == profile
    spoil(raw["value"])
    with pytest.raises(DataError, match="no Profile"):
        documents.decode(json.dumps(raw), Profile)


class TestReference:
    columns = Columns(("id",), "target", ("amount", "paid"), ("code", "city"))

    def rows(self, rows: int, seed: int) -> pl.DataFrame:
        return frame_of(rows, seed).with_row_index("id").with_columns(target=pl.col("paid"))

    def scores(self, rows: int, seed: int) -> pl.DataFrame:
        draw = np.random.default_rng(seed)
        return pl.DataFrame({"id": range(rows), "target": 1, "score": draw.beta(2, 5, rows)})

    def test_features_are_of_all_rows_and_the_score_of_the_comparison_rows(self):
        train, comparison, scores = self.rows(900, 1), self.rows(300, 2), self.scores(300, 3)
        found = reference_of(train, comparison, scores, self.columns)
        assert found.columns == ("amount", "paid", "code", "city", "score")
        assert [each.rows for each in found.reference.tallies] == [1200] * 4 + [300]
        assert found.bins[2].kind == "category"
        alone = profile_of(
            pl.concat([train, comparison]), self.columns.features, categorical=("code", "city")
        )
        assert found.bins[:4] == alone.bins
        assert found.reference.tallies[4] == profile_of(scores, ("score",)).reference.tallies[0]

    def test_the_same_rows_in_another_order_give_the_same_bytes(self):
        train, comparison, scores = self.rows(900, 1), self.rows(300, 2), self.scores(300, 3)
        one = documents.encode(reference_of(train, comparison, scores, self.columns))
        mixed = [
            each.sample(fraction=1, shuffle=True, seed=4) for each in (train, comparison, scores)
        ]
        assert documents.encode(reference_of(*mixed, self.columns)) == one
        assert documents.encode(documents.decode(one, Profile)) == one

    def test_the_document_is_small_and_keeps_no_rows(self):
        draw = np.random.default_rng(0)
        wide = {f"x{number}": draw.normal(size=20_000) for number in range(24)}
        levels = (3, 10, 30, 60, 100, 200)
        wide |= {f"c{n}": [f"level {x}" for x in draw.integers(0, n, 20_000)] for n in levels}
        frame = pl.DataFrame(wide)
        columns = Columns(
            (), "y", tuple(f"x{number}" for number in range(24)), tuple(f"c{n}" for n in levels)
        )
        scores = pl.DataFrame({"score": draw.random(5_000)})
        written = documents.encode(reference_of(frame[:15_000], frame[15_000:], scores, columns))
        assert len(written) < 40_000
        kept = sum(repr(value).encode() in written for value in wide["x0"].tolist())
        assert kept <= 33

    def test_live_scores_like_those_of_the_comparison_are_no_drift(self):
        train, comparison, scores = self.rows(900, 1), self.rows(300, 2), self.scores(300, 3)
        found = reference_of(train, comparison, scores, self.columns)
        window = self.rows(400, 7).with_columns(self.scores(400, 8)["score"])
        report = compare(found, count(window, found), DriftRules())
        assert report.verdict == "no drift"
        moved = window.with_columns(pl.col("score") * 0.7)
        report = compare(found, count(moved, found), DriftRules(critical=("score",)))
        assert report.reasons[0].startswith("critical column score: psi")

    def test_rows_that_do_not_fit_are_refused(self):
        train, comparison, scores = self.rows(90, 1), self.rows(30, 2), self.scores(30, 3)
        with pytest.raises(DataError, match="same features"):
            reference_of(train, comparison.drop("city"), scores, self.columns)
        with pytest.raises(DataError, match="score"):
            reference_of(train, comparison, scores.drop("score"), self.columns)
        named = Columns(("id",), "target", ("score",), ())
        rows = train.with_columns(score=pl.col("amount"))
        with pytest.raises(DataError, match="same name"):
            reference_of(rows, rows, scores, named)


def test_profiles_beside_each_other_are_counted_as_one(profile: Profile):
    few = frame_of(100, 3).select(other="amount")
    both = beside(profile, profile_of(few, ("other",)))
    window = frame_of(300, 2).with_columns(other=pl.col("amount"))
    found = count(window, both)
    assert found.tallies[:-1] == count(window, profile).tallies
    assert both.reference.rows == 2_000
    report = compare(both, found, DriftRules())
    assert report.columns[-1].reason.startswith("not enough rows")

"""The page of a window and its figures: what a reader sees, and what data cannot do to it."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mlops_tasks.artifacts import Interval
from mlops_tasks.drift.profile import Counts, Profile, count, profile_of
from mlops_tasks.drift.verdict import ColumnDrift, DriftReport, compare
from mlops_tasks.encoding import canonical, digest
from mlops_tasks.monitoring.calibration import calibrate
from mlops_tasks.monitoring.drift_section import MOST_COLUMNS
from mlops_tasks.monitoring.estimation import LEAST_SLICE, estimate
from mlops_tasks.monitoring.figures import metrics_of, strength
from mlops_tasks.monitoring.page import Watched, render_window
from mlops_tasks.monitoring.performance import realised
from mlops_tasks.monitoring.plots import Moment, distribution, over_time
from mlops_tasks.monitoring.skew import skew
from mlops_tasks.monitoring.skew_report import Difference, SkewReport
from mlops_tasks.monitoring.trigger import Decision
from mlops_tasks.settings.monitoring import DriftRules
from tests.monitoring.live import COLUMNS, MEASURE, Live, learn

HOSTILE = "<script>alert(1)</script>\"'&<!--]]>"
RULES = DriftRules()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    return learn(tmp_path_factory.mktemp("store"), mixed=True)


@pytest.fixture(scope="module")
def window(live: Live) -> Watched:
    """1,500 real flights, of which those that left early are missing: a drift."""
    flights = live.unseen.filter(pl.col("departure_delay_minutes") >= 0)[:1500]
    rows = live.labelled(flights)
    plain = flights.select(COLUMNS.features).with_columns(rows["score"])
    counts = count(plain, live.profile)
    drift = compare(live.profile, counts, RULES, window="2013-07")
    done = realised(rows, MEASURE, minimum_labels=200, seed=1, window="2013-07")
    sliced = flights.select(MEASURE.slices)
    meaning = calibrate(live.scores, "late")
    expected = estimate(meaning, rows["score"], MEASURE, seed=1, sliced=sliced)
    return Watched(
        model="flight-delay",
        version=3,
        digest=live.candidate.digest,
        window="2013-07",
        drift=drift,
        rules=RULES,
        profile=live.profile,
        counts=counts,
        performance=done,
        evaluation=live.evaluation,
        estimate=expected,
        skew=skew(live.candidate, live.features, rows, seed=1),
        decision=Decision("2013-07", True, True, ("2 of the last 3 windows have drifted",)),
        history=(
            Moment("2013-06", None, Interval(0.9, 0.88, 0.92)),
            Moment("2013-07", done.metric("roc_auc"), expected.metric("roc_auc")),
        ),
        next_step="mlops approve flight-delay",
    )


class Reader(HTMLParser):
    """Collects tags, attributes and text; every tag must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.path: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()
        assert self.path == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.path += [] if tag == "meta" else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += [] if "style" in self.path else [data]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.said))


def test_the_page_is_whole_and_reaches_for_nothing(window: Watched) -> None:
    page = render_window(window)
    read = Reader(page)
    assert not {"script", "link", "img", "iframe", "a", "use", "image"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name in ("src", "href")]
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert not re.search(r"https?:|url\(|@import|javascript:", page)
    assert "default-src 'none'" in page
    assert len(page.encode()) < 200_000


def test_equal_windows_give_equal_bytes(window: Watched) -> None:
    assert render_window(window) == render_window(replace(window))


def test_the_verdict_and_its_reasons_come_first(window: Watched) -> None:
    head = Reader(
        render_window(window)
        .split("<body>")[1]
        .split("<section>")[0]
        .replace('<main class="wide">', "")
    ).text
    assert "DRIFT" in head
    assert all(reason in head for reason in window.drift.reasons)
    assert window.drift.reasons
    calm = replace(window.drift, verdict="no drift", reasons=("0 of 10 columns have drifted",))
    page = render_window(replace(window, drift=calm))
    assert 'class="accepted"' in page
    assert "NO DRIFT" in page
    few = replace(window.drift, verdict="not enough rows", reasons=("too few",))
    page = render_window(replace(window, drift=few))
    assert "NOT ENOUGH ROWS" in page
    assert 'class="accepted"' not in page


def test_skew_is_a_verdict_too(window: Watched) -> None:
    spoilt = SkewReport(
        900,
        500,
        (("score", "", 12),),
        (Difference("score", "", "request 7", 2, "0.9", "0.1"),),
        0.8,
    )
    calm = replace(window.drift, verdict="no drift", reasons=())
    page = render_window(replace(window, skew=spoilt, drift=calm))
    assert "NO DRIFT, SKEW" in page
    assert 'class="refused"' in page
    text = Reader(page).text
    assert "12 of 500 rows" in text
    assert "request 7 2 (all) score 0.9 0.1" in text


def test_columns_come_strongest_change_first(window: Watched) -> None:
    page = render_window(window).split("<h2>Columns</h2>")[1].split("</table>")[0]
    named = re.findall(r'<th scope="row"><div>([a-z_]+)', page)
    ordered = sorted(window.drift.columns, key=lambda each: -strength(each, RULES))
    assert set(named) == {*COLUMNS.features, "score"}
    assert named[0] == ordered[0].name == "departure_delay_minutes"
    strengths = {each.name: strength(each, RULES) for each in ordered}
    assert [strengths[name] for name in named] == sorted(strengths.values(), reverse=True)
    assert page.count('role="img"') == len(named)


def test_realised_and_estimated_stand_side_by_side(window: Watched) -> None:
    text = Reader(render_window(window)).text
    for name in ("roc_auc", "log_loss"):
        done, expected = window.performance.metric(name), window.estimate
        assert done is not None
        assert expected is not None
        guessed, trained = expected.metric(name), window.evaluation.metrics[name]
        assert guessed is not None
        values = " ".join(
            f"{each.value:.4f} [{each.low:.4f}, {each.high:.4f}]"
            for each in (trained, guessed, done)
        )
        assert values in text
    assert "carrier = " in text
    assert "1,500 of 1,500 rows have a label" in text


def test_where_realised_and_estimated_do_not_meet_it_is_said(window: Watched) -> None:
    assert "They do not meet" not in render_window(window)
    assert window.estimate is not None
    far = tuple(
        (name, Interval(9.0, 8.0, 9.0) if name == "log_loss" else each)
        for name, each in window.estimate.metrics
    )
    page = render_window(replace(window, estimate=replace(window.estimate, metrics=far)))
    assert "They do not meet in log_loss: a score no longer" in page


def test_what_is_not_known_is_said(window: Watched, live: Live) -> None:
    rows = live.labelled(live.unseen[:1500]).with_columns(label=pl.lit(None, pl.Int64))
    none = realised(rows, MEASURE, minimum_labels=200, seed=1)
    page = render_window(
        replace(
            window,
            performance=none,
            estimate=None,
            unestimated_because="scores cannot be calibrated",
            skew=None,
            decision=None,
            history=(),
        )
    )
    text = Reader(page).text
    for sentence in (
        "Not enough labels: 0 of 1,500",
        "There is no estimate: scores cannot be calibrated",
        "Slices were not measured",
        "Calibration was not measured",
        "It was not looked for",
        "The trigger was not asked",
        "no earlier windows",
    ):
        assert sentence in text


def test_slices_are_estimated_until_the_labels_come(window: Watched) -> None:
    assert window.estimate is not None
    none = replace(window.performance, labelled=0, measured=0, metrics=(), slices=())
    text = Reader(render_window(replace(window, performance=none))).text
    assert f"estimated roc_auc on {len(window.estimate.slices)} slices" in text
    assert f"fewer than {LEAST_SLICE} rows" in text
    for each in window.estimate.slices:
        assert f"{each.column} = {each.level} ({each.rows:,})" in text
    both = Reader(render_window(window)).text
    assert f"realised roc_auc on {len(window.performance.slices)} slices" in both
    assert "estimated roc_auc on" in both


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Decision("w", True, True, ("because",)), "a training is started"),
        (Decision("w", True, False, ("cool-down",)), "no training is started"),
        (Decision("w", False, False, ("quiet",)), "No alarm"),
    ],
)
def test_the_page_says_what_follows(window: Watched, decision: Decision, said: str) -> None:
    text = Reader(render_window(replace(window, decision=decision))).text
    assert said in text
    assert decision.reasons[0] in text
    assert "Next: mlops approve flight-delay" in text


def named(column: str, rows: int = 400) -> tuple[Profile, Counts]:
    """A column of this name whose levels have hostile names, old and new."""
    old = pl.DataFrame({column: [HOSTILE, "b"] * (rows // 2)})
    new = pl.DataFrame({column: [HOSTILE, f"new {HOSTILE}"] * (rows // 2)})
    profile = profile_of(old, (column,))
    return profile, count(new, profile)


def test_names_from_data_stay_text(window: Watched) -> None:
    profile, counts = named(HOSTILE)
    drift = compare(profile, counts, RULES, window=HOSTILE)
    spoilt = SkewReport(
        1,
        1,
        (("value", HOSTILE, 1),),
        (Difference("value", HOSTILE, HOSTILE, 0, HOSTILE, HOSTILE),),
        None,
        (HOSTILE,),
    )
    page = render_window(
        replace(
            window,
            model=HOSTILE,
            window=HOSTILE,
            digest=HOSTILE,
            drift=replace(drift, reasons=(HOSTILE, *drift.reasons)),
            profile=profile,
            counts=counts,
            performance=replace(window.performance, unmeasured_slices=(HOSTILE,)),
            skew=spoilt,
            decision=Decision(HOSTILE, True, True, (HOSTILE,)),
            history=(Moment(HOSTILE, None, None),),
            next_step=HOSTILE,
        )
    )
    assert "script" not in Reader(page).tags
    assert "<script" not in page
    assert HOSTILE in Reader(page).text
    assert "new: new <script>" in Reader(page).text


def test_the_page_stays_small_however_much_was_watched(window: Watched) -> None:
    frame = pl.DataFrame({f"{HOSTILE} {place}" * 9: np.arange(300.0) for place in range(600)})
    profile = profile_of(frame, frame.columns)
    counts = count(frame + 200, profile)
    drift = compare(profile, counts, RULES)
    difference = Difference("score", "", "r" * 80, 0, "0" * 80, "1" * 80)
    page = render_window(
        replace(
            window,
            drift=drift,
            profile=profile,
            counts=counts,
            skew=SkewReport(
                9, 9, tuple(("score", n, 1) for n in frame.columns), (difference,) * 20
            ),
            history=window.history * 500,
        )
    )
    assert len(page.encode()) < 1_000_000
    text = Reader(page).text
    assert f"{600 - MOST_COLUMNS} more columns are left out; {600 - MOST_COLUMNS} of them" in text
    assert "940 earlier windows are left out" in text


def shares(drawn: str) -> tuple[list[float], list[float]]:
    """Heights of the filled bars and of the outline, as shares of their sums."""
    bars = [float(each) for each in re.findall(r'height="([\d.]+)" fill-opacity', drawn)]
    base = max(
        float(y) + h
        for y, h in zip(re.findall(r'<rect[^>]* y="([\d.]+)"', drawn), bars, strict=True)
    )
    line = re.search(r' d="(M[^"]+)"', drawn)
    assert line is not None
    tops = [base - float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)H", line[1])]
    return [each / sum(bars) for each in bars], [each / sum(tops) for each in tops]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80),
    st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=80),
)
@examples(max_examples=60)
def test_any_numbers_can_be_drawn(old: list[float], new: list[float | None]) -> None:
    before, now = (pl.DataFrame({"x": each}, schema={"x": pl.Float64}) for each in (old, new))
    profile = profile_of(before, ("x",))
    counts = count(now, profile)
    drawn = distribution(profile.bins[0], profile.reference.tallies[0], counts.tallies[0])
    Reader(drawn)
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert ("has no values" in drawn) == all(each is None for each in new)


def test_a_drawing_shows_the_shares_of_both() -> None:
    """Against a histogram of the rows themselves."""
    generator = np.random.default_rng(3)
    old, new = generator.uniform(0, 1, 40_000), generator.uniform(0.5, 1, 40_000)
    profile = profile_of(pl.DataFrame({"x": old}), ("x",))
    counts = count(pl.DataFrame({"x": new}), profile)
    both = (profile.bins[0], profile.reference.tallies[0], counts.tallies[0])
    before, now = shares(distribution(*both, large=True))
    low, high = np.quantile(old, 0.01), max(np.quantile(old, 0.99), np.quantile(new, 0.99))
    edges = np.linspace(low, high, len(before) + 1)
    inner = edges[1:-1]
    for found, rows in ((before, old), (now, new)):
        expected = np.diff([0.0, *(np.mean(rows <= edge) for edge in inner), 1.0])
        assert found == pytest.approx(expected, abs=0.02)
    assert sum(now[:8]) < 0.03


def test_levels_are_drawn_with_the_rest_as_one() -> None:
    old = pl.DataFrame({"x": ["a"] * 60 + ["b"] * 40})
    profile = profile_of(old, ("x",))
    counts = count(pl.DataFrame({"x": ["b"] * 50 + ["new"] * 50}), profile)
    drawn = distribution(profile.bins[0], profile.reference.tallies[0], counts.tallies[0])
    for told in (
        "a: reference 60.0%, window 0.0%",
        "b: reference 40.0%, window 50.0%",
        "(all others): reference 0.0%, window 50.0%",
    ):
        assert f"<title>{told}</title>" in drawn


@pytest.mark.parametrize("moments", [(), (Moment("w", None, None),)])
def test_windows_without_figures_can_be_drawn(moments: tuple[Moment, ...]) -> None:
    drawn = over_time("roc_auc", moments, None)
    Reader(drawn)
    assert "nan" not in drawn


def test_windows_are_drawn_to_scale() -> None:
    moments = [
        Moment("one", Interval(0.8, 0.7, 0.9), Interval(0.8, 0.7, 0.9)),
        Moment("two", Interval(0.7, 0.7, 0.8), None),
    ]
    drawn = over_time("roc_auc", moments, Interval(0.9, 0.9, 0.9))
    dots = [float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)]
    (whisker, other) = re.findall(r'class="mark" d="M[\d.]+ ([\d.]+)V([\d.]+)"', drawn)
    (top, height) = re.findall(r'<rect[^>]* y="([\d.]+)"[^>]* height="([\d.]+)"', drawn)[0]
    assert dots[1] == float(whisker[0]) == float(other[0])
    assert dots[0] == pytest.approx((float(whisker[0]) + float(whisker[1])) / 2, abs=0.2)
    assert float(top) == float(whisker[1])
    assert float(top) + float(height) == pytest.approx(float(whisker[0]), abs=0.2)
    guide = re.search(r'class="guide" d="M60 ([\d.]+)H', drawn)
    assert guide is not None
    assert float(guide[1]) == float(whisker[1])


def test_plots_are_named_for_those_who_cannot_see_them(window: Watched) -> None:
    page = render_window(window)
    drawn = re.findall(r"<svg [^>]*>\s*(<title>[^<]+</title>)?", page)
    assert len(drawn) > len(window.drift.columns)
    assert all(drawn)
    assert "prefers-color-scheme: dark" in page


def test_figures_are_those_that_were_found(window: Watched) -> None:
    found = metrics_of(window.drift, RULES, window.performance, window.estimate, window.skew)
    done, expected = window.performance.metric("roc_auc"), window.estimate
    assert done is not None
    assert expected is not None
    assert found["drift_detected"] == 1.0
    assert found["drift_share"] == window.drift.share_drifted
    assert found["drift_rows"] == 1500
    assert (found["realised_roc_auc"], found["realised_roc_auc_low"]) == (done.value, done.low)
    assert found["estimated_log_loss"] == expected.metric("log_loss").value  # type: ignore[union-attr]
    assert found["label_coverage"] == 1.0
    assert (found["skew_detected"], found["skew_checked"]) == (0.0, 1.0)
    effects = {each.name: each.effects.get("psi") for each in window.drift.columns}
    assert found["drift_effect_departure_delay_minutes"] == effects["departure_delay_minutes"]
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in found)


def test_what_was_found_is_read_back_as_it_was(window: Watched) -> None:
    spoilt = SkewReport(2, 1, (("score", "", 1),), (Difference("score", "", "r", 0, "1", "0"),))
    for found in (window.performance, window.estimate, window.skew, spoilt):
        assert TypeAdapter(type(found)).validate_json(canonical(found)) == found


def test_what_was_not_measured_has_no_figure(window: Watched) -> None:
    found = metrics_of(window.drift, RULES)
    assert not [name for name in found if name.startswith(("realised", "estimated", "skew"))]
    unasked = replace(column("c"), effects={}, missing_p_value=None)
    silent = metrics_of(replace(window.drift, columns=(unasked,)), RULES)
    assert not [name for name in silent if name.endswith("_c")]
    private = SkewReport(9, 9, unchecked=("carrier: dropped",))
    unchecked = metrics_of(window.drift, RULES, skew=private)
    assert (unchecked["skew_detected"], unchecked["skew_checked"]) == (0.0, 0.0)
    assert "skew_largest_gap" not in unchecked


def column(name: str) -> ColumnDrift:
    return ColumnDrift(name, "number", "no drift", "", {"psi": 0.1}, 0.5, 0.5, 0.0, 0.5, 0.5)


@given(st.lists(st.text(min_size=1, max_size=90), unique=True, max_size=40))
@example(["delay", "Delay", "DELAY", "de lay", "de_lay", "de-lay"])
@example(["x" * 70, "x" * 80])
def test_no_two_columns_share_a_figure(names: list[str]) -> None:
    columns = tuple(map(column, names))
    report = DriftReport("w", digest("r"), 9, columns, 0.0, "no drift", ())
    found = metrics_of(report, RULES)
    effects = [name for name in found if name.startswith("drift_effect_")]
    assert len({name.lower() for name in effects}) == len(names)
    assert all(re.fullmatch("[a-zA-Z0-9_]{1,100}", name) for name in found)


def test_figures_are_bounded(window: Watched) -> None:
    columns = tuple(column(f"c{place}") for place in range(5000))
    report = replace(window.drift, columns=columns)
    assert len(metrics_of(report, RULES)) < 500

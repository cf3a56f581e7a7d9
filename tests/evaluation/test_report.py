"""The report and the comparison page: what a reader gets to see, and what data cannot do to it."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

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
    Importance,
    Interval,
    Lineage,
    SliceScore,
)
from mlops_tasks.evaluation.charts import bar_chart, calibration_chart, interval_chart, number
from mlops_tasks.evaluation.comparison_page import ComparedRun, render_comparison
from mlops_tasks.evaluation.report import render_report

HOSTILE = "<script>alert(1)</script>\"'&<!--"

DATA = Dataset("s3://lake/train.parquet", "d" * 64, 36_512, ("a",), "eu-central-1", "5" * 32, 12)
CANDIDATE = Candidate(
    model_uri="s3://lake/model.skops",
    digest="c" * 64,
    name="boosted",
    params={"max_depth": 6, "learning_rate": 0.1},
    seed=7,
    train=DATA,
    columns=Columns(("id",), "delayed", ("distance", "hour"), ("carrier",), time="day"),
    code=Code("flights.models:MODELS", "e" * 64),
    size_bytes=1_812_345,
    fit_seconds=3.25,
)
SLICES = (
    SliceScore("carrier", "AA", 4_012, 801, Interval(0.751, 0.731, 0.768)),
    SliceScore("carrier", "HA", 212, 9, Interval(0.583, 0.442, 0.731)),
    SliceScore("carrier", "OO", 31, 0, None),
    SliceScore("origin", "JFK", 3_911, 744, Interval(0.694, 0.671, 0.716)),
    SliceScore("origin", "LGA", 3_802, 790, Interval(0.762, 0.741, 0.779)),
)
BINS = tuple(
    CalibrationBin(low / 10, (low + 1) / 10, 4_000 // (low + 1), low / 10 + 0.04, low / 10 + 0.06)
    for low in range(6)
)
IMPORTANCE = (
    Importance("hour", 0.0912, 0.0021, False),
    Importance("carrier", 0.0312, 0.0034, False),
    Importance("distance", 0.0002, 0.0009, True),
    Importance("tail_number", -0.0004, 0.0006, True),
)
EVALUATION = Evaluation(
    candidate_digest="c" * 64,
    comparison=replace(DATA, digest="b" * 64),
    primary="roc_auc",
    rows=12_171,
    positives=2_390,
    metrics={
        "log_loss": Interval(0.4312, 0.4251, 0.4377),
        "roc_auc": Interval(0.7421, 0.7318, 0.7519),
        "accuracy": Interval(0.8101, 0.8031, 0.8169),
    },
    slices=SLICES,
    calibration=BINS,
    importance=IMPORTANCE,
    scores=DATA,
    latency_ms=1.4,
)
COMPARISONS = (
    Comparison("trivial", "1" * 64, "roc_auc", 0.5, Interval(0.2421, 0.2318, 0.2519), 0),
    Comparison("linear", "2" * 64, "roc_auc", 0.7102, Interval(0.0319, 0.0244, 0.0398), 0),
    Comparison("champion", "3" * 64, "roc_auc", 0.7409, Interval(0.0012, -0.0024, 0.0049), 118),
)
CHECKS = (
    Check("minimum rows", True, "the comparison set has 12171 rows, the policy asks for 1000"),
    Check("threshold roc_auc", True, "roc_auc is 0.7421, the policy asks for at least 0.7"),
    Check("slice carrier=HA", False, "roc_auc is 0.5830 on carrier=HA, the floor is 0.65"),
    Check("unseen", False, "the champion was trained on 118 of the comparison rows"),
)
ACCEPTED = Decision(True, CHECKS[:2], "f" * 64)
REFUSED = Decision(False, CHECKS, "f" * 64)
LINEAGE = Lineage(
    git_commit="9fceb02d0ae598e95dc970b74767f19372d61af8",
    git_dirty=True,
    dvc_rev="5" * 32,
    data_digest="6" * 64,
    config_digest="7" * 64,
    environment_digest="8" * 64,
    code_digest="9" * 64,
    library_version="0.1.0",
    seed=7,
    region="eu-central-1",
)


class Page(HTMLParser):
    """Fails on a tag that is not closed or closed out of order; collects tags and text."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def report(
    decision=REFUSED, comparisons=COMPARISONS, lineage=LINEAGE, candidate=CANDIDATE, **parts
):
    evaluation = replace(EVALUATION, **parts)
    return render_report("flight-delays", candidate, evaluation, comparisons, decision, lineage)


def slices_chart(page):
    return next(part for part in page.split("<figure ") if "slices, worst first" in part)


@pytest.mark.parametrize("decision", [ACCEPTED, REFUSED])
def test_the_page_is_well_formed_and_reaches_for_nothing(decision):
    page = report(decision)
    assert "svg" in Page(page).tags
    assert not re.search(r"https?://|<script|<link|<img|url\(|@import|javascript:", page)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page


def test_equal_inputs_give_equal_bytes_whatever_the_clock_the_paths_and_the_order_of_keys():
    again = report(
        candidate=replace(
            CANDIDATE,
            model_uri="/elsewhere",
            fit_seconds=99.0,
            params=dict(reversed(CANDIDATE.params.items())),
        ),
        metrics=dict(reversed(EVALUATION.metrics.items())),
        latency_ms=8.0,
    )
    assert again == report()


def test_labels_from_data_stay_text():
    page = render_report(
        HOSTILE,
        replace(CANDIDATE, name=HOSTILE, params={HOSTILE: HOSTILE}),
        replace(
            EVALUATION,
            slices=(SliceScore(HOSTILE, HOSTILE, 1, 0, Interval(0.1, 0.0, 0.2)),),
            importance=(Importance(HOSTILE, 0.1, 0.1, True),),
        ),
        [replace(COMPARISONS[0], rival=HOSTILE)],
        Decision(False, (Check(HOSTILE, False, HOSTILE),), ""),
        replace(LINEAGE, region=HOSTILE, git_commit=HOSTILE),
    )
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "<script" not in page
    assert HOSTILE in parsed.text


def test_a_refused_report_says_why_at_the_top():
    headline = report().split("</header>")[0]
    assert "REFUSED" in headline
    assert "ACCEPTED" not in headline
    assert all(reason in headline for reason in REFUSED.reasons)


def test_an_accepted_report_counts_the_checks():
    headline = Page("<header" + report(ACCEPTED).split("<header")[1].split("<section>")[0]).text
    assert "ACCEPTED" in headline
    assert "All 2 checks passed." in headline


def test_every_check_is_listed_and_failed_ones_come_first():
    text = Page(report()).text
    places = [text.rindex(check.detail) for check in CHECKS]
    assert max(places[2:]) < min(places[:2])
    assert text.count("✗ failed") == 2


def test_metrics_come_with_their_intervals_and_the_primary_first():
    text = Page(report()).text
    assert "roc_auc (primary) 0.7421 [0.7318, 0.7519] higher" in text
    assert "log_loss 0.4312 [0.4251, 0.4377] lower" in text
    assert text.index("roc_auc (primary)") < text.index("accuracy 0.8101")


def test_each_rival_is_listed_with_the_rows_it_saw():
    text = Page(report()).text
    assert "linear roc_auc 0.7102 +0.0319 [+0.0244, +0.0398] better 0" in text
    assert "+0.0012 [-0.0024, +0.0049] not clearly different 118" in text
    assert "The champion model was trained on 118 of the 12,171 comparison rows" in text


def test_a_rival_whose_rows_are_not_known_is_not_passed_off_as_unseen():
    text = Page(report(comparisons=[replace(COMPARISONS[2], seen_rows=None)])).text
    assert "not known" in text
    assert "cannot be shown that the champion model saw none" in text


def test_the_worst_slice_comes_first_and_the_undefined_one_last():
    chart = slices_chart(report())
    order = re.findall(r">((?:carrier|origin) = \w+)</text>", chart)
    assert order == ["carrier = HA", "origin = JFK", "carrier = AA", "origin = LGA", "carrier = OO"]
    last = chart[chart.index("carrier = OO: ") :]
    assert "not defined" in last
    assert "<circle" not in last


def test_where_lower_is_better_the_worst_slice_has_the_highest_value():
    slices = tuple(
        SliceScore("carrier", level, 10, 1, Interval(value, value, value))
        for level, value in (("low", 0.2), ("high", 0.6))
    )
    chart = slices_chart(report(primary="log_loss", slices=slices))
    assert chart.index("carrier = high") < chart.index("carrier = low")


def test_slices_that_do_not_fit_are_counted():
    slices = tuple(
        SliceScore("tail", f"n{place}", 10, 1, Interval(place / 500, 0.0, 1.0) if place else None)
        for place in range(500)
    )
    page = report(slices=slices)
    assert slices_chart(page).count("<circle") == 40
    text = Page(page).text
    assert "460 more slices are left out: 459 no worse" in text
    assert "1 where the score is not defined" in text


def test_useless_features_are_named_in_a_sentence_and_greyed():
    page = report()
    assert "The model does as well without: distance, tail_number." in page
    assert page.count('<text class="idle"') == 4
    assert page.count(", useless</text>") == 2
    assert "Every feature is of use." in report(importance=IMPORTANCE[:2])


def test_lineage_names_commit_data_and_what_was_not_committed():
    text = Page(report()).text
    assert f"{LINEAGE.git_commit} (dirty: with changes that are not committed)" in text
    for part in (LINEAGE.dvc_rev, LINEAGE.environment_digest, "eu-central-1", "36,512", "0.1.0"):
        assert part in text
    assert "(clean)" in Page(report(lineage=replace(LINEAGE, git_dirty=False))).text


def test_what_was_not_measured_is_said_not_drawn():
    text = Page(report(slices=(), calibration=(), importance=(), comparisons=(), metrics={})).text
    for sentence in (
        "No slices",
        "Calibration was not",
        "Importance was not",
        "nothing to compare",
    ):
        assert sentence in text
    assert "roc_auc not defined on 12,171" in text


def test_the_page_stays_small_however_much_was_measured():
    names = [f"{HOSTILE}{place}" * 40 for place in range(500)]
    page = report(
        decision=Decision(False, tuple(Check(name[:60], False, name[:140]) for name in names), ""),
        slices=tuple(SliceScore("tail", name, 10, 1, Interval(0.5, 0.4, 0.6)) for name in names),
        importance=tuple(Importance(name, 0.1, 0.1, True) for name in names),
        candidate=replace(CANDIDATE, params={name: name for name in names}),
    )
    assert len(page.encode()) < 200_000
    assert "300 more checks are left out; 300 of them failed." in page
    assert "460 less important features are left out." in page
    Page(page)


def test_charts_are_named_for_those_who_cannot_see_them():
    charts = (
        interval_chart("gains", [("a", Interval(0.1, 0.0, 0.2)), ("b", None)], reference=0.0),
        bar_chart("importance", IMPORTANCE),
        calibration_chart(BINS),
    )
    for chart in charts:
        assert re.match(r'<figure [^>]*><svg [^>]*role="img"[^>]*>\s*<title>[^<]+</title>', chart)
        Page(chart)


def test_whiskers_are_drawn_to_scale():
    chart = interval_chart("t", [("a", Interval(0.0, -1.0, 1.0)), ("b", Interval(0.5, 0.0, 1.0))])
    (left, right), (middle, end) = (
        (float(low), float(high))
        for low, high in re.findall(r'class="mark" d="M([\d.]+) [\d.]+H([\d.]+)"', chart)
    )
    dots = [float(x) for x in re.findall(r'cx="([\d.]+)"', chart)]
    assert right == end
    assert dots[0] == middle == pytest.approx((left + right) / 2, abs=0.1)
    assert dots[1] == pytest.approx((middle + end) / 2, abs=0.1)


@pytest.mark.parametrize(
    "rows",
    [[], [("a", None)], [("a", Interval(0.5, 0.5, 0.5))], [("a", Interval(*[float("nan")] * 3))]],
)
def test_charts_of_nothing_or_of_one_point_have_no_broken_numbers(rows):
    chart = interval_chart("t", rows)
    Page(chart)
    assert "nan" not in chart
    assert "inf" not in chart


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.74213, "0.7421"),
        (-0.0, "0.0000"),
        (0.00002, "2.00e-05"),
        (3e9, "3.00e+09"),
        (float("nan"), "not defined"),
    ],
)
def test_numbers_are_short_and_never_hidden(value, written):
    assert number(value) == written


RUN = ComparedRun(
    run_id="4f1c2d3e5a6b7c8d9e0f",
    model="flight-delays",
    version=3,
    decision="accepted",
    started="2013-10-01 09:12",
    score=Interval(0.7421, 0.7318, 0.7519),
    metrics={"roc_auc": 0.7421, "log_loss": 0.4312},
    overrides=("model=boosted", "seed=7"),
)


def test_runs_are_compared_on_one_page():
    other = replace(
        RUN, run_id="a" * 20, version=None, score=None, metrics={"accuracy": 0.81}, overrides=()
    )
    page = render_comparison([RUN, other], "roc_auc")
    text = Page(page).text
    assert "4f1c2d3e flight-delays 3 accepted 2013-10-01 09:12 0.7421 [0.7318, 0.7519]" in text
    assert "model=boosted seed=7" in text
    assert "aaaaaaaa – 0.4312" not in text
    assert "4f1c2d3e – 0.4312" in text
    assert "not defined" in text
    assert not re.search(r"https?://|<script", page)
    assert page == render_comparison([RUN, other], "roc_auc")


def test_hostile_runs_stay_text_and_no_runs_are_said_so():
    run = replace(RUN, run_id=HOSTILE, model=HOSTILE, decision=HOSTILE, overrides=(HOSTILE,))
    assert "<script" not in render_comparison([replace(run, metrics={HOSTILE: 1.0})], HOSTILE)
    assert "There are no runs to compare." in Page(render_comparison([], "roc_auc")).text

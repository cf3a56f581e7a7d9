"""The report on one candidate: a page that says whether it was accepted, why, and what it is.

A pure function from artifacts to one HTML file. It states what the artifacts' digests name, and
neither clock, path nor timing; it judges nothing itself, the verdict is the gate's.
"""

import json
from collections.abc import Sequence

from mlops_tasks.artifacts import (
    Candidate,
    Check,
    Comparison,
    Decision,
    Evaluation,
    Lineage,
    SliceScore,
)
from mlops_tasks.evaluation import charts, page
from mlops_tasks.evaluation.charts import interval_text, number, shorten
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.evaluation.page import Html, code, element, facts, note, section, table

MOST_ROWS = 40
MOST_REASONS = 20
MOST_CHECKS = 200
LONGEST_NAME, LONGEST_DETAIL, LONGEST_PARAMS = 120, 300, 4000
PASSED = element("span", "✓ passed", kind="passed")
FAILED = element("span", "✗ failed", kind="failed")


def render_report(
    model: str,
    candidate: Candidate,
    evaluation: Evaluation,
    comparisons: Sequence[Comparison],
    decision: Decision,
    lineage: Lineage,
) -> str:
    """Write the report as one self-contained HTML page, without script or network.

    Equal inputs give equal bytes. Long lists are cut, and the page says by how much.

    Parameters
    ----------
    model
        Name under which the model is registered.
    candidate, evaluation, comparisons, decision, lineage
        What was trained, how it did, against whom, what the gate said, and what it came from.
    """
    verdict = "ACCEPTED" if decision.accepted else "REFUSED"
    return page.render_page(
        f"{model}: {verdict}",
        _headline(model, verdict, candidate, evaluation, decision),
        section("Checks", *_checks(decision.checks)),
        section("Metrics", _metrics(evaluation)),
        section("Compared with", *_comparisons(comparisons, evaluation)),
        section("Slices", *_slices(evaluation)),
        section("Calibration", *_calibration(evaluation)),
        section("Importance of features", *_importance(evaluation)),
        section("Model", _model(candidate)),
        section("Data", _data(candidate, evaluation)),
        section("Lineage", _lineage(lineage)),
    )


def _headline(
    model: str, verdict: str, candidate: Candidate, evaluation: Evaluation, decision: Decision
) -> Html:
    score = evaluation.metrics.get(evaluation.primary)
    summary = (
        f"{candidate.name}: {evaluation.primary} {interval_text(score)} on {evaluation.rows:,} "
        f"comparison rows, of which {evaluation.positives:,} are positive."
    )
    why = [shorten(reason, LONGEST_DETAIL) for reason in decision.reasons[:MOST_REASONS]]
    if len(decision.reasons) > MOST_REASONS:
        why.append(f"and {len(decision.reasons) - MOST_REASONS} more, under Checks")
    every = f"All {len(decision.checks)} checks passed." if decision.accepted else ""
    return element(
        "header",
        element("p", verdict, kind="verdict"),
        element("h1", model),
        element("p", summary),
        element("ul", *(element("li", reason) for reason in why)) if why else element("p", every),
        kind=verdict.lower(),
    )


def _checks(checks: Sequence[Check]) -> list[Html]:
    ordered = sorted(checks, key=lambda check: check.passed)
    names = [shorten(check.name, LONGEST_NAME) for check in ordered[:MOST_CHECKS]]
    details = [shorten(check.detail, LONGEST_DETAIL) for check in ordered[:MOST_CHECKS]]
    results = [PASSED if check.passed else FAILED for check in ordered[:MOST_CHECKS]]
    rows = zip(names, results, details, strict=True)
    failed = sum(not check.passed for check in ordered[MOST_CHECKS:])
    more = f"{len(ordered) - MOST_CHECKS} more checks are left out; {failed} of them failed."
    checked = table(("Check", "Result", "Detail"), rows)
    return [checked, note(more)] if len(ordered) > MOST_CHECKS else [checked]


def _metrics(evaluation: Evaluation) -> Html:
    names = sorted(evaluation.metrics, key=lambda name: (name != evaluation.primary, name))
    names_shown = [f"{name} (primary)" if name == evaluation.primary else name for name in names]
    values = [interval_text(evaluation.metrics[name]) for name in names]
    better = ["higher" if METRICS[name].higher_is_better else "lower" for name in names]
    rows = zip(names_shown, values, better, strict=True)
    return table(("Metric", "Value [low, high]", "Better"), rows)


def _comparisons(comparisons: Sequence[Comparison], evaluation: Evaluation) -> list[Html]:
    if not comparisons:
        return [note("There was nothing to compare with.")]
    gains = [
        charts.interval_chart(
            f"Gain in {metric} over each rival, with its interval",
            [(item.rival, item.gain) for item in comparisons if item.metric == metric],
            reference=0.0,
            signed=True,
        )
        for metric in dict.fromkeys(item.metric for item in comparisons)
    ]
    header = ("Rival", "Metric", "Its score", "Gain [low, high]", "Candidate is", "Rows it saw")
    rows = [
        (
            item.rival,
            item.metric,
            number(item.rival_score),
            element("span", interval_text(item.gain, signed=True), kind="whole"),
            _standing(item),
            "not known" if item.seen_rows is None else f"{item.seen_rows:,}",
        )
        for item in comparisons
    ]
    warnings = [note(text) for item in comparisons if (text := _warning(item, evaluation.rows))]
    explained = "Gain: candidate minus rival on the same rows, turned so that positive is better."
    return [note(explained), *gains, table(header, rows), *warnings]


def _standing(comparison: Comparison) -> str:
    if comparison.gain.low > 0:
        return "better"
    return "worse" if comparison.gain.high < 0 else "not clearly different"


def _warning(comparison: Comparison, rows: int) -> str:
    if comparison.seen_rows is None:
        return f"It cannot be shown that the {comparison.rival} model saw none of these rows."
    seen = f"{comparison.seen_rows:,} of the {rows:,} comparison rows, which flatters it."
    return f"The {comparison.rival} model was trained on {seen}" if comparison.seen_rows else ""


def _slices(evaluation: Evaluation) -> list[Html]:
    if not evaluation.slices:
        return [note("No slices were measured.")]
    overall = evaluation.metrics.get(evaluation.primary)
    ordered = worst_first(evaluation.slices, evaluation.primary)
    shown, cut = ordered[:MOST_ROWS], ordered[MOST_ROWS:]
    text = f"{evaluation.primary}, worst first; the dashed line is the score on all rows."
    if cut:
        undefined = sum(item.score is None for item in cut)
        text += f" {len(cut)} more slices are left out: {len(cut) - undefined} no worse than these,"
        text += f" {undefined} where the score is not defined."
    overall = evaluation.metrics.get(evaluation.primary)
    scores = [(_slice_name(item), item.score) for item in shown]
    title = f"{evaluation.primary} on {len(shown)} slices, worst first"
    chart = charts.interval_chart(title, scores, reference=overall.value if overall else None)
    counts = [(_slice_name(item), f"{item.rows:,}", f"{item.positives:,}") for item in shown]
    sizes = table(("Slice", "Rows", "Positive"), counts, numbers=("Rows", "Positive"))
    return [note(text), chart, element("details", element("summary", "Sizes of slices"), sizes)]


def _slice_name(item: SliceScore) -> str:
    return shorten(f"{item.column} = {item.level}", LONGEST_NAME)


def worst_first(slices: Sequence[SliceScore], metric: str) -> list[SliceScore]:
    """Slices from worst to best; those without a score come last, being neither."""
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    known = [(sign * item.score.value, item) for item in slices if item.score is not None]
    known.sort(key=lambda pair: (pair[0], pair[1].column, pair[1].level))
    return [item for _, item in known] + [item for item in slices if item.score is None]


def _calibration(evaluation: Evaluation) -> list[Html]:
    if not evaluation.calibration:
        return [note("Calibration was not measured.")]
    text = "Above the dashed line, events happen more often than the model says; below, less often."
    return [note(text), charts.calibration_chart(evaluation.calibration)]


def _importance(evaluation: Evaluation) -> list[Html]:
    if not evaluation.importance:
        return [note("Importance was not measured.")]
    shown = sorted(evaluation.importance, key=lambda item: (-item.mean, item.feature))[:MOST_ROWS]
    text = f"Loss in {evaluation.primary} when one feature is shuffled, ± one standard deviation."
    if cut := len(evaluation.importance) - len(shown):
        text += f" {cut} less important features are left out."
    title = f"Importance of {len(shown)} features, most important first"
    chart = charts.bar_chart(title, shown)
    return [element("p", _useless(evaluation.useless_features)), note(text), chart]


def _useless(features: Sequence[str]) -> str:
    if not features:
        return "Every feature is of use."
    names = [shorten(name, LONGEST_NAME) for name in features[:MOST_ROWS]]
    more = f" and {len(features) - MOST_ROWS} more" if len(features) > MOST_ROWS else ""
    return f"The model does as well without: {', '.join(names)}{more}."


def _model(candidate: Candidate) -> Html:
    params = json.dumps(candidate.params, sort_keys=True, ensure_ascii=False, default=str)
    return facts(
        ("Model", candidate.name),
        ("Parameters", code(shorten(params, LONGEST_PARAMS) if candidate.params else "")),
        ("Seed", candidate.seed),
        ("Size", f"{candidate.size_bytes / 2**20:.2f} MiB"),
        ("Built by", code(candidate.code.reference)),
        ("Digest", code(candidate.digest)),
    )


def _data(candidate: Candidate, evaluation: Evaluation) -> Html:
    train, columns = candidate.train, candidate.columns
    return facts(
        ("Training rows", f"{train.rows:,} ({train.quarantined_rows:,} set aside)"),
        ("Training digest", code(train.digest)),
        ("Comparison rows", f"{evaluation.rows:,} ({evaluation.positives:,} positive)"),
        ("Comparison digest", code(evaluation.comparison.digest)),
        ("Target", code(columns.target)),
        ("Features", f"{len(columns.numeric)} numeric, {len(columns.categorical)} categorical"),
    )


def _lineage(lineage: Lineage) -> Html:
    state = "dirty: with changes that are not committed" if lineage.git_dirty else "clean"
    return facts(
        ("Git commit", element("span", code(lineage.git_commit), f" ({state})")),
        ("DVC revision", code(lineage.dvc_rev)),
        ("Data digest", code(lineage.data_digest)),
        ("Configuration digest", code(lineage.config_digest)),
        ("Environment digest", code(lineage.environment_digest)),
        ("Lock digest", code(lineage.lock_digest)),
        ("Environment state", lineage.environment_state),
        ("Code digest", code(lineage.code_digest)),
        ("Region", lineage.region),
        ("Seed", lineage.seed),
        ("Library version", lineage.library_version),
    )

"""The model card: what a model is for, on what it was made, how good it is, and who says so.

One content, written twice: as Markdown to be read in a repository, and as a page that stands by
itself. What the numbers come from is in the evidence; what only people can say is in `card` of the
settings, and the card says plainly where they have not. Nothing is judged here.

Guarantee: equal inputs give equal bytes, and text from data or settings stays text: in the page it
is escaped, in Markdown it opens neither markup, nor a cell, nor a line.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlops_tasks.artifacts import CalibrationBin, Evaluation, Evidence, Lineage
from mlops_tasks.evaluation import page
from mlops_tasks.evaluation.charts import interval_text, number
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.evaluation.report import worst_first
from mlops_tasks.settings.schema import CardSettings

NOT_STATED = "not stated"
MARKUP = re.compile(r"([\\`*_\[\]<>|~&#!])")
LINE_START = re.compile(r"^(\d*)([-+=.)])")
FACTS = ("What", "Value")


@dataclass(frozen=True, slots=True)
class Card:
    """The same card twice."""

    markdown: str
    html: str


@dataclass(frozen=True, slots=True)
class _Table:
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading with paragraphs and tables below it."""

    heading: str
    parts: tuple[str | _Table, ...]


def render_card(model: str, version: str, evidence: Evidence, card: CardSettings) -> Card:
    """Write the card of a model.

    Parameters
    ----------
    model, version
        What the model is called.
    evidence
        What was trained, on what, how it did, against whom, and what the gate said.
    card
        What people say about it.
    """
    title = f"{model} {version}".strip()
    sections = tuple(_sections(evidence, card))
    parts = [f"# {_plain(title)}", *(line for each in sections for line in _markdown(each))]
    header = page.element("header", page.element("h1", title))
    html = page.render_page(f"{title}: model card", header, *(_html(each) for each in sections))
    return Card("\n\n".join(parts) + "\n", html)


def _sections(evidence: Evidence, card: CardSettings) -> Iterator[_Section]:
    candidate, evaluation = evidence.candidate, evidence.evaluation
    columns, decision = candidate.columns, evidence.decision
    params = json.dumps(candidate.params, sort_keys=True, ensure_ascii=False, default=str)
    predicts = f"For each row, how probable it is that {columns.target} is 1"
    source = f"from {len(columns.features)} columns (binary classification)."
    yield _Section("What it predicts", (f"{predicts}, {source}",))
    yield _Section("Intended use", (card.intended_use.strip() or NOT_STATED,))
    yield _Section("Limits", (card.limits.strip() or NOT_STATED,))
    yield _Section(
        "Model",
        (
            _facts(
                ("Owner", card.owner.strip() or NOT_STATED),
                ("Kind", candidate.name),
                ("Parameters", params),
                ("Seed", candidate.seed),
                ("Size", f"{candidate.size_bytes:,} bytes"),
                ("Built by", candidate.code.reference),
                ("SHA-256", candidate.digest),
            ),
        ),
    )
    yield _Section("Data", tuple(_data(evidence)))
    yield _Section("Metrics", tuple(_metrics(evaluation)))
    yield _Section("Slices", (_slices(evaluation),))
    yield _Section("Calibration", (_calibration(evaluation.calibration),))
    yield _Section("Compared with", (_comparisons(evidence),))
    checks = tuple(
        (each.name, "passed" if each.passed else "failed", each.detail) for each in decision.checks
    )
    yield _Section(
        "Decision of the gate",
        (
            "Accepted." if decision.accepted else "Refused.",
            _Table(("Check", "Result", "Detail"), checks),
            f"Policy: {decision.policy_digest}",
        ),
    )
    yield _Section("Lineage", (_lineage(evidence.lineage),))


def _data(evidence: Evidence) -> Iterator[str | _Table]:
    columns = evidence.candidate.columns
    sets = {"Training": evidence.candidate.train, "Comparison": evidence.evaluation.comparison}
    counts = {name: (f"{data.rows:,}", f"{data.quarantined_rows:,}") for name, data in sets.items()}
    yield _Table(
        ("Set", "Rows", "Set aside", "Regions", "DVC revision", "SHA-256"),
        tuple(
            (name, *counts[name], ", ".join(data.regions), data.dvc_rev or "none", data.digest)
            for name, data in sets.items()
        ),
    )
    parts = {
        "Target": (columns.target,),
        "Key": columns.key,
        "Time": (columns.time,),
        "Group": (columns.group,),
        "Numeric": columns.numeric,
        "Categorical": columns.categorical,
    }
    named = {part: ", ".join(name for name in names if name) for part, names in parts.items()}
    yield _facts(*((part, names or "none") for part, names in named.items()))


def _metrics(evaluation: Evaluation) -> Iterator[str | _Table]:
    yield f"On {evaluation.rows:,} comparison rows, of which {evaluation.positives:,} are positive."
    names = sorted(evaluation.metrics, key=lambda name: (name != evaluation.primary, name))
    yield _Table(
        ("Metric", "Value [low, high]", "Better"),
        tuple(
            (
                f"{name} (primary)" if name == evaluation.primary else name,
                interval_text(evaluation.metrics[name]),
                "higher" if METRICS[name].higher_is_better else "lower",
            )
            for name in names
        ),
    )


def _slices(evaluation: Evaluation) -> str | _Table:
    if not evaluation.slices:
        return "No slices were measured."
    return _Table(
        ("Slice, worst first", "Rows", "Positive", evaluation.primary),
        tuple(
            (
                f"{each.column} = {each.level}",
                f"{each.rows:,}",
                f"{each.positives:,}",
                interval_text(each.score),
            )
            for each in worst_first(evaluation.slices, evaluation.primary)
        ),
    )


def _calibration(bins: Sequence[CalibrationBin]) -> str:
    if not bins:
        return "Calibration was not measured."
    gaps = [abs(each.mean_score - each.observed_rate) for each in bins]
    rows = sum(each.rows for each in bins) or 1
    mean = sum(gap * each.rows for gap, each in zip(gaps, bins, strict=True)) / rows
    largest, worst = max(zip(gaps, bins, strict=True), key=lambda pair: pair[0])
    return (
        f"Score and observed rate differ by {number(mean)} on average over {len(bins)} bins, and "
        f"by {number(largest)} at most: among {worst.rows:,} rows that score from {worst.low:g} to "
        f"{worst.high:g}, {number(worst.observed_rate)} are positive."
    )


def _comparisons(evidence: Evidence) -> str | _Table:
    if not evidence.comparisons:
        return "There was nothing to compare with."
    return _Table(
        ("Rival", "Metric", "Its score", "Gain [low, high]", "Comparison rows it was trained on"),
        tuple(
            (
                each.rival,
                each.metric,
                number(each.rival_score),
                interval_text(each.gain, signed=True),
                "not known" if each.seen_rows is None else f"{each.seen_rows:,}",
            )
            for each in evidence.comparisons
        ),
    )


def _lineage(lineage: Lineage) -> _Table:
    return _facts(
        ("Git commit", lineage.git_commit),
        ("Git state", "with changes that are not committed" if lineage.git_dirty else "clean"),
        ("DVC revision", lineage.dvc_rev or "none"),
        ("Data digest", lineage.data_digest),
        ("Configuration digest", lineage.config_digest),
        ("Environment digest", lineage.environment_digest),
        ("Lock digest", lineage.lock_digest),
        ("Environment state", lineage.environment_state),
        ("Code digest", lineage.code_digest),
        ("Region", lineage.region),
        ("Seed", lineage.seed),
        ("Library version", lineage.library_version),
    )


def _facts(*pairs: tuple[str, object]) -> _Table:
    return _Table(FACTS, tuple((name, str(value)) for name, value in pairs))


def _html(section: _Section) -> page.Html:
    return page.section(section.heading, *map(_html_part, section.parts))


def _html_part(part: str | _Table) -> page.Html:
    if isinstance(part, str):
        return page.element("p", part)
    if part.header == FACTS:
        return page.facts(*((name, value) for name, value in part.rows))
    return page.table(part.header, part.rows)


def _markdown(section: _Section) -> Iterator[str]:
    yield f"## {section.heading}"
    for part in section.parts:
        if isinstance(part, str):
            yield LINE_START.sub(r"\1\\\2", _plain(part))
        else:
            head = [_row(part.header), f"|{' --- |' * len(part.header)}"]
            yield "\n".join([*head, *map(_row, part.rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Text on one line in which no character means anything to Markdown."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))

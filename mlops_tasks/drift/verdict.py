"""Has a window of live rows drifted away from the reference? `compare` says so, column by column.

Pure: counts and rules in, report out. Guarantees, each held by a test: a column has drifted only if
the difference is significant after control of the false discovery rate and its effect is larger
than the limit; below the minimum of rows, or where no feature could be looked at, the verdict is
"not enough rows", never "no drift"; every verdict says why. Of a time only the share of missing
values is judged: it moves on by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlops_tasks.drift.bins import Bins, Kind, Tally
from mlops_tasks.drift.domain import DomainDrift
from mlops_tasks.drift.profile import Counts, Profile, require_counted
from mlops_tasks.drift.questions import (
    Question,
    about_all,
    about_missing,
    about_values,
    adjust,
    effects_of,
)
from mlops_tasks.encoding import digest
from mlops_tasks.errors import DataError
from mlops_tasks.settings.monitoring import DriftRules
from mlops_tasks.training.fit import SCORE

Verdict = Literal["drift", "no drift", "not enough rows"]

# A level is missed only where its absence has a chance below exp(-10) without drift.
EXPECTED_OF_VANISHED = 10.0
MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What happened to one column.

    `effects` maps names of `rules` to sizes ("wasserstein" in standard deviations of the
    reference); they and `p_value` are of the values that are present. `missing_change` is the share
    of missing values minus that of the reference. `out_of_range` is the share of values beyond the
    reference's extremes. `new_categories` are at most 20 levels that the reference does not name
    and that are more frequent than all that it does not name; `vanished_categories` are expected
    ten times or more and absent.
    """

    name: str
    kind: Kind
    verdict: Verdict
    reason: str
    effects: dict[str, float]
    p_value: float | None
    adjusted_p: float | None
    missing_change: float
    missing_p_value: float | None
    missing_adjusted_p: float | None
    out_of_range: float = 0.0
    new_categories: tuple[str, ...] = ()
    vanished_categories: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether the verdict is drift."""
        return self.verdict == "drift"

    @property
    def judged(self) -> bool:
        """Whether there were enough rows to say anything."""
        return self.verdict != "not enough rows"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A window against a reference. `reference` is the digest of the profile, `rows` the window's.

    `share_drifted` is of the columns that could be judged. `domain` is the multivariate test, if it
    was made.
    """

    window: str
    reference: str
    rows: int
    columns: tuple[ColumnDrift, ...]
    share_drifted: float
    verdict: Verdict
    reasons: tuple[str, ...]
    domain: DomainDrift | None = None

    @property
    def drifted(self) -> bool:
        """Whether the verdict is drift."""
        return self.verdict == "drift"


def compare(
    profile: Profile,
    window_counts: Counts,
    rules: DriftRules,
    *,
    window: str = "",
    domain: DomainDrift | None = None,
    unseen: Sequence[ColumnDrift] = (),
) -> DriftReport:
    """Hold a window against the reference.

    Parameters
    ----------
    profile
        Of the reference.
    window_counts
        The window, counted in the bins of `profile`.
    rules
        Limits and significance.
    window
        What the window is called in the report.
    domain
        The multivariate test of the same window, to be judged along.
    unseen
        Columns that are watched, but that this window cannot be held against: see `not_seen`.

    Raises
    ------
    DataError
        If the counts were made against another profile, or a critical column is not watched.
    """
    require_counted(window_counts, profile)
    _require_critical((*profile.columns, *(each.name for each in unseen)), rules)
    sides = tuple(zip(profile.bins, profile.reference.tallies, window_counts.tallies, strict=True))
    effects = [effects_of(*side) for side in sides]
    *questions, last = adjust(
        [
            *(
                about_values(*side, found, rules)
                for side, found in zip(sides, effects, strict=True)
            ),
            *(about_missing(old, new, rules) for _, old, new in sides),
            about_all(domain, rules),
        ]
    )
    values, missing = questions[: len(sides)], questions[len(sides) :]
    columns = tuple(
        _column(*side, found, about, gone, rules.significance)
        for side, found, about, gone in zip(sides, effects, values, missing, strict=True)
    )
    columns = (*columns, *unseen)
    judged = [each for each in columns if each.judged]
    share = sum(each.drifted for each in judged) / len(judged) if judged else 0.0
    verdict, reasons = _overall(columns, share, last, rules)
    name = digest(profile)
    return DriftReport(window, name, window_counts.rows, columns, share, verdict, reasons, domain)


def not_seen(bins: Bins, reason: str) -> ColumnDrift:
    """A column that a window says nothing about, and why."""
    return ColumnDrift(
        bins.name, bins.kind, "not enough rows", reason, {}, None, None, 0.0, None, None
    )


def _column(
    bins: Bins,
    old: Tally,
    new: Tally,
    effects: dict[str, float],
    values: Question,
    missing: Question,
    significance: float,
) -> ColumnDrift:
    found = [each.answer for each in (values, missing) if each.drifted(significance)]
    verdict: Verdict = "no drift"
    if found:
        verdict = "drift"
    elif not missing.answered or (not values.answered and bins.kind != "time"):
        verdict = "not enough rows"
    outside = new.counts[0] + new.counts[-1] if bins.kind == "number" and bins.edges else 0
    return ColumnDrift(
        bins.name,
        bins.kind,
        verdict,
        "; ".join(found) or (values if missing.answered else missing).answer,
        effects,
        values.p_value,
        values.adjusted_p,
        missing.effect,
        missing.p_value,
        missing.adjusted_p,
        outside / new.present if new.present else 0.0,
        _new_categories(bins, old, new),
        _vanished_categories(bins, old, new),
    )


def _new_categories(bins: Bins, old: Tally, new: Tally) -> tuple[str, ...]:
    if bins.kind != "category" or not old.present:
        return ()
    explained = old.counts[-1] / old.present * new.present
    found = sorted((-rows, name) for name, rows in new.others if rows > explained)
    return tuple(name for _, name in found[:MAX_NAMED])


def _vanished_categories(bins: Bins, old: Tally, new: Tally) -> tuple[str, ...]:
    if not new.present:
        return ()
    least = EXPECTED_OF_VANISHED * old.present / new.present
    rows = zip(bins.levels, old.counts, new.counts, strict=False)
    return tuple(name for name, before, now in rows if not now and before >= least)[:MAX_NAMED]


def _overall(
    columns: Sequence[ColumnDrift], share: float, domain: Question, rules: DriftRules
) -> tuple[Verdict, tuple[str, ...]]:
    drifted = [each for each in columns if each.drifted]
    unjudged = [each for each in columns if not each.judged]
    watched = len(columns) - len(unjudged)
    count = f"{len(drifted)} of {watched} columns have drifted"
    reasons = [
        f"critical column {each.name}: {each.reason}"
        for each in drifted
        if each.name in rules.critical
    ]
    if drifted and share >= rules.drifted_share:
        names = ", ".join(each.name for each in drifted[:MAX_NAMED])
        reasons.append(f"{count}, from {rules.drifted_share:.0%} on it is a drift: {names}")
    if domain.drifted(rules.significance):
        reasons.append(domain.answer)
    if reasons:
        return "drift", tuple(reasons)
    silent = tuple(f"{each.name}: {each.reason}" for each in unjudged[:MAX_NAMED])
    features = [each for each in columns if each.name != SCORE] or columns
    nothing = not any(each.judged for each in features) and not domain.answered
    if nothing or any(each.name in rules.critical for each in unjudged):
        return "not enough rows", silent or ("no column could be judged",)
    return "no drift", (count, *silent)


def _require_critical(watched: Sequence[str], rules: DriftRules) -> None:
    unknown = sorted(set(rules.critical) - set(watched))
    if unknown:
        raise DataError(
            "a critical column is not watched",
            where=", ".join(unknown),
            next_step="correct `critical` in the rules, or add the column to the profile",
        )

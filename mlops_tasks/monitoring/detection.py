"""Has the champion's traffic drifted? The arithmetic is `drift`'s; here it gets its two sides.

Guarantee: what cannot be looked at, because the log may not keep it or nothing was asked, is said
to be unjudged, never to be without drift; digests are held against digests, never against values.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import polars as pl

from mlops_tasks.artifacts import Champion, Dataset, Evidence
from mlops_tasks.data.frames import read_frame
from mlops_tasks.drift.domain import DomainDrift, domain_drift, features_of
from mlops_tasks.drift.profile import Counts, Profile, count
from mlops_tasks.drift.verdict import ColumnDrift, DriftReport, compare, not_seen
from mlops_tasks.encoding import digest
from mlops_tasks.errors import AlteredObject, StorageError
from mlops_tasks.monitoring.traffic import features_in, read_traffic
from mlops_tasks.monitoring.window import Window
from mlops_tasks.registry.private_rows import are_digests, marked
from mlops_tasks.registry.reigning import reference_of, release_of
from mlops_tasks.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Detected:
    """A verdict, and the two sides that it was reached on."""

    report: DriftReport
    profile: Profile
    counts: Counts


def detect(settings: Settings, champion: Champion, traffic: Dataset, window: Window) -> Detected:
    """Hold a window against what the champion learned.

    Parameters
    ----------
    settings
        Its rules of drift count.
    champion
        Its sealed reference profile is one side.
    traffic
        What it answered, see `gather`.
    window
        Names the report.

    Raises
    ------
    AlteredObject
        If the champion or the traffic is not, in every byte, what it was.
    """
    release = release_of(settings.stack, settings.registered_model, champion)
    reference = reference_of(release, settings.registered_model)
    hashed = settings.serving.log.hashed
    live = _marked(features_in(read_traffic(traffic)), hashed)
    unseen = tuple(_unseen(reference, live, hashed))
    watched = within(reference, set(reference.columns) - {each.name for each in unseen})
    found = count(live.select(watched.columns), watched)
    plain = within(watched, set(watched.columns) - set(hashed))
    domain = _separated(release.evidence, live, plain, settings.seed)
    rules = settings.monitoring.drift
    report = compare(watched, found, rules, window=window.name, domain=domain, unseen=unseen)
    return Detected(report, watched, found)


def within(profile: Profile, names: Collection[str]) -> Profile:
    """The part of a profile that is about some of its columns."""
    kept = [
        (bins, tally)
        for bins, tally in zip(profile.bins, profile.reference.tallies, strict=True)
        if bins.name in names
    ]
    bins = tuple(each for each, _ in kept)
    tallies = tuple(each for _, each in kept)
    return Profile(bins, Counts(digest(bins), profile.reference.rows, tallies))


def _marked(live: pl.DataFrame, hashed: Collection[str]) -> pl.DataFrame:
    return live.with_columns(marked(live[name]) for name in hashed if name in live.columns)


def _unseen(
    reference: Profile, live: pl.DataFrame, hashed: Collection[str]
) -> Iterator[ColumnDrift]:
    """What is not kept, or not kept alike on both sides."""
    for bins in reference.bins:
        if bins.name not in live.columns:
            yield not_seen(bins, "no row of this window has it: nothing came, or the log drops it")
        elif (bins.name in hashed) != bool(bins.levels and are_digests(bins.levels)):
            yield not_seen(bins, "a digest on one side only: the log's rules changed since")


def _separated(
    evidence: Evidence, live: pl.DataFrame, watched: Profile, seed: int
) -> DomainDrift | None:
    """A classifier of window against the model's rows; None where those are gone or none came."""
    names = [name for name in watched.columns if name != "score"]
    known = within(watched, names)
    if not live.height or not names:
        return None
    try:
        parts = (evidence.candidate.train, evidence.evaluation.comparison)
        learned = pl.concat([read_frame(each).select(names) for each in parts])
    except AlteredObject:
        raise
    except StorageError:
        return None
    old, columns = features_of(learned, known)
    new, _ = features_of(live.select(names), known)
    return domain_drift(old, new, seed=seed, names=columns)

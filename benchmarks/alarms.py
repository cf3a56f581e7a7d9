"""How often the default rules cry wolf, and how often they miss: windows of real flights.

The flights of the first half of 2013 are dealt at random into rows to learn from, comparison rows
and rows that play live traffic, ten times anew; a model of the template's kind is fitted and the
reference profile made as at registration. A series is 20 windows drawn with replacement from the
live rows, undrifted or with one injected drift, weak or strong, judged like `mlops monitor` does:
all columns and the classifier. An alarm is what the default trigger makes of them.

Reproduce: uv run python benchmarks/alarms.py          (`--series 10`, `--processes 2`)
One drift alone: `--only 'min longer'`, a regular expression.
"""

import argparse
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Columns
from mlops_tasks.drift.bins import Array
from mlops_tasks.drift.domain import domain_drift, features_of
from mlops_tasks.drift.profile import Profile, count, profile_of
from mlops_tasks.drift.reference import reference_of
from mlops_tasks.drift.verdict import Verdict, compare
from mlops_tasks.monitoring.trigger import Observation, TriggerState, step
from mlops_tasks.settings.monitoring import DriftRules, TriggerRules

FLIGHTS = Path(__file__).parents[1] / "{{cookiecutter.project_slug}}" / "data" / "flights.parquet"
WINDOWS = 20
SIZES = (200, 500, 2000)
NORMAL_95 = 1.959963984540054
CATEGORICAL = ("carrier", "origin", "destination")
NOT_FEATURES = ("flight_id", "scheduled_departure", "late")
Draw = np.random.Generator
Change = Callable[[pl.DataFrame, Draw], pl.DataFrame]


def _later(minutes: float) -> Change:
    return lambda rows, _: rows.with_columns(pl.col("departure_delay_minutes") + minutes)


def _fewer_of_one(share: float) -> Change:
    """So large a share of JetBlue's flights is flown by Delta, from the same airports."""

    def change(rows: pl.DataFrame, draw: Draw) -> pl.DataFrame:
        sold = pl.Series(draw.random(rows.height) < share) & (rows["carrier"] == "B6")
        return rows.with_columns(
            pl.when(sold).then(pl.lit("DL")).otherwise("carrier").alias("carrier")
        )

    return change


def _silent(share: float) -> Change:
    """A thermometer that gives no reading so often."""

    def change(rows: pl.DataFrame, draw: Draw) -> pl.DataFrame:
        silent = pl.Series(draw.random(rows.height) < share)
        return rows.with_columns(temperature_f=pl.when(~silent).then("temperature_f"))

    return change


def _stuck(rows: pl.DataFrame, _: Draw) -> pl.DataFrame:
    return rows.with_columns(wind_speed_mph=pl.lit(10.35702))


CHANGES: dict[str, Change] = {
    "none": lambda rows, _: rows,
    **{f"delays {minutes:g} min longer": _later(minutes) for minutes in (0.5, 1, 2, 3, 5, 15)},
    **{f"{share:.0%} of B6 flown by DL": _fewer_of_one(share) for share in (0.25, 0.5, 0.75, 1)},
    **{
        f"thermometer silent for {share:.0%}": _silent(share)
        for share in (0.02, 0.05, 0.1, 0.2, 0.3)
    },
    "thermometer silent": _silent(1.0),
    "wind gauge stuck": _stuck,
}


@dataclass(frozen=True, slots=True)
class World:
    """A reference profile, its rows as the classifier sees them, live rows to draw, a model."""

    profile: Profile
    features: Profile
    known: Array
    live: pl.DataFrame
    score: Callable[[pl.DataFrame], pl.DataFrame]


def world_of(seed: int) -> World:
    """Deal the flights, fit a model, and profile it as at registration."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder
    from threadpoolctl import threadpool_limits

    flights = pl.read_parquet(FLIGHTS, glob=False)
    flights = flights.filter(pl.col("scheduled_departure") < pl.datetime(2013, 7, 1))
    flights = flights.sample(fraction=1, shuffle=True, seed=seed)
    train, comparison, live = (
        flights[start:end] for start, end in ((0, 6_000), (6_000, 8_000), (8_000, flights.height))
    )
    numeric = tuple(name for name in flights.columns if name not in (*NOT_FEATURES, *CATEGORICAL))
    columns = Columns(("flight_id",), "late", numeric, CATEGORICAL)
    names = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder = make_column_transformer(
        ("passthrough", list(numeric)), (names, list(CATEGORICAL)), verbose_feature_names_out=False
    )
    model = make_pipeline(
        encoder,
        HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=15, min_samples_leaf=40, random_state=0
        ),
    )
    # Two processes that both want all cores would wait for each other.
    with threadpool_limits(limits=1):
        model.fit(train.select(columns.features).to_pandas(), train["late"].to_numpy())

    def score(rows: pl.DataFrame) -> pl.DataFrame:
        with threadpool_limits(limits=1):
            chances = model.predict_proba(rows.select(columns.features).to_pandas())[:, 1]
        return rows.with_columns(pl.Series("score", chances))

    known = pl.concat([train, comparison]).select(columns.features)
    features = profile_of(known, columns.features, categorical=CATEGORICAL)
    return World(
        reference_of(train, comparison, score(comparison), columns),
        features,
        features_of(known, features)[0],
        live,
        score,
    )


def judge(world: World, window: pl.DataFrame, seed: int) -> Verdict:
    """The verdict of the default rules."""
    scored = world.score(window)
    new, names = features_of(window, world.features)
    domain = domain_drift(world.known, new, seed=seed, names=names)
    counts = count(scored, world.profile)
    return compare(world.profile, counts, DriftRules(), domain=domain).verdict


def series(world: World, change: str, size: int, windows: int, seed: int) -> tuple[list[bool], ...]:
    """Which windows of one series have drifted, and at which the trigger rang."""
    draw, state = np.random.default_rng(seed), TriggerState()
    drifted, rang = [], []
    for number in range(windows):
        picked = world.live[draw.integers(0, world.live.height, size).tolist()]
        verdict = judge(world, CHANGES[change](picked, draw), number)
        end = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
        seen = Observation(f"window {number}", end, verdict, "profile")
        state, decision = step(state, seen, TriggerRules())
        drifted.append(verdict == "drift")
        rang.append(decision.alarm)
    return drifted, rang


def wilson(found: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    middle = (found + NORMAL_95**2 / 2) / (of + NORMAL_95**2)
    wide = found * (of - found) / of + NORMAL_95**2 / 4
    half = NORMAL_95 / (of + NORMAL_95**2) * sqrt(wide)
    return max(0.0, middle - half), min(1.0, middle + half)


def _one_world(
    seed: int, changes: tuple[str, ...]
) -> list[tuple[str, int, list[bool], list[bool]]]:
    world = world_of(seed)
    return [
        (change, size, *series(world, change, size, WINDOWS, seed=1_000 * seed + size))
        for change, size in product(changes, SIZES)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--series", type=int, default=10, help="series of 20 windows for each row")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="drifts whose name has this in it")
    options = parser.parse_args()
    changes = tuple(name for name in CHANGES if re.search(options.only, name))
    drifted: Counter[tuple[str, int]] = Counter()
    rang: Counter[tuple[str, int]] = Counter()
    quick: Counter[tuple[str, int]] = Counter()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        worlds = partial(_one_world, changes=changes)
        for world in pool.imap_unordered(worlds, range(options.series)):
            for change, size, changed, alarms in world:
                drifted[change, size] += sum(changed)
                rang[change, size] += sum(alarms)
                quick[change, size] += any(alarms[:3])
    of = options.series * WINDOWS
    print(f"{of} windows for each row in {options.series} series; 95 % Wilson intervals\n")
    print("| drift | rows in a window | drifted windows | alarms | series with one in 3 windows |")
    print("|---|--:|--:|--:|--:|")
    for change, size in product(changes, SIZES):
        key = (change, size)
        figures = (
            _share(drifted[key], of),
            _share(rang[key], of),
            _share(quick[key], options.series),
        )
        print(f"| {change} | {size} | {' | '.join(figures)} |")


def _share(found: int, of: int) -> str:
    low, high = wilson(found, of)
    return f"{found / of:.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()

"""The contract lets good rows in and keeps bad rows out."""

import polars as pl
import pytest

from {{ cookiecutter.__package_name }}.schema import Flights


def test_real_flights_fulfil_the_contract(excerpt: pl.DataFrame) -> None:
    good, bad = Flights.filter(excerpt)
    assert good.height == excerpt.height, bad.counts()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("distance_miles", -1.0),
        ("origin", "XXX"),
        ("scheduled_hour", 24),
        ("weekday", 0),
        ("late", 2),
        ("carrier", None),
    ],
)
def test_a_bad_value_breaks_the_contract(excerpt: pl.DataFrame, column: str, value: object) -> None:
    kind = excerpt.schema[column]
    spoiled = excerpt.head(5).with_columns(pl.lit(value, dtype=kind).alias(column))
    _, bad = Flights.filter(spoiled)
    assert len(bad) == 5


def test_the_same_flight_twice_breaks_the_contract(excerpt: pl.DataFrame) -> None:
    _, bad = Flights.filter(pl.concat([excerpt, excerpt.head(1)]))
    assert bad.counts() == {"primary_key": 2}

"""The contract lets good rows in and keeps bad rows out."""

import polars as pl
import pytest

from {{ cookiecutter.__package_name }}.schema import Flights


def test_real_flights_fulfil_the_contract(excerpt: pl.DataFrame) -> None:
    good, bad = Flights.filter(excerpt)
    assert good.height == excerpt.height, bad.counts()


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("distance_miles", -1.0, "distance_miles|min_exclusive"),
        ("origin", "XXX", "origin|regex"),
        ("scheduled_hour", 24, "scheduled_hour|max"),
        ("scheduled_hour", 23, "hour_is_that_of_the_departure"),
        ("weekday", 0, "weekday|min"),
        ("late", 2, "late|is_in"),
        ("carrier", None, "carrier|nullability"),
    ],
)
def test_a_bad_value_breaks_a_rule(
    excerpt: pl.DataFrame, column: str, value: object, rule: str
) -> None:
    kind = excerpt.schema[column]
    spoiled = excerpt.head(5).with_columns(pl.lit(value, dtype=kind).alias(column))
    _, bad = Flights.filter(spoiled)
    assert bad.counts().get(rule) == 5


def test_the_same_flight_twice_breaks_the_contract(excerpt: pl.DataFrame) -> None:
    _, bad = Flights.filter(pl.concat([excerpt, excerpt.head(1)]))
    assert bad.counts().get("primary_key") == 2

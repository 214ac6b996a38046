"""Recruit: daily visitors of Japanese restaurants (Kaggle, 2017), with reservations from two systems, air and hpg.

A day without visitors has no row: the restaurant was closed, or nobody knows. A reservation knows the day it was made, so that
it is a known covariate only if it was made long enough ahead.
"""

from datetime import date, timedelta
from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_day, as_number, as_text, every_day, plain_names
from shelfcast.data.sources.dialect import Dialect

AHEAD: Final = 39  # days: the competition's horizon

VISITS = Dialect(
    name="recruit",
    title="Recruit restaurant visitors",
    signature=("air_store_id", "visit_date", "visitors"),
    roles={"location": "air_store_id", "date": "visit_date", "sales": "visitors"},
    shape="series",
    absent="missing",
    notes=("Days without visitors have no row: a restaurant was closed then, or nobody knows.",),
)
STORES = Dialect(name="recruit stores", title="Recruit restaurants", signature=("air_store_id", "air_genre_name"),
                 roles={"location": "air_store_id"})
DATES = Dialect(name="recruit dates", title="Recruit's calendar", signature=("calendar_date", "holiday_flg"),
                roles={"date": "calendar_date"})


def _reserved(frames: Frames) -> pl.LazyFrame:
    """By restaurant and day: guests with a reservation, and those who reserved at least AHEAD days before."""
    parts = []
    if "air_reserve.csv" in frames:
        parts.append(plain_names(frames["air_reserve.csv"]))
    if "hpg_reserve.csv" in frames and "store_id_relation.csv" in frames:
        relation = plain_names(frames["store_id_relation.csv"]).select("hpg_store_id", "air_store_id")
        parts.append(plain_names(frames["hpg_reserve.csv"]).join(relation, on="hpg_store_id", how="inner"))
    made = pl.concat([p.select(as_text("air_store_id").alias("air_store_id"), as_day(p, "visit_datetime").alias("date"),
                               as_day(p, "reserve_datetime").alias("reserved"), as_number("reserve_visitors").alias("guests"))
                      for p in parts])
    early = pl.col("date") - pl.col("reserved") >= timedelta(days=AHEAD)
    sums = made.group_by("air_store_id", "date").agg(
        pl.col("guests").sum().alias("reserved_guests"), pl.col("guests").filter(early).sum().alias(_EARLY))
    visits = plain_names(frames["air_visit_data.csv"])
    stores = visits.select(as_text("air_store_id").alias("air_store_id")).unique()
    first, last = visits.select(as_day(visits, "visit_date").alias("date")).select(
        pl.col("date").min().alias("a"), pl.col("date").max().alias("b")).collect().row(0)
    grid = stores.join(every_day(first, _later(last)), how="cross")
    return grid.join(sums, on=["air_store_id", "date"], how="left").with_columns(pl.col("reserved_guests", _EARLY).fill_null(0.0))


def _later(day: date) -> date:
    return day + timedelta(days=AHEAD)


_EARLY: Final = f"reserved_{AHEAD}_days_ahead"
BUNDLE = Bundle(
    name="recruit",
    title="Recruit Restaurant Visitor Forecasting",
    origin="the Kaggle competition 'Recruit Restaurant Visitor Forecasting'",
    sales="air_visit_data.csv",
    dialects=(VISITS,),
    files=(
        File(name="air_visit_data.csv", holds="visitors by restaurant and day", needed=True, telling=True),
        File(name="air_store_info.csv", holds="genre, area, latitude and longitude of each restaurant", telling=True),
        File(name="date_info.csv", holds="holidays", telling=True),
        File(name="air_reserve.csv", holds="reservations by restaurant, with the time they were made", telling=True),
        File(name="hpg_reserve.csv", holds="reservations in the other system", telling=True),
        File(name="store_id_relation.csv", holds="which restaurants of the two systems are the same", telling=True),
        File(name="hpg_store_info.csv", holds="restaurants of the other system"),
        File(name="sample_submission.csv", holds="nothing that is used"),
    ),
    pieces=(
        Piece(use="places", of=("air_store_info.csv",), says="where restaurants are, genre and area", keys=("location",)),
        Piece(use="covariates", of=("date_info.csv",), says="holidays", keys=("date",), known=("holiday_flg",)),
        Piece(use="covariates", of=("air_reserve.csv", "air_visit_data.csv", "hpg_reserve.csv", "store_id_relation.csv"),
              needs=("air_reserve.csv", "air_visit_data.csv"), keys=("location", "date"), known=(_EARLY,),
              past=("reserved_guests",),
              says=f"guests with a reservation, and of them those who made it at least {AHEAD} days before", make=_reserved),
    ),
    notes=(
        "Days without visitors have no row. They are not known, rather than 0: nearly always the restaurant was closed.",
        f"All reservations for a day are known on that day only, so `reserved_guests` is seen up to the cutoff. Those made at "
        f"least {AHEAD} days before are known ahead (`{_EARLY}`) for horizons of up to {AHEAD} days; with a longer horizon declare "
        f"them `--past {_EARLY}`.",
        "Reservations of the other system are counted where store_id_relation.csv names the same restaurant.",
    ),
    example=f"shelfcast forecast recruit/ --horizon {AHEAD}",
)

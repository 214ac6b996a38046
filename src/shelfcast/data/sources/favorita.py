"""Favorita: daily sales of Ecuadorian supermarkets, by item (Kaggle, 2017) or by family of items (Kaggle, 2021).

Holidays are of the nation, a region (`stores.csv` calls it state) or a town. One that was transferred is an ordinary day; the row
of type Transfer says when it was celebrated. A Work Day makes up for a Bridge. Events include the earthquake of April 2016, which
nobody knew ahead.
"""

from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_day, as_number, as_text, every_day, is_true, plain_names
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

_LOCALES: Final = ("national", "regional", "local")
_UNFORESEEN: Final = "terremoto"  # the earthquake, and the days counted from it
_HOLIDAYS: Final = (*(f"holiday_{x}" for x in _LOCALES), "holiday_name", "work_day", "event")


def _celebrated(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `holidays_events.csv` as they were lived: date, locale, place, description, and what sort of day."""
    rows = plain_names(frame)
    kind = as_text("type").str.to_lowercase()
    sort = pl.when(kind == "work day").then(pl.lit("work")).when(kind == "event").then(pl.lit("event")).otherwise(pl.lit("holiday"))
    name = as_text("description").str.replace(r"(?i)^(traslado|puente|recupero puente)\s+", "")
    return (rows.filter(~is_true("transferred") & ~as_text("description").str.to_lowercase().str.starts_with(_UNFORESEEN))
            .select(as_day(rows, "date").alias("date"), as_text("locale").str.to_lowercase().alias("locale"),
                    as_text("locale_name").alias("place"), name.alias("description"), sort.alias("sort")))


def _day() -> list[pl.Expr]:
    """Flags of a day, and its names."""
    holiday = pl.col("sort") == "holiday"
    flags = [((pl.col("locale") == x) & holiday).any().cast(pl.Float64).alias(f"holiday_{x}") for x in _LOCALES]
    name = pl.col("description").filter(holiday).min().alias("holiday_name")
    event = pl.col("description").filter(pl.col("sort") == "event").min().alias("event")
    return [*flags, name, (pl.col("sort") == "work").any().cast(pl.Float64).alias("work_day"), event]


def _filled(days: pl.LazyFrame, grid: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    """Every day of every key: an ordinary day has a row too, for it is known to be one."""
    zeros = [*(f"holiday_{x}" for x in _LOCALES), "work_day"]
    return grid.join(days, on=keys, how="left").with_columns(pl.col(zeros).fill_null(0.0),
                                                             pl.col("holiday_name", "event").fill_null("none"))


def _grid(frame: pl.LazyFrame) -> pl.LazyFrame:
    """All days from the first to the last of `holidays_events.csv`, transferred holidays included."""
    rows = plain_names(frame)
    day = as_day(rows, "date")
    first, last = rows.select(day.min().alias("first"), day.max().alias("last")).collect().row(0)
    return every_day(first, last)


def _holidays(frames: Frames) -> pl.LazyFrame:
    """By store and day, which holidays its town, its state and the nation have."""
    rows = _celebrated(frames["holidays_events.csv"])
    stores = plain_names(frames["stores.csv"]).select(
        "store_nbr", as_text("city").alias("local"), as_text("state").alias("regional"), pl.lit("everywhere").alias("national"))
    places = stores.unpivot(on=list(_LOCALES), index="store_nbr", variable_name="locale", value_name="place")
    where = pl.when(pl.col("locale") == "national").then(pl.lit("everywhere")).otherwise("place")
    keys = ["store_nbr", "date"]
    days = rows.with_columns(where.alias("place")).join(places, on=["locale", "place"]).group_by(keys).agg(_day())
    return _filled(days, _grid(frames["holidays_events.csv"]).join(stores.select("store_nbr"), how="cross"), keys)


def _national(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    """Without the stores only the nation's holidays can be told."""
    rows = _celebrated(frame)
    days = rows.filter(pl.col("locale") == "national").group_by("date").agg(_day())
    return _filled(days, _grid(frame), ["date"]).drop("holiday_regional", "holiday_local")


def _oil_every_day(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    """The last price stands on days without trading."""
    price = names["dcoilwtico"]
    rows = frame.select(as_day(frame, names["date"]).alias("date"), as_number(price).alias(price)).drop_nulls("date").sort("date")
    first, last = rows.select(pl.col("date").min().alias("a"), pl.col("date").max().alias("b")).collect().row(0)
    return every_day(first, last).join(rows, on="date", how="left").sort("date").with_columns(pl.col(price).forward_fill())


ITEMS = Dialect(
    name="favorita",
    title="Favorita grocery sales",
    signature=("date", "store_nbr", "item_nbr", "unit_sales"),
    roles={"location": "store_nbr", "item": "item_nbr", "date": "date", "sales": "unit_sales", "promo": "onpromotion"},
    shape="transactions",
    notes=("Days on which an item was not sold have no row: they count as 0. Negative unit_sales are returns.",),
)
FAMILIES = Dialect(
    name="favorita families",
    title="Favorita store sales by family",
    signature=("date", "store_nbr", "family", "sales"),
    roles={"location": "store_nbr", "item": "family", "date": "date", "sales": "sales", "promo": "onpromotion"},
    shape="series",
    notes=("onpromotion counts the items of the family that are on promotion.",),
)
FUTURE_ITEMS = Dialect(name="favorita future", title="Favorita's days after the last sale",
                       signature=("date", "store_nbr", "item_nbr", "onpromotion"), also=lambda names: "unit_sales" not in names,
                       roles={"location": "store_nbr", "item": "item_nbr", "date": "date", "promo": "onpromotion"})
FUTURE_FAMILIES = Dialect(name="favorita families future", title="Favorita's days after the last sale",
                          signature=("date", "store_nbr", "family", "onpromotion"), also=lambda names: "sales" not in names,
                          roles={"location": "store_nbr", "item": "family", "date": "date", "promo": "onpromotion"})
STORES = Dialect(name="favorita stores", title="Favorita stores", signature=("store_nbr", "city", "cluster"),
                 roles={"location": "store_nbr"})
PRODUCTS = Dialect(name="favorita items", title="Favorita items", signature=("item_nbr", "family", "perishable"),
                   roles={"item": "item_nbr"})
OIL = Dialect(name="favorita oil", title="Favorita's oil price", signature=("date", "dcoilwtico"), roles={"date": "date"},
              adapt=_oil_every_day, notes=("On days without trading the last oil price stands.",))
HOLIDAYS = Dialect(
    name="favorita holidays", title="Favorita holidays", signature=("date", "locale", "locale_name", "transferred"),
    roles={"date": "date"}, adapt=_national,
    notes=("Without stores.csv only the nation's holidays can be told; give the whole folder for those of towns and regions.",))
VISITS = Dialect(name="favorita transactions", title="Favorita transactions", signature=("date", "store_nbr", "transactions"),
                 roles={"location": "store_nbr", "date": "date"})

_FILES: Final = (
    File(name="stores.csv", holds="city, state, type and cluster of each store"),
    File(name="oil.csv", holds="the price of oil by day", telling=True),
    File(name="holidays_events.csv", holds="holidays of nation, regions and towns", telling=True),
    File(name="transactions.csv", holds="how many baskets each store had by day"),
    File(name="sample_submission.csv", holds="nothing that is used"),
)
_PIECES: Final = (
    Piece(use="covariates", of=("holidays_events.csv", "stores.csv"), says="holidays and events by store and day",
          keys=("location", "date"), known=_HOLIDAYS, make=_holidays),
    Piece(use="covariates", of=("transactions.csv",), says="baskets by store and day", keys=("location", "date"),
          past=("transactions",)),
    Piece(use="covariates", of=("oil.csv",), says="the price of oil by day", keys=("date",), past=("dcoilwtico",)),
    Piece(use="attributes", of=("stores.csv",), says="attributes of stores", keys=("location",)),
)
_NOTES: Final = (
    "Holidays are joined by store: the nation's, those of the store's state, and those of its town. A transferred holiday is an "
    "ordinary day, and the day it was moved to is the holiday; a working Saturday that makes up for a bridge is `work_day`.",
    "The earthquake of April 2016, and the days counted from it, are left out of the events: nobody knew it ahead.",
    "oil.csv gives prices past the last sale. Nobody knows those ahead, so they are seen up to the cutoff only; to use them as the "
    "competition did: `--known dcoilwtico`. On days without trading the last price stands.",
    "Stores are closed on December 25: that day has no rows.",
)
ITEMS_BUNDLE = Bundle(
    name="favorita",
    title="Corporación Favorita Grocery Sales Forecasting",
    origin="the Kaggle competition 'Corporación Favorita Grocery Sales Forecasting' (2017; its .7z files have to be unpacked)",
    sales="train.csv",
    dialects=(ITEMS,),
    files=(
        File(name="train.csv", holds="unit sales by item, store and day", needed=True),
        File(name="test.csv", holds="items, stores and promotions of the 16 days after the last sale"),
        File(name="items.csv", holds="family, class and perishability of each item"),
        *_FILES,
    ),
    known=("onpromotion",),
    pieces=(
        Piece(use="covariates", of=("test.csv",), says="promotions after the last sale", keys=("item", "location", "date"),
              known=("onpromotion",)),
        *_PIECES,
        Piece(use="attributes", of=("items.csv",), says="attributes of items", keys=("item",)),
    ),
    notes=(
        "Days on which an item was not sold have no row, as the organisers say: they count as 0.",
        "Negative unit_sales are returns and are set apart (`--returns net` subtracts them). Fractions are weighed goods.",
        "onpromotion is empty before April 2014: not known.",
        *_NOTES,
    ),
    example="shelfcast check favorita/ --horizon 16",
)
FAMILIES_BUNDLE = Bundle(
    name="favorita families",
    title="Store Sales: Time Series Forecasting (Favorita, by family)",
    origin="the Kaggle competition 'Store Sales - Time Series Forecasting'",
    sales="train.csv",
    dialects=(FAMILIES,),
    files=(
        File(name="train.csv", holds="sales and promotions by family, store and day", needed=True),
        File(name="test.csv", holds="promotions of the 16 days after the last sale"),
        *_FILES,
    ),
    known=("onpromotion",),
    pieces=(
        Piece(use="covariates", of=("test.csv",), says="promotions after the last sale", keys=("item", "location", "date"),
              known=("onpromotion",)),
        *_PIECES,
    ),
    notes=("onpromotion counts the items of the family that are on promotion; it is not 0 or 1.", *_NOTES),
    example="shelfcast forecast store-sales/ --horizon 16",
)

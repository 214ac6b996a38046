"""M5: daily unit sales of 30,490 items in 10 Walmart stores (Kaggle, 2020).

Days are columns d_1, d_2 ... in the competition's files; d_1 is 2011-01-29, a Saturday. Prices are by Walmart week
(`wm_yr_wk`: a fiscal year, then two digits of the week), which runs from Saturday to Friday.
"""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_day, as_number, column, is_day_column, plain_names
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

FIRST_DAY: Final = date(2011, 1, 29)  # d_1, and the first day of week 11101
# First day of week 1 of each fiscal year in the competition's calendar; year 113 has 53 weeks, the others 52.
_YEARS: Final = {111: date(2011, 1, 29), 112: date(2012, 1, 28), 113: date(2013, 1, 26), 114: date(2014, 2, 1),
                 115: date(2015, 1, 31), 116: date(2016, 1, 30)}
_BEGUN: Final = "__first_sale__"


def _is_wide(names: Names) -> bool:
    return any(is_day_column(n) for n in names)


def _melt(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001  one signature for all
    """One row per item, store and day from its first sale on: before it, zeros say that it was not on sale there yet."""
    schema = frame.collect_schema().names()
    days = [c for c in schema if is_day_column(c)]
    frame = frame.with_columns(pl.col(days).cast(pl.Float64, strict=False))  # 59 million cells: as numbers before they are rows
    begun = pl.concat_list(pl.col(days) > 0).list.arg_max().alias(_BEGUN)
    numbers = pl.Series([int(c[2:]) for c in days], dtype=pl.Int32)
    frame = frame.with_columns(begun.replace_strict(pl.int_range(len(days), eager=True), numbers, return_dtype=pl.Int32))
    index = [*(c for c in schema if c not in days), _BEGUN]
    long = frame.unpivot(on=days, index=index, variable_name="d", value_name="sales")
    number = pl.col("d").str.slice(2).cast(pl.Int32)
    date_of = (pl.lit(FIRST_DAY) + pl.duration(days=number - 1)).cast(pl.Date).alias("date")
    return long.filter(number >= pl.col(_BEGUN)).with_columns(date_of).drop("d", _BEGUN)


def _weeks_to_days(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    """Seven rows, one a day, for each row of a Walmart week; the calendar is not needed."""
    week = pl.col(names["wm_yr_wk"]).cast(pl.Int32, strict=False)
    start = (week // 100).replace_strict(list(_YEARS), list(_YEARS.values()), default=None, return_dtype=pl.Date)
    first = (start + pl.duration(days=(week % 100 - 1) * 7)).cast(pl.Date)
    days = pl.concat_list([first + pl.duration(days=k) for k in range(7)])
    return frame.with_columns(days.alias("date")).explode("date")


WIDE = Dialect(
    name="m5 wide",
    title="M5 (one column a day)",
    signature=("item_id", "store_id"),
    also=_is_wide,
    roles={"item": "item_id", "location": "store_id", "date": "date", "sales": "sales"},
    shape="series",
    adapt=_melt,
    notes=("The columns d_1, d_2 ... became one row a day; d_1 is 2011-01-29.",),
)
LONG = Dialect(
    name="m5",
    title="M5 (one row a day)",
    signature=("id", "item_id", "store_id", "date", "sales"),
    roles={"item": "item_id", "location": "store_id", "date": "date", "sales": "sales"},
    shape="series",
)
CALENDAR = Dialect(name="m5 calendar", title="M5 calendar", signature=("date", "wm_yr_wk", "d"), roles={"date": "date"})
PRICES = Dialect(
    name="m5 prices",
    title="M5 prices",
    signature=("store_id", "item_id", "wm_yr_wk", "sell_price"),
    roles={"item": "item_id", "location": "store_id", "date": "date", "price": "sell_price"},
    adapt=_weeks_to_days,
    notes=("Each Walmart week (wm_yr_wk) became its seven days, Saturday to Friday.",),
)


def _snap(frames: Frames) -> pl.LazyFrame:
    """By store and day, whether its state pays out food stamps (SNAP) then: one column in place of one a state."""
    calendar = plain_names(frames["calendar.csv"])
    states = [c for c in calendar.collect_schema().names() if c.startswith("snap_")]
    days = calendar.select(as_day(calendar, "date").alias("date"), *states).unpivot(
        on=states, index="date", variable_name="state", value_name="snap")
    days = days.with_columns(pl.col("state").str.slice(5).str.to_uppercase(), as_number("snap"))
    return _stores(frames).join(days, left_on="state_id", right_on="state", how="inner").select("store_id", "date", "snap")


def _stores(frames: Frames) -> pl.LazyFrame:
    """Stores with their state, which their names begin with."""
    sales = frames[_SALES]
    store = pl.col(column(sales, "store_id")).cast(pl.String).alias("store_id")
    return sales.select(store).unique().sort("store_id").with_columns(
        pl.col("store_id").str.extract(r"^([A-Z]+)_").alias("state_id"))


def _items(frames: Frames) -> pl.LazyFrame:
    """Items with department and category, which their names begin with."""
    sales = frames[_SALES]
    item = pl.col(column(sales, "item_id")).cast(pl.String).alias("item_id")
    return sales.select(item).unique().sort("item_id").with_columns(
        pl.col("item_id").str.extract(r"^([A-Z]+_\d+)_").alias("dept_id"),
        pl.col("item_id").str.extract(r"^([A-Z]+)_").alias("cat_id"))


_SALES: Final = "sales_train_evaluation.csv"
BUNDLE = Bundle(
    name="m5",
    title="M5 (Walmart, by item and store)",
    origin="the Kaggle competition 'M5 Forecasting - Accuracy'",
    sales=_SALES,
    dialects=(WIDE, LONG),
    files=(
        File(name=_SALES, holds="unit sales, one column a day; sales_train_validation.csv is the same without the last 28 days",
             also=("sales_train_validation",), needed=True, telling=True),
        File(name="calendar.csv", holds="dates, weeks, events and SNAP days, 28 days past the last sale"),
        File(name="sell_prices.csv", holds="prices by item, store and week, 28 days past the last sale", telling=True),
        File(name="sample_submission.csv", holds="nothing that is used"),
    ),
    pieces=(
        Piece(use="covariates", of=("calendar.csv",), says="events by day", keys=("date",),
              known=("event_name_1", "event_type_1", "event_name_2", "event_type_2")),
        Piece(use="covariates", of=("calendar.csv", _SALES), says="whether the store's state pays out food stamps (SNAP)",
              keys=("location", "date"), known=("snap",), make=_snap),
        Piece(use="covariates", of=("sell_prices.csv",), says="prices by item, store and week", keys=("item", "location", "date"),
              known=("sell_price",)),
        Piece(use="attributes", of=(_SALES,), says="department and category of items", keys=("item",), make=_items),
        Piece(use="attributes", of=(_SALES,), says="state of stores", keys=("location",), make=_stores),
    ),
    notes=(
        "Columns d_1, d_2 ... become dates; d_1 is 2011-01-29. Days before the first sale of an item in a store are left out: it "
        "was not on sale there yet. Of both sales files the longer one (evaluation) is read.",
        "Walmart's weeks (wm_yr_wk) run from Saturday to Friday; each price stands for the seven days of its week.",
        "snap_CA, snap_TX and snap_WI become one covariate `snap`, of the store's own state.",
        "Stores are closed on December 25. The files say so only by sales of 0, and they are read as they are.",
    ),
    example="shelfcast forecast m5/ --horizon 28",
)

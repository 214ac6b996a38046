"""M5: daily unit sales of 30,490 items in 10 Walmart stores (Kaggle, 2020).

Days are columns d_1, d_2 ... in the competition's files; d_1 is 2011-01-29, a Saturday. Prices are by Walmart week
(`wm_yr_wk`: a fiscal year, then two digits of the week), which runs from Saturday to Friday.
"""

import re
from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

FIRST_DAY: Final = date(2011, 1, 29)  # d_1, and the first day of week 11101
# First day of week 1 of each fiscal year in the competition's calendar; year 113 has 53 weeks, the others 52.
_YEARS: Final = {111: date(2011, 1, 29), 112: date(2012, 1, 28), 113: date(2013, 1, 26), 114: date(2014, 2, 1),
                 115: date(2015, 1, 31), 116: date(2016, 1, 30)}


def _is_wide(names: Names) -> bool:
    return any(re.fullmatch(r"d_\d+", n) for n in names)


def _melt(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001  one signature for all
    """One row per item, store and day."""
    schema = frame.collect_schema().names()
    days = [c for c in schema if re.fullmatch(r"d_\d+", c.lower())]
    frame = frame.with_columns(pl.col(days).cast(pl.Float64, strict=False))  # 59 million cells: as numbers before they are rows
    long = frame.unpivot(on=days, index=[c for c in schema if c not in days], variable_name="d", value_name="sales")
    number = pl.col("d").str.slice(2).cast(pl.Int32)
    return long.with_columns((pl.lit(FIRST_DAY) + pl.duration(days=number - 1)).cast(pl.Date).alias("date")).drop("d")


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

"""Dominick's Finer Foods, Chicago: weekly orange juice by store and brand.

Weeks are numbers: week 1 begins on Thursday 1989-09-14. `logmove` is the natural logarithm of the units sold;
`price1` to `price11` are the prices per ounce of all brands in that store and week.
"""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

WEEK_1: Final = date(1989, 9, 14)


def _weeks_and_units(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    brand = pl.col(names["brand"])
    own = pl.coalesce(pl.when(brand.cast(pl.Int32, strict=False) == k).then(pl.col(names[f"price{k}"])) for k in range(1, 12)
                      if f"price{k}" in names)
    week = pl.col(names["week"]).cast(pl.Int32, strict=False)
    return frame.with_columns(
        (pl.lit(WEEK_1) + pl.duration(days=(week - 1) * 7)).cast(pl.Date).alias("date"),
        pl.col(names["logmove"]).cast(pl.Float64, strict=False).exp().round(0).alias("units"),
        own.cast(pl.Float64, strict=False).alias("price"),
    )


SALES = Dialect(
    name="dominicks",
    title="Dominick's orange juice",
    signature=("store", "brand", "week", "logmove", "price1"),
    also=lambda names: not {"date", "units", "price"} & set(names),
    roles={"location": "store", "item": "brand", "date": "date", "sales": "units", "price": "price", "promo": "feat"},
    shape="series",
    adapt=_weeks_and_units,
    notes=("Week 1 begins on Thursday 1989-09-14; sales are exp(logmove), in units; the price is that of the row's own brand.",),
)

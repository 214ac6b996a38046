"""The Complete Journey: grocery baskets of households over 53 weeks of 2017 (dunnhumby).

Time stamps are seconds since 1970 in UTC; the shops are on Eastern time. Week 1 is the single day 2017-01-01,
later weeks begin on Mondays.
"""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

_ZONE: Final = "America/New_York"  # weeks change at 4 or 5 o'clock UTC in the data, which is midnight there
_WEEK_1: Final = date(2016, 12, 26)  # the Monday of the week that holds 2017-01-01


def _local_time(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    seconds = pl.col(names["transaction_timestamp"]).cast(pl.Float64, strict=False).cast(pl.Int64)
    local = pl.from_epoch(seconds, time_unit="s").dt.replace_time_zone("UTC").dt.convert_time_zone(_ZONE).dt.replace_time_zone(None)
    units, money = (pl.col(names[c]).cast(pl.Float64, strict=False) for c in ("quantity", "sales_value"))
    return frame.with_columns(local.alias("date"), pl.when(units > 0).then(money / units).alias("price"))


def _week_to_days(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    monday = (pl.lit(_WEEK_1) + pl.duration(days=(pl.col(names["week"]).cast(pl.Int32, strict=False) - 1) * 7)).cast(pl.Date)
    return frame.with_columns(pl.concat_list([monday + pl.duration(days=k) for k in range(7)]).alias("date")).explode("date")


BASKETS = Dialect(
    name="complete journey",
    title="Complete Journey baskets",
    signature=("store_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"),
    roles={"location": "store_id", "item": "product_id", "date": "date", "sales": "quantity", "price": "price"},
    shape="transactions",
    adapt=_local_time,
    notes=("transaction_timestamp is seconds since 1970; dates are Eastern time. The price is sales_value / quantity.",),
)
PROMOTIONS = Dialect(
    name="complete journey promotions",
    title="Complete Journey promotions",
    signature=("product_id", "store_id", "display_location", "mailer_location", "week"),
    roles={"location": "store_id", "item": "product_id", "date": "date"},
    adapt=_week_to_days,
    notes=("Each week became its seven days; week 2 begins on Monday 2017-01-02.",),
)

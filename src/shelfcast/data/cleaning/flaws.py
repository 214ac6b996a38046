"""What can be wrong with a single line: each flaw once, as an expression that checking counts and cleaning rejects by."""

from collections.abc import Mapping
from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.lines import CANCELLED, SERVICE, text_of
from shelfcast.names import AVAILABLE, DATE, ITEM, LOCATION, PRICE, PROMO, SALES, STOCK

EARLIEST: Final = date(1970, 1, 1)  # no till wrote files before; 1900-01-01 and 1899-12-30 are spreadsheets' empty dates
LATEST: Final = date(2100, 12, 31)  # 9999-12-31 is a database's "for ever"
HUGE: Final = 1e12  # units in one line; above it sums of 64-bit floats lose single units

REJECTING: Final = (
    "unparsable_dates",
    "missing_dates",
    "absurd_dates",
    "missing_items",
    "missing_locations",
    "no_products",
    "future_dates",
    "unparsable_sales",
    "infinite_sales",
    "huge_sales",
)
"""The flaws that make a line unusable, in the order in which the reason is given."""

AT_STAKE: Final = frozenset({*REJECTING, "cancelled_lines", "negative_units", "negative_prices"}) - {
    "infinite_sales",
    "unparsable_sales",
}
"""Flaws whose lines hold money that is lost, or counted wrongly, if nothing is done."""

SALES_ONLY: Final = frozenset({"future_dates", "unparsable_sales", "infinite_sales", "huge_sales"})
"""Rejecting flaws of the sales alone: such a line of a recorded series still holds its known covariates."""


def line_flaws(schema: Mapping[str, pl.DataType], *, today: date) -> dict[str, pl.Expr]:
    """{flaw: boolean expression over the columns of a SalesLines frame}, never null, only for columns that are there.

    Parameters
    ----------
    schema : of the frame
    today : dates after it have not happened yet
    """
    flaws: dict[str, pl.Expr] = {}
    day = pl.col(DATE).cast(pl.Date)
    sales = pl.col(SALES)
    finite = sales.is_finite().fill_null(False)
    flaws["unparsable_dates"] = pl.col(DATE).is_null() & _written(schema, DATE)
    flaws["missing_dates"] = pl.col(DATE).is_null() & ~_written(schema, DATE)
    flaws["absurd_dates"] = ~day.is_between(EARLIEST, LATEST)
    flaws["future_dates"] = (day > today) & (day <= LATEST) & sales.is_not_null()
    for key, name in ((ITEM, "missing_items"), (LOCATION, "missing_locations")):
        if key in schema:
            empty = pl.col(key).is_null()
            flaws[name] = empty | (pl.col(key).str.strip_chars() == "") if schema[key] == pl.String else empty
    flaws["unparsable_sales"] = sales.is_null() & _written(schema, SALES)
    flaws["missing_sales"] = sales.is_null() & ~_written(schema, SALES)
    flaws["infinite_sales"] = sales.is_not_null() & ~finite
    flaws["huge_sales"] = finite & (sales.abs() > HUGE)
    flaws["negative_units"] = finite & (sales < 0)
    flaws["fractional_units"] = finite & (sales.floor() != sales)
    if schema[DATE] != pl.Date:
        flaws["times_of_day"] = pl.col(DATE).dt.time() != pl.time(0, 0, 0)
        flaws["broken_hours"] = pl.col(DATE).dt.truncate("1h") != pl.col(DATE)
    if SERVICE in schema:
        flaws["no_products"] = pl.col(SERVICE)
    if CANCELLED in schema:
        flaws["cancelled_lines"] = pl.col(CANCELLED)
        flaws["negative_units"] &= ~pl.col(CANCELLED).fill_null(False)  # or units and money would be counted twice
    if PRICE in schema:
        price = pl.col(PRICE)
        flaws["zero_prices"] = price == 0
        flaws["negative_prices"] = price < 0
        flaws["infinite_prices"] = price.is_not_null() & ~price.is_finite()
        flaws["sales_without_price"] = (sales > 0) & price.is_null() & ~_written(schema, PRICE)
    for name in (PRICE, PROMO, STOCK, AVAILABLE):
        if name in schema and text_of(name) in schema:
            flaws[f"unparsable_{name}"] = pl.col(name).is_null() & _written(schema, name)
    return {name: flaw.fill_null(False) for name, flaw in flaws.items()}


def money_of(schema: Mapping[str, pl.DataType]) -> pl.Expr | None:
    """Money on a line, units times price, where both are finite numbers; None without prices."""
    if PRICE not in schema:
        return None
    money = (pl.col(SALES) * pl.col(PRICE)).abs()
    return pl.when(money.is_finite()).then(money).otherwise(0.0)


def _written(schema: Mapping[str, pl.DataType], column: str) -> pl.Expr:
    """Something was written where the column was parsed from."""
    text = text_of(column)
    if text not in schema:
        return pl.lit(False)
    return pl.col(text).is_not_null() & (pl.col(text).str.strip_chars() != "")

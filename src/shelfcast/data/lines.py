"""SalesLines: what a source says, row by row, in our words and not yet judged.

`read` makes it, `check` looks at it, `clean` turns it into a SalesPanel. It is lazy: nothing is loaded before a question is
asked, so 23 million lines cost no more memory than one streaming pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from shelfcast.errors import DataError, shorten
from shelfcast.names import ROLES, Absent, Kind
from shelfcast.periods import Frequency

ROW = "row"  # UInt32: 0-based position of a data row in the whole source
PLACE = "__shelfcast_row__"  # the same beside the source's own columns, under a name that no source has
CANCELLED = "cancelled"  # Boolean: the line takes an earlier sale back (an invoice number that says so)
SERVICE = "service"  # Boolean: the line is no product but postage, a fee or bookkeeping (a stock code that says so)


def text_of(column: str) -> str:
    """The column that keeps what a text source had written where `column` was parsed from it.

    >>> text_of("date")
    'date as written'
    """
    return f"{column} as written"


def refuse_reserved(name: str) -> None:
    """A covariate must not be called as the columns are that the data room puts beside it."""
    if name in (*ROLES, ROW, CANCELLED, SERVICE, "series", "period") or name.startswith("~") or name.endswith(text_of("")):
        raise DataError(f"A covariate cannot be called {shorten(name)!r}, which has a meaning of its own here. Rename the column.")


@dataclass(frozen=True)
class Covariates:
    """A table of covariates beside the sales: lazy, with canonical key names.

    Attributes
    ----------
    frame : any of `item`, `location`, `date` (Date or Datetime), and the values
    source : where it came from, for messages
    """

    frame: pl.LazyFrame
    source: str


@dataclass(frozen=True)
class SalesLines:
    """One row per line of the source.

    Attributes
    ----------
    frame : lazy table with `date` (Date or Datetime), `sales` (Float64), `item` and `location` where the source has them (in their
        own types), `price`, `promo`, `stock`, `available`, `cancelled`, `service` where it has them, and the wanted covariates
        under their own names. Columns that were parsed from text (date, sales, price ...) have the text beside them
        under `text_of(column)`: null after parsing with a text beside it is an unparsable value. Nothing is dropped.
    source : file, glob, table or frame, for messages
    files : how many files the source has
    first_line : line number, in the one text file, of data row 0 (2 after a header); None where rows have no line numbers
    shape : `transactions` (several lines a period are normal and are added up) or `series` (one row per item, location and
        period; a second one is a mistake)
    dialect : name of the recognised dialect, or None
    columns : {our role: the source's column}
    covariates : {name: known or past}, as declared
    tables : covariate files
    items, places : attribute tables with `item` or `location` as key; places may have `latitude` and `longitude` in degrees
    freq : as asked for, or None to infer
    absent : what a period without a row means, as asked for, or None to infer
    dialect_absent : the same as the recognised source means it, or None
    told : sentences that say what was recognised and why, for the user
    left_out : columns of the source that nothing uses
    document : the source's column that numbers invoices or receipts, where lines are transactions and have one
    written : the source's own columns beside `PLACE`, where there is such a number; else None
    """

    frame: pl.LazyFrame
    source: str
    files: int = 1
    first_line: int | None = None
    shape: Literal["transactions", "series"] = "series"
    dialect: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, Kind] = field(default_factory=dict)
    tables: tuple[Covariates, ...] = ()
    items: pl.DataFrame | None = None
    places: pl.DataFrame | None = None
    freq: Frequency | None = None
    absent: Absent | None = None
    dialect_absent: Absent | None = None
    told: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    document: str | None = None
    written: pl.LazyFrame | None = None

"""What a bundle is: the official files of one public data set, which of them holds the sales, and what the others give.

A data set's own file beside this one declares its bundle; `data/folders.py` opens a folder by it, and `docs/sources.md` is made
from it. A quirk of one file belongs to that file's dialect, so that it is also right when the file is named by itself; what needs
several files at once (holidays of the region in which a store lies) is made here, by a piece.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import polars as pl

from shelfcast.data.sources.dialect import Dialect

Frames = Mapping[str, pl.LazyFrame]
"""{official name of a file that is there: its table}"""

Use = Literal["covariates", "attributes", "places"]


@dataclass(frozen=True, kw_only=True)
class File:
    """One official file.

    Attributes
    ----------
    name : as people download it; its ending may differ (parquet, gz, zip ...)
    holds : in words
    also : other names, lower case and without ending; `*` and `?` stand for any characters. Earlier ones are preferred
    needed : nothing can be read without it
    many : all files that match are one table
    telling : nobody else calls a file so, so that it names the data set
    """

    name: str
    holds: str
    also: tuple[str, ...] = ()
    needed: bool = False
    many: bool = False
    telling: bool = False

    @property
    def stems(self) -> tuple[str, ...]:
        """Patterns of the name without its ending, best first."""
        return (stem(self.name), *self.also)

    def rank(self, name: str) -> int | None:
        """How well a file's name fits: 0 is best, None not at all."""
        own = stem(name)
        return next((i for i, pattern in enumerate(self.stems) if fnmatchcase(own, pattern)), None)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One table beside the sales.

    Attributes
    ----------
    use : covariates, attributes (of items or places), or places with coordinates
    of : official names of the files it is made from; the first that is there gives it its name
    says : what it gives, in words
    keys : roles it is joined by
    known, past : its covariates; those that are not there are passed over
    needs : the piece is left out unless these files are there too (default: all of `of`)
    make : from the files' tables, the table, or None where they do not hold it; without `make` the first file is taken as it is
    """

    use: Use
    of: tuple[str, ...]
    says: str
    keys: tuple[str, ...]
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    needs: tuple[str, ...] | None = None
    make: Callable[[Frames], pl.LazyFrame | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The official files of one data set.

    Attributes
    ----------
    name : short
    title : in words
    origin : where the files come from, in words
    sales : official name of the file that holds the sales
    files : all files, those that are not used included
    dialects : one of them must fit the sales table, else the folder is something else
    raw : the same for the sales file by itself, where sales are made from several files
    pieces : tables beside the sales
    known, past : covariates in the sales file itself
    make : from the files' tables, the sales table; None takes the sales file as it is
    notes : quirks that are handled, for the documentation
    example : how to call it, for the documentation
    refuse : why sales cannot be made of it, and what can; None when they can
    """

    name: str
    title: str
    origin: str
    sales: str
    files: tuple[File, ...]
    dialects: tuple[Dialect, ...] = ()
    raw: tuple[Dialect, ...] = ()
    pieces: tuple[Piece, ...] = ()
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    make: Callable[[Frames], pl.LazyFrame] | None = None
    notes: tuple[str, ...] = ()
    example: str = ""
    refuse: str | None = None

    def file(self, name: str) -> File:
        """The file of an official name."""
        return next(f for f in self.files if f.name == name)


def stem(name: str) -> str:
    """A file's name without its endings, in lower case.

    >>> stem("Holidays_Events.csv.gz")
    'holidays_events'
    """
    return name.lower().partition(".")[0]


def column(frame: pl.LazyFrame, name: str) -> str:
    """The column of a lower-case name as the file writes it."""
    return next(c for c in frame.collect_schema().names() if c.strip().lower() == name)


def plain_names(frame: pl.LazyFrame) -> pl.LazyFrame:
    """All columns under lower-case names, for those who join several files."""
    return frame.rename({c: c.strip().lower() for c in frame.collect_schema().names()})


def as_day(frame: pl.LazyFrame, name: str) -> pl.Expr:
    """A column of ISO texts, dates or times as dates."""
    if frame.collect_schema()[name] == pl.String:
        return pl.col(name).str.strip_chars().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return pl.col(name).cast(pl.Date)


def as_number(name: str) -> pl.Expr:
    """A column of texts or numbers as numbers; what is none is null."""
    return pl.col(name).cast(pl.Float64, strict=False)


def as_text(name: str) -> pl.Expr:
    """A column of texts or whole numbers as texts."""
    return pl.col(name).cast(pl.String).str.strip_chars()


def is_true(name: str) -> pl.Expr:
    """A column of truth values or of the words True and False."""
    return pl.col(name).cast(pl.String).str.to_lowercase().is_in(["true", "1", "yes"]).fill_null(False)


def every_day(first: object, last: object) -> pl.LazyFrame:
    """A column `date` with each day from first to last."""
    return pl.LazyFrame({"date": pl.date_range(first, last, "1d", eager=True)})  # type: ignore[call-overload]


def attributes_of(frame: pl.LazyFrame, key: str, wanted: tuple[str, ...]) -> pl.LazyFrame | None:
    """What the lines of the sales say about each item or place; of several spellings the last in the alphabet. None: nothing.

    Parameters
    ----------
    key, wanted : lower-case column names; those that are not there are passed over
    """
    names = {c.strip().lower(): c for c in frame.collect_schema().names()}
    there = [names[w] for w in wanted if w in names]
    own = names[key]
    if not there:
        return None
    return frame.filter(pl.col(own).is_not_null()).group_by(own).agg(pl.col(c).drop_nulls().max() for c in there).sort(own)


def point(text: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Latitude and longitude, degrees, of `POINT (-91.4 40.4)`, or of an address that ends in `(40.4, -91.4)`."""
    number = r"(-?\d+(?:\.\d+)?)"
    well_known = rf"(?i)POINT\s*\({number}\s+{number}\)"
    pair = rf"\({number}\s*,\s*{number}\)"
    latitude = pl.coalesce(text.str.extract(well_known, 2), text.str.extract(pair, 1)).cast(pl.Float64)
    longitude = pl.coalesce(text.str.extract(well_known, 1), text.str.extract(pair, 2)).cast(pl.Float64)
    return latitude, longitude


def is_day_column(name: str) -> bool:
    """Whether a column is one day of a wide table (`d_1`)."""
    return re.fullmatch(r"d_\d+", name.lower()) is not None

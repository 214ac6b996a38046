"""Planners' overrides as a table: who wants what changed, where, when and why. Read and checked here, applied in `override`.

    item, location   which series; an empty cell means all of them. Any other column with values is an attribute of items or
                     places (`category`, `region`): the override holds for the series that have it
    first, last      first and last date, both included; or one `date`
    kind             value    so many units a period
                     factor   so many times the model's forecast
                     add      so many units a period on top of it (less, when negative)
                     lock     exactly so many units a period: the plan is fixed, nothing else moves it
    amount           units a period, or the factor; of several series together it is their total
    who, when, why   the planner, the moment of writing, the reason
    id               optional; without it the row is named by its number
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

import polars as pl

from shelfcast.data.columns.parsing import date_style, number_style, parse_date, parse_number
from shelfcast.data.formats.tables import Source, open_table
from shelfcast.errors import DataError, UnknownNameError, shorten
from shelfcast.names import DATE, ITEM, KEYS, LOCATION
from shelfcast.periods import Frequency

KINDS: Final = ("value", "factor", "add", "lock")
FIRST, LAST, KIND, AMOUNT, WHO, WHEN, WHY, ID = "first", "last", "kind", "amount", "who", "when", "why", "id"
ROW: Final = "row"
MOST_FACTOR: Final = 10.0  # a factor above it is a percentage (120) or a value in the wrong kind far more often than a wish
MOST_UNITS: Final = 1e12  # of one override and period; a larger number is a slip
_COLUMNS: Final = (ITEM, LOCATION, FIRST, LAST, KIND, AMOUNT, WHO, WHEN, WHY, ID)
_ALSO: Final = {
    ITEM: ("sku", "product", "article", "item_id", "product_id"), LOCATION: ("store", "shop", "place", "store_id", "store_nbr"),
    FIRST: ("from", "start", "first_date", "start_date", DATE), LAST: ("to", "until", "end", "last_date", "end_date"),
    KIND: ("type",), AMOUNT: ("value", "units", "number"), WHO: ("author", "planner", "user"),
    WHEN: ("written", "made", "timestamp", "created"), WHY: ("reason", "comment"), ID: ("override",),
}
"""Other words for the columns, taken when the word itself is not there."""
_EVERYTHING: Final = ("", "*", "all")  # in a cell of item or location


@dataclass(frozen=True, repr=False, eq=False)
class Overrides:
    """Checked overrides, in the order of their file.

    Attributes
    ----------
    table : `item`, `location`, the attributes (texts; null is all), `first`, `last`, `when` (Datetime), `kind`, `amount`,
        `who`, `why`, `id`, and `row`, its number in the source
    attributes : the columns that name attributes of items or places
    source : where they come from, for messages
    """

    table: pl.DataFrame
    attributes: tuple[str, ...] = ()
    source: str = "the overrides"

    def __len__(self) -> int:
        return self.table.height

    def __repr__(self) -> str:
        kinds = ", ".join(f"{n:,} {kind}" for kind in KINDS if (n := self.table.filter(pl.col(KIND) == kind).height))
        return f"Overrides: {len(self):,} ({kinds or 'none'}) by {self.table[WHO].n_unique():,} planners"

    @property
    def scope(self) -> tuple[str, ...]:
        """The columns that say which series an override is about."""
        return (*KEYS, *self.attributes)

    def written_before(self, moment: datetime) -> Self:
        """Those that were written before a moment."""
        return replace(self, table=self.table.filter(pl.col(WHEN) < moment))

    def known_at(self, frequency: Frequency, cutoff: int) -> Self:
        """Those that a planner had written when history ended with the period `cutoff`: what a replay of the past may use.

        Days, hours and months end where the next one begins. A week may be dated by its last day, so of its cutoff week only the
        day that dates it counts: an override of the days after it could have seen the week that is to be forecast.
        """
        if frequency.unit == "W":
            return self.written_before(_moment(frequency.date(cutoff)) + timedelta(days=1))
        return self.written_before(_moment(frequency.date(cutoff + 1)))

    def check_names(self, series: pl.DataFrame, *, items: pl.DataFrame | None = None, places: pl.DataFrame | None = None) -> None:
        """Refuse an item, location, attribute or an attribute's value that nothing has; series is all that there are."""
        for name, known in self._known_names(series, items, places).items():
            named = self.table.filter(pl.col(name).is_not_null())
            unknown = named.join(known.to_frame(name), on=name, how="anti").sort(ROW)
            if unknown.height:
                first = unknown.row(0, named=True)
                more = f" ({unknown[name].n_unique():,} names like this)" if unknown[name].n_unique() > 1 else ""
                raise UnknownNameError(name, str(first[name]), known.to_list(),
                                       advice=f"It stands in row {first[ROW]:,} of {self.source}{more}: mend or remove the row.")

    def _known_names(self, series: pl.DataFrame, items: pl.DataFrame | None, places: pl.DataFrame | None) -> dict[str, pl.Series]:
        given = attributes_of(items, places)
        out = {k: texts(series[k]).unique().sort() for k in KEYS}
        for name in self.attributes:
            if name not in given:
                row = self.table.filter(pl.col(name).is_not_null())[ROW].to_list()[:1]
                raise UnknownNameError("attribute of items or places", name, given,
                                       advice=f"Row {row[0] if row else 1} of {self.source} uses it. Give attributes with --static "
                                              f"or --places, or leave the column out.")
            key, table = given[name]
            out[name] = texts(table.join(series.select(key).unique(), on=key, how="semi")[name]).drop_nulls().unique().sort()
        return out


def read_overrides(source: Source) -> Overrides:
    """Read and check a table of overrides: any file or frame that sales can be read from.

    Raises
    ------
    DataError
        If a column is missing, or a row has an unknown kind, no number, a negative value, an absurd factor, unreadable dates,
        an end before its start, nobody who wrote it, or no reason; the first such row is named.
    """
    opened = open_table(source)
    table = _renamed(opened.frame.collect(engine="streaming"), opened.name)
    table = table.drop(ROW, strict=False).with_row_index(ROW, offset=1)
    for name in (FIRST, WHEN, AMOUNT, WHO, WHY, KIND):
        if name not in table.columns:
            others = ", ".join(_ALSO[name])
            raise DataError(f"{opened.name} has no column {name!r} ({others}); it has {_listed(table)}. An override says kind, "
                            f"amount, first and last (or date), who, when and why.")
    if LAST not in table.columns:
        table = table.with_columns(pl.col(FIRST).alias(LAST))
    attributes = tuple(c for c in table.columns if c not in (*_COLUMNS, ROW) and table[c].null_count() < table.height
                       and not (table[c].dtype == pl.String and (table[c].fill_null("").str.strip_chars() == "").all()))
    keys = [pl.lit(None, dtype=pl.String).alias(k) for k in KEYS if k not in table.columns]
    table = table.with_columns(*keys, *([] if ID in table.columns else [pl.lit(None, dtype=pl.String).alias(ID)]))
    table = table.with_columns(*(_blank_is_null(texts(table[c]), everything=c in KEYS) for c in (*KEYS, *attributes, WHO, WHY, ID)),
                               _blank_is_null(texts(table[KIND])).str.to_lowercase())
    table = _with_times(table, opened.name).with_columns(_amounts(table, opened.name))
    table = table.with_columns(pl.coalesce(ID, pl.format("#{}", ROW)))
    _check(table, opened.name)
    return Overrides(table.select(*KEYS, *attributes, FIRST, LAST, KIND, AMOUNT, WHO, WHEN, WHY, ID, ROW), attributes, opened.name)


def attributes_of(items: pl.DataFrame | None, places: pl.DataFrame | None) -> dict[str, tuple[str, pl.DataFrame]]:
    """{attribute: (the key that has it, its table)}; of one name that both have, that of the items."""
    both = ((LOCATION, places), (ITEM, items))
    return {c: (key, table) for key, table in both if table is not None for c in table.columns if c != key}


def texts(column: pl.Series) -> pl.Series:
    """Names as texts: a number is written as a person writes it, 7 and not 7.0."""
    if column.dtype.is_float() and (column.drop_nulls() == column.drop_nulls().floor()).all():
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    return column.cast(pl.String)


# -- checks -----------------------------------------------------------------------------------------------------------


def _check(table: pl.DataFrame, name: str) -> None:
    kind, amount = pl.col(KIND), pl.col(AMOUNT)
    unknown = table.filter(~kind.is_in(KINDS).fill_null(False))
    if unknown.height:
        row = unknown.row(0, named=True)
        raise UnknownNameError("kind of override", str(row[KIND] or ""), KINDS, advice=f"{_place(row, name, unknown.height)}.")
    _refuse(table, amount.is_null(), name, "has no number as its amount", "Write units, or a factor such as 1.2.")
    _refuse(table, (kind != "add") & (amount < 0), name, "has the negative amount {amount:g}",
            "Only kind add may be negative: it takes so many units away.")
    _refuse(table, (kind == "factor") & (amount > MOST_FACTOR), name, "multiplies by {amount:g}",
            f"A factor of 1.2 means 20 % more, and {MOST_FACTOR:g} is the most; for more units give a value.")
    _refuse(table, amount.abs() > MOST_UNITS, name, "has the amount {amount:g}", "Check the number.")
    _refuse(table, pl.col(LAST) < pl.col(FIRST), name, "ends on {last:%Y-%m-%d}, before it begins on {first:%Y-%m-%d}",
            "Exchange the two dates.")
    _refuse(table, pl.col(WHO).is_null(), name, "does not say who wrote it",
            "Every override has a name under who: its value added is measured.")
    _refuse(table, pl.col(WHY).is_null(), name, "does not say why", "Give a reason under why: reasons are measured too.")
    _refuse(table, pl.col(ID).is_duplicated(), name, "has the id {id}, which another row has too", "Give each its own id, or none.")


def _refuse(table: pl.DataFrame, bad: pl.Expr, name: str, what: str, advice: str) -> None:
    found = table.filter(bad.fill_null(False))
    if found.height:
        row = found.row(0, named=True)
        said = what.format(**{k: shorten(v) if isinstance(v, str) else v for k, v in row.items() if v is not None})
        raise DataError(f"{_place(row, name, found.height)} {said}. {advice}")


def _place(row: dict[str, Any], name: str, count: int) -> str:
    others = f" (and {count - 1:,} more)" if count > 1 else ""
    who = ", ".join(f"{k} {shorten(row[k], 40)}" for k in KEYS if row[k] is not None)
    return f"Row {row[ROW]:,} of {name}{others}{f', {who},' if who else ''}"


# -- reading ----------------------------------------------------------------------------------------------------------


def _renamed(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Columns under our names; a word that is ours already wins over other words for it."""
    lower = {c: c.strip().lower() for c in table.columns}
    if len(set(lower.values())) < len(lower):
        raise DataError(f"{name} has two columns that differ only in capitals or blanks: {_listed(table)}. Keep one of them.")
    table = table.rename(lower)
    found = {also: ours for ours, words in _ALSO.items() if ours not in table.columns
             for also in [w for w in words if w in table.columns][:1]}
    return table.rename(found)


def _with_times(table: pl.DataFrame, name: str) -> pl.DataFrame:
    for column in (FIRST, LAST, WHEN):
        kind = table.schema[column]
        read = table[column]
        if kind == pl.String:
            try:
                style = date_style(table.lazy(), column, order=None)
            except DataError as error:
                raise DataError(f"The dates in the column {column!r} of {name} cannot be read: {shorten(error, 160)} Write them as "
                                f"2015-06-13.") from error
            read = table.select(parse_date(column, style)).to_series()
        elif not kind.is_temporal() and kind != pl.Null:
            raise DataError(f"The column {column!r} of {name} holds {kind}, not dates. Write them as 2015-06-13.")
        if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
            read = read.dt.replace_time_zone(None)  # the wall time as written, as for sales
        times = read.cast(pl.Datetime("us")).alias(column)
        if column == LAST:  # an empty end is the day of the start
            blank = _blank_is_null(table[column].cast(pl.String)).is_null()
            times = times.zip_with(~blank, table[FIRST]).alias(LAST)
        if times.null_count():
            at = int(times.is_null().arg_true()[0])
            row = table.row(at, named=True)
            written = table[column][at]
            what = "has no date" if written is None or not str(written).strip() else f"has {shorten(written, 40)!r}, no date,"
            raise DataError(f"{_place(row, name, times.null_count())} {what} under {column}. Write it as 2015-06-13.")
        table = table.with_columns(times)
    return table


def _amounts(table: pl.DataFrame, name: str) -> pl.Series:
    kind = table.schema[AMOUNT]
    if kind == pl.String:
        amounts = table.select(parse_number(AMOUNT, number_style(table.lazy(), [AMOUNT]))).to_series()
    elif kind.is_numeric() or kind == pl.Null:
        amounts = table[AMOUNT].cast(pl.Float64)
    else:
        raise DataError(f"The column {AMOUNT!r} of {name} holds {kind}, not numbers.")
    return pl.select(pl.when(amounts.is_finite()).then(amounts)).to_series().alias(AMOUNT)


def _blank_is_null(column: pl.Series, *, everything: bool = False) -> pl.Series:
    stripped = column.str.strip_chars()
    blank = _EVERYTHING if everything else ("",)
    return stripped.set(stripped.str.to_lowercase().is_in(blank).fill_null(False), None).alias(column.name)


def _listed(table: pl.DataFrame) -> str:
    return ", ".join(shorten(c, 40) for c in table.columns if c != ROW)


def _moment(day: Any) -> datetime:
    return day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)

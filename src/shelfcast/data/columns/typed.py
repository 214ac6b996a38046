"""Columns of a source as expressions of the right type, under our names, with the text beside what was parsed.

A typed source (Parquet, a database) keeps its types. In a text source every column is text: keys that are whole numbers
throughout become numbers, covariates that are numbers become numbers, and one pass over the source decides it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, cast

import polars as pl

from shelfcast.data.columns.parsing import (
    NumberStyle,
    Order,
    date_style,
    is_missing,
    number_style,
    parse_date,
    parse_number,
    parse_share,
)
from shelfcast.data.lines import text_of
from shelfcast.errors import DataError, shorten
from shelfcast.names import AVAILABLE, PROMO, ROLES

Purpose = Literal["key", "date", "number", "value"]

_EPOCH: Final = date(1970, 1, 1).toordinal()
WHOLE: Final = r"^(0|-?[1-9]\d{0,17})$"  # whole numbers that lose nothing: no leading zeros, and they fit 64 bits
_NUMBERLIKE: Final = (r"^\s*[-+(]?\s*(\p{Sc}|[A-Z]{3})?\s*(\d[\d.,'’ \u00a0\u202f]*|\.\d+)([eE][-+]?\d+)?\s*"
                      r"(\p{Sc}|[A-Z]{3})?\)?\s*$")
_SINCE_1970: Final[dict[Literal["s", "ms", "us", "ns"], int]] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SHARES: Final = (PROMO, AVAILABLE)  # yes and no will do
_MOST_ODD: Final = 50_000  # distinct texts looked at
_MOSTLY: Final = 0.9  # share of numbers from which a text column is taken for numbers with mistakes in it


@dataclass
class Typed:
    """Expressions for `select`, and sentences for the user."""

    columns: list[pl.Expr] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def typed_columns(frame: pl.LazyFrame, wanted: Mapping[str, tuple[str, Purpose]], *, untyped: bool,
                  styles: Mapping[str, str] | None = None, texts: bool = True, raw: pl.LazyFrame | None = None) -> Typed:
    """Type the wanted columns.

    Parameters
    ----------
    frame : the source
    wanted : {our name: (column of the source, what for)}
    untyped : every column is text, so types have to be found out
    styles : {our name: dmy, mdy, ymd, comma or point}, from the user
    raw : the source before a dialect reshaped it; keys are looked through there, where rows are fewer
    texts : also give what was written, under `text_of(name)`, for parsed dates and numbers
    """
    schema = frame.collect_schema()
    styles = dict(styles or {})
    purposes: dict[str, tuple[str, Purpose]] = dict(wanted)
    texts_of_kind = {n: (c, p) for n, (c, p) in wanted.items() if p in ("key", "value") and schema[c] == pl.String}
    kinds = _found_kinds(frame, texts_of_kind, untyped, frame if raw is None else raw)
    for name, found in kinds.items():
        if found == "number" and wanted[name][1] == "value":
            purposes[name] = (wanted[name][0], "number")
    out = Typed()
    numeric = [c for c, p in purposes.values() if p == "number" and schema[c] == pl.String]
    decimal = next((s for s in styles.values() if s in ("comma", "point")), None)
    style = NumberStyle()
    if numeric:
        style = number_style(frame, numeric, decimal=None if decimal is None else "," if decimal == "comma" else ".")
        out.told += style.told
        if not style.plain:
            _refuse_words(frame, {n: c for n, (c, _) in purposes.items() if c in numeric and n not in _SHARES}, style)
    for name, (column, purpose) in purposes.items():
        kind = schema[column]
        if purpose in ("key", "value") and (kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration, pl.Time)):
            raise DataError(f"The column {shorten(column)!r} holds values of type {kind}, which cannot be used as {shorten(name)}. "
                            f"Name another, or write one value a row.")
        if purpose == "date":
            _add_date(out, frame, name, column, kind, styles.get(name), texts)
        elif purpose == "number":
            _add_number(out, name, column, kind, style, texts)
        elif kinds.get(name) == "whole" and purpose == "key":
            out.columns.append(pl.col(column).str.strip_chars().cast(pl.Int64, strict=False).alias(name))
        elif kinds.get(name) == "boolean" and purpose == "value":
            true = pl.col(column).str.strip_chars().str.to_lowercase() == "true"
            out.columns.append(pl.when(~is_missing(column)).then(true).alias(name))
        elif kind in (pl.Categorical, pl.Enum):
            out.columns.append(pl.col(column).cast(pl.String).alias(name))
        elif kind.is_float():
            out.columns.append(pl.col(column).fill_nan(None).alias(name))
        else:
            out.columns.append(pl.col(column).alias(name))
    return out


def _refuse_words(frame: pl.LazyFrame, columns: Mapping[str, str], style: NumberStyle) -> None:
    """A column without one number in it is the wrong column."""
    if not columns:
        return
    asked = [parse_number(c, style).is_not_null().any().alias(f"{i} any") for i, c in enumerate(columns.values())]
    words = [pl.col(c).filter(~is_missing(c)).first().alias(f"{i} first") for i, c in enumerate(columns.values())]
    found = frame.select(*asked, *words).collect(engine="streaming").row(0, named=True)
    for i, (name, column) in enumerate(columns.items()):
        if not found[f"{i} any"] and found[f"{i} first"] is not None:
            first = shorten(found[f"{i} first"], 40)
            advice = f"Name the right column: --columns {name}=..." if name in ROLES else "Write numbers there."
            raise DataError(f"No value of the column {shorten(column)!r} is a number; the first: {first!r}. {advice}")


def _found_kinds(frame: pl.LazyFrame, texts: Mapping[str, tuple[str, Purpose]], untyped: bool,
                 raw: pl.LazyFrame) -> dict[str, str]:
    """{name: whole, number, boolean or text} of text columns of an untyped source.

    Keys are few, so all their values are looked at; of covariates, the plain numbers are counted and the rest is looked at.
    """
    kinds: dict[str, str] = {}
    values = []
    before = raw.collect_schema() if untyped else {}
    for name, (column, purpose) in texts.items() if untyped else ():
        if purpose == "key":
            keys = (raw if column in before else frame).select(pl.col(column).str.strip_chars().unique())
            distinct = keys.collect(engine="streaming")[column].drop_nulls()
            kinds[name] = "whole" if len(distinct) and bool(distinct.str.contains(WHOLE).all()) else "text"
        else:
            values.append((name, column))
    if not values:
        return kinds
    asked = [e for name, column in values for e in (
        pl.col(column).count().alias(f"all {name}"),
        pl.col(column).str.strip_chars().cast(pl.Float64, strict=False).count().alias(f"plain {name}"))]
    found = frame.select(asked).collect(engine="streaming").row(0, named=True)
    for name, column in values:
        count, plain = found[f"all {name}"], found[f"plain {name}"]
        kinds[name] = "text" if not count else "number" if plain == count else _kind_of_rest(frame, column, plain)
    return kinds


def _kind_of_rest(frame: pl.LazyFrame, column: str, plain: int) -> str:
    """What a column is whose texts are not all plain numbers."""
    text = pl.col(column).str.strip_chars()
    odd = frame.select(text).filter(text.is_not_null() & text.cast(pl.Float64, strict=False).is_null())
    groups = odd.group_by(column).len().head(_MOST_ODD).collect(engine="streaming")
    groups = groups.filter(~is_missing(column))
    if not groups.height:
        return "number" if plain else "text"
    if not plain and bool(groups[column].str.to_lowercase().is_in(["true", "false"]).all()):
        return "boolean"
    like = int(groups.filter(pl.col(column).str.contains(_NUMBERLIKE))["len"].sum())
    rest = int(groups["len"].sum())
    return "number" if plain + like >= _MOSTLY * (plain + rest) else "text"


def _add_date(out: Typed, frame: pl.LazyFrame, name: str, column: str, kind: pl.DataType, order: str | None, texts: bool) -> None:
    value = pl.col(column)
    if kind == pl.String:
        style = date_style(frame, column, order=cast("Order | None", order))
        out.told += style.told
        out.columns.append(parse_date(column, style).alias(name))
        if texts:
            out.columns.append(_written(column, name))
    elif isinstance(kind, pl.Datetime):
        value = _within_calendar(value, kind)
        if kind.time_zone is not None:
            out.told.append(f"The times in {shorten(column)!r} are of the zone {kind.time_zone}; that zone's wall time is kept and "
                            f"the zone dropped.")
            value = value.dt.replace_time_zone(None)
        out.columns.append(value.alias(name))
    elif kind == pl.Date:
        out.columns.append(_within_calendar(value, kind).alias(name))
    elif kind.is_numeric():
        out.columns.append(_numeric_date(out, frame, column).alias(name))
    else:
        raise DataError(f"The column {shorten(column)!r} holds values of type {kind}, which are no dates. Name another: "
                        f"--columns date=...")


def _within_calendar(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Days from the year 1 to 9999; databases' `infinity` and damaged values lie beyond, where no calendar can write them."""
    units = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
    a_day = units[kind.time_unit] if isinstance(kind, pl.Datetime) else 1
    low, high = date(1, 1, 1).toordinal() - _EPOCH, date(9999, 12, 31).toordinal() - _EPOCH
    if a_day * high >= 2**63:  # nanoseconds do not reach so far
        return value
    return value.to_physical().clip(low * a_day, high * a_day).cast(kind)


def _numeric_date(out: Typed, frame: pl.LazyFrame, column: str) -> pl.Expr:
    """Dates from numbers such as 20150613, years, or seconds since 1970."""
    whole = pl.col(column).cast(pl.Int64, strict=False)
    asked = [whole.min().alias("low"), whole.max().alias("high"), pl.col(column).count().alias("there")]
    low, high, there = frame.select(asked).collect(engine="streaming").row(0)
    if low is None and not there:
        return pl.lit(None, dtype=pl.Date)
    if low is None:
        raise DataError(f"The column {shorten(column)!r} holds numbers beyond any date. Name another: --columns date=...")
    if low >= 19000101 and high <= 21991231:
        out.told.append(f"Numbers such as {low} in {shorten(column)!r} are read as year, month, day.")
        return whole.cast(pl.String).str.to_date("%Y%m%d", strict=False)
    if low >= 1900 and high <= 2199:
        out.told.append(f"Numbers such as {low} in {shorten(column)!r} are read as years.")
        return pl.date(whole, 1, 1)
    for unit, size in _SINCE_1970.items():
        if 3e8 * size <= low and high <= 5e9 * size:  # 1979 to 2128
            out.told.append(f"Numbers such as {low} in {shorten(column)!r} are read as time since 1970 (unit {unit}), UTC.")
            return pl.from_epoch(whole, time_unit=unit).cast(pl.Datetime("us"))
    raise DataError(f"The column {shorten(column)!r} holds the numbers {low} to {high}, which are no dates. "
                    f"Name another (--columns date=...), or write dates as year-month-day.")


def _add_number(out: Typed, name: str, column: str, kind: pl.DataType, style: NumberStyle, texts: bool) -> None:
    if kind == pl.String:
        parse = parse_share if name in _SHARES else parse_number
        out.columns.append(parse(column, style).alias(name))
        if texts:
            out.columns.append(_written(column, name))
    elif kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        # As numpy and pandas write it, nan means that nothing is known.
        out.columns.append(pl.col(column).cast(pl.Float64).fill_nan(None).alias(name))
    else:
        raise DataError(f"The column {shorten(column)!r} holds values of type {kind}, not numbers, so it cannot be the {name}. "
                        f"Name another: --columns {name}=...")


def _written(column: str, name: str) -> pl.Expr:
    """The text as the source has it; null where it says that nothing is known."""
    return pl.when(~is_missing(column)).then(pl.col(column)).alias(text_of(name))


def like_keys(frame: pl.LazyFrame, keys: Mapping[str, pl.DataType], names: Sequence[str]) -> pl.LazyFrame:
    """Give the keys of a second table the types that they have in the sales, so that they join."""
    schema = frame.collect_schema()
    changed = []
    for name in names:
        if name not in keys or schema[name] == keys[name]:
            continue
        value = pl.col(name)
        if keys[name] == pl.String and schema[name].is_float():
            whole = value.cast(pl.Int64, strict=False).cast(pl.String)
            changed.append(pl.when(value == value.round(0)).then(whole).otherwise(value.cast(pl.String)).alias(name))
        else:
            changed.append(value.cast(keys[name], strict=False))
    return frame.with_columns(changed) if changed else frame

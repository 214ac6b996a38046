"""Texts into dates and numbers, by rules that the data decide and the user is told.

Dates: the distinct days of a column are few, so each is read once, in plain Python, and the column is mapped. Whether 03/04 is
March or April is decided by days above 12, else by which reading gives evenly spaced dates, else it is an error.
Numbers: the decimal mark is decided by the texts that have one reading only, pooled over the columns of a source.
What cannot be parsed becomes null; the caller keeps the text beside it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

import polars as pl

from shelfcast.errors import DataError, shorten

Order = Literal["dmy", "mdy", "ymd"]
MOST_DAYS: Final = 100_000  # distinct texts of a date column; 270 years of days
_SAMPLE: Final = 50_000  # texts looked at for the decimal mark

MISSING: Final = ("", "na", "n/a", "#n/a", "null", "none", "nan", "nat", "-", "--", "?", ".", "#value!",
                  "#ref!", "#div/0!", "無", "无")
"""Texts, in lower case, that say `nothing is known` in a column of dates or numbers."""
_MISSING_AS_WRITTEN: Final = sorted({w for m in MISSING for w in (m, m.upper(), m.title(), m.capitalize(), "NaN", "NaT")})

_MONTHS: Final = {
    **{m: i for i, names in enumerate((
        "jan january januar janvier enero gennaio", "feb february februar février fevrier febrero febbraio",
        "mar march märz maerz mrz mars marzo", "apr april avril abril aprile", "may mai mayo maggio",
        "jun june juni juin junio giugno",
        "jul july juli juillet julio luglio", "aug august août aout agosto", "sep sept september septembre septiembre settembre",
        "oct october okt oktober octobre octubre ottobre", "nov november novembre noviembre",
        "dec december dez dezember décembre decembre dic diciembre dicembre"), start=1) for m in names.split()},
}
_TIME: Final = r"(?:[T ]+|日\s*)(\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[AaPp]\.?[Mm]\.?)?)\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?\s*$"

_YES: Final = ["true", "t", "yes", "y", "ja", "j", "x", "oui", "si", "sí", "是", "有"]
_NO: Final = ["false", "f", "no", "n", "nein", "non", "否", "没有"]
_COMMA_IS_DECIMAL: Final = (
    r"[-+]?\d*,(\d{1,2}|\d{4,})", r"[-+]?0,\d+", r"[-+]?\d{4,},\d+", r"[-+]?\d{1,3}([.' ]\d{3})+,\d*",
    r"[-+]?\d{1,3}(\.\d{3}){2,}",
)
_COMMA_IS_THOUSAND: Final = (r"[-+]?\d{1,3}([,' ]\d{3})+\.\d*", r"[-+]?\d{1,3}(,\d{3}){2,}")


@dataclass(frozen=True)
class DateStyle:
    """How a column of texts is read as dates.

    Attributes
    ----------
    days : {day as written: the day}
    order : which of day and month stands first, where that had to be decided
    times : times of day other than midnight occur
    clocked : some carry a time of day, be it midnight
    told : sentences for the user
    """

    days: Mapping[str, date]
    order: Order | None = None
    times: bool = False
    clocked: bool = False
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberStyle:
    """How texts are read as numbers: the decimal mark, and whether anything but plain numbers occurs."""

    decimal: Literal[".", ","] = "."
    plain: bool = False
    told: tuple[str, ...] = ()


# -- dates ------------------------------------------------------------------------------------------------------------


def date_style(frame: pl.LazyFrame, column: str, *, order: Order | None = None) -> DateStyle:
    """Look at all distinct days of a text column and decide how to read them.

    Raises
    ------
    DataError
        If they can be read day first and month first alike, or are no dates.
    """
    text = pl.col(column).str.strip_chars()
    clocked = bool(frame.select(pl.col(column).str.contains(":", literal=True).any()).collect(engine="streaming").item())
    shape = _time_shape(text) if clocked else pl.lit(None, dtype=pl.String)
    day = _day_part(text) if clocked else text  # the pattern costs more than all else, and most dates have no time of day
    found = (frame.select(day.alias("day"), shape.alias("shape")).drop_nulls("day").unique()
             .head(MOST_DAYS * 4).collect(engine="streaming"))
    days = [d for d in found["day"].unique().sort().to_list() if d.lower() not in MISSING]
    if len(days) > MOST_DAYS:
        raise DataError(f"The column {column!r} holds more than {MOST_DAYS:,} different values such as {shorten(days[0], 30)!r}: "
                        f"these are no dates. Name the date column: --columns date=...")
    shapes = [s for s in found["shape"].drop_nulls().unique().to_list() if s]
    times = any(re.search(r"[1-9]", s.partition("|")[0]) for s in shapes)
    zoned = any(s.partition("|")[2] for s in shapes)
    decided, told = _order(days, column, order)
    parsed = {d: p for d in days if (p := parse_day_text(d, decided)) is not None}
    if days and not parsed:
        raise DataError(f"No value of the column {column!r} is a date; the first: {shorten(days[0], 40)!r}. "
                        f"Name the date column: --columns date=...")
    if zoned:
        told.append(f"The times in {column!r} carry a zone; the wall time as written was kept and the zone dropped.")
    return DateStyle(parsed, decided, times, clocked, tuple(told))


def parse_date(column: str, style: DateStyle) -> pl.Expr:
    """The dates of a text column (Date; Datetime in microseconds when times of day occur)."""
    text = pl.col(column).str.strip_chars()
    if not style.days:
        return pl.lit(None, dtype=pl.Date)
    written = _day_part(text) if style.clocked else text
    day = written.replace_strict(pl.Series(list(style.days)), pl.Series(list(style.days.values()), dtype=pl.Date),
                                         default=None, return_dtype=pl.Date)
    if not style.times:
        return day
    clock = text.str.extract(_TIME, 1).str.to_uppercase().str.replace_all(r"[.](M)|M[.]", "M").str.replace(",", ".", literal=True)
    forms = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p")
    parsed = pl.coalesce(clock.str.to_time(f, strict=False) for f in forms)
    since = parsed.cast(pl.Duration("us")).fill_null(pl.duration())
    return day.cast(pl.Datetime("us")) + since


def _day_part(text: pl.Expr) -> pl.Expr:
    """The text without its time of day."""
    return text.str.replace(_TIME, "")


def _time_shape(text: pl.Expr) -> pl.Expr:
    """The digits of the time of day, all but zero as 1, and the zone: few distinct values."""
    clock = text.str.extract(_TIME, 1).str.replace_all(r"[1-9]", "1").fill_null("")
    return clock + "|" + text.str.extract(_TIME, 2).fill_null("")


def parse_day_text(text: str, order: Order | None) -> date | None:
    """One day; None where it is none.

    >>> parse_day_text("13.6.2015", "dmy"), parse_day_text("6/13/15", "mdy"), parse_day_text("13 June 2015", None)
    (datetime.date(2015, 6, 13), datetime.date(2015, 6, 13), datetime.date(2015, 6, 13))
    """
    text = text.strip()
    try:
        if (m := re.fullmatch(r"(\d{4})([-/. ])(\d{1,2})\2(\d{1,2})\.?", text)
                or re.fullmatch(r"(\d{4})(年)\s*(\d{1,2})月\s*(\d{1,2})日?", text)):
            return date(int(m[1]), int(m[3]), int(m[4]))
        if m := re.fullmatch(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4}|\d{2})", text):
            first, second, year = int(m[1]), int(m[3]), _year(m[4])
            if order == "ymd" and len(m[4]) == 2:
                return date(_year(m[1]), second, int(m[4]))
            day, month = (second, first) if order == "mdy" else (first, second)
            return date(year, month, day)
        if re.fullmatch(r"\d{8}", text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        if m := re.fullmatch(r"(?:[^\W\d]+,?\s+)?(\d{1,2})[.]?[-/ ]?\s*([^\W\d]{3,9})[.,]?[-/ ]?\s*(\d{4}|\d{2})", text):
            return date(_year(m[3]), _MONTHS[m[2].lower()], int(m[1]))
        if m := re.fullmatch(r"(?:[^\W\d]+,\s+)?([^\W\d]{3,9})[.]?[- ]\s*(\d{1,2})(?:st|nd|rd|th)?,?[- ]\s*(\d{4}|\d{2})", text):
            return date(_year(m[3]), _MONTHS[m[1].lower()], int(m[2]))
        if m := re.fullmatch(r"(\d{4})[-/.](\d{1,2})", text) or re.fullmatch(r"(\d{4})年(\d{1,2})月", text):
            return date(int(m[1]), int(m[2]), 1)
        if m := re.fullmatch(r"(\d{1,2})[-/.](\d{4})", text):
            return date(int(m[2]), int(m[1]), 1)
        if m := re.fullmatch(r"([^\W\d]{3,9})[.]?[- ](\d{4})", text):
            return date(int(m[2]), _MONTHS[m[1].lower()], 1)
        if m := re.fullmatch(r"(\d{4})-?W(\d{1,2})(?:-?([1-7]))?", text):
            return date.fromisocalendar(int(m[1]), int(m[2]), int(m[3] or 1))
        if m := re.fullmatch(r"(\d{4})[- ]?Q([1-4])", text):
            return date(int(m[1]), int(m[2]) * 3 - 2, 1)
        if re.fullmatch(r"(19|20|21)\d{2}", text):
            return date(int(text), 1, 1)
        if re.fullmatch(r"\d{10}|\d{13}", text):
            return (datetime(1970, 1, 1) + timedelta(seconds=int(text[:10]))).date()
    except (ValueError, KeyError, OverflowError):
        return None
    return None


def _year(text: str) -> int:
    year = int(text)
    return year if len(text) == 4 else year + (2000 if year < 70 else 1900)


def _order(days: Sequence[str], column: str, given: Order | None) -> tuple[Order | None, list[str]]:
    """Whether the day or the month stands first."""
    numeric = [m for d in days if (m := re.fullmatch(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4}|\d{2})", d.strip()))]
    if not numeric or given is not None:
        return given, []
    example = numeric[0].group(0)
    change = f"To change that write --columns date={column}:dmy, {column}:mdy or {column}:ymd."
    above = [sum(int(m[g]) > 12 for m in numeric) for g in (1, 3)]
    if above[0] > above[1]:
        return "dmy", [f"Dates such as {example} in {column!r} are read day first."]
    if above[1] > above[0]:
        return "mdy", [f"Dates such as {example} in {column!r} are read month first."]
    if any(m[2] == "." for m in numeric):
        return "dmy", [f"Dates such as {example} in {column!r} are read day first, as dots suggest. {change}"]
    uneven: dict[Order, float] = {o: _unevenness(parse_day_text(m.group(0), o) for m in numeric) for o in ("dmy", "mdy")}
    better: Order = "dmy" if uneven["dmy"] < uneven["mdy"] else "mdy"
    if len(numeric) > 2 and uneven[better] * 3 <= max(uneven.values()):
        word = "day" if better == "dmy" else "month"
        return better, [f"Dates such as {example} in {column!r} are read {word} first, which spaces them evenly. {change}"]
    raise DataError(f"Dates such as {example} in the column {column!r} can be read day first and month first alike. "
                    f"Say which: --columns date={column}:dmy or --columns date={column}:mdy")


def _unevenness(days: Iterable[date | None]) -> float:
    """Longest gap over shortest gap of the sorted distinct days; months count as even."""
    numbers = sorted({d.toordinal() for d in days if d is not None})
    gaps = [b - a for a, b in pairwise(numbers)]
    if not gaps:
        return 1.0
    low = 28 if 28 <= min(gaps) <= 31 else min(gaps)
    high = 28 if 28 <= max(gaps) <= 31 else max(gaps)
    return high / low


# -- numbers ----------------------------------------------------------------------------------------------------------


def number_style(frame: pl.LazyFrame, columns: Sequence[str], *, decimal: Literal[".", ","] | None = None) -> NumberStyle:
    """Decide the decimal mark of text columns of numbers, pooled: one source is written in one way.

    Raises
    ------
    DataError
        If a comma may divide thousands and decimals alike.
    """
    leftovers = pl.concat([frame.select(pl.col(c).alias("text")).filter(_leftover("text")) for c in columns])
    texts = leftovers.unique().head(_SAMPLE).collect(engine="streaming")["text"].to_list()
    odd = [t for t in (_core(t) for t in texts) if re.search(r"\d", t)]
    if decimal is None and not odd:
        return NumberStyle(plain=not texts)
    if decimal is not None:
        return NumberStyle(decimal)
    comma = sum(any(re.fullmatch(p, t) for p in _COMMA_IS_DECIMAL) for t in odd)
    point = sum(any(re.fullmatch(p, t) for p in _COMMA_IS_THOUSAND) for t in odd)
    thousands = [t for t in odd if re.fullmatch(r"[-+]?\d{1,3},\d{3}", t)]
    if comma > point:
        return NumberStyle(",", told=(f"Numbers are written with a decimal comma (for example {_example(odd, ',')}).",))
    if point or not thousands:
        return NumberStyle(".")
    change = f"--columns sales={columns[0]}:comma for decimals, --columns sales={columns[0]}:point for thousands"
    small, large = _plain_sizes(frame, columns)
    if large:
        return NumberStyle(",", told=(f"Commas as in {thousands[0]} are read as decimal commas, for numbers above a thousand are "
                                      f"written without one. To change that write {change}.",))
    if small:
        return NumberStyle(".", told=(f"Commas as in {thousands[0]} are read as thousands, for only numbers above a thousand have "
                                      f"one. To change that write {change}.",))
    raise DataError(f"The comma in numbers such as {thousands[0]} in {shorten(columns[0])!r} may divide thousands or decimals. "
                    f"Say which: {change}.")


def _plain_sizes(frame: pl.LazyFrame, columns: Sequence[str]) -> tuple[bool, bool]:
    """Whether numbers without any comma are found below, and above, a thousand."""
    plain = [pl.col(c).str.strip_chars().cast(pl.Float64, strict=False).abs() for c in columns]
    small = pl.any_horizontal([(p < 1000).any() for p in plain])
    large = pl.any_horizontal([(p >= 1000).any() for p in plain])
    found = frame.select(small.alias("small"), large.alias("large")).collect(engine="streaming").row(0)
    return bool(found[0]), bool(found[1])


def parse_number(column: str, style: NumberStyle) -> pl.Expr:
    """The numbers (Float64) of a text column; null where there is none."""
    text = pl.col(column).str.strip_chars()
    if style.plain:
        return text.cast(pl.Float64, strict=False)
    # currency signs and codes, blanks of all kinds, apostrophes between thousands
    core = text.str.replace_all(r"[\s\u00a0\u202f\u2009'’_]", "")
    core = core.str.replace(r"^([-+(]?)(?:[A-Z]{1,3}\$?|\p{Sc}|kr\.?|zł|Fr\.?)", "${1}")
    core = core.str.replace(r"(?:[A-Z]{3}|\p{Sc}|kr\.?|zł|元|円|,-)$", "")
    core = core.str.replace(r"^\((.*)\)$", "-${1}").str.replace(r"^([^-].*)-$", "-${1}").str.replace("−", "-", literal=True)
    mark, group = (",", ".") if style.decimal == "," else (".", ",")
    m, g = re.escape(mark), re.escape(group)
    grouped = core.str.contains(rf"^[-+]?\d{{1,3}}({g}\d{{3}})+({m}\d*)?$")
    simple = core.str.contains(rf"^[-+]?(\d+{m}?\d*|{m}\d+)([eE][-+]?\d+)?$")
    clean = pl.when(grouped).then(core.str.replace_all(group, "", literal=True)).when(simple).then(core)
    number = clean.str.replace(mark, ".", literal=True).cast(pl.Float64, strict=False)
    words = text.str.to_lowercase().str.contains(r"^[-+]?(inf|infinity|nan)$")
    return pl.when(words).then(text.cast(pl.Float64, strict=False)).otherwise(number)


def parse_share(column: str, style: NumberStyle) -> pl.Expr:
    """Numbers, and yes and no as 1 and 0: promotions and availability are written either way."""
    word = pl.col(column).str.strip_chars().str.to_lowercase()
    truth = pl.when(word.is_in(_YES)).then(1.0).when(word.is_in(_NO)).then(0.0)
    return pl.coalesce(parse_number(column, style), truth)


def is_missing(column: str) -> pl.Expr:
    """True where a text says that nothing is known."""
    return pl.col(column).is_null() | pl.col(column).str.strip_chars().is_in(_MISSING_AS_WRITTEN)


def _leftover(column: str) -> pl.Expr:
    """Texts that are no plain number."""
    return ~is_missing(column) & pl.col(column).str.strip_chars().cast(pl.Float64, strict=False).is_null()


def _core(text: str) -> str:
    core = re.sub(r"[^\d.,'\-+ \u00a0\u202f’]", "", text.strip()).replace("\u00a0", " ").replace("\u202f", " ").replace("’", "'")
    return core.strip(" '").strip()


def _example(texts: Sequence[str], mark: str) -> str:
    return next((t for t in texts if mark in t), texts[0])

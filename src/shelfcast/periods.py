"""Calendar periods as whole numbers.

A panel's time axis is a run of integers, so that gaps, lags and horizons are arithmetic. `Frequency` turns dates into
period numbers and back, in polars and in numpy.

    unit  period number                               date of a period
    h     hours since 1970-01-01 00:00                its first minute (a datetime)
    D     days since 1970-01-01                       the day
    W     weeks since the anchor weekday near 1970    the anchor weekday (W-FRI: Fridays)
    M     12 x year + month - 1                       the first of the month
    Q     4 x year + quarter - 1                      the first of the quarter
    Y     year                                        the first of January

A week runs for seven days from its anchor weekday on. Data that are already weekly keep the weekday they use, whether
it marks the start or the end of their week; summed transactions use Monday, the start.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Self

import numpy as np
import polars as pl

from shelfcast.errors import SettingsError, shorten

_WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_UNITS: Final = {
    "h": ("h", "hourly", 24), "D": ("D", "daily", 7), "W": ("W", "weekly", 52), "M": ("M", "monthly", 12),
    "Q": ("Q", "quarterly", 4), "Y": ("Y", "yearly", 1),
}
_OTHER_SPELLINGS: Final = {
    "H": "h", "HOURLY": "h", "DAILY": "D", "DAY": "D", "B": "D", "WEEKLY": "W", "WEEK": "W", "MS": "M", "ME": "M",
    "MONTHLY": "M", "MONTH": "M", "QS": "Q", "QE": "Q", "QUARTERLY": "Q", "A": "Y", "AS": "Y", "YS": "Y", "YE": "Y",
    "YEARLY": "Y", "YEAR": "Y", "1D": "D", "7D": "W", "1W": "W", "1H": "h",
}
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True)
class Frequency:
    """How long a period is.

    Attributes
    ----------
    unit : one of h, D, W, M, Q, Y
    anchor : weekday on which a week begins, 0 Monday to 6 Sunday; 0 for every other unit

    Examples
    --------
    >>> Frequency.parse("W-FRI")
    Frequency.parse('W-FRI')
    >>> Frequency.parse("W").number(date(2024, 1, 3)) == Frequency.parse("W").number(date(2024, 1, 1))
    True
    """

    unit: str
    anchor: int = 0

    def __post_init__(self) -> None:
        if self.unit not in _UNITS or not 0 <= self.anchor <= 6 or (self.anchor and self.unit != "W"):
            raise SettingsError(f"No frequency has unit {self.unit!r} and anchor {self.anchor!r}.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `D`, `W`, `W-FRI`, `M` ... or a common other spelling (`MS`, `weekly`, `1D`)."""
        head, _, day = text.strip().partition("-")
        unit = head if head in _UNITS else _OTHER_SPELLINGS.get(head.upper(), head.upper())
        if unit not in _UNITS or (day and (unit != "W" or day.upper() not in _WEEKDAYS)):
            raise SettingsError(f"No frequency is called {shorten(text)!r}. Known: h (hour), D (day), W (week; W-FRI for weeks "
                                f"that carry a Friday), M (month), Q (quarter), Y (year).")
        return cls(unit, _WEEKDAYS.index(day.upper()) if day else 0)

    def __str__(self) -> str:
        return f"W-{_WEEKDAYS[self.anchor]}" if self.unit == "W" else self.unit

    def __repr__(self) -> str:
        return f"Frequency.parse({str(self)!r})"

    @property
    def word(self) -> str:
        """`daily`, `weekly` ..."""
        return _UNITS[self.unit][1]

    @property
    def noun(self) -> str:
        """`day`, `week` ..."""
        return {"h": "hour", "D": "day", "W": "week", "M": "month", "Q": "quarter", "Y": "year"}[self.unit]

    @property
    def season(self) -> int:
        """Periods in the season that a naive forecast repeats: 24 hours, 7 days, 52 weeks, 12 months, 4 quarters, 1 year."""
        return _UNITS[self.unit][2]

    @property
    def per_year(self) -> float:
        """Periods in a year, on average."""
        return {"h": 8766.0, "D": 365.25, "W": 52.1786, "M": 12.0, "Q": 4.0, "Y": 1.0}[self.unit]

    def number_of(self, column: pl.Expr) -> pl.Expr:
        """Period number (Int32) of a Date or Datetime expression."""
        if self.unit == "h":
            return (column.cast(pl.Datetime("us")).dt.epoch("us") // 3_600_000_000).cast(pl.Int32)
        if self.unit in "DW":
            days = column.cast(pl.Date).cast(pl.Int32)
            return days if self.unit == "D" else ((days + _EPOCH_WEEKDAY - self.anchor) // 7).cast(pl.Int32)
        year = column.dt.year().cast(pl.Int32)
        if self.unit == "M":
            return year * 12 + column.dt.month().cast(pl.Int32) - 1
        return year * 4 + column.dt.quarter().cast(pl.Int32) - 1 if self.unit == "Q" else year

    def date_of(self, column: pl.Expr) -> pl.Expr:
        """Date (Datetime for hours) of a period number expression; the inverse of `number_of`."""
        number = column.cast(pl.Int32)
        if self.unit == "h":
            return (number.cast(pl.Int64) * 3_600_000_000).cast(pl.Datetime("us"))
        if self.unit == "D":
            return number.cast(pl.Date)
        if self.unit == "W":
            return (number * 7 - _EPOCH_WEEKDAY + self.anchor).cast(pl.Date)
        if self.unit == "M":
            return pl.date(number // 12, number % 12 + 1, 1)
        return pl.date(number // 4, number % 4 * 3 + 1, 1) if self.unit == "Q" else pl.date(number, 1, 1)

    def number(self, day: date | datetime | str) -> int:
        """Period number of one date."""
        if isinstance(day, str):
            day = parse_day(day)
        moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)
        return int(pl.select(self.number_of(pl.lit(moment))).item())

    def dates(self, numbers: np.ndarray) -> pl.Series:
        """Dates of an integer array of period numbers, named `date`."""
        frame = pl.DataFrame({"date": np.asarray(numbers, dtype=np.int32)})
        return frame.select(self.date_of(pl.col("date")))["date"]

    def date(self, number: int) -> date | datetime:
        """Date of one period number."""
        return self.dates(np.array([number]))[0]


def parse_day(text: str) -> date:
    """A day as the user writes it: 2015-06-13.

    >>> parse_day("2015-06-13")
    datetime.date(2015, 6, 13)
    """
    try:
        return datetime.fromisoformat(text.strip()).date()
    except ValueError as error:
        raise SettingsError(f"{shorten(text)!r} is not a date. Write it as year-month-day, for example 2015-06-13.") from error


def infer_frequency(dates: pl.Series) -> Frequency:
    """The frequency that a set of dates shows.

    Weekly if all fall on one weekday, monthly if all are first (or all last) days of months, hourly if full hours of
    several times of day occur, else daily. One date alone is taken for daily.

    Parameters
    ----------
    dates : Date or Datetime series; repeats and nulls do not matter
    """
    distinct = dates.drop_nulls().unique().sort()
    if distinct.dtype != pl.Date:
        hours = distinct.dt.hour().n_unique()
        whole = bool((distinct.dt.truncate("1h") == distinct).all())
        if len(distinct) > 2 and hours > 1 and whole:
            return Frequency("h")
        distinct = distinct.dt.date().unique().sort()
    if len(distinct) < 2:
        return Frequency("D")
    first_of_month = bool((distinct.dt.day() == 1).all())
    last_of_month = bool((distinct == distinct.dt.month_end()).all())
    if first_of_month or last_of_month:
        months = set(distinct.dt.month().unique())
        if len(months) == 1 and len(distinct) > 1:
            return Frequency("Y")
        quarterly = len({m % 3 for m in months}) == 1 and len(distinct) > 2
        return Frequency("Q" if quarterly else "M")
    weekdays = distinct.dt.weekday().unique()
    if len(weekdays) == 1:
        return Frequency("W", int(weekdays[0]) - 1)
    return Frequency("D")

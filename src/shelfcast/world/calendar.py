"""The calendar of a made-up country: closed holidays, moving feasts, shopping events, paydays.

Written here in full rather than taken from a holiday package, so that the demo chain can never change under an update.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np


@dataclass(frozen=True)
class Feast:
    """One kind of holiday or shopping event.

    Attributes
    ----------
    name : what it is called
    closed : shops are shut on the day
    strength : usual effect on the log of demand at its peak, before a category's own taste
    lead : days over which people buy ahead (time constant)
    after : share of the strength by which demand dips right after
    """

    name: str
    closed: bool
    strength: float
    lead: float
    after: float


FEASTS: Final = (
    Feast("New Year", True, 0.20, 2.0, 0.3), Feast("Valentine", False, 0.12, 2.0, 0.0),
    Feast("Good Friday", True, 0.15, 2.0, 0.0), Feast("Easter", True, 0.35, 6.0, 0.5),
    Feast("Easter Monday", True, 0.05, 1.0, 0.2), Feast("Labour Day", True, 0.15, 1.5, 0.2),
    Feast("Mothers Day", False, 0.12, 2.5, 0.2), Feast("Ascension", True, 0.15, 1.5, 0.2),
    Feast("Whit Monday", True, 0.12, 1.5, 0.2), Feast("National Day", True, 0.15, 1.5, 0.2),
    Feast("Halloween", False, 0.10, 3.0, 0.3), Feast("Black Friday", False, 0.25, 1.5, 0.3),
    Feast("Christmas", True, 0.55, 9.0, 0.5), Feast("Second Christmas Day", True, 0.05, 1.0, 0.2),
)
_AHEAD: Final = 35  # days before a feast from which anything is felt
_AFTER_DAYS: Final = 5.0  # time constant of the dip after it


def easter(year: int) -> date:
    """Easter Sunday in the Gregorian calendar (the anonymous computus; Meeus, Astronomical Algorithms, 1991, ch. 8).

    >>> easter(2024), easter(2000), easter(1961)
    (datetime.date(2024, 3, 31), datetime.date(2000, 4, 23), datetime.date(1961, 4, 2))
    """
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    f = (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def feasts_of(year: int) -> tuple[date, ...]:
    """The dates of `FEASTS` in a year, in their order."""
    sunday = easter(year)
    return (date(year, 1, 1), date(year, 2, 14), sunday - timedelta(2), sunday, sunday + timedelta(1), date(year, 5, 1),
            _weekday_of(year, 5, 6, 2), sunday + timedelta(39), sunday + timedelta(50), date(year, 10, 3),
            date(year, 10, 31), _weekday_of(year, 11, 3, 4) + timedelta(1), date(year, 12, 25), date(year, 12, 26))


def _weekday_of(year: int, month: int, weekday: int, nth: int) -> date:
    """The nth Monday (0) to Sunday (6) of a month."""
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (nth - 1))


@dataclass(frozen=True)
class Days:
    """What the calendar says of T days in a row.

    Attributes
    ----------
    first : the first day
    weekday : (T,), 0 Monday to 6 Sunday
    year_angle : (T,), radians since the first of January, once round in a year
    feast : (T,), position in `FEASTS` of the feast on that day, -1 where there is none
    closed : (T,) bool, a holiday on which shops are shut
    near_feast : (H, T), felt strength of each feast, 1 at its peak: exp(-k / lead) for k days ahead,
        -after * exp(-(k - 1) / 5) for k days past it
    since_payday : (T,), days since the last working day of a month
    """

    first: date
    weekday: np.ndarray
    year_angle: np.ndarray
    feast: np.ndarray
    closed: np.ndarray
    near_feast: np.ndarray
    since_payday: np.ndarray


def calendar(first: date, count: int) -> Days:
    """The calendar of `count` days from `first` on."""
    dates = [first + timedelta(i) for i in range(count)]
    years = range(first.year - 1, dates[-1].year + 2)
    feast = np.full(count, -1)
    near = np.zeros((len(FEASTS), count))
    for year in years:
        for kind, day in enumerate(feasts_of(year)):
            at = (day - first).days
            if 0 <= at < count:
                feast[at] = kind
            ahead = at - np.arange(count)
            near[kind] += _felt(FEASTS[kind], ahead)
    paydays = np.array([(_payday(y, m) - first).days for y in years for m in range(1, 13)])
    position = np.arange(count)
    last = paydays[np.searchsorted(paydays, position, side="right") - 1]
    angle = np.array([2 * np.pi * (d.timetuple().tm_yday - 1) / 365.25 for d in dates])
    return Days(first, np.array([d.weekday() for d in dates]), angle, feast,
                np.array([k >= 0 and FEASTS[k].closed for k in feast]), near, (position - last).astype(np.float64))


def _felt(feast: Feast, ahead: np.ndarray) -> np.ndarray:
    before = np.where((ahead >= 0) & (ahead <= _AHEAD), np.exp(-np.abs(ahead) / feast.lead), 0.0)
    past = -ahead
    soon = (past >= 1) & (past <= _AHEAD)
    after = np.where(soon, -feast.after * np.exp(-(np.where(soon, past, 1) - 1) / _AFTER_DAYS), 0.0)
    return before + after


def _payday(year: int, month: int) -> date:
    """The last Monday-to-Friday day of a month."""
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(1)
    return last - timedelta(max(0, last.weekday() - 4))

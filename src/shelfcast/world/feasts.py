"""Feasts of drawn worlds: a country keeps some of them, each with an identity, its own dates and its own effect by category.

Dates follow the civil calendar, since that is what a forecaster can look up; where `feasts_of` of the demo chain keeps fourteen,
a drawn country picks from more, moving ones included, and may have feasts that nobody has heard of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from shelfcast.world.calendar import easter

EPOCH: Final = date(1970, 1, 1).toordinal()  # day numbers count from here, as in `periods`


@dataclass(frozen=True)
class Feast:
    """A kind of feast.

    Attributes
    ----------
    name : what it is called
    day : its date in a year
    kept : chance that a country keeps it
    closed : chance that shops are shut on it, where it is kept
    strength : usual effect on the log of demand at its peak
    lead : usual time constant of buying ahead, days
    """

    name: str
    day: Callable[[int], date]
    kept: float
    closed: float
    strength: float
    lead: float


def _fixed(month: int, day: int) -> Callable[[int], date]:
    return lambda year: date(year, month, day)


def _from_easter(days: int) -> Callable[[int], date]:
    return lambda year: easter(year) + timedelta(days)


def _nth(month: int, weekday: int, nth: int, after: int = 0) -> Callable[[int], date]:
    """The nth weekday (0 Monday) of a month, counted from its end where negative, and `after` days on."""
    def day(year: int) -> date:
        if nth > 0:
            first = date(year, month, 1)
            return first + timedelta((weekday - first.weekday()) % 7 + 7 * (nth - 1) + after)
        last = date(year + month // 12, month % 12 + 1, 1) - timedelta(1)
        return last - timedelta((last.weekday() - weekday) % 7 + after)
    return day


def _lunar(start: date, back: float) -> Callable[[int], date]:
    """A feast of a lunar year, `back` days earlier each year, as the month of fasting is; kept to one date in a civil year."""
    return lambda year: date(year, 1, 1) + timedelta(int((start.timetuple().tm_yday - back * (year - start.year)) % 365))


POOL: Final = (
    Feast("New Year", _fixed(1, 1), 1.0, 0.85, 0.15, 2.0), Feast("Epiphany", _fixed(1, 6), 0.25, 0.9, 0.1, 1.5),
    Feast("Big Game", _nth(2, 6, 1), 0.3, 0.0, 0.25, 3.0), Feast("Valentine", _fixed(2, 14), 0.7, 0.0, 0.3, 3.0),
    Feast("Carnival", _from_easter(-48), 0.2, 0.2, 0.25, 4.0), Feast("Good Friday", _from_easter(-2), 0.6, 0.9, 0.15, 2.0),
    Feast("Easter", _from_easter(0), 0.9, 0.85, 0.4, 6.0), Feast("Easter Monday", _from_easter(1), 0.6, 0.9, 0.05, 1.0),
    Feast("Labour Day in May", _fixed(5, 1), 0.55, 0.9, 0.12, 1.5), Feast("Mothers Day", _nth(5, 6, 2), 0.7, 0.0, 0.25, 3.0),
    Feast("Memorial Day", _nth(5, 0, -1), 0.35, 0.1, 0.2, 3.0), Feast("Ascension", _from_easter(39), 0.5, 0.9, 0.12, 1.5),
    Feast("Whit Monday", _from_easter(50), 0.5, 0.9, 0.12, 1.5), Feast("Corpus Christi", _from_easter(60), 0.3, 0.8, 0.1, 1.5),
    Feast("Fathers Day", _nth(6, 6, 3), 0.4, 0.0, 0.2, 3.0), Feast("Midsummer", _fixed(6, 24), 0.2, 0.5, 0.2, 2.0),
    Feast("Independence Day", _fixed(7, 4), 0.35, 0.2, 0.3, 4.0), Feast("Assumption", _fixed(8, 15), 0.3, 0.8, 0.1, 1.5),
    Feast("Back to School", _nth(8, 0, -1), 0.6, 0.0, 0.3, 14.0), Feast("Labor Day", _nth(9, 0, 1), 0.35, 0.1, 0.2, 3.0),
    Feast("National Day", _fixed(10, 3), 0.4, 0.9, 0.12, 1.5), Feast("Halloween", _fixed(10, 31), 0.6, 0.0, 0.3, 7.0),
    Feast("All Saints", _fixed(11, 1), 0.35, 0.9, 0.1, 1.5), Feast("Singles Day", _fixed(11, 11), 0.2, 0.0, 0.4, 2.0),
    Feast("Thanksgiving", _nth(11, 3, 4), 0.45, 0.35, 0.45, 5.0), Feast("Black Friday", _nth(11, 3, 4, 1), 0.65, 0.0, 0.45, 2.0),
    Feast("Saint Nicholas", _fixed(12, 5), 0.3, 0.0, 0.2, 6.0), Feast("Christmas", _fixed(12, 25), 0.95, 0.95, 0.7, 10.0),
    Feast("Second Christmas Day", _fixed(12, 26), 0.6, 0.8, 0.05, 1.0), Feast("New Years Eve", _fixed(12, 31), 0.7, 0.1, 0.3, 2.0),
    Feast("Fasting Month", _lunar(date(2015, 6, 18), 10.88), 0.12, 0.0, 0.3, 10.0),
    Feast("Feast of Lights", _lunar(date(2015, 11, 11), 10.88), 0.1, 0.3, 0.4, 8.0),
)


@dataclass(frozen=True)
class Feasts:
    """What a country keeps over T days.

    Attributes
    ----------
    names : (H,)
    shut : bool (H,), public holidays on which shops are shut
    dates : for each, its day numbers since 1970
    lead, strength : (H,), days; log
    first, days : day number of column 0, T
    """

    names: tuple[str, ...]
    shut: np.ndarray
    dates: tuple[np.ndarray, ...]
    lead: np.ndarray
    strength: np.ndarray
    first: int
    days: int

    def on(self, which: np.ndarray | None = None) -> np.ndarray:
        """int (T,), position of the feast on a day, -1 where there is none."""
        out = np.full(self.days, -1)
        for h, days in enumerate(self.dates):
            if which is None or which[h]:
                at = days - self.first
                out[at[(at >= 0) & (at < self.days)]] = h
        return out

    def felt(self, *, lead: np.ndarray | None = None, after: float = 0.3, relief: float = 5.0) -> np.ndarray:
        """(H, T), 1 at the peak: exp(-k / lead) for k days ahead, -after * exp(-(k - 1) / relief) for k days past.

        Where shops are shut on the day, what would be bought is bought the day before: the peak is there.
        """
        lead = self.lead if lead is None else lead
        out = np.zeros((len(self.names), self.days))
        day = np.arange(self.days)
        for h, days in enumerate(self.dates):
            ahead = (days - self.first)[:, None] - day[None, :] - float(self.shut[h])
            # The time constants are at most a few weeks; what is left after ten of them is nothing.
            before = np.where(ahead >= 0, np.exp(-np.abs(ahead) / lead[h]), 0.0)
            past = np.where(ahead < -float(self.shut[h]), -after * np.exp(np.minimum(ahead + 1.0, 0.0) / relief), 0.0)
            out[h] = (np.where(ahead <= 60, before, 0.0) + np.where(ahead >= -40, past, 0.0)).sum(axis=0)
        return out


def draw_feasts(rng: np.random.Generator, first: int, days: int, *, strange: float = 0.15) -> Feasts:
    """A country's feasts over a stretch of days.

    Parameters
    ----------
    first : day number of the first day
    strange : chance that the country also keeps one to three feasts on dates of its own
    """
    years = range(date.fromordinal(EPOCH + first).year - 1, date.fromordinal(EPOCH + first + days).year + 2)
    kept = [f for f in POOL if rng.random() < f.kept]
    names = [f.name for f in kept]
    shut = [rng.random() < f.closed for f in kept]
    dates = [np.array([f.day(y).toordinal() - EPOCH for y in years]) for f in kept]
    lead = [f.lead * np.exp(0.4 * rng.standard_normal()) for f in kept]
    strength = [f.strength * np.exp(0.4 * rng.standard_normal()) for f in kept]
    if rng.random() < strange:
        for i in range(int(rng.integers(1, 4))):
            names.append(f"Feast {i + 1}")
            shut.append(bool(rng.random() < 0.3))
            yearday = int(rng.integers(0, 365))
            dates.append(np.array([date(y, 1, 1).toordinal() - EPOCH + yearday for y in years]))
            lead.append(float(np.exp(rng.uniform(0.0, 2.5))))
            strength.append(float(rng.uniform(0.1, 0.9)))
    return Feasts(tuple(names), np.array(shut, dtype=bool), tuple(dates), np.array(lead), np.array(strength), first, days)


def draw_tastes(rng: np.random.Generator, feasts: Feasts, groups: int, *, spread: float = 0.5, none: float = 0.35,
                strong: float = 0.15) -> np.ndarray:
    """(G, H), log effect of each feast at its peak on each category: none, about its usual strength, or a great deal."""
    shape = (groups, len(feasts.names))
    taste = feasts.strength * np.exp(spread * rng.standard_normal(shape))
    kind = rng.random(shape)
    taste = np.where(kind < none, 0.0, taste)
    taste = np.where(kind > 1.0 - strong * feasts.strength, rng.uniform(0.6, 2.0, shape), taste)
    return np.where(rng.random(shape) < 0.08, -0.5 * taste, taste)

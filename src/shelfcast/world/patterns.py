"""Courses of time that several regimes share: seasons, trends, noise with memory, promotion weeks, school holidays.

Every function takes a stream of chance first and returns effects on the log of expected sales unless it says otherwise.
"""

from typing import Final

import numpy as np
from scipy.signal import lfilter

_EARLIEST: Final = 10_957  # the first of January 2000, as a day number
_LATEST: Final = 20_450  # the end of 2025


def draw_first(rng: np.random.Generator, days: int) -> int:
    """A first day, so that the last lies between 2000 and 2025."""
    return int(rng.integers(_EARLIEST, _LATEST - days))


def draw_week(rng: np.random.Generator, weeks: int) -> tuple[int, int, int]:
    """A first week: its number, the first day that it stands for, and the weekday that its dates fall on.

    A date stands for the seven days from it on, or for those that end with it: users write either.
    """
    anchor = int(rng.choice([0, 0, 3, 4, 5, 6]))
    number = (draw_first(rng, 7 * weeks) + 3 - anchor) // 7  # 1970-01-01 was a Thursday
    return number, 7 * number - 3 + anchor - (6 if rng.random() < 0.5 else 0), anchor


def year_angle(first: int, days: int) -> np.ndarray:
    """(T,), radians since the first of January of days numbered from `first`, once round in 365.2425 days."""
    # 719,528 days lie between the first of January of year 0 and 1970.
    return 2 * np.pi * ((np.arange(first, first + days) + 719_528) % 365.2425) / 365.2425


def memory(rng: np.random.Generator, shape: tuple[int, int], persistence: float) -> np.ndarray:
    """A stationary AR(1) of unit variance for each row: s[t] = phi * s[t - 1] + sqrt(1 - phi^2) * e[t]."""
    noise = rng.standard_normal(shape, dtype=np.float32).astype(np.float64)
    noise[:, 1:] *= np.sqrt(1.0 - persistence**2)
    return lfilter([1.0], [1.0, -persistence], noise, axis=1)


def swings(rng: np.random.Generator, angle: np.ndarray, groups: int, *, most: float) -> np.ndarray:
    """(G, T), smooth yearly seasons: one to three harmonics of falling size; up to `most` on the log."""
    size = most * rng.random((groups, 1)) ** 2
    out = np.zeros((groups, len(angle)))
    for k in (1, 2, 3):
        weight = size / k * rng.uniform(0.2, 1.0, (groups, 1))
        out += weight * np.cos(k * angle[None, :] - 2 * np.pi * rng.random((groups, 1)))
    return out


def windows(rng: np.random.Generator, angle: np.ndarray, groups: int, *, chance: float, most: float) -> np.ndarray:
    """(G, T), seasons with a beginning and an end, such as a garden's: a plateau with soft shoulders at a time of the year."""
    centre, width = 2 * np.pi * rng.random((groups, 1)), rng.uniform(0.15, 1.2, (groups, 1))
    shoulder = rng.uniform(0.05, 0.35, (groups, 1))
    away = np.abs((angle[None, :] - centre + np.pi) % (2 * np.pi) - np.pi)
    plateau = 1.0 / (1.0 + np.exp(np.clip((away - width) / shoulder, -30, 30)))
    size = np.where(rng.random((groups, 1)) < chance, rng.uniform(0.2, most, (groups, 1)), 0.0)
    return size * (plateau - plateau.mean(axis=1, keepdims=True))


def returning(rng: np.random.Generator, first: int, steps: int, groups: int, *, period: float, size: float) -> np.ndarray:
    """(G, T), a course that nobody can explain and that comes back each year: smoothed noise by position in the year.

    Parameters
    ----------
    period : steps in a year
    """
    slots = round(period)
    noise = memory(rng, (groups, 3 * slots), float(rng.choice([0.0, 0.6, 0.9])))[:, slots:2 * slots]
    return size * noise[:, (np.floor((first + np.arange(steps)) % period)).astype(int) % slots]


def own_peaks(rng: np.random.Generator, angle: np.ndarray, groups: int, *, share: float) -> np.ndarray:
    """(G, T), one to three peaks of some days or weeks at dates of a category's own: the season opens, a fair is held."""
    out = np.zeros((groups, len(angle)))
    for _ in range(3):
        away = np.abs((angle[None, :] - 2 * np.pi * rng.random((groups, 1)) + np.pi) % (2 * np.pi) - np.pi)
        width = 2 * np.pi * np.exp(rng.uniform(np.log(2.0), np.log(14.0), (groups, 1))) / 365.25
        size = np.where(rng.random((groups, 1)) < share, rng.uniform(0.2, 1.6, (groups, 1)), 0.0)
        out += size * np.exp(-0.5 * (away / width) ** 2)
    return out


def trends(rng: np.random.Generator, rows: int, steps: int, *, per_year: float, size: float) -> np.ndarray:
    """(N, T), piecewise straight growth with up to two bends; `size` is the standard deviation of log growth a year."""
    years = np.arange(steps) / per_year
    out = size * rng.standard_normal((rows, 1)) * years[None, :]
    for _ in range(2):
        bend = rng.random((rows, 1)) * years[-1]
        turn = np.where(rng.random((rows, 1)) < 0.4, size * rng.standard_normal((rows, 1)), 0.0)
        out += turn * np.clip(years[None, :] - bend, 0.0, None)
    return out - out.mean(axis=1, keepdims=True)


def shifts(rng: np.random.Generator, rows: int, steps: int, *, share: float, size: float) -> np.ndarray:
    """(N, T), a lasting step of the level at some time for a share of the rows: a competitor opens, a shop is rebuilt."""
    at = rng.integers(int(0.05 * steps), max(int(0.97 * steps), int(0.05 * steps) + 1), (rows, 1))
    step = np.where(rng.random((rows, 1)) < share, size * rng.standard_normal((rows, 1)), 0.0)
    return step * (np.arange(steps)[None, :] >= at)


def crisis(rng: np.random.Generator, rows: int, steps: int, *, per_year: float) -> np.ndarray:
    """(N, T), something that befalls everybody at once, each in its own measure, and wears off or stays: a pandemic, a war."""
    at = int(rng.uniform(0.15, 0.95) * steps)
    since = np.clip(np.arange(steps) - at, 0, None) / per_year
    course = (np.arange(steps) >= at) * (np.exp(-since / rng.uniform(0.05, 1.0)) * rng.uniform(0.3, 1.0) + rng.uniform(0.0, 0.4))
    common = rng.normal(0.0, 0.4)
    return (common + rng.uniform(0.1, 0.5) * rng.standard_normal((rows, 1))) * course[None, :]


def weekdays(rng: np.random.Generator, rows: int, *, spread: float) -> np.ndarray:
    """(N, 7), log weekday profiles that share a chain's shape; Monday first; their exponentials have mean 1."""
    shape = np.array([0.0, -0.05, -0.05, 0.0, 0.12, 0.2, 0.0]) * rng.uniform(-0.5, 2.5) + rng.normal(0.0, 0.12, 7)
    effect = shape + spread * rng.standard_normal((rows, 7))
    return effect - np.log(np.exp(effect).mean(axis=1, keepdims=True))


def promotion_weeks(rng: np.random.Generator, first: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    """A chain's promotion calendar: whole weeks, Monday to Friday or Saturday or all seven, every second or third week or so.

    Returns
    -------
    active : bool (T,)
    since : int (T,), days since the promotion began; 0 on its first day and outside promotions
    """
    day = np.arange(first, first + days)
    weekday, week = (day + 3) % 7, (day + 3) // 7  # 1970-01-01 was a Thursday
    weeks = np.arange(week[0], week[-1] + 1)
    cadence = int(rng.choice([2, 2, 2, 3, 3, 4, 5]))
    chosen = (weeks + int(rng.integers(cadence))) % cadence == 0
    slips = rng.random(len(weeks)) < rng.choice([0.0, 0.05, 0.15, 0.3])
    chosen = np.where(slips, np.roll(chosen, 1), chosen)
    if rng.random() < 0.2:  # no rhythm at all
        chosen = rng.random(len(weeks)) < rng.uniform(0.1, 0.5)
    length = int(rng.choice([5, 5, 5, 6, 6, 7]))
    active = chosen[week - week[0]] & (weekday < length)
    return active, np.where(active, weekday, 0)


def school_holidays(rng: np.random.Generator, first: int, days: int, regions: int) -> np.ndarray:
    """bool (R, T), weeks off at much the same time of the year, staggered by region and moved a little from year to year."""
    day = np.arange(first, first + days)
    year, within = np.divmod(day + 719_528, 365.2425)
    year, within = year.astype(int), within.astype(int)
    out = np.zeros((regions, days), dtype=bool)
    years = year - year.min()  # positions
    for start, length, stagger in ((45, 7, 20), (85, 14, 10), (185, 42, 35), (285, 12, 15), (355, 14, 3)):
        if rng.random() < 0.85:
            moved = rng.integers(-5, 6, years.max() + 1)[years]
            begin = start + rng.integers(-stagger, stagger + 1, regions)[:, None] + moved[None, :]
            out |= (within[None, :] - begin) % 365 < length + rng.integers(-3, 4)
    return out

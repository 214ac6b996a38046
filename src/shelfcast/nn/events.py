"""Made-up regional events laid over real sales, so that a network sees more of them than happened in its few years.

Two or three years hold a dozen events that moved demand in a region. From so few a network cannot learn how an event starts
somewhere, reaches its neighbours later and weaker, and dies away; nor that what happened last spring was not the season. The
events drawn here follow the law of the simulated retailer (`world.shocks`), with lifetimes, speeds and reaches drawn from wide
ranges, since nobody knows those of a real chain.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from shelfcast.features.globe import great_circle
from shelfcast.features.places import Places
from shelfcast.world.shocks import travelling_shocks

A_YEAR: Final = 4  # events
LIFE: Final = (1 / 26, 1 / 4)  # years, time constant of an event's going; drawn evenly in logs
RISE: Final = 0.01  # years, of its coming
CROSSING: Final = (0.002, 0.12)  # years in which it crosses the usual distance between two places; evenly in logs
REACH: Final = (0.5, 8.0)  # usual distances over which it falls by e; evenly in logs
_CELLS: Final = 4_000_000  # event x place x period worked out at once


def made_up_events(places: Places, which: np.ndarray, periods: int, *, per_year: float, size: float,
                   draw: np.random.Generator) -> np.ndarray:
    """What drawn events do to log demand at some places: float (K, periods).

    An event is felt at a place whose coordinates are not known as it is where it starts: as if it happened to everybody.

    Parameters
    ----------
    which : int (K,), positions of places; -1 for none
    per_year : periods of a year
    size : standard deviation of the effect, in logs, where an event starts
    """
    life_longest = LIFE[1] * per_year
    count = int(draw.poisson(A_YEAR * (periods + life_longest) / per_year))
    out = np.zeros((len(which), periods))
    if not count or not len(which):
        return out
    spots = places.spots_at(which)
    known = np.flatnonzero(np.isfinite(spots).all(axis=1))
    origin = draw.choice(known, count) if len(known) else np.zeros(count, dtype=np.int64)
    away = np.nan_to_num(great_circle(spots[origin][:, None], spots[None, :]), nan=0.0)  # (S, K)
    usual = max(float(np.median(away)), 1.0)
    start = draw.uniform(-life_longest, periods, count)
    life = _between(draw, LIFE, count) * per_year
    speed = usual / np.maximum(_between(draw, CROSSING, count) * per_year, 1e-6)
    strength = size * draw.standard_normal(count)[:, None] * np.exp(-away / (usual * _between(draw, REACH, count))[:, None])
    step = max(1, _CELLS // max(out.size, 1))
    for first in range(0, count, step):
        part = slice(first, first + step)
        course = travelling_shocks(away[part], periods, start=start[part], size=np.ones(len(start[part])), speed=speed[part],
                                   life=life[part], reach=np.inf, rise=max(RISE * per_year, 0.3))
        out += np.einsum("sp,spt->pt", strength[part], course)
    return out


def _between(draw: np.random.Generator, ends: Sequence[float], count: int) -> np.ndarray:
    low, high = np.log(ends)
    return np.asarray(np.exp(draw.uniform(low, high, count)))

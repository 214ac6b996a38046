"""Which places are alike: correlation of what each sold beyond its usual and beyond what all together sold.

Starts from an index of sales by place and period (actual over usual sales, see `pooled`), and reads it up to a given column
only. Correlations of a few places are made when asked for; a table of all pairs never is.
"""

from typing import Final

import numpy as np
from scipy.signal import lfilter

from shelfcast.errors import SettingsError
from shelfcast.features.globe import NOBODY, nearest

PULL: Final = 300.0  # common periods that the guess "not alike" is worth where `usual_pull` was not asked; see docs/log.md
MOST_PULL: Final = 1e5  # as good as "nobody is alike", and still a number
MOST_COMPARED: Final = 1000  # places from which the pull is learned: half a million pairs
LEAST_COMMON: Final = 8  # periods: fewer say nothing
WIDEST: Final = 3.0  # residuals are clipped at so many times their usual size: one strike must not make two shops alike
_SAME: Final = 1e-6  # a place's index equals that of all together, up to rounding: nothing was known of the place
_TINY: Final = 1e-12
_LEAST_BEFORE: Final = 3.0  # periods, faded, without which nothing can be said of the drift
_ROUNDS: Final = 4  # of clipping and measuring; more change nothing that counts
_ROWS: Final = 1024  # places whose correlations with all others are held at once


def residuals(index: np.ndarray, *, upto: int | None = None, half: float) -> np.ndarray:
    """What is a place's own: log of its index over that of all together, less its drift, in units of its usual size.

    A column is made of itself and the columns before it: relations as of any origin are those of the columns up to it.

    Parameters
    ----------
    index : float (G + 1, T), `Pooled.group_index[LOCATION]`; the last row is all places together
    upto : columns read, from the first on; all when None
    half : half-life in periods of the mean of what was before, which is the drift

    Returns
    -------
    float32 (G + 1, upto), 0 where nothing is known; the last row, for a place never seen, is 0 throughout
    """
    if index.ndim != 2 or len(index) < 1:
        raise SettingsError(f"An index has a row a place and one for all together; got an array of shape {index.shape}.")
    if half <= 0:
        raise SettingsError(f"A drift has a half-life of more than 0 periods; got {half:g}.")
    past = np.asarray(index[:, :upto], dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.log(past / past[-1])
    there = np.isfinite(own) & (np.abs(own) > _SAME)
    level = np.where(there, own, 0.0)
    before = _fading_sum(there.astype(float), half)
    there_too = there & (before >= min(_LEAST_BEFORE, half))
    count = np.maximum(np.cumsum(there_too, axis=1), 1)
    most = np.inf
    for _ in range(_ROUNDS):  # what is out of all measure must move neither the drift nor the size by which it is measured
        drift = _fading_sum(level, half) / np.maximum(before, _TINY)
        rest = np.where(there_too, np.clip(own - drift, -most, most), 0.0)
        size = np.sqrt(np.cumsum(rest**2, axis=1) / count)
        most = WIDEST * size
        level = np.where(there_too, drift + np.clip(rest, -most, most), level)
    return np.where(size > _TINY, rest / np.maximum(size, _TINY), 0.0).astype(np.float32)


def _fading_sum(values: np.ndarray, half: float) -> np.ndarray:
    """(N, T): sum of the columns before, each counting half as much as that `half` columns later."""
    keep = 0.5 ** (1.0 / half)
    return lfilter([0.0, keep], [1.0, -keep], values, axis=1)


def residual_correlation(rows: np.ndarray, others: np.ndarray | None = None, *, pull: float = PULL) -> np.ndarray:
    """Correlation of places' residuals over the periods that both know, shrunk towards 0.

    r * n / (n + pull), with n the number of common periods; 0 where there are fewer than 8.

    Parameters
    ----------
    rows : float (..., P, T), as `residuals` makes them; exactly 0 where nothing is known
    others : float (..., O, T); the same as `rows` when None
    pull : common periods that the guess 0 is worth

    Returns
    -------
    float32 (..., P, O), within -1 to 1; the diagonal of a place with itself is shrunk like any other pair
    """
    others = rows if others is None else others
    there, theirs = (rows != 0).astype(np.float32), (others != 0).astype(np.float32)
    turned = np.swapaxes(others, -1, -2)
    common = there @ np.swapaxes(theirs, -1, -2)
    size = (rows**2 @ np.swapaxes(theirs, -1, -2)) * (there @ turned**2)
    enough = (common >= LEAST_COMMON) & (size > _TINY)
    found = (rows @ turned) / np.sqrt(np.where(enough, size, 1.0))
    return np.where(enough, np.clip(found, -1.0, 1.0) * common / np.maximum(common + pull, 1.0), 0.0).astype(np.float32)


def usual_pull(rows: np.ndarray) -> float:
    """How many common periods the guess "not alike" is worth, by how much of a correlation comes again.

    Correlations of the first half of the past, r1, are held against those of the second, r2: the slope of r2 on r1 through 0 is
    what is to be believed of r1, n / (n + pull) with n its common periods. It holds what noise explains, and what changed.

    Parameters
    ----------
    rows : float (P, T), as `residuals` makes them; of more than 1,000 places every so-many-th is taken

    Returns
    -------
    from 0 (all of it came again) to 100,000 (nothing did, or nothing can be compared)
    """
    rows = rows[(rows != 0).any(axis=1)]
    rows = rows[:: max(1, -(-len(rows) // MOST_COMPARED))]
    middle = rows.shape[1] // 2
    early, late = rows[:, :middle], rows[:, middle:]
    there = (early != 0).astype(np.float32)
    first, then, common = (np.triu(table, 1).astype(np.float64) for table in (
        residual_correlation(early, pull=0.0), residual_correlation(late, pull=0.0), there @ there.T))
    common[then == 0] = 0.0  # a pair that cannot be held against itself
    first[common == 0] = 0.0
    square = (first**2).sum()
    again = (first * then).sum() / square if square > _TINY else 0.0
    if again <= 0:
        return MOST_PULL
    periods = float((common * first**2).sum() / square)
    return float(np.clip(periods * (1 / again - 1), 0.0, MOST_PULL))


def near_edges(spots: np.ndarray, most: int, *, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A graph of nearest neighbours, each pair in both directions once.

    Parameters
    ----------
    spots : float (P, 2), degrees
    most : neighbours each place asks for
    scale : km over which the weight falls to 1/e

    Returns
    -------
    int64 (2, E), from and to, sorted; float32 (E,), exp(-km / scale)
    """
    index, km = nearest(spots, most)
    start, column = np.nonzero(index != NOBODY)
    return _both_ways(start, index[start, column], np.exp(-km[start, column] / scale), len(spots))


def alike_edges(rows: np.ndarray, *, least: float, most: int, pull: float = PULL) -> tuple[np.ndarray, np.ndarray]:
    """A graph of places that are alike: each with at most `most` others whose shrunk correlation is at least `least`.

    Parameters
    ----------
    rows : float (P, T), as `residuals` makes them
    least : correlation, above 0 and below 1
    most : others each place asks for

    Returns
    -------
    int64 (2, E), from and to, sorted; float32 (E,), correlation
    """
    if not 0 < least < 1 or most < 1:
        raise SettingsError(f"Places are joined from a correlation between 0 and 1 on, with at least 1 other; got {least:g} and "
                            f"{most}.")
    starts, ends, weights = [], [], []
    some = min(most, len(rows) - 1)
    for first in range(0, len(rows) if some >= 1 else 0, _ROWS):
        part = np.arange(first, min(first + _ROWS, len(rows)))
        found = residual_correlation(rows[part], rows, pull=pull)
        found[np.arange(len(part)), part] = 0.0
        best = np.argpartition(-found, some - 1, axis=1)[:, :some]
        value = np.take_along_axis(found, best, axis=1)
        row, column = np.nonzero(value >= least)
        starts.append(part[row])
        ends.append(best[row, column])
        weights.append(value[row, column])
    if not starts:
        return np.zeros((2, 0), dtype=np.int64), np.zeros(0, dtype=np.float32)
    return _both_ways(np.concatenate(starts), np.concatenate(ends), np.concatenate(weights), len(rows))


def _both_ways(start: np.ndarray, end: np.ndarray, weight: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    pair = np.concatenate([start * size + end, end * size + start])
    pair, first = np.unique(pair, return_index=True)
    return np.stack([pair // size, pair % size]).astype(np.int64), np.tile(weight, 2)[first].astype(np.float32)

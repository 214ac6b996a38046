"""Which places are alike: correlation of what each sold beyond its usual and beyond what all together sold.

Starts from an index of sales by place and period (actual over usual sales, see `pooled`), and reads it up to a given column
only. Correlations of a few places are made when asked for; a table of all pairs never is.
"""

from typing import Final

import numpy as np

from shelfcast.errors import SettingsError
from shelfcast.features.globe import NOBODY, nearest
from shelfcast.features.history import Sums

PULL: Final = 30.0  # common periods that the guess "not alike" is worth; see docs/log.md
LEAST_COMMON: Final = 8  # periods: fewer say nothing
WIDEST: Final = 3.0  # residuals are clipped at so many times their usual size: one strike must not make two shops alike
_SAME: Final = 1e-6  # a place's index equals that of all together, up to rounding: nothing was known of the place
_TINY: Final = 1e-12
_ROUNDS: Final = 4  # of clipping and measuring; more change nothing that counts
_ROWS: Final = 1024  # places whose correlations with all others are held at once


def residuals(index: np.ndarray, *, upto: int | None = None, half: int) -> np.ndarray:
    """What is a place's own: log of its index over that of all together, without slow drift, in units of its usual size.

    Parameters
    ----------
    index : float (G + 1, T), `Pooled.group_index[LOCATION]`; the last row is all places together
    upto : columns read, from the first on; all when None. Later ones may hold anything
    half : periods on either side whose mean is taken for the drift

    Returns
    -------
    float32 (G + 1, upto), 0 where nothing is known; the last row, for a place never seen, is 0 throughout
    """
    if index.ndim != 2 or len(index) < 1:
        raise SettingsError(f"An index has a row a place and one for all together; got an array of shape {index.shape}.")
    if half < 1:
        raise SettingsError(f"Drift is a mean over at least 1 period on either side; got {half}.")
    past = np.asarray(index[:, :upto], dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.log(past / past[-1])
    there = np.isfinite(own) & (np.abs(own) > _SAME)
    own[~there] = 0.0
    at, level = np.arange(own.shape[1]), own
    count = np.maximum(Sums(there.astype(float)).window(at - half, at + half), 1)
    periods, most = np.maximum(there.sum(1), 1)[:, None], np.inf
    for _ in range(_ROUNDS):  # what is out of all measure must move neither the drift nor the size by which it is measured
        drift = Sums(level).window(at - half, at + half) / count
        rest = np.clip(np.where(there, own - drift, 0.0), -most, most)
        size = np.sqrt((rest**2).sum(1, keepdims=True) / periods)
        most = WIDEST * size
        level = np.where(there, drift + np.clip(rest, -most, most), 0.0)
    return np.where(size > _TINY, rest / np.maximum(size, _TINY), 0.0).astype(np.float32)


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
    return np.where(enough, np.clip(found, -1.0, 1.0) * common / (common + pull), 0.0).astype(np.float32)


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

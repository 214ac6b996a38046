"""What a series' own past says as of an origin: its level, its rhythm, its noise.

Takes arrays of one block of series and the position of the origin; looks at nothing after it.
Multiplicative and safe for zeros: every estimate is a ratio of sums, never a mean of logarithms.
"""

from dataclasses import dataclass

import numpy as np

from shelfcast.periods import Frequency

TINY = 1e-9
BLIND = 0.15  # weight of origins that do not know last year, where the forecast does: what is learned there is another task
USUAL_WORTH = 10.0  # observations that the usual noise is worth where a series' own is measured
EFFECT_VARIANCE = 0.02  # how much true effects of a cell differ between series (squared share of the level)


@dataclass(frozen=True)
class Rhythm:
    """Lengths of time, in periods, that suit a frequency.

    Attributes
    ----------
    halves : half-lives of the short, middle and long level
    context : how much history features look at
    recent : length of the window for shares of zeros and local means
    year : periods in a year, whole weeks
    season : lag of the naive error
    smooth : half width of the window around the day of last year
    """

    halves: tuple[float, float, float]
    context: int
    recent: int
    year: int
    season: int
    smooth: int

    @classmethod
    def of(cls, frequency: Frequency) -> "Rhythm":
        """The rhythm of a frequency."""
        return cls(*{
            "h": ((24.0, 168.0, 1344.0), 24 * 420, 24 * 28, 8736, 24, 1),
            "D": ((7.0, 28.0, 112.0), 800, 56, 364, 7, 3),
            "W": ((2.0, 6.0, 26.0), 170, 26, 52, 1, 0),
            "M": ((1.0, 3.0, 12.0), 49, 12, 12, 1, 0),
            "Q": ((1.0, 2.0, 6.0), 25, 6, 4, 1, 0),
            "Y": ((1.0, 2.0, 4.0), 12, 4, 1, 1, 0),
        }[frequency.unit])


class Sums:
    """Sums over windows of the last axis in constant time; nan counts as nothing.

    Parameters
    ----------
    values : float (N, T)
    """

    def __init__(self, values: np.ndarray) -> None:
        self._sums = np.zeros((values.shape[0], values.shape[1] + 1))
        np.cumsum(np.nan_to_num(values), axis=1, out=self._sums[:, 1:])

    def window(self, first: np.ndarray | int, last: np.ndarray | int) -> np.ndarray:
        """(N, K): sums of columns first..last, both inside, clipped to what there is; an empty window sums to 0.

        Parameters
        ----------
        first, last : int, or int (K,)
        """
        width = self._sums.shape[1] - 1
        lo = np.clip(np.atleast_1d(first), 0, width)
        hi = np.clip(np.atleast_1d(last) + 1, 0, width)
        return self._sums[:, np.maximum(hi, lo)] - self._sums[:, lo]


def relative_to_local_level(sales: np.ndarray, half: int) -> np.ndarray:
    """(N, T): sales over their mean in the window of `half` periods on either side (cut off at the ends); nan where unknown."""
    known = np.isfinite(sales)
    at = np.arange(sales.shape[1])
    total, count = Sums(sales).window(at - half, at + half), Sums(known.astype(float)).window(at - half, at + half)
    level = total / np.maximum(count, 1)
    return np.where(known & (level > TINY), np.maximum(sales, 0) / np.maximum(level, TINY), np.nan)


@dataclass(frozen=True)
class CellSums:
    """Sums of relative sales by series and cell (weekday x flags).

    Attributes
    ----------
    total, count : float (N, K)
    noise : float (N,), squared coefficient of variation around the cells' means
    freedom : float (N,), how often a cell was seen again: what `noise` was measured on
    """

    total: np.ndarray
    count: np.ndarray
    noise: np.ndarray
    freedom: np.ndarray


def cell_sums(relative: np.ndarray, cells: np.ndarray, size: int, *, usual_noise: float) -> CellSums:
    """Add relative sales (N, T) up by cell (N, T) of which there are `size`; noise is shrunk to the usual one."""
    n, width = relative.shape
    known = np.isfinite(relative)
    flat = (cells[:, :width] + np.arange(n)[:, None] * size)[known]
    values = relative[known]
    count = np.bincount(flat, minlength=n * size).reshape(n, size).astype(float)
    total = np.bincount(flat, weights=values, minlength=n * size).reshape(n, size)
    square = np.bincount(np.nonzero(known)[0], weights=values * values, minlength=n)
    freedom = np.maximum(count.sum(1) - (count > 0).sum(1), 0)
    inside = np.maximum(square - (total**2 / np.maximum(count, 1)).sum(1), 0)
    return CellSums(total, count, (inside + USUAL_WORTH * usual_noise) / (freedom + USUAL_WORTH), freedom)


def shrunk_effects(sums: CellSums, prior: np.ndarray) -> np.ndarray:
    """(N, K) cell effects: the series' own, shrunk towards `prior` (N, K) or (K,) by as much as noise asks for.

    The weight of the prior, in observations, is the noise over the variance of true effects (James and Stein's ratio). A cell
    that was never seen has the prior's effect, however small the noise.
    """
    weight = (sums.noise / EFFECT_VARIANCE)[:, None]
    evidence = sums.count + weight
    effects = np.where(evidence > TINY, (sums.total + weight * prior) / np.maximum(evidence, TINY), prior)
    return np.maximum(effects, 0.01)


@dataclass(frozen=True)
class Levels:
    """Levels of sales as of an origin, free of cell effects, in units a period.

    Attributes
    ----------
    short, middle, long : float (N,)
    middle_year_ago, long_year_ago : float (N,), levels one year before the origin; nan without history there
    weight_year_ago : float (N,), periods of history behind it
    """

    short: np.ndarray
    middle: np.ndarray
    long: np.ndarray
    middle_year_ago: np.ndarray
    long_year_ago: np.ndarray
    weight_year_ago: np.ndarray


def levels(sales: np.ndarray, effects: np.ndarray, rhythm: Rhythm, *, noise: np.ndarray, fallback: np.ndarray) -> Levels:
    """Recent-weighted levels: weighted sales over weighted effects, each shrunk to the next longer, the longest to `fallback`.

    Parameters
    ----------
    sales, effects : float (N, T) up to the origin; sales nan where unknown
    noise, fallback : float (N,)
    """
    width = sales.shape[1]
    age = np.arange(width)[::-1]
    weights = [0.5 ** (age / half) for half in rhythm.halves]
    past_year = np.maximum(age - rhythm.year, 0)
    weights += [np.where(age >= rhythm.year, 0.5 ** (past_year / half), 0.0) for half in rhythm.halves[1:]]
    matrix = np.stack(weights, axis=1)
    known = np.isfinite(sales)
    total = np.where(known, np.maximum(sales, 0), 0.0) @ matrix
    exposure = np.where(known, effects, 0.0) @ matrix
    pull = 0.3 + 3.0 * np.minimum(noise, 4.0)
    long = (total[:, 2] + 0.3 * fallback) / (exposure[:, 2] + 0.3)
    middle = (total[:, 1] + pull * long) / (exposure[:, 1] + pull)
    short = (total[:, 0] + pull * middle) / (exposure[:, 0] + pull)
    enough = exposure[:, 3] > 1.0
    ago = np.where(enough, (total[:, 3] + 0.1 * long) / (exposure[:, 3] + 0.1), np.nan)
    long_ago = np.where(enough, (total[:, 4] + 0.1 * long) / (exposure[:, 4] + 0.1), np.nan)
    return Levels(short, middle, long, ago, long_ago, exposure[:, 3])


@dataclass(frozen=True)
class Habits:
    """Plain statistics as of an origin.

    Attributes
    ----------
    naive_error : float (N,), units; mean absolute difference to the season before, floored
    zeros_recent, zeros_long : float (N,), shares of known periods without a sale
    size : float (N,), units sold in a period that had a sale
    idle : float (N,), periods since the last sale
    age : float (N,), periods since the first known one
    count : float (N,), known periods
    """

    naive_error: np.ndarray
    zeros_recent: np.ndarray
    zeros_long: np.ndarray
    size: np.ndarray
    idle: np.ndarray
    age: np.ndarray
    count: np.ndarray


def habits(sales: np.ndarray, rhythm: Rhythm, level: np.ndarray) -> Habits:
    """Statistics of sales (N, T) up to the origin; `level` (N,) stands in where history says nothing."""
    width = sales.shape[1]
    known, sold = np.isfinite(sales), np.nan_to_num(sales) > 0
    count = known.sum(1).astype(float)
    lag = min(rhythm.season, max(width - 1, 1))
    if width > lag:
        change = np.abs(sales[:, lag:] - sales[:, :-lag])
        seen = np.isfinite(change)
        pairs = seen.sum(1)
        error = np.where(seen, change, 0).sum(1) / np.maximum(pairs, 1)
    else:
        pairs, error = np.zeros(len(sales)), np.zeros(len(sales))
    error = (error * pairs + 0.5 * level * 2) / (pairs + 2)
    error = np.maximum(error, np.maximum(0.02 * level, TINY))
    recent = slice(max(0, width - 4 * rhythm.recent), width)
    zeros = sales == 0  # a return is no period without a sale
    zeros_recent = (zeros[:, recent].sum(1)) / np.maximum(known[:, recent].sum(1), 1)
    times = sold.sum(1)
    size = (np.where(sold, sales, 0).sum(1) + np.maximum(level, TINY)) / (times + 1)
    last = np.where(sold.any(1), width - 1 - np.argmax(sold[:, ::-1], axis=1), -1)
    first = np.where(known.any(1), np.argmax(known, axis=1), width - 1)
    return Habits(error, zeros_recent, zeros.sum(1) / np.maximum(count, 1), size, (width - 1 - last).astype(float),
                  (width - first).astype(float), count)

"""Bands for sums: from the quantiles of many series to the quantiles of what they come to together.

Means add up, quantiles do not: how wide the band of a sum is depends on whether the series miss together, which their own
quantiles do not say. We add up the quantiles as if all missed together (the widest band there is, and one that keeps the
shape of the distributions), then shrink it around the mean by the factor that the variance of a sum of equally correlated
terms asks for:

    k^2 = rho + (1 - rho) * sum(sigma^2) / sum(sigma)^2

One series alone keeps its band (k = 1); perfectly dependent series too (rho = 1). Where k is small, the shape of the parts is lost:
a sum of n independent terms has their skewness divided by sqrt(n), which is times k (the first term of Cornish and Fisher 1938). So
the band's shape is theirs in the share k, and the normal one in the rest. Else the many slow sellers that cannot fall below nought
would make a total that can hardly fall. The correlation is measured on how the series changed together in the past, never guessed.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from scipy.special import ndtri

LEAST_PERIODS: Final = 24  # changes fewer than this measure no correlation
YEARS: Final = 3  # of the past on which it is measured: older habits are not today's


def level_shares(levels: Sequence[float]) -> np.ndarray:
    """(Q,) probability around each level: up to the middle between two levels, and all that lies beyond the outermost."""
    return np.diff([0.0, *((a + b) / 2 for a, b in pairwise(levels)), 1.0])


def spreads(mean: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Standard deviations (...,) of forecasts, units, from means (...,) and quantiles (..., Q).

    The quantile function is taken as constant around each level: a lower bound on the true deviation, near it where the levels
    reach into the tails.
    """
    return np.sqrt(((quantiles - mean[..., None]) ** 2) @ level_shares(levels))


def shrinkage(spread: np.ndarray, squares: np.ndarray, rho: float) -> np.ndarray:
    """Factor k (...,) in [0, 1] by which the band of a sum is narrower than the sum of the bands.

    Parameters
    ----------
    spread : float (...,), sum of the standard deviations of the terms
    squares : float (...,), sum of their variances
    rho : correlation between any two terms, 0 to 1

    >>> shrinkage(np.array([2.0]), np.array([2.0]), 0.0)  # two independent terms of deviation 1: sqrt(2) / 2
    array([0.70710678])
    """
    share = np.divide(squares, spread**2, out=np.ones_like(spread), where=spread**2 > 0)
    return np.sqrt(np.clip(rho + (1 - rho) * share, 0.0, 1.0))


def total_quantiles(mean: np.ndarray, quantiles: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """(..., Q) quantiles of sums, from the (...,) sums of means and the (..., Q) sums of quantiles.

    The mean of skewed series may lie above the summed upper quantile; shrinking around it keeps the order of levels.
    """
    return mean[..., None] + factor[..., None] * (quantiles - mean[..., None])


def sum_quantiles(mean: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], *, spread: np.ndarray, squares: np.ndarray,
                  rho: float) -> np.ndarray:
    """(..., Q) quantiles of sums.

    Parameters
    ----------
    mean, quantiles : (...,) and (..., Q), units, those of the terms added up; no sum falls below nought where no term does
    spread, squares, rho : as for `shrinkage`
    """
    factor = shrinkage(spread, squares, rho)[..., None]
    bell = spread[..., None] * ndtri(np.asarray(levels, dtype=float))
    found = mean[..., None] + factor * (factor * (quantiles - mean[..., None]) + (1 - factor) * bell)
    return np.where(quantiles[..., :1] >= 0, np.maximum(found, 0.0), found)


def changes(sales: np.ndarray, lag: int) -> np.ndarray:
    """float (N, T - lag): what changed from a season before, units; 0 where either is not known (nan)."""
    if sales.shape[1] <= lag:
        return np.zeros((len(sales), 0))
    return np.nan_to_num(sales[:, lag:] - sales[:, :-lag])


def correlation(variance: float, squares: float, spread_squares: float) -> float:
    """Correlation between any two series of one sum, 0 to 1; 1 where nothing tells them apart.

    Parameters
    ----------
    variance : of the sums' changes, added up over the sums, units squared
    squares : variances of the terms' changes, added up over all terms
    spread_squares : squares of the sums of the terms' deviations, added up over the sums

    >>> correlation(3.0, 2.0, 4.0)  # var(a + b) = 1 + 1 + 2 rho
    0.5
    """
    pairs = spread_squares - squares
    return float(np.clip((variance - squares) / pairs, 0.0, 1.0)) if pairs > 1e-9 * max(squares, 1e-300) else 1.0

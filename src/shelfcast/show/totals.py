"""Bands for sums: from the quantiles of many series to the quantiles of their total.

Means add up, quantiles do not: how wide the total's band is depends on whether the series miss together, which their own
quantiles do not say. We add up the quantiles as if all missed together (the widest band there is, and one that keeps the
shape of the distributions), then shrink it around the mean by the factor that the variance of a sum of equally correlated
terms asks for:

    k^2 = rho + (1 - rho) * sum(sigma^2) / sum(sigma)^2

One series alone keeps its band (k = 1); perfectly dependent series too (rho = 1). The same rule goes from the periods of the
horizon to their sum. The two correlations are measured, not guessed, and the page states them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from shelfcast.errors import SettingsError
from shelfcast.names import quantile_column
from shelfcast.show.content import Dependence

SPREAD: Final = "spread"  # sum of the series' standard deviations, units
SQUARES: Final = "squares"  # sum of their variances, units squared
LEAST_OVER_TIME: Final = 0.5  # without it, 80 % ranges of whole horizons held 17 to 50 % of the truths; see docs/log.md
LEAST_PERIODS: Final = 24  # seasonal differences fewer than this measure no correlation


def range_levels(levels: Sequence[float]) -> tuple[float, float]:
    """The two levels whose range is told in words: 0.1 and 0.9 where there are, else the symmetric pair nearest to them."""
    pairs = [(q, p) for q in levels for p in levels if q < 0.5 and abs(q + p - 1) < 1e-9]
    if not pairs:
        raise SettingsError(f"A report needs two levels around the middle, such as 0.1 and 0.9; the forecast has "
                            f"{', '.join(f'{q:g}' for q in levels)}. Forecast again with --levels 0.1,0.5,0.9.")
    return min(pairs, key=lambda pair: abs(pair[0] - 0.1))


def deviation(levels: Sequence[float]) -> pl.Expr:
    """Standard deviation of a row's forecast, from `mean` and its quantile columns.

    The quantile function is taken as constant around each level, up to the middle between two levels, and constant beyond
    the outermost: a lower bound on the true deviation, near it where the levels reach into the tails.
    """
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(levels)), 1.0]
    parts = [(high - low) * (pl.col(quantile_column(q)) - pl.col("mean")) ** 2
             for q, low, high in zip(levels, edges[:-1], edges[1:], strict=True)]
    return pl.sum_horizontal(parts).sqrt()


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
    """(H, Q) quantiles of the total, from the (H,) sums of means and the (H, Q) sums of quantiles.

    The mean of skewed series may lie above the summed upper quantile; shrinking around it keeps the order of levels.
    """
    return mean[:, None] + factor[:, None] * (quantiles - mean[:, None])


def over_horizon(mean: np.ndarray, quantiles: np.ndarray, rho: float) -> tuple[float, np.ndarray]:
    """Expected units over all periods, and the (Q,) quantiles of that sum.

    Parameters
    ----------
    mean, quantiles : (H,) and (H, Q) of the total, one row a period
    rho : correlation between the total's errors in any two periods
    """
    spread = quantiles[:, -1] - quantiles[:, 0]
    factor = shrinkage(np.array([spread.sum()]), np.array([(spread**2).sum()]), rho)
    whole = total_quantiles(np.array([mean.sum()]), quantiles.sum(axis=0)[None, :], factor)
    return float(mean.sum()), whole[0]


def measure_dependence(sales: np.ndarray, *, season: int, horizon: int) -> Dependence:
    """Correlations between series and over time, measured on seasonal differences of the history.

    Differences from a season before hold what a forecast could have known (promotions, holidays) as well as what it could
    not, so the number between series errs to the wide side. Differences hide what a forecast gets wrong throughout, its level,
    so the number over time errs to the narrow side and is never taken below `LEAST_OVER_TIME`.

    Parameters
    ----------
    sales : float (N, T), units, a sample of series; nan where not known
    season : periods in a season
    horizon : periods over which the total is added up
    """
    lag = season if sales.shape[1] >= season + LEAST_PERIODS else 1
    change = sales[:, lag:] - sales[:, :-lag] if sales.shape[1] > lag else sales[:, :0]
    change = change[:, np.isfinite(change).mean(axis=0) >= 0.5] if change.size else change
    known = np.isfinite(change)
    change = np.where(known, change, 0.0)
    if change.shape[1] < LEAST_PERIODS:
        return Dependence(series=1.0, time=1.0, how="The history is too short to measure how series miss together, so all are "
                                                    "taken to miss in the same direction all the time: the widest band.")
    change = change - change.mean(axis=1, keepdims=True)
    deviations = change.std(axis=1)
    total = change.sum(axis=0)
    squares, pairs = float((deviations**2).sum()), float(deviations.sum() ** 2 - (deviations**2).sum())
    between = float(np.clip((total.var() - squares) / pairs, 0.0, 1.0)) if pairs > 1e-9 * max(squares, 1e-300) else 1.0
    return Dependence(series=between, time=_over_time(total, horizon),
                      how=f"Measured on the changes from one {'season' if lag > 1 else 'period'} to the next of {len(sales):,} "
                          f"series over {change.shape[1]:,} periods; over time at least {LEAST_OVER_TIME:g}, "
                          f"because a wrong level stays wrong.")


def _over_time(total: np.ndarray, horizon: int) -> float:
    """Mean correlation of the total's changes between two periods of the horizon, `LEAST_OVER_TIME` to 1."""
    steps = min(horizon, len(total) // 3)
    if steps < 2 or not total.var():
        return 1.0
    lags = np.arange(1, steps)
    acf = np.array([np.mean(total[k:] * total[:-k]) for k in lags]) / total.var()
    weights = steps - lags
    return float(np.clip((weights * acf).sum() / weights.sum(), LEAST_OVER_TIME, 1.0))

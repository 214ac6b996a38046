"""Bands for the total of a report: over series in each period, and over the periods of the horizon.

Over series by the rule of `evaluate.sum_bands`; over periods by its shrinkage alone, without the bell: these miss together by at
least `LEAST_OVER_TIME`, so most of their shape is kept. The two correlations are measured, not guessed, and the page states them.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from shelfcast.errors import SettingsError
from shelfcast.evaluate.sum_bands import LEAST_PERIODS, correlation, level_shares, shrinkage, total_quantiles
from shelfcast.names import quantile_column
from shelfcast.show.content import Dependence

SPREAD: Final = "spread"  # sum of the series' standard deviations, units
SQUARES: Final = "squares"  # sum of their variances, units squared
LEAST_OVER_TIME: Final = 0.5  # without it, 80 % ranges of whole horizons held 17 to 50 % of the truths; see docs/log.md


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
    parts = [float(share) * (pl.col(quantile_column(q)) - pl.col("mean")) ** 2
             for q, share in zip(levels, level_shares(levels), strict=True)]
    return pl.sum_horizontal(parts).sqrt()


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
    between = correlation(float(total.var()), float((deviations**2).sum()), float(deviations.sum() ** 2))
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

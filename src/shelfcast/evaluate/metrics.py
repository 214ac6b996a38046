"""Measures of forecasts, as plain functions on arrays.

    actual      float (N, H), units; nan where not known, and then left out
    point       float (N, H), units; the median (q0.5) for measures of absolute error, the mean for squared error and bias
    quantiles   float (N, H, Q), units
    levels      (Q,) in (0, 1)
    scale       float (N,), units; `seasonal_error` of the past; nan or 0 leaves a series out

N series, H periods. Each returns one number unless it says otherwise; nan when nothing could be measured. Lower is better,
except for `coverage` (best at its level) and `bias` (best at 0).
"""

from collections.abc import Sequence

import numpy as np


def mae(actual: np.ndarray, point: np.ndarray) -> float:
    """Mean absolute error, units: mean |y - f|."""
    return _mean(np.abs(actual - point))


def mse(actual: np.ndarray, point: np.ndarray) -> float:
    """Mean squared error, units squared: mean (y - f)^2."""
    return _mean((actual - point) ** 2)


def rmse(actual: np.ndarray, point: np.ndarray) -> float:
    """Root mean squared error, units: sqrt(mean (y - f)^2)."""
    return float(np.sqrt(mse(actual, point)))


def wape(actual: np.ndarray, point: np.ndarray) -> float:
    """Weighted absolute percentage error, a share: sum |y - f| / sum |y| (Kolassa and Schuetz 2007).

    >>> wape(np.array([[10.0, np.nan]]), np.array([[8.0, 5.0]]))
    0.2
    """
    return _ratio(np.abs(actual - point), np.abs(actual))


def smape(actual: np.ndarray, point: np.ndarray) -> float:
    """Symmetric percentage error, a share from 0 to 2: mean 2 |y - f| / (|y| + |f|), 0 where both are 0 (Makridakis 1993)."""
    size = np.abs(actual) + np.abs(point)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _mean(np.where(size == 0, 0.0, 2 * np.abs(actual - point) / size))


def bias(actual: np.ndarray, point: np.ndarray) -> float:
    """Too much (positive) or too little, a share of sales: sum (f - y) / sum |y|."""
    return _ratio(point - actual, np.abs(actual))


def seasonal_error(past: np.ndarray, season: int) -> np.ndarray:
    """Mean absolute error of the seasonal naive forecast inside each series' past, (N,), units.

    The scale of MASE and SQL: mean_t |y_t - y_{t - season}| (Hyndman and Koehler 2006); nan for a series in which no two
    values lie a season apart.

    Parameters
    ----------
    past : float (N, T), units
    season : periods; 1 compares with the period before
    """
    return _mean_rows(np.abs(past[:, season:] - past[:, : max(past.shape[1] - season, 0)]))


def seasonal_square(past: np.ndarray, season: int) -> np.ndarray:
    """Mean squared error of the seasonal naive forecast inside each series' past, (N,), units squared: the scale of RMSSE."""
    return _mean_rows((past[:, season:] - past[:, : max(past.shape[1] - season, 0)]) ** 2)


def mase(actual: np.ndarray, point: np.ndarray, scale: np.ndarray) -> float:
    """Mean absolute scaled error: mean |y - f| / scale over all periods of all series (Hyndman and Koehler 2006)."""
    return _mean(np.abs(actual - point) / _usable(scale)[:, None])


def rmsse(actual: np.ndarray, point: np.ndarray, square: np.ndarray) -> float:
    """Root mean squared scaled error, mean over series of sqrt(mean_h (y - f)^2 / square) (M5, Makridakis et al. 2022).

    Parameters
    ----------
    square : (N,), `seasonal_square` of the past with season 1 as in M5
    """
    return _mean(np.sqrt(_mean_rows((actual - point) ** 2) / _usable(square)))


def wrmsse(actual: np.ndarray, point: np.ndarray, past: np.ndarray, *, money: np.ndarray, levels: Sequence[np.ndarray]) -> float:
    """Weighted RMSSE over the levels of a hierarchy, as in M5 (Makridakis, Spiliotis, Assimakopoulos 2022, eq. 1 and 2).

    At each level the series are summed by node; a node's RMSSE is weighed by its share of the money, and levels weigh alike.

    Parameters
    ----------
    past : (N, T), units; nan counts as nothing sold
    money : (N,), what each series earned in the last 28 periods of the past
    levels : codes (N,) of the nodes of each level, from 0; the series themselves are `np.arange(N)`
    """
    seen = np.isfinite(actual)
    y, f, sold = np.where(seen, actual, 0.0), np.where(seen, point, 0.0), np.where(np.isfinite(past), past, 0.0)
    scores = []
    for codes in levels:
        nodes = int(codes.max()) + 1
        value = np.bincount(codes, weights=np.nan_to_num(money), minlength=nodes)
        error, sums, known = np.zeros((nodes, y.shape[1])), np.zeros((nodes, past.shape[1])), np.zeros((nodes, y.shape[1]))
        for target, values in ((error, y - f), (sums, sold), (known, seen)):
            np.add.at(target, codes, values)
        scores.append(weighted_rmsse(np.where(known > 0, error, np.nan), first_sale_square(sums), value))
    return float(np.mean(scores))


def weighted_rmsse(error: np.ndarray, square: np.ndarray, money: np.ndarray) -> float:
    """RMSSE of K nodes weighed by money (K,), from errors (K, H) and scales `square` (K,); those without a scale are left out."""
    each = np.sqrt(_mean_rows(error**2) / _usable(square))
    counted = np.isfinite(each) & (money > 0)
    return float((each * money)[counted].sum() / money[counted].sum()) if counted.any() else float("nan")


def first_sale_square(past: np.ndarray) -> np.ndarray:
    """Mean squared change from period to period, (K,), units squared, counted from the first sale on: the scale of M5's RMSSE."""
    begun = np.maximum.accumulate(past != 0, axis=1)[:, :-1]
    return _mean_rows(np.where(begun, np.diff(past, axis=1), np.nan) ** 2)


def pinball(actual: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Pinball loss by level, (Q,), units: mean max(q (y - f), (q - 1) (y - f)) (Koenker and Bassett 1978)."""
    losses = pinball_losses(actual, quantiles, levels)
    return np.array([_mean(losses[:, :, i]) for i in range(losses.shape[2])])


def pinball_losses(actual: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Pinball loss of each period and level, (N, H, Q), units; nan where the actual is not known."""
    error = actual[:, :, None] - quantiles
    at = np.asarray(levels, dtype=float)
    return np.maximum(at * error, (at - 1) * error)


def wql(actual: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> float:
    """Weighted quantile loss: mean over levels of 2 sum pinball / sum |y| (Gasthaus et al. 2019; fev, GluonTS)."""
    losses = pinball_losses(actual, quantiles, levels)
    return float(np.mean([2 * _ratio(losses[:, :, i], np.abs(actual)) for i in range(losses.shape[2])]))


def sql(actual: np.ndarray, quantiles: np.ndarray, levels: np.ndarray, *, scale: np.ndarray) -> float:
    """Scaled quantile loss: mean of 2 pinball / scale over levels, periods and series (fev; Shchur et al. 2023)."""
    losses = 2 * pinball_losses(actual, quantiles, levels) / _usable(scale)[:, None, None]
    return float(np.mean([_mean(losses[:, :, i]) for i in range(losses.shape[2])]))


def level_weights(levels: Sequence[float] | np.ndarray) -> np.ndarray:
    """(Q,) share of the probabilities from 0 to 1 that lie nearest to each level; they add up to 1.

    >>> level_weights([0.1, 0.5, 0.9])
    array([0.3, 0.4, 0.3])
    """
    at = np.asarray(levels, dtype=float)
    edges = np.concatenate([[0.0], (at[1:] + at[:-1]) / 2, [1.0]])
    return np.diff(edges)


def crps(actual: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> float:
    """Continuous ranked probability score, units, approximated from quantiles.

    CRPS is twice the integral of the pinball loss over all levels (Laio and Tamea 2007). The integral is taken as a sum in which
    each level stands for the probabilities nearest to it (`level_weights`); on an even grid that is 2 x mean pinball. What lies
    beyond the outermost levels is charged as if their quantile stood there, too.
    """
    losses = pinball_losses(actual, quantiles, levels)
    return _mean((2 * losses * level_weights(levels)).sum(axis=2))


def crps_sample(actual: np.ndarray, samples: np.ndarray) -> float:
    """Continuous ranked probability score, units, of equally likely samples (N, H, S): E|X - y| - E|X - X'| / 2.

    Exact for the empirical distribution of the samples (Gneiting and Raftery 2007, eq. 21).
    """
    ordered = np.sort(samples, axis=2)
    s = samples.shape[2]
    spread = (ordered * (2 * np.arange(1, s + 1) - s - 1)).sum(axis=2) / s**2  # E|X - X'| / 2, from sorted samples
    return _mean(np.abs(actual[:, :, None] - samples).mean(axis=2) - spread)


def interval_coverage(actual: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of actuals within an interval, both ends included; 0.8 is right for the one from 0.1 to 0.9."""
    return _mean(np.where(np.isfinite(actual), (lower <= actual) & (actual <= upper), np.nan))


def interval_width(actual: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Mean width of an interval, units, over the periods where the actual is known."""
    return _mean(np.where(np.isfinite(actual), upper - lower, np.nan))


def interval_score(actual: np.ndarray, lower: np.ndarray, upper: np.ndarray, *, share: float) -> float:
    """Mean interval score, units (Winkler 1972; Gneiting and Raftery 2007, eq. 43): the width, and 2 / (1 - share) for each unit by
    which the actual lies outside.

    Parameters
    ----------
    share : of actuals that the interval should hold, such as 0.8
    """
    return _mean(interval_scores(actual, lower, upper, share=share))


def interval_scores(actual: np.ndarray, lower: np.ndarray, upper: np.ndarray, *, share: float) -> np.ndarray:
    """Interval score of each period, (N, H), units; nan where the actual is not known."""
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    return upper - lower + 2 / (1 - share) * outside


def stability(values: np.ndarray) -> float:
    """How much a measure changes from window to window: standard deviation over windows (K,), with K - 1; nan below 2 windows."""
    seen = values[np.isfinite(values)]
    return float(np.std(seen, ddof=1)) if len(seen) > 1 else float("nan")


def coverage(actual: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Share of actuals at or below each quantile, (Q,); a calibrated forecast's share is the level.

    For sales that are often exactly 0 the share lies above the level wherever the quantile is 0: no quantile can cut zeros.
    """
    below = np.where(np.isfinite(actual)[:, :, None], actual[:, :, None] <= quantiles, np.nan)
    return np.array([_mean(below[:, :, i]) for i in range(below.shape[2])])


def _usable(scale: np.ndarray) -> np.ndarray:
    return np.where(scale > 0, scale, np.nan)


def _mean(values: np.ndarray) -> float:
    seen = np.isfinite(values)
    return float(values[seen].mean()) if seen.any() else float("nan")


def _mean_rows(values: np.ndarray) -> np.ndarray:
    seen = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(seen, values, 0.0).sum(axis=1) / seen.sum(axis=1)


def _ratio(above: np.ndarray, below: np.ndarray) -> float:
    """Sum over sum, both over the periods where both are known; nan when the lower sum is 0."""
    seen = np.isfinite(above) & np.isfinite(below)
    total = float(below[seen].sum())
    return float(above[seen].sum()) / total if total > 0 else float("nan")

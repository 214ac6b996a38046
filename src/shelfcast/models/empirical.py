"""Empirical quantiles of many rows at once: errors in, quantiles out.

numpy's nanquantile walks row by row as soon as one value is missing; these functions sort once for all rows.
"""

from typing import Final

import numpy as np

GRID: Final = tuple(round(0.005 * k, 3) for k in range(1, 200))
"""Levels at which a pooled distribution is kept: 0.005 to 0.995."""


def row_quantiles(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles of each row, missing values left out, linear between order statistics (Hyndman and Fan 1996, type 7).

    Parameters
    ----------
    values : float (N, T); nan is missing
    levels : float (Q,), in (0, 1)

    Returns
    -------
    float (N, Q); nan for a row without values

    Examples
    --------
    >>> row_quantiles(np.array([[3.0, np.nan, 1.0, 2.0]]), np.array([0.25, 0.5]))
    array([[1.5, 2. ]])
    """
    if not values.shape[1]:
        return np.full((len(values), len(levels)), np.nan)
    ordered = np.sort(values, axis=1)  # missing values sort to the end
    count = np.isfinite(ordered).sum(axis=1)
    at = np.asarray(levels)[None, :] * np.maximum(count - 1, 0)[:, None]  # (N, Q)
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    lower, upper = np.take_along_axis(ordered, low, axis=1), np.take_along_axis(ordered, high, axis=1)
    return lower + (upper - lower) * (at - low)


def pooled_quantiles(values: np.ndarray) -> np.ndarray:
    """Quantiles at `GRID` of all finite values together; zeros when there are none. Shape (len(GRID),)."""
    finite = values[np.isfinite(values)]
    return np.quantile(finite, GRID) if len(finite) else np.zeros(len(GRID))


def at_levels(pooled: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """A distribution kept at `GRID`, read at other levels; beyond the grid its ends hold."""
    return np.interp(levels, GRID, pooled)


def expected_above(point: np.ndarray, errors: np.ndarray, floor: float) -> np.ndarray:
    """Expected value of point plus error, cut off below at `floor`: the mean over equally likely errors.

    Parameters
    ----------
    point : float (N, H), units
    errors : float (N, K), units; quantiles of the error at K evenly spread levels
    floor : units; 0 for sales that cannot be negative, minus infinity for sales net of returns
    """
    total = np.zeros_like(point)
    for k in range(errors.shape[1]):  # K is small; a (N, H, K) array would not be
        total += np.maximum(point + errors[:, k, None], floor)
    return total / errors.shape[1]

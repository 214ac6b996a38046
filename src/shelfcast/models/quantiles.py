"""From a middle and a spread to quantiles, by what pooled past errors looked like.

Two shapes, for two kinds of demand. Steady demand: standardised errors pooled by class of spread. Slow demand, with many
zeros: sales in units of the series' usual sale, pooled by how many such sales are expected, so that zeros keep
their probability and packs their size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import nbinom, norm

GRID = np.concatenate([[0.001, 0.0025, 0.005, 0.0075], np.arange(1, 100) / 100, [0.9925, 0.995, 0.9975, 0.999]])
"""Probabilities at which pooled distributions are kept; levels between are interpolated, levels beyond take the end."""

CLASSES = 3  # of spread: the shape of errors differs between calm and wild series
_FEWEST = 60  # rows below which a class has no shape of its own


@dataclass(frozen=True)
class SteadyShape:
    """Pooled distribution of standardised errors.

    Attributes
    ----------
    edges : float (C - 1,), bounds between classes of spread
    values : float (C, GRID), quantiles
    means : float (C,)
    """

    edges: np.ndarray
    values: np.ndarray
    means: np.ndarray

    @classmethod
    def learn(cls, errors: np.ndarray, spread: np.ndarray, weight: np.ndarray) -> "SteadyShape":
        """From standardised errors (R,), the spread they were divided by (R,), and weights (R,)."""
        if len(errors) < _FEWEST:  # too few to see a shape: a bell, a little wide
            return cls(np.empty(0), 1.3 * norm.ppf(GRID)[None, :] * 1.25, np.zeros(1))
        classes = CLASSES if len(errors) >= 50 * _FEWEST else 1
        edges = np.unique(np.quantile(spread, np.arange(1, classes) / classes))
        member = np.searchsorted(edges, spread)
        values, means = [], []
        for c in range(len(edges) + 1):
            inside = member == c if (member == c).sum() >= _FEWEST else np.ones(len(errors), dtype=bool)
            values.append(weighted_quantiles(errors[inside], weight[inside], GRID))
            low, high = values[-1][[0, -1]]
            means.append(float(np.average(np.clip(errors[inside], low, high), weights=weight[inside])))
        return cls(edges, np.array(values), np.array(means))

    def at(self, spread: np.ndarray, levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """(R, Q) quantiles of the standardised error, and (R,) its mean, for rows of these spreads (R,)."""
        table = np.stack([np.interp(levels, GRID, v) for v in self.values])
        member = np.searchsorted(self.edges, spread)
        return table[member], self.means[member]


@dataclass(frozen=True)
class SlowShape:
    """Pooled distribution of sales, in units of a usual sale, by the expected number of such sales.

    Attributes
    ----------
    knots : float (J,), log of expected sales over size, rising
    values : float (J, GRID), quantiles of sales over size
    """

    knots: np.ndarray
    values: np.ndarray

    @classmethod
    def learn(cls, sales: np.ndarray, expected: np.ndarray, size: np.ndarray) -> "SlowShape":
        """From sales, expected sales and sizes, each (R,) in units."""
        if len(sales) < 4 * _FEWEST:
            return cls._textbook()
        m = np.log(expected / size + 1e-6)
        count = int(np.clip(len(m) // 400, 2, 24))
        order = np.argsort(m, kind="stable")
        knots: list[float] = []
        values = []
        ratio = sales / size
        ends = np.linspace(0, len(m), count + 1).astype(int)
        for lo, hi in pairwise(ends):
            rows = order[lo:hi]
            middle = float(m[rows].mean())
            if knots and middle <= knots[-1] + 1e-6:
                continue
            knots.append(middle)
            values.append(np.quantile(ratio[rows], GRID, method="inverted_cdf"))
        return cls(np.array(knots), np.maximum.accumulate(np.array(values), axis=1))

    @classmethod
    def _textbook(cls) -> "SlowShape":
        """Without enough history: negative binomial counts whose variance is twice the mean and more."""
        m = np.exp(np.linspace(-5, 3, 24))
        chance = 1 / (2.0 + 0.2 * m)
        counts = nbinom.ppf(GRID[None, :], (m * chance / (1 - chance))[:, None], chance[:, None])
        return cls(np.log(m), counts)

    def at(self, expected: np.ndarray, size: np.ndarray, levels: Sequence[float]) -> np.ndarray:
        """(R, Q) quantiles in units, for rows of expected sales and size, each (R,)."""
        table = np.stack([np.interp(levels, GRID, v) for v in self.values])
        m = np.log(expected / size + 1e-6)
        place = np.interp(m, self.knots, np.arange(len(self.knots)))
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(self.knots) - 1)
        share = (place - low)[:, None]
        out = table[low] * (1 - share) + table[high] * share
        # Beyond the largest mean seen, the shape is kept and stretched.
        out *= np.exp(np.maximum(m - self.knots[-1], 0))[:, None]
        return out * size[:, None]


def weighted_quantiles(values: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles of weighted values, linear between the middles of the steps.

    >>> weighted_quantiles(np.array([3.0, 1.0, 2.0]), np.ones(3), np.array([0.5]))
    array([2.])
    """
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weight[order])
    middle = (mass - weight[order] / 2) / mass[-1]
    return np.interp(levels, middle, values[order])


def mean_of(quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(...): mean of a distribution by its quantiles (..., Q), each with the probability that lies nearest to it.

    Examples
    --------
    >>> mean_of(np.array([-4.0, 0.0, 8.0]), (0.1, 0.5, 0.9)).round(2)
    np.float64(1.2)
    """
    edges = np.concatenate([[0.0], (np.asarray(levels)[1:] + np.asarray(levels)[:-1]) / 2, [1.0]])
    return np.asarray(quantiles) @ np.diff(edges)


def read_levels(quantiles: np.ndarray, have: Sequence[float], levels: Sequence[float]) -> np.ndarray:
    """Quantiles at other levels: straight lines between normal scores; beyond the ends the last line goes on.

    Parameters
    ----------
    quantiles : float (..., Q'), not falling along Q'
    have : (Q',), levels that they belong to, at least two, rising
    levels : (Q,), levels that are asked for

    Returns
    -------
    float (..., Q); exactly what is there for a level that is among `have`

    Examples
    --------
    >>> read_levels(np.array([2.0, 4.0, 8.0]), (0.1, 0.5, 0.9), (0.1, 0.3, 0.9)).round(2)
    array([2.  , 3.18, 8.  ])
    """
    known, wanted = norm.ppf(have), norm.ppf(levels)
    right = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = (wanted - known[right - 1]) / (known[right] - known[right - 1])
    return quantiles[..., right - 1] * (1 - share) + quantiles[..., right] * share

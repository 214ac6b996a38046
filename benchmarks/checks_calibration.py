"""Is it calibrated as it leaves the box? How often sales stay at or below the quantiles 0.1, 0.5 and 0.9.

Sales and forecasts of whole units are compared in whole units. Where a truth ties with several quantiles (nothing sold, where
nought is likely), the share of the tie that lies below a level counts: what randomising would give on average (randomised PIT,
Czado, Gneiting and Held 2009), without its noise.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

import spine_accuracy
from figures import Figure, Make, some_series
from shelfcast.data.split import windows

CHECK: Final = "calibration"
ALL_SETS: Final = "all"
SETS: Final = ("store_item", "stallion", "dominicks", "iowa")
LEVELS: Final = (0.1, 0.5, 0.9)
_FINE: Final = tuple(round(0.01 * k, 2) for k in range(1, 100))


def shares_below(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], wanted: Sequence[float]) -> np.ndarray:
    """(cells, K) how much of each truth lies at or below the wanted levels: 0, 1, or a share of its tie; known truths alone.

    The mass that ties with a truth reaches from halfway to the next quantile below it to halfway to the next above.

    Parameters
    ----------
    truth : (N, H); quantiles : (N, H, Q), rising
    levels : (Q,) rising; wanted : (K,)
    """
    seen = np.isfinite(truth)
    y, q, at = truth[seen][:, None], quantiles[seen], np.asarray(levels)
    edges = np.concatenate([[0.0], (at[1:] + at[:-1]) / 2, [1.0]])
    low, high = edges[(q < y).sum(axis=1)], edges[(q <= y).sum(axis=1)]
    tied = high > low
    # Without a tie, the truth lies between two quantiles: at or below the level of the upper one.
    above = np.append(at, 1.0)[(q < y).sum(axis=1)]
    share = (np.asarray(wanted)[None, :] - low[:, None]) / np.where(tied, high - low, 1.0)[:, None]
    return np.where(tied[:, None], np.clip(share, 0.0, 1.0), above[:, None] <= np.asarray(wanted)[None, :])


def calibration(make: Make, *, sets: Sequence[str] = SETS, count: int = 3, most: int | None = None) -> list[Figure]:
    """Shares by set and over all sets, each of which counts alike.

    Parameters
    ----------
    count : windows of each set, the last ones
    most : series of a set, for a quick look
    """
    figures, means = [], []
    for name in sets:
        task = spine_accuracy.TASKS[name]()
        panel = some_series(task.panel, most)
        parts = []
        for window in windows(panel, horizon=task.horizon, count=count):
            made = make(task.horizon).fit(window.past).predict(window.past, horizon=task.horizon, levels=_FINE)
            truth, quantiles = window.truth(), made.quantiles
            sold = window.past.dense(covariates=()).sales
            if (np.mod(sold[np.isfinite(sold)], 1) == 0).all():
                quantiles = np.rint(quantiles)
            parts.append(shares_below(truth, quantiles, _FINE, LEVELS))
        mean = np.mean([part.mean(axis=0) for part in parts], axis=0)
        means.append(mean)
        figures += _figures(name, mean, len(panel), len(parts))
    return figures + _figures(ALL_SETS, np.mean(means, axis=0), sum(f.series for f in figures) // len(LEVELS), count * len(means))


def measure_of(level: float) -> str:
    """What the share at a level is called in a row."""
    return f"at or below q{100 * level:.0f}"


def _figures(name: str, mean: np.ndarray, series: int, count: int) -> list[Figure]:
    return [Figure(check=CHECK, set=name, measure=measure_of(q), value=float(v), series=series, windows=count)
            for q, v in zip(LEVELS, mean, strict=True)]

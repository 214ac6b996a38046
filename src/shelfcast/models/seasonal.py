"""The rhythm of a season in many series at once, trusted as far as it repeats.

Classical decomposition by ratio to the moving average (Macaulay 1931), with two changes for sales: each phase's index is a ratio of
sums, so that days without sales do no harm, and the indices are shrunk towards 1 by empirical Bayes (Efron and Morris 1975), so
that what does not repeat from season to season is not taken for a rhythm.
"""

from typing import Final

import numpy as np

_FAINT: Final = 0.1  # dividing by less would make a level out of noise


def seasonal_index(values: np.ndarray, filled: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    """How much each phase of the season sells over what is usual, and how much too small past errors then look.

    Parameters
    ----------
    values : float (N, T), units; nan where not known, and then not counted
    filled : the same without gaps after the first value, for the moving average
    season : periods, at least 2

    Returns
    -------
    index : float (N, season), at least 0, mean about 1; column 0 is the phase after the last period. Ones for a series of less
        than two seasons, or whose usual level is not above 0
    optimism : float (N,), at least 1. An index learned from K seasons, trusted by t, takes a share t / K of the noise of those
        seasons away and adds as much to the next one: errors ahead are sqrt((1 + t / K) / (1 - t / K)) times those behind
    """
    n, width = values.shape
    ones, optimism = np.ones((n, season)), np.ones(n)
    begin = np.argmax(np.isfinite(filled), axis=1)
    long = width - begin >= 2 * season
    usual = _moving_average(filled, season)  # (N, T)
    able = long & np.isfinite(filled).any(axis=1) & (np.nan_to_num(np.where(np.isfinite(usual), usual, np.inf).min(axis=1)) > 0)
    if not able.any():
        return ones, optimism
    short = -width % season
    sales, level = (np.pad(a[able], ((0, 0), (short, 0)), constant_values=np.nan).reshape(int(able.sum()), -1, season)
                    for a in (np.where(np.isfinite(values), values, np.nan), np.where(np.isfinite(values), usual, np.nan)))
    total, base = np.nansum(sales, axis=1), np.nansum(level, axis=1)  # (n, season)
    seasons = np.isfinite(sales).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = np.where(base > 0, total / base, 1.0)
        noise = np.nansum((sales / level - raw[:, None, :]) ** 2, axis=1) / np.maximum(seasons - 1, 1)
    # How far the phases differ beyond what noise alone would make of them, as a share.
    by_chance = np.where(seasons > 0, noise / np.maximum(seasons, 1), 0.0).mean(axis=1)
    found = ((raw - 1) ** 2).mean(axis=1)
    trust = np.clip(1 - by_chance / np.maximum(found, 1e-12), 0.0, 1.0)
    ones[able] = np.where(total == 0, 0.0, np.maximum(1 + trust[:, None] * (raw - 1), 0.0))  # a phase that never sold never sells
    learned = np.minimum(trust / np.maximum(seasons.mean(axis=1), 2.0), 0.5)
    optimism[able] = np.sqrt((1 + learned) / (1 - learned))
    return ones, optimism


def without_season(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values over their period's index, (N, T); nan where the phase hardly sells, since it then says nothing of the level.

    Parameters
    ----------
    values : float (N, T), units
    index : float (N, T), as `by_period` gives it
    """
    return np.where(index > _FAINT, values / np.maximum(index, _FAINT), np.nan)


def by_period(index: np.ndarray, width: int, *, ahead: bool = False) -> np.ndarray:
    """The index of each of `width` periods up to the cutoff, or after it when `ahead`; (N, width)."""
    phases = np.arange(width) if ahead else np.arange(-width, 0)
    return index[:, phases % index.shape[1]]


def _moving_average(filled: np.ndarray, season: int) -> np.ndarray:
    """Centred mean over a season, (N, T), the ends held where the window leaves the series; nan before its start."""
    n, width = filled.shape
    seen = np.isfinite(filled)
    total = np.concatenate([np.zeros((n, 1)), np.where(seen, filled, 0.0).cumsum(axis=1)], axis=1)
    count = np.concatenate([np.zeros((n, 1)), seen.cumsum(axis=1)], axis=1)
    begin = np.argmax(seen, axis=1)[:, None]
    # A window of exactly one season, moved inside the series where it would stick out.
    start = np.clip(np.arange(width)[None, :] - season // 2, begin, np.maximum(width - season, begin))
    end = np.minimum(start + season, width)
    row = np.arange(n)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total[row, end] - total[row, start]) / (count[row, end] - count[row, start])
    return np.where(seen, mean, np.nan)

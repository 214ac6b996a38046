"""A price, or any other measured covariate, against what is usual for the series.

Scale-free, so that a rule learned on one series serves another: not the price is told, but how far it is from the series'
own past. A known covariate is read at the target period; a past one at the origin alone.
"""

import numpy as np

from shelfcast.features.history import TINY, Sums


def against_own_past(values: np.ndarray, origin: int, targets: np.ndarray, *, beside: tuple[np.ndarray, np.ndarray], recent: int,
                     long: int) -> dict[str, np.ndarray]:
    """{feature: (N, H)} of a known covariate at the target periods.

    Parameters
    ----------
    values : float (N, T + H), nan where not given
    origin : column of the last period of history
    targets : int (H,), columns
    beside : (N, H) twice, the values one period before and after the targets, nan where not known
    recent, long : lengths of the two windows, in periods, up to the origin

    Returns
    -------
    `` `` (the value), `/recent`, `/long` (relative to means up to the origin), `/before` (to the period before), `/after`
    """
    total, count = Sums(values), Sums(np.isfinite(values).astype(float))
    at = values[:, targets]
    out = {"": at}
    for name, width in (("recent", recent), ("long", long)):
        seen = count.window(origin - width + 1, origin)
        mean = np.where(seen > 0, total.window(origin - width + 1, origin) / np.maximum(seen, 1), np.nan)
        out[f"/{name}"] = ratio(at, mean)
    before, after = beside
    out["/before"], out["/after"] = ratio(at, before), ratio(after, at)
    return out


def as_of_origin(values: np.ndarray, origin: int, *, recent: int, long: int) -> dict[str, np.ndarray]:
    """{feature: (N, 1)} of a past covariate: how its latest value and recent mean stand against its long mean.

    Parameters
    ----------
    values : float (N, T), nan where not recorded
    """
    total, count = Sums(values), Sums(np.isfinite(values).astype(float))

    def mean(width: int) -> np.ndarray:
        seen = count.window(origin - width + 1, origin)
        return np.where(seen > 0, total.window(origin - width + 1, origin) / np.maximum(seen, 1), np.nan)

    return {"/last": ratio(values[:, [origin]], mean(long)), "/recent": ratio(mean(recent), mean(long))}


def ratio(value: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Value over usual, bounded to 0..5; nan where either is unknown or the usual one is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        out = np.where(usual > TINY, value / usual, np.nan)
    return np.clip(out, -5, 5)

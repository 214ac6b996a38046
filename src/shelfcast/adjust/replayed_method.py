"""Which way to reconcile is best for this chain: tried on replayed windows of its past, each judged by what the others taught."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from shelfcast.adjust.reconcile import Method, reconciled_means
from shelfcast.data.hierarchy import BOTTOM, Hierarchy

CANDIDATES: Final[tuple[Method, ...]] = ("bottom_up", "top_down", "wls", "mint")


@dataclass(frozen=True, eq=False)
class Replayed:
    """Forecasts of windows of the past and what came of them, of one level; columns are window by window, in the order of time.

    Attributes
    ----------
    mean : float (K, R x H), units; nan for a node that had not begun
    error : float (K, R x H), units: actual - mean; nan where not known
    """

    mean: np.ndarray
    error: np.ndarray


def agreeing(past: Mapping[str, Replayed], hierarchy: Hierarchy) -> dict[str, Replayed]:
    """The same windows, with forecasts of sums measured by the sums of the series that were forecast.

    What series sell that begin within a window is in the actual sum, but nobody could reconcile with it: forecasts of sums that
    were right because they foresaw new series are too high for the series at hand. Where a series' sales are not known, it counts
    as it was forecast.
    """
    parts = past[BOTTOM]
    sold = np.nan_to_num(parts.mean) + np.nan_to_num(parts.error)
    found = {BOTTOM: parts}
    for level, sums in hierarchy.sums(sold):
        if level.name != BOTTOM and level.name in past:
            one = past[level.name]
            found[level.name] = Replayed(one.mean, np.where(np.isfinite(one.error), sums - one.mean, np.nan))
    return found


@dataclass(frozen=True)
class Tried:
    """What each way came to.

    Attributes
    ----------
    method : the one with the least error; `bottom_up` where nothing could be tried
    scores : {method: mean over levels, the bottom among them, of the root mean square error relative to `bottom_up`}
    by_level : {method: {level: WAPE of the reconciled means}}
    told : a sentence for the user
    """

    method: Method
    scores: Mapping[str, float]
    by_level: Mapping[str, Mapping[str, float]]
    told: str

    def as_plain(self) -> dict[str, Any]:
        """For a summary."""
        return {"method": self.method, "relative_error": dict(self.scores), "wape": {k: dict(v) for k, v in self.by_level.items()}}


def best_method(past: Mapping[str, Replayed], hierarchy: Hierarchy, *, windows: int, non_negative: bool = True,
                candidates: Sequence[Method] = CANDIDATES) -> Tried:
    """The way whose reconciled means erred least in windows of the past.

    Each window is reconciled with the errors of the others alone, so that `mint` is not judged by what it learned from; with one
    window there are no others, and `mint` is left out. `wls` weighs by the number of series, as it does when asked for. Levels
    count alike, and every level is measured by its root mean square error relative to that of sums of the parts.

    Parameters
    ----------
    past : {level, and `bottom`}
    windows : R
    """
    if windows < 1:
        return Tried("bottom_up", {}, {}, "The past is too short to try ways to reconcile: sums of the parts are kept (bottom_up).")
    names = [*hierarchy.names, BOTTOM]
    tried = [one for one in candidates if windows > 1 or one != "mint"]
    steps = past[BOTTOM].mean.shape[1] // windows
    squares = {one: np.zeros(len(names)) for one in tried}
    absolutes = {one: np.zeros(len(names)) for one in tried}
    size = np.zeros(len(names))
    for window in range(windows):
        here = np.zeros(windows * steps, dtype=bool)
        here[window * steps: (window + 1) * steps] = True
        means = {name: np.nan_to_num(past[name].mean[:, here]) for name in names}
        others = {name: past[name].error[:, ~here] for name in names}
        closed = ~(means[BOTTOM] > 0) if non_negative else ~np.isfinite(past[BOTTOM].mean[:, here])
        truth = {name: past[name].mean[:, here] + past[name].error[:, here] for name in names}
        size += [float(np.nansum(np.abs(truth[name]))) for name in names]
        for one in tried:
            bottom = reconciled_means(means[BOTTOM], hierarchy, upper={name: means[name] for name in hierarchy.names}, method=one,
                                      errors=others if one == "mint" else {}, non_negative=non_negative, closed=closed)
            for i, (level, sums) in enumerate(hierarchy.sums(bottom)):
                error = truth[level.name] - sums
                squares[one][i] += np.nansum(error**2)
                absolutes[one][i] += np.nansum(np.abs(error))
    base = squares["bottom_up"]
    counted = base > 0
    scores: dict[str, float] = {
        one: float(np.sqrt(squares[one][counted] / base[counted]).mean()) if counted.any() else 1.0 for one in tried}
    method = min(tried, key=lambda one: scores[one])  # the first of equals: bottom_up
    by_level: dict[str, dict[str, float]] = {
        one: {name: float(absolutes[one][i] / size[i]) for i, name in enumerate(names) if size[i] > 0} for one in tried}
    said = ", ".join(f"{one} {scores[one]:.3f}" for one in tried)
    told = (f"Ways to reconcile, tried on {windows} window{'s' * (windows != 1)} of the past (error relative to sums of the parts, "
            f"mean over {len(names)} levels): {said}. {method} is kept.")
    return Tried(method, scores, by_level, told)

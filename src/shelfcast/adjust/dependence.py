"""Samples of many series that move together as past errors did.

Quantile forecasts say how far each series may stray, not whether they stray together, and quantiles of sums depend on that. The
Schaake shuffle (Clark et al. 2004; an empirical copula, Schefzik, Thorarinsdottir and Gneiting 2013) borrows the dependence from
the past: member m of the sample stands at the rank, in each series, that the past error of one and the same period has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from shelfcast.errors import DataError, SettingsError

MEMBERS: Final = 200  # of a sample: its 0.01 quantile is its second lowest member
_FEWEST: Final = 8  # errors from which ranks are worth borrowing
_HELD: Final = 4_096  # series at a time, so that the work space stays small


@dataclass(frozen=True, eq=False)
class Dependence:
    """Where each member of a sample stands in each series.

    Attributes
    ----------
    ranks : int (N, T): rank of each past error within its series, from 0; or None when series are drawn independently
    members : S
    seed : of the places within ranks, and of all places when series are independent
    """

    ranks: np.ndarray | None
    members: int = MEMBERS
    seed: int = 0

    @classmethod
    def of(cls, errors: np.ndarray | None, *, members: int = MEMBERS, seed: int = 0) -> Self:
        """From past errors (N, T), columns in the order of time; independent where there are fewer than 8, or None.

        Equal errors (the noughts of slow sellers) are ranked by chance, and so are those that are not known (nan).
        """
        if members < 2:
            raise SettingsError(f"A sample has at least 2 members; got {members}.")
        if errors is None or errors.shape[1] < _FEWEST:
            return cls(None, members, seed)
        ranks = np.empty(errors.shape, dtype=np.int16 if errors.shape[1] < 2**15 else np.int32)
        rng = np.random.default_rng(seed)
        for start in range(0, len(errors), _HELD):
            part = errors[start: start + _HELD].astype(float)
            unknown = ~np.isfinite(part)
            part[unknown] = rng.choice(part[~unknown], size=int(unknown.sum())) if (~unknown).any() else 0.0
            order = np.lexsort((rng.random(part.shape), part), axis=1)
            np.put_along_axis(ranks[start: start + _HELD], order, np.arange(part.shape[1], dtype=ranks.dtype)[None, :], axis=1)
        return cls(ranks, members, seed)

    def places(self, rows: slice, step: int) -> np.ndarray:
        """float (n, S) in (0, 1): probabilities at which the members stand in some series at a step of the horizon, from 0.

        Member m walks through the past from its own first period on, one period for each step, so that a path keeps the order of
        time; each period is walked by equally many members (as far as S / T is whole).
        """
        rng = np.random.default_rng([self.seed, step, rows.start])
        if self.ranks is None:
            n = rows.stop - rows.start
            strata = rng.permuted(np.broadcast_to(np.arange(self.members), (n, self.members)), axis=1)
            return (strata + rng.random(strata.shape)) / self.members
        periods = self.ranks.shape[1]
        first = np.arange(self.members) * periods // self.members if self.members < periods else np.arange(self.members) % periods
        ranks = self.ranks[rows][:, (first + step) % periods]
        return (ranks + rng.random(ranks.shape)) / periods


def draw(quantiles: np.ndarray, levels: Sequence[float], mean: np.ndarray, *, places: np.ndarray) -> np.ndarray:
    """Samples (n, S) at the given places, with the given means.

    The quantile function is a straight line between levels and flat beyond the outermost. What the flat ends and the lines miss of
    the mean is made good by a factor where all quantiles and the mean are above nought, else by a shift.

    Parameters
    ----------
    quantiles : float (n, Q), units, not falling along Q
    levels : (Q,), rising
    mean : float (n,), units
    places : float (n, S), in (0, 1)
    """
    if places.shape[0] != len(quantiles):
        raise DataError(f"Places are for {places.shape[0]:,} series, quantiles for {len(quantiles):,}.")
    at = np.asarray(levels, dtype=float)
    upper = np.clip(np.searchsorted(at, places), 1, max(len(at) - 1, 1)) if len(at) > 1 else np.zeros(places.shape, dtype=np.intp)
    lower = np.maximum(upper - 1, 0)
    low, high = np.take_along_axis(quantiles, lower, axis=1), np.take_along_axis(quantiles, upper, axis=1)
    width = at[upper] - at[lower]
    share = np.clip((places - at[lower]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    sample = low + (high - low) * share
    drawn = sample.mean(axis=1)
    scales = (quantiles[:, 0] >= 0) & (mean >= 0) & (drawn > 0)
    factor = np.divide(mean, drawn, out=np.ones_like(drawn), where=scales)
    return np.asarray(sample * factor[:, None] + np.where(scales, 0.0, mean - drawn)[:, None])

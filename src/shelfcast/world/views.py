"""Other views of the same books: by week or month, and summed over items or places."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from shelfcast.periods import Frequency
from shelfcast.world.ledger import Covariate, Ledger, Texts

MEAN, SUM, MOST, LAST = "mean", "sum", "most", "last"
"""How a covariate's values become one: averaged, added up, the largest, the last."""


def weekly(ledger: Ledger, *, how: Mapping[str, str], anchor: int = 0) -> Ledger:
    """Whole weeks that begin on a weekday (0 Monday); days at both ends that fill no week are left out.

    Sales and truth are added up: a week has a row if every day of it has one, and a truth if one day of it has one.

    Parameters
    ----------
    how : {covariate: how its days become one}; averaged where not named; texts: the last that is not the usual first of names
    """
    frequency = Frequency("W", anchor)
    skip = int((-(ledger.first + 3 - anchor)) % 7)
    weeks = (ledger.sold.shape[1] - skip) // 7
    first = (ledger.first + skip + 3 - anchor) // 7

    def parts(values: np.ndarray) -> np.ndarray:
        return values[..., skip:skip + 7 * weeks].reshape(*values.shape[:-1], weeks, 7)

    row = np.asarray(parts(ledger.row).min(axis=-1), dtype=bool)
    return replace(
        ledger, frequency=frequency, first=first, sold=np.where(row, np.nan_to_num(parts(ledger.sold)).sum(axis=-1), np.nan),
        truth=np.where(row, _sum_of_known(parts(ledger.truth)), np.nan), row=row,
        demand=None if ledger.demand is None else np.where(row, _sum_of_known(parts(ledger.demand)), np.nan),
        known={k: _one(v, parts, how.get(k, MEAN)) for k, v in ledger.known.items()},
        past={k: _one(v, parts, how.get(k, MEAN)) for k, v in ledger.past.items()},
        closed_when=ledger.closed_when)


def _one(values: Covariate, parts: object, how: str) -> Covariate:
    if isinstance(values, Texts):
        codes = parts(values.codes)  # type: ignore[operator]
        return Texts(codes.max(axis=-1), values.names)
    split = parts(values)  # type: ignore[operator]
    if how == SUM:
        return split.sum(axis=-1)
    if how == MOST:
        return split.max(axis=-1)
    return split[..., -1] if how == LAST else split.mean(axis=-1)


def _sum_of_known(values: np.ndarray) -> np.ndarray:
    """Sums over the last axis of what is known; nan where nothing is."""
    known = np.isfinite(values)
    return np.where(known.any(axis=-1), np.where(known, values, 0.0).sum(axis=-1), np.nan)

"""Other views of the same books: by week or month, and summed over items or places.

Sales, demand and truth are added up, so that every view tells of the same units.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final

import numpy as np

from shelfcast.names import ALL
from shelfcast.periods import Frequency
from shelfcast.world.feasts import EPOCH
from shelfcast.world.ledger import Covariate, Ledger, Texts

MEAN: Final = "mean"
SUM: Final = "sum"
MOST: Final = "most"
LAST: Final = "last"
"""How the values of a covariate become one: averaged, added up, the largest, the last."""


def weekly(ledger: Ledger, *, how: Mapping[str, str], anchor: int = 0) -> Ledger:
    """Daily books by whole weeks that begin on a weekday (0 Monday); days at both ends that fill no week are left out.

    Parameters
    ----------
    how : {covariate: how its days become one}; averaged where not named
    """
    skip = int((-(ledger.first + 3 - anchor)) % 7)
    starts = np.arange(skip, ledger.sold.shape[1] - 6, 7)
    return _longer(ledger, Frequency("W", anchor), (ledger.first + skip + 3 - anchor) // 7, starts, int(starts[-1]) + 7, how)


def monthly(ledger: Ledger, *, how: Mapping[str, str]) -> Ledger:
    """Daily books by whole calendar months; `how` as for weeks."""
    begin, end = (date.fromordinal(EPOCH + ledger.first + t) for t in (0, ledger.sold.shape[1]))
    first = 12 * begin.year + begin.month - 1 + (begin.day > 1)
    edges = np.array([date(m // 12, m % 12 + 1, 1).toordinal() - EPOCH - ledger.first
                      for m in range(first, 12 * end.year + end.month)])
    return _longer(ledger, Frequency("M"), first, edges[:-1], int(edges[-1]), how)


def _longer(ledger: Ledger, frequency: Frequency, first: int, starts: np.ndarray, end: int, how: Mapping[str, str]) -> Ledger:
    """Longer periods, which begin at columns `starts`. One has a row if each of its days has, and a truth if a day has one."""
    def parts(values: np.ndarray, ufunc: np.ufunc) -> np.ndarray:
        return np.asarray(ufunc.reduceat(values[..., :end], starts, axis=-1))

    row = parts(ledger.row, np.logical_and)

    def total(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values)
        added = parts(np.where(known, values, 0.0), np.add)
        return np.where(row & parts(known, np.logical_or), added, np.nan)

    def one(values: Covariate, way: str) -> Covariate:
        if isinstance(values, Texts):
            return Texts(parts(values.codes, np.maximum), values.names)  # a name before none
        if way == LAST:
            return values[..., np.append(starts[1:], end) - 1]
        if way == MOST:
            return parts(values, np.maximum)
        return parts(values, np.add) / (1.0 if way == SUM else np.diff(np.append(starts, end)))

    return replace(
        ledger, frequency=frequency, first=first, sold=total(ledger.sold), truth=total(ledger.truth), row=row,
        demand=None if ledger.demand is None else total(ledger.demand),
        closed=None if ledger.closed is None else parts(ledger.closed, np.logical_and),
        known={k: one(v, how.get(k, MEAN)) for k, v in ledger.known.items()},
        past={k: one(v, how.get(k, MEAN)) for k, v in ledger.past.items()})


def over_places(ledger: Ledger) -> Ledger:
    """Each item everywhere: one place, called `all`; covariates are averaged over the series that have a row."""
    closed = None if ledger.closed is None else np.asarray(ledger.closed.min(axis=0, keepdims=True), dtype=bool)
    return replace(_summed(ledger, ledger.item_of, np.arange(len(ledger.items)), np.zeros(len(ledger.items), dtype=int)),
                   places=(ALL,), place_facts={}, closed=closed)


def over_items(ledger: Ledger, group_of: np.ndarray, groups: tuple[str, ...]) -> Ledger:
    """Groups of items instead of items, at each place.

    Parameters
    ----------
    group_of : (K,), position of an item's group in `groups`; names in rising order
    """
    places = len(ledger.places)
    code = group_of[ledger.item_of] * places + ledger.place_of
    present = np.unique(code)
    return replace(_summed(ledger, np.searchsorted(present, code), present // places, present % places),
                   items=groups, item_facts={})


def _summed(ledger: Ledger, code: np.ndarray, item_of: np.ndarray, place_of: np.ndarray) -> Ledger:
    """Sums of series with the same code, (N,), positions 0 to G - 1; what was on the shelves of many is not told."""
    members = (np.arange(len(item_of))[:, None] == code[None, :]).astype(np.float64)
    row = members @ ledger.row > 0

    def total(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values)
        return np.where(members @ known > 0, members @ np.where(known, values, 0.0), np.nan)

    def mean(values: Covariate) -> Covariate:
        numbers = values.codes if isinstance(values, Texts) else values
        if numbers.ndim == 1:
            return values
        if isinstance(values, Texts):  # texts come by place: those of the first place are kept
            return Texts(numbers[place_of] if len(numbers) == len(ledger.places) else numbers[:len(item_of)], values.names)
        full = np.where(ledger.row, np.nan_to_num(ledger.cells(numbers)), 0.0)
        return members @ full / np.maximum(members @ ledger.row, 1.0)

    return replace(ledger, item_of=item_of, place_of=place_of, sold=total(ledger.sold), truth=total(ledger.truth), row=row,
                   demand=None, past={}, known={k: mean(v) for k, v in ledger.known.items()})

"""Top-down: one forecast of the whole, handed down by shares (Athanasopoulos, Ahmed and Hyndman 2009)."""

from collections.abc import Sequence

import numpy as np

from shelfcast.data.hierarchy import Level


def nested_chain(levels: Sequence[Level]) -> list[Level]:
    """Levels from the coarsest down, each splitting the nodes of the one before; levels that cross the chain are left out."""
    chain: list[Level] = []
    for level in sorted(levels, key=len):
        if not chain or (parents(chain[-1], level) is not None and len(level) > len(chain[-1])):
            chain.append(level)
    return chain


def parents(upper: Level, lower: Level) -> np.ndarray | None:
    """int (K of lower,): the node of `upper` that holds each node of `lower`; None where one is in several."""
    found = np.zeros(len(lower), dtype=np.int64)
    found[lower.codes] = upper.codes
    return found if np.array_equal(found[lower.codes], upper.codes) else None


def hand_down(whole: np.ndarray, shares: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Forecasts (K', H) of children from those of their parents (K, H).

    Parameters
    ----------
    shares : float (K', H) or (K', 1), >= 0, in any unit: they are made to sum to 1 over the children of each parent; where
        all are nought, children get equal parts
    parent : int (K',)
    """
    shares = np.maximum(np.broadcast_to(shares, (len(parent), whole.shape[1])), 0.0)
    totals = np.zeros_like(whole)
    np.add.at(totals, parent, shares)
    children = np.bincount(parent, minlength=len(whole))[parent][:, None]
    return whole[parent] * np.where(totals[parent] > 0, shares / np.where(totals > 0, totals, 1.0)[parent], 1.0 / children)

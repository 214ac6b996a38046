"""What goes wrong in books of any kind: another unit from some day on, days written as zero that nobody reported."""

from dataclasses import replace

import numpy as np

from shelfcast.world.dice import Dice
from shelfcast.world.ledger import Ledger


def with_mishaps(ledger: Ledger, dice: Dice) -> Ledger:
    """The same books with rare mishaps."""
    if dice.on("unit_changes", 0.03):
        ledger = _in_other_units(ledger, dice.stream("unit_changes"))
    if dice.on("gaps_as_zeros", 0.06):
        ledger = _zeros_for_gaps(ledger, dice.stream("gaps_as_zeros"))
    return ledger


def _in_other_units(ledger: Ledger, rng: np.random.Generator) -> Ledger:
    """From some period on, a few series or all are counted in cases instead of pieces, or in thousands: truth moves with them."""
    n, steps = ledger.sold.shape
    at = rng.integers(0, steps, (n, 1)) if rng.random() < 0.5 else int(rng.integers(0, steps))
    who = rng.random((n, 1)) < rng.choice([0.02, 0.1, 1.0])
    who[int(rng.integers(n))] = True
    factor = np.where(who & (np.arange(steps) >= at), rng.choice([1 / 12, 1 / 6, 1 / 2, 2.0, 6.0, 10.0, 12.0]), 1.0)
    return replace(ledger, sold=ledger.sold * factor, truth=ledger.truth * factor,
                   demand=None if ledger.demand is None else ledger.demand * factor)


def _zeros_for_gaps(ledger: Ledger, rng: np.random.Generator) -> Ledger:
    """Now and then a place reports nothing for a few periods, and the books say zero: nobody knows what was sold."""
    shape = len(ledger.places), ledger.sold.shape[1]
    silent = rng.random(shape) < rng.uniform(0.0005, 0.004)
    for lag in range(1, int(rng.integers(1, 5))):
        silent[:, lag:] |= silent[:, :-lag]
    lost = silent[ledger.place_of]
    return replace(ledger, sold=np.where(lost & ledger.row, 0.0, ledger.sold), truth=np.where(lost, np.nan, ledger.truth))

"""Chance for one drawn world: a stream for each name, and a list of which mechanisms came up.

Each name has a stream of its own, so that a mechanism switched off leaves the rest of the world as it was.
"""

from collections.abc import Collection
from zlib import crc32

import numpy as np

from shelfcast.errors import SettingsError


class Dice:
    """The chance of one world.

    Parameters
    ----------
    seed : whole number from 0 on
    without : mechanisms that must not come up

    Examples
    --------
    >>> dice = Dice(3, without=("promotions",))
    >>> dice.on("promotions", 1.0), dice.on("weather", 1.0), dice.mechanisms
    (False, True, ('weather',))
    """

    def __init__(self, seed: int, *, without: Collection[str] = ()) -> None:
        if seed < 0:
            raise SettingsError(f"The seed is {seed}; choose a whole number from 0 on.")
        self._seed, self._without, self._on = seed, frozenset(without), dict[str, None]()

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What came up so far, in the order in which it was asked for."""
        return tuple(self._on)

    def stream(self, name: str) -> np.random.Generator:
        """The stream of a name, from its beginning; the same seed and name give the same numbers on every machine (PCG64)."""
        return np.random.default_rng([self._seed, crc32(name.encode())])

    def on(self, mechanism: str, chance: float) -> bool:
        """Whether a mechanism is part of this world; it is written down if so."""
        if mechanism in self._without or self.stream(f"on {mechanism}").random() >= chance:
            return False
        self._on[mechanism] = None
        return True

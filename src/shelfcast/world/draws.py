"""Chance as an input: every random number the simulated retailer uses, by name.

The mechanics in the other files are plain arithmetic on these numbers, so that the same world can be made with numpy or
with torch on a GPU, and a test can hand both the same chance. Each name has a stream of its own, seeded by the name, so
that a new mechanism changes none of the others, and switching one off leaves the rest of the world as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final
from zlib import crc32

import numpy as np

from shelfcast.errors import MissingExtraError, SettingsError
from shelfcast.world.arrays import Array

NORMAL: Final = "normal"  # mean 0, variance 1
UNIFORM: Final = "uniform"  # [0, 1)

DRAWS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    # places
    "region_centre": (UNIFORM, "R2"), "place_offset": (NORMAL, "P2"), "place_size": (NORMAL, "P"),
    "place_growth": (NORMAL, "P"), "place_opens": (UNIFORM, "P"), "place_opened": (UNIFORM, "P"),
    "place_sunday": (UNIFORM, "P"), "place_zone": (NORMAL, "P"),
    # items
    "item_level": (NORMAL, "K"), "item_price": (NORMAL, "K"), "item_margin": (UNIFORM, "K"), "item_trend": (NORMAL, "K"),
    "item_new": (UNIFORM, "K"), "item_launched": (UNIFORM, "K"), "item_gone": (UNIFORM, "K"),
    "item_withdrawn": (UNIFORM, "K"), "item_season": (NORMAL, "K"), "item_peak": (NORMAL, "K"),
    "item_weather": (NORMAL, "K"), "item_elasticity": (NORMAL, "K"), "item_uplift": (NORMAL, "K"),
    "item_dip": (UNIFORM, "K"), "item_rival": (UNIFORM, "K"), "item_spread": (NORMAL, "K"), "item_sparse": (UNIFORM, "K"),
    "item_zeros": (UNIFORM, "K"), "item_lumpy": (UNIFORM, "K"), "item_lump": (UNIFORM, "K"), "item_pack": (UNIFORM, "K"),
    "item_lead": (UNIFORM, "K"), "item_cadence": (UNIFORM, "K"), "item_phase": (UNIFORM, "K"),
    "item_duration": (UNIFORM, "K"),
    # categories
    "category_week": (NORMAL, "G7"), "category_holiday": (NORMAL, "GH"), "category_payday": (UNIFORM, "G"),
    # series: an item at a place
    "series_listed": (UNIFORM, "N"), "series_level": (NORMAL, "N"), "series_elasticity": (NORMAL, "N"),
    "series_uplift": (NORMAL, "N"), "series_week": (NORMAL, "N7"), "series_safety": (NORMAL, "N"),
    # paths
    "weather_region": (NORMAL, "RT"), "weather_place": (NORMAL, "PT"), "step_day": (UNIFORM, "KJ"),
    "step_size": (NORMAL, "KJ"), "promotion_shift": (UNIFORM, "KE"), "promotion_depth": (UNIFORM, "KE"),
    "promotion_joins": (UNIFORM, "NE"), "shock_day": (UNIFORM, "S"), "shock_origin": (UNIFORM, "S"),
    "shock_size": (NORMAL, "S"), "shock_speed": (UNIFORM, "S"), "shock_life": (UNIFORM, "S"),
    "wander": (NORMAL, "NT"), "crowd": (NORMAL, "NT"), "crowd_root": (UNIFORM, "NT"), "count": (UNIFORM, "NT"),
    "count_many": (NORMAL, "NT"), "nobody": (UNIFORM, "NT"), "outlier": (UNIFORM, "NT"), "outlier_size": (UNIFORM, "NT"),
    "till_fails": (UNIFORM, "PT"), "line_lost": (UNIFORM, "NT"), "delivery_fails": (UNIFORM, "NT"),
    "irrelevant_walk": (NORMAL, "1T"), "irrelevant_flag": (UNIFORM, "PT"),
})
"""Name: law and shape. P places, K items, G categories, R regions, N series, T days, E promotions and J price steps of an
item, S shocks, H kinds of holiday; a digit is itself."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many there are of everything; the letters are those of `DRAWS`."""

    P: int
    K: int
    G: int
    R: int
    N: int
    T: int
    E: int
    J: int
    S: int
    H: int

    def shape(self, axes: str) -> tuple[int, ...]:
        """The lengths behind a string of axis letters."""
        return tuple(int(a) if a.isdigit() else getattr(self, a) for a in axes)


@dataclass(frozen=True)
class Draws:
    """All random numbers of one world.

    Attributes
    ----------
    sizes : how long the axes are
    values : {name of `DRAWS`: array}, all of one kind and type
    """

    sizes: Sizes
    values: Mapping[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.values[name]


def draw(sizes: Sizes, seed: int) -> Draws:
    """Random numbers by numpy; the same seed and sizes give the same numbers on every machine (PCG64)."""
    _check(sizes, seed)
    values = {}
    for name, (law, axes) in DRAWS.items():
        stream = np.random.default_rng([seed, crc32(name.encode())])
        shape = sizes.shape(axes)
        values[name] = stream.standard_normal(shape) if law == NORMAL else stream.random(shape)
    return Draws(sizes, MappingProxyType(values))


def draw_torch(sizes: Sizes, seed: int, *, device: Any = "cpu", dtype: Any = None) -> Draws:
    """Random numbers by torch, made on the device; other numbers than numpy's, of the same laws.

    Parameters
    ----------
    device : a torch device or its name
    dtype : a torch type; float32 if None
    """
    _check(sizes, seed)
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("A world on torch", "train", "torch") from error
    values = {}
    for name, (law, axes) in DRAWS.items():
        # Mixed, since torch on the CPU takes the low 32 bits of a seed alone.
        state = np.random.SeedSequence([seed, crc32(name.encode())]).generate_state(1, np.uint64)
        stream = torch.Generator(device=device).manual_seed(int(state[0]) & (2**63 - 1))
        make = torch.randn if law == NORMAL else torch.rand
        values[name] = make(sizes.shape(axes), generator=stream, device=device, dtype=dtype or torch.float32)
    return Draws(sizes, MappingProxyType(values))


def _check(sizes: Sizes, seed: int) -> None:
    if seed < 0:
        raise SettingsError(f"The seed is {seed}; choose a whole number from 0 on.")
    for f in fields(sizes):
        if getattr(sizes, f.name) < 1:
            raise SettingsError(f"A world with {getattr(sizes, f.name)} on axis {f.name} is empty; choose at least 1.")

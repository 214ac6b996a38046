"""What windows are made with: covariates, pooled knowledge, places and names, as they are known of one panel."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl

from shelfcast.features.block import Block, make_block
from shelfcast.features.likeness import residuals, usual_pull
from shelfcast.features.places import NOBODY, Places, level_around, links, rows_of
from shelfcast.features.pooled import Pooled, group_codes
from shelfcast.features.scheme import Scheme
from shelfcast.names import ITEM, LOCATION
from shelfcast.nn.channels import Bands, Expect, Snapshot, Telling, snapshot
from shelfcast.panel import SalesPanel

MOST_PLACES = 64  # of a group
_SPREAD_KM = 200.0  # over which a coordinate becomes one unit of input


@dataclass(frozen=True)
class Who:
    """Which series there are. N series, as in the panel.

    Attributes
    ----------
    run : int (N,), rising number of the item
    place, rank : int (N,), position in the table of places, and along the curve that orders them
    item, location : int (N,), identities from 1, 0 where never seen in training
    where : float (N, 3), scaled latitude and longitude, and 1 where they are known
    nearby : float (N,), how much more places around sell than usual places do, in logs; see `level_around`
    """

    run: np.ndarray
    place: np.ndarray
    rank: np.ndarray
    item: np.ndarray
    location: np.ndarray
    where: np.ndarray
    nearby: np.ndarray

    def take(self, rows: np.ndarray) -> Self:
        """Some of the series."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Surroundings:
    """What windows of a panel are made with.

    Attributes
    ----------
    scheme, layout, expect : learned in training: covariates, channels, and the forecast from which the network starts
    names : {item, location: table of the names seen in training, with their codes}
    pooled : knowledge pooled over the panel's series as of its cutoff
    places, residuals, pull : of the panel; see `features.likeness`
    nearby : float (P,), log level of the places around each, without itself
    middle : float (2,), latitude and longitude around which coordinates are told
    most_places : of a group
    bands : tells how past errors lay around the forecast from which the network starts; None where nobody asks
    """

    scheme: Scheme
    layout: Telling
    expect: Expect
    names: dict[str, pl.DataFrame]
    pooled: Pooled
    places: Places
    residuals: np.ndarray
    pull: float
    nearby: np.ndarray
    middle: np.ndarray
    most_places: int = MOST_PLACES
    bands: Bands | None = None

    @classmethod
    def of(cls, panel: SalesPanel, pooled: Pooled, *, scheme: Scheme, layout: Telling, expect: Expect,
           names: dict[str, pl.DataFrame], like: Mapping[str, Any] | None = None, most_places: int = MOST_PLACES) -> Self:
        """Of a panel; `like` is the `geography` of training when that is over."""
        places = Places.of(panel) if like is None else _as_learned(panel, like)
        own = residuals(pooled.group_index[LOCATION], half=max(2, scheme.rhythm.recent // 2))
        located = places.spots[places.located]
        around = np.array(like["middle"]) if like is not None else _middle(located)
        rows = rows_of(places, own, pooled.keys[LOCATION][LOCATION])
        pull = usual_pull(rows) if like is None else like["pull"]
        return cls(scheme, layout, expect, names, pooled, places, rows, pull, _nearby(places, pooled), around, most_places)

    @property
    def geography(self) -> dict[str, Any]:
        """What a network learned to read of places, as plain values: it must be told the same later."""
        return {"middle": self.middle.tolist(), "km": self.places.scale, "region": self.places.attribute, "pull": self.pull,
                "located": bool(self.places.located.any())}

    def who(self, series: pl.DataFrame) -> Who:
        """Which series a table of items and locations (sorted, as a panel's) holds."""
        place = self.places.codes(series[LOCATION])
        rank = np.empty(len(self.places), dtype=np.int64)
        rank[self.places.order()] = np.arange(len(self.places))
        codes = group_codes(series, self.names)
        identity = {k: np.where(codes[k] < self.names[k].height, codes[k] + 1, 0) for k in codes}
        spots = self.places.spots - self.middle
        spots[:, 1] = ((spots[:, 1] + 180) % 360 - 180) * np.cos(np.radians(self.middle[0]))  # the short way around the globe
        told = np.column_stack([np.clip(np.nan_to_num(spots) * 111.2 / _SPREAD_KM, -5, 5), self.places.located])
        run = series[ITEM].rle_id().to_numpy().astype(np.int64)
        return Who(run, place, rank[place], identity[ITEM], identity[LOCATION], told[place], self.nearby[place])

    def block_of(self, panel: SalesPanel, *, context: int, horizon: int) -> Block:
        """A run of series as arrays."""
        return make_block(panel, self.scheme, context=context, horizon=horizon, keys=self.pooled.keys)

    def mirror(self, block: Block) -> tuple[Block, Self]:
        """A block and what surrounds it with time running backwards, as far back as what is pooled reaches."""
        last = block.first + block.sales.shape[1] - 1
        turned = block.mirror(min(last - self.pooled.first + 1, block.sales.shape[1]))
        return turned, replace(self, pooled=self.pooled.mirror(last))

    def look(self, block: Block, who: Who, *, origin: int, hidden: np.ndarray | None = None, last: int | None = None,
             steps: int | None = None) -> Snapshot:
        """Stand at a column of a block; see `snapshot`."""
        return snapshot(block, self.pooled, self.scheme, self.layout, origin=origin, expect=self.expect, where=who.where,
                        nearby=who.nearby, names=(who.item, who.location), hidden=hidden, last=last, steps=steps,
                        bands=self.bands)

    def links(self, which: np.ndarray, upto: np.ndarray) -> np.ndarray:
        """float32 (G, K, K, R): relations of places at positions (G, K), -1 for none, by `upto` (G,) columns of the past."""
        return links(self.places, which, residuals=self.residuals, upto=upto, pull=self.pull)


def _as_learned(panel: SalesPanel, like: Mapping[str, Any]) -> Places:
    """A panel's places as training was told of such: a network has no use for coordinates or regions that it never learned."""
    attribute = like["region"] if panel.places is not None and like["region"] in panel.places.columns else None
    places = Places.of(panel, region=attribute, scale=like["km"])
    if attribute is None:
        places = replace(places, region=np.full(len(places), NOBODY), regions=(), attribute=None)
    return places if like.get("located", True) else replace(places, spots=np.full_like(places.spots, np.nan))


def _middle(spots: np.ndarray) -> np.ndarray:
    """(2,), latitude and longitude in the middle of spots (K, 2); of longitudes the direction of their mean on the circle."""
    if not len(spots):
        return np.zeros(2)
    turn = np.radians(spots[:, 1])
    return np.array([spots[:, 0].mean(), np.degrees(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean()))])


def _nearby(places: Places, pooled: Pooled) -> np.ndarray:
    """float (P,): `level_around` with what is known of each place's level; 0 where nobody around has one."""
    levels = np.full(len(places), np.nan)
    at = places.codes(pooled.keys[LOCATION][LOCATION])
    sold = np.asarray(pooled.group_levels[LOCATION][:-1], dtype=float)
    levels[at[at >= 0]] = np.where(sold[at >= 0] != 0.0, sold[at >= 0], np.nan)  # exactly 0: none of its series has ever sold
    return level_around(places, levels)

"""By what scores are told apart: demand class, age, place, attributes of items and places, promotion, step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.classes import CLASSES, demand_classes
from shelfcast.data.split import Window
from shelfcast.names import ITEM, LATITUDE, LOCATION, LONGITUDE, WITHDRAWN
from shelfcast.panel import SalesPanel

AGES: Final = ("new", "old")
MOST_GROUPS: Final = 500  # of an attribute; one with more tells products apart rather than kinds of them
_NO_GROUPS: Final = {ITEM, LOCATION, LATITUDE, LONGITUDE, WITHDRAWN}


@dataclass(frozen=True, eq=False)
class Grouping:
    """One way to tell N series apart.

    Attributes
    ----------
    kind : `all`, `class`, `age`, `location`, `item:NAME` or `location:NAME` for attributes
    names : of the groups
    codes : int (N,), the group of each series
    fine : few groups, so that they are also measured level by level
    """

    kind: str
    names: list[str]
    codes: np.ndarray
    fine: bool = False


def groupings(window: Window) -> list[Grouping]:
    """Every way in which the series of a window are told apart."""
    past = window.past
    found = [Grouping("all", ["all"], np.zeros(len(past), dtype=np.intp), fine=True),
             _coded("class", demand_classes(past), CLASSES, fine=True),
             _coded("age", pl.Series(np.where(is_new(window), *AGES)), AGES, fine=True),
             _coded(LOCATION, past.series[LOCATION].cast(pl.String))]
    for key, table in ((ITEM, past.items), (LOCATION, past.places)):
        for name in attributes(table):
            labels = past.series.select(key).join(table.select(key, pl.col(name).cast(pl.String)), on=key, how="left",  # type: ignore[union-attr]
                                                  maintain_order="left")[name].fill_null("unknown")
            found.append(_coded(f"{key}:{name}", labels))
    return found


def attributes(table: pl.DataFrame | None) -> list[str]:
    """Columns that put items or places into a few groups: texts and whole numbers with 2 to `MOST_GROUPS` different values, fewer
    than there are rows."""
    if table is None:
        return []
    return [c for c, kind in table.schema.items()
            if c not in _NO_GROUPS and (kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean) or kind.is_integer())
            and 2 <= table[c].n_unique() <= min(MOST_GROUPS, table.height - 1)]


def is_new(window: Window) -> np.ndarray:
    """bool (N,): the series' history is shorter than a season and than two horizons, whichever is longer.

    So short a history has neither met each phase of the season nor held a window of this horizon with a past before it.
    """
    age = window.ends - window.past.series["start"].to_numpy() + 1
    return age < max(scaling_season(window.past), window.past.frequency.season, 2 * window.horizon)


def scaling_season(panel: SalesPanel) -> int:
    """The lag, in periods, of the naive error that MASE and SQL are scaled by: as fev, 1 for weeks, else the frequency's own."""
    return 1 if panel.frequency.unit == "W" else panel.frequency.season


def _coded(kind: str, labels: pl.Series, order: Sequence[str] | None = None, *, fine: bool = False) -> Grouping:
    """Groups in the given order, else in the order of first appearance."""
    present = labels.unique(maintain_order=True).to_list()
    names = present if order is None else [name for name in order if name in set(present)]
    codes = labels.replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy().astype(np.intp)
    return Grouping(kind, names, codes, fine)

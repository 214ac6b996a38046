"""The levels of the M5 competition, against which the measures over levels are held."""

import polars as pl

from shelfcast.data.hierarchy import Hierarchy
from shelfcast.names import ITEM, KEYS, LOCATION


def m5_hierarchy(series: pl.DataFrame) -> Hierarchy:
    """The 12 levels of the M5 competition, the bottom among them, read from its names: `HOBBIES_1_001` at `CA_1`.

    total, state, store (`location`), category, department, item, and each of the three kinds of item x state and x store
    (Makridakis, Spiliotis, Assimakopoulos 2022, table 1); `item x location` is the bottom.
    """
    names = tuple(series[key].cast(pl.String).unique(maintain_order=True) for key in KEYS)
    department = names[0].str.extract(r"^(.*)_\d+$")
    items = pl.DataFrame({ITEM: names[0], "department": department, "category": department.str.extract(r"^(.*)_\d+$")})
    places = pl.DataFrame({LOCATION: names[1], "state": names[1].str.extract(r"^(.*)_\d+$")})
    return Hierarchy.of(series.with_columns(pl.col(KEYS).cast(pl.String)), items=items, places=places,
                        item_levels=("category", "department", ITEM), place_levels=("state", LOCATION), keep_equal=True)

"""Series ids that hold an item and a location: `bread/Oslo`, as `to_nixtla` and `to_autogluon` write them.

They are read back into the two if every id has exactly one `/`. Ids of Nixtla's hierarchies have none at the top and several
below, so those stay whole.
"""

from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from shelfcast.data.columns.dialects import names_of
from shelfcast.data.columns.typed import WHOLE
from shelfcast.data.sources.dialect import Dialect
from shelfcast.errors import shorten
from shelfcast.names import ITEM, LOCATION

_ONE_SLASH = r"^[^/]+/[^/]+$"


def parts_of(column: str) -> dict[str, str]:
    """{item, location: name of the column that holds this part of an id}.

    >>> parts_of("unique_id")
    {'item': 'unique_id before /', 'location': 'unique_id after /'}
    """
    return {ITEM: f"{column} before /", LOCATION: f"{column} after /"}


def are_parts(columns: Iterable[str | None]) -> bool:
    """Whether the sales' item column is the first part of an id."""
    return any(c is not None and c.endswith(" before /") for c in columns)


def split_ids(frame: pl.LazyFrame, dialect: Dialect) -> tuple[pl.LazyFrame, Dialect]:
    """The two parts as columns, and a dialect that takes them for item and location; both as they were where ids are no such pairs.

    Parts that are whole numbers throughout become numbers, as in any source that has texts alone.
    """
    schema = frame.collect_schema()
    column = names_of(schema).get(dialect.joined or "")
    whole = replace(dialect, joined=None)
    if column is None or schema[column] != pl.String:
        return frame, whole
    ids = frame.select(pl.col(column).unique()).collect(engine="streaming")[column].drop_nulls()
    if not len(ids) or not ids.str.contains(_ONE_SLASH).all():
        return frame, whole
    pair = pl.col(column).str.splitn("/", 2)
    parts = parts_of(column)
    columns = []
    for field, name in zip(("field_0", "field_1"), parts.values(), strict=True):
        numbers = ids.str.splitn("/", 2).struct.field(field).str.contains(WHOLE).all()
        part = pair.struct.field(field)
        columns.append((part.cast(pl.Int64) if numbers else part).alias(name))
    note = (f"Every {shorten(column, 40)} has one /: what stands before it is the item, and what stands after it the location. "
            f"To keep it whole: --columns item={shorten(column, 40)}")
    roles = {**dialect.roles, **{role: name.lower() for role, name in parts.items()}}
    return frame.with_columns(columns), replace(dialect, roles=roles, notes=(note,))

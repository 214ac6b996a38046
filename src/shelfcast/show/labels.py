"""What items and places are called on the page: the key, and beside it the name that their attributes give."""

from typing import Any, Final

import polars as pl

from shelfcast.names import ALL, ITEM, KEYS, LOCATION
from shelfcast.panel import SalesPanel
from shelfcast.show import numerals

NAMING: Final = ("name", "description")  # attributes that name a thing, the better first
TOLD: Final = 40  # characters of such a name beside its key


def key_labels(panel: SalesPanel, key: str, values: pl.Series) -> list[str]:
    """A label for each item or place: `I001 Rye bread`, or the key alone where nothing names it.

    Parameters
    ----------
    key : `item` or `location`
    values : keys as in the panel, or as texts
    """
    table = {ITEM: panel.items, LOCATION: panel.places}[key]
    named = {} if table is None else _names(table, key, values)
    return [_label(value, named.get(str(value))) for value in values]


def series_labels(panel: SalesPanel, keys: pl.DataFrame) -> list[str]:
    """A label for each row of a table with item and location: `I001 Rye bread · S01`, without a key that is `all`."""
    labels = [key_labels(panel, key, keys[key]) for key in KEYS]
    out = []
    for values, told in zip(keys.select(KEYS).iter_rows(), zip(*labels, strict=True), strict=True):
        parts = [label for value, label in zip(values, told, strict=True) if str(value) != ALL]
        out.append(" · ".join(parts) if parts else "everything")
    return out


def _names(table: pl.DataFrame, key: str, values: pl.Series) -> dict[str, Any]:
    """{key as a text: its name}, for the few that are shown."""
    column = next((c for c in NAMING if c in table.columns and table.schema[c] in (pl.String, pl.Categorical, pl.Enum)), None)
    if column is None:
        return {}
    texts = table.select(pl.col(key).cast(pl.String), pl.col(column).cast(pl.String))
    return dict(texts.filter(pl.col(key).is_in(values.cast(pl.String).unique().implode())).iter_rows())


def _label(value: object, called: str | None) -> str:
    own = numerals.name(value)
    if called is None or not called.strip() or called.strip() == str(value):
        return own
    return f"{own} {numerals.name(called, TOLD)}"

"""GluonTS's lists: one row a series, with its `start`, and its values as the list `target`."""

import polars as pl

from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.errors import DataError
from shelfcast.periods import Frequency


def _explode(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:
    """One row a series and period."""
    if not isinstance(frame.collect_schema()[names["target"]], pl.List):
        raise DataError(f"The column {names['target']!r} holds no lists, so these are not GluonTS's series. "
                        f"Name the columns: --columns date=...,sales=...")
    if freq is None:
        raise DataError("GluonTS's lists give only the start of each series. Say how long a period is: --freq D")
    start = pl.col(names["start"])
    if frame.collect_schema()[names["start"]] == pl.String:
        text = start.str.replace(" ", "T")
        start = pl.coalesce(text.str.to_datetime(f, strict=False) for f in ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"))
        start = pl.coalesce(start, text.str.to_datetime("%Y-%m-%d", strict=False))
    value = pl.col(names["target"])
    numbered = frame.filter(value.list.len() > 0).with_columns(pl.int_ranges(0, value.list.len()).alias("date"))
    first = freq.number_of(start)
    lists = [c for c, t in frame.collect_schema().items() if isinstance(t, pl.List) and c != names["target"]]
    return (numbered.drop(lists).with_columns(first.alias(names["start"])).explode(names["target"], "date")
            .with_columns(freq.date_of(pl.col(names["start"]) + pl.col("date").cast(pl.Int32)).alias("date")))


LISTS = Dialect(
    name="gluonts",
    title="GluonTS's lists",
    signature=("start", "target"),
    roles={"item": "item_id", "date": "date", "sales": "target"},
    shape="series",
    adapt=_explode,
    notes=("Each list of values became one row a period from its start on.",),
)

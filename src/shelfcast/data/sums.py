"""The panel of a level: what a group of series sold together, with what is known about them."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.hierarchy import Hierarchy, Level
from shelfcast.errors import DataError
from shelfcast.names import ITEM, KEYS, LOCATION, SALES, STOCK
from shelfcast.panel import PERIOD, SERIES, CovariateTable, SalesPanel

_NODE: Final = "node"
_GROUP: Final = "group of "  # + item or location: the label of a series on an axis of the level
_ENOUGH: Final = 0.5  # share of a group's running series whose sales are known, from which on their sum is


def sum_panel(panel: SalesPanel, hierarchy: Hierarchy, level: str) -> SalesPanel:
    """The panel of one level: one series for each of its nodes, in the order of `hierarchy[level].series`.

    - Sales are summed. A series runs from its first row to its last one with sales (to the cutoff where absent means zero). What is
      not known of a running series is left out of the sum while at least half of the running series are known; else the sum
      is not known. What is null in a closed period is a known nought.
    - Covariates that are numbers or true/false become means over the members that have them, each member counting once (weights
      by sales would let later sales speak through earlier covariates); `stock` is summed. So a flag becomes the share of members
      that have it, and a group is closed (0) only where all are. Texts are kept where all members agree, and null elsewhere.
    - Attributes are averaged or kept in the same way over the items and places of a group.

    Parameters
    ----------
    hierarchy : over the series of the panel
    level : one of its levels

    Raises
    ------
    DataError
        If the hierarchy is over other series.
    """
    if not panel.series.select(KEYS).cast(pl.String).equals(hierarchy.series.cast(pl.String)):
        raise DataError(f"The hierarchy is over {hierarchy.series.height:,} series, which are not the {len(panel):,} of the panel. "
                        f"Make it with Hierarchy.of(panel.series, ...).")
    one = hierarchy[level]
    labels = panel.series.select(KEYS).with_columns(one.series[k][one.codes].alias(_GROUP + k) for k in KEYS)
    items, places = (None if table is None else _attributes(table, key, labels)
                     for key, table in ((ITEM, panel.items), (LOCATION, panel.places)))
    held = [c for table in (items, places) if table is not None for c in table.columns]
    covariates = {n: kind for n, kind in panel.covariates.items() if kind != "static" or n in held}
    return SalesPanel.from_periods(
        _rows(panel, one), panel.frequency, cutoff=panel.cutoff, covariates=covariates, absent=panel.absent,
        tables=tuple(_table(t, labels) for t in panel.tables), items=items, places=places, net_of_returns=panel.net_of_returns,
        holds=panel.holds, closed_when=panel.closed_when)


def _rows(panel: SalesPanel, level: Level) -> pl.DataFrame:
    """`item`, `location`, `period`, `sales` and the covariates of the rows, one row for each node and period that has any."""
    rows = panel.rows.with_columns(pl.Series(_NODE, level.codes.astype(np.uint32))[panel.rows[SERIES].to_numpy()])
    if panel.closed_when is not None and panel.closed_when in rows.columns:
        shut = (pl.col(panel.closed_when) == 0) & pl.col(SALES).is_null() & (pl.col(PERIOD) <= panel.cutoff)
        rows = rows.with_columns(pl.when(shut).then(0.0).otherwise(pl.col(SALES)).alias(SALES))
    own = [c for c in rows.columns if c not in (SERIES, _NODE, PERIOD, SALES)]
    # As numbers, texts are compared ten times as fast.
    texts = {c: pl.Enum(rows[c].cast(pl.String).unique().drop_nulls().sort()) for c in own if _is_text(rows.schema[c])}
    rows = rows.with_columns(pl.col(c).cast(pl.String).cast(kind).to_physical() for c, kind in texts.items())
    summed = rows.group_by(_NODE, PERIOD).agg(
        pl.col(SALES).sum(), pl.col(SALES).count().alias("seen"), pl.col(SALES).null_count().alias("null"),
        *(_agreed(c) if c in texts else _mean_of(rows.schema[c], c) for c in own))
    summed = summed.with_columns(kind.categories.gather(summed[c]).alias(c) for c, kind in texts.items())
    running = _running(panel, rows, level)
    at = summed[_NODE].to_numpy(), np.minimum(summed[PERIOD].to_numpy() - int(panel.series["start"].min()),  # type: ignore[arg-type]
                                              running.shape[1] - 1)
    count = running[at]
    unseen = summed["null"].to_numpy() if panel.absent == "zero" else count - summed["seen"].to_numpy()
    known = (unseen <= (1 - _ENOUGH) * count) & (summed[PERIOD].to_numpy() <= panel.cutoff)
    summed = summed.with_columns(pl.when(pl.Series(known)).then(pl.col(SALES)).alias(SALES))
    nodes = level.series.with_row_index(_NODE)
    return summed.join(nodes, on=_NODE, how="left").select(*KEYS, PERIOD, SALES, *own)


def _running(panel: SalesPanel, rows: pl.DataFrame, level: Level) -> np.ndarray:
    """int32 (K, T): how many members of a node have begun and not ended, from the panel's first period to its cutoff."""
    start = panel.series["start"].to_numpy()
    first = int(start.min())
    end = np.full(len(panel), panel.cutoff)
    if panel.absent == "missing":
        sold = rows.filter(pl.col(SALES).is_not_null()).group_by(SERIES).agg(pl.col(PERIOD).max())
        end = start - 1
        end[sold[SERIES].to_numpy()] = sold[PERIOD].to_numpy()
    change = np.zeros((len(level), panel.cutoff - first + 2), dtype=np.int32)
    np.add.at(change, (level.codes, start - first), 1)
    np.subtract.at(change, (level.codes, end + 1 - first), 1)
    return np.asarray(change.cumsum(axis=1, dtype=np.int32)[:, :-1])


def _mean_of(dtype: pl.DataType, name: str) -> pl.Expr:
    """A covariate of a group from those of its members."""
    column = pl.col(name)
    if dtype.is_numeric() or dtype == pl.Boolean:
        return column.cast(pl.Float64).sum() if name == STOCK else column.cast(pl.Float64).fill_nan(None).mean()
    return _agreed(name)


def _agreed(name: str) -> pl.Expr:
    """The value that all members have who have one, else null."""
    column = pl.col(name)
    return pl.when(column.min() == column.max()).then(column.min()).alias(name)


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _attributes(table: pl.DataFrame, key: str, labels: pl.DataFrame) -> pl.DataFrame:
    """Attributes of the groups of items, or of places."""
    groups = labels.select(key, pl.col(_GROUP + key)).unique()
    texts = [pl.col(c).cast(pl.String) for c in table.columns if c != key and _is_text(table.schema[c])]
    table = table.with_columns(texts)
    rest = [c for c in table.columns if c != key]
    merged = (groups.join(table, on=key, how="left").group_by(_GROUP + key).agg(*(_mean_of(table.schema[c], c) for c in rest))
              .rename({_GROUP + key: key}).sort(key))
    return merged.select(key, *(c for c in rest if merged[c].null_count() < merged.height))  # nothing is held where none agree


def _table(table: CovariateTable, labels: pl.DataFrame) -> CovariateTable:
    """A covariate table for the groups: a mean over the members' keys, each key counting as often as members have it."""
    keys = [k for k in table.keys if k != PERIOD]
    if not keys:
        return table
    over = [_GROUP + k for k in keys]
    by = [*over, *([PERIOD] if PERIOD in table.keys else [])]
    members = labels.group_by(*keys, *over).agg(pl.len().alias("members"))
    texts = [pl.col(c).cast(pl.String) for c in table.values if _is_text(table.frame.schema[c])]
    joined = table.frame.with_columns(texts).join(members, on=keys, how="inner")
    # Repeating a row for each member would be the plain way, and far too many rows.
    merged = joined.group_by(by).agg(*_weighted(joined, table.values)).rename({_GROUP + k: k for k in keys})
    return CovariateTable(merged.select(*keys, *([PERIOD] if PERIOD in table.keys else []), *table.values).sort(table.keys))


def _weighted(frame: pl.DataFrame, names: list[str]) -> Iterator[pl.Expr]:
    for name in names:
        dtype = frame.schema[name]
        if not (dtype.is_numeric() or dtype == pl.Boolean):
            yield _mean_of(dtype, name)
            continue
        value = pl.col(name).cast(pl.Float64).fill_nan(None)
        total = (value * pl.col("members")).sum()
        count = pl.col("members").filter(value.is_not_null()).sum()
        yield (total if name == STOCK else total / count).fill_nan(None).alias(name)

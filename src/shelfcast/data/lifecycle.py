"""Which series are still sold, and which have been withdrawn: judged by each series' own rhythm.

A series is withdrawn when it has been silent for longer than half a year, than four of its usual intervals, and than 1.2 times its
longest earlier silence (what sells each December is not withdrawn in autumn); or for two years. Calibrated by hiding the last
weeks of four real data sets; the figures are in docs/log.md. An attribute `withdrawn` (a date) of its item or its place that is
not after the cutoff settles the question.
"""

from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.long import Long
from shelfcast.names import ITEM, LOCATION, WITHDRAWN
from shelfcast.panel import PERIOD, SalesPanel

INTERVALS: Final = 4.0  # usual intervals between sales
SILENCES: Final = 1.2  # of the longest earlier silence
LEAST: Final = 1 / 2  # year
MOST: Final = 2.0  # years: silent for longer is gone, whatever the rhythm was


def judge(panel: SalesPanel) -> pl.DataFrame:
    """One row a series, in the panel's order, judged at its cutoff.

    Periods that are said to be closed, and rows whose sales are not known, are not silence.

    Returns
    -------
    table `item`, `location`, `sold` (Boolean), `last_sale` (date; null if nothing was ever sold), `reason` (empty if sold)
    """
    rows = panel.rows.filter(pl.col(PERIOD) <= panel.cutoff)
    long = Long.of(rows, len(panel))
    selling = long.selling
    frequency = panel.frequency
    count = selling.rows
    last = np.where(count > 0, selling.last, panel.series["start"].to_numpy() - 1).astype(np.int64)
    excused = ~(long.sales >= 0)  # not known, or more came back than was sold
    if panel.closed_when is not None and panel.closed_when in rows.columns:
        excused |= (rows[panel.closed_when].cast(pl.Float64).fill_null(1.0) == 0).to_numpy()
    silence = panel.cutoff - last
    if excused.any():
        silence = silence - long.total(excused & (long.period > last[long.series])).astype(np.int64)
    usual = (selling.last - selling.first) / np.maximum(count - 1, 1)
    least = max(LEAST * frequency.per_year, 2.0)
    limit = np.maximum(np.maximum(INTERVALS * usual, SILENCES * selling.longest_gap), least)
    told = _told(panel)
    gone = (silence > np.minimum(limit, max(MOST * frequency.per_year, 3.0))) | told.is_not_null().to_numpy()
    table = panel.series.select(ITEM, LOCATION).with_columns(
        pl.Series("sold", ~gone),
        pl.Series("last", last),
        pl.Series("silence", silence),
        pl.Series("usual", usual),
        pl.Series("count", count),
        told,
    )
    ever = pl.col("count") > 0
    noun = frequency.noun
    silent = pl.format(f"nothing sold for {{}} {noun}s", "silence")
    rhythm = pl.format(f"{{}}; before, a sale every {{}} {noun}s", silent, pl.col("usual").round(1))
    reason = (
        pl.when(pl.col("told").is_not_null())
        .then(pl.format("its table of attributes says withdrawn on {}", pl.col("told").dt.to_string("%Y-%m-%d")))
        .when(~ever)
        .then(pl.format("{} since it began", silent))
        .when(pl.col("count") == 1)
        .then(pl.format("{} after a single sale", silent))
        .otherwise(rhythm)
    )
    return table.select(
        ITEM,
        LOCATION,
        "sold",
        pl.when(ever).then(frequency.date_of(pl.col("last"))).alias("last_sale"),
        pl.when(pl.col("sold")).then(pl.lit("")).otherwise(reason).alias("reason"),
    )


def _told(panel: SalesPanel) -> pl.Series:
    """(N,) the day on which the attributes say that a series was withdrawn, where that is not after the cutoff; else null."""
    days = panel.series.select(ITEM, LOCATION)
    for key, table in ((ITEM, panel.items), (LOCATION, panel.places)):
        if table is not None and WITHDRAWN in table.columns and table.schema[WITHDRAWN].is_temporal():
            one = table.select(key, pl.col(WITHDRAWN).cast(pl.Date).alias(f"{key} day"))
            days = days.join(one, on=key, how="left", maintain_order="left")
    named = [c for c in days.columns if c.endswith(" day")]
    if not named:
        return pl.Series("told", [None] * len(panel), dtype=pl.Date)
    first = days.select(pl.min_horizontal(named).alias("told"))["told"]
    numbers = pl.DataFrame({"told": first}).select(panel.frequency.number_of(pl.col("told")))["told"]
    return pl.DataFrame({"told": first}).select(pl.when(numbers <= panel.cutoff).then("told").alias("told"))["told"]

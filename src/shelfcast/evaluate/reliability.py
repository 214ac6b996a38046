"""How losses run along the horizon, and whether quantiles hold what they promise: from forecasts and what came, cell by cell.

Takes forecast tables (`Forecast.to_frame`) and tables of what came (`item`, `location`, `date`, `sales`); sums them.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from shelfcast.evaluate.contest import Contest, Measure, scaled_root
from shelfcast.evaluate.metrics import level_weights
from shelfcast.evaluate.scores import DECILES
from shelfcast.forecast import MEAN
from shelfcast.names import DATE, KEYS, SALES, quantile_column

MOST_STRETCHES: Final = 14  # of the horizon that are told apart: a chart shows no more, and each holds a loss for every series
CELL_LOSSES: Final = ("cells", "actual", "absolute", "square", "excess", "quantile", "inside", "symmetric", "crps")
COVERAGE_SCHEMA: Final = {"level": pl.Float64, "below": pl.Float64, "covered": pl.Float64, "cells": pl.Int64}


def stretches(horizon: int) -> list[tuple[int, int]]:
    """(first, last) steps of the parts in which a horizon is shown: each step, or equal runs of them.

    >>> stretches(3), stretches(28)[:2], len(stretches(48))
    ([(1, 1), (2, 2), (3, 3)], [(1, 2), (3, 4)], 12)
    """
    width = -(-horizon // MOST_STRETCHES)
    return [(first, min(first + width - 1, horizon)) for first in range(1, horizon + 1, width)]


def known_cells(forecast: pl.DataFrame, actual: pl.DataFrame) -> pl.DataFrame:
    """The forecast's rows whose truth is known, with `step` (1 for the first period) and `sales`."""
    numbered = forecast.with_columns(pl.col(DATE).rank("dense").cast(pl.Int64).alias("step"))
    came = actual.select(*KEYS, DATE, pl.col(SALES).cast(pl.Float64).fill_nan(None)).drop_nulls(SALES)
    return numbered.join(came, on=[*KEYS, DATE], how="inner")


def losses_by_stretch(cells: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Sums of each series in each stretch of the horizon: `item`, `location`, `stretch` (from 0) and `CELL_LOSSES`."""
    width = -(-horizon // MOST_STRETCHES)
    truth, median = pl.col(SALES), pl.col(quantile_column(0.5))
    deciles = [q for q in DECILES if quantile_column(q) in cells.columns]
    losses = [2 * pl.max_horizontal(q * (truth - pl.col(quantile_column(q))), (q - 1) * (truth - pl.col(quantile_column(q))))
              for q in deciles]
    levels = [float(c[1:]) for c in cells.columns if c.startswith("q") and c[1:].replace(".", "", 1).isdigit()]
    shares = [2 * w * pl.max_horizontal(q * (truth - pl.col(quantile_column(q))), (q - 1) * (truth - pl.col(quantile_column(q))))
              for q, w in zip(levels, level_weights(levels), strict=True)]
    size = truth.abs() + median.abs()
    low, high = (pl.col(quantile_column(q)) if q in deciles else pl.lit(None, pl.Float64) for q in (0.1, 0.9))
    return (cells.group_by(*KEYS, ((pl.col("step") - 1) // width).alias("stretch"))
            .agg(pl.len().cast(pl.Float64).alias("cells"), truth.abs().sum().alias("actual"),
                 (truth - median).abs().sum().alias("absolute"), ((truth - pl.col(MEAN)) ** 2).sum().alias("square"),
                 (pl.col(MEAN) - truth).sum().alias("excess"), pl.mean_horizontal(losses).sum().alias("quantile"),
                 ((low <= truth) & (truth <= high)).sum().cast(pl.Float64).alias("inside"),
                 pl.when(size > 0).then(2 * (truth - median).abs() / size).otherwise(0.0).sum().alias("symmetric"),
                 pl.sum_horizontal(shares).sum().alias("crps")))


def coverage_counts(cells: pl.DataFrame) -> pl.DataFrame:
    """For each level how many truths lie below its quantile, and how many below or at it: `level`, `below`, `covered`, `cells`."""
    names = [c for c in cells.columns if c.startswith("q") and c[1:].replace(".", "", 1).isdigit()]
    counted = cells.select(*((pl.col(SALES) < pl.col(c)).sum().alias(f"below {c}") for c in names),
                           *((pl.col(SALES) <= pl.col(c)).sum().alias(f"covered {c}") for c in names)).row(0, named=True)
    rows = [(float(c[1:]), counted[f"below {c}"], counted[f"covered {c}"], cells.height) for c in names]
    return pl.DataFrame(rows, schema=COVERAGE_SCHEMA, orient="row", strict=False)


def reliability(counts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Shares over all windows: `level`, `below`, `covered`, `cells`.

    Sales are whole numbers, often 0, so a quantile cannot cut everywhere: a calibrated forecast's level lies between the share
    below its quantile and the share below or at it (Czado, Gneiting and Held 2009 on the PIT of counts).
    """
    if not counts:
        return pl.DataFrame(schema=COVERAGE_SCHEMA)
    return (pl.concat(counts).group_by("level").agg(pl.all().sum()).sort("level")
            .with_columns(pl.col("below") / pl.col("cells"), pl.col("covered") / pl.col("cells")))


def stretch_arrays(contest: Contest, measure: Measure, tables: Sequence[pl.DataFrame],
                   count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses by stretch, laid out as the contest is.

    Parameters
    ----------
    tables : for each model, rows of `losses_by_stretch` with `when`, the window
    count : S, stretches

    Returns
    -------
    numerators (S, M, W, N), denominators (S, W, N), units (S, M): losses in units, over all
    """
    shape = count, len(contest.windows), contest.series.height
    series = contest.series.select(KEYS).with_row_index("n")
    windows = pl.DataFrame({"when": list(contest.windows)}).with_row_index("w")
    numerators, units = np.zeros((count, len(tables), *shape[1:])), np.zeros((count, len(tables)))
    denominators = np.zeros(shape)
    root = measure.over == "series"
    column = "square" if root else measure.loss.removesuffix("_scaled")
    for m, table in enumerate(tables):
        placed = table.join(windows, on="when").join(series, on=list(KEYS))
        s, w, n = (placed[c].cast(pl.Int64).to_numpy() for c in ("stretch", "w", "n"))
        scale, seen = contest.scale[w, n], contest.cells[w, n] > 0
        placed, s, w, n, scale = placed.filter(pl.Series(seen)), s[seen], w[seen], n[seen], scale[seen]
        value, below = placed[column].to_numpy(), placed["actual" if measure.over == "actual" else "cells"].to_numpy()
        if measure.over == "scaled":
            value = np.where(scale > 0, value / np.where(scale > 0, scale, 1.0), 0.0)
            below = np.where(scale > 0, below, 0.0)
        if root:
            square_scale = contest.square_scale[w, n]
            value = scaled_root(value, below, square_scale)
            below = np.where(square_scale > 0, np.minimum(below, 1.0), 0.0)
        numerators[s, m, w, n] = value
        denominators[s, w, n] = below
        np.add.at(units, (s, m), placed[measure.units].to_numpy())
    return numerators, denominators, units

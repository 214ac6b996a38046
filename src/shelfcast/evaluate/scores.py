"""From forecasts and what came to rows of scores: only sums are kept, by group, so that a million series need no more memory
than a slice of them.

Every measure is the one of `metrics`, computed from its sums; tests hold the two together.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from shelfcast.evaluate.grouping import Grouping
from shelfcast.evaluate.metrics import (
    interval_scores,
    level_weights,
    pinball_losses,
    seasonal_error,
    seasonal_square,
)
from shelfcast.evaluate.replay import Slice
from shelfcast.names import quantile_column

DECILES: Final = tuple(k / 10 for k in range(1, 10))
"""Levels over which SQL and WQL are averaged, as the public benchmarks do."""
INTERVALS: Final = ((0.1, 0.9), (0.01, 0.99))
"""Ends of the intervals that are measured: 80 % and 98 %."""
PROMOTED: Final = ("not promoted", "promoted")
LOSSES: Final = ("cells", "actual", "absolute", "square", "excess", "absolute_scaled", "quantile", "quantile_scaled", "inside",
                 "symmetric", "crps")
_PARTS: Final = ("cells", "sum", "size", "absolute", "square", "excess", "symmetric", "scaled cells", "scaled absolute",
                 *(f"{what} {low:g}-{high:g}" for low, high in INTERVALS for what in ("inside", "width", "winkler")))
_SERIES: Final = ("squared series", "rmsse")  # of whole series: no cell or step has a share of them


class Tally:
    """Sums of one model's window, slice by slice.

    Parameters
    ----------
    groups : ways to tell the window's series apart
    horizon, levels : of the forecasts
    season : lag of the naive error that scales, periods
    """

    def __init__(self, groups: Sequence[Grouping], *, horizon: int, levels: tuple[float, ...], season: int) -> None:
        self._groups, self._levels, self._season = groups, levels, season
        self._width = len(_PARTS) + 3 * len(levels)
        self._sums = {g.kind: np.zeros((len(g.names), self._width + len(_SERIES))) for g in groups}
        self._counts = {g.kind: np.zeros(len(g.names), dtype=np.int64) for g in groups}
        self._steps = np.zeros((horizon, self._width))
        self._promoted = np.zeros((2, self._width))
        self._seen = np.zeros(2, dtype=np.int64)
        self._known = 0

    def add(self, part: Slice, promoted: np.ndarray | None = None) -> pl.DataFrame:
        """Count a slice in.

        Parameters
        ----------
        promoted : (N, H), 0 where an item was not promoted, above 0 where it was, nan where it is not known

        Returns
        -------
        the sums of each series: `scale`, `LOSSES` and `square_scale` (of RMSSE, squared units)
        """
        seen = np.isfinite(part.actual)
        scale = seasonal_error(part.past, self._season)
        by_series = np.zeros((len(part.actual), self._width + len(_SERIES)))
        for k, values in enumerate(self._cells(part, scale)):
            kept = np.where(seen, values, 0.0)
            by_series[:, k], self._steps[:, k] = kept.sum(axis=1), self._steps[:, k] + kept.sum(axis=0)
            if promoted is not None:
                self._promoted[0, k] += kept[promoted == 0].sum()
                self._promoted[1, k] += kept[promoted > 0].sum()
        square = seasonal_square(part.past, 1)
        usable = (square > 0) & seen.any(axis=1)
        by_series[:, self._width] = usable
        with np.errstate(invalid="ignore", divide="ignore"):
            rmsse = np.sqrt(by_series[:, _PARTS.index("square")] / by_series[:, 0] / square)
        by_series[:, self._width + 1] = np.where(usable, rmsse, 0.0)
        known = seen.any(axis=1)
        self._known += int(known.sum())
        if promoted is not None:
            self._seen += [int((seen & (promoted == 0)).any(axis=1).sum()), int((seen & (promoted > 0)).any(axis=1).sum())]
        for g in self._groups:
            codes = g.codes[part.here]
            np.add.at(self._sums[g.kind], codes, by_series)
            self._counts[g.kind] += np.bincount(codes[known], minlength=len(g.names))
        return self._losses(by_series, scale, square)

    def _cells(self, part: Slice, scale: np.ndarray) -> Iterator[np.ndarray]:
        """(N, H) of each part in the order of `_PARTS`, then for each level the loss, the scaled loss, and whether it covered."""
        actual, quantiles = part.actual, part.quantiles
        weight = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)[:, None]
        error = np.abs(actual - quantiles[:, :, self._at(0.5)])
        yield np.ones_like(actual)
        yield actual
        yield np.abs(actual)
        yield error
        yield (actual - part.mean) ** 2
        yield part.mean - actual
        size = np.abs(actual) + np.abs(quantiles[:, :, self._at(0.5)])
        with np.errstate(invalid="ignore", divide="ignore"):
            yield np.where(size == 0, 0.0, 2 * error / size)
        yield np.broadcast_to(weight > 0, actual.shape)
        yield error * weight
        for low, high in INTERVALS:
            if not self._has(low, high):
                yield from (np.zeros_like(actual) for _ in range(3))
                continue
            lower, upper = quantiles[:, :, self._at(low)], quantiles[:, :, self._at(high)]
            yield (lower <= actual) & (actual <= upper)
            yield upper - lower
            yield interval_scores(actual, lower, upper, share=high - low)
        for i, q in enumerate(self._levels):
            loss = pinball_losses(actual, quantiles[:, :, i : i + 1], np.array([q]))[:, :, 0]
            yield loss
            yield loss * weight
            yield actual <= quantiles[:, :, i]

    def _at(self, level: float) -> int:
        return next(i for i, q in enumerate(self._levels) if abs(q - level) < 1e-9)

    def _has(self, *wanted: float) -> bool:
        return all(any(abs(q - one) < 1e-9 for q in self._levels) for one in wanted)

    def _losses(self, sums: np.ndarray, scale: np.ndarray, square: np.ndarray) -> pl.DataFrame:
        part = dict(zip(_PARTS, sums.T, strict=False))
        by_level = sums[:, len(_PARTS) : self._width].reshape(len(sums), len(self._levels), 3)
        middle = averaged(self._levels)
        columns = {"cells": part["cells"].astype(np.int64), "actual": part["size"], "absolute": part["absolute"],
                   "square": part["square"], "excess": part["excess"], "absolute_scaled": part["scaled absolute"],
                   "quantile": 2 * by_level[:, middle, 0].mean(axis=1), "quantile_scaled": 2 * by_level[:, middle, 1].mean(axis=1),
                   "inside": part["inside 0.1-0.9"].astype(np.int64), "symmetric": part["symmetric"],
                   "crps": (by_level[:, :, 0] * 2 * level_weights(self._levels)).sum(axis=1)}
        return pl.DataFrame({"scale": np.where(scale > 0, scale, np.nan), **columns,
                             "square_scale": np.where(square > 0, square, np.nan)})

    def table(self) -> pl.DataFrame:
        """Rows `kind`, `group`, `series`, `metric`, `value`; groups without a known period are left out."""
        steps = [str(h + 1) for h in range(len(self._steps))]
        rows = [self._rows(g.kind, g.names, self._counts[g.kind], self._sums[g.kind], fine=g.fine) for g in self._groups]
        rows.append(self._rows("step", steps, np.full(len(steps), self._known), self._steps, fine=True))
        if self._promoted.any():
            rows.append(self._rows("promoted", list(PROMOTED), self._seen, self._promoted, fine=True))
        return pl.concat(rows)

    def _rows(self, kind: str, names: list[str], counts: np.ndarray, sums: np.ndarray, *, fine: bool) -> pl.DataFrame:
        metrics = measures(sums, self._levels, fine=fine)
        kept = pl.Series(sums[:, 0] > 0)
        labels = pl.DataFrame({"group": pl.Series(names, dtype=pl.String), "series": counts.astype(np.int64)})
        labels = labels.select(pl.lit(kind).alias("kind"), "group", "series")
        # A group that sold nothing has no size to compare errors with: infinite is not a number to show.
        return pl.concat([labels.with_columns(pl.lit(metric).alias("metric"),
                                              pl.Series("value", np.where(np.isfinite(value), value, np.nan))).filter(kept)
                          for metric, value in metrics.items()])


def measures(sums: np.ndarray, levels: tuple[float, ...], *, fine: bool = True) -> dict[str, np.ndarray]:
    """{measure: (G,)} from sums (G, parts).

    Parameters
    ----------
    fine : also pinball loss and coverage of each level
    """
    width = len(_PARTS) + 3 * len(levels)
    part = dict(zip(_PARTS, sums.T, strict=False))
    by_level = sums[:, len(_PARTS) : width].reshape(len(sums), len(levels), 3)
    cells, size, scaled = part["cells"], part["size"], part["scaled cells"]
    middle = averaged(levels)
    out: dict[str, np.ndarray] = {}
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        out["WAPE"] = part["absolute"] / size
        out["MASE"] = part["scaled absolute"] / scaled
        out["RMSE"] = np.sqrt(part["square"] / cells)
        out["bias"] = part["excess"] / size
        out["WQL"] = 2 * by_level[:, middle, 0].mean(axis=1) / size
        out["SQL"] = 2 * by_level[:, middle, 1].mean(axis=1) / scaled
        out["MSE"], out["MAE"] = part["square"] / cells, part["absolute"] / cells
        out["sMAPE"] = part["symmetric"] / cells
        if sums.shape[1] > width:
            out["RMSSE"] = sums[:, width + 1] / sums[:, width]
        out["CRPS"] = (by_level[:, :, 0] * 2 * level_weights(levels)).sum(axis=1) / cells
        for low, high in INTERVALS:
            if any(abs(q - low) < 1e-9 for q in levels) and any(abs(q - high) < 1e-9 for q in levels):
                between = f"{low:g}-{high:g}"
                out[f"coverage {between}"] = part[f"inside {between}"] / cells
                out[f"width {between}"] = part[f"width {between}"] / cells
                out[f"Winkler {between}"] = part[f"winkler {between}"] / cells
        if fine:
            for i, q in enumerate(levels):
                out[f"pinball {quantile_column(q)}"] = by_level[:, i, 0] / cells
                out[f"coverage {quantile_column(q)}"] = by_level[:, i, 2] / cells
    return out


def averaged(levels: Sequence[float]) -> list[int]:
    """Positions of the levels over which SQL and WQL are averaged: the deciles among them, the median at least."""
    return [i for i, q in enumerate(levels) if any(abs(q - s) < 1e-9 for s in DECILES)]


def measure_names(levels: tuple[float, ...]) -> list[str]:
    """The measures that forecasts at these levels have, in their order; WRMSSE comes from the sums by level (`level_scores`)."""
    return ["WRMSSE", *measures(np.ones((1, len(_PARTS) + 3 * len(levels) + len(_SERIES))), levels)]

"""How good forecasts are when they are added up: by item, place, category, region and their crosses, and in total.

Mean forecasts are summed (sums of medians are no medians), and measured by what the sums came to. Kept are sums by node, a slice
of series at a time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from shelfcast.data.hierarchy import BOTTOM, Hierarchy, Level
from shelfcast.data.split import Window
from shelfcast.evaluate.grouping import attributes, scaling_season
from shelfcast.evaluate.metrics import first_sale_square, seasonal_error, weighted_rmsse
from shelfcast.evaluate.replay import Slice
from shelfcast.names import ITEM, LOCATION, PRICE

MOST_SUMS: Final = 32_000_000  # nodes x periods kept, 256 MB; finer levels, which are nearly the series themselves, are left out
MONEY_PERIODS: Final = 28  # of M5: what a series earned lately says how much its error weighs
_ATTRIBUTES: Final = 3  # of items, and of places: with crosses, sixteen levels at most


@dataclass(eq=False)
class _Sums:
    """What one level adds up. K nodes."""

    name: str
    codes: np.ndarray  # (N,)
    actual: np.ndarray  # (K, H), units
    mean: np.ndarray  # (K, H), units, of the periods of which the actual is known
    known: np.ndarray  # (K, H), series
    past: np.ndarray  # (K, T), units
    money: np.ndarray  # (K,)


class LevelTally:
    """Sums of one model's window by the nodes of each level.

    Series that end at dates of their own are not added up: their windows lie at different dates.

    Parameters
    ----------
    window : its items' and places' attributes give the levels
    """

    def __init__(self, window: Window) -> None:
        past = window.past
        self._season = scaling_season(past)
        self._priced = past.covariates.get(PRICE) in ("known", "past")
        span = past.cutoff - int(past.series["start"].min()) + 1  # type: ignore[arg-type]
        self._levels = [] if window.cutoffs is not None else [
            _empty(level, window.horizon, span) for level in levels_of(window, span)]
        self._bottom: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, part: Slice) -> None:
        """Count a slice in."""
        if not self._levels:
            return
        seen = np.isfinite(part.actual)
        sold = np.where(np.isfinite(part.past), part.past, 0.0)
        money = self._money(part)
        for level in self._levels:
            codes = level.codes[part.here]
            nodes, at = np.unique(codes, return_inverse=True)
            adding = sparse.csr_array((np.ones(len(at)), (at, np.arange(len(at)))), shape=(len(nodes), len(at)))
            level.actual[nodes] += adding @ np.where(seen, part.actual, 0.0)
            level.mean[nodes] += adding @ np.where(seen, part.mean, 0.0)
            level.known[nodes] += adding @ seen.astype(float)
            level.past[nodes, level.past.shape[1] - sold.shape[1]:] += adding @ sold
            level.money[nodes] += adding @ money
        error = np.where(seen, part.actual - part.mean, np.nan)
        with np.errstate(invalid="ignore"):
            self._bottom.append((np.nanmean(np.where(seen.any(axis=1)[:, None], error**2, 0.0), axis=1),
                                 first_sale_square(sold), np.where(seen.any(axis=1), money, 0.0)))

    def _money(self, part: Slice) -> np.ndarray:
        """(N,) what each series earned lately; units where no prices are recorded."""
        recent = np.nan_to_num(part.past[:, -MONEY_PERIODS:])
        if not self._priced:
            return np.asarray(recent.sum(axis=1))
        panel = part.window.past
        dense = panel.dense(context=recent.shape[1], covariates=(PRICE,))
        price = {**dense.known, **dense.past}[PRICE][:, : recent.shape[1]]
        return np.asarray(np.nansum(recent * price, axis=1))

    def table(self) -> pl.DataFrame:
        """Rows `kind`, `group`, `series`, `metric`, `value`: kind `level` by its name (series: nodes), and WRMSSE over all."""
        rows: list[tuple[str, str, int, str, float]] = []
        weighted = []
        for level in self._levels:
            found = self._measures(level)
            weighted.append(found["WRMSSE"])
            rows += [("level", level.name, len(level.actual), metric, value) for metric, value in found.items()]
        if self._bottom:
            square, scale, money = (np.concatenate(one) for one in zip(*self._bottom, strict=True))
            bottom = weighted_rmsse(np.sqrt(square)[:, None], scale, money)
            rows += [("level", BOTTOM, len(square), "WRMSSE", bottom),
                     ("all", "all", int((money > 0).sum()), "WRMSSE", float(np.mean([*weighted, bottom])))]
        schema = {"kind": pl.String, "group": pl.String, "series": pl.Int64, "metric": pl.String, "value": pl.Float64}
        return pl.DataFrame([r for r in rows if np.isfinite(r[4])], schema=schema, orient="row")

    def _measures(self, level: _Sums) -> dict[str, float]:
        known = level.known > 0
        error = np.where(known, level.actual - level.mean, np.nan)
        scale = seasonal_error(level.past, self._season)
        size = np.abs(level.actual[known]).sum()
        absolute = np.abs(error[known])
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = np.abs(error) / np.where(scale > 0, scale, np.nan)[:, None]
        usable = np.isfinite(scaled)
        return {"WAPE": float(absolute.sum() / size) if size > 0 else float("nan"),
                "RMSE": float(np.sqrt((absolute**2).mean())) if known.any() else float("nan"),
                "MASE": float(scaled[usable].mean()) if usable.any() else float("nan"),
                "bias": float(-error[known].sum() / size) if size > 0 else float("nan"),
                "WRMSSE": weighted_rmsse(error, first_sale_square(level.past), level.money)}


def _empty(level: Level, horizon: int, span: int) -> _Sums:
    actual, mean, known = (np.zeros((len(level), horizon)) for _ in range(3))
    return _Sums(level.name, level.codes, actual, mean, known, np.zeros((len(level), span)), np.zeros(len(level)))


def levels_of(window: Window, span: int) -> list[Level]:
    """Levels above the series: total, item, place, their attributes with few values, and the crosses; the finest are left out
    where the sums of their past, `span` periods, would fill the memory."""
    past = window.past
    by_item, by_place = attributes(past.items)[:_ATTRIBUTES], attributes(past.places)[:_ATTRIBUTES]
    by_place = [name for name in by_place if name not in by_item]
    found = Hierarchy.of(past.series, items=past.items, places=past.places, item_levels=(*by_item, ITEM),
                         place_levels=(*by_place, LOCATION))
    sums = np.cumsum([len(level) * span for level in found.levels])
    return [level for level, held in zip(found.levels, sums, strict=True) if held <= MOST_SUMS]

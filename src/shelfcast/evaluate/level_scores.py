"""How good forecasts are when they are added up: by item, place, category, region and their crosses, and in total.

Where sums were forecast themselves, or made to agree with their parts, those forecasts are measured. Else the means of the series
are summed, and the quantiles of sums come from those of the series by `sum_bands`, with a correlation measured at each level on
how its series changed together in the window's past. Kept are sums by node, a slice of series at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from shelfcast.data.hierarchy import BOTTOM, Hierarchy, Level
from shelfcast.data.split import Window
from shelfcast.evaluate.grouping import Grouping, attributes, scaling_season
from shelfcast.evaluate.metrics import first_sale_square, weighted_rmsse
from shelfcast.evaluate.replay import Slice
from shelfcast.evaluate.scores import Tally
from shelfcast.evaluate.sum_bands import LEAST_PERIODS, YEARS, changes, correlation, spreads, sum_quantiles
from shelfcast.forecast import Forecast
from shelfcast.names import ITEM, LOCATION, PRICE

MOST_SUMS: Final = 40_000_000  # numbers kept, 320 MB; finer levels, which are nearly the series themselves, are left out
MONEY_PERIODS: Final = 28  # of M5: what a series earned lately says how much its error weighs
_ATTRIBUTES: Final = 3  # of items, and of places: with crosses, sixteen levels at most


@dataclass(eq=False)
class _Sums:
    """What one level adds up. K nodes, C periods of changes; of the periods of which the actual is known.

    Where the level has a forecast of its own, `mean`, `quantiles`, `spread`, `squares` and `change` have no columns.
    """

    level: Level
    actual: np.ndarray  # (K, H), units
    mean: np.ndarray  # (K, H), units
    quantiles: np.ndarray  # (K, H, Q), units, added up as they are
    spread: np.ndarray  # (K, H), units, sum of the deviations
    squares: np.ndarray  # (K, H), sum of the variances
    known: np.ndarray  # (K, H), series
    past: np.ndarray  # (K, T), units; nan where it is known of no series
    change: np.ndarray  # (K, C) float32, units
    moved: np.ndarray  # (K,) units, sum of the deviations of changes
    money: np.ndarray  # (K,)
    moved_squares: float = 0.0  # sum of the variances of changes, over all series
    given: Forecast | None = field(default=None)


class LevelTally:
    """Sums of one model's window by the nodes of each level.

    Series that end at dates of their own are not added up: their windows lie at different dates.

    Parameters
    ----------
    window : its items' and places' attributes give the levels, unless `hierarchy` does
    levels : quantile levels of the forecasts
    hierarchy : over the window's series
    upper : {level: its own forecast}, of all or some levels of the hierarchy
    """

    def __init__(self, window: Window, *, levels: tuple[float, ...], hierarchy: Hierarchy | None = None,
                 upper: Mapping[str, Forecast] | None = None) -> None:
        past = window.past
        self._window, self._quantiles = window, levels
        self._season = scaling_season(past)
        self._priced = past.covariates.get(PRICE) in ("known", "past")
        span = past.cutoff - int(past.series["start"].min()) + 1  # type: ignore[arg-type]
        # As in the report's bands: changes from a season before, from the period before where the past is short.
        season = past.frequency.season
        self._lag = season if span >= season + LEAST_PERIODS else 1
        self._shown = min(span, YEARS * round(past.frequency.per_year))
        self._levels: list[_Sums] = []
        if window.cutoffs is None:
            found = levels_of(window, self._size(span)) if hierarchy is None else hierarchy.levels
            self._levels = [self._empty(one, span, (upper or {}).get(one.name)) for one in found]
        self._bottom: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def _size(self, span: int) -> int:
        """Numbers kept for a node."""
        return span + self._shown // 2 + self._window.horizon * (len(self._quantiles) + 5)

    def _empty(self, level: Level, span: int, given: Forecast | None) -> _Sums:
        k, h = len(level), self._window.horizon
        summed, width = (h, max(0, self._shown - self._lag)) if given is None else (0, 0)  # else nothing of the parts is added up
        actual, known = (np.zeros((k, h)) for _ in range(2))
        mean, spread, squares = (np.zeros((k, summed)) for _ in range(3))
        return _Sums(level, actual, mean, np.zeros((k, summed, len(self._quantiles))), spread, squares, known,
                     np.full((k, span), np.nan), np.zeros((k, width), dtype=np.float32), np.zeros(k), np.zeros(k), given=given)

    def add(self, part: Slice) -> None:
        """Count a slice in."""
        if not self._levels:
            return
        seen = np.isfinite(part.actual)
        sold, recorded = np.nan_to_num(part.past), np.isfinite(part.past).astype(float)
        change = self._changes(part.past)
        deviation = change.std(axis=1) if change.size else np.zeros(len(change))
        spread = np.where(seen, spreads(part.mean, part.quantiles, self._quantiles), 0.0)
        money = self._money(part)
        for level in self._levels:
            codes = level.level.codes[part.here]
            nodes, at = np.unique(codes, return_inverse=True)
            adding = sparse.csr_array((np.ones(len(at)), (at, np.arange(len(at)))), shape=(len(nodes), len(at)))
            level.known[nodes] += adding @ seen.astype(float)
            # Where all of a node were closed, or none had begun, its sum is not known: nought would shrink or swell the scale.
            past = level.past[nodes, level.past.shape[1] - sold.shape[1]:]
            level.past[nodes, level.past.shape[1] - sold.shape[1]:] = np.where(
                adding @ recorded > 0, np.nan_to_num(past) + adding @ sold, past)
            level.money[nodes] += adding @ money
            if level.given is not None:  # what is not known of a series counts as it was forecast, for it is in the sum's forecast
                level.actual[nodes] += adding @ np.where(seen, part.actual, part.mean)
                continue
            level.actual[nodes] += adding @ np.where(seen, part.actual, 0.0)
            level.mean[nodes] += adding @ np.where(seen, part.mean, 0.0)
            quantiles = np.where(seen[:, :, None], part.quantiles, 0.0).reshape(len(at), -1)
            level.quantiles[nodes] += (adding @ quantiles).reshape(len(nodes), *part.quantiles.shape[1:])
            level.spread[nodes] += adding @ spread
            level.squares[nodes] += adding @ spread**2
            level.change[nodes] += adding @ change
            level.moved[nodes] += adding @ deviation
            level.moved_squares += float((deviation**2).sum())
        error = np.where(seen, part.actual - part.mean, np.nan)
        with np.errstate(invalid="ignore"):
            self._bottom.append((np.nanmean(np.where(seen.any(axis=1)[:, None], error**2, 0.0), axis=1),
                                 first_sale_square(sold), np.where(seen.any(axis=1), money, 0.0)))

    def _changes(self, past: np.ndarray) -> np.ndarray:
        """(N, C) over the same periods in every slice, also where all its series began later: before that nothing changed."""
        found = changes(past[:, -self._shown:], self._lag)
        return np.pad(found, ((0, 0), (max(0, self._shown - self._lag) - found.shape[1], 0)))

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
        """Rows `kind`, `group`, `series`, `metric`, `value`: kind `level` by its name (series: nodes), with the measures that `all`
        series have, each node counting as a series does there; and WRMSSE of the levels and over all."""
        rows: list[tuple[str, str, int, str, float]] = []
        tables, weighted = [], []
        for level in self._levels:
            name, actual = level.level.name, np.where(level.known > 0, level.actual, np.nan)
            part = self._forecast(level, actual)
            group = Grouping("level", [name], np.zeros(len(actual), dtype=np.intp), fine=True)
            tally = Tally([group], horizon=self._window.horizon, levels=self._quantiles, season=self._season)
            tally.add(part)
            tables.append(tally.table().filter(pl.col("kind") == "level"))
            weighted.append(weighted_rmsse(actual - part.mean, first_sale_square(np.nan_to_num(level.past)), level.money))
            rows.append(("level", name, len(actual), "WRMSSE", weighted[-1]))
        if self._bottom:
            square, scale, money = (np.concatenate(one) for one in zip(*self._bottom, strict=True))
            bottom = weighted_rmsse(np.sqrt(square)[:, None], scale, money)
            rows += [("level", BOTTOM, len(square), "WRMSSE", bottom),
                     ("all", "all", int((money > 0).sum()), "WRMSSE", float(np.mean([*weighted, bottom])))]
        schema = {"kind": pl.String, "group": pl.String, "series": pl.Int64, "metric": pl.String, "value": pl.Float64}
        found = pl.concat([*tables, pl.DataFrame(rows, schema=schema, orient="row")])
        return found.filter(pl.col("value").is_finite())

    def _forecast(self, level: _Sums, actual: np.ndarray) -> Slice:
        """The level's nodes as series: what they sold, and what was forecast of them."""
        if level.given is not None:
            mean, quantiles = level.given.mean.astype(float), level.given.quantiles.astype(float)
        else:
            long_enough = level.change.shape[1] >= LEAST_PERIODS
            rho = correlation(float(level.change.var(axis=1, dtype=float).sum()), level.moved_squares,
                              float((level.moved**2).sum())) if long_enough else 1.0
            mean = level.mean
            quantiles = sum_quantiles(mean, level.quantiles, self._quantiles, spread=level.spread, squares=level.squares, rho=rho)
        return Slice(self._window, slice(0, len(actual)), actual, level.past, quantiles, mean, ())


def levels_of(window: Window, size: int) -> Sequence[Level]:
    """Levels above the series: total, item, place, their attributes with few values, and the crosses; the finest are left out
    where their nodes, `size` numbers each, would fill the memory."""
    past = window.past
    by_item, by_place = attributes(past.items)[:_ATTRIBUTES], attributes(past.places)[:_ATTRIBUTES]
    by_place = [name for name in by_place if name not in by_item]
    found = Hierarchy.of(past.series, items=past.items, places=past.places, item_levels=(*by_item, ITEM),
                         place_levels=(*by_place, LOCATION))
    sums = np.cumsum([len(level) * size for level in found.levels])
    return [level for level, held in zip(found.levels, sums, strict=True) if held <= MOST_SUMS]

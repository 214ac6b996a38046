"""Where forecasting is hard: what sells now and then, what is new, what was sold out.

`intermittent`: series of real sales that are intermittent or lumpy when a window begins, beside TSB and Croston's method.

`new`: an item in ten, drawn by seed, is shown as if it had begun to be sold now, or three periods ago, everywhere; where it is
sold, its attributes and what is known ahead (price, promotions) are all that is left of it. Beside it stand two means of its
category at its place, or of the category anywhere where the place sells no other: the mean of what the same model forecasts for the
others, and the quantiles of what the others sold in the last periods (28 days or 26 weeks).

`sold out`: on the demo chain, whose truth is known, the forecast's mean over the units that were wanted, less 1. Series are `sold
out` when they could not be bought for more than a twentieth of the 28 days before the cutoff. Windows fill a year, for what comes
over the whole chain makes a single one far too high or too low (by up to a fifth). What empty shelves alone do is told beside it:
the forecast's mean over that of the same model which was shown, as past sales, the units wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

import spine_accuracy
from figures import Figure, Make, laid_out, series_losses, some_series
from held_out_stores import region_mean, region_past, without_sales
from provenance import DATA
from real_sets import REAL_SETS
from shelfcast.data.classes import demand_classes
from shelfcast.data.split import windows
from shelfcast.evaluate.metrics import pinball_losses
from shelfcast.evaluate.resampling import Interval, paired_skill
from shelfcast.evaluate.scores import DECILES
from shelfcast.models.registry import make_model
from shelfcast.names import AVAILABLE, DATE, ITEM, LOCATION, SALES
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.world.blueprint import DEMO
from shelfcast.world.tables import DemoChain
from space_sets import panel_of, simulated

INTERMITTENT: Final = "intermittent"
NEW: Final = "new"
SOLD_OUT: Final = "sold out"
ALL_SERIES: Final = "all series"
RIVALS: Final = ("tsb", "croston")
RATHER: Final = {"model": "mean of the category's forecasts", "past": "what the category sold"}
SPARSE_SETS: Final = ("iowa", "online_retail")
POINTS: Final = (0, 3)
BIAS_SOLD_OUT: Final = f"bias against demand, {SOLD_OUT}"
DUE_TO_SHELVES: Final = "what empty shelves do to the forecast, {}"
_SPARSE: Final = ("intermittent", "lumpy")
_RECENT: Final = {"D": 28, "W": 26}


def intermittent(make: Make, *, sets: Sequence[str] = SPARSE_SETS, count: int = 2,
                 most: int | None = None) -> list[Figure]:
    """Skill over each rival in scaled quantile loss, and in that weighed by units, with intervals; the same series for all.

    Naive errors of series that hardly ever sell are near nought, and a few of them rule a mean of scaled losses: so both are told.

    Parameters
    ----------
    count : windows, the last ones
    most : series of a set that are looked at
    """
    figures = []
    for name in sets:
        panel, horizon, season = _sparse_set(name)
        losses: dict[str, list[tuple[pl.DataFrame, np.ndarray]]] = {who: [] for who in ("ours", *RIVALS)}
        units: dict[str, list[tuple[pl.DataFrame, np.ndarray]]] = {who: [] for who in ("sold", *losses)}
        for window in windows(some_series(panel, most), horizon=horizon, count=count):
            sparse = demand_classes(window.past).is_in(list(_SPARSE)).to_numpy()
            fitted = make(horizon).fit(window.past)
            some = window.past.select(sparse)
            truth, past = window.truth()[sparse], some.dense(covariates=()).sales
            for who in losses:
                model = fitted if who == "ours" else make_model(who).fit(window.past)
                # All series are there to be seen by models that look at others.
                cube = model.predict(window.past, horizon=horizon, levels=DECILES).quantiles[sparse] if who == "ours" else (
                    model.predict(some, horizon=horizon, levels=DECILES).quantiles)
                losses[who].append((some.series, series_losses(truth, cube, past, season)))
                units[who].append((some.series, _lost(truth, cube)))
            units["sold"].append((some.series, np.nansum(np.abs(truth), axis=1)))
        found, lost = laid_out(losses), laid_out(units)
        figures += [Figure(check=INTERMITTENT, set=name, measure=f"SQL {who}", value=float(np.nanmean(np.nanmean(loss, axis=1))),
                           series=loss.shape[1], windows=len(loss)) for who, loss in found.items()]
        figures += [Figure.skill(paired_skill(found["ours"], found[who]), check=INTERMITTENT, set=name, measure=f"skill over {who}")
                    for who in RIVALS]
        figures += [Figure.skill(_skill_by_units(lost["ours"], lost[who], lost["sold"]), check=INTERMITTENT, set=name,
                                 measure=f"skill over {who}, by units") for who in RIVALS]
    return figures


def _sparse_set(name: str) -> tuple[SalesPanel, int, int]:
    """The panel, a horizon, and the season of the naive error."""
    if name == "online_retail":
        return REAL_SETS[name]().panel, 28, 7
    task = spine_accuracy.TASKS[name]()
    return task.panel, task.horizon, task.season


def as_new(panel: SalesPanel, out: np.ndarray, points: int) -> SalesPanel:
    """The panel in which the series `out`, bool (N,), have but their last `points` periods of sales; what is known ahead stays."""
    if points == 0:
        return without_sales(panel, out)
    begin = panel.cutoff - points + 1
    series = panel.series.with_columns(pl.when(pl.Series(out)).then(begin).otherwise("start").cast(
        panel.series.schema["start"]).alias("start"))
    new = pl.Series(out)[panel.rows[SERIES]]
    return replace(panel, series=series, rows=panel.rows.filter(~new | (pl.col(PERIOD) >= begin)))


def category_codes(series: pl.DataFrame, items: pl.DataFrame, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which known series stand for which: codes (N,) of category and place, and of the category alone.

    Parameters
    ----------
    items : table of item and `category`
    known : bool (N,)

    Raises
    ------
    ValueError
        If a category has no known series.
    """
    table = series.select(ITEM, LOCATION).join(items.select(ITEM, "category"), on=ITEM, how="left", maintain_order="left")
    fine = table.select(pl.struct("category", LOCATION).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    coarse = table["category"].rank("dense").to_numpy().astype(np.int64) - 1
    if not np.isin(coarse, coarse[known]).all():
        raise ValueError("A category has no item whose past is known.")
    return fine, coarse


def drawn_items(items: pl.DataFrame, *, share: float, seed: int) -> set[object]:
    """Items that are taken for new: a share of all, at most half of each category and none of a category of one."""
    order = np.random.default_rng(seed).permutation(items.height)
    shuffled = items.sort(ITEM)[order].with_columns((pl.int_range(pl.len()).over("category") < pl.len().over("category") // 2)
                                                    .alias("may"))
    return set(shuffled.filter("may").head(max(1, round(share * items.height)))[ITEM])


def new_items(make: Make, *, sets: Mapping[str, Callable[[], SalesPanel]] | None = None, count: int = 4, share: float = 0.1,
              points: Sequence[int] = POINTS, most: int | None = None) -> list[Figure]:
    """WQL of items without a past, beside both means of their category, with the skill over each.

    Parameters
    ----------
    count : windows, the last ones; each draws other items
    share : of the items that are taken for new
    points : periods of the past that are left
    most : series of a set
    """
    figures = []
    for name, load in (sets or NEW_SETS).items():
        panel = some_series(load(), most)
        horizon = {"D": 28, "W": 8}[panel.frequency.unit]
        for left in points:
            losses: dict[str, list[tuple[pl.DataFrame, np.ndarray]]] = {"ours": [], **{who: [] for who in RATHER}}
            sizes: dict[str, list[tuple[pl.DataFrame, np.ndarray]]] = {"sold": []}
            for seed, window in enumerate(windows(panel, horizon=horizon, count=count)):
                past, truth = window.past, window.truth()
                assert past.items is not None
                here = past.items.filter(pl.col(ITEM).is_in(past.series[ITEM].unique().implode()))
                out = past.series[ITEM].is_in(list(drawn_items(here, share=share, seed=seed))).to_numpy()
                told = as_new(past, out, left)
                quantiles = make(horizon).fit(told).predict(told, horizon=horizon, levels=DECILES).quantiles
                groups = category_codes(told.series, here, ~out)
                sold = told.dense(context=_RECENT[panel.frequency.unit], covariates=()).sales
                cubes = {"ours": quantiles, "model": region_mean(quantiles, ~out, groups),
                         "past": np.repeat(region_past(sold, ~out, groups, DECILES)[:, None, :], horizon, axis=1)}
                who_is_new = told.series.filter(pl.Series(out))
                for who, cube in cubes.items():
                    losses[who].append((who_is_new, _lost(truth[out], cube[out])))
                sizes["sold"].append((who_is_new, np.nansum(np.abs(truth[out]), axis=1)))
            found, sold_by = laid_out(losses), laid_out(sizes)["sold"]
            figures += [Figure(check=NEW, set=name, measure=f"WQL {who}{told_of(left)}", series=loss.shape[1], windows=len(loss),
                               value=float(np.mean(np.nansum(loss, axis=1) / np.nansum(sold_by, axis=1))))
                        for who, loss in found.items()]
            figures += [Figure.skill(_skill_by_units(found["ours"], found[who], sold_by), check=NEW, set=name,
                                     measure=f"skill over {RATHER[who]}{told_of(left)}") for who in RATHER]
    return figures


def _lost(truth: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(N,) quantile loss of a window's known periods, units; mean over the deciles."""
    return np.asarray(2 * np.nansum(pinball_losses(truth, quantiles, np.array(DECILES)).mean(axis=2), axis=1))


def told_of(points: int) -> str:
    """How much of the past is left, in words that end the name of a measure."""
    return f", {points} periods known" if points else ", no past"


def _skill_by_units(ours: np.ndarray, rival: np.ndarray, sold: np.ndarray) -> Interval:
    """Of the sums of losses over the units sold: each window counts alike."""
    units = np.nansum(sold, axis=1, keepdims=True)
    return paired_skill(ours / units, rival / units)


def demo_items() -> SalesPanel:
    """The demo chain by item, place and day."""
    return panel_of(simulated(DEMO), by=ITEM)


def iowa_items() -> SalesPanel:
    """Weekly bottles of some of Iowa's stores, with the category of each product."""
    panel = spine_accuracy.TASKS["iowa"]().panel
    products = pl.read_parquet(DATA / "iowa_liquor/products.parquet").select(
        pl.col("item_number").cast(panel.series.schema[ITEM], strict=False).alias(ITEM), pl.col("category_name").alias("category"))
    known = panel.series.select(ITEM).unique().join(products.unique(ITEM), on=ITEM, how="left").with_columns(
        pl.col("category").fill_null("unknown")).sort(ITEM)
    return replace(panel, items=known, covariates={**panel.covariates, "category": "static"})


NEW_SETS: Final[Mapping[str, Callable[[], SalesPanel]]] = {"demo": demo_items, "iowa": iowa_items}


def wanted(chain: DemoChain) -> pl.DataFrame:
    """item, location, date, and the units wanted: `demand` that came and `mu` that was to be expected."""
    return chain.truth.days.select(ITEM, LOCATION, DATE, "demand", "mu")


def as_wanted(panel: SalesPanel, truth: pl.DataFrame) -> SalesPanel:
    """The panel as it would be had no shelf been empty: what was wanted is what was sold; what nobody reported stays unknown.

    Parameters
    ----------
    truth : item, location, date, `demand`
    """
    codes = panel.series.select(ITEM, LOCATION).with_columns(pl.int_range(len(panel), dtype=pl.UInt32).alias(SERIES))
    told = truth.join(codes, on=[ITEM, LOCATION]).select(
        SERIES, panel.frequency.number_of(pl.col(DATE)).cast(panel.rows.schema[PERIOD]).alias(PERIOD), "demand")
    rows = panel.rows.join(told, on=[SERIES, PERIOD], how="left", maintain_order="left")
    rows = rows.with_columns(pl.when(pl.col(SALES).is_not_null()).then(pl.col("demand").cast(pl.Float64)).alias(SALES))
    gone = {name for name, kind in panel.covariates.items() if kind == "past"}
    return replace(panel, rows=rows.drop("demand", *gone), covariates={k: v for k, v in panel.covariates.items() if k not in gone})


def sold_out(make: Make, *, count: int = 13, horizon: int = 28, chain: DemoChain | None = None) -> list[Figure]:
    """Bias of the forecast's mean against the units wanted, of all series and of those that had been sold out; by window, and mean.

    Parameters
    ----------
    count : windows, the last ones of the history
    """
    chain = chain or simulated(DEMO)
    panel = panel_of(chain, by=ITEM)
    parts, truth_of = [], wanted(chain)
    for number, window in enumerate(windows(panel, horizon=horizon, count=count)):
        past = window.past
        available = past.dense(context=28, covariates=(AVAILABLE,)).past[AVAILABLE]
        gone = np.nan_to_num(1 - np.nanmean(np.where(np.isfinite(available), available, 1.0), axis=1)) > 0.05
        mean = make(horizon).fit(past).predict(past, horizon=horizon).mean
        full = as_wanted(past, truth_of)
        whole = make(horizon).fit(full).predict(full, horizon=horizon).mean
        n = len(past)
        days = [past.frequency.date(past.cutoff + 1 + h) for h in range(horizon)]
        table = past.series.select(ITEM, LOCATION).with_columns(pl.Series("gone", gone))[np.repeat(np.arange(n), horizon)]
        table = table.with_columns(pl.Series(DATE, days * n), pl.Series("mean", mean.ravel()), pl.Series("whole", whole.ravel()),
                                   pl.lit(number).alias("window"))
        parts.append(table.join(truth_of, on=[ITEM, LOCATION, DATE], how="inner"))  # what was taken off sale wants nothing
    cells, figures = pl.concat(parts), list[Figure]()
    for measure, some in ((ALL_SERIES, cells), (SOLD_OUT, cells.filter("gone"))):
        for truth in ("demand", "mu"):
            by = some.group_by("window").agg(pl.col("mean", truth).sum()).select(pl.col("mean") / pl.col(truth) - 1)["mean"]
            total = some["mean"].sum() / some[truth].sum() - 1
            figures.append(Figure(check=SOLD_OUT, set="demo", measure=f"bias against {truth}, {measure}", value=float(total),
                                  low=float(by.min()), high=float(by.max()),  # type: ignore[arg-type]
                                  series=some.select(ITEM, LOCATION).n_unique(), windows=len(parts)))
        by = some.group_by("window").agg(pl.col("mean", "whole").sum()).select(pl.col("mean") / pl.col("whole") - 1)["mean"]
        figures.append(Figure(check=SOLD_OUT, set="demo", measure=DUE_TO_SHELVES.format(measure),
                              value=float(some["mean"].sum() / some["whole"].sum() - 1), low=float(by.min()),  # type: ignore[arg-type]
                              high=float(by.max()), series=some.select(ITEM, LOCATION).n_unique(),  # type: ignore[arg-type]
                              windows=len(parts)))
    recorded = cells.filter("gone").join(chain.history.select(ITEM, LOCATION, DATE, SALES), on=[ITEM, LOCATION, DATE], how="left")
    figures.append(Figure(check=SOLD_OUT, set="demo", measure="recorded sales over demand, sold out, less 1", windows=len(parts),
                          value=float(recorded[SALES].sum() / recorded["demand"].sum() - 1),
                          series=recorded.select(ITEM, LOCATION).n_unique()))
    return figures

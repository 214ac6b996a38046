"""Are covariates used where they tell something, and left alone where they tell nothing?

`shown`: on Dominick's weekly juice the price, deal and feature of the coming weeks are shown, or hidden; beside both stand the
quantiles of each series' own last 26 weeks.

`irrelevant`: covariates that have nothing to do with sales (those that drawn worlds have, `world.surroundings.irrelevant`: flags
and wandering numbers, by place or for all) are added to a panel, past and future. The move is the sum over all series and periods
of |median with - median without| over the sum of the medians without. One covariate is added at a time, and the mean over the draws
is told; then three at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np
import polars as pl

import spine_accuracy
from figures import Figure, Make, laid_out, series_losses, some_series, without_known
from shelfcast.data.split import windows
from shelfcast.evaluate.resampling import paired_skill
from shelfcast.evaluate.scores import DECILES
from shelfcast.models.empirical import row_quantiles
from shelfcast.names import LOCATION
from shelfcast.panel import PERIOD, CovariateTable, SalesPanel
from shelfcast.world.surroundings import irrelevant

SHOWN: Final = "covariates shown"
IRRELEVANT: Final = "irrelevant"
ONE: Final = "move of the median, one covariate"
CUT: Final = "cut of the SQL by showing"
OVER_RECENT: Final = "skill over recent quantiles"
JUICE: Final = "dominicks"
WEEKS: Final = 13
RECENT: Final = 26
MOVED: Final = ("dominicks", "store_item", "stallion")


def shown(make: Make, *, count: int = 3, most: int | None = None) -> list[Figure]:
    """SQL with the covariates shown, hidden, and of recent quantiles, and the paired differences.

    Parameters
    ----------
    count : windows, the last ones
    most : series, for a quick look
    """
    panel = some_series(spine_accuracy.TASKS[JUICE]().panel, most)
    losses: dict[str, list[tuple[pl.DataFrame, np.ndarray]]] = {"shown": [], "hidden": [], "recent": []}
    for window in windows(panel, horizon=WEEKS, count=count):
        told, past = {"shown": window.past, "hidden": without_known(window.past)}, window.past.dense(covariates=()).sales
        recent = row_quantiles(past[:, -RECENT:], np.array(DECILES))
        cubes = {who: make(WEEKS).fit(one).predict(one, horizon=WEEKS, levels=DECILES).quantiles for who, one in told.items()}
        cubes["recent"] = np.repeat(recent[:, None, :], WEEKS, axis=1)
        for who, cube in cubes.items():
            losses[who].append((window.past.series, series_losses(window.truth(), cube, past, 1)))
    found = laid_out(losses)
    all_seen = np.isfinite(np.stack(list(found.values()))).all(axis=0)  # a series too young for recent quantiles is nobody's
    found = {who: np.where(all_seen, loss, np.nan) for who, loss in found.items()}
    figures = [Figure(check=SHOWN, set=JUICE, measure=f"SQL {who}", value=float(np.nanmean(np.nanmean(loss, axis=1))),
                      series=loss.shape[1], windows=len(loss)) for who, loss in found.items()]
    for measure, rival in ((CUT, "hidden"), (OVER_RECENT, "recent")):
        figures.append(Figure.skill(paired_skill(found["shown"], found[rival]), check=SHOWN, set=JUICE, measure=measure))
    return figures


def with_noise(panel: SalesPanel, horizon: int, *, seed: int, count: int) -> SalesPanel:
    """The panel with so many drawn covariates that have nothing to do with its sales, known `horizon` periods ahead."""
    places = panel.series[LOCATION].unique().sort()
    first = int(panel.series["start"].min())  # type: ignore[arg-type]
    steps = panel.cutoff + horizon + 1 - first
    rng, drawn = np.random.default_rng(seed), dict[str, np.ndarray]()
    while len(drawn) < count:
        drawn |= {k: np.asarray(v) for k, v in irrelevant(rng, len(places), steps).items()}
    period = np.arange(first, first + steps, dtype=np.int32)
    tables = []
    for name, values in islice(drawn.items(), count):
        keys = {PERIOD: period} if values.ndim == 1 else {
            LOCATION: places.gather(np.repeat(np.arange(len(places)), steps)), PERIOD: np.tile(period, len(places))}
        tables.append(CovariateTable(pl.DataFrame({**keys, name: values.ravel()})))
    return replace(panel, tables=(*panel.tables, *tables),
                   covariates={**panel.covariates, **dict.fromkeys(islice(drawn, count), "known")})


def moves(make: Make, panel: SalesPanel, horizon: int, *, draws: int, count: int) -> np.ndarray:
    """(draws,) how far medians move when `count` irrelevant covariates are added."""
    def median(one: SalesPanel) -> np.ndarray:
        return make(horizon).fit(one).predict(one, horizon=horizon, levels=(0.5,)).quantiles[:, :, 0]

    before = median(panel)
    return np.array([np.abs(median(with_noise(panel, horizon, seed=seed, count=count)) - before).sum() / np.abs(before).sum()
                     for seed in range(draws)])


def unmoved(make: Make, *, sets: Sequence[str] = MOVED, draws: int = 5, most: int | None = None) -> list[Figure]:
    """How far an irrelevant covariate, and three of them, move the median forecast of the last window."""
    figures = []
    for name in sets:
        task = spine_accuracy.TASKS[name]()
        (window,) = windows(some_series(task.panel, most), horizon=task.horizon, count=1)
        for measure, count in ((ONE, 1), ("move of the median, three covariates", 3)):
            found = moves(make, window.past, task.horizon, draws=draws, count=count)
            figures.append(Figure(check=IRRELEVANT, set=name, measure=measure, value=float(found.mean()), low=float(found.min()),
                                  high=float(found.max()), series=len(window.past), windows=1))
    return figures

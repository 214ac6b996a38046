"""How good would the forecast have been? Replays windows of the past and scores models on the same series and periods.

In each window a model learns from the past alone, forecasts it, and is measured by what came.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import polars as pl

from shelfcast.data.hierarchy import Hierarchy
from shelfcast.data.split import Window, windows
from shelfcast.errors import DataError, SettingsError, shorten
from shelfcast.evaluate.grouping import groupings, scaling_season
from shelfcast.evaluate.level_scores import LevelTally
from shelfcast.evaluate.replay import CHUNK, Slice, replay, scored_part
from shelfcast.evaluate.scores import DECILES, Tally, averaged
from shelfcast.forecast import Forecast, check_levels
from shelfcast.models.base import Forecaster
from shelfcast.names import LEVELS, PROMO
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, Silent, stage


@dataclass(frozen=True)
class Backtest:
    """What a replay of the past measured.

    Attributes
    ----------
    scores : long table: `cutoff` (date), `role` (model or rival), `model` (name), `kind` (`all`, `class`, `age`, `location`,
        attributes such as `item:category`, `step`, `promoted`, `level`: sums of forecasts), `group`, `series` (count), `metric`,
        `value`. Metrics: those of `scores.measures`: WAPE, MASE, SQL, WQL, RMSE, bias ..., pinball and coverage by level
        (`coverage q0.9`). Periods when a place was closed are not measured
    model, rival : names; rival is None when there was none
    horizon, season : periods; the season scales MASE and SQL
    series, of_series : scored, and in the panel
    told : sentences on how the measuring was done, for the user
    """

    scores: pl.DataFrame
    model: str
    rival: str | None
    horizon: int
    season: int
    series: int
    of_series: int
    told: tuple[str, ...] = ()

    def headline(self) -> dict[str, dict[str, float]]:
        """{metric: {"model": value, "rival": value, "skill": 1 - model / rival}}, each the mean over the windows.

        Metrics are WAPE, MASE, SQL, WQL, bias and `coverage 0.1-0.9` (0.8 when calibrated); skill stands beside the first four.
        """
        return self.group_scores("all").get("all", {})

    def group_scores(self, kind: str) -> dict[str, dict[str, dict[str, float]]]:
        """{group: headline of that group}, for the kind `class`, `location`, `step` or `all`, in their natural order."""
        table = (self.scores.filter(pl.col("kind") == kind).group_by("group", "metric", "role", maintain_order=True)
                 .agg(pl.col("value").fill_nan(None).mean()))
        out: dict[str, dict[str, dict[str, float]]] = {}
        for group, metric, role, value in table.iter_rows():
            if metric in _HEADLINE:
                out.setdefault(group, {}).setdefault(metric, {})[role] = float("nan") if value is None else value
        for metrics in out.values():
            for metric in _WITH_SKILL:
                pair = metrics.get(metric, {})
                if pair.get("rival", 0.0) > 0:
                    pair["skill"] = 1 - pair["model"] / pair["rival"]
        return out


_WITH_SKILL: Final = ("WAPE", "MASE", "SQL", "WQL")
_MIDDLE: Final = "coverage 0.1-0.9"
_HEADLINE: Final = (*_WITH_SKILL, "bias", _MIDDLE)


def backtest(model: Forecaster, panel: SalesPanel, *, horizon: int, windows: int = 1, levels: Sequence[float] = LEVELS,
             rival: Forecaster | None = None, max_series: int | None = 20_000, seed: int = 0,
             progress: Progress = Silent()) -> Backtest:  # noqa: B008 (has no state)
    """Replay the last windows of a panel's past.

    Parameters
    ----------
    model : made, fitted or not; in every window a copy of it learns anew, from that window's past alone
    horizon : periods to forecast in each window
    windows : how many, one behind the other, the last ending at the panel's cutoff
    levels : quantile levels to forecast; 0.5 must be among them
    rival : measured on the same series and periods
    max_series : with more series than this, a sample drawn by `seed` is scored (all of them still teach); None scores all
    progress : told of every slice that is scored

    Raises
    ------
    SettingsError
        If the windows need more history than there is, or the levels lack the median.
    DataError
        If nothing is known of the sales in any window.
    """
    checked = check_scored(levels, max_series)
    contenders = {"model": model} | ({} if rival is None else {"rival": rival})
    found, scored = [], 0
    for window in _windows(panel, horizon=horizon, count=windows):
        judged = scored_part(window, max_series=max_series, seed=seed)
        scored = max(scored, len(judged.past))
        for role, one in contenders.items():
            fitted = deepcopy(one).fit(window.past)
            with stage(progress, "measuring on the past", len(judged.past)):
                scores = measure(judged, fitted, levels=checked, keep=lambda part: progress.advance(len(part.actual))).scores
            found.append(scores.with_columns(pl.lit(panel.frequency.date(window.past.cutoff)).alias("cutoff"),
                                             pl.lit(role).alias("role"), pl.lit(one.traits.name).alias("model")))
    table = pl.concat(found).select("cutoff", "role", "model", "kind", "group", "series", "metric", "value")
    if not table.height:
        raise DataError(f"Nothing is known of the sales in the last {horizon * windows} periods, so nothing can be measured there.")
    told = [f"Measured on the last {windows} window{'s' if windows > 1 else ''} of {horizon} {panel.frequency.noun}s; "
            f"the models learned from what came before.", *levels_told(checked)]
    if scored < len(panel):
        told.append(f"{scored:,} of {len(panel):,} series were scored"
                    + (f", drawn with seed {seed}." if max_series is not None and scored == max_series else
                       ": those that had begun before the window."))
    return Backtest(table, model.traits.name, None if rival is None else rival.traits.name, horizon, scaling_season(panel), scored,
                    len(panel), tuple(told))


_windows = windows  # inside backtest() the plain word is the count that the caller wants


@dataclass(frozen=True, eq=False)
class Measured:
    """What one model's forecast of one window was worth.

    Attributes
    ----------
    scores : rows `kind`, `group`, `series`, `metric`, `value`
    losses : one row a series: `item`, `location`, `class`, `end` (its cutoff as a period number), `scale` and the sums
        `scores.LOSSES`
    """

    scores: pl.DataFrame
    losses: pl.DataFrame


def measure(window: Window, fitted: Forecaster, *, levels: tuple[float, ...], keep: Callable[[Slice], None] | None = None,
            hierarchy: Hierarchy | None = None, upper: Mapping[str, Forecast] | None = None) -> Measured:
    """Replay one window with a model that has learned from its past, and score it.

    Parameters
    ----------
    levels : checked by `check_scored`
    keep : told of every slice as it is scored: to store forecasts, or to show how far it is
    hierarchy : of the window's series, whose levels are scored, too; None for those that their attributes give
    upper : {level: its forecast}, where sums have forecasts of their own; others are summed from the series
    """
    groups = groupings(window)
    tally = Tally(groups, horizon=window.horizon, levels=levels, season=scaling_season(window.past))
    with_promo = window.past.covariates.get(PROMO) in ("known", "past")
    sums_by_level = LevelTally(window, levels=levels, hierarchy=hierarchy, upper=upper)
    losses = []
    for part in replay(window, fitted, levels=levels, chunk=CHUNK):
        sums_by_level.add(part)
        sums = tally.add(part, part.window.later(PROMO) if with_promo else None)
        losses.append(pl.concat([part.series, sums], how="horizontal"))
        if keep is not None:
            keep(part)
    classes = next(g for g in groups if g.kind == "class")
    labels = pl.DataFrame({"class": pl.Series([classes.names[c] for c in classes.codes], dtype=pl.String), "end": window.ends})
    table = pl.concat([pl.concat(losses), labels], how="horizontal")
    first = ["item", "location", "class", "end"]
    return Measured(pl.concat([tally.table(), sums_by_level.table()]), table.select(*first, pl.exclude(first)))


def check_scored(levels: Sequence[float], max_series: int | None) -> tuple[float, ...]:
    """Levels that can be scored, or an error."""
    checked = check_levels(levels)
    if 0.5 not in checked:
        raise SettingsError(f"A backtest measures the median, so its levels must hold 0.5; got {shorten(checked)}.")
    if max_series is not None and max_series < 1:
        raise SettingsError(f"A backtest scores at least one series; max_series is {shorten(max_series)}.")
    return checked


def levels_told(levels: tuple[float, ...]) -> list[str]:
    """What a user must know of the levels that measures are averaged over."""
    middle = averaged(levels)
    if len(middle) == len(DECILES):
        return []
    return [f"SQL and WQL are averaged over the levels {', '.join(f'{levels[i]:g}' for i in middle)} alone, the ones asked for."]

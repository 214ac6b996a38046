"""How good would the forecast have been? Replays the last windows of the past and scores a model beside a rival.

In each window both learn from the past alone, forecast it, and are measured on the same series and periods. Only sums are
kept, by group, so a million series need no more memory than a slice of them.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.classes import CLASSES, demand_classes
from shelfcast.data.opening import closed_ahead, demand_seen, opening_covariate
from shelfcast.data.split import Window, windows
from shelfcast.errors import DataError, SettingsError, shorten
from shelfcast.evaluate.metrics import pinball_losses, seasonal_error
from shelfcast.forecast import Forecast, check_levels
from shelfcast.models.base import Forecaster
from shelfcast.names import LEVELS, LOCATION, quantile_column
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, Silent, stage

_CHUNK: Final = 2048  # series forecast and scored at once: bounds memory, changes no number
_SCORED: Final = tuple(k / 10 for k in range(1, 10))
"""Levels over which SQL and WQL are averaged, as the public benchmarks do."""
_PARTS: Final = ("cells", "actual", "size", "absolute", "square", "excess", "scaled cells", "scaled absolute", "inside")


@dataclass(frozen=True)
class Backtest:
    """What a replay of the past measured.

    Attributes
    ----------
    scores : long table: `cutoff` (date), `role` (model or rival), `model` (name), `kind` (`all`, `class`, `location`,
        `step`), `group`, `series` (count), `metric`, `value`. Metrics: WAPE, MASE, SQL, WQL, RMSE, bias, pinball and coverage by
        level (`coverage q0.9`). Periods when a place was closed are not measured
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
    checked = check_levels(levels)
    if 0.5 not in checked:
        raise SettingsError(f"A backtest measures the median, so its levels must hold 0.5; got {shorten(checked)}.")
    if max_series is not None and max_series < 1:
        raise SettingsError(f"A backtest scores at least one series; max_series is {shorten(max_series)}.")
    contenders = {"model": model} | ({} if rival is None else {"rival": rival})
    season = 1 if panel.frequency.unit == "W" else panel.frequency.season
    names = {role: one.traits.name for role, one in contenders.items()}
    found, scored = [], 0
    for window in _windows(panel, horizon=horizon, count=windows):
        chosen = _sample(len(window.past), max_series, seed)
        fitted = {role: deepcopy(one).fit(window.past) for role, one in contenders.items()}
        judged = window if chosen is None else window.select(chosen)
        scores = _score_window(judged, fitted, checked, season, progress)
        found.append(scores.with_columns(pl.lit(panel.frequency.date(window.past.cutoff)).alias("cutoff"),
                                         pl.col("role").replace_strict(names, return_dtype=pl.String).alias("model")))
        scored = max(scored, len(judged.past))
    table = pl.concat(found).select("cutoff", "role", "model", "kind", "group", "series", "metric", "value")
    if not table.height:
        raise DataError(f"Nothing is known of the sales in the last {horizon * windows} periods, so nothing can be measured there.")
    told = [f"Measured on the last {windows} window{'s' if windows > 1 else ''} of {horizon} {panel.frequency.noun}s; "
            f"the models learned from what came before."]
    averaged = _averaged(checked)
    if len(averaged) < len(_SCORED):
        levels_said = ", ".join(f"{checked[i]:g}" for i in averaged)
        told.append(f"SQL and WQL are averaged over the levels {levels_said} alone, the ones asked for.")
    if scored < len(panel):
        told.append(f"{scored:,} of {len(panel):,} series were scored"
                    + (f", drawn with seed {seed}." if max_series is not None and scored == max_series else
                       ": those that had begun before the window."))
    return Backtest(table, names["model"], names.get("rival"), horizon, season, scored, len(panel), tuple(told))


_windows = windows  # inside backtest() the plain word is the count that the caller wants


def _sample(n: int, most: int | None, seed: int) -> np.ndarray | None:
    """Rising positions of the series to score; None for all."""
    if most is None or n <= most:
        return None
    return np.sort(np.random.default_rng(seed).choice(n, size=most, replace=False))


def _score_window(window: Window, fitted: dict[str, Forecaster], levels: tuple[float, ...], season: int,
                  progress: Progress) -> pl.DataFrame:
    """Scores of one window: role, kind, group, series, metric, value."""
    past = window.past
    classes, class_names = _codes(demand_classes(past), CLASSES)
    places, place_names = _codes(past.series[LOCATION].cast(pl.String), None)
    labels = {"all": (np.zeros(len(past), dtype=np.intp), ["all"]), "class": (classes, class_names),
              "location": (places, place_names)}
    width = len(_PARTS) + 3 * len(levels)
    sums = {role: {kind: np.zeros((len(names), width)) for kind, (_, names) in labels.items()}
            | {"step": np.zeros((window.horizon, width))} for role in fitted}
    known = np.zeros(len(past), dtype=bool)
    size = _chunk_size(fitted, len(past))
    with stage(progress, "measuring on the past", len(past)):
        for start in range(0, len(past), size):
            part = window.select(slice(start, start + size))
            here = slice(start, start + len(part.past))
            dense = part.past.dense(horizon=window.horizon, covariates=opening_covariate(past))
            # Forecasting nought for a closed shop is no merit: such periods are not measured, neither do they shrink the scale.
            actual = np.where(closed_ahead(part.past, dense, window.horizon), np.nan, part.truth())
            known[here] = np.isfinite(actual).any(axis=1)
            scale = seasonal_error(demand_seen(part.past, dense), season)
            for role, model in fitted.items():
                forecast = model.predict(part.past, horizon=window.horizon, levels=levels)
                by_series, by_step = _measure(forecast, actual, scale)
                for kind, (codes, _) in labels.items():
                    np.add.at(sums[role][kind], codes[here], by_series)
                sums[role]["step"] += by_step
            progress.advance(len(part.past))
    counts = {kind: np.bincount(codes[known], minlength=len(names)) for kind, (codes, names) in labels.items()}
    groups = {kind: names for kind, (_, names) in labels.items()} | {"step": [str(h + 1) for h in range(window.horizon)]}
    counts["step"] = np.full(window.horizon, known.sum())
    return pl.concat([_table(role, kind, groups[kind], counts[kind], sums[role][kind], levels)
                      for role in fitted for kind in groups])


def _chunk_size(fitted: dict[str, Forecaster], n: int) -> int:
    """Series in a slice; all of them when a model's forecast of a series depends on the others given."""
    return _CHUNK if all(model.traits.series_apart for model in fitted.values()) else n


def _codes(labels: pl.Series, order: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Position of each label in the list of groups; groups in the given order, else in the order of first appearance."""
    present = labels.unique(maintain_order=True).to_list()
    names = present if order is None else [name for name in order if name in set(present)]
    return labels.replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy().astype(np.intp), names


def _measure(forecast: Forecast, actual: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums by series (N, K) and by step (H, K) of the parts that measures are made of: `_PARTS`, then for each level the
    pinball loss, the scaled pinball loss and whether the actual was covered."""
    seen = np.isfinite(actual)
    weight = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)[:, None]
    scaled = seen & (weight > 0)
    error = np.abs(actual - forecast.at(0.5))
    plain = [np.ones_like(actual), actual, np.abs(actual), error, (actual - forecast.mean) ** 2, forecast.mean - actual, scaled,
             error * weight, _inside(forecast, actual)]
    losses = pinball_losses(actual, forecast.quantiles, np.array(forecast.levels))
    covered = actual[:, :, None] <= forecast.quantiles
    columns = plain + [part for i in range(losses.shape[2])
                       for part in (losses[:, :, i], losses[:, :, i] * weight, covered[:, :, i])]
    by_series = np.empty((len(actual), len(columns)))
    by_step = np.empty((actual.shape[1], len(columns)))
    for k, column in enumerate(columns):
        kept = np.where(seen, column, 0.0)
        by_series[:, k], by_step[:, k] = kept.sum(axis=1), kept.sum(axis=0)
    return by_series, by_step


def _averaged(levels: Sequence[float]) -> list[int]:
    """Positions of the levels over which SQL and WQL are averaged: the deciles among them, the median at least."""
    return [i for i, q in enumerate(levels) if any(abs(q - s) < 1e-9 for s in _SCORED)]


def _has_middle(levels: Sequence[float]) -> bool:
    return 0.1 in levels and 0.9 in levels


def _inside(forecast: Forecast, actual: np.ndarray) -> np.ndarray:
    """(N, H): the actual lies between the 0.1 and 0.9 quantiles, both included; a sure and true zero counts as inside."""
    if not _has_middle(forecast.levels):
        return np.zeros_like(actual)
    return (forecast.at(0.1) <= actual) & (actual <= forecast.at(0.9))


def _table(role: str, kind: str, names: list[str], counts: np.ndarray, sums: np.ndarray, levels: tuple[float, ...]) -> pl.DataFrame:
    """Measures of each group from its sums; groups without a known period are left out."""
    part = dict(zip(_PARTS, sums.T, strict=False))
    by_level = sums[:, len(_PARTS):].reshape(len(sums), len(levels), 3)
    cells, size, scaled = part["cells"], part["size"], part["scaled cells"]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        metrics = {"WAPE": part["absolute"] / size, "MASE": part["scaled absolute"] / scaled,
                   "RMSE": np.sqrt(part["square"] / cells), "bias": part["excess"] / size}
        middle = _averaged(levels)
        metrics["WQL"] = 2 * by_level[:, middle, 0].mean(axis=1) / size
        metrics["SQL"] = 2 * by_level[:, middle, 1].mean(axis=1) / scaled
        for i, q in enumerate(levels):
            metrics[f"pinball {quantile_column(q)}"] = by_level[:, i, 0] / cells
            metrics[f"coverage {quantile_column(q)}"] = by_level[:, i, 2] / cells
        if _has_middle(levels):
            metrics[_MIDDLE] = part["inside"] / cells
    kept = cells > 0
    # A group that sold nothing has no size to compare errors with: infinite is not a number to show.
    labels = pl.DataFrame({"group": pl.Series(names, dtype=pl.String), "series": counts.astype(np.int64)})
    labels = labels.select(pl.lit(role).alias("role"), pl.lit(kind).alias("kind"), "group", "series")
    return pl.concat([labels.with_columns(pl.lit(metric).alias("metric"),
                                          pl.Series("value", np.where(np.isfinite(value), value, np.nan))).filter(pl.Series(kept))
                      for metric, value in metrics.items()])

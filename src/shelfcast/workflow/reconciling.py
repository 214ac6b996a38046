"""Sums on the way from a model's forecast to the one that is kept: the levels are forecast, too, and all are made to agree."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from shelfcast.adjust.moving import moved_to
from shelfcast.adjust.reconcile import Method, reconcile
from shelfcast.adjust.replayed_method import Replayed, Tried, agreeing, best_method
from shelfcast.data.hierarchy import BOTTOM, Hierarchy
from shelfcast.data.split import windows
from shelfcast.data.sums import sum_panel
from shelfcast.errors import SettingsError, UnknownNameError, shorten
from shelfcast.forecast import MEAN, Forecast
from shelfcast.models.base import Forecaster
from shelfcast.models.registry import setting_names
from shelfcast.names import ITEM, KEYS, LOCATION
from shelfcast.operate.batches import ForecastBatches
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, stage
from shelfcast.settings import BacktestSettings, ForecastSettings, Reconciling
from shelfcast.workflow.choosing import is_fitted_folder, make_forecaster
from shelfcast.workflow.overriding import Planned
from shelfcast.workflow.planning import too_short
from shelfcast.workflow.preparing import Clock, Say

LEVELS_FOLDER: Final = "levels"
OVERRIDDEN_LEVELS: Final = "overridden-levels"
_REPLAYS: Final = 4  # windows whose errors weigh the levels: with two, MinT left series of M5 worse than bottom-up; see docs/log.md


@dataclass(frozen=True)
class Coherent:
    """What is kept: the model's batches as they are, or reconciled, with the forecasts of the levels above.

    Attributes
    ----------
    upper : {level: its forecast}, which agrees with `batches`
    coherence : the largest gap between a level's mean and the sum of the kept series that is planned with, units
    tried : how each way to reconcile did in the past, where it was tried
    planned : {level: its forecast with the overrides}, where there are overrides
    """

    batches: ForecastBatches
    upper: Mapping[str, Forecast] = field(default_factory=dict)
    method: str = "none"
    coherence: float | None = None
    told: tuple[str, ...] = ()
    tried: Tried | None = None
    planned: Mapping[str, Forecast] = field(default_factory=dict)
    hierarchy: Hierarchy | None = None

    def with_overrides(self, planned: Planned) -> "Coherent":
        """The levels moved to the sums of the overridden series, their quantiles along with their means."""
        if self.hierarchy is None or planned.moves is None:
            return self
        mean = _means(planned.batches, self.hierarchy)
        moved = {level.name: moved_to(self.upper[level.name], level.sums(mean)) for level in self.hierarchy.levels}
        return replace(self, planned=moved, coherence=max(_gap(self.hierarchy, moved, mean)))

    def write(self, folder: Path) -> None:
        """Keep a file for each level in a run folder: `levels/category-x-region.parquet`; with the overrides beside it."""
        for name, levels in ((LEVELS_FOLDER, self.upper), (OVERRIDDEN_LEVELS, self.planned)):
            if levels:
                write_levels(folder / name, levels)

    def summary(self) -> dict[str, Any] | None:
        """What was summed and how it was made to agree, as plain values; None when nothing was asked for."""
        if not self.upper:
            return None
        return {"method": self.method, "levels": {name: len(one) for name, one in self.upper.items()},
                "largest_gap": self.coherence, "replayed": None if self.tried is None else self.tried.as_plain(),
                "told": list(self.told)}


def write_levels(folder: Path, levels: Mapping[str, Forecast]) -> dict[str, str]:
    """A file for each level; {level: the file's name}."""
    folder.mkdir()
    names: dict[str, str] = {}
    for i, (name, forecast) in enumerate(levels.items()):
        target = folder / (re.sub(r"[^\w.-]+", "-", name) + ".parquet")
        target = target if not target.exists() else folder / f"{i}-{target.name}"
        forecast.save(target)
        names[name] = target.name
    return names


def asked_hierarchy(settings: ForecastSettings | BacktestSettings, panel: SalesPanel,
                    columns: Mapping[str, str] | None = None) -> Hierarchy | None:
    """The levels that were asked for, over the series that are forecast; None when none were.

    Parameters
    ----------
    columns : {role: the source's column}: the column that is read as item or location is also a name of that level

    Raises
    ------
    UnknownNameError
        If an attribute belongs to neither items nor places.
    """
    if not settings.hierarchy:
        return None
    items, places = _names(ITEM, panel.items), _names(LOCATION, panel.places)
    asked = attribute_names(settings.hierarchy, panel, columns)
    for name in asked:
        if name not in items and name not in places:
            raise UnknownNameError("attribute of items or places", name, [*items, *places],
                                   advice="Give a table with it: --static FILE.")
        if name in items and name in places:
            raise SettingsError(f"{shorten(name)!r} is an attribute of items and of places; rename one of the columns.")
    made = hierarchy_by(asked, panel)
    if not made.levels:
        raise SettingsError(f"Nothing is left to sum by {', '.join(map(shorten, settings.hierarchy))}: {' '.join(made.told)}")
    return made


def attribute_names(asked: Sequence[str], panel: SalesPanel, columns: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The attributes as the panel calls them: the source's column for items, or for locations, is a name of theirs, too."""
    known = {*_names(ITEM, panel.items), *_names(LOCATION, panel.places)}
    called = {c.lower(): role for role, c in (columns or {}).items() if role in KEYS}
    return tuple(dict.fromkeys(name if name in known else called.get(name.lower(), name) for name in asked))


def hierarchy_by(names: Sequence[str], panel: SalesPanel) -> Hierarchy:
    """The hierarchy of a panel's series by attributes of its items and places."""
    items, places = _names(ITEM, panel.items), _names(LOCATION, panel.places)
    return Hierarchy.of(panel.series, items=panel.items, places=panel.places, item_levels=[n for n in names if n in items],
                        place_levels=[n for n in names if n in places])


def _names(key: str, table: pl.DataFrame | None) -> list[str]:
    return [key, *(c for c in ([] if table is None else table.columns) if c not in KEYS)]


@dataclass(frozen=True, kw_only=True)
class Summing:
    """How sums are forecast and made to agree with their parts.

    Attributes
    ----------
    how : a way to reconcile, `auto` or `none`
    model, options : what forecasts the sums; in place of `auto` and of a fitted model, a single one that suits them
    levels : quantile levels
    batch : series forecast at a time
    """

    how: Reconciling
    model: str
    horizon: int
    levels: tuple[float, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    batch: int = 4_096

    @classmethod
    def of(cls, settings: ForecastSettings) -> Self:
        """As a forecast was asked for."""
        assert settings.reconcile is not None  # the settings see to it
        return cls(how=settings.reconcile, model=settings.model, options=settings.options, horizon=settings.ahead,
                   levels=settings.all_levels, seed=settings.seed, batch=settings.batch)

    def replays(self, panel: SalesPanel) -> int:
        """Windows of the past that are replayed. MinT weighs by past errors, and a choice is judged by them; a sum of parts alone
        spreads as these erred together."""
        return _replays(panel, self.horizon) if self.how in ("auto", "mint", "bottom_up") else 0

    def fits(self, panel: SalesPanel, hierarchy: Hierarchy) -> int:
        """How many models are fitted for it, beside the one that forecasts the series."""
        replays = self.replays(panel)
        return (0 if self.how == "bottom_up" else len(hierarchy.levels)) * (1 + replays) + replays


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """Forecasts of series and of their sums.

    Attributes
    ----------
    bottom : of the series; None where they stay as they were
    upper : {level: its forecast}
    method : how they were made to agree, or `none`
    told : sentences for the user
    tried : how each way did in the past, where it was tried
    """

    bottom: Forecast | None
    upper: Mapping[str, Forecast]
    method: str
    told: tuple[str, ...]
    tried: Tried | None = None

    def as_plain(self) -> dict[str, Any]:
        """What a manifest shows."""
        return {"method": self.method, "levels": {name: len(one) for name, one in self.upper.items()},
                "replayed": None if self.tried is None else self.tried.as_plain(), "told": list(self.told)}


def agree(bottom: Forecast, hierarchy: Hierarchy, summing: Summing, *, panel: SalesPanel, clock: Clock,
          progress: Progress) -> Agreed:
    """Forecast the sums of a panel's series and make all agree; of the panel no more is used than was known at its cutoff."""
    upper: dict[str, Forecast] = {}
    past: dict[str, Replayed] = {}
    how, replays = summing.how, summing.replays(panel)
    names = [] if how == "bottom_up" else hierarchy.names
    with clock("levels"), stage(progress, "forecasting sums", summing.fits(panel, hierarchy)) as bar:
        if replays:
            past[BOTTOM] = _replayed(summing, panel, replays, bar)
        for name in names:
            summed = sum_panel(panel, hierarchy, name)
            upper[name] = _fitted(summing, summed).predict(summed, horizon=summing.horizon, levels=summing.levels)
            bar.advance()
            if replays:
                past[name] = _replayed(summing, summed, replays, bar)
    if replays:
        past = agreeing(past, hierarchy)
    told = list(hierarchy.told)
    if summing.model == "auto" or is_fitted_folder(summing.model):
        told.append("Sums, and past errors, are forecast by 'boosted', or by 'profile' where the past is short.")
    if how == "none":
        told.append(f"The levels are forecast apart and do not add up: the largest gap is "
                    f"{max(_gap(hierarchy, upper, bottom.mean)):,.1f} units.")
        return Agreed(bottom=None, upper=upper, method=how, told=tuple(told))
    tried = None
    with clock("reconcile"):
        chosen: Method = "wls" if how == "mint" and not replays else how if how != "auto" else "bottom_up"
        if how == "auto":
            tried = best_method(past, hierarchy, windows=replays, non_negative=not panel.net_of_returns)
            told.append(tried.told)
            chosen = tried.method
        elif chosen != how:
            told.append("The past is too short to replay: sums count by the number of their series (wls), not by their errors.")
        errors = {name: one.error for name, one in past.items()} if chosen in ("mint", "bottom_up") else {}
        found = reconcile(bottom, hierarchy, upper=upper, method=chosen, errors=errors or None,
                          non_negative=not panel.net_of_returns, seed=summing.seed, progress=progress)
    told += [sentence for sentence in found.told if sentence not in told]
    return Agreed(bottom=found.bottom, upper=dict(found.upper), method=chosen, told=tuple(told), tried=tried)


@contextmanager
def reconciling(batches: ForecastBatches, hierarchy: Hierarchy | None, settings: ForecastSettings, panel: SalesPanel, *,
                clock: Clock, say: Say, progress: Progress) -> Iterator[Coherent]:
    """Forecast the levels, and make a forecast that lies in batches agree with them."""
    if hierarchy is None:
        yield Coherent(batches)
        return
    bottom = whole(list(batches.parts(panel.frequency)), panel)
    found = agree(bottom, hierarchy, Summing.of(settings), panel=panel, clock=clock, progress=progress)
    for sentence in found.told:
        say(sentence)
    if settings.run is None:
        say("The forecasts of the levels are kept in a run folder alone: give --run FOLDER.")
    if settings.overrides is not None and found.bottom is None:
        say("The forecasts of the levels are from before the overrides.")
    with ForecastBatches() as kept:
        made = batches if found.bottom is None else _in_batches(found.bottom, kept, settings.batch)
        gap = max(_gap(hierarchy, found.upper, _means(made, hierarchy)))
        yield Coherent(made, found.upper, found.method, gap, found.told, found.tried,
                       hierarchy=None if found.bottom is None else hierarchy)


def _means(batches: ForecastBatches, hierarchy: Hierarchy) -> np.ndarray:
    """float (N, H): the means as they were written."""
    return batches.scan().select(MEAN).collect()[MEAN].to_numpy().reshape(hierarchy.series.height, -1)


def whole(parts: Sequence[Forecast], panel: SalesPanel) -> Forecast:
    """One forecast of a panel's series, out of forecasts of runs of them in their order."""
    return Forecast(panel.series.select(KEYS), panel.frequency, panel.cutoff, parts[0].levels,
                    np.concatenate([one.quantiles for one in parts]), np.concatenate([one.mean for one in parts]))


def _in_batches(bottom: Forecast, kept: ForecastBatches, size: int) -> ForecastBatches:
    for start in range(0, len(bottom), size):
        kept.add(bottom.select(slice(start, start + size)))
    return kept


def _fitted(summing: Summing, panel: SalesPanel) -> Forecaster:
    """The asked model, learned anew from a panel; in place of `auto` and of a fitted model, a single one that suits the panel."""
    name, options = summing.model, summing.options
    if name == "auto" or is_fitted_folder(name):
        name = "profile" if too_short(panel, summing.horizon) else "boosted"
        options = {k: v for k, v in options.items() if k in setting_names(name)}
    model, _ = make_forecaster(name, panel, horizon=summing.horizon, seed=summing.seed, options=options)
    return model.fit(panel)


def _replayed(summing: Summing, panel: SalesPanel, replays: int, bar: Progress) -> Replayed:
    """The last windows forecast from what was known before them."""
    start = panel.series["start"].to_numpy()
    found, wrong = [], []
    for window in windows(panel, horizon=summing.horizon, count=replays):
        model = _fitted(summing, window.past)
        mean, error = (np.full((len(panel), summing.horizon), np.nan) for _ in range(2))
        begun = np.flatnonzero(start <= window.past.cutoff)
        size = summing.batch if model.traits.series_apart else len(window.past)
        parts = [model.predict(part, horizon=summing.horizon, levels=(0.5,)).mean for part in window.past.chunks(size)]
        mean[begun] = np.concatenate(parts)
        error[begun] = window.truth() - mean[begun]
        found.append(mean)
        wrong.append(error)
        bar.advance()
    return Replayed(np.concatenate(found, axis=1), np.concatenate(wrong, axis=1))


def _replays(panel: SalesPanel, horizon: int) -> int:
    """Windows that can be replayed with at least a horizon of past before them, at most four."""
    length = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
    return max(0, min(_REPLAYS, length // horizon - 1))


def _gap(hierarchy: Hierarchy, upper: Mapping[str, Forecast], mean: np.ndarray) -> Iterator[float]:
    for level in hierarchy.levels:
        yield float(np.abs(upper[level.name].mean - level.sums(mean)).max())

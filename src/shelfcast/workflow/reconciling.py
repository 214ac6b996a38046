"""Sums on the way from a model's forecast to the one that is kept: the levels are forecast, too, and all are made to agree."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from shelfcast.adjust.moving import moved_to
from shelfcast.adjust.reconcile import Method, Reconciled, reconcile
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
from shelfcast.settings import ForecastSettings
from shelfcast.workflow.automatic import too_short
from shelfcast.workflow.choosing import is_fitted_folder, make_forecaster
from shelfcast.workflow.overriding import Planned
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
                _write_levels(folder / name, levels)

    def summary(self) -> dict[str, Any] | None:
        """What was summed and how it was made to agree, as plain values; None when nothing was asked for."""
        if not self.upper:
            return None
        return {"method": self.method, "levels": {name: len(one) for name, one in self.upper.items()},
                "largest_gap": self.coherence, "replayed": None if self.tried is None else self.tried.as_plain(),
                "told": list(self.told)}


def _write_levels(folder: Path, levels: Mapping[str, Forecast]) -> None:
    folder.mkdir()
    for i, (name, forecast) in enumerate(levels.items()):
        target = folder / (re.sub(r"[^\w.-]+", "-", name) + ".parquet")
        forecast.save(target if not target.exists() else folder / f"{i}-{target.name}")


def asked_hierarchy(settings: ForecastSettings, panel: SalesPanel, columns: Mapping[str, str] | None = None) -> Hierarchy | None:
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
    items = [ITEM, *(c for c in ([] if panel.items is None else panel.items.columns) if c not in KEYS)]
    places = [LOCATION, *(c for c in ([] if panel.places is None else panel.places.columns) if c not in KEYS)]
    called = {c.lower(): role for role, c in (columns or {}).items() if role in KEYS}
    asked = tuple(dict.fromkeys(name if name in items or name in places else called.get(name.lower(), name)
                                for name in settings.hierarchy))
    for name in asked:
        if name not in items and name not in places:
            raise UnknownNameError("attribute of items or places", name, [*items, *places],
                                   advice="Give a table with it: --static FILE.")
        if name in items and name in places:
            raise SettingsError(f"{shorten(name)!r} is an attribute of items and of places; rename one of the columns.")
    made = Hierarchy.of(panel.series, items=panel.items, places=panel.places,
                        item_levels=[n for n in asked if n in items], place_levels=[n for n in asked if n in places])
    if not made.levels:
        raise SettingsError(f"Nothing is left to sum by {', '.join(map(shorten, settings.hierarchy))}: {' '.join(made.told)}")
    return made


@contextmanager
def reconciling(batches: ForecastBatches, hierarchy: Hierarchy | None, settings: ForecastSettings, panel: SalesPanel, *,
                clock: Clock, say: Say, progress: Progress) -> Iterator[Coherent]:
    """Forecast the levels, and make a forecast that lies in batches agree with them."""
    if hierarchy is None:
        yield Coherent(batches)
        return
    assert settings.reconcile is not None  # the settings see to it
    bottom = _whole(batches, panel)
    upper: dict[str, Forecast] = {}
    past: dict[str, Replayed] = {}
    how = settings.reconcile
    # MinT weighs by past errors, and a choice is judged by them; a sum of parts alone spreads as these erred together.
    replays = _replays(panel, settings.horizon) if how in ("auto", "mint", "bottom_up") else 0
    names = [] if how == "bottom_up" else hierarchy.names
    steps = len(names) * (1 + replays) + replays
    with clock("levels"), stage(progress, "forecasting sums", steps) as bar:
        if replays:
            past[BOTTOM] = _replayed(settings, panel, replays, bar)
        for name in names:
            summed = sum_panel(panel, hierarchy, name)
            upper[name] = _fitted(settings, summed).predict(summed, horizon=settings.horizon, levels=settings.all_levels)
            bar.advance()
            if replays:
                past[name] = _replayed(settings, summed, replays, bar)
    if replays:
        past = agreeing(past, hierarchy)
    told = list(hierarchy.told)
    if settings.model == "auto" or is_fitted_folder(settings.model):
        told.append("Sums, and past errors, are forecast by 'boosted', or by 'profile' where the past is short.")
    found, tried = None, None
    if how == "none":
        told.append(f"The levels are forecast apart and do not add up: the largest gap is "
                    f"{max(_gap(hierarchy, upper, bottom.mean)):,.1f} units.")
        method: str = how
    else:
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
                              non_negative=not panel.net_of_returns, seed=settings.seed, progress=progress)
            method = chosen
        told += [sentence for sentence in found.told if sentence not in told]
        upper = dict(found.upper)
    for sentence in told:
        say(sentence)
    if settings.run is None:
        say("The forecasts of the levels are kept in a run folder alone: give --run FOLDER.")
    if settings.overrides is not None and found is None:
        say("The forecasts of the levels are from before the overrides.")
    with ForecastBatches() as kept:
        made = batches if found is None else _in_batches(found, kept, settings.batch)
        gap = max(_gap(hierarchy, upper, _means(made, hierarchy)))
        yield Coherent(made, upper, method, gap, tuple(told), tried, hierarchy=None if found is None else hierarchy)


def _means(batches: ForecastBatches, hierarchy: Hierarchy) -> np.ndarray:
    """float (N, H): the means as they were written."""
    return batches.scan().select(MEAN).collect()[MEAN].to_numpy().reshape(hierarchy.series.height, -1)


def _whole(batches: ForecastBatches, panel: SalesPanel) -> Forecast:
    parts = list(batches.parts(panel.frequency))
    return Forecast(panel.series.select(KEYS), panel.frequency, panel.cutoff, parts[0].levels,
                    np.concatenate([one.quantiles for one in parts]), np.concatenate([one.mean for one in parts]))


def _in_batches(found: Reconciled, kept: ForecastBatches, size: int) -> ForecastBatches:
    for start in range(0, len(found.bottom), size):
        kept.add(found.bottom.select(slice(start, start + size)))
    return kept


def _fitted(settings: ForecastSettings, panel: SalesPanel) -> Forecaster:
    """The asked model, learned anew from a panel; in place of `auto` and of a fitted model, a single one that suits the panel."""
    name, options = settings.model, settings.options
    if name == "auto" or is_fitted_folder(name):
        name = "profile" if too_short(panel, settings.horizon) else "boosted"
        options = {k: v for k, v in options.items() if k in setting_names(name)}
    model, _ = make_forecaster(name, panel, horizon=settings.horizon, seed=settings.seed, options=options)
    return model.fit(panel)


def _replayed(settings: ForecastSettings, panel: SalesPanel, replays: int, bar: Progress) -> Replayed:
    """The last windows forecast from what was known before them."""
    start = panel.series["start"].to_numpy()
    found, wrong = [], []
    for window in windows(panel, horizon=settings.horizon, count=replays):
        model = _fitted(settings, window.past)
        mean, error = (np.full((len(panel), settings.horizon), np.nan) for _ in range(2))
        begun = np.flatnonzero(start <= window.past.cutoff)
        size = settings.batch if model.traits.series_apart else len(window.past)
        parts = [model.predict(part, horizon=settings.horizon, levels=(0.5,)).mean for part in window.past.chunks(size)]
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

"""Which model forecasts: the one asked for, one fitted before, or what `auto` finds best."""

import os
from collections.abc import Mapping
from pathlib import Path

from shelfcast.models.base import Forecaster
from shelfcast.models.registry import (
    load_model,
    make_model,
    setting_names,
)
from shelfcast.operate.runs import MODEL
from shelfcast.panel import SalesPanel
from shelfcast.settings import ForecastSettings


def is_fitted_folder(name: str) -> bool:
    return "/" in name or os.sep in name or os.path.isdir(name)


def choose_model(settings: ForecastSettings, panel: SalesPanel) -> tuple[Forecaster, str]:
    """The model to run and why."""
    name = settings.model
    if is_fitted_folder(name):
        folder = fitted_folder(name)
        return load_model(folder, panel=panel), f"fitted before, in {name}"
    return make_forecaster(name, panel, horizon=settings.horizon, seed=settings.seed, options=settings.options)


def make_forecaster(name: str, panel: SalesPanel, *, horizon: int, seed: int,
                    options: Mapping[str, object] | None = None) -> tuple[Forecaster, str]:
    """A model that has learned nothing yet, and why it is the one.

    Parameters
    ----------
    name : `auto` or a registered name
    panel : what it is to learn from; `auto` decides by it
    options : settings of the model
    """
    why, asked_for = "asked for", name
    if name == "auto":
        name, reason = auto(panel, horizon)
        why = f"auto: {reason}"
    known = setting_names(name)
    given = {k: v for k, v in (("seed", seed), ("horizon", horizon)) if k in known}
    # The settings given with auto are boosted's; where the profile answers, those that it has, too.
    kept = {k: v for k, v in (options or {}).items() if asked_for != "auto" or k in known}
    return make_model(name, {**given, **kept}), why


def fitted_folder(name: str) -> Path:
    """The model's own folder, when the folder of a run was given."""
    return Path(name) / MODEL if (Path(name) / MODEL).is_dir() else Path(name)


def auto(panel: SalesPanel, horizon: int) -> tuple[str, str]:
    """Boosted where the past holds enough horizons to learn from, the shrunk profile where it does not."""
    length = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
    past = f"{length:,} {panel.frequency.noun}s of history and {panel.rows.height:,} rows"
    if length < 3 * horizon or panel.rows.height < 300:
        return "profile", f"{past} are too few for boosting at horizon {horizon}"
    if panel.frequency.unit in "MQY" and length < 1.5 * panel.frequency.season:
        return "profile", f"{past} show no season twice"
    return "boosted", f"{past} suffice for boosting"

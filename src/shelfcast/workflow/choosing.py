"""Which model forecasts: the one asked for, one fitted before, or what `auto` finds best."""

import os
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
    why = "asked for"
    if name == "auto":
        name, reason = auto(panel, settings.horizon)
        why = f"auto: {reason}"
    known = setting_names(name)
    asked = {k: v for k, v in (("seed", settings.seed), ("horizon", settings.horizon)) if k in known}
    # The settings given with auto are boosted's; where the profile answers, those that it has, too.
    options = settings.options if settings.model != "auto" else {k: v for k, v in settings.options.items() if k in known}
    return make_model(name, {**asked, **options}), why


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

"""Which model forecasts: the one asked for, one fitted before, or what `auto` finds best."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shelfcast.adjust.saving import load_forecaster
from shelfcast.models.base import Forecaster
from shelfcast.models.registry import (
    make_model,
    setting_names,
)
from shelfcast.operate.runs import MODEL
from shelfcast.panel import SalesPanel
from shelfcast.settings import ForecastSettings
from shelfcast.workflow.automatic import AutoForecaster, AutoSettings
from shelfcast.workflow.planning import too_short, window_count


def is_fitted_folder(name: str) -> bool:
    return "/" in name or os.sep in name or os.path.isdir(name)


def choose_model(settings: ForecastSettings, panel: SalesPanel) -> tuple[Forecaster, str]:
    """The model to run and why."""
    name = settings.model
    if is_fitted_folder(name):
        folder = fitted_folder(name)
        return load_forecaster(folder, panel=panel), f"fitted before, in {name}"
    budget = settings.budget
    if budget is not None and settings.backtest and window_count(panel, settings.horizon) == 0:
        budget = budget / 2  # without trials, a score needs a second fit, and the budget is for both
    return make_forecaster(name, panel, horizon=settings.horizon, seed=settings.seed, options=settings.options, budget_s=budget)


def make_forecaster(name: str, panel: SalesPanel, *, horizon: int, seed: int,
                    options: Mapping[str, object] | None = None, budget_s: float | None = None) -> tuple[Forecaster, str]:
    """A model that has learned nothing yet, and why it is the one.

    Parameters
    ----------
    name : `auto` or a registered name
    panel : what it is to learn from; `auto` decides by it
    options : settings of the model; those given with `auto` are the booster's
    budget_s : seconds that `auto` may take, about; None lets the data decide alone
    """
    why, asked_for = "asked for", name
    if name == "auto":
        reason = too_short(panel, horizon)
        if not reason:
            made = AutoForecaster(AutoSettings(horizon=horizon, seed=seed, budget_s=budget_s, options=dict(options or {})))
            return made, "auto: models are tried, weighed and calibrated on the data's own past"
        name, why = "profile", f"auto: {reason}"
    known = setting_names(name)
    given = {k: v for k, v in (("seed", seed), ("horizon", horizon)) if k in known}
    # The settings given with auto are boosted's; where the profile answers, those that it has, too.
    kept = {k: v for k, v in (options or {}).items() if asked_for != "auto" or k in known}
    return make_model(name, {**given, **kept}), why


def account_of(model: Forecaster) -> dict[str, Any] | None:
    """What `auto` tried and how it weighs; None for any other model."""
    return model.account() if isinstance(model, AutoForecaster) and hasattr(model, "combination_") else None


def fitted_folder(name: str) -> Path:
    """The model's own folder, when the folder of a run was given."""
    return Path(name) / MODEL if (Path(name) / MODEL).is_dir() else Path(name)

"""Which model forecasts: the one asked for, one fitted before, or what `auto` finds best."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from shelfcast.adjust.saving import load_forecaster
from shelfcast.errors import SettingsError, UnknownNameError, shorten
from shelfcast.models.base import Forecaster
from shelfcast.models.registry import make_model, setting_names
from shelfcast.operate.runs import MODEL
from shelfcast.panel import SalesPanel
from shelfcast.settings import ForecastSettings
from shelfcast.workflow.automatic import AutoForecaster, AutoSettings
from shelfcast.workflow.planning import BASE, NETWORK, PRETRAINED, too_short, window_count

MORE: Final[Mapping[str, str]] = MappingProxyType({"network": NETWORK, "pretrained": PRETRAINED})
"""Settings of `auto`, true or false: these models are members, too."""


def is_fitted_folder(name: str) -> bool:
    return "/" in name or os.sep in name or os.path.isdir(name)


def choose_model(settings: ForecastSettings, panel: SalesPanel) -> tuple[Forecaster, str]:
    """The model to run and why."""
    name = settings.model
    if is_fitted_folder(name):
        folder = fitted_folder(name)
        return load_forecaster(folder, panel=panel), f"fitted before, in {name}"
    budget = settings.budget
    if budget is not None and settings.backtest and window_count(panel, settings.ahead) == 0:
        budget = budget / 2  # without trials, a score needs a second fit, and the budget is for both
    return make_forecaster(name, panel, horizon=settings.ahead, seed=settings.seed, options=settings.options, budget_s=budget)


def make_forecaster(name: str, panel: SalesPanel, *, horizon: int, seed: int,
                    options: Mapping[str, object] | None = None, budget_s: float | None = None) -> tuple[Forecaster, str]:
    """A model that has learned nothing yet, and why it is the one.

    Parameters
    ----------
    name : `auto` or a registered name
    panel : what it is to learn from; `auto` decides by it
    options : settings of the model; those given with `auto` are its members', and those in `MORE`, which bring more members
    budget_s : seconds that `auto` may take, about; None lets the data decide alone

    Raises
    ------
    SettingsError
        If a model is to learn a shorter horizon than is asked of it.
    """
    learned = (options or {}).get("horizon")
    if isinstance(learned, int) and learned < horizon:
        raise SettingsError(f"The setting horizon={learned} lets a model learn fewer periods than the {horizon} that are asked "
                            f"for. Leave the setting out, or ask for --horizon {learned}.")
    why, asked_for = "asked for", name
    if name == "auto":
        reason = too_short(panel, horizon)
        if not reason:
            rest, more = auto_options(options or {})
            made = AutoForecaster(AutoSettings(horizon=horizon, seed=seed, budget_s=budget_s, options=rest, more=more))
            return made, "auto: models are tried, weighed and calibrated on the data's own past"
        name, why = "profile", f"auto: {reason}"
    known = setting_names(name)
    given = {k: v for k, v in (("seed", seed), ("horizon", horizon)) if k in known}
    # The settings given with auto are boosted's; where the profile answers, those that it has, too.
    kept = {k: v for k, v in (options or {}).items() if asked_for != "auto" or k in known}
    return make_model(name, {**given, **kept}), why


def known_settings(name: str) -> list[str]:
    """The settings that a model has; those of `auto` are which more members it takes, and its members' own."""
    if name != "auto":
        return setting_names(name)
    return [*MORE, *sorted({key for member in (BASE, *MORE.values()) for key in setting_names(member)})]


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Refuse settings that a model, or `auto`, does not have, and wrong values."""
    if name == "auto":
        auto_options(options)
    else:
        make_model(name, options)


def auto_options(options: Mapping[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """Settings of the members of `auto`, checked, and which members it takes beyond those that it always tries.

    Raises
    ------
    SettingsError
        If a value is wrong.
    UnknownNameError
        If no member has such a setting.
    """
    for name in MORE:
        if not isinstance(options.get(name, False), bool):
            raise SettingsError(f"The setting {name!r} of auto is {shorten(repr(options[name]))}; it must be true or false.")
    more = tuple(member for name, member in MORE.items() if options.get(name, False))
    rest = {k: v for k, v in options.items() if k not in MORE}
    known = {member: setting_names(member) for member in (BASE, *more)}
    for key in rest:
        if not any(key in names for names in known.values()):
            raise UnknownNameError("setting of auto", key, sorted({*MORE, *(n for names in known.values() for n in names)}))
    for member, names in known.items():
        make_model(member, {k: v for k, v in rest.items() if k in names})
    return rest, more


def account_of(model: Forecaster) -> dict[str, Any] | None:
    """What `auto` tried and how it weighs; None for any other model."""
    return model.account() if isinstance(model, AutoForecaster) and hasattr(model, "combination_") else None


def fitted_folder(name: str) -> Path:
    """The model's own folder, when the folder of a run was given."""
    return Path(name) / MODEL if (Path(name) / MODEL).is_dir() else Path(name)

"""How far ahead, where nobody says: as a fitted model learned, as far as known covariates reach, or by the length of a period."""

from dataclasses import replace
from pathlib import Path

from shelfcast.adjust.saving import learned_horizon
from shelfcast.errors import SettingsError, WeightsError, shorten_path
from shelfcast.models.boosted_rows import DEFAULT_HORIZON
from shelfcast.models.spacetime import MOST_AHEAD
from shelfcast.operate.runs import MODEL, read_manifest
from shelfcast.panel import SalesPanel
from shelfcast.settings import ForecastSettings, is_horizon
from shelfcast.workflow.choosing import fitted_folder, is_fitted_folder


def horizon_by_data(panel: SalesPanel) -> tuple[int, str]:
    """Periods to forecast where nobody says, and why so many."""
    given = panel.horizon_given()
    if not given:
        return DEFAULT_HORIZON[panel.frequency.unit], f"as is usual for {panel.frequency.word} sales"
    if given > MOST_AHEAD:
        return MOST_AHEAD, f"the most that is chosen where known covariates reach so far ({given:,})"
    return given, "as far as known covariates reach"


def horizon_before_reading(settings: ForecastSettings) -> tuple[ForecastSettings, str]:
    """Settings with the horizon that the model's folder or settings say, and why that; as they were where neither does.

    Raises
    ------
    SettingsError
        If the model is fitted and nothing says for which horizon.
    """
    if settings.horizon is not None:
        return settings, ""
    if is_fitted_folder(settings.model):
        return replace(settings, horizon=_of_folder(settings.model)), f"as the model in {shorten_path(settings.model)!r} learned"
    option = settings.options.get("horizon")
    return (replace(settings, horizon=option), "as its setting horizon says") if is_horizon(option) else (settings, "")


def told_horizon(panel: SalesPanel, horizon: int, why: str) -> str:
    """The sentence on a horizon that nobody asked for."""
    return f"No --horizon is given: {horizon:,} {panel.frequency.noun}{'s' * (horizon != 1)}, {why}."


def _of_folder(name: str) -> int:
    """What a fitted model learned; of one that learns for any horizon, what its run was asked for."""
    folder = fitted_folder(name)
    learned = learned_horizon(folder)
    if is_horizon(learned):
        return learned
    try:
        asked = read_manifest(folder.parent if folder.name == MODEL else Path(name)).get("horizon")
    except WeightsError:
        asked = None
    if is_horizon(asked):
        return asked
    raise SettingsError(f"The folder {shorten_path(name)!r} does not say for how many periods its model was fitted. Say how many "
                        f"to forecast: --horizon N.")

"""What several models forecast of one piece of the past, and what came: the evidence that weights and calibration learn from.

Only `data/split.py` cuts time: a trial is made of one of its windows, whose models have seen no more than the window's past.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shelfcast.data.classes import CLASSES, demand_classes
from shelfcast.data.split import Window
from shelfcast.errors import DataError
from shelfcast.evaluate.grouping import scaling_season
from shelfcast.evaluate.metrics import seasonal_error
from shelfcast.evaluate.replay import replay
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster
from shelfcast.names import KEYS, LEVELS
from shelfcast.panel import SalesPanel


@dataclass(frozen=True, eq=False)
class Trial:
    """One window of the past, forecast by each member.

    Attributes
    ----------
    forecasts : {member: its forecast of the window}, all of the same series, periods and levels
    truth : float (N, H), units; nan where not known or the place was closed
    scale : float (N,), units; seasonal error of the window's past, the unit in which losses are alike; nan where there is none
    classes : int (N,), position of each series' demand class in `data.classes.CLASSES`
    """

    forecasts: Mapping[str, Forecast]
    truth: np.ndarray
    scale: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        for name, forecast in self.forecasts.items():
            if forecast.mean.shape != self.truth.shape:
                raise DataError(f"The forecast of {name} has the shape {forecast.mean.shape}, and what came {self.truth.shape}.")
            if forecast.levels != self.levels:
                raise DataError(f"The forecast of {name} has other levels than that of {next(iter(self.forecasts))}.")

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels that all members forecast."""
        return next(iter(self.forecasts.values())).levels


def class_codes(panel: SalesPanel) -> np.ndarray:
    """int (N,): position of each series' demand class in `CLASSES`."""
    return demand_classes(panel).replace_strict(CLASSES, range(len(CLASSES))).to_numpy().astype(np.intp)


def run_trial(window: Window, fitted: Mapping[str, Forecaster]) -> Trial:
    """Forecast a window with models that were fitted on its past, or on a part of that."""
    past, forecasts = window.past, {}
    truth, scale = np.empty((len(past), window.horizon)), np.empty(len(past))
    for name, model in fitted.items():
        quantiles, mean = np.empty((*truth.shape, len(LEVELS))), np.empty(truth.shape)
        for part in replay(window, model, levels=LEVELS):
            quantiles[part.here], mean[part.here], truth[part.here] = part.quantiles, part.mean, part.actual
            scale[part.here] = seasonal_error(part.past, scaling_season(past))
        forecasts[name] = Forecast(past.series.select(KEYS), past.frequency, past.cutoff, LEVELS, quantiles, mean)
    return Trial(forecasts, truth, scale, class_codes(past))

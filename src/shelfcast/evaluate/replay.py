"""Replay: what a fitted model would have forecast in a window of the past, beside what came, a slice of series at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.lifecycle import judge
from shelfcast.data.opening import closed_ahead, demand_seen, opening_covariate
from shelfcast.data.split import Window
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster
from shelfcast.names import KEYS

CHUNK: Final = 2048  # series forecast and scored at once: bounds memory, changes no number


@dataclass(frozen=True, eq=False)
class Slice:
    """Some series of a window: their forecast beside what came.

    Attributes
    ----------
    window : those series
    here : where they stand in the window that is replayed
    actual : float (N, H), units; nan where it is not known or the place was closed
    past : float (N, T), units; nan before a series begins, in gaps, when closed, and after its own cutoff
    quantiles : float (N, H, Q), units, at the levels asked for
    mean : float (N, H), units
    forecasts : the same as the model gave it, one for each cutoff
    """

    window: Window
    here: slice
    actual: np.ndarray
    past: np.ndarray
    quantiles: np.ndarray
    mean: np.ndarray
    forecasts: tuple[Forecast, ...]

    @property
    def series(self) -> pl.DataFrame:
        """Table `item`, `location` of the slice."""
        return self.window.past.series.select(KEYS)


def replay(window: Window, fitted: Forecaster, *, levels: tuple[float, ...], chunk: int = CHUNK) -> Iterator[Slice]:
    """Forecast a window with a model that has learned from its past.

    Parameters
    ----------
    chunk : series at a time; all of them when the model's forecast of a series depends on the others that it is given
    """
    size = chunk if fitted.traits.series_apart else len(window.past)
    for start in range(0, len(window.past), size):
        part = window.select(slice(start, start + size))
        n, h = len(part.past), window.horizon
        quantiles, mean = np.empty((n, h, len(levels))), np.empty((n, h))
        forecasts = []
        for at, panel in part.by_cutoff():
            forecast = fitted.predict(panel, horizon=h, levels=levels)
            quantiles[at], mean[at] = forecast.quantiles, forecast.mean
            forecasts.append(forecast)
        dense = part.past.dense(horizon=h, covariates=opening_covariate(part.past))
        # Forecasting nought for a closed shop is no merit: such periods are not measured, neither do they shrink the scale.
        actual = np.where(closed_ahead(part.past, dense, h, ends=part.ends), np.nan, part.truth())
        yield Slice(part, slice(start, start + n), actual, demand_seen(part.past, dense), quantiles, mean, tuple(forecasts))


def scored_part(window: Window, *, max_series: int | None, seed: int) -> Window:
    """The window of the series that are scored: all, or a sample drawn by `seed`; the rest still teaches."""
    if max_series is None or len(window.past) <= max_series:
        return window
    return window.select(np.sort(np.random.default_rng(seed).choice(len(window.past), size=max_series, replace=False)))


def still_sold(window: Window) -> Window:
    """The window of the series that, by what was known at its cutoff, would have been forecast: those not judged withdrawn.

    Series that end at dates of their own are all kept, for their ends are where they are forecast from.
    """
    if window.cutoffs is not None:
        return window
    sold = judge(window.past)["sold"].to_numpy()
    return window if sold.all() or not sold.any() else window.select(np.flatnonzero(sold))


def sellable(window: Window) -> np.ndarray:
    """float (N, H), units: what was sold; nan where it is not known or the place was closed."""
    dense = window.past.dense(context=int(window.past.cutoff - window.ends.min()) + 1, horizon=window.horizon,
                              covariates=opening_covariate(window.past))
    return np.where(closed_ahead(window.past, dense, window.horizon, ends=window.ends), np.nan, window.truth())

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
    """Forecast a window with a model that has learned from its past, `chunk` series at a time."""
    for here, forecasts in forecast_window(window, fitted, levels=levels, chunk=chunk):
        part = window.select(here)
        n, h = len(part.past), window.horizon
        quantiles, mean = np.empty((n, h, len(levels))), np.empty((n, h))
        for at, forecast in forecasts:
            quantiles[at], mean[at] = forecast.quantiles, forecast.mean
        dense = part.past.dense(horizon=h, covariates=opening_covariate(part.past))
        # Forecasting nought for a closed shop is no merit: such periods are not measured, neither do they shrink the scale.
        actual = np.where(closed_ahead(part.past, dense, h, ends=part.ends), np.nan, part.truth())
        yield Slice(part, here, actual, demand_seen(part.past, dense), quantiles, mean, tuple(f for _, f in forecasts))


Placed = tuple[np.ndarray, Forecast]  # positions of series in a window or a slice of it, and their forecast from one cutoff


def forecast_window(window: Window, fitted: Forecaster, *, levels: tuple[float, ...],
                    chunk: int = CHUNK) -> Iterator[tuple[slice, list[Placed]]]:
    """Forecast a window `chunk` series at a time: where each slice stands, and its series by cutoff with their forecast.

    A model whose forecast of a series depends on the others that it is given sees all of them at once, those that a sample left out
    too: it is scored as it will forecast.
    """
    together = [] if fitted.traits.series_apart else _together(window, fitted, levels)
    for start in range(0, len(window.past), chunk):
        here = slice(start, min(start + chunk, len(window.past)))
        if fitted.traits.series_apart:
            yield here, [(at, fitted.predict(panel, horizon=window.horizon, levels=levels))
                         for at, panel in window.select(here).by_cutoff()]
        else:
            runs = [(at, forecast, slice(*np.searchsorted(at, (here.start, here.stop)))) for at, forecast in together]
            yield here, [(at[run] - start, forecast.select(run)) for at, forecast, run in runs if run.stop > run.start]


def _together(window: Window, fitted: Forecaster, levels: tuple[float, ...]) -> list[Placed]:
    """A window's series forecast among all that there are, and only these kept."""
    crowd, standing, found = window.among or window, window.standing(), []
    for at, panel in crowd.by_cutoff():
        _, mine, there = np.intersect1d(standing, at, assume_unique=True, return_indices=True)
        if len(mine):
            forecast = fitted.predict(panel, horizon=window.horizon, levels=levels)
            found.append((mine, forecast if len(there) == len(forecast) else forecast.select(there)))
    return found


def scored_part(window: Window, *, max_series: int | None, seed: int) -> Window:
    """The window of the series that are scored: all, or a sample drawn by `seed`; the rest still teaches, and can be seen."""
    if max_series is None or len(window.past) <= max_series:
        return window
    return window.sample(np.sort(np.random.default_rng(seed).choice(len(window.past), size=max_series, replace=False)))


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

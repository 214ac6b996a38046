"""The classical models, one series at a time: AutoETS, Theta, Croston, TSB and ADIDA of statsforecast.

    method    for demand that is   what it does
    auto_ets  smooth, erratic      exponential smoothing with error, trend and season chosen by AICc (Hyndman et al. 2002)
    theta     smooth, erratic      drift and smoothing of the deseasonalised series, averaged (Assimakopoulos, Nikolopoulos 2000)
    croston   intermittent, lumpy  size over interval, each smoothed, bias corrected (Croston 1972; Syntetos and Boylan 2005)
    tsb       intermittent, lumpy  size times probability, each smoothed; forgets what no longer sells (Teunter et al. 2011)
    adida     intermittent, lumpy  smooths sums over the mean interval, and spreads them again (Nikolopoulos et al. 2011)

By default the demand class of each series chooses. Periods that nobody knows, or when the place was closed, are filled by a
line between their neighbours for the first two and left out for the others, which know no season. A series with too little
history gets the seasonal naive forecast.

Spread. The first two add the quantiles of their own past errors to the forecast, widened over the horizon as errors were when such
forecasts were held as long in the past. The others take the distribution of the series' recent demand, scaled to the level they
forecast, so that a zero stays a zero.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

import numpy as np
import polars as pl

from shelfcast.data.classes import demand_classes
from shelfcast.data.opening import closed_ahead, demand_seen, opening_covariate
from shelfcast.errors import MissingExtraError, SettingsError, WeightsError, shorten
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Traits
from shelfcast.models.empirical import row_quantiles
from shelfcast.models.naive import SeasonalNaive
from shelfcast.models.seasonal import by_period, seasonal_index, without_season
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

Method = Literal["by_class", "auto_ets", "theta", "croston", "tsb", "adida"]
Smooth = Literal["auto_ets", "theta"]
Sparse = Literal["croston", "tsb", "adida"]

_SMOOTH: Final = get_args(Smooth)
_SPARSE: Final = get_args(Sparse)
_CHUNK: Final = 1024  # series handled at once: bounds memory, changes no number
_WILD: Final = 20.0  # times the most ever sold: beyond it a fit has gone astray
_FEWEST: Final = 8  # observations below which the seasonal naive forecast is taken
_LONGEST_ETS_SEASON: Final = 24  # beyond it statsforecast's ETS leaves the season out
_CONTEXT: Final = {"h": 24 * 7 * 8, "D": 7 * 104, "W": 52 * 4, "M": 12 * 10, "Q": 4 * 15, "Y": 60}
"""Periods of history that are looked at: more cost time in proportion and hardly move a smoothed level."""
_ETS_CONTEXT: Final = {**_CONTEXT, "h": 24 * 7 * 4, "D": 7 * 30}
"""ETS takes 0.4 s for two years of days; on half a year it was quicker threefold, and no worse."""
_RECENT: Final = {"h": 24 * 28, "D": 91, "W": 52, "M": 24, "Q": 12, "Y": 10}
"""Periods whose demand is the shape of a sparse series' spread."""
# Smoothing of sizes, and of the chance to sell. Of seven pairs tried on M5 the best that still forgets, within a quarter of a
# year of days, what has stopped selling.
_TSB_SIZE: Final = 0.05
_TSB_CHANCE: Final = 0.05
_MEAN_LEVELS: Final = (np.arange(20) + 0.5) / 20


@dataclass(frozen=True, kw_only=True)
class StatisticalSettings:
    """Settings of the classical models.

    Attributes
    ----------
    method : one for all series, or `by_class`: `smooth` or `sparse` below, as the series' demand is
    smooth : method for smooth and erratic demand
    sparse : method for intermittent and lumpy demand
    context : periods of history to look at; None takes two years of days (30 weeks for auto_ets), four of weeks, ten of months
    jobs : processes to work in; they change no number
    """

    method: Method = "by_class"
    smooth: Smooth = "theta"
    sparse: Sparse = "tsb"
    context: int | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        for name, value, known in (("method", self.method, get_args(Method)), ("smooth", self.smooth, _SMOOTH),
                                   ("sparse", self.sparse, _SPARSE)):
            if value not in known:
                raise SettingsError(f"The statistical model's {name} is one of {', '.join(known)}; got {shorten(repr(value))}.")
        if self.context is not None and not (isinstance(self.context, int) and self.context >= _FEWEST):
            raise SettingsError(f"The statistical model needs at least {_FEWEST} periods of context; got {shorten(self.context)}.")
        if not (isinstance(self.jobs, int) and self.jobs >= 1):
            raise SettingsError(f"The statistical model works in at least one process; got jobs={shorten(self.jobs)}.")


class Statistical:
    """One classical method for all series, or the one that suits each; see the top of this file."""

    def __init__(self, settings: StatisticalSettings = StatisticalSettings()) -> None:
        self.settings = settings
        name = {"by_class": "statistical", "auto_ets": "ets"}.get(settings.method, settings.method)
        summary = ("A classical model for each series, by its demand class." if settings.method == "by_class"
                   else f"The classical model {settings.method}, one series at a time.")
        self.traits = Traits(name=name, summary=summary, min_history=_FEWEST, extra="statistical", package="statsforecast")
        self.naive_ = SeasonalNaive()

    def fit(self, panel: SalesPanel) -> Self:
        """Learn what stands in for series that are too short; the methods themselves look at a series when they forecast it."""
        self.naive_ = SeasonalNaive().fit(panel)
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series for the `horizon` periods after the panel's cutoff."""
        check_horizon(horizon)
        checked = check_levels(levels)
        quantiles, mean = [], []
        for part in panel.chunks(_CHUNK):
            one, other = self._forecast(part, horizon, np.array(checked))
            quantiles.append(one)
            mean.append(other)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked,
                        np.concatenate(quantiles), np.concatenate(mean))

    def _forecast(self, panel: SalesPanel, horizon: int, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles (N, H, Q) and means (N, H), units."""
        stand_in = self.naive_.predict(panel, horizon=horizon, levels=tuple(levels))
        quantiles, mean = stand_in.quantiles.copy(), stand_in.mean.copy()
        unit = panel.frequency.unit
        dense = panel.dense(context=self.settings.context or _CONTEXT[unit], horizon=horizon, covariates=opening_covariate(panel))
        demand = demand_seen(panel, dense)
        shorter = demand if self.settings.context else demand[:, -_ETS_CONTEXT[unit]:]
        floor = -np.inf if panel.net_of_returns else 0.0
        methods = np.where(np.isfinite(demand).sum(axis=1) < _FEWEST, "", self._methods(panel))
        for method in dict.fromkeys(methods):
            here = np.flatnonzero(methods == method)
            if method in _SMOOTH:
                point, errors, growth = _smooth((shorter if method == "auto_ets" else demand)[here], method,
                                                panel.frequency.season, horizon=horizon, jobs=self.settings.jobs)
                sound = ~_wild(demand[here], point, errors, growth)  # the others keep the stand-in
                here, point, errors, growth = here[sound], point[sound], errors[sound], growth[sound]
                spread = row_quantiles(errors, np.concatenate([levels, _MEAN_LEVELS]))
                spread = np.nan_to_num(spread)[:, None, :] * growth[:, :, None]  # (n, H, Q + K)
                quantiles[here] = np.maximum(point[:, :, None] + spread[:, :, : len(levels)], floor)
                mean[here] = np.maximum(point[:, :, None] + spread[:, :, len(levels):], floor).mean(axis=2)
            elif method in _SPARSE:
                level = _sparse(demand[here], method, jobs=self.settings.jobs)  # (n,)
                recent = demand[here][:, -_RECENT[unit]:]
                shape = row_quantiles(recent, levels)
                usual = np.nan_to_num(_mean(recent))
                with np.errstate(invalid="ignore", divide="ignore"):
                    scaled = np.where(usual[:, None] > 0, shape * (level / usual)[:, None], level[:, None])
                quantiles[here] = np.maximum(np.nan_to_num(scaled), floor)[:, None, :]
                mean[here] = np.maximum(level, floor)[:, None]
        shut = closed_ahead(panel, dense, horizon)
        quantiles[shut], mean[shut] = 0.0, 0.0
        return np.maximum.accumulate(quantiles, axis=2), mean

    def _methods(self, panel: SalesPanel) -> np.ndarray:
        """The method of each series."""
        if self.settings.method != "by_class":
            return np.full(len(panel), self.settings.method)
        steady = demand_classes(panel).is_in(["smooth", "erratic", "new"]).to_numpy()
        return np.where(steady, self.settings.smooth, self.settings.sparse)

    def save(self, folder: Path) -> None:
        """Write settings and the stand-in as JSON."""
        (folder / "statistical.json").write_text(json.dumps({"settings": asdict(self.settings)}) + "\n", encoding="utf-8")
        self.naive_.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            held = json.loads((folder / "statistical.json").read_text(encoding="utf-8"))
            model = cls(StatisticalSettings(**held["settings"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{str(folder)!r} holds no statistical model: {shorten(error)}.") from error
        model.naive_ = SeasonalNaive.load(folder)
        return model


def _smooth(demand: np.ndarray, method: str, season: int, *, horizon: int,
            jobs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Point forecasts (N, H), past errors (N, T) in units of the usual period, and what multiplies them ahead (N, H)."""
    models = _models()
    filled = fill_between(demand)
    own_season = method == "auto_ets" and season <= _LONGEST_ETS_SEASON
    none = np.ones((len(demand), 1)), np.ones(len(demand))
    index, optimism = seasonal_index(demand, filled, season) if season > 1 else none
    rhythm = by_period(index, demand.shape[1])
    index, optimism = none if own_season else (index, optimism)
    past = by_period(index, demand.shape[1])
    usual = without_season(demand, past)
    filled = fill_between(usual)
    errors = np.where(np.isfinite(usual), 0.0, np.nan)
    # What never moves has no errors, and statsforecast divides by its variance.
    point = np.repeat(filled[:, -1:], horizon, axis=1)
    spread = np.nanmax(filled, axis=1, initial=-np.inf) - np.nanmin(filled, axis=1, initial=np.inf)
    moves = spread > 1e-9 * np.abs(filled[:, -1])
    two_seasons = demand.shape[1] - np.argmax(np.isfinite(demand), axis=1) >= 2 * season
    for seasonal in (True, False):
        here = np.flatnonzero((two_seasons & own_season if seasonal else ~(two_seasons & own_season)) & moves)
        if not len(here):
            continue
        period = season if seasonal else 1
        model = models.AutoETS(season_length=period, alias="m") if method == "auto_ets" else models.Theta(alias="m")
        point[here], fitted = _run(model, filled[here], horizon, jobs, fitted=True)
        rows, columns = np.nonzero(np.isfinite(filled[here]))
        errors[here[rows], columns] = usual[here[rows], columns] - fitted
    ahead = by_period(index, horizon, ahead=True)
    left = rhythm if own_season else np.ones_like(rhythm)  # what is still to be taken out where ETS keeps its own season
    growth = _growth(without_season(usual, left), without_season(errors, left), horizon)
    return np.nan_to_num(point) * ahead, errors, growth * ahead * optimism[:, None]


def _sparse(demand: np.ndarray, method: str, *, jobs: int) -> np.ndarray:
    """Level (N,), units a period, over all the horizon."""
    models = _models()
    model = {"croston": lambda: models.CrostonSBA(alias="m"), "adida": lambda: models.ADIDA(alias="m"),
             "tsb": lambda: models.TSB(alpha_d=_TSB_SIZE, alpha_p=_TSB_CHANCE, alias="m")}[method]()
    return _run(model, demand, 1, jobs, fitted=False)[0][:, 0]


def _models() -> Any:
    """statsforecast's models; the extra is asked for only when one of them is to run."""
    try:
        from statsforecast import models
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "statsforecast":
            raise
        raise MissingExtraError("A statistical model", "statistical", "statsforecast") from error
    return models


def _run(model: Any, values: np.ndarray, horizon: int, jobs: int, *, fitted: bool) -> tuple[np.ndarray, np.ndarray]:
    """One model over all rows, in row order; what is missing at the start of a row, or anywhere, is left out.

    Returns
    -------
    Forecasts (N, horizon), and where `fitted` is asked for the fitted values, in the order of the known values.
    """
    from statsforecast import StatsForecast

    rows, columns = np.nonzero(np.isfinite(values))
    table = pl.DataFrame({"unique_id": rows.astype(np.int64), "ds": columns.astype(np.int64), "y": values[rows, columns]})
    engine = StatsForecast(models=[model], freq=1, n_jobs=jobs)
    with warnings.catch_warnings():
        # Of single candidates that fitted badly and were not chosen; they name no series.
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Any = engine.forecast(df=table, h=horizon, fitted=fitted)
    points = np.nan_to_num(found["m"].to_numpy().reshape(len(values), horizon))
    return points, engine.forecast_fitted_values()["m"].to_numpy() if fitted else np.empty(0)


def fill_between(values: np.ndarray) -> np.ndarray:
    """Gaps filled by a straight line between their neighbours, at the end by the last value; the start stays missing.

    >>> fill_between(np.array([[np.nan, 1.0, np.nan, 3.0, np.nan]]))
    array([[nan,  1.,  2.,  3.,  3.]])
    """
    n, width = values.shape
    seen = np.isfinite(values)
    at = np.arange(width)
    before = np.maximum.accumulate(np.where(seen, at, -1), axis=1)
    after = np.minimum.accumulate(np.where(seen, at, width)[:, ::-1], axis=1)[:, ::-1]
    row = np.arange(n)[:, None]
    left = np.where(before >= 0, values[row, np.maximum(before, 0)], np.nan)
    right = np.where(after < width, values[row, np.minimum(after, width - 1)], left)
    share = np.where((after < width) & (after > before), (at - before) / np.maximum(after - before, 1), 0.0)
    return left + (right - left) * share


def _wild(demand: np.ndarray, point: np.ndarray, errors: np.ndarray, growth: np.ndarray) -> np.ndarray:
    """bool (N,): a fit that went astray: it forecasts, or missed the past by, many times the most that was ever sold."""
    most = np.nanmax(np.abs(demand), axis=1, initial=0.0)
    missed = np.nanmax(np.abs(errors), axis=1, initial=0.0) * growth.max(axis=1)
    return ~(np.maximum(np.abs(point).max(axis=1), missed) <= _WILD * most)


def _growth(usual: np.ndarray, errors: np.ndarray, horizon: int) -> np.ndarray:
    """How much wider errors get over the horizon than one period ahead, (N, H), from 1 and not falling.

    Measured, not derived: each past one-step forecast is held for h periods, and its error compared with that of one period. The
    models' own intervals take a promotion every other week for a wandering level, and came out far too wide.

    Parameters
    ----------
    usual : float (N, T), the series without its season; nan where not known
    errors : float (N, T), one period ahead, without season too
    """
    width = usual.shape[1]
    forecast = usual - errors  # for each period, made in the period before
    lags = np.unique(np.linspace(1, max(min(horizon, width // 3), 1), 12).astype(int))
    spread = np.stack([_variance(usual[:, lag - 1:] - forecast[:, : width - lag + 1]) for lag in lags], axis=1)  # (N, lags)
    with np.errstate(invalid="ignore", divide="ignore"):
        wider = np.sqrt(np.nan_to_num(spread / spread[:, :1], nan=1.0, posinf=1.0))
    wider = np.maximum.accumulate(np.maximum(wider, 1.0), axis=1)
    # Between the lags along a line; a horizon longer than a third of the history keeps what was measured last.
    at = np.clip(np.searchsorted(lags, np.arange(1, horizon + 1), side="right") - 1, 0, len(lags) - 1)
    after = np.minimum(at + 1, len(lags) - 1)
    share = np.where(after > at, (np.arange(1, horizon + 1) - lags[at]) / np.maximum(lags[after] - lags[at], 1), 0.0)
    return wider[:, at] + (wider[:, after] - wider[:, at]) * share


def _variance(values: np.ndarray) -> np.ndarray:
    """(N,) variance of what is known in each row; nan for nothing."""
    return _mean((values - _mean(values)[:, None]) ** 2)


def _mean(values: np.ndarray) -> np.ndarray:
    """(N,) mean of what is known in each row; nan for nothing."""
    seen = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(seen, values, 0.0).sum(axis=1) / seen.sum(axis=1)

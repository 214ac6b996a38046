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

Spread. The first two add the quantiles of their own past errors to the forecast, widened over the horizon as the model's own
intervals widen. The others take the distribution of the series' recent demand, scaled to the level they forecast, so that a
zero stays a zero.
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
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

Method = Literal["by_class", "auto_ets", "theta", "croston", "tsb", "adida"]
Smooth = Literal["auto_ets", "theta"]
Sparse = Literal["croston", "tsb", "adida"]

_SMOOTH: Final = get_args(Smooth)
_SPARSE: Final = get_args(Sparse)
_CHUNK: Final = 1024  # series handled at once: bounds memory, changes no number
_FEWEST: Final = 8  # observations below which the seasonal naive forecast is taken
_LONGEST_ETS_SEASON: Final = 24  # beyond it statsforecast's ETS leaves the season out
_CONTEXT: Final = {"h": 24 * 7 * 8, "D": 7 * 104, "W": 52 * 4, "M": 12 * 10, "Q": 4 * 15, "Y": 60}
"""Periods of history that are looked at: more cost time in proportion and hardly move a smoothed level."""
_RECENT: Final = {"h": 24 * 28, "D": 182, "W": 52, "M": 24, "Q": 12, "Y": 10}
"""Periods whose demand is the shape of a sparse series' spread."""
_MEAN_LEVELS: Final = (np.arange(20) + 0.5) / 20


@dataclass(frozen=True, kw_only=True)
class StatisticalSettings:
    """Settings of the classical models.

    Attributes
    ----------
    method : one for all series, or `by_class`: `smooth` or `sparse` below, as the series' demand is
    smooth : method for smooth and erratic demand
    sparse : method for intermittent and lumpy demand
    context : periods of history to look at; None takes two years of days, four of weeks, ten of months
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
        floor = -np.inf if panel.net_of_returns else 0.0
        methods = np.where(np.isfinite(demand).sum(axis=1) < _FEWEST, "", self._methods(panel))
        for method in dict.fromkeys(methods):
            here = np.flatnonzero(methods == method)
            if method in _SMOOTH:
                point, errors, growth = _smooth(demand[here], method, panel.frequency.season, horizon=horizon,
                                                jobs=self.settings.jobs)
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
    """Point forecasts (N, H), past errors (N, T), and how much wider errors get over the horizon (N, H), from 1."""
    models = _models()
    filled = fill_between(demand)
    begin = np.argmax(np.isfinite(filled), axis=1)
    two_seasons = filled.shape[1] - begin >= 2 * season
    # What never moves has neither season nor errors, and statsforecast divides by its variance.
    still = np.nanmax(filled, axis=1) == np.nanmin(filled, axis=1)
    point, growth = np.repeat(filled[:, -1:], horizon, axis=1), np.ones((len(demand), horizon))
    errors = np.where(np.isfinite(demand), 0.0, np.nan)
    for seasonal in (True, False):
        here = np.flatnonzero((two_seasons == seasonal) & ~still)
        if not len(here):
            continue
        period = season if seasonal and (method == "theta" or season <= _LONGEST_ETS_SEASON) else 1
        model = models.AutoETS(season_length=period, alias="m") if method == "auto_ets" else \
            models.Theta(season_length=period, alias="m")
        found, fitted = _run(model, filled[here], horizon, jobs, fitted=True)
        point[here] = np.nan_to_num(found["m"].to_numpy().reshape(len(here), horizon))
        growth[here] = _growth((found["m-hi-80"] - found["m-lo-80"]).to_numpy().reshape(len(here), horizon))
        rows, columns = np.nonzero(np.isfinite(filled[here]))
        errors[here[rows], columns] = demand[here[rows], columns] - fitted
    return point, errors, growth


def _sparse(demand: np.ndarray, method: str, *, jobs: int) -> np.ndarray:
    """Level (N,), units a period, over all the horizon."""
    models = _models()
    model = {"croston": lambda: models.CrostonSBA(alias="m"), "adida": lambda: models.ADIDA(alias="m"),
             "tsb": lambda: models.TSB(alpha_d=_TSB_SIZE, alpha_p=_TSB_CHANCE, alias="m")}[method]()
    found, _ = _run(model, demand, 1, jobs, fitted=False)
    return np.nan_to_num(found["m"].to_numpy())


_TSB_SIZE: Final = 0.1
_TSB_CHANCE: Final = 0.05


def _models() -> Any:
    """statsforecast's models; the extra is asked for only when one of them is to run."""
    try:
        from statsforecast import models
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "statsforecast":
            raise
        raise MissingExtraError("A statistical model", "statistical", "statsforecast") from error
    return models


def _run(model: Any, values: np.ndarray, horizon: int, jobs: int, *, fitted: bool) -> tuple[pl.DataFrame, np.ndarray]:
    """One model over all rows, in row order; what is missing at the start of a row, or anywhere, is left out.

    Returns
    -------
    Forecasts, N x H rows; where `fitted` is asked for with the ends of the 80 % interval, and with the fitted values in the order
    of the known values.
    """
    from statsforecast import StatsForecast

    rows, columns = np.nonzero(np.isfinite(values))
    table = pl.DataFrame({"unique_id": rows.astype(np.int64), "ds": columns.astype(np.int64), "y": values[rows, columns]})
    engine = StatsForecast(models=[model], freq=1, n_jobs=jobs)
    with warnings.catch_warnings():
        # Of single candidates that fitted badly and were not chosen; they name no series.
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Any = engine.forecast(df=table, h=horizon, level=[80] if fitted else None, fitted=fitted)
    return found, engine.forecast_fitted_values()["m"].to_numpy() if fitted else np.empty(0)


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


def _growth(widths: np.ndarray) -> np.ndarray:
    """How much wider an interval is than the first one, (N, H), as sqrt(1 + c h) with c >= 0 fitted over the horizon.

    The formula of a random walk with noise; fitted, because some intervals are simulated and so a little ragged.
    """
    h = np.arange(widths.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.nan_to_num((widths / widths[:, :1]) ** 2 - 1, nan=0.0, posinf=0.0)
    slope = np.maximum((squares * h).sum(axis=1) / max(float((h * h).sum()), 1.0), 0.0)
    return np.sqrt(1 + slope[:, None] * h)


def _mean(values: np.ndarray) -> np.ndarray:
    """(N,) mean of what is known in each row; nan for nothing."""
    seen = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(seen, values, 0.0).sum(axis=1) / seen.sum(axis=1)

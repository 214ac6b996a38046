"""Seasonal naive: what was sold a season ago is sold again. The rival that every model has to beat.

A season is 24 hours, 7 days, 52 weeks, 12 months, 4 quarters or 1 year. A series younger than a season repeats its last
value. A period of the last season without sales to go by (a gap, or the place was closed) takes the season before, and so on
back; where no season has it, the last value. The median is this naive value; the spread around it comes from the series' own
past errors of the same kind, shrunk towards the errors of all series (which `fit` collects), so that a young series is not
sure of itself.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from shelfcast.data.opening import closed_ahead, demand_seen, opening_covariate
from shelfcast.errors import SettingsError, WeightsError, shorten
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Traits
from shelfcast.models.empirical import GRID, at_levels, expected_above, pooled_quantiles, row_quantiles
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

_OWN_ERRORS: Final = 30  # own errors that weigh as much as the errors of all series together
_CHUNK: Final = 4096  # series handled at once: bounds memory, changes no number
_MEAN_LEVELS: Final = (np.arange(20) + 0.5) / 20


@dataclass(frozen=True, kw_only=True)
class NaiveSettings:
    """Settings of the seasonal naive model.

    Attributes
    ----------
    season : periods after which sales repeat; None takes the frequency's own (7 days, 52 weeks, 12 months ...), 1 repeats the
        last value
    max_series : series from which the pooled errors are learned, evenly spread over the panel
    """

    season: int | None = None
    max_series: int = 20_000

    def __post_init__(self) -> None:
        if self.season is not None and not (isinstance(self.season, int) and self.season >= 1):
            raise SettingsError(f"The naive model's season is a whole number of periods, at least 1; got {shorten(self.season)}.")
        if not (isinstance(self.max_series, int) and self.max_series >= 1):
            raise SettingsError(f"The naive model's max_series is at least 1; got {shorten(self.max_series)}.")


class SeasonalNaive:
    """Repeats the last season; see the top of this file.

    Parameters
    ----------
    settings : season and size of the pool

    Attributes
    ----------
    errors_ : float (len(GRID),), errors of all series over each series' own mean absolute error
    relative_ : mean absolute error over mean absolute sales, median of all series: for series too young to know theirs
    """

    traits = Traits(name="naive", summary="Repeats the last season; spread from past errors. The rival to beat.", needs_fit=True)

    def __init__(self, settings: NaiveSettings = NaiveSettings()) -> None:
        self.settings = settings
        self.errors_ = np.zeros(len(GRID))
        self.relative_ = 0.0
        self.is_fitted_ = False

    def fit(self, panel: SalesPanel) -> Self:
        """Learn how wrong this forecast is over all series together."""
        step = -(-len(panel) // self.settings.max_series)  # rounded up
        pool = panel.select(slice(0, len(panel), step)) if step > 1 else panel
        relative, normed = [], []
        for part in pool.chunks(_CHUNK):
            sales = demand_seen(part, part.dense(covariates=opening_covariate(part)))
            errors = _errors(sales, self._season(part), _young(part, self._season(part)))
            scale, count = _scale(errors)
            sure = (count >= 2) & (scale > 0)
            with np.errstate(invalid="ignore", divide="ignore"):
                normed.append((errors[sure] / scale[sure, None]).astype(np.float32)[np.isfinite(errors[sure])])
                level = _mean(np.abs(sales))
                relative.append((scale / level)[(count >= 2) & (level > 0)])
        ratios = np.concatenate(relative)
        self.errors_ = pooled_quantiles(np.concatenate(normed).astype(np.float64))
        self.relative_ = float(np.median(ratios)) if len(ratios) else 0.0
        self.is_fitted_ = True
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series for the `horizon` periods after the panel's cutoff."""
        if not self.is_fitted_:
            raise SettingsError("The naive model has not learned from a panel yet: call fit(panel) first.")
        check_horizon(horizon)
        checked = check_levels(levels)
        quantiles = np.empty((len(panel), horizon, len(checked)))
        mean = np.empty((len(panel), horizon))
        at = 0
        for part in panel.chunks(_CHUNK):
            here = slice(at, at + len(part))
            quantiles[here], mean[here] = self._forecast(part, horizon, np.array(checked))
            at += len(part)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked, quantiles, mean)

    def _forecast(self, panel: SalesPanel, horizon: int, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles (N, H, Q) and means (N, H), units."""
        dense = panel.dense(horizon=horizon, covariates=opening_covariate(panel))
        sales = demand_seen(panel, dense)
        season = self._season(panel)
        young = _young(panel, season)
        point = _repeat(sales, season, young, horizon)  # (N, H)
        errors = _errors(sales, season, young)
        scale, count = _scale(errors)
        weight = (count / (count + _OWN_ERRORS))[:, None]
        # A series with few errors of its own borrows the size of the error, in proportion to its level, and its shape.
        borrowed = self.relative_ * np.nan_to_num(_mean(np.abs(sales)))[:, None]
        size = np.where(count[:, None] >= 2, weight * np.nan_to_num(scale)[:, None] + (1 - weight) * borrowed, borrowed)
        size = np.where((count[:, None] >= 10) & (scale[:, None] == 0), 0.0, size)  # ten errors of nought: it never moves

        def spread(at: np.ndarray) -> np.ndarray:
            own = np.nan_to_num(row_quantiles(errors, at))
            mixed = weight * own + (1 - weight) * size * at_levels(self.errors_, at)[None, :]
            middle = weight * np.nan_to_num(row_quantiles(errors, np.array([0.5]))) \
                + (1 - weight) * size * at_levels(self.errors_, np.array([0.5]))[None, :]
            return mixed - middle  # the median stays the naive value

        floor = -np.inf if panel.net_of_returns else 0.0
        quantiles = np.maximum(point[:, :, None] + spread(levels)[:, None, :], floor)
        mean = expected_above(point, spread(_MEAN_LEVELS), floor)
        shut = closed_ahead(panel, dense, horizon)
        quantiles[shut], mean[shut] = 0.0, 0.0
        return np.maximum.accumulate(quantiles, axis=2), mean

    def _season(self, panel: SalesPanel) -> int:
        return self.settings.season or panel.frequency.season

    def save(self, folder: Path) -> None:
        """Write settings and pooled errors as JSON."""
        held = {"settings": asdict(self.settings), "errors": self.errors_.tolist(), "relative": self.relative_,
                "is_fitted": self.is_fitted_}
        (folder / "naive.json").write_text(json.dumps(held) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            held = json.loads((folder / "naive.json").read_text(encoding="utf-8"))
            model = cls(NaiveSettings(**held["settings"]))
            model.errors_, model.relative_ = np.array(held["errors"], dtype=float), float(held["relative"])
            model.is_fitted_ = bool(held["is_fitted"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{str(folder)!r} holds no naive model: {shorten(error)}.") from error
        return model


def _young(panel: SalesPanel, season: int) -> np.ndarray:
    """bool (N,): the series has existed for less than a season."""
    return panel.cutoff - panel.series["start"].to_numpy() + 1 < season


def last_value(sales: np.ndarray) -> np.ndarray:
    """(N,): the last known value of each row; 0 for a row without any."""
    seen = np.isfinite(sales)
    at = sales.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    return np.where(seen.any(axis=1), sales[np.arange(len(sales)), at], 0.0)


def _repeat(sales: np.ndarray, season: int, young: np.ndarray, horizon: int) -> np.ndarray:
    """(N, H): the last known value of the same phase of the season; the last value for the young."""
    last = last_value(sales)
    short = -sales.shape[1] % season
    padded = np.pad(sales, ((0, 0), (short, 0)), constant_values=np.nan).reshape(len(sales), -1, season)
    phases = last_value(np.moveaxis(padded, 1, 2).reshape(-1, padded.shape[1])).reshape(len(sales), season)
    known = np.isfinite(padded).any(axis=1)
    phases = np.where(known & ~young[:, None], phases, last[:, None])
    return phases[:, np.arange(horizon) % season]


def _errors(sales: np.ndarray, season: int, young: np.ndarray) -> np.ndarray:
    """(N, T - 1) errors of the naive forecast in the past: over a season, over one period for the young; nan where unknown."""
    out = np.full((len(sales), max(sales.shape[1] - 1, 0)), np.nan)
    if sales.shape[1] > season:
        out[:, season - 1:] = sales[:, season:] - sales[:, :-season]
    # The step errors are also what a series knows that has not seen two seasons.
    few = young | ~np.isfinite(out).any(axis=1)
    if few.any():
        out[few] = np.diff(sales[few], axis=1)
    return out


def _scale(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute error (N,), nan without errors, and the number of errors (N,)."""
    return _mean(np.abs(errors)), np.isfinite(errors).sum(axis=1)


def _mean(values: np.ndarray) -> np.ndarray:
    """(N,) mean of what is known in each row; nan for nothing."""
    seen = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(seen, values, 0.0).sum(axis=1) / seen.sum(axis=1)

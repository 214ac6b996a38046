"""What the checks of the pretrained model give: figures, each with the set that it is of and how sure it is."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl

from shelfcast.evaluate.metrics import pinball_losses, seasonal_error
from shelfcast.evaluate.resampling import Interval
from shelfcast.evaluate.scores import DECILES
from shelfcast.models.base import Forecaster
from shelfcast.names import ITEM, LOCATION
from shelfcast.panel import PERIOD, SalesPanel

Make = Callable[[int], Forecaster]
"""A model that has learned nothing yet, for a horizon."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    check, set, measure : what it is of
    value, low, high : the number and its interval, where there is one
    series, windows : how much it was measured on
    """

    check: str
    set: str
    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    series: int
    windows: int

    def row(self) -> dict[str, object]:
        """As a row of a table, rounded."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}

    @classmethod
    def skill(cls, found: Interval, *, check: str, set: str, measure: str) -> "Figure":
        """A skill with its interval."""
        return cls(check=check, set=set, measure=measure, value=found.value, low=found.low, high=found.high, series=found.units,
                   windows=found.windows)


def series_losses(truth: np.ndarray, quantiles: np.ndarray, past: np.ndarray, season: int) -> np.ndarray:
    """(N,) scaled quantile loss of each series; nan without a truth or where the past never moves.

    Parameters
    ----------
    truth : (N, H); quantiles : (N, H, 9) at the deciles; past : (N, T)
    season : periods of the naive error that a loss is divided by
    """
    lost = 2 * pinball_losses(truth, quantiles, np.array(DECILES)).mean(axis=2)
    seen = np.isfinite(lost)
    scale = seasonal_error(past, season)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(seen, lost, 0.0).sum(axis=1) / seen.sum(axis=1) / np.where(scale > 0, scale, np.nan))


def laid_out(values: Mapping[str, list[tuple[pl.DataFrame, np.ndarray]]]) -> dict[str, np.ndarray]:
    """{who: (W, N)} from {who: [(series of a window, (n,))]}: the same series in every window, nan where one is not there."""
    everyone = pl.concat([s.select(ITEM, LOCATION) for parts in values.values() for s, _ in parts]).unique().sort(ITEM, LOCATION)
    out = {}
    for who, parts in values.items():
        rows = []
        for series, numbers in parts:
            told = series.select(ITEM, LOCATION).with_columns(pl.Series("value", numbers))
            joined = everyone.join(told, on=[ITEM, LOCATION], how="left", maintain_order="left")["value"]
            rows.append(joined.fill_null(np.nan).to_numpy())
        out[who] = np.stack(rows)
    return out


def without_known(panel: SalesPanel) -> SalesPanel:
    """The panel without any covariate whose future is known, closed days among them."""
    gone = {name for name, kind in panel.covariates.items() if kind == "known"}
    rows = panel.rows.filter(pl.col(PERIOD) <= panel.cutoff).drop(gone & set(panel.rows.columns))
    tables = tuple(t for t in panel.tables if not gone & set(t.values))
    return replace(panel, rows=rows, tables=tables, closed_when=None,
                   covariates={k: v for k, v in panel.covariates.items() if k not in gone})


def some_series(panel: SalesPanel, most: int | None, *, seed: int = 0) -> SalesPanel:
    """At most so many series, drawn by seed; all when None."""
    if most is None or len(panel) <= most:
        return panel
    return panel.select(np.sort(np.random.default_rng(seed).choice(len(panel), most, replace=False)))

"""Cross-validation over sales that does not learn from the future: windows by date, over long tables."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from shelfcast.data.split import window_cutoffs
from shelfcast.errors import MissingExtraError
from shelfcast.models.estimator_rows import Layout
from shelfcast.names import KEYS
from shelfcast.panel import PERIOD

try:
    from sklearn.model_selection import BaseCrossValidator
    from sklearn.utils.validation import column_or_1d
except ImportError as missing:
    raise MissingExtraError("SalesSplit", "sklearn", "scikit-learn") from missing


class SalesSplit(BaseCrossValidator):
    """The last windows of a table of sales, oldest first: train on all rows before a window, test on the rows within it.

    Unlike scikit-learn's TimeSeriesSplit it goes by the date of a row and not by its place in the table, so that a table of many
    items and locations can be in any order. The last window ends at the last date that has sales. Left out of a window's test
    rows: those without sales (there is nothing to compare with), and those of series that begin within the window.

    Parameters
    ----------
    horizon : periods in a window
    windows : how many
    step : periods from one window to the next; the horizon when None, so that they follow each other
    date, item, location, freq : as in SalesForecaster
    """

    def __init__(self, *, horizon: int, windows: int = 1, step: int | None = None, date: str | None = "date", item: str = "item",
                 location: str = "location", freq: str | None = None) -> None:
        self.horizon = horizon
        self.windows = windows
        self.step = step
        self.date = date
        self.item = item
        self.location = location
        self.freq = freq

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of windows; the arguments are scikit-learn's and change nothing."""
        del X, y, groups
        return self.windows

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions of the rows to train on and to test on, for each window.

        Parameters
        ----------
        X : (n, columns) table, or array whose rows are consecutive periods
        y : (n,), units sold, nan where not known; all are taken for known when None
        groups : scikit-learn's, not used
        """
        del groups
        layout = Layout(date=self.date, item=self.item, location=self.location, freq=self.freq, known=())
        sales = np.zeros(len(X)) if y is None else column_or_1d(y).astype(np.float64)
        panel = layout.learned(X, sales)
        rows, _ = layout.periods(X, panel.frequency)
        period = rows[PERIOD].to_numpy()
        start = rows.select(pl.col(PERIOD).min().over(KEYS)).to_series().to_numpy()
        for cutoff in window_cutoffs(panel, horizon=self.horizon, count=self.windows, step=self.step):
            inside = (period > cutoff) & (period <= cutoff + self.horizon)
            yield np.flatnonzero(period <= cutoff), np.flatnonzero(inside & (start <= cutoff) & np.isfinite(sales))

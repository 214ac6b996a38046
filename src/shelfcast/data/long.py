"""Rows sorted by series as plain arrays, with facts about every series at once: what checking, judging and capping look at."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl

from shelfcast.names import SALES
from shelfcast.panel import PERIOD, SERIES


@dataclass(frozen=True)
class Rows:
    """R rows of N series, sorted by series and period. All facts are (N,), zero or nan for a series without rows.

    Attributes
    ----------
    series : uint32 (R,)
    period : int32 (R,)
    sales : float64 (R,), units; nan where not known
    count : N
    """

    series: np.ndarray
    period: np.ndarray
    sales: np.ndarray
    count: int

    @cached_property
    def rows(self) -> np.ndarray:
        """int64: rows of a series."""
        edges = np.searchsorted(self.series, np.arange(self.count + 1, dtype=self.series.dtype))
        return np.diff(edges)

    @cached_property
    def starts(self) -> np.ndarray:
        """int64: first row of a series that has rows."""
        ends = np.cumsum(self.rows)
        return ends - self.rows

    @cached_property
    def filled(self) -> np.ndarray:
        """int64 (M,): the series that have rows."""
        return np.flatnonzero(self.rows)

    @cached_property
    def begins(self) -> np.ndarray:
        """bool (R,): the first row of its series."""
        first = np.zeros(len(self.series), dtype=bool)
        first[self.starts[self.filled]] = True
        return first

    def total(self, values: np.ndarray) -> np.ndarray:
        """float64 (N,): sum of row values over each series."""
        out = np.zeros(self.count)
        if len(values):
            out[self.filled] = np.add.reduceat(values, self.starts[self.filled], dtype=np.float64)
        return out

    def most(self, values: np.ndarray, empty: float) -> np.ndarray:
        """(N,): largest row value of each series, `empty` for those without rows."""
        out = np.full(self.count, empty, dtype=values.dtype)
        if len(values):
            out[self.filled] = np.maximum.reduceat(values, self.starts[self.filled])
        return out

    def least(self, values: np.ndarray, empty: float) -> np.ndarray:
        """(N,): smallest row value of each series."""
        out = np.full(self.count, empty, dtype=values.dtype)
        if len(values):
            out[self.filled] = np.minimum.reduceat(values, self.starts[self.filled])
        return out

    @cached_property
    def first(self) -> np.ndarray:
        """int64: period of the first row."""
        out = np.zeros(self.count, dtype=np.int64)
        out[self.filled] = self.period[self.starts[self.filled]]
        return out

    @cached_property
    def last(self) -> np.ndarray:
        """int64: period of the last row."""
        out = np.zeros(self.count, dtype=np.int64)
        out[self.filled] = self.period[self.starts[self.filled] + self.rows[self.filled] - 1]
        return out

    @cached_property
    def gap(self) -> np.ndarray:
        """int32 (R,): periods since the row before of the same series, 0 for the first."""
        out = np.zeros_like(self.period)
        np.subtract(self.period[1:], self.period[:-1], out=out[1:])
        out[self.begins] = 0
        return out

    @cached_property
    def longest_gap(self) -> np.ndarray:
        """int32 (N,): the longest gap of each series."""
        return self.most(self.gap, 0)


@dataclass(frozen=True)
class Long(Rows):
    """Rows, with facts about what was sold."""

    @classmethod
    def of(cls, rows: pl.DataFrame, count: int) -> Self:
        """From a panel's rows (history only, if only history is to count)."""
        sales = rows[SALES]
        if sales.null_count():
            sales = sales.fill_null(np.nan)
        return cls(rows[SERIES].to_numpy(), rows[PERIOD].to_numpy(), sales.to_numpy(), count)

    @cached_property
    def known(self) -> np.ndarray:
        """bool (R,): sales are known."""
        return np.isfinite(self.sales)

    @cached_property
    def sold(self) -> np.ndarray:
        """bool (R,): something was sold."""
        return self.sales > 0

    @cached_property
    def sold_periods(self) -> np.ndarray:
        """int64: periods in which something was sold."""
        return self.total(self.sold).astype(np.int64)

    @cached_property
    def known_periods(self) -> np.ndarray:
        """int64: rows whose sales are known."""
        return self.total(self.known).astype(np.int64)

    @cached_property
    def units(self) -> np.ndarray:
        """float64: units in all."""
        return self.total(np.where(self.known, self.sales, 0.0))

    @cached_property
    def selling(self) -> "Long":
        """Only the rows that sold something."""
        return self if self.sold.all() else self.only(self.sold)

    def only(self, which: np.ndarray) -> "Long":
        """Some rows, by a boolean array. (polars selects ten times faster than numpy.)"""
        mask = pl.Series(which)
        series, period, sales = (pl.Series(a).filter(mask).to_numpy() for a in (self.series, self.period, self.sales))
        return Long(series, period, sales, self.count)

    @cached_property
    def logs(self) -> np.ndarray:
        """float64 (R,): natural logarithm of the sales; only meant for `selling`."""
        return np.log(self.sales)

    def limits(self, *, enough: int, far: float, least_spread: float = 0.35) -> np.ndarray:
        """float64 (N,), units: exp(m + far s) of the logarithms of sales without the largest; inf below `enough` periods."""
        selling = self.selling
        if (selling.rows >= enough).mean() < 0.9:  # most series of a long tail are too short to be looked at
            selling = selling.only((selling.rows >= enough)[selling.series])
        n = selling.rows
        logs = selling.logs
        largest = selling.most(logs, 0.0)
        rest = np.maximum(n - 1, 1)
        mean = (selling.total(logs) - largest) / rest
        square = (selling.total(logs * logs) - largest * largest) / rest
        spread = np.maximum(np.sqrt(np.maximum(square - mean * mean, 0.0)), least_spread)
        with np.errstate(over="ignore"):
            return np.where(n >= enough, np.exp(np.minimum(mean + far * spread, 700.0)), np.inf)

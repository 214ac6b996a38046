"""The only file that cuts time.

A model gets a panel that ends at its cutoff; the truth of a window sits behind another method, for scoring alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from shelfcast.data.lines import ROW, SalesLines, text_of
from shelfcast.errors import DataError, SettingsError, shorten
from shelfcast.names import DATE, KEYS, SALES
from shelfcast.panel import PERIOD, SERIES, CovariateTable, SalesPanel, hide_future


def cut(panel: SalesPanel, cutoff: int | date | str) -> SalesPanel:
    """The panel as it was known at `cutoff`: later sales and past covariates are gone, known covariates stay.

    Series whose first row comes later are left out.

    Parameters
    ----------
    cutoff : last period of history, as a period number or any day within it

    Raises
    ------
    DataError
        If no series has begun by then.
    """
    at = cutoff if isinstance(cutoff, int) else panel.frequency.number(cutoff)
    begun = (panel.series["start"] <= at).to_numpy()
    if not begun.any():
        earliest = panel.frequency.date(int(panel.series["start"].min()))  # type: ignore[arg-type]
        raise DataError(f"There is no history up to {panel.frequency.date(at)}: the first sales are of {earliest}. "
                        f"Choose a later cutoff.")
    kept = panel if begun.all() else panel.select(begun)
    tables = []
    for table in kept.tables:
        gone = [c for c in table.values if kept.covariates.get(c) == "past"]
        future = pl.col(PERIOD) > at
        frame = table.frame
        if PERIOD in table.keys and gone:
            frame = frame.with_columns(pl.when(future).then(None).otherwise(pl.col(c)).alias(c) for c in gone)
            if len(gone) == len(table.values):
                frame = frame.filter(~future)
        tables.append(CovariateTable(frame))
    return replace(kept, rows=hide_future(kept.rows, at, kept.covariates), tables=tuple(tables), cutoff=at)


@dataclass(frozen=True)
class Window:
    """One piece of the past to forecast: `past` for the model, `truth()` for the judge, never for a model.

    Attributes
    ----------
    past : what is known; where series end at dates of their own, each holds its sales up to its own cutoff, and the panel's
        cutoff is the last of them
    horizon : periods to forecast, from each series' cutoff on
    cutoffs : int (N,), last period of history of each series, where they differ; None where all end with `past`
    among : the window of which this one is a sample, and whose other series are there to be seen by models that look at them; None
        for a window that is whole
    """

    past: SalesPanel
    horizon: int
    _whole: SalesPanel
    _positions: np.ndarray  # (N,) where the series of `past` stand in the whole panel
    cutoffs: np.ndarray | None = None
    among: "Window | None" = None

    @property
    def ends(self) -> np.ndarray:
        """int (N,), last period of history of each series."""
        return np.full(len(self.past), self.past.cutoff) if self.cutoffs is None else self.cutoffs

    def truth(self) -> np.ndarray:
        """float64 (N, H), units: what was sold in the window, nan where it is not known; rows as in `past.series`."""
        return self._later(None)

    def later(self, covariate: str) -> np.ndarray:
        """float64 (N, H): what a known or past covariate turned out to be in the window, nan where it is not given."""
        return self._later(covariate)

    def _later(self, covariate: str | None) -> np.ndarray:
        at = self._positions
        # First the run that holds them all, which is no copy: a slice of a million series must not cost a pass over all of them.
        # And only the periods after the window's cutoff are laid out: their years of history would not fit.
        whole = self._whole.select(slice(int(at[0]), int(at[-1]) + 1)).select(at - at[0])
        ends = self.ends
        first = int(ends.min())
        dense = whole.dense(context=whole.cutoff - first, covariates=() if covariate is None else (covariate,))
        values = dense.sales if covariate is None else {**dense.known, **dense.past}[covariate]
        if self.cutoffs is None:
            return values[:, : self.horizon]
        return np.take_along_axis(values, (ends - first)[:, None] + np.arange(self.horizon), axis=1)

    def select(self, which: np.ndarray | Sequence[int] | slice) -> "Window":
        """The window of some series, by rising positions in `past.series`."""
        return replace(self, past=self.past.select(which), _positions=self._positions[which],
                       cutoffs=None if self.cutoffs is None else self.cutoffs[which])

    def sample(self, which: np.ndarray | Sequence[int]) -> "Window":
        """The same, with what it is a sample of: its series are scored, and stand among all the others when they are forecast."""
        return replace(self.select(which), among=self.among or self)

    def standing(self) -> np.ndarray:
        """int (N,): where these series stand in the window of which this one is a sample."""
        return np.arange(len(self.past)) if self.among is None else np.searchsorted(self.among._positions, self._positions)

    def by_cutoff(self) -> Iterator[tuple[np.ndarray, SalesPanel]]:
        """(positions, panel to predict from) of the series of each cutoff, the earliest first; one when all end together."""
        if self.cutoffs is None:
            yield np.arange(len(self.past)), self.past
            return
        for cutoff in np.unique(self.cutoffs):
            at = np.flatnonzero(self.cutoffs == cutoff)
            yield at, _with_gaps_given(cut(self.past.select(at), int(cutoff)), self.horizon)


def windows(panel: SalesPanel, *, horizon: int, count: int = 1, step: int | None = None,
            own_ends: bool = False) -> Iterator[Window]:
    """The last `count` windows of `horizon` periods, oldest first; the last ends at the cutoff.

    Parameters
    ----------
    step : periods from one window to the next; the horizon when None, so that they follow each other. Less lets them overlap
    own_ends : count back from each series' own last known sale instead of from the panel's cutoff, as the public benchmarks
        do; no series then shows more than it had, and each window's truth has the full length

    Raises
    ------
    SettingsError
        If the oldest window would begin before all history.
    """
    placed = _placed(panel, horizon, count, step, own_ends)
    begun = panel.series["start"].to_numpy()
    for back in placed.backs:
        kept = np.flatnonzero(begun <= placed.ends - back)
        if own_ends:
            cutoffs = placed.ends[kept] - back
            past = cut(_up_to(panel.select(kept), cutoffs), int(cutoffs.max()))
            yield Window(_with_gaps_given(past, horizon), horizon, panel, kept, cutoffs)
        else:
            yield Window(_with_gaps_given(cut(panel, panel.cutoff - back), horizon), horizon, panel, kept)


def window_cutoffs(panel: SalesPanel, *, horizon: int, count: int = 1, step: int | None = None,
                   own_ends: bool = False) -> list[int]:
    """The cutoff of the panel of each of the same windows, oldest first, as period numbers; nothing is cut yet."""
    placed = _placed(panel, horizon, count, step, own_ends)
    begun = panel.series["start"].to_numpy()
    return [int((placed.ends - back)[begun <= placed.ends - back].max()) if own_ends else panel.cutoff - back
            for back in placed.backs]


@dataclass(frozen=True)
class _Placed:
    """Where windows lie: `ends` (N,) of the series, and how many periods before them each window's cutoff is."""

    ends: np.ndarray
    backs: range


def _placed(panel: SalesPanel, horizon: int, count: int, step: int | None, own_ends: bool) -> _Placed:
    step = horizon if step is None else step
    if horizon < 1 or count < 1:
        raise SettingsError(f"Windows need a horizon and a count of at least 1; got {shorten(horizon)} and {shorten(count)}.")
    if step < 1:
        raise SettingsError(f"Windows lie at least 1 period apart; the step is {shorten(step)}.")
    begun = panel.series["start"].to_numpy()
    ends = _own_ends(panel) if own_ends else np.full(len(panel), panel.cutoff)
    reach = horizon + step * (count - 1)
    if not (ends - reach >= begun).any():
        length = int((ends - begun).max()) + 1
        raise SettingsError(f"{count} windows of {horizon} {panel.frequency.noun}s need more than {reach} periods "
                            f"of history; there are {length}.")
    return _Placed(ends, range(reach, horizon - 1, -step))


def _own_ends(panel: SalesPanel) -> np.ndarray:
    """int (N,): the last period in which a series' sales are known; before its start where none are."""
    known = panel.rows.filter((pl.col(PERIOD) <= panel.cutoff) & pl.col(SALES).is_not_null())
    last = known.group_by(SERIES).agg(pl.col(PERIOD).max())
    ends = panel.series["start"].to_numpy().astype(np.int64) - 1
    ends[last[SERIES].to_numpy()] = last[PERIOD].to_numpy()
    return ends


def _up_to(panel: SalesPanel, cutoffs: np.ndarray) -> SalesPanel:
    """The panel in which each series shows sales and past covariates up to its own cutoff (N,), and later nothing that is known."""
    limit = pl.Series(cutoffs)[panel.rows[SERIES]]
    hidden = [c for c in panel.rows.columns if c == SALES or panel.covariates.get(c) == "past"]
    rows = panel.rows.with_columns(pl.when(pl.col(PERIOD) > limit).then(None).otherwise(pl.col(c)).alias(c) for c in hidden)
    if panel.absent == "zero":  # there a period without a row means that nothing was sold, which nobody knows yet
        after = int(cutoffs.max()) - cutoffs
        series = np.repeat(np.arange(len(panel), dtype=np.uint32), after)
        period = np.arange(len(series)) - np.repeat(np.cumsum(after) - after, after) + np.repeat(cutoffs, after) + 1
        unknown = pl.DataFrame({SERIES: series, PERIOD: period.astype(np.int32)})
        gaps = unknown.join(rows, on=[SERIES, PERIOD], how="anti")
        rows = pl.concat([rows, gaps], how="diagonal").sort(SERIES, PERIOD)
    elif len(rows.columns) == len(hidden) + 2:  # no known covariate stands in the rows: those that are hidden say nothing
        rows = rows.filter(pl.col(PERIOD) <= limit)
    return replace(panel, rows=rows)


def _with_gaps_given(past: SalesPanel, horizon: int) -> SalesPanel:
    """In a replay, a period that has no row is a gap whose covariates nobody knows (null), not a row that the user forgot."""
    known = [c for c in past.rows.columns if past.covariates.get(c) == "known"]
    if not known:
        return past
    future = past.rows.filter(pl.col(PERIOD).is_between(past.cutoff + 1, past.cutoff + horizon))
    if future.height == len(past) * horizon:
        return past
    grid = pl.DataFrame({
        SERIES: np.repeat(np.arange(len(past), dtype=np.uint32), horizon),
        PERIOD: np.tile(np.arange(past.cutoff + 1, past.cutoff + horizon + 1, dtype=np.int32), len(past)),
    })
    gaps = grid.join(future, on=[SERIES, PERIOD], how="anti")
    return replace(past, rows=pl.concat([past.rows, gaps], how="diagonal").sort(SERIES, PERIOD))


def lines_until(lines: SalesLines, cutoff: date) -> SalesLines:
    """The lines as they were known at the end of the day `cutoff`: later rows keep their keys and known covariates, nothing else.

    Later rows are left out where no known covariate stands in the sales file. Rows without a readable date stay, to be rejected.
    """
    schema = lines.frame.collect_schema()
    known = [c for c, kind in lines.covariates.items() if kind == "known" and c in schema]
    later = (pl.col(DATE).dt.date() > cutoff).fill_null(False)
    if not known:
        return replace(lines, frame=lines.frame.filter(~later))
    kept = {*KEYS, DATE, text_of(DATE), ROW, *known, *(text_of(c) for c in known)}
    hidden = [c for c in schema if c not in kept]
    return replace(lines, frame=lines.frame.with_columns(pl.when(~later).then(pl.col(c)).alias(c) for c in hidden))

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
from shelfcast.names import DATE, KEYS
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
    """One piece of the past to forecast: `past` for the model, `truth()` for the judge, never for a model."""

    past: SalesPanel
    horizon: int
    _whole: SalesPanel
    _positions: np.ndarray  # (N,) where the series of `past` stand in the whole panel

    def truth(self) -> np.ndarray:
        """float64 (N, H), units: what was sold in the window, nan where it is not known; rows as in `past.series`."""
        at = self._positions
        # First the run that holds them all, which is no copy: a slice of a million series must not cost a pass over all of them.
        # And only the periods after the window's cutoff are laid out: their years of history would not fit.
        whole = self._whole.select(slice(int(at[0]), int(at[-1]) + 1)).select(at - at[0])
        return whole.dense(context=whole.cutoff - self.past.cutoff, covariates=()).sales[:, : self.horizon]

    def select(self, which: np.ndarray | Sequence[int] | slice) -> "Window":
        """The window of some series, by rising positions in `past.series`."""
        return replace(self, past=self.past.select(which), _positions=self._positions[which])


def windows(panel: SalesPanel, *, horizon: int, count: int = 1) -> Iterator[Window]:
    """The last `count` windows of `horizon` periods, oldest first; window k ends k horizons before the cutoff.

    Raises
    ------
    SettingsError
        If the oldest window would begin before all history.
    """
    if horizon < 1 or count < 1:
        raise SettingsError(f"Windows need a horizon and a count of at least 1; got {shorten(horizon)} and {shorten(count)}.")
    start = int(panel.series["start"].min())  # type: ignore[arg-type]
    if panel.cutoff - horizon * count < start:
        length = panel.cutoff - start + 1
        raise SettingsError(f"{count} windows of {horizon} {panel.frequency.noun}s need more than {horizon * count} periods "
                            f"of history; there are {length}.")
    for k in range(count, 0, -1):
        past = cut(panel, panel.cutoff - horizon * k)
        begun = np.flatnonzero(panel.series["start"].to_numpy() <= past.cutoff)
        yield Window(_with_gaps_given(past, horizon), horizon, panel, begun)


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

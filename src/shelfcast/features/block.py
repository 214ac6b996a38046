"""A slice of a panel as arrays, in the form that features are computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from shelfcast.features.calendar import year_after, year_ago
from shelfcast.features.drivers import driven, signals
from shelfcast.features.pooled import group_codes
from shelfcast.features.scheme import Scheme
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency


@dataclass(frozen=True)
class Block:
    """A slice of a panel as arrays. N series, T periods of history, H of future.

    Attributes
    ----------
    first : period number of column 0
    sales : float (N, T), units; nan where unknown or closed
    closed : bool (N, T + H)
    cells : int (N, T + H)
    known, past, static : covariates, texts as codes of the scheme
    last_on, next_on : {flag: int32 (N, T + H)}, column of the last and next period where the flag is set
    groups : {item, location: int (N,)}
    drive : float (N, T + H), log effect of the drivers
    mirrored : time runs backwards: column 0 is the latest period
    """

    first: int
    sales: np.ndarray
    closed: np.ndarray
    cells: np.ndarray
    known: dict[str, np.ndarray]
    past: dict[str, np.ndarray]
    static: dict[str, np.ndarray]
    last_on: dict[str, np.ndarray]
    next_on: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]
    drive: np.ndarray
    mirrored: bool = False

    def periods(self, columns: np.ndarray) -> np.ndarray:
        """Period numbers of columns."""
        return self.first - columns if self.mirrored else self.first + columns

    def year_ago(self, frequency: Frequency, columns: np.ndarray) -> np.ndarray:
        """Columns of the periods one year before; one year after, where time runs backwards."""
        periods = self.periods(columns)
        return self.first - year_after(frequency, periods) if self.mirrored else year_ago(frequency, periods) - self.first

    def beside(self, values: np.ndarray, targets: np.ndarray, *, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """(N, H) twice: values (N, T + H) one period earlier and one later, in time; the later ones nan past column `limit`.

        A promotion is followed by a dip, whichever way the columns run.
        """
        end = values.shape[1] - 1
        back, ahead = values[:, np.maximum(targets - 1, 0)], values[:, np.minimum(targets + 1, end)]
        if self.mirrored:
            return ahead, back
        return back, np.where(targets + 1 <= limit, ahead, np.nan)

    def distances(self, flag: str, targets: np.ndarray, *, limit: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        """(N, H) twice: periods since the flag was last set before each target, and until it is next; `most` where further.

        One that comes later than `limit - targets` periods ahead is not known yet, whichever way the columns run.
        """
        end = self.closed.shape[1] - 1
        back = targets - self.last_on[flag][:, np.maximum(targets - 1, 0)]
        ahead = self.next_on[flag][:, np.minimum(targets + 1, end)] - targets
        ahead = np.where(targets + 1 <= end, ahead, most)
        since, until = (ahead, back) if self.mirrored else (back, ahead)
        return np.minimum(since, most), np.minimum(np.where(until <= limit - targets, until, most), most)

    def take(self, series: np.ndarray) -> "Block":
        """Some of the series, by rising position."""
        if len(series) == len(self.sales):
            return self

        def rows(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[series] for name, values in arrays.items()}

        return replace(self, sales=self.sales[series], closed=self.closed[series], cells=self.cells[series], known=rows(self.known),
                       past=rows(self.past), static=rows(self.static), last_on=rows(self.last_on), next_on=rows(self.next_on),
                       groups=rows(self.groups), drive=self.drive[series])

    def mirror(self, width: int) -> "Block":
        """The last `width` periods of history with time running backwards."""
        end = self.sales.shape[1]

        def turned(values: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(values[:, end - width:end][:, ::-1])

        def away(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: (end - 1 - turned(values)).astype(np.int32) for name, values in columns.items()}

        return replace(self, first=self.first + end - 1, sales=turned(self.sales), closed=turned(self.closed),
                       cells=turned(self.cells), known={k: turned(v) for k, v in self.known.items()},
                       past={k: turned(v) for k, v in self.past.items()}, last_on=away(self.next_on), next_on=away(self.last_on),
                       drive=turned(self.drive), mirrored=True)


def make_block(panel: SalesPanel, scheme: Scheme, *, context: int, horizon: int,
               keys: dict[str, pl.DataFrame] | None = None) -> Block:
    """Arrays of a panel's last `context` periods and the `horizon` after them."""
    wanted = [*scheme.flags, *scheme.numbers, *(scheme.texts or ()), *scheme.past, *scheme.static_numbers,
              *(scheme.static_texts or ()), *([scheme.closed_when] if scheme.closed_when else [])]
    dense = panel.dense(context=context, horizon=horizon, covariates=[n for n in wanted if n in panel.covariates])
    n, width = len(panel), context + horizon
    categories = panel.categories
    unknown = np.full((n, width), np.nan)
    known = {}
    for name in (*scheme.flags, *scheme.numbers):
        known[name] = dense.known.get(name, unknown)
    for name, values in (scheme.texts or {}).items():
        known[name] = _recode(dense.known.get(name, unknown), categories.get(name, []), values)
    static = {name: dense.static.get(name, unknown[:, 0]) for name in scheme.static_numbers}
    for name, values in (scheme.static_texts or {}).items():
        static[name] = _recode(dense.static.get(name, unknown[:, 0]), categories.get(name, []), values)
    shut = dense.known.get(scheme.closed_when) if scheme.closed_when else None
    closed = shut == 0 if shut is not None else np.zeros((n, width), dtype=bool)
    sales = np.where(closed[:, :context], np.nan, dense.sales)
    periods = dense.first + np.arange(width)
    ons = {name: known[name] == 1 for name in scheme.flags}
    if scheme.closed_when:
        ons["closed"] = _out_of_turn(closed, scheme.slots)
    groups = group_codes(panel.series, keys) if keys is not None else {}
    given = signals(known, ons.get("closed"), Frequency.parse(scheme.frequency), periods)
    return Block(dense.first, sales, closed, _cells(scheme, periods, known, n), known,
                 {name: dense.past.get(name, unknown[:, :context]) for name in scheme.past}, static,
                 {name: _last(on) for name, on in ons.items()}, {name: _next(on) for name, on in ons.items()}, groups,
                 driven(scheme.drivers, given, (n, width), history=context))


def cells_of(block: Block, scheme: Scheme) -> np.ndarray:
    """int32 (N, T + H): the cells of a block by a scheme that crosses other flags than the one it was made with."""
    n, width = block.cells.shape
    return _cells(scheme, block.periods(np.arange(width)), block.known, n)


def _cells(scheme: Scheme, periods: np.ndarray, known: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    cells = np.broadcast_to(slot_of(Frequency.parse(scheme.frequency), periods), (n, len(periods)))
    for i, name in enumerate(scheme.crossed):
        cells = cells + scheme.slots * 2**i * (known[name] == 1)
    return cells.astype(np.int32)


def slot_of(frequency: Frequency, periods: np.ndarray) -> np.ndarray:
    """int32 (T,): weekday for days; hour, apart for weekends, for hours; 0 otherwise."""
    if frequency.unit == "D":
        return ((periods + 3) % 7).astype(np.int32)
    if frequency.unit == "h":
        weekend = (periods // 24 + 3) % 7 >= 5
        return (periods % 24 + 24 * weekend).astype(np.int32)
    return np.zeros(len(periods), dtype=np.int32)


def _recode(codes: np.ndarray, have: Sequence[str], want: Sequence[str]) -> np.ndarray:
    """Codes of one list of values as codes of another; nan where the other lacks the value."""
    position = {v: i for i, v in enumerate(want)}
    table = np.array([position.get(v, np.nan) for v in have] + [np.nan])
    return table[np.where(np.isfinite(codes), codes, len(have)).astype(np.int64)]


def _out_of_turn(closed: np.ndarray, slots: int) -> np.ndarray:
    """Closed periods in slots of the week that are usually open."""
    out = closed.copy()
    for slot in range(slots):
        columns = slice(slot, None, slots)
        these = closed[:, columns]
        out[:, columns] &= 2 * these.sum(axis=1, keepdims=True) < these.shape[1]
    return out


def _last(on: np.ndarray) -> np.ndarray:
    """int32: column of the last true at or before each column; far back where none."""
    at = np.where(on, np.arange(on.shape[1], dtype=np.int32), np.int32(-10_000))
    return np.maximum.accumulate(at, axis=1)


def _next(on: np.ndarray) -> np.ndarray:
    """int32: column of the first true at or after each column; far ahead where none."""
    at = np.where(on, np.arange(on.shape[1], dtype=np.int32), np.int32(1_000_000))
    return np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]

"""What the kinds of finding look at: the lines' survey, their tally, and the panel that cleaning would make of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cached_property
from threading import Lock
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl

from shelfcast.data.cleaning.absent import Absence
from shelfcast.data.cleaning.rules import Span
from shelfcast.data.cleaning.tally import LINES, WHEN, Survey, Tally
from shelfcast.data.findings import SHOWN, Place
from shelfcast.data.lifecycle import judge
from shelfcast.data.lines import ROW, SalesLines, text_of
from shelfcast.data.long import Long
from shelfcast.errors import shorten
from shelfcast.names import AVAILABLE, DATE, ITEM, KEYS, LOCATION, PRICE, PROMO, SALES, STOCK
from shelfcast.panel import PERIOD, SalesPanel

T = TypeVar("T")
MOST_CELLS: Final = 200_000_000  # places times periods


@dataclass(frozen=True, eq=False, kw_only=True)
class LinesView:
    """The lines, as far as they could be counted.

    Attributes
    ----------
    today : dates after it have not happened yet
    lines, frame : the source, and its lines in canonical types, cut at the cutoff
    survey : what was counted in them
    flaws : of a line, as expressions over `frame`
    """

    today: date
    lines: SalesLines | None = None
    frame: pl.LazyFrame | None = None
    survey: Survey | None = None
    flaws: dict[str, pl.Expr] = field(default_factory=dict)

    def place(self, who: Mapping[str, Any], when: Any, value: str | None) -> Place:
        """A place by its keys."""
        return Place(item=who.get(ITEM), location=who.get(LOCATION), date=when, value=value)

    @cached_property
    def last_day(self) -> date | None:
        """The last day with sales."""
        assert self.survey is not None
        days = self.survey.days.filter(pl.col(SALES) > 0)
        return days.select(pl.col(WHEN).cast(pl.Date).max()).item() if days.height else None

    @cached_property
    def unknown_in_history(self) -> int:
        """Lines without sales up to the last day with sales."""
        assert self.survey is not None
        days = self.survey.days.filter(pl.col(WHEN).cast(pl.Date) <= self.last_day) if self.last_day else self.survey.days
        return int((days[LINES].cast(pl.Int64) - days[SALES].cast(pl.Int64)).sum())

    @cached_property
    def first_lines(self) -> dict[str, list[Place]]:
        """{flaw that occurs: the first few lines that have it}; all in one scan."""
        assert self.lines is not None and self.frame is not None and self.survey is not None
        schema = self.survey.schema
        seen = [name for name in self.flaws if self.survey.flaws.get(name)]
        keys = [c for c in (ROW, *KEYS, DATE) if c in schema]
        frames = []
        for name in seen:
            column = shown_column(name, schema)
            shown = text_of(column) if text_of(column) in schema else column
            query = self.flaws[name]
            if name == "missing_sales" and self.last_day is not None:
                query = query & (pl.col(DATE).cast(pl.Date) <= self.last_day)
            frames.append(self.frame.filter(query).select(*keys, pl.col(shown).cast(pl.String).alias("value")).head(SHOWN))
        answers = pl.collect_all(frames, engine="streaming")
        return {name: [self.at_line(r) for r in answer.iter_rows(named=True)] for name, answer in zip(seen, answers, strict=True)}

    def at_line(self, row: Mapping[str, Any]) -> Place:
        """A place by a line's columns and the `value` to show."""
        assert self.lines is not None
        number = row.get(ROW)
        line = None if number is None or self.lines.first_line is None else number + self.lines.first_line
        return Place(
            line=line,
            row=None if number is None else number + 1,
            item=row.get(ITEM),
            location=row.get(LOCATION),
            date=_day(row.get(DATE)),
            value=None if row["value"] is None else shorten(row["value"], 60),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class View(LinesView):
    """All that a kind may ask for. Without usable lines there is no tally and no panel; without lines only a panel.

    Attributes
    ----------
    horizon : periods that will be forecast; 0 when not said
    tally, span : the lines added up, and which periods they cover wholly
    panel : as cleaning would make it
    absence : what a period without a row means there, and why; None for a panel made by hand
    """

    horizon: int = 0
    tally: Tally | None = None
    span: Span | None = None
    panel: SalesPanel | None = None
    absence: Absence | None = None
    _kept: dict[str, Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @cached_property
    def history(self) -> pl.DataFrame:
        """The panel's rows up to the cutoff."""
        panel = self.panel
        assert panel is not None
        rows = panel.rows
        last = rows[PERIOD].max()
        return rows if int(last) <= panel.cutoff else rows.filter(pl.col(PERIOD) <= panel.cutoff)  # type: ignore[arg-type]

    def prepare(self) -> None:
        """Work out now what several kinds need, so that kinds which run at the same time find it there."""
        if self.survey is not None:
            _ = self.first_lines
        if self.panel is not None:
            selling = self.long.selling
            _ = self.judged, selling.rows, selling.begins, self.long.known, self.open_long, self.place_sold, self.price_of_series

    def once(self, name: str, work: Callable[["View"], T]) -> T:
        """What `work` finds, worked out for the first kind that asks and kept for the others."""
        with self._lock:
            if name not in self._kept:
                self._kept[name] = work(self)
            return self._kept[name]

    @cached_property
    def open_history(self) -> pl.DataFrame:
        """History without the periods in which the place is said to be closed."""
        panel = self.panel
        assert panel is not None
        if panel.closed_when is None or panel.closed_when not in self.history.columns:
            return self.history
        return self.history.filter((pl.col(panel.closed_when).cast(pl.Float64) != 0).fill_null(True))

    @cached_property
    def long(self) -> Long:
        """History as arrays."""
        assert self.panel is not None
        return Long.of(self.history, len(self.panel))

    @cached_property
    def open_long(self) -> Long:
        """Open history as arrays."""
        assert self.panel is not None
        return self.long if self.open_history is self.history else Long.of(self.open_history, len(self.panel))

    @cached_property
    def judged(self) -> pl.DataFrame:
        """Which series are still sold, as `lifecycle.judge` says."""
        assert self.panel is not None
        return judge(self.panel)

    @cached_property
    def location_codes(self) -> np.ndarray:
        """int64 (N,): which place a series belongs to, 0 to the number of places - 1."""
        assert self.panel is not None
        return self.panel.series[LOCATION].rank("dense").to_numpy().astype(np.int64) - 1

    @cached_property
    def location_names(self) -> pl.Series:
        """Names of the places, by code."""
        assert self.panel is not None
        return self.panel.series[LOCATION].unique().sort()

    @cached_property
    def place_sold(self) -> np.ndarray:
        """bool (places, T): the place sold something in the period; T from the panel's first period to its cutoff.

        Without rows where it would be too large (hours of many places over decades): kinds that need it then say nothing.
        """
        assert self.panel is not None
        first, last = self.first_period, self.panel.cutoff
        width = last - first + 1
        if width * self.location_names.len() > MOST_CELLS:
            return np.zeros((0, width), dtype=bool)
        selling = self.long.selling
        out = np.zeros(self.location_names.len() * width, dtype=bool)
        out[self.location_codes[selling.series] * width + (selling.period - first)] = True
        return out.reshape(-1, width)

    @cached_property
    def first_period(self) -> int:
        """The panel's first period."""
        assert self.panel is not None
        return int(self.panel.series["start"].min())  # type: ignore[arg-type]

    @cached_property
    def price_of_series(self) -> np.ndarray | None:
        """float64 (N,): mean price of each series, nan where none is known; None without prices."""
        if self.panel is None or PRICE not in self.history.columns:
            return None
        prices = self.history[PRICE].cast(pl.Float64).fill_null(np.nan).to_numpy()
        have = np.isfinite(prices) & (prices > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.long.total(np.where(have, prices, 0.0)) / self.long.total(have)

    def money(self, series: np.ndarray, units: np.ndarray) -> float | None:
        """Money that units of some series are worth; None without prices."""
        prices = self.price_of_series
        return None if prices is None else float(np.nansum(prices[series] * units))

    def at_series(self, which: np.ndarray, values: Any = None) -> list[Place]:
        """The first few of some series."""
        assert self.panel is not None
        out = []
        for i, code in enumerate(which[:SHOWN]):
            who = self.panel.series.row(int(code), named=True)
            out.append(Place(item=who[ITEM], location=who[LOCATION], value=None if values is None else str(values[i])))
        return out

    def at_periods(self, series: np.ndarray, periods: np.ndarray, values: Any = None) -> list[Place]:
        """The first few of some series and periods."""
        assert self.panel is not None
        out = []
        for i in range(min(SHOWN, len(series))):
            who = self.panel.series.row(int(series[i]), named=True)
            when = self.panel.frequency.date(int(periods[i]))
            out.append(Place(item=who[ITEM], location=who[LOCATION], date=when, value=None if values is None else str(values[i])))
        return out


def _day(when: Any) -> Any:
    """A midnight is a day."""
    return when.date() if isinstance(when, datetime) and when.time() == time(0) else when


def shown_column(flaw: str, schema: Mapping[str, pl.DataType]) -> str:
    """The column whose value explains a flaw."""
    for word, column in (
        ("date", DATE),
        ("time", DATE),
        ("hour", DATE),
        ("item", ITEM),
        ("location", LOCATION),
        ("price", PRICE),
        ("promo", PROMO),
        ("stock", STOCK),
        ("available", AVAILABLE),
    ):
        if word in flaw and column in schema and flaw != "sales_without_price":
            return column
    return SALES

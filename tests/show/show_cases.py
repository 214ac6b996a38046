"""Panels, forecasts and a parsed page for the tests of the report."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np
import polars as pl

from shelfcast.forecast import Forecast
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel
from shelfcast.show.content import About

STARTS = {"D": (date(2022, 1, 3), 800), "W": (date(2019, 1, 7), 200), "M": (date(2017, 1, 1), 60)}


def make_panel(freq: str = "D", *, items: list[Any] | None = None, locations: list[Any] | None = None, seed: int = 1,
               extra: dict[str, Any] | None = None, **rest: Any) -> SalesPanel:
    """A panel of items x locations with a rhythm, its columns `extra` (name: values or function of the row count)."""
    items, locations = items or ["tea", "rye"], locations or ["north", "south"]
    start, count = STARTS[freq]
    ahead = {"D": timedelta(days=1), "W": timedelta(days=7)}.get(freq)
    dates = [start + ahead * i if ahead else date(start.year + i // 12, i % 12 + 1, 1) for i in range(count)]
    rng = np.random.default_rng(seed)
    n = len(items) * len(locations)
    level = 20 + 10 * np.arange(n)[:, None]
    sales = rng.poisson(level * (1 + 0.3 * np.sin(np.arange(count) / 7))[None, :]).astype(float)
    pairs = [(i, p) for i in items for p in locations]
    table = pl.DataFrame({"item": [i for i, _ in pairs for _ in dates], "location": [p for _, p in pairs for _ in dates],
                          "date": dates * n, "sales": sales.reshape(-1)})
    return SalesPanel.from_frame(table.with_columns(**(extra or {})), freq=freq, **rest)


def make_forecast(panel: SalesPanel, horizon: int = 6, *, levels: tuple[float, ...] = LEVELS) -> Forecast:
    """The mean of the last season, with a spread of a fifth."""
    recent = np.nan_to_num(np.nanmean(panel.dense(context=28).sales, axis=1))
    mean = np.repeat(recent[:, None], horizon, axis=1) * (1 + 0.05 * np.arange(horizon))
    factor = 1 + 0.4 * (np.array(levels) - 0.5)
    return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, levels, mean[:, :, None] * factor, mean)


ABOUT = About(title="A test", source="sales.csv", model="mean", why="It is simple.", manifest=(("seed", "0"),))


@dataclass
class Page(HTMLParser):
    """What a page holds: texts by tag and class, tables by caption, attributes."""

    source: str
    texts: list[tuple[str, str, str]] = field(default_factory=list)  # (tag, class, text)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._stack: list[tuple[str, str]] = []
        self._rows: list[list[str]] | None = None
        self._caption = ""
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "link", "input", "br", "img"):
            self._stack.append((tag, dict(attrs).get("class") or ""))
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._stack and self._stack.pop()[0] != tag:
            pass
        if tag == "table" and self._rows is not None:
            self.tables[self._caption] = [[cell.strip() for cell in row] for row in self._rows]
            self._rows = None

    def handle_data(self, data: str) -> None:
        if not self._stack:
            return
        tag, kind = self._stack[-1]
        self.texts.append((tag, kind, data))
        if tag == "caption":
            self._caption += data.strip()
        elif self._rows is not None and self._rows and self._rows[-1] and tag not in ("style", "script"):
            self._rows[-1][-1] += data

    def all_text(self) -> str:
        """Everything that a reader sees."""
        return " ".join(text for tag, _, text in self.texts if tag not in ("style", "script"))


def number(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace(",", "").replace("−", "-"))

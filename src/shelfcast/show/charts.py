"""Charts as SVG texts, from arrays. No library, no network, no script: a chart is complete as it stands.

Lines live in an inner drawing that stretches with the page, texts in the outer one in percentages, so that a chart fills a
phone or a desk without its letters shrinking. Colours come from the page's style sheet by class.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import polars as pl

from shelfcast.names import DATE, SALES, quantile_column
from shelfcast.periods import Frequency
from shelfcast.show import numerals
from shelfcast.show.content import Fan

WIDE: Final = 1000  # inner units across; the page stretches them
TOP, BOTTOM = 18, 34  # pixels kept above the plot for the highest label, below it for dates and marks
FAN_LEVELS: Final = (0.01, 0.1, 0.3)  # lower ends of the bands drawn, where the forecast has them
LEAST_RANGE: Final = 1e-9  # units; an axis cannot be divided finer than its labels are rounded


def bands(levels: Sequence[float]) -> list[tuple[float, float]]:
    """Symmetric pairs of levels to draw, widest first: 98 %, 80 % and 40 %, or as near as the forecast has."""
    pairs = {round(q, 6): (q, p) for q in levels for p in levels if q < 0.5 and abs(q + p - 1) < 1e-9}
    if not pairs:
        return []
    wanted = [min(pairs.values(), key=lambda pair: abs(pair[0] - low)) for low in FAN_LEVELS]
    return list(dict.fromkeys(wanted))


def fan_chart(fan: Fan, frequency: Frequency, *, identity: str, unit: str, height: int = 320) -> str:
    """History, last year's ghost and the forecast's fan on one time axis.

    Parameters
    ----------
    identity : unique on the page; names the title for screen readers, and the table that holds the same numbers
    unit : what is counted, plural
    height : pixels
    """
    history, forecast = fan.history, fan.forecast
    stamps = frequency_numbers(frequency, [*history[DATE], *forecast[DATE]])
    first, last = stamps[0] - 0.5, stamps[-1] + 0.5
    x = {number: WIDE * (number - first) / (last - first) for number in range(stamps[0], stamps[-1] + 1)}
    drawn = bands([float(c[1:]) for c in forecast.columns if c.startswith("q")])
    outer = [quantile_column(q) for pair in drawn[:1] for q in pair]
    values = [_array(history, SALES), _array(forecast, "mean"), *(_array(forecast, c) for c in outer)]
    ticks = nice_ticks(*_extent(values))
    tall = height - TOP - BOTTOM

    def y(value: float) -> float:
        return tall * (ticks[-1] - value) / (ticks[-1] - ticks[0])

    past, future = stamps[: history.height], stamps[history.height:]
    cut = (x[past[-1]] + x[future[0]]) / 2 if past else 0.0
    inner = [_blocks(history, "closed", past, x, tall)]
    inner.append(f'<rect class="ahead" x="{cut:.1f}" y="0" width="{WIDE - cut:.1f}" height="{tall}"/>')
    for i, (low, high) in enumerate(drawn):
        edge = [_array(forecast, quantile_column(q)) for q in (low, high)]
        inner.append(f'<path class="band b{i}" d="{_area([x[n] for n in future], edge[0], edge[1], y)}"/>')
    if fan.ghost.height:
        ghost = frequency_numbers(frequency, list(fan.ghost[DATE]))
        inner.append(f'<path class="ghost" d="{_line([x[n] for n in ghost], _array(fan.ghost, SALES), y)}"/>')
    inner.append(f'<path class="sold" d="{_line([x[n] for n in past], values[0], y)}"/>')
    inner.append(f'<path class="mean" d="{_line([x[n] for n in future], values[1], y)}"/>')
    inner.append(f'<line class="cut" x1="{cut:.1f}" x2="{cut:.1f}" y1="0" y2="{tall}"/>')
    unit_label = " " + _text(unit)
    grid = [f'<line class="grid{" zero" if t == 0 else ""}" x1="0" x2="100%" y1="{TOP + y(t):.1f}" y2="{TOP + y(t):.1f}"/>'
            f'<text class="tick" x="0" y="{TOP + y(t) - 4:.1f}">{numerals.axis(t)}{unit_label if t == ticks[-1] else ""}</text>'
            for t in ticks]
    dates = [f'<text class="date{" minor" if i % 2 else ""}" x="{x[n] / 10:.2f}%" y="{height - 6}">{label}</text>'
             for i, (n, label) in enumerate(date_ticks(frequency, stamps[0], stamps[-1]))]
    marks = [_strip(history, mark, past, x, height) for mark in ("promo", "sold_out")]
    total = numerals.quantity(float(np.nansum(values[1])))
    text = (f"Sales up to {numerals.day(history[DATE][-1], frequency) if history.height else 'the cutoff'}, then the forecast to "
            f"{numerals.day(forecast[DATE][-1], frequency)}: {total} {unit} expected in all. The table below holds the numbers.")
    return (f'{_open("fan", identity, height, described=True)} data-table="{identity}-table" data-top="{TOP}" data-tall="{tall}">'
            f'<title id="{identity}-title">{_text(fan.name)}</title><desc id="{identity}-text">{_text(text)}</desc>'
            f'{"".join(grid)}<svg x="0" y="{TOP}" width="100%" height="{tall}" viewBox="0 0 {WIDE} {tall}" '
            f'preserveAspectRatio="none">{"".join(inner)}</svg>{"".join(marks)}{"".join(dates)}</svg>')


def overview_chart(fan: Fan, frequency: Frequency, *, identity: str, height: int = 56) -> str:
    """The whole history in one thin line, with the part that the chart below shows marked."""
    numbers = frequency_numbers(frequency, list(fan.overview[DATE]))
    if len(numbers) < 3:
        return ""
    end = frequency_numbers(frequency, [fan.forecast[DATE][-1]])[0]
    first = numbers[0]
    scale = WIDE / (end - first)
    sales = _array(fan.overview, SALES)
    low, high = _extent([sales])
    tall = height - 16

    def y(value: float) -> float:
        return tall * (high - value) / ((high - low) or 1)

    begin = (frequency_numbers(frequency, [fan.history[DATE][0]])[0] - first) * scale
    years = [(n, label) for n, label in _year_ticks(frequency, first, end)]
    labels = "".join(f'<text class="date{" minor" if i % 2 and len(years) > 5 else ""}" x="{(n - first) * scale / 10:.2f}%" '
                     f'y="{height - 2}">{label}</text>' for i, (n, label) in enumerate(years))
    whole = f"{numerals.day(fan.overview[DATE][0], frequency)} to {numerals.day(fan.forecast[DATE][-1], frequency)}"
    return (f'{_open("overview", f"{identity}-whole", height)}>'
            f'<title id="{identity}-whole-title">The whole history of {_text(fan.name)}, {whole}</title>'
            f'<svg x="0" y="0" width="100%" height="{tall}" viewBox="0 0 {WIDE} {tall}" preserveAspectRatio="none">'
            f'<rect class="window" x="{begin:.1f}" y="0" width="{WIDE - begin:.1f}" height="{tall}"/>'
            f'<path class="sold" d="{_line([(n - first) * scale for n in numbers], sales, y)}"/></svg>{labels}</svg>')


def range_chart(low: float, middle: float, high: float, *, marks: Sequence[tuple[str, float]], identity: str, title: str) -> str:
    """The expected number on a line with its range, and earlier stretches as ticks beside it."""
    values = [low, middle, high, *(v for _, v in marks)]
    start, end = min(values), max(values)
    pad = (end - start) * 0.06 or abs(end) * 0.06 or 1.0
    start, end = start - pad, end + pad

    def x(value: float) -> str:
        return f"{100 * (value - start) / (end - start):.2f}%"

    width = f"{100 * (high - low) / (end - start):.2f}%"
    ticks = "".join(f'<line class="then t{i}" x1="{x(v)}" x2="{x(v)}" y1="2" y2="30">'
                    f'<title>{_text(label)}: {numerals.quantity(v)}</title></line>' for i, (label, v) in enumerate(marks))
    return (f'{_open("range", identity, 32)}><title id="{identity}-title">{_text(title)}</title>'
            f'<line class="grid" x1="0" x2="100%" y1="16" y2="16"/>'
            f'<rect class="band b1" x="{x(low)}" y="9" width="{width}" height="14" rx="3"/>{ticks}'
            f'<circle class="dot" cx="{x(middle)}" cy="16" r="6"/></svg>')


def pair_bar(ours: float, theirs: float, *, most: float, identity: str, title: str) -> str:
    """Two bars, ours over the naive forecast's, on a scale from 0 to `most` that all rows of a table share."""
    def width(value: float) -> str:
        return f"{100 * min(max(value, 0.0) / most, 1.0) if most > 0 and math.isfinite(value) else 0:.2f}%"

    return (f'{_open("pair-bar", identity, 18)}><title id="{identity}-title">{_text(title)}</title>'
            f'<rect class="ours" x="0" y="1" width="{width(ours)}" height="8" rx="2"/>'
            f'<rect class="naive" x="0" y="11" width="{width(theirs)}" height="5" rx="2"/></svg>')


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Rising round numbers that enclose low and high: steps of 1, 2, 2.5 or 5 times a power of ten.

    >>> nice_ticks(0.0, 9.3)
    [0.0, 2.5, 5.0, 7.5, 10.0]
    """
    if high <= low:
        high = low + 1.0
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(start, stop + 1)]


def frequency_numbers(frequency: Frequency, dates: Sequence[object]) -> list[int]:
    """Period numbers of dates."""
    if not dates:
        return []
    return pl.DataFrame({DATE: dates}).select(frequency.number_of(pl.col(DATE)))[DATE].to_list()


def date_ticks(frequency: Frequency, first: int, last: int, most: int = 10) -> list[tuple[int, str]]:
    """(period number, label) of round dates along the axis: days, months or years, whichever fits."""
    numbers = np.arange(first, last + 1)
    dates = frequency.dates(numbers).to_list()
    if frequency.unit == "Y" or (frequency.unit == "Q" and len(dates) > 40):
        every = max(1, math.ceil(len({d.year for d in dates}) / most))
        years = [(int(n), str(d.year)) for n, d in zip(numbers, dates, strict=True) if (d.month - 1) // 3 == 0]
        return _inside(years[::every], first, last)
    starts = [i for i, d in enumerate(dates) if i == 0 or (d.year, d.month) != (dates[i - 1].year, dates[i - 1].month)]
    if frequency.unit in "hD" and len(starts) <= 3:
        gap = 7 * (24 if frequency.unit == "h" else 1)
        mondays = [i for i, d in enumerate(dates) if d.weekday() == 0 and (frequency.unit == "D" or d.hour == 0)]
        return _inside([(int(numbers[i]), f"{dates[i].day} {dates[i]:%b}") for i in mondays[:: max(1, len(dates) // (gap * most))]],
                       first, last)
    starts = [i for i in starts if i > 0 or dates[0].day <= 7]
    step = next((s for s in (1, 2, 3, 6, 12, 24, 60) if len(starts) / s <= most), 120)
    kept = [i for i in starts if (dates[i].year * 12 + dates[i].month - 1) % step == 0]
    labels, year = [], None
    for i in kept:
        d = dates[i]
        labels.append((int(numbers[i]), f"{d:%b %Y}" if d.year != year and step < 12 else str(d.year) if step >= 12 else f"{d:%b}"))
        year = d.year
    return _inside(labels, first, last)


def _inside(ticks: list[tuple[int, str]], first: int, last: int) -> list[tuple[int, str]]:
    """Ticks whose centred label does not stick out of the chart."""
    edge = 0.03 * (last - first)
    return [(n, label) for n, label in ticks if first + edge <= n <= last - edge]


def _year_ticks(frequency: Frequency, first: int, last: int) -> list[tuple[int, str]]:
    numbers = np.arange(first, last + 1)
    dates = frequency.dates(numbers).to_list()
    found = [(int(n), str(d.year)) for n, d, before in zip(numbers[1:], dates[1:], dates, strict=False) if d.year != before.year]
    return _inside(found, first, last)


def _open(kind: str, identity: str, height: int, *, described: bool = False) -> str:
    """The start of a drawing, named for screen readers by its title; without the closing bracket."""
    labels = f"{identity}-title {identity}-text" if described else f"{identity}-title"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="chart {kind}" role="img" aria-labelledby="{labels}" width="100%" '
            f'height="{height}"')


def _text(text: str) -> str:
    return escape(numerals.plain(text))


def _array(frame: pl.DataFrame, column: str) -> np.ndarray:
    return frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _extent(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """Zero (or the least value, if negative) to the largest value."""
    joined = np.concatenate([a[np.isfinite(a)] for a in arrays])
    if not len(joined):
        return 0.0, 1.0
    low, high = min(0.0, float(joined.min())), float(joined.max())
    return low, high if high > low + LEAST_RANGE else low + 1.0


def _line(xs: Sequence[float], values: np.ndarray, y: object) -> str:
    """Path through the finite values; a gap lifts the pen, a lone point is a short dash."""
    parts, down = [], False
    finite = np.isfinite(values)
    for i, (px, value) in enumerate(zip(xs, values, strict=True)):
        if not finite[i]:
            down = False
            continue
        parts.append(f"{'L' if down else 'M'}{px:.1f} {y(value):.1f}")  # type: ignore[operator]
        if not down and (i + 1 == len(values) or not finite[i + 1]):
            parts.append("h1")
        down = True
    return "".join(parts)


def _area(xs: Sequence[float], low: np.ndarray, high: np.ndarray, y: object) -> str:
    up = [f"{px:.1f} {y(v):.1f}" for px, v in zip(xs, high, strict=True)]  # type: ignore[operator]
    back = [f"{px:.1f} {y(v):.1f}" for px, v in zip(reversed(xs), low[::-1], strict=True)]  # type: ignore[operator]
    if len(xs) == 1:  # one period: a bar as wide as a fortieth of the chart
        half = WIDE / 80
        return (f"M{xs[0] - half:.1f} {y(high[0]):.1f}h{2 * half:.1f}V{y(low[0]):.1f}"  # type: ignore[operator]
                f"h{-2 * half:.1f}Z")
    return f"M{'L'.join(up)}L{'L'.join(back)}Z"


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) positions of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _blocks(history: pl.DataFrame, mark: str, numbers: list[int], x: dict[int, float], tall: int) -> str:
    """Vertical bands where a mark is set."""
    if mark not in history.columns or not history[mark].any():
        return ""
    half = (x[numbers[1]] - x[numbers[0]]) / 2 if len(numbers) > 1 else 5.0
    spans = [(x[numbers[a]] - half, x[numbers[b]] + half) for a, b in _runs(history[mark].fill_null(False).to_numpy())]
    return "".join(f'<rect class="{mark}" x="{a:.1f}" y="0" width="{b - a:.1f}" height="{tall}"/>' for a, b in spans)


def _strip(history: pl.DataFrame, mark: str, numbers: list[int], x: dict[int, float], height: int) -> str:
    """A thin line of dashes under the plot where a mark is set."""
    if mark not in history.columns or not history[mark].any():
        return ""
    half = (x[numbers[1]] - x[numbers[0]]) / 20 if len(numbers) > 1 else 0.5
    top = height - BOTTOM + (3 if mark == "promo" else 9)
    return "".join(f'<rect class="{mark}" x="{x[numbers[a]] / 10 - half:.2f}%" y="{top}" '
                   f'width="{(x[numbers[b]] - x[numbers[a]]) / 10 + 2 * half:.2f}%" height="4"/>'
                   for a, b in _runs(history[mark].fill_null(False).to_numpy()))

"""Charts of a comparison as SVG texts: intervals on a shared scale, where one model wins, and what quantiles hold.

Lines and areas live in an inner drawing that stretches with the page, texts in the outer one in percentages; colours come from
the page's style sheet by class. A chart is complete as it stands; the table beside it holds the same numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from shelfcast.show import numerals
from shelfcast.show.charts import WIDE, nice_ticks

WIDEST: Final = 1.0  # skills beyond +-100 % are drawn at the edge: a model twice as bad needs no finer picture
RATIO_BINS: Final = 41  # of log2 loss ratios from a quarter to four times
RATIO_EDGE: Final = 2.0
_TOP, _BOTTOM = 14, 30  # pixels above and below the plot


@dataclass(frozen=True)
class Whisker:
    """A number with its interval: `low` and `high` are None where there is none."""

    label: str
    value: float
    low: float | None
    high: float | None

    @property
    def sense(self) -> str:
        """`up` where the interval lies above zero, `down` below, else `level`."""
        if self.low is None or self.high is None:
            return "level"
        return "up" if self.low > 0 else "down" if self.high < 0 else "level"

    def said(self, how: str = "share") -> str:
        """The numbers in words."""
        def write(v: float) -> str:
            return numerals.percent(v, signed=True) if how == "share" else numerals.quantity(v, 4)

        text = write(self.value)
        return text if self.low is None or self.high is None else f"{text}, interval {write(self.low)} to {write(self.high)}"


def shared_scale(whiskers: Sequence[Whisker], *, widest: float = WIDEST) -> tuple[float, float]:
    """(low, high) of a scale that holds zero and the intervals, up to `widest` on either side."""
    values = [v for w in whiskers for v in (w.value, w.low, w.high) if v is not None and math.isfinite(v)]
    low, high = max(min([0.0, *values]), -widest), min(max([0.0, *values]), widest)
    pad = (high - low) * 0.05 or 0.01
    return low - pad, high + pad


def interval_bar(whisker: Whisker, scale: tuple[float, float], *, identity: str) -> str:
    """One row of a forest plot: the interval as a line, the estimate as a dot, zero as a tick."""
    def x(value: float) -> float:
        return 100 * (min(max(value, scale[0]), scale[1]) - scale[0]) / (scale[1] - scale[0])

    zero = f'<line class="nought" x1="{x(0):.2f}%" x2="{x(0):.2f}%" y1="0" y2="18"/>'
    line = "" if whisker.low is None or whisker.high is None else (
        f'<line class="whisker {whisker.sense}" x1="{x(whisker.low):.2f}%" x2="{x(whisker.high):.2f}%" y1="9" y2="9"/>')
    dot = f'<circle class="dot {whisker.sense}" cx="{x(whisker.value):.2f}%" cy="9" r="4"/>' if math.isfinite(whisker.value) else ""
    return f'{_open("interval", identity, 18)}{_title(identity, f"{whisker.label}: {whisker.said()}")}{zero}{line}{dot}</svg>'


def whisker_chart(whiskers: Sequence[Whisker], *, identity: str, title: str, height: int = 220, widest: float = WIDEST) -> str:
    """Numbers with intervals side by side, in their order: along the horizon, or window by window."""
    low, high = shared_scale(whiskers, widest=widest)
    ticks = nice_ticks(low, high)
    tall = height - _TOP - _BOTTOM

    def y(value: float) -> float:
        return _TOP + tall * (ticks[-1] - min(max(value, ticks[0]), ticks[-1])) / (ticks[-1] - ticks[0])

    marks = []
    for i, w in enumerate(whiskers):
        x = _place(i, len(whiskers))
        if w.low is not None and w.high is not None:
            marks.append(f'<line class="whisker {w.sense}" x1="{x}" x2="{x}" y1="{y(w.low):.1f}" y2="{y(w.high):.1f}">'
                         f'<title>{_text(w.label)}: {_text(w.said())}</title></line>')
        if math.isfinite(w.value):
            marks.append(f'<circle class="dot {w.sense}" cx="{x}" cy="{y(w.value):.1f}" r="4.5"/>')
    return (f'{_open("whiskers", identity, height)}{_title(identity, title)}{_grid(ticks, y)}{"".join(marks)}'
            f'{_labels([w.label for w in whiskers], height)}</svg>')


def ratio_histogram(ratios: np.ndarray, classes: Sequence[str], names: Sequence[str], *, identity: str, title: str,
                    height: int = 240) -> tuple[str, list[list[int]]]:
    """How many series each model wins, and by how much: counts of log2(loss a / loss b), stacked by class.

    Parameters
    ----------
    ratios : (N,) log2 ratios; beyond a quarter or four times they are counted at the edge
    classes : (N,) names; `names`: their order

    Returns
    -------
    the drawing, and its counts by class and bin
    """
    edges = np.linspace(-RATIO_EDGE, RATIO_EDGE, RATIO_BINS + 1)
    bins = np.clip(np.searchsorted(edges, np.clip(ratios, -RATIO_EDGE, RATIO_EDGE), side="right") - 1, 0, RATIO_BINS - 1)
    labels = np.asarray(classes)
    counts = [np.bincount(bins[labels == name], minlength=RATIO_BINS) for name in names]
    tall = height - _TOP - _BOTTOM
    ticks = nice_ticks(0.0, float(max(1, np.sum(counts, axis=0).max())))
    wide = WIDE / RATIO_BINS
    below = np.zeros(RATIO_BINS)
    bars = []
    for c, count in enumerate(counts):
        for b in np.flatnonzero(count):
            size = tall * count[b] / ticks[-1]
            bars.append(f'<rect class="k{c}" x="{b * wide + 1:.1f}" y="{tall - below[b] - size:.1f}" width="{wide - 2:.1f}" '
                        f'height="{size:.2f}"/>')
            below[b] += size
    named = [("×¼ or less", 1), ("×½", 25), ("alike", 50), ("×2", 75), ("×4 or more", 99)]
    anchors = {1: "start", 99: "end"}
    marks = "".join(f'<text class="end-{anchors[at]}" x="{at}%" y="{height - 8}">{said}</text>' if at in anchors else
                    f'<text class="date" x="{at}%" y="{height - 8}">{said}</text>' for said, at in named)
    drawn = (f'{_open("ratios", identity, height)}{_title(identity, title)}'
             f'{_grid(ticks, lambda v: _TOP + tall * (1 - v / ticks[-1]), share=False)}'
             f'<svg x="0" y="{_TOP}" width="100%" height="{tall}" viewBox="0 0 {WIDE} {tall}" preserveAspectRatio="none">'
             f'{"".join(bars)}<line class="cut" x1="{WIDE / 2}" x2="{WIDE / 2}" y1="0" y2="{tall}"/></svg>{marks}</svg>')
    return drawn, [[int(v) for v in count] for count in counts]


def reliability_chart(levels: Sequence[float], shares: Sequence[tuple[np.ndarray, np.ndarray]], *, identity: str, title: str,
                      height: int = 240) -> str:
    """How far each level's share of truths lies from the level, for two models: bars from "below" to "below or at".

    A bar that holds zero is calibrated: where sales are whole numbers no quantile can do better.

    Parameters
    ----------
    levels : (Q,); shares: for each model (below, covered), each (Q,)
    """
    at = np.asarray(levels)
    apart = [(below - at, covered - at) for below, covered in shares]
    ticks = nice_ticks(min(0.0, *(float(b.min()) for b, _ in apart)), max(0.0, *(float(c.max()) for _, c in apart)))
    tall = height - _TOP - _BOTTOM

    def y(value: float) -> float:
        return _TOP + tall * (ticks[-1] - value) / (ticks[-1] - ticks[0])

    slot = 100 / len(levels)
    bars = []
    for m, (low, high) in enumerate(apart):
        for i in range(len(levels)):
            top, bottom = y(float(high[i])), y(float(low[i]))
            bars.append(f'<rect class="{"ours" if m == 0 else "naive"}" x="{slot * (i + 0.22 + 0.32 * m):.2f}%" y="{top - 1:.1f}" '
                        f'width="{0.24 * slot:.2f}%" height="{bottom - top + 2:.1f}"/>')
    return (f'{_open("reliability", identity, height)}{_title(identity, title)}{_grid(ticks, y)}{"".join(bars)}'
            f'{_labels([f"{q:g}" for q in levels], height)}</svg>')


def _place(i: int, count: int) -> str:
    return f"{100 * (i + 0.5) / count:.2f}%"


def _labels(labels: Sequence[str], height: int) -> str:
    """Under the plot; where they are many only some are written, and on a phone every other of those."""
    every = max(1, math.ceil(len(labels) / 14))
    return "".join(f'<text class="date{" minor" if (i // every) % 2 else ""}" x="{_place(i, len(labels))}" y="{height - 8}">'
                   f'{_text(label)}</text>' for i, label in enumerate(labels) if i % every == 0)


def _grid(ticks: Sequence[float], y: object, *, share: bool = True) -> str:
    return "".join(f'<line class="grid{" zero" if t == 0 else ""}" x1="0" x2="100%" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'  # type: ignore[operator]
                   f'<text class="tick" x="0" y="{y(t) - 3:.1f}">{_tick(t, share)}</text>' for t in ticks)  # type: ignore[operator]


def _tick(value: float, share: bool) -> str:
    return f"{numerals.axis(round(100 * value, 6))} %" if share else numerals.axis(value)


def _open(kind: str, identity: str, height: int) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="chart {kind}" role="img" aria-labelledby="{identity}-title" '
            f'width="100%" height="{height}">')


def _title(identity: str, text: str) -> str:
    return f'<title id="{identity}-title">{_text(text)}</title>'


def _text(text: str) -> str:
    return escape(numerals.plain(text))

"""Charts of a backtest as SVG texts: one line a model, over windows, steps or levels.

Lines live in an inner drawing that stretches with the page, texts in the outer one in percentages; colours come from the page's
style sheet by class. The table beside a chart holds the same numbers.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

from shelfcast.show import numerals
from shelfcast.show.charts import WIDE, nice_ticks

COLOURS: Final = 6  # further models share them
_TOP, _BOTTOM = 16, 30  # pixels above and below the plot
_MOST_LABELS: Final = 14


def line_chart(lines: Mapping[str, np.ndarray], labels: Sequence[str], *, identity: str, title: str, from_zero: bool = True,
               share: bool = False, height: int = 240) -> str:
    """One line a model over the same K places; a value that is not known lifts the pen.

    Parameters
    ----------
    lines : {model: (K,)}
    labels : (K,), under the plot
    from_zero : the axis holds zero
    share : values are shares, labelled as percentages
    """
    values = np.concatenate([np.asarray(v, dtype=float) for v in lines.values()])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    ticks = nice_ticks(min(low, 0.0) if from_zero else low, max(high, 0.0) if from_zero else high)
    tall = height - _TOP - _BOTTOM

    def y(value: float) -> float:
        return tall * (ticks[-1] - value) / (ticks[-1] - ticks[0])

    xs = [WIDE * (i + 0.5) / len(labels) for i in range(len(labels))]
    drawn, dots = [], []
    for m, (name, line) in enumerate(lines.items()):
        path, down = [], False
        for i, value in enumerate(line):
            if not np.isfinite(value):
                down = False
                continue
            path.append(f"{'L' if down else 'M'}{xs[i]:.1f} {y(value):.1f}")
            down = True
            if len(labels) <= _MOST_LABELS:
                dots.append(f'<circle class="k{m % COLOURS}" cx="{xs[i] / WIDE:.2%}" cy="{_TOP + y(value):.1f}" r="4"><title>'
                            f'{_text(name)}, {_text(labels[i])}: {_said(value, share)}</title></circle>')
        drawn.append(f'<path class="line l{m % COLOURS}" d="{"".join(path)}"/>')
    grid = "".join(f'<line class="grid{" zero" if t == 0 else ""}" x1="0" x2="100%" y1="{_TOP + y(t):.1f}" y2="{_TOP + y(t):.1f}"/>'
                   f'<text class="tick" x="0" y="{_TOP + y(t) - 3:.1f}">{_tick(t, share)}</text>' for t in ticks)
    every = -(-len(labels) // _MOST_LABELS)
    under = "".join(f'<text class="date{" minor" if (i // every) % 2 else ""}" x="{xs[i] / WIDE:.2%}" y="{height - 8}">'
                    f'{_text(labels[i])}</text>' for i in range(0, len(labels), every))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="chart lines" role="img" aria-labelledby="{identity}-title" '
            f'width="100%" height="{height}"><title id="{identity}-title">{_text(title)}</title>{grid}'
            f'<svg x="0" y="{_TOP}" width="100%" height="{tall}" viewBox="0 0 {WIDE} {tall}" preserveAspectRatio="none">'
            f'{"".join(drawn)}</svg>{"".join(dots)}{under}</svg>')


def bar(value: float | None, most: float, *, colour: int, title: str) -> str:
    """One bar on a scale from 0 to `most` that all rows of a table share."""
    width = 0.0 if value is None or not np.isfinite(value) or most <= 0 else min(max(value / most, 0.0), 1.0)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="chart one-bar" role="img" aria-label="{_text(title)}" '
            f'width="100%" height="12"><rect class="k{colour % COLOURS}" x="0" y="2" width="{width:.2%}" height="8" rx="2"/></svg>')


def _said(value: float, share: bool) -> str:
    return numerals.percent(value, signed=True) if share else numerals.quantity(value, 4)


def _tick(value: float, share: bool) -> str:
    return f"{numerals.axis(round(100 * value, 6))} %" if share else numerals.axis(value)


def _text(text: str) -> str:
    return escape(numerals.plain(text))

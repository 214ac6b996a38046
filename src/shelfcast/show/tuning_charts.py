"""The chart of a tuning as an SVG text: each trial a mark, by when it ended and how it did beside the defaults.

Lines live in an inner drawing that stretches with the page, texts and marks in the outer one in percentages; colours come from
the page's style sheet by class. The table on the page holds the same numbers.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np

from shelfcast.evaluate.study import Tried
from shelfcast.show import numerals
from shelfcast.show.charts import WIDE, nice_ticks

WORST: Final = 1.5
"""Times the default's loss from which on a trial is drawn at the edge: how bad a bad one is needs no picture."""
_TOP, _BOTTOM = 16, 34  # pixels above and below the plot
_STATES: Final = {"scored": "k0", "pruned": "k4", "failed": "k3", "unfinished": "k4"}


def trials_chart(trials: Sequence[Tried], *, identity: str, title: str, height: int = 280) -> str:
    """Trials through time, the line of the best so far, and 1, where the defaults are.

    Parameters
    ----------
    trials : in the order of trying; those without a ratio have no place
    """
    shown = [t for t in trials if t.ratio is not None and np.isfinite(t.ratio)]
    if not shown:
        return ""
    ratios = [min(t.ratio or 0.0, WORST) for t in shown]
    ticks = nice_ticks(min(ratios), max([1.0, *ratios]))
    end = max(t.at for t in shown) * 1.02 or 1.0
    tall = height - _TOP - _BOTTOM

    def y(ratio: float) -> float:
        return tall * (ticks[-1] - min(ratio, ticks[-1])) / ((ticks[-1] - ticks[0]) or 1.0)

    path, best = "", np.inf
    for t in (t for t in shown if t.state == "scored"):
        ratio = t.ratio or 0.0
        if ratio < best:
            path += f"M{WIDE * t.at / end:.1f} {y(ratio):.1f}" if not path else f"H{WIDE * t.at / end:.1f}V{y(ratio):.1f}"
            best = ratio
    dots = "".join(f'<circle class="{_STATES[t.state]}" cx="{t.at / end:.2%}" cy="{_TOP + y(r):.1f}" r="4"><title>'
                   f'{_said(t)}</title></circle>' for t, r in zip(shown, ratios, strict=True))
    grid = "".join(f'<line class="grid{" zero" if t == 1 else ""}" x1="0" x2="100%" y1="{_TOP + y(t):.1f}" y2="{_TOP + y(t):.1f}"/>'
                   f'<text class="tick" x="0" y="{_TOP + y(t) - 3:.1f}">{numerals.axis(t)}</text>' for t in ticks)
    unit, size = ("s", 1.0) if end < 180 else ("min", 60.0) if end < 3 * 3600 else ("h", 3600.0)
    times = [t for t in nice_ticks(0.0, end / size, 6) if 0.02 * end < t * size < 0.98 * end]
    under = "".join(f'<text class="date" x="{t * size / end:.2%}" y="{height - 10}">{numerals.axis(t)} {unit}</text>'
                    for t in times)
    line = f'<path class="line l0" d="{path}H{WIDE}"/>' if path else ""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="chart lines" role="img" aria-labelledby="{identity}-title" '
            f'width="100%" height="{height}"><title id="{identity}-title">{_text(title)}</title>{grid}'
            f'<svg x="0" y="{_TOP}" width="100%" height="{tall}" viewBox="0 0 {WIDE} {tall}" preserveAspectRatio="none">'
            f'{line}</svg>{dots}{under}</svg>')


def _said(trial: Tried) -> str:
    changed = ", ".join(f"{k}={v}" for k, v in trial.options.items())
    return _text(f"trial {trial.number}, {trial.state}: {numerals.quantity(trial.ratio, 3)} times the default's loss; {changed}")


def _text(text: str) -> str:
    return escape(numerals.plain(text))

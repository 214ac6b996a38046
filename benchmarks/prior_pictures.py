"""What drawn series look like: a picture of each regime for the docs, and a page with real series beside them for one's own eyes.

    python benchmarks/prior_pictures.py                    docs/pictures/prior-REGIME.svg, series of eight worlds of each regime
    python benchmarks/prior_pictures.py --page FILE.html   real series of each public set above drawn ones of its regime

Most of the public sets came without a licence to hand them on, and a curve that can be read off is data: the page stays outside the
repository, and the pictures in it are of drawn series alone.
"""

import argparse
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from prior_realism import OF_SET
from provenance import ROOT
from real_sets import REAL_SETS
from series_features import Sample, sample
from shelfcast.files import whole_file
from shelfcast.names import PRICE, PROMO
from shelfcast.world.prior import REGIMES, draw_world

SHOWN: Final = {"h": 336, "D": 182, "W": 104, "M": 36, "Q": 16, "Y": 10}
"""Periods that a picture holds: what an eye can follow."""
ACROSS: Final = 4
WIDE, TALL, GAP = 236, 62, 12  # pixels of one series, and between two
TOP, STRIP = 15, 5  # for the title above and the marks of promotions below
STEPS: Final = 100  # of a curve's height: whole numbers make small files
SEED: Final = 5_000  # of the first world that is shown
INK: Final = {"line": "#1f4e79", "promo": "#d98e04", "closed": "#e4e4e4", "text": "#444444"}


def drawn(regime: str, count: int) -> list[tuple[str, Sample]]:
    """One series of each of so many worlds, with a title."""
    found: list[tuple[str, Sample]] = []
    for seed in range(SEED, SEED + 4 * count):
        panel = draw_world(seed, regime=regime).panel
        one = sample(panel, window=SHOWN[panel.frequency.unit], most=1, rng=np.random.default_rng(seed), promo=PROMO, price=PRICE)
        if one is not None:
            found.append((f"world {seed}, {panel.frequency.word}", one))
        if len(found) == count:
            break
    return found


def real(name: str, count: int) -> list[tuple[str, Sample]]:
    """So many series of a public set."""
    one = REAL_SETS[name]()
    many = sample(one.panel, window=SHOWN[one.panel.frequency.unit], most=count, rng=np.random.default_rng(0), promo=one.promo,
                  price=one.price)
    assert many is not None
    return [(f"{name}, {one.panel.frequency.word}", _only(many, i)) for i in range(len(many.sales))]


def _only(many: Sample, i: int) -> Sample:
    return Sample(many.frequency, many.first, *(getattr(many, n)[i:i + 1] for n in (
        "sales", "closed", "begun", "promo", "price", "place")))


def picture(series: Sequence[tuple[str, Sample]], *, title: str) -> str:
    """An SVG of many small charts, each from nought to its own largest value, which its title names."""
    rows = -(-len(series) // ACROSS)
    width, height = ACROSS * (WIDE + GAP) - GAP, rows * (TOP + TALL + STRIP + GAP) - GAP
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
             f'role="img" font-family="sans-serif" font-size="10"><title>{escape(title)}</title>'
             f'<rect width="100%" height="100%" fill="#fff"/>']
    for i, (name, one) in enumerate(series):
        x, y = i % ACROSS * (WIDE + GAP), i // ACROSS * (TOP + TALL + STRIP + GAP)
        parts.append(_chart(name, one, x, y))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chart(name: str, one: Sample, x: int, y: int) -> str:
    sales = one.sales[0]
    low, high = min(0.0, float(np.nanmin(sales))), float(np.nanmax(sales))
    steps = np.round(STEPS * (high - np.where(np.isfinite(sales), sales, 0.0)) / max(high - low, 1e-9)).astype(int)
    span = len(sales)
    inside = [_marks(one.closed[0], INK["closed"], 0, STEPS), _marks(one.promo[0] > 0, INK["promo"], STEPS + 3, 5),
              f'<path d="{_path(steps, np.isfinite(sales))}" fill="none" stroke="{INK["line"]}" '
              f'vector-effect="non-scaling-stroke"/>']
    return (f'<text x="{x}" y="{y + 10}" fill="{INK["text"]}">{escape(name)}; up to {high:,.4g}</text>'
            f'<svg x="{x}" y="{y + TOP}" width="{WIDE}" height="{TALL + STRIP}" viewBox="0 0 {span} {STEPS + 8}" '
            f'preserveAspectRatio="none">{"".join(inside)}</svg>')


def _path(steps: np.ndarray, known: np.ndarray) -> str:
    """A curve through the known; a gap lifts the pen, a lone value is a dash."""
    parts, last = [], None
    for i in np.flatnonzero(known):
        if last is None or i - last > 1:
            parts.append(f"M{i} {steps[i]}h.4")
        else:
            parts.append(f"L{i} {steps[i]}")
        last = i
    return "".join(parts)


def _marks(on: np.ndarray, colour: str, top: int, tall: int) -> str:
    """A rectangle for each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    runs = "".join(f"M{a} {top}h{b - a}v{tall}h-{b - a}z" for a, b in zip(edges[::2], edges[1::2], strict=True))
    return f'<path d="{runs}" fill="{colour}"/>' if runs else ""


def page(count: int) -> str:
    """Real series of each set above drawn ones, as one page."""
    parts = []
    for name in REAL_SETS:
        kinds = [r for r in OF_SET[name] if r in REGIMES]
        parts.append(f"<h2>{name}: real</h2>{picture(real(name, count), title=name)}")
        parts += [f"<h3>{r}: drawn</h3>{picture(drawn(r, count), title=r)}" for r in kinds]
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Real and drawn series</title></head>'
            f'<body style="font-family:sans-serif;margin:2em">{"".join(parts)}</body></html>\n')


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=None)
    parser.add_argument("--count", type=int, default=8, help="series of each picture (8)")
    asked = parser.parse_args()
    if asked.page is not None:
        if asked.page.resolve().is_relative_to(ROOT):
            parser.error(f"{asked.page} lies in the repository, and real sales are not ours to hand on; write it elsewhere")
        with whole_file(asked.page) as out:
            out.write_text(page(asked.count), encoding="utf-8")
        return
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    for regime in REGIMES:
        text = picture(drawn(regime, asked.count), title=f"Series of {asked.count} drawn worlds: {regime}")
        with whole_file(folder / f"prior-{regime}.svg") as out:
            out.write_text(text, encoding="utf-8")
        print(f"{regime}: {len(text):,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Which series, origins and steps ahead are learned from.

Training looks like forecasting: stand at an origin in the past, look ahead up to the horizon, never beyond the panel's cutoff.
The number of rows is bounded whatever the panel's size; the draw is the same for the same seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from shelfcast.features.block import Block, cells_of, make_block
from shelfcast.features.history import BLIND, TINY, Rhythm
from shelfcast.features.pooled import Piece, Pooled, group_codes, group_keys, pool
from shelfcast.features.scheme import Scheme, learn_scheme
from shelfcast.features.table import BASE_TERMS, Standing, base_terms, choose_crossed, choose_drivers, stand
from shelfcast.names import SALES
from shelfcast.panel import PERIOD, SERIES, SalesPanel

DEFAULT_HORIZON = {"h": 48, "D": 28, "W": 13, "M": 6, "Q": 4, "Y": 2}  # where no known covariate reaches past the cutoff
POOLED_CELLS = 4_000_000  # series x periods held at once while pooling
SCHEME_CELLS = 1_000_000  # series x periods that effects of covariates are learned from
SAMPLE_CELLS = 10_000_000  # series x periods learned from at most: bounds memory on long daily panels
MOST_POOLED = 300_000  # series; of more than these only the active ones are pooled
YEARS_OF_ORIGINS = 2.0
YEARS_FOR_SEASON = 1.0  # of history, for the position in the year to be a feature
MOST_OF_A_YEAR = 0.8
FEWEST_SERIES = 25  # of an origin's series that look at the same steps ahead
MOST_PARTS = 8  # of an origin's series, each with steps of its own: what all series meet in a period is one event, not many


@dataclass(frozen=True)
class Sample:
    """What is learned from: a block of drawn series with all the periods that origins need.

    Attributes
    ----------
    block : arrays of the drawn series; the last column of its sales is the cutoff
    scheme, pooled : see `features`
    horizon : periods that rows look ahead at most
    """

    block: Block
    scheme: Scheme
    pooled: Pooled
    horizon: int

    @property
    def settled(self) -> bool:
        """Most of a year of past forecasts knew the year before: errors of the others need not speak for the next ones."""
        return self.block.sales.shape[1] >= (1 + MOST_OF_A_YEAR) * self.scheme.rhythm.year

    def first_met(self) -> np.ndarray:
        """int (K,): column from which on each cell (weekday x flags) has been seen by some series; past the cutoff where never."""
        width = self.block.sales.shape[1]
        first = np.full(self.scheme.cells, width, dtype=np.int64)
        known = np.isfinite(self.block.sales)
        np.minimum.at(first, self.block.cells[:, :width][known], np.nonzero(known)[1])
        return first

    def mirror(self) -> "Sample":
        """What is pooled of the history, and its sample, with time running backwards."""
        block = self.block.mirror(min(len(self.pooled.index), self.block.sales.shape[1]))
        return replace(self, block=block, pooled=self.pooled.mirror(block.first))


@dataclass(frozen=True)
class Draw:
    """One origin: which series (rows of the sample's block) and which steps ahead are taken.

    Attributes
    ----------
    origin : column
    series : int (S,)
    steps : int (K,), rising, from 1
    """

    origin: int
    series: np.ndarray
    steps: np.ndarray


def draw_sample(panel: SalesPanel, *, horizon: int | None, most_series: int, seed: int, country: str | None) -> Sample:
    """Choose series, sort covariates, pool over all series, and lay out the arrays."""
    generator = np.random.default_rng(seed)
    given = panel.horizon_given()
    steps = horizon or given or DEFAULT_HORIZON[panel.frequency.unit]
    span = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
    rhythm = Rhythm.of(panel.frequency)
    active = _active(panel, rhythm)
    reach = min(span, rhythm.context + int(YEARS_OF_ORIGINS * panel.frequency.per_year) + steps)
    chosen = _choose(active, min(most_series, max(300, SAMPLE_CELLS // reach)), generator)
    part = panel.select(chosen)
    width = min(span, rhythm.context)
    several = max(300, SCHEME_CELLS // width)
    few = part.select(np.sort(generator.choice(len(part), min(len(part), several), replace=False)))
    scheme = learn_scheme(panel, few, horizon=steps, country=country)
    laid_out = make_block(few, scheme, context=width, horizon=0)
    scheme = replace(scheme, crossed=choose_crossed(laid_out, scheme))
    drivers = choose_drivers(replace(laid_out, cells=cells_of(laid_out, scheme)), scheme)
    scheme = replace(scheme, drivers=drivers, year=span >= YEARS_FOR_SEASON * panel.frequency.per_year)
    pooled = pool_panel(panel, scheme)
    block = make_block(part, scheme, context=reach, horizon=min(steps, given), keys=pooled.keys)
    return Sample(block, scheme, pooled, steps)


def pool_panel(panel: SalesPanel, scheme: Scheme) -> Pooled:
    """What the series of a panel share as of its cutoff, from as much history as suits the frequency."""
    span = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
    rhythm = scheme.rhythm
    width = min(span, rhythm.context)
    keys = group_keys(panel.series)
    whole = panel if len(panel) <= MOST_POOLED else panel.select(_active(panel, rhythm))
    size = max(1, POOLED_CELLS // width)

    def pieces() -> Iterator[Piece]:
        for chunk in whole.chunks(size):
            block = make_block(chunk, scheme, context=width, horizon=0)
            yield Piece(block.sales, block.cells, group_codes(chunk.series, keys), block.drive)

    return pool(pieces, keys, rhythm, size=scheme.cells, first=panel.cutoff - width + 1, width=width)


def _active(panel: SalesPanel, rhythm: Rhythm) -> np.ndarray:
    """int (A,): positions of series with a sale in the last year, or all if there is none."""
    recent = panel.rows.filter((pl.col(PERIOD) > panel.cutoff - rhythm.year - rhythm.recent) & (pl.col(SALES) > 0))
    positions = recent[SERIES].unique().sort().to_numpy().astype(np.int64)
    return positions if len(positions) else np.arange(len(panel))


def _choose(active: np.ndarray, most: int, generator: np.random.Generator) -> np.ndarray:
    if len(active) <= most:
        return active
    return np.sort(generator.choice(active, most, replace=False))


def draws(sample: Sample, *, most_rows: int, seed: int, most_parts: int = MOST_PARTS) -> list[Draw]:
    """Origins back from the cutoff, and a share of series and steps for each, more of the recent ones.

    The latest origins cannot see the whole horizon and give only their near steps.
    """
    generator = np.random.default_rng(seed + 1)
    block, scheme, horizon = sample.block, sample.scheme, sample.horizon
    rhythm, width = scheme.rhythm, block.sales.shape[1]
    stride = {"h": 101, "D": 17, "W": 2, "M": 1, "Q": 1, "Y": 1}[scheme.frequency[0]]
    early = max(int(rhythm.halves[1]), 2)
    back = [b for b in (horizon // 4, horizon // 2, 3 * horizon // 4) if b >= max(1, rhythm.smooth)]
    furthest = int(YEARS_OF_ORIGINS * rhythm.year) + horizon
    back += list(range(horizon, furthest + 1, stride))
    origins = [o for o in (width - 1 - b for b in sorted(set(back))) if early - 1 <= o < width - 1]
    if block.mirrored:  # these are for what last year says of this one, and none is more like the forecast than another
        origins = [o for o in origins if min(o + horizon, width - 1) >= rhythm.year]
        share = np.ones(len(origins))
    else:
        origins = origins or [o for o in range(width - 2, max(0, width - 2 - 4), -1) if o >= 0]
        share = np.array([0.5 ** ((width - 1 - o) / (2 * rhythm.year)) for o in origins])
        full_year = width - 1 >= rhythm.year + rhythm.halves[1]
        share *= np.where(np.array(origins) >= rhythm.year + rhythm.halves[1] if full_year else True, 1.0, BLIND)
    quota = most_rows * share / share.sum()
    out = []
    known = np.isfinite(block.sales)
    begun = np.where(known.any(1), np.argmax(known, axis=1), width)
    for origin, rows in zip(origins, quota, strict=True):
        steps = np.arange(1, min(horizon, width - 1 - origin) + 1)
        candidates = np.flatnonzero(begun <= origin)
        if not len(candidates):
            continue
        count = int(np.clip(np.ceil(rows / len(candidates)), min(4, len(steps)), len(steps)))
        most = max(1, int(rows / count))
        series = generator.permutation(candidates)[:most]
        parts = int(np.clip(min(-(-len(steps) // count), len(series) // FEWEST_SERIES), 1, most_parts))
        order = generator.permutation(steps)
        for part in range(parts):
            picked = np.sort(np.take(order, part * count + np.arange(count), mode="wrap"))
            out.append(Draw(origin, np.sort(series[part::parts]), picked))
    return out


@dataclass(frozen=True)
class Stand:
    """A draw with what is known at its origin, and what came.

    Attributes
    ----------
    draw : which rows
    block : the drawn series' arrays
    standing : what is known of them
    flat, terms : parts of the profile forecast, (S, K) and (S, K, P)
    truth : float (S, K), units, nan where not known
    """

    draw: Draw
    block: Block
    standing: Standing
    flat: np.ndarray
    terms: np.ndarray
    truth: np.ndarray

    @property
    def knows(self) -> np.ndarray:
        """bool (S, K): the same period of last year is known."""
        return np.isfinite(self.terms[..., BASE_TERMS.index("own year ago")])

    @property
    def usable(self) -> np.ndarray:
        """bool (S, K): the truth is known and the series was alive."""
        alive = (self.standing.habits.count > 0) & (self.standing.levels.long > TINY)
        return np.isfinite(self.truth) & alive[:, None]


def stands(sample: Sample, chosen: list[Draw]) -> Iterator[Stand]:
    """Take each draw's series out of the sample and stand at its origin."""
    for draw in chosen:
        block = sample.block.take(draw.series)
        standing = stand(block, sample.pooled, sample.scheme.rhythm, draw.origin)
        flat, terms = base_terms(block, sample.pooled, sample.scheme, standing, draw.steps)
        yield Stand(draw, block, standing, flat, terms, block.sales[:, draw.origin + draw.steps])

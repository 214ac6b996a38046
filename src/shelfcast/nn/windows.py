"""The sampler: batches of windows out of a panel, each drawn again from its number alone.

The panel stays the table that it is. It is visited a shelf at a time (whole groups of places that look at each other), a
shelf is laid out as arrays once a visit, looked at from a few origins of the past, and left again; so memory is bounded whatever
the panel's size. Which shelf, which origins and which batch follow from (seed, number of the batch), so that a training that
was killed goes on without any state of the sampler.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np

from shelfcast.errors import SettingsError
from shelfcast.features.block import Block
from shelfcast.features.history import BLIND
from shelfcast.features.places import RELATIONS
from shelfcast.nn.batch import Batch
from shelfcast.nn.channels import Snapshot
from shelfcast.nn.events import made_up_events
from shelfcast.nn.surroundings import Surroundings, Who
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

SHELF_CELLS = 2_000_000  # series x periods that are laid out at once for a forecast
LEARNED_CELLS = 600_000  # for training: less, so that the windows that follow each other are of more origins
ORIGINS_A_VISIT = 4
MIRRORED_A_VISIT = 2  # origins of the past run backwards, where history spans years
HALF_LIFE_YEARS = 2.0  # of an origin's weight
WORLDS_A_VIEW = 4  # of made-up events
SERIES_A_BATCH = 256
_VALIDATED = 4_096  # series, about


def groups_of(item: np.ndarray, rank: np.ndarray, most: int) -> np.ndarray:
    """int (G, P), -1 for padding: rows of a run of series, one group an item, cut where an item has more than `most` places.

    Parameters
    ----------
    item : int (N,), rising
    rank : int (N,), position of the series' place along the curve that orders places
    """
    order = np.lexsort((rank, item))
    starts = np.flatnonzero(np.r_[True, np.diff(item[order]) != 0])
    within = np.arange(len(item)) - np.repeat(starts, np.diff(np.r_[starts, len(item)]))
    sizes = np.diff(np.r_[starts, len(item)])
    parts = -(-sizes // most)
    length = -(-sizes // parts)  # parts of an item are of about the same size
    each = np.repeat(length, sizes)
    group = np.repeat(np.r_[0, np.cumsum(parts)[:-1]], sizes) + within // each
    out = np.full((int(parts.sum()), int(length.max())), -1, dtype=np.int64)
    out[group, within % each] = order
    return out


def alike_in_size(groups: np.ndarray, series: int) -> list[tuple[np.ndarray, int]]:
    """Groups sorted by size, so that a batch holds little padding: [(rows of `groups`, how many of them make a batch)].

    Parameters
    ----------
    series : in a batch, about
    """
    places = (groups >= 0).sum(axis=1)
    kind = np.ceil(np.log2(np.maximum(places, 1))).astype(int)
    return [(np.flatnonzero(kind == k), max(1, series // int(places[kind == k].max()))) for k in np.unique(kind)]


def batch_of(view: Snapshot, groups: np.ndarray, place: np.ndarray, *,
             links: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Batch:
    """A batch of some groups (rows of `groups_of`) of a snapshot.

    Parameters
    ----------
    place : int (N,), position of each series' place; -1 for none
    links : from positions of places (G, P), and columns of the index that are known (G,), to their relations (G, P, P, R)
    """
    there = groups >= 0
    groups = groups[:, there.any(axis=0)]
    there = groups >= 0
    at = np.maximum(groups, 0)

    def rows(values: np.ndarray) -> np.ndarray:
        return values[at]

    weight = np.where(there, rows(view.weight), 0.0).astype(np.float32)
    related = links(np.where(there, place[at], -1), view.upto[at[:, 0]])
    new = view.new[at]
    related[..., RELATIONS.index("alike")] *= ~(new[:, :, None] | new[:, None, :])  # nobody knows whom a new place is like
    return Batch(rows(view.x), rows(view.anchor), rows(view.static), view.item[at[:, 0]], np.where(there, rows(view.place), 0),
                 related, there, rows(view.scale), weight, rows(view.truth), rows(view.lower))


Drawn = tuple[np.ndarray, Snapshot, np.ndarray]
"""A batch before it is put together: its groups, what they are rows of, and the places of those."""


class Windows:
    """Windows of a panel's past, for training.

    Parameters
    ----------
    reach : periods of history that are laid out at most
    cold : share of series that are shown as if they were new
    held_back : periods before the cutoff whose sales are kept for validation
    events : deviation, in logs, of made-up events laid over the sales, see `nn.events`; 0 for none
    mirrored : some windows are of the past run backwards, where history spans years
    """

    def __init__(self, panel: SalesPanel, surroundings: Surroundings, *, reach: int, seed: int, cold: float = 0.0,
                 held_back: int = 0, series: int = SERIES_A_BATCH, events: float = 0.0, mirrored: bool = True) -> None:
        if reach - 1 - held_back < 1:
            raise SettingsError(f"History has {reach:,} periods and the last {held_back:,} are kept for validation, so that there "
                                f"is nothing to learn from. Leave patience out, or ask for a shorter horizon.")
        self._panel, self._with, self._seed, self._cold, self._held_back = panel, surroundings, seed, cold, held_back
        self._reach, self._events = reach, events
        self._who = who = surroundings.who(panel.series)
        self._shelves = shelves_of(who.run, who.rank, most=max(1, LEARNED_CELLS // reach), most_places=surroundings.most_places)
        self._buckets = [alike_in_size(shelf.groups, series) for shelf in self._shelves]
        past = min(reach, len(surroundings.pooled.index)) - held_back
        spans = past - surroundings.layout.horizon > surroundings.scheme.rhythm.year
        self._mirrored = MIRRORED_A_VISIT if mirrored and surroundings.scheme.year and spans else 0
        views = ORIGINS_A_VISIT + self._mirrored
        self._counts = np.array([sum(-(-views * len(rows) // size) for rows, size in buckets) for buckets in self._buckets])
        self._kept_back: list[Batch] | None = None
        self._visits: OrderedDict[tuple[int, int], Future[list[Drawn]]] = OrderedDict()
        self._lock, self._closing = Lock(), False
        self._worker = ThreadPoolExecutor(1)

    @property
    def a_round(self) -> int:
        """Batches until every shelf has been visited once."""
        return int(self._counts.sum())

    def batch(self, number: int) -> Batch:
        """The batch of a number, from 0; the same whenever and in whatever order it is asked for."""
        visit, position = self._visit_of(number)
        batches = self._prepared(visit).result()
        self._prepared(self._visit_of(number - position + len(batches))[0])  # in the background, while this one is learned from
        groups, view, places = batches[position]
        return batch_of(view, groups, places, links=self._with.links)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the background work; no batch can be drawn any more."""
        self._closing = True
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._visits.clear()

    def validation(self) -> list[Batch]:
        """The last origin whose whole horizon was held back, for at most some thousand series; nothing where none was."""
        if self._kept_back is None:
            self._kept_back = list(self._validation()) if self._held_back else []
        return self._kept_back

    def _validation(self) -> Iterator[Batch]:
        generator = np.random.default_rng([self._seed, 2])
        shelf = int(generator.integers(len(self._shelves)))
        block, who = self._laid_out(shelf)
        view = self._with.look(block, who, origin=block.sales.shape[1] - 1 - self._held_back)
        groups = self._shelves[shelf].groups
        chosen = groups[np.sort(generator.permutation(len(groups))[:max(1, _VALIDATED // groups.shape[1])])]
        for rows, size in alike_in_size(chosen, SERIES_A_BATCH):
            for start in range(0, len(rows), size):
                yield batch_of(view, chosen[rows[start:start + size]], who.place, links=self._with.links)

    def _visit_of(self, number: int) -> tuple[tuple[int, int], int]:
        """((round, position in it), position in the visit) of a batch."""
        lap, rest = divmod(number, self.a_round)
        ends = np.cumsum(self._counts[self._order(lap)])
        at = int(np.searchsorted(ends, rest, side="right"))
        return (lap, at), rest - (int(ends[at - 1]) if at else 0)

    def _order(self, lap: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 0, lap]).permutation(len(self._shelves))

    def _prepared(self, visit: tuple[int, int]) -> Future[list[Drawn]]:
        with self._lock:
            if visit not in self._visits:
                self._visits[visit] = self._worker.submit(self._visit, visit)
                while len(self._visits) > 2:
                    self._visits.popitem(last=False)
            self._visits.move_to_end(visit)
            return self._visits[visit]

    def _laid_out(self, shelf: int) -> tuple[Block, Who]:
        rows = self._shelves[shelf].rows
        block = self._with.block_of(self._panel.select(rows), context=self._reach, horizon=self._with.layout.horizon)
        return block, self._who.take(rows)

    def _visit(self, visit: tuple[int, int]) -> list[Drawn]:
        lap, position = visit
        shelf = int(self._order(lap)[position])
        generator = np.random.default_rng([self._seed, 1, lap, position])
        block, who = self._laid_out(shelf)
        groups = self._shelves[shelf].groups
        last = block.sales.shape[1] - 1 - self._held_back
        origins = self._origins(last, generator)
        views: list[Snapshot] = []
        for origin in origins:
            if self._closing:
                return []
            hidden = self._hidden(len(block.sales), generator)
            seen = self._eventful(block, who, generator)
            views.append(self._with.look(seen, who, origin=int(origin), hidden=hidden, last=last))
        if self._mirrored:
            # A year of targets is one draw of all that happens to everybody at once. Run backwards, what was a surprise upwards is
            # one downwards, so that the network cannot learn it by heart.
            turned, around = self._with.mirror(replace(block, sales=block.sales[:, :last + 1]))
            year, end = self._with.scheme.rhythm.year, turned.sales.shape[1] - self._with.layout.horizon
            known = np.full(len(turned.sales), self._with.residuals.shape[1] - self._held_back)  # likeness knows no direction
            for origin in generator.integers(year - 1, end, self._mirrored):
                if self._closing:
                    return []
                hidden = self._hidden(len(turned.sales), generator)
                seen = self._eventful(turned, who, generator)
                views.append(replace(around.look(seen, who, origin=int(origin), hidden=hidden), upto=known))
        whole, places = _stacked(views), np.tile(who.place, len(views))
        batches = []
        for rows, size in self._buckets[shelf]:
            some = groups[rows]
            every = np.concatenate([np.where(some >= 0, some + k * len(block.sales), -1) for k in range(len(views))])
            every = every[generator.permutation(len(every))]
            batches += [(every[start:start + size], whole, places) for start in range(0, len(every), size)]
        return [batches[k] for k in generator.permutation(len(batches))]

    def _eventful(self, block: Block, who: Who, generator: np.random.Generator) -> Block:
        """The block with made-up events laid over its sales; items meet events of their own, so that a batch holds many."""
        if not self._events:
            return block
        per_year = Frequency.parse(self._with.scheme.frequency).per_year
        present, at = np.unique(who.place, return_inverse=True)
        drawn = [made_up_events(self._with.places, present, block.sales.shape[1], per_year=per_year, size=self._events,
                                draw=generator) for _ in range(WORLDS_A_VIEW)]
        world = generator.integers(WORLDS_A_VIEW, size=int(who.run.max()) + 1)[who.run]
        return replace(block, sales=block.sales * np.exp(np.stack(drawn)[world, at]))

    def _hidden(self, series: int, generator: np.random.Generator) -> np.ndarray | None:
        """Series that are shown as if they were new."""
        return generator.random(series) < self._cold if self._cold else None

    def _origins(self, last: int, generator: np.random.Generator) -> np.ndarray:
        """Columns to stand at: more of the recent ones, and more of those that know last year, where the forecast will."""
        rhythm = self._with.scheme.rhythm
        early = max(int(rhythm.halves[1]), 2) - 1
        candidates = np.arange(min(early, last - 1), last)
        weight = 0.5 ** ((last - candidates) / (HALF_LIFE_YEARS * rhythm.year))
        if last >= rhythm.year + rhythm.halves[1]:
            weight = weight * np.where(candidates >= rhythm.year + rhythm.halves[1], 1.0, BLIND)
        horizon = self._with.layout.horizon
        weight = weight * np.minimum(last - candidates, horizon) / horizon  # the latest origins have few steps to learn from
        return generator.choice(candidates, ORIGINS_A_VISIT, replace=len(candidates) < ORIGINS_A_VISIT, p=weight / weight.sum())


@dataclass(frozen=True)
class Shelf:
    """Series that are laid out at once.

    Attributes
    ----------
    rows : int (N,), their positions in the panel, rising
    groups : int (G, P), their groups, as positions in `rows`; -1 for padding
    """

    rows: np.ndarray
    groups: np.ndarray


def shelves_of(item: np.ndarray, rank: np.ndarray, *, most: int, most_places: int) -> list[Shelf]:
    """Whole groups with at most `most` series together, and one group at least.

    Which places look at each other follows from the panel alone, never from how much of it is laid out: training and forecast
    see the same groups.

    Parameters
    ----------
    item, rank, most_places : as in `groups_of`
    """
    groups = groups_of(item, rank, most_places)
    sizes = (groups >= 0).sum(axis=1)
    ends, held = [], 0
    for number, size in enumerate(sizes.tolist()):  # over groups, no series
        if held and held + size > most:
            ends.append(number)
            held = 0
        held += size
    found = []
    for part in np.split(groups, ends):
        part = part[:, (part >= 0).any(axis=0)]
        rows = np.sort(part[part >= 0])
        found.append(Shelf(rows, np.where(part >= 0, np.searchsorted(rows, part), -1)))
    return found


def _stacked(views: list[Snapshot]) -> Snapshot:
    return Snapshot(*(np.concatenate([getattr(v, f.name) for v in views]) for f in fields(Snapshot)))

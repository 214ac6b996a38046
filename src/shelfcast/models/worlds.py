"""Pretraining: batches of windows out of drawn retailers, each a pure function of (seed, number).

A batch is one retailer (`world.prior`), cut at some day of its history: its past is read just as a customer's is
(`models.in_context`), and what came after is the truth, where the shelf was empty the demand that nobody saw. So nothing that is
told of the past has seen what follows.
"""

import multiprocessing
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn

from shelfcast.data.split import cut
from shelfcast.errors import SettingsError
from shelfcast.models.in_context import MOST_CONTEXT, InContext, undo_sold_out
from shelfcast.names import ITEM, LEVELS, LOCATION
from shelfcast.nn.batch import ABOVE_CHANNEL, BELOW_CHANNEL, Batch
from shelfcast.nn.channels import BANDS
from shelfcast.nn.losses import total_loss
from shelfcast.nn.windows import batch_of, shelves_of
from shelfcast.panel import SalesPanel
from shelfcast.world.prior import REGIMES, DrawnWorld, draw_world

_HORIZONS: Final = {"h": (12, 128), "D": (7, 128), "W": (4, 52), "M": (2, 18)}  # least and most, by frequency
_CONTEXTS: Final = {"h": (72, 504), "D": (64, 448), "W": (32, 160), "M": (16, 64)}
_LONGEST: Final = 0.08  # share of worlds whose context is as long as the network takes
_LEAST_PAST: Final = {"h": 96, "D": 42, "W": 16, "M": 8}  # periods before the cut
_LONG: Final = 0.6  # share of worlds that are cut where as much of the history lies before as fits
_COLD: Final = 0.04  # share of series that are shown as if they were new
_CALMEST: Final = 1e-3  # a loss below which a world is no calmer
_VALIDATION: Final = 10**9  # worlds from here on are never learned from


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How batches are drawn.

    Attributes
    ----------
    seed : of the worlds
    series : of a batch, about
    patch : periods of a token; contexts are whole tokens
    regimes : kinds of retailers; all when empty
    distinct : retailers; after so many they come again. None: always new ones
    """

    seed: int = 0
    series: int = 192
    patch: int = 8
    regimes: tuple[str, ...] = ()
    distinct: int | None = None

    def __post_init__(self) -> None:
        for name in self.regimes:
            if name not in REGIMES:
                raise SettingsError(f"There is no regime {name!r}; known are {', '.join(REGIMES)}.")
        if self.distinct is not None and self.distinct < 1:
            raise SettingsError(f"distinct is {self.distinct}; it must be at least 1.")


def draw_batch(drawing: Drawing, number: int) -> tuple[Batch, str]:
    """The batch of a number, from 0, and the regime of its world."""
    lot = np.random.default_rng([drawing.seed, number, 1])
    regime = str(lot.choice(drawing.regimes)) if drawing.regimes else None
    with np.errstate(all="ignore"):
        for attempt in range(100):  # a world may be too young to be cut, or sell nothing after the cut
            state = np.random.SeedSequence([drawing.seed, number, attempt]).generate_state(1, np.uint64)
            world = draw_world(int(state[0] >> np.uint64(1)), regime=regime)
            batch = _batch_of_world(world, drawing, lot)
            if batch is not None:
                return batch, world.regime
    raise SettingsError(f"No world of {drawing.regimes or 'any regime'} can be learned from; look at world.prior.")


def _batch_of_world(world: DrawnWorld, drawing: Drawing, lot: np.random.Generator) -> Batch | None:
    panel, unit = world.panel, world.panel.frequency.unit
    span = world.truth.shape[1]
    least, most = _HORIZONS[unit]
    shortest, room = _LEAST_PAST[unit], span - _LEAST_PAST[unit]
    if room < least:
        return None
    horizon = int(np.exp(lot.uniform(np.log(least), np.log(min(most, room) + 1))))
    latest = span - horizon
    earliest = max(shortest, latest - horizon) if lot.random() < _LONG else shortest
    past = int(lot.integers(earliest, latest + 1))
    cutoff = world.first + past - 1
    if int(panel.series["start"].min()) > cutoff:  # type: ignore[arg-type]
        return None  # nothing had begun by then
    told = undo_sold_out(cut(panel, cutoff))
    low, high = _CONTEXTS[unit]
    longest = MOST_CONTEXT if lot.random() < _LONGEST else 0
    context = min(max(round(float(np.exp(lot.uniform(np.log(low), np.log(high))))), longest), past)
    context = -(-context // drawing.patch) * drawing.patch
    seen = InContext.of(told, context=context, horizon=horizon, seed=int(lot.integers(2**31)))
    around = seen.around(told, horizon=horizon, pooled=seen.profile.pooled_)
    who = around.who(told.series)
    shelf = shelves_of(who.run, who.rank, most=len(told), most_places=around.most_places)[0]
    order = lot.permutation(len(shelf.groups))
    sizes = (shelf.groups[order] >= 0).sum(axis=1)
    taken = order[: max(1, int(np.searchsorted(np.cumsum(sizes), drawing.series, side="right")))]
    groups = shelf.groups[np.sort(taken)]
    rows = np.sort(groups[groups >= 0])
    groups = np.where(groups >= 0, np.searchsorted(rows, groups), -1)
    part = who.take(rows)
    reach = max(around.scheme.rhythm.context, context)
    block = around.block_of(told.select(rows), context=reach, horizon=horizon)
    hidden = lot.random(len(rows)) < _COLD
    view = around.look(block, part, origin=reach - 1, hidden=hidden)
    truth = _truth(world, told.select(rows), past, horizon)
    truth = np.where(block.closed[:, reach:reach + horizon], np.nan, truth) / view.scale[:, None]
    weight = view.weight * np.isfinite(truth).any(axis=1)
    if not (weight > 0).any():
        return None
    view = replace(view, truth=truth.astype(np.float32), lower=np.zeros(truth.shape, dtype=bool), weight=weight)
    return batch_of(view, groups, part.place, links=around.links)


def _truth(world: DrawnWorld, told: SalesPanel, past: int, horizon: int) -> np.ndarray:
    """(N, H) units: what came after the cut, of the series that had begun."""
    whole = world.panel.series.select(ITEM, LOCATION).with_row_index("at")
    at = told.series.select(ITEM, LOCATION).join(whole, on=[ITEM, LOCATION], how="left", maintain_order="left")["at"].to_numpy()
    return world.truth[at, past:past + horizon]


def closed_form_loss(batch: Batch) -> Tensor:
    """The unit of losses on a batch of tensors: what the closed form, from which the network starts, loses at three levels; scalar.

    Losses in this unit count all retailers alike, calm ones and wild ones. Only ratios between networks on the same retailers mean
    something: a network's loss is the mean over the levels of `names.LEVELS`, the unit one over the three of `nn.channels.BANDS`,
    so a network that has learned nothing has 0.95 of it and not 1 (15 retailers of all regimes: 0.88 to 1.01).
    """
    horizon = batch.anchor.shape[2]
    bands = (batch.anchor[..., None] + batch.x[:, :, -horizon:, BELOW_CHANNEL:ABOVE_CHANNEL + 1]).clamp(-9.0, 9.0)
    levels = torch.tensor(BANDS, dtype=torch.float32, device=batch.truth.device)
    said = (bands.sinh(), batch.anchor, batch.anchor, batch.anchor[..., 0])
    return total_loss("pinball", batch, said, levels).clamp(min=_CALMEST)


class Worlds:
    """The task of pretraining, see `nn.training.Task`; worlds are drawn ahead in other processes.

    Parameters
    ----------
    parts : batches of a step
    processes : that draw; 0: this one draws
    validated : worlds that are kept for validation
    """

    def __init__(self, drawing: Drawing, *, parts: int, processes: int = 1, validated: int = 30) -> None:
        self._drawing, self._parts, self._ahead = drawing, parts, 4 * max(processes, 1)
        self._validated, self._kept = validated, list[Batch]()
        self._levels = torch.tensor(LEVELS, dtype=torch.float32)
        self._drawn: OrderedDict[int, Future[tuple[Batch, str]]] = OrderedDict()
        self._pool = None
        if processes:
            self._pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=_alone)

    def batch(self, step: int, part: int) -> Batch:
        """Part of a step's batch: one world."""
        number = step * self._parts + part
        if self._pool is None:
            return draw_batch(self._drawing, self._world(number))[0]
        for later in range(number, number + self._ahead):
            if later not in self._drawn:
                self._drawn[later] = self._pool.submit(draw_batch, self._drawing, self._world(later))
        for old in [n for n in self._drawn if n < number]:
            self._drawn.pop(old).cancel()
        return self._drawn[number].result()[0]

    def _world(self, number: int) -> int:
        return number if self._drawing.distinct is None else number % self._drawing.distinct

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Pinball loss of the quantiles in the batch's own unit, see `closed_form_loss`."""
        with torch.no_grad():
            usual = closed_form_loss(batch)
        return total_loss("pinball", batch, network(*batch.inputs()), self._levels.to(batch.truth.device)) / usual

    def validation(self) -> Iterable[Batch]:
        """Worlds that are never learned from, the same for every seed."""
        if not self._kept:
            drawing = replace(self._drawing, seed=0, regimes=(), distinct=None)
            self._kept = [b for b, _ in validation_worlds(drawing, self._validated)]
        return self._kept

    def fingerprint(self) -> Mapping[str, Any]:
        """What tells this task from others."""
        return {"drawing": asdict(self._drawing), "parts": self._parts, "validated": self._validated}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def validation_worlds(drawing: Drawing, count: int) -> list[tuple[Batch, str]]:
    """Batches of worlds that no training draws, with their regimes, which take turns."""
    names = drawing.regimes or tuple(REGIMES)
    return [draw_batch(replace(drawing, regimes=(names[k % len(names)],)), _VALIDATION + k) for k in range(count)]


def _alone() -> None:
    """A process that draws uses one core, and ends when the one that it draws for is gone, however that ended."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)

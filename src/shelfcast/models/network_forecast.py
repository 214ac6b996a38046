"""A network's forecast of a whole panel: groups of places a run at a time, told in channels, asked, and brought back into units."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from shelfcast.features.block import Block
from shelfcast.models.profile import finish
from shelfcast.models.quantiles import mean_of, read_levels
from shelfcast.nn.export import Runner
from shelfcast.nn.surroundings import Surroundings, Who
from shelfcast.nn.windows import SHELF_CELLS, alike_in_size, batch_of, shelves_of
from shelfcast.panel import SalesPanel

_SERIES_A_RUN: Final = 512  # forecast at once


def run_network(runner: Runner, panel: SalesPanel, around: Surroundings, *, horizon: int, have: Sequence[float],
                levels: Sequence[float], negative: bool, series: int = _SERIES_A_RUN, rolls: bool = False,
                mean: Literal["network", "quantiles"] = "network") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quantiles (N, H, Q) and mean (N, H), in units, and the weight of the other places (N,).

    Parameters
    ----------
    have, levels : probabilities that the network gives, and that are wanted
    negative : sales may be below zero
    series : asked at once, about
    rolls : beyond the layout's horizon the network is asked again, as if its means had been sold, and its quantiles there lie no
        nearer to the median than they did at the end of the pass before; else the mean correction of the last season is kept
    mean : "network": what the network says; "quantiles": that of its quantiles, for one that learned on sales above zero alone
    """
    who, scheme, layout = around.who(panel.series), around.scheme, around.layout
    passes = -(-horizon // layout.horizon) if rolls else 1
    context, steps = max(scheme.rhythm.context, layout.context), max(horizon, passes * layout.horizon)
    quantiles = np.empty((len(panel), horizon, len(levels)))
    means, gate = np.empty((len(panel), horizon)), np.empty(len(panel))
    most = max(1, SHELF_CELLS // (context + steps))
    for shelf in shelves_of(who.run, who.rank, most=most, most_places=around.most_places):
        part = who.take(shelf.rows)
        block = around.block_of(panel.select(shelf.rows), context=context, horizon=steps)
        ahead = layout.horizon if rolls else steps
        first = _ask(runner, around, part, shelf.groups, block, origin=context - 1, steps=ahead, series=series, count=len(have),
                     asked=horizon if rolls else None)
        scale = first.scale[:, None]
        q, m = _beyond(np.arcsinh(first.quantiles), first.mean, first.expected / scale, min(horizon, ahead),
                       season=scheme.rhythm.season)
        middle = min(range(len(have)), key=lambda i: abs(have[i] - 0.5))
        for more in range(1, passes):
            block = _lived(block, m[:, -layout.horizon:] * scale)
            later = _ask(runner, around, part, shelf.groups, block, origin=context - 1 + more * layout.horizon,
                         steps=layout.horizon, series=series, count=len(have), asked=horizon - more * layout.horizon)
            told = np.arcsinh(later.quantiles * (later.scale[:, None] / scale)[..., None])
            q = np.concatenate([q, _no_narrower(told, q, middle, season=scheme.rhythm.season)], axis=1)
            m = np.concatenate([m, later.mean * (later.scale[:, None] / scale)], axis=1)
        if mean == "quantiles":
            m = mean_of(np.sinh(q), have)
        units = np.sinh(read_levels(q[:, :horizon], have, levels)) * scale[..., None]
        closed = block.closed[:, context:context + horizon]
        quantiles[shelf.rows], means[shelf.rows] = finish(units, m[:, :horizon] * scale, closed, negative=negative)
        gate[shelf.rows] = first.gate
    return quantiles, means, gate


@dataclass(frozen=True)
class _Said:
    """An answer for N series: quantiles (N, H, Q), mean (N, H) and expected (N, H''), the last in units; scale and gate (N,)."""

    quantiles: np.ndarray
    mean: np.ndarray
    expected: np.ndarray
    scale: np.ndarray
    gate: np.ndarray


def _ask(runner: Runner, around: Surroundings, who: Who, groups: np.ndarray, block: Block, *, origin: int, steps: int, series: int,
         count: int, asked: int | None) -> _Said:
    """Stand at a column of a block and ask, some groups at a time.

    Parameters
    ----------
    asked : periods that are wanted; what lies beyond them in the last token is left empty, as it was in pretraining. None: nothing
        is
    """
    view = around.look(block, who, origin=origin, steps=steps)
    if asked is not None and asked < around.layout.horizon:
        empty = around.layout.horizon - asked
        view.x[:, -empty:], view.anchor[:, -empty:] = 0.0, 0.0
    said = np.empty((len(block.sales), around.layout.horizon, count))
    middle, gate = np.empty((len(block.sales), around.layout.horizon)), np.empty(len(block.sales))
    for chosen, size in alike_in_size(groups, series):  # padding would be reckoned with as much as places are
        for start in range(0, len(chosen), size):
            some = groups[chosen[start:start + size]]
            q, m, g = runner.run(batch_of(view, some, who.place, links=around.links))
            rows = some[:, (some >= 0).any(axis=0)]
            real = rows >= 0
            said[rows[real]], middle[rows[real]], gate[rows[real]] = q[real], m[real], g[real]
    return _Said(said, middle, view.expected, view.scale.astype(float), gate)


def _lived(block: Block, sales: np.ndarray) -> Block:
    """The block as if its first future periods had come with these sales (N, K); of past covariates nothing is known there."""
    unknown = np.full(sales.shape, np.nan)
    end = block.sales.shape[1]
    shut = block.closed[:, end:end + sales.shape[1]]
    return replace(block, sales=np.concatenate([block.sales, np.where(shut, np.nan, sales)], axis=1),
                   past={name: np.concatenate([values, unknown], axis=1) for name, values in block.past.items()})


def _no_narrower(quantiles: np.ndarray, before: np.ndarray, middle: int, *, season: int) -> np.ndarray:
    """Quantiles (N, H, Q) moved away from their median to where they lay at the end of the pass before, in asinh space."""
    end = before[:, -season:]
    usual = (end - end[..., middle:middle + 1]).mean(axis=1, keepdims=True)
    now = quantiles - quantiles[..., middle:middle + 1]
    return quantiles[..., middle:middle + 1] + np.where(usual < 0, np.minimum(now, usual), np.maximum(now, usual))


def _beyond(quantiles: np.ndarray, mean: np.ndarray, expected: np.ndarray, horizon: int, *,
            season: int) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles (N, H', Q) in asinh space and mean (N, H'), cut or carried on to `horizon` around the expected (N, H'').

    Beyond H' stands what is expected there, moved as it was on average over the last season.
    """
    have = quantiles.shape[1]
    if horizon <= have:
        return quantiles[:, :horizon], mean[:, :horizon]
    start, middle = np.arcsinh(expected), np.arcsinh(mean)
    last = slice(max(have - season, 0), have)
    more = start[:, have:horizon, None] + (quantiles[:, last] - start[:, last, None]).mean(axis=1, keepdims=True)
    later = np.sinh(start[:, have:horizon] + (middle[:, last] - start[:, last]).mean(axis=1, keepdims=True))
    return np.concatenate([quantiles, more], axis=1), np.concatenate([mean, later], axis=1)


"""A network's forecast of a whole panel: groups of places a run at a time, told in channels, asked, and brought back into units."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from shelfcast.models.profile import finish
from shelfcast.models.quantiles import read_levels
from shelfcast.nn.export import Runner
from shelfcast.nn.surroundings import Surroundings
from shelfcast.nn.windows import SHELF_CELLS, batch_of, shelves_of
from shelfcast.panel import SalesPanel

_SERIES_A_RUN: Final = 512  # forecast at once


def run_network(runner: Runner, panel: SalesPanel, around: Surroundings, *, horizon: int, have: Sequence[float],
                levels: Sequence[float], negative: bool, series: int = _SERIES_A_RUN) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quantiles (N, H, Q) and mean (N, H), in units, and the weight of the other places (N,).

    Beyond the layout's horizon the mean correction of the last season is kept.

    Parameters
    ----------
    have, levels : probabilities that the network gives, and that are wanted
    negative : sales may be below zero
    series : asked at once, about
    """
    who, scheme, layout = around.who(panel.series), around.scheme, around.layout
    context, steps = max(scheme.rhythm.context, layout.context), max(horizon, layout.horizon)
    quantiles = np.empty((len(panel), horizon, len(levels)))
    mean, gate = np.empty((len(panel), horizon)), np.empty(len(panel))
    most = max(1, SHELF_CELLS // (context + steps))
    for shelf in shelves_of(who.run, who.rank, most=most, most_places=around.most_places):
        part, groups = who.take(shelf.rows), shelf.groups
        block = around.block_of(panel.select(shelf.rows), context=context, horizon=steps)
        view = around.look(block, part, origin=context - 1, steps=steps)
        size = max(1, series // groups.shape[1])
        said = np.empty((len(shelf.rows), layout.horizon, len(have)))
        middle = np.empty((len(shelf.rows), layout.horizon))
        for start in range(0, len(groups), size):
            some = groups[start:start + size]
            batch = batch_of(view, some, part.place, links=around.links)
            q, m, g = runner.run(batch)
            rows = some[:, (some >= 0).any(axis=0)]
            real = rows >= 0
            said[rows[real]], middle[rows[real]], gate[shelf.rows[rows[real]]] = q[real], m[real], g[real]
        scale = view.scale[:, None].astype(float)
        q, m = _beyond(np.arcsinh(said), middle, view.expected / scale, horizon, season=scheme.rhythm.season)
        units = np.sinh(read_levels(q, have, levels)) * scale[..., None]
        closed = block.closed[:, context:context + horizon]
        quantiles[shelf.rows], mean[shelf.rows] = finish(units, m * scale, closed, negative=negative)
    return quantiles, mean, gate


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


"""What other series tell: knowledge pooled over all of them, by item and by place.

Learned once from a panel, a run of series at a time, and carried by the model, so that a forecast of a slice equals the
forecast of the whole. Holds effects of cells (weekday x flags), usual levels, and an index of sales through time
(actual over usual sales) for all series together, for each item, and for each place.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from shelfcast.features.history import TINY, USUAL_WORTH, Rhythm, cell_sums, relative_to_local_level, shrunk_effects
from shelfcast.names import ITEM, LOCATION

_GROUPS = (ITEM, LOCATION)
_GUESS = 0.3  # squared coefficient of variation of a panel of which nothing is known yet
_GUESS_WORTH = 2.0  # observations
_SHARED_VARIANCE = 0.05  # how much true effects that all series share differ between cells (squared share of the level)
_ENOUGH = 20.0  # observations of a cell, of all series together, from which on its mean speaks for itself


@dataclass(frozen=True)
class Pooled:
    """Knowledge pooled over series. G groups of each kind, K cells, T periods.

    Attributes
    ----------
    first : period number of the index's column 0
    noise : usual squared coefficient of variation
    effects : float (K,) of all series
    group_effects : {item, location: float (G, K)}, shrunk to `effects`
    level : usual level of a series, units a period
    group_levels : {item, location: float (G,)}, log of the level relative to `level`, shrunk to 0
    index : float (T,), actual over usual sales of all series; nan where nothing is known
    group_index : {item, location: float32 (G, T)}, shrunk to `index`
    keys : {item, location: table with the key and its code `group`}
    """

    first: int
    noise: float
    effects: np.ndarray
    group_effects: dict[str, np.ndarray]
    level: float
    group_levels: dict[str, np.ndarray]
    index: np.ndarray
    group_index: dict[str, np.ndarray]
    keys: dict[str, pl.DataFrame]

    def codes(self, series: pl.DataFrame) -> dict[str, np.ndarray]:
        """{item, location: int (N,)}: the group of each series, and G where it was never seen (the last row: all together)."""
        return group_codes(series, self.keys)

    def prior_effects(self, item: np.ndarray, location: np.ndarray) -> np.ndarray:
        """(N, K): what to expect of a series' cells: all series' effect times the item's and the place's deviation."""
        effects = np.maximum(self.effects, 0.01)
        return self.group_effects[ITEM][item] * self.group_effects[LOCATION][location] / effects

    def prior_level(self, item: np.ndarray, location: np.ndarray) -> np.ndarray:
        """(N,) units: what to expect of a series without history."""
        return self.level * np.exp(self.group_levels[ITEM][item] + self.group_levels[LOCATION][location])

    def mirror(self, last: int) -> "Pooled":
        """The same with time running backwards from period `last` on."""
        keep = last - self.first + 1
        return replace(self, first=last, index=self.index[:keep][::-1].copy(),
                       group_index={k: np.ascontiguousarray(v[:, :keep][:, ::-1]) for k, v in self.group_index.items()})

    def save(self, folder: Path) -> None:
        """Write into a folder."""
        arrays = {"effects": self.effects, "index": self.index}
        for kind in _GROUPS:
            arrays |= {f"{kind}_effects": self.group_effects[kind], f"{kind}_levels": self.group_levels[kind],
                       f"{kind}_index": self.group_index[kind]}
            self.keys[kind].write_parquet(folder / f"pooled-{kind}.parquet")
        np.savez_compressed(folder / "pooled.npz", **arrays)  # type: ignore[arg-type]
        (folder / "pooled.json").write_text(json.dumps({"first": self.first, "noise": self.noise, "level": self.level}) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Pooled":
        """Read what `save` wrote."""
        numbers = json.loads((folder / "pooled.json").read_text())
        with (folder / "pooled.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(numbers["first"], numbers["noise"], arrays["effects"], {k: arrays[f"{k}_effects"] for k in _GROUPS},
                   numbers["level"], {k: arrays[f"{k}_levels"] for k in _GROUPS}, arrays["index"],
                   {k: arrays[f"{k}_index"] for k in _GROUPS},
                   {k: pl.read_parquet(folder / f"pooled-{k}.parquet") for k in _GROUPS})


@dataclass(frozen=True)
class Piece:
    """A run of series for pooling.

    Attributes
    ----------
    sales : float (N, T), units, nan where unknown or closed; the last column is the cutoff
    cells : int (N, T)
    groups : {item, location: int (N,)}
    drive : float (N, T), log effect of the drivers
    """

    sales: np.ndarray
    cells: np.ndarray
    groups: dict[str, np.ndarray]
    drive: np.ndarray


def group_keys(series: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """{item, location: table with the key and its code `group`} of a table of series."""
    return {kind: series.select(kind).unique(maintain_order=True).with_row_index("group") for kind in _GROUPS}


def group_codes(series: pl.DataFrame, keys: dict[str, pl.DataFrame]) -> dict[str, np.ndarray]:
    """{item, location: int (N,)}: position of each series' key, and one past the last where the key is not there."""
    codes = {}
    for kind in _GROUPS:
        table, known = series.select(kind), keys[kind]
        if table.schema[kind] != known.schema[kind]:
            table = table.with_columns(pl.col(kind).cast(known.schema[kind], strict=False))
        found = table.join(known, on=kind, how="left", maintain_order="left")["group"]
        codes[kind] = found.fill_null(known.height).to_numpy().astype(np.int64)
    return codes


def pool(pieces: "Pieces", keys: dict[str, pl.DataFrame], rhythm: Rhythm, *, size: int, first: int, width: int) -> Pooled:
    """Learn what series share, in two passes over them.

    Parameters
    ----------
    pieces : called for each pass, gives the runs of series in the same order
    keys : as `group_keys` makes them
    size : number of cells
    first, width : period number of the first column of the pieces, and how many columns they have
    """
    total = {k: np.zeros((keys[k].height, size)) for k in _GROUPS}
    count = {k: np.zeros((keys[k].height, size)) for k in _GROUPS}
    noise, weight, again, square, freedom = 0.0, 0.0, 0.0, 0.0, 0.0
    for piece in pieces():
        relative = relative_to_local_level(piece.sales / np.exp(piece.drive), rhythm.recent // 2)
        sums = cell_sums(relative, piece.cells, size, usual_noise=0.0)
        for kind in _GROUPS:
            np.add.at(total[kind], piece.groups[kind], sums.total)
            np.add.at(count[kind], piece.groups[kind], sums.count)
        seen = np.minimum(sums.count.sum(1), 200)
        noise += float((np.minimum(sums.noise, 10) * seen).sum())
        weight += float(seen.sum())
        again = max(again, float(sums.freedom.max(initial=0.0)))
        square += float(np.nansum(np.minimum((relative - 1) ** 2, 10)))
        freedom += float(np.maximum(sums.count.sum(1) - 1, 0).sum())
    usual_noise = noise / weight if weight else 1.0
    # In the first weeks no series has seen a cell often enough to tell noise from effect: all variation counts as noise.
    young = max(0.0, 1 - again / USUAL_WORTH)
    if weight and young:
        usual_noise += young * ((square + _GUESS_WORTH * _GUESS) / (freedom + _GUESS_WORTH) - usual_noise)
    effects = _shared_effects(total[ITEM].sum(0), count[ITEM].sum(0), usual_noise)
    grouped = {}
    for kind in _GROUPS:
        pull = 50 * usual_noise / 0.5 + 1.0
        own = np.maximum((total[kind] + pull * effects) / (count[kind] + pull), 0.01)
        grouped[kind] = np.vstack([own, effects])
    bare = Pooled(first, usual_noise, effects, grouped, 1.0, {k: np.zeros(keys[k].height + 1) for k in _GROUPS}, np.ones(width),
                  {k: np.ones((keys[k].height + 1, 1), np.float32) for k in _GROUPS}, keys)
    return _with_index(bare, pieces, rhythm, width)


def _shared_effects(total: np.ndarray, count: np.ndarray, noise: float) -> np.ndarray:
    """(K,) effects of cells on all series together, of sums of relative sales (K,) and how many they are (K,).

    A cell seen a few times is drawn towards 1 by the noise over the variance of true effects, one that was never seen is 1. That
    fades as evidence grows: the mean of many series is hardly drawn at all.
    """
    few = np.maximum(1 - count / _ENOUGH, 0.0)
    pull = noise * (1 + few * (1 / _SHARED_VARIANCE - 1))
    return np.maximum(np.where(count > 0, (total + pull) / (count + pull + TINY), 1.0), 0.01)


def _with_index(pooled: Pooled, pieces: "Pieces", rhythm: Rhythm, width: int) -> Pooled:
    actual = {k: np.zeros((pooled.keys[k].height, width)) for k in _GROUPS}
    usual = {k: np.zeros((pooled.keys[k].height, width)) for k in _GROUPS}
    logs, items, locations = [], [], []
    size = len(pooled.effects)
    for piece in pieces():
        relative = relative_to_local_level(piece.sales / np.exp(piece.drive), rhythm.recent // 2)
        sums = cell_sums(relative, piece.cells, size, usual_noise=pooled.noise)
        own = shrunk_effects(sums, pooled.prior_effects(piece.groups[ITEM], piece.groups[LOCATION]))
        effects = np.take_along_axis(own, piece.cells[:, :width], axis=1) * np.exp(piece.drive)
        known = np.isfinite(piece.sales)
        exposure = np.where(known, effects, 0.0)
        sales = np.where(known, np.maximum(piece.sales, 0), 0.0)
        level = sales.sum(1) / np.maximum(exposure.sum(1), TINY)
        sold = level > TINY
        # The square root: large series are known better, but should not be all that counts.
        scale = np.where(sold, 1 / np.sqrt(np.maximum(level, TINY)), 0.0)[:, None]
        for kind in _GROUPS:
            np.add.at(actual[kind], piece.groups[kind], sales * scale)
            np.add.at(usual[kind], piece.groups[kind], exposure * level[:, None] * scale)
        logs.append(np.log(np.maximum(level[sold], TINY)))
        items.append(piece.groups[ITEM][sold])
        locations.append(piece.groups[LOCATION][sold])
    all_actual, all_usual = actual[ITEM].sum(0), usual[ITEM].sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        index = np.where(all_usual > 0, all_actual / all_usual, np.nan)
    group_index = {}
    for kind in _GROUPS:
        mean = usual[kind].sum(1) / np.maximum((usual[kind] > 0).sum(1), 1)
        pull = (0.2 * mean)[:, None] + TINY
        own_index = (actual[kind] + pull * index) / (usual[kind] + pull)
        group_index[kind] = np.vstack([own_index, index]).astype(np.float32)
    level, group_levels = _additive(np.concatenate(logs), {ITEM: np.concatenate(items), LOCATION: np.concatenate(locations)},
                                    {k: pooled.keys[k].height for k in _GROUPS})
    return replace(pooled, level=level, group_levels=group_levels, index=index, group_index=group_index)


def _additive(logs: np.ndarray, groups: dict[str, np.ndarray], sizes: dict[str, int]) -> tuple[float, dict[str, np.ndarray]]:
    """Usual level, and log deviations by item and by place, fitted in turns and shrunk (two series' worth)."""
    middle = float(logs.mean()) if len(logs) else 0.0
    parts = {k: np.zeros(sizes[k] + 1) for k in _GROUPS}
    for _ in range(4):
        for kind, other in (_GROUPS, _GROUPS[::-1]):
            rest = logs - middle - parts[other][groups[other]]
            total = np.bincount(groups[kind], weights=rest, minlength=sizes[kind])
            count = np.bincount(groups[kind], minlength=sizes[kind])
            parts[kind][:-1] = total / (count + 2.0)
    return (float(np.exp(middle)) if len(logs) else 0.0), parts


class Pieces(Protocol):
    """A function that goes through the runs of series from the first on, each time it is called."""

    def __call__(self) -> Iterator[Piece]:
        """Start from the first run."""

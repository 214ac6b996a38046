"""Planners' overrides applied to a forecast. The model's own forecast stays as it is; a ledger says what was moved, by whom, why.

One override stands in each period of each series: a lock before everything else, then the one written last, then the one
further down in the table. So a row of the ledger has one author, and the value added has somebody to thank. What an override does:

    value    the whole distribution is scaled so that its mean is the value: the relative spread stays
    factor   mean and quantiles times the factor
    add      mean and quantiles moved by so many units, nothing below zero: what is added is held to be certain
    lock     mean and all quantiles are the value

An amount (not a factor) given for several series is their total in each period, shared in proportion to the model's means, or
equally where all of these are 0. What is locked within such a group counts towards its value; what a later override takes out
of it does not: it changes the total, as its author must have wanted.

A value of a very different size than the mean takes the shape that the forecast's own series of that size have on average; see
`adjust.moving`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.adjust.moving import Shapes, moved
from shelfcast.adjust.override_table import (
    AMOUNT,
    FIRST,
    ID,
    KIND,
    LAST,
    ROW,
    WHEN,
    WHO,
    WHY,
    Overrides,
    attributes_of,
    texts,
)
from shelfcast.errors import DataError, shorten
from shelfcast.forecast import Forecast
from shelfcast.names import DATE, KEYS
from shelfcast.periods import Frequency

VALUE, FACTOR, ADD, LOCK = range(4)
_CODES: Final = {"value": VALUE, "factor": FACTOR, "add": ADD, "lock": LOCK}


@dataclass(frozen=True)
class Moves:
    """What overrides do to a forecast, as decided from its means alone, so that its quantiles can be moved batch by batch.

    Attributes
    ----------
    overrides : those that were asked for
    series, frequency, cutoff : of the forecast
    winner : int32 (N, H), row of the overrides' table that stands in this period; -1 where the model's forecast does
    before, after : float64 (N, H), units; means
    shapes : of the model's forecast
    told : sentences for the user
    """

    overrides: Overrides
    series: pl.DataFrame
    frequency: Frequency
    cutoff: int
    winner: np.ndarray
    before: np.ndarray
    after: np.ndarray
    shapes: Shapes
    told: tuple[str, ...] = ()

    def on(self, forecast: Forecast, *, first: int = 0) -> Forecast:
        """A forecast of `len(forecast)` of the series, from position `first` on, with its overrides."""
        here = slice(first, first + len(forecast))
        if not forecast.series.select(KEYS).equals(self.series[here].select(KEYS)):
            raise DataError("The forecast has other series than the overrides were decided for. Give the same ones.")
        touched = self.winner[here] >= 0
        if not touched.any():
            return forecast
        quantiles, mean = np.array(forecast.quantiles, dtype=float), np.array(forecast.mean, dtype=float)
        quantiles[touched] = self._moved(quantiles[touched], self.winner[here][touched], self.after[here][touched], mean[touched])
        mean[touched] = self.after[here][touched]
        return Forecast(forecast.series, forecast.frequency, forecast.cutoff, forecast.levels, quantiles, mean)

    def _moved(self, quantiles: np.ndarray, winner: np.ndarray, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Quantiles (K, Q) of K periods whose mean goes from before (K,) to after (K,)."""
        kind, amount = _codes(self.overrides)[winner], self.overrides.table[AMOUNT].to_numpy()[winner]
        out = quantiles * np.where(kind == FACTOR, amount, 1.0)[:, None]
        value = kind == VALUE
        out[value] = moved(quantiles[value], before[value], after[value], self.shapes)
        add = kind == ADD
        floor = np.minimum(quantiles[add], 0.0)  # below zero only what was there already, net of returns
        risen = np.maximum(quantiles[add] + (after - before)[add, None], floor)
        out[add] = np.where(((after <= 0) & (after < before))[add, None], floor, risen)
        out[kind == LOCK] = after[kind == LOCK, None]
        return out

    def ledger(self, which: slice = slice(None)) -> pl.DataFrame:
        """One row for each period that was touched of all series, or of some: `item, location, date, kind, before, after, override,
        who, when, why`; before and after are means in units."""
        winner = self.winner[which]
        rows, steps = np.nonzero(winner >= 0)
        said = self.overrides.table.select(KIND, pl.col(ID).alias("override"), WHO, WHEN, WHY)[winner[rows, steps]]
        moved = pl.DataFrame({"before": self.before[which][rows, steps], "after": self.after[which][rows, steps]})
        dates = self.frequency.dates(self.cutoff + 1 + np.arange(winner.shape[1]))[steps].alias(DATE)
        keys = self.series[which].select(KEYS)[rows].with_columns(dates)
        return pl.concat([keys, said.select(KIND), moved, said.drop(KIND)], how="horizontal")

    def by_author(self) -> pl.DataFrame:
        """One row for each planner, the one who moved most first: `who`, `overrides` that stand somewhere, `periods`, and units
        moved `up` and `down`."""
        touched = self.winner >= 0
        k, move = self.winner[touched], (self.after - self.before)[touched]
        parts = {"periods": None, "up": np.maximum(move, 0.0), "down": np.maximum(-move, 0.0)}
        sums = {name: np.bincount(k, weights, len(self.overrides)) for name, weights in parts.items()}
        table = pl.DataFrame({WHO: self.overrides.table[WHO], **sums}).filter(pl.col("periods") > 0)
        sums_of = pl.len().alias("overrides"), pl.col("periods").cast(pl.Int64).sum(), pl.col("up", "down").sum()
        return (table.group_by(WHO).agg(*sums_of)
                .sort(pl.col("up") + pl.col("down"), WHO, descending=[True, False]))


@dataclass(frozen=True)
class Overridden:
    """A forecast with its overrides.

    Attributes
    ----------
    forecast : what is planned with
    ledger : what was moved, a row for each series and period: `item, location, date, kind, before, after, override, who, when, why`
    told : sentences for the user
    """

    forecast: Forecast
    ledger: pl.DataFrame
    told: tuple[str, ...] = ()


def apply(forecast: Forecast, overrides: Overrides, *, items: pl.DataFrame | None = None, places: pl.DataFrame | None = None,
          known: pl.DataFrame | None = None, unsampled: pl.DataFrame | None = None) -> Overridden:
    """A forecast with the overrides of its periods; the given forecast stays as it is.

    Parameters
    ----------
    items, places : tables of attributes by `item`, by `location`, for overrides of a category or a region
    known : table of all series that there are, where these are more than are forecast; their names are no mistakes
    unsampled : series that would be forecast, but were left out of a sample; a total that they share in is not applied

    Raises
    ------
    UnknownNameError
        If an override names an item, location or attribute that nothing has.
    """
    moves = decide_moves(forecast.series, forecast.mean, overrides, frequency=forecast.frequency, cutoff=forecast.cutoff,
                         shapes=Shapes.of(forecast), items=items, places=places, known=known, unsampled=unsampled)
    return Overridden(moves.on(forecast), moves.ledger(), moves.told)


def apply_as_known(forecast: Forecast, overrides: Overrides, *, items: pl.DataFrame | None = None,
                   places: pl.DataFrame | None = None, known: pl.DataFrame | None = None,
                   unsampled: pl.DataFrame | None = None) -> Overridden:
    """`apply` for a window of the past: only with the overrides that had been written when its history ended."""
    return apply(forecast, overrides.known_at(forecast.frequency, forecast.cutoff), items=items, places=places, known=known,
                 unsampled=unsampled)


def decide_moves(series: pl.DataFrame, mean: np.ndarray, overrides: Overrides, *, frequency: Frequency, cutoff: int, shapes: Shapes,
                 items: pl.DataFrame | None = None, places: pl.DataFrame | None = None, known: pl.DataFrame | None = None,
                 unsampled: pl.DataFrame | None = None) -> Moves:
    """Decide which override stands where and what it makes of the means; the two steps of `apply`, for forecasts in batches.

    Parameters
    ----------
    series : (N rows) `item`, `location`, sorted
    mean : float (N, H), units; of the model's forecast
    shapes : the sum of `Shapes.of` every batch
    """
    overrides.check_names(series if known is None else known, items=items, places=places)
    n, horizon = mean.shape
    scopes = _members(overrides, series, items, places)
    table = overrides.table
    begin = table.select(frequency.number_of(pl.col(FIRST))).to_series().to_numpy().astype(np.int64) - cutoff - 1
    end = table.select(frequency.number_of(_last_moment(frequency))).to_series().to_numpy().astype(np.int64) - cutoff
    inside = (end > 0) & (begin < horizon)
    begin, end = np.clip(begin, 0, horizon), np.clip(end, 0, horizon)
    partial = _partial_totals(overrides, unsampled, items, places) & inside
    rows = np.flatnonzero(inside & (scopes.counts > 0) & ~partial)
    rank = np.empty(len(table), dtype=np.int32)  # what stands when several speak of one period
    by_rank = table.with_row_index("at").sort(pl.col(KIND) == "lock", WHEN, ROW)["at"].to_numpy()
    rank[by_rank] = np.arange(len(table), dtype=np.int32)
    winner = _winners(scopes, rows, begin, end, rank, (n, horizon))
    winner[winner >= 0] = by_rank[winner[winner >= 0]]
    after = _means(overrides, scopes, rows[np.argsort(rank[rows])], begin, end, winner, mean)
    told = _told(overrides, winner, (scopes.counts * (end - begin))[rows], rows, inside, scopes.counts, partial, frequency)
    return Moves(overrides, series, frequency, cutoff, winner, np.array(mean, dtype=float), after, shapes, told)


# -- which series an override is about --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scopes:
    """Positions of the series that each override is about: `positions[starts[k]: starts[k] + counts[k]]`, rising."""

    positions: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    def of(self, k: int) -> np.ndarray:
        return self.positions[self.starts[k]: self.starts[k] + self.counts[k]]


def _members(overrides: Overrides, series: pl.DataFrame, items: pl.DataFrame | None, places: pl.DataFrame | None) -> _Scopes:
    """Overrides that name the same columns are joined to the series at once: each series has one scope of each such kind."""
    pattern_of = pl.concat_str(pl.col(c).is_not_null().cast(pl.Int8).cast(pl.String) for c in overrides.scope)
    named = overrides.table.with_row_index("at").with_columns(pattern_of.alias("pattern"))
    labels = _labels(overrides, series, items, places)
    positions, starts, counts, used = [], np.zeros(len(overrides), dtype=np.int64), np.zeros(len(overrides), dtype=np.int64), 0
    for pattern, part in named.group_by("pattern"):
        columns = [c for c, there in zip(overrides.scope, str(pattern[0]), strict=True) if there == "1"]
        if not columns:
            members = labels.select("position", pl.lit(0).alias("scope"))
            part = part.with_columns(pl.lit(0).alias("scope"))
        else:
            scopes = part.select(columns).unique().with_row_index("scope")
            members = labels.join(scopes, on=columns, how="inner").select("position", "scope").sort("scope", "position")
            part = part.join(scopes, on=columns, how="left")
        runs = members.group_by("scope").len().sort("scope").with_columns((pl.col("len").cum_sum() - pl.col("len")).alias("start"))
        found = part.select("at", pl.col("scope").cast(runs.schema["scope"])).join(runs, on="scope", how="inner")
        at = found["at"].to_numpy()
        starts[at], counts[at] = used + found["start"].to_numpy().astype(np.int64), found["len"].to_numpy()
        positions.append(members["position"].to_numpy())
        used += members.height
    return _Scopes(np.concatenate([np.zeros(0, dtype=np.int64), *positions]).astype(np.int64), starts, counts)


def _labels(overrides: Overrides, series: pl.DataFrame, items: pl.DataFrame | None, places: pl.DataFrame | None) -> pl.DataFrame:
    """The series with what overrides may name them by, as texts, and their `position`."""
    given = attributes_of(items, places)
    out = series.select(KEYS).with_row_index("position")
    for name in overrides.attributes:
        key, table = given[name]
        out = out.join(table.select(key, texts(table[name]).alias(name)).unique(key), on=key, how="left", maintain_order="left")
    return out.with_columns(texts(out[k]) for k in KEYS)


def _last_moment(frequency: Frequency) -> pl.Expr:
    """The last date of an override; of hours, the last of a day that is given without a time."""
    last = pl.col(LAST)
    if frequency.unit != "h":
        return last
    return pl.when((last.dt.hour() == 0) & (last.dt.minute() == 0)).then(last + pl.duration(hours=23)).otherwise(last)


def _partial_totals(overrides: Overrides, unsampled: pl.DataFrame | None, items: pl.DataFrame | None,
                    places: pl.DataFrame | None) -> np.ndarray:
    """(K,) overrides whose amount is a total that series which are not forecast here share in."""
    if unsampled is None or not unsampled.height:
        return np.zeros(len(overrides), dtype=bool)
    return (_codes(overrides) != FACTOR) & (_members(overrides, unsampled, items, places).counts > 0)


# -- which override stands, and what it makes of the mean -------------------------------------------------------------


def _winners(scopes: _Scopes, rows: np.ndarray, begin: np.ndarray, end: np.ndarray, rank: np.ndarray,
             shape: tuple[int, int]) -> np.ndarray:
    """int32 (N, H): the highest rank among the overrides of each period; -1 where there is none."""
    grid = np.full(shape, -1, dtype=np.int32)
    single = rows[scopes.counts[rows] == 1]
    cells, owner = _cells(scopes.positions[scopes.starts[single]] * shape[1], begin[single], end[single])
    np.maximum.at(grid.reshape(-1), cells, rank[single][owner])
    for k in rows[scopes.counts[rows] > 1]:
        block = np.ix_(scopes.of(k), np.arange(begin[k], end[k]))
        grid[block] = np.maximum(grid[block], rank[k])
    return grid


def _cells(base: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions base + begin ... base + end - 1 of each override, and which override (0 ... K - 1) each belongs to."""
    length = end - begin
    owner = np.repeat(np.arange(len(base)), length)
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return (base + begin)[owner] + within, owner


def _means(overrides: Overrides, scopes: _Scopes, rising: np.ndarray, begin: np.ndarray, end: np.ndarray, winner: np.ndarray,
           mean: np.ndarray) -> np.ndarray:
    """float64 (N, H): the means with the overrides; `rising` are the overrides by rank, the one that stands first last."""
    after = np.array(mean, dtype=float)
    kinds, amounts = _codes(overrides), overrides.table[AMOUNT].to_numpy()
    touched = winner >= 0
    who, before = winner[touched], after[touched]
    kind, amount = kinds[who], amounts[who]
    alone = np.where(kind == ADD, np.maximum(before + amount, np.minimum(before, 0.0)), amount)
    after[touched] = np.where(kind == FACTOR, before * amount, np.where(scopes.counts[who] == 1, alone, before))
    locks = touched & (np.append(kinds, -1)[winner] == LOCK)
    for k in rising[::-1]:  # a total is shared when the locks within it are settled, and these stand above it
        if scopes.counts[k] == 1 or kinds[k] == FACTOR:
            continue
        block = np.ix_(scopes.of(k), np.arange(begin[k], end[k]))
        own = winner[block] == k
        free = own | ~locks[block]
        weight = np.where(free, np.maximum(mean[block], 0.0), 0.0)
        total = weight.sum(axis=0)
        share = np.where(total > 0, weight / np.where(total > 0, total, 1.0), free / np.maximum(free.sum(axis=0), 1))
        if kinds[k] == ADD:
            wanted = np.maximum(mean[block] + amounts[k] * share, np.minimum(mean[block], 0.0))
        else:
            locked = np.where(free, 0.0, after[block]).sum(axis=0)
            wanted = np.maximum(amounts[k] - locked, 0.0) * share
        after[block] = np.where(own, wanted, after[block])
    return after


def _told(overrides: Overrides, winner: np.ndarray, asked: np.ndarray, rows: np.ndarray, inside: np.ndarray, counts: np.ndarray,
          partial: np.ndarray, frequency: Frequency) -> tuple[str, ...]:
    """What a planner should hear: overrides that came to nothing, and those that others stand before."""
    table, told = overrides.table, []
    outside = int((~inside).sum())
    if outside:
        told.append(f"Of {_many(len(overrides))}, {outside:,} speak of other {frequency.noun}s than are forecast.")
    if partial.any():
        told.append(f"{_many(int(partial.sum()))} of totals that series share in which are not forecast here: not applied.")
    nowhere = np.flatnonzero(inside & (counts == 0))
    if len(nowhere):
        first = table.row(int(nowhere[0]), named=True)
        what = ", ".join(f"{c} {shorten(first[c], 40)}" for c in overrides.scope if first[c] is not None)
        told.append(f"{_many(len(nowhere))} of nothing that is forecast; the first, {shorten(first[ID], 40)}: {what}.")
    won = np.bincount(winner[winner >= 0], minlength=len(table))[rows]
    beaten = np.flatnonzero(won < asked)
    if len(beaten):
        k = beaten[np.argmax((asked - won)[beaten])]
        one = table.row(int(rows[k]), named=True)
        told.append(f"A lock or a later word stands before {_many(len(beaten))}, in {int((asked - won).sum()):,} periods; before "
                    f"{shorten(one[ID], 40)} of {shorten(one[WHO], 40)} in {int(asked[k] - won[k]):,} of {int(asked[k]):,}.")
    return tuple(told)


def _many(count: int) -> str:
    return f"{count:,} override{'s' * (count != 1)}"


def _codes(overrides: Overrides) -> np.ndarray:
    return overrides.table[KIND].replace_strict(_CODES, return_dtype=pl.Int8).to_numpy()

"""The table that models learn from: one row per series, origin and target period, generic features only.

`stand` is what is known of a block's series as of an origin; `base_terms` gives the parts of a profile forecast from there;
`features_at` puts it all into one matrix. Nothing after the origin is read but known covariates, and these no further than
the end of the horizon.
"""

from dataclasses import dataclass

import numpy as np

from shelfcast.features.block import Block
from shelfcast.features.calendar import calendar_features
from shelfcast.features.drivers import Drivers, learn_drivers, signals
from shelfcast.features.history import (
    TINY,
    Habits,
    Levels,
    Rhythm,
    Sums,
    cell_sums,
    habits,
    levels,
    relative_to_local_level,
    shrunk_effects,
)
from shelfcast.features.pooled import Pooled
from shelfcast.features.price import against_own_past, as_of_origin
from shelfcast.features.scheme import Scheme
from shelfcast.names import ITEM, LOCATION
from shelfcast.periods import Frequency

FAR = 60  # periods to a flag beyond which the distance no longer matters
CROSSED_FLAGS = 2  # flags that are crossed with the weekday


def choose_crossed(block: Block, scheme: Scheme) -> tuple[str, ...]:
    """The flags that explain most of relative sales beyond the weekday."""
    relative = relative_to_local_level(block.sales, scheme.rhythm.recent // 2)
    width = relative.shape[1]
    known = np.isfinite(relative)
    if not known.any():
        return ()
    slots = block.cells[:, :width][known] % scheme.slots
    values = np.minimum(relative[known], 5.0)
    explained = {}
    for name in scheme.flags:
        cell = slots * 2 + (block.known[name][:, :width][known] == 1)
        count = np.bincount(cell, minlength=2 * scheme.slots).reshape(-1, 2)
        total = np.bincount(cell, weights=values, minlength=2 * scheme.slots).reshape(-1, 2)
        mean = total / np.maximum(count, 1)
        both = count[:, 0] * count[:, 1] / np.maximum(count.sum(1), 1)
        explained[name] = float((both * (mean[:, 1] - mean[:, 0]) ** 2).sum() / len(values))
    best = sorted((n for n in explained if explained[n] > 1e-3), key=lambda n: -explained[n])
    return tuple(best[:CROSSED_FLAGS])


def choose_drivers(block: Block, scheme: Scheme) -> Drivers:
    """Effects of known covariates that are not crossed with the weekday, of days beside closed ones, and of the month's course."""
    frequency = Frequency.parse(scheme.frequency)
    shut = block.last_on["closed"] == np.arange(block.closed.shape[1]) if scheme.closed_when else None
    given = signals(block.known, shut, frequency, block.first + np.arange(block.closed.shape[1]))
    flags = [n for n in scheme.flags if n not in scheme.crossed]
    return learn_drivers(given, block.sales, block.cells, size=scheme.cells, flags=flags, numbers=scheme.numbers,
                         unit=frequency.unit)


@dataclass(frozen=True)
class Standing:
    """What is known of a block's series as of an origin.

    Attributes
    ----------
    origin : column of the last period of history
    start : first column that is looked at
    levels, habits : see `features.history`
    effects : float (N, K)
    prior : float (N, K), effects expected from item and place
    noise : float (N,)
    exposure : float (N, T'), effects of the columns start..origin, 0 where sales are unknown
    """

    origin: int
    start: int
    levels: Levels
    habits: Habits
    effects: np.ndarray
    prior: np.ndarray
    noise: np.ndarray
    exposure: np.ndarray


def stand(block: Block, pooled: Pooled, rhythm: Rhythm, origin: int) -> Standing:
    """Levels, cell effects and habits from the context before and at the origin."""
    start = max(0, origin - rhythm.context + 1)
    sales, cells = block.sales[:, start:origin + 1], block.cells[:, start:origin + 1]
    drive = np.exp(block.drive[:, start:origin + 1])
    prior = pooled.prior_effects(block.groups[ITEM], block.groups[LOCATION])
    sums = cell_sums(relative_to_local_level(sales / drive, rhythm.recent // 2), cells, prior.shape[1], usual_noise=pooled.noise)
    effects = shrunk_effects(sums, prior) if prior.shape[1] > 1 else prior
    each = np.take_along_axis(effects, cells, axis=1) * drive
    fallback = pooled.prior_level(block.groups[ITEM], block.groups[LOCATION])
    level = levels(sales, each, rhythm, noise=sums.noise, fallback=fallback)
    return Standing(origin, start, level, habits(sales, rhythm, level.long), effects, prior, sums.noise,
                    np.where(np.isfinite(sales), each, 0.0))


BASE_TERMS = ("middle/long", "short/middle", "own year ago", "item year ago", "place year ago", "all year ago",
              "own slope year ago", "item slope year ago", "place slope year ago", "all slope year ago",
              "own growth", "item growth", "place growth")
"""Year ago: the target's period last year over the middle level there. Slope: the middle over the long level there, which
together with `middle/long` chooses which level last year's shape is put upon. Growth: the middle level over that of last year;
a coefficient between -1 and 0 says how much of the growth does not last."""


def base_terms(block: Block, pooled: Pooled, scheme: Scheme, standing: Standing,
               steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of a profile forecast.

    Returns
    -------
    flat : float (N, H), units: long level times the effect of the target's cell
    terms : float (N, H, P), logs of what may move it, in the order of BASE_TERMS; nan where not known
    """
    o, rhythm = standing.origin, scheme.rhythm
    targets = o + steps
    effect = np.take_along_axis(standing.effects, block.cells[:, targets], axis=1) * np.exp(block.drive[:, targets])
    flat = standing.levels.long[:, None] * effect
    ago = block.year_ago(Frequency.parse(scheme.frequency), targets)
    level = standing.levels
    n, h = flat.shape
    terms = np.full((n, h, len(BASE_TERMS)), np.nan)
    terms[:, :, 0] = np.log((level.middle + TINY) / (level.long + TINY))[:, None]
    terms[:, :, 1] = np.log((level.short + TINY) / (level.middle + TINY))[:, None]
    for j, shape in enumerate(group_shapes(block, pooled, rhythm, o, ago), start=3):
        terms[:, :, j] = np.log(np.maximum(shape, 0.02))
    with np.errstate(invalid="ignore", divide="ignore"):
        terms[:, :, 6] = np.log((level.middle_year_ago + TINY) / (level.long_year_ago + TINY))[:, None]
        for j, (codes, index) in enumerate(pooled_indexes(block, pooled), start=7):
            end = o + block.first - pooled.first - rhythm.year
            slope = np.log(_index_level(index, end, rhythm.halves[1]) / _index_level(index, end, rhythm.halves[2]))
            terms[:, :, j] = slope[codes][:, None]
        terms[:, :, 10] = np.log((level.middle + TINY) / (level.middle_year_ago + TINY))[:, None]
        for j, (codes, index) in enumerate(pooled_indexes(block, pooled)[:2], start=11):
            end = min(o + block.first - pooled.first, index.shape[1] - 1)
            growth = np.log(_index_level(index, end, rhythm.halves[1]) / _index_level(index, end - rhythm.year, rhythm.halves[1]))
            terms[:, :, j] = growth[codes][:, None]
    if level.weight_year_ago.any():
        sold, exposed = own_window(block, standing, ago, rhythm.smooth)
        pull = (0.3 + 2.0 * np.minimum(standing.noise, 4.0))[:, None]
        expected = np.exp(np.clip(np.nan_to_num(terms[:, :, 3]), -30.0, 30.0))  # a price mistyped by twenty digits has no effect
        level_ago = np.maximum(level.middle_year_ago, TINY)[:, None]
        shape = (sold + pull * level_ago * expected) / (exposed + pull) / level_ago
        terms[:, :, 2] = np.where(exposed > 0, np.log(np.maximum(shape, 0.02)), np.nan)
    return flat, np.clip(terms, -2.5, 2.5)


def own_window(block: Block, standing: Standing, columns: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, H) sales and (N, H) exposure of the series' own periods around `columns`, never after the origin."""
    at = columns - standing.start
    last = standing.origin - standing.start
    sales = np.maximum(block.sales[:, standing.start:standing.origin + 1], 0)
    inside = (at >= 0) & (at <= last)
    lo, hi = at - half, np.minimum(at + half, last)
    sold, exposed = Sums(sales).window(lo, hi), Sums(standing.exposure).window(lo, hi)
    return np.where(inside, sold, 0.0), np.where(inside, exposed, 0.0)


def group_shapes(block: Block, pooled: Pooled, rhythm: Rhythm, origin: int, ago: np.ndarray) -> list[np.ndarray]:
    """[(N, H)] of item, place and all: the pooled index at the year-ago columns over its level a year before the origin."""
    out = []
    for codes, index in pooled_indexes(block, pooled):
        shift = block.first - pooled.first
        end = origin + shift
        columns = ago + shift
        usable = (columns >= 0) & (columns <= min(end, index.shape[1] - 1))
        known = np.isfinite(index)
        total, count = Sums(index), Sums(known.astype(float))
        lo, hi = columns - rhythm.smooth, np.minimum(columns + rhythm.smooth, end)
        with np.errstate(invalid="ignore", divide="ignore"):
            around = total.window(lo, hi) / count.window(lo, hi)
            shape = around / _index_level(index, end - rhythm.year, rhythm.halves[1])[:, None]
        out.append(np.where(usable, shape, np.nan)[codes])
    return out


def pooled_indexes(block: Block, pooled: Pooled) -> list[tuple[np.ndarray, np.ndarray]]:
    """[(int (N,), float (G, T))] of item, place and all: which of the groups that occur each series is in, and their indexes."""
    out = []
    for kind in (ITEM, LOCATION):
        there, codes = np.unique(block.groups[kind], return_inverse=True)
        out.append((codes, pooled.group_index[kind][there]))
    return [*out, (np.zeros(len(block.sales), dtype=np.int64), pooled.index[None, :])]


def _index_level(index: np.ndarray, end: int, half: float) -> np.ndarray:
    """(G,): recent-weighted mean of an index up to column `end`; nan without history there."""
    if end < 0:
        return np.full(len(index), np.nan)
    part = index[:, : end + 1]
    weight = 0.5 ** ((end - np.arange(part.shape[1])) / half)
    known = np.isfinite(part)
    mass = (known * weight).sum(axis=1)  # no matrix product: its last bits depend on how many groups there are
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(mass > 1.0, (np.where(known, part, 0) * weight).sum(axis=1) / mass, np.nan)


@dataclass(frozen=True)
class Table:
    """Rows of series x steps, features along the last axis.

    Attributes
    ----------
    names : (F,)
    values : float32 (N * H, F), nan where not known; series by series
    categorical : names of features that are codes
    """

    names: tuple[str, ...]
    values: np.ndarray
    categorical: tuple[str, ...]


def features_at(block: Block, pooled: Pooled, scheme: Scheme, standing: Standing, steps: np.ndarray, *,
                flat: np.ndarray, terms: np.ndarray, base: np.ndarray, horizon: int) -> Table:
    """One matrix of features.

    Parameters
    ----------
    steps : int (H,), periods ahead of the origin, from 1
    flat, terms : as `base_terms` gives them
    base : float (N, H), units, the profile's forecast
    horizon : periods ahead up to which known covariates may be looked at
    """
    o, frequency = standing.origin, Frequency.parse(scheme.frequency)
    targets, limit = o + steps, o + horizon
    n, h = base.shape
    found: dict[str, np.ndarray] = {"step": steps[None, :].astype(float)}
    for name, values in calendar_features(frequency, block.periods(targets), country=scheme.country,
                                          year=scheme.year).items():
        found[name] = values[None, :]
    found |= _covariate_features(block, scheme, o, targets, limit)
    found |= _history_features(block, scheme, standing, targets, base)
    found |= _year_ago_features(block, pooled, scheme, standing, targets, base)
    for j, name in enumerate(BASE_TERMS):
        found[name] = terms[:, :, j]
    found["effect"] = np.log(flat / np.maximum(standing.levels.long, TINY)[:, None] + TINY)
    prior = np.take_along_axis(standing.prior, block.cells[:, targets], axis=1)
    found["effect/usual"] = found["effect"] - np.log(prior)
    if scheme.drivers:
        found["drive"] = block.drive[:, targets]
    found["base/flat"] = np.log((base + TINY) / (flat + TINY))
    for name, values in block.static.items():
        found[name] = values[:, None]
    categorical = [*(scheme.texts or ()), *(scheme.static_texts or ())]
    out = np.empty((n, h, len(found)), dtype=np.float32)
    for j, values in enumerate(found.values()):
        out[:, :, j] = values
    return Table(tuple(found), out.reshape(n * h, -1), tuple(c for c in found if c in categorical))


def _covariate_features(block: Block, scheme: Scheme, origin: int, targets: np.ndarray, limit: int) -> dict[str, np.ndarray]:
    rhythm = scheme.rhythm
    found: dict[str, np.ndarray] = {}
    for name in (*scheme.flags, *(scheme.texts or ())):
        found[name] = block.known[name][:, targets]
    if scheme.slots == 1:  # in weeks and months the neighbour's flag itself is what matters
        for name in scheme.flags:
            found[f"{name} before"], found[f"{name} after"] = block.beside(block.known[name], targets, limit=limit)
    for name in block.last_on:
        found[f"{name} since"], found[f"{name} until"] = block.distances(name, targets, limit=limit, most=FAR)
    for name in scheme.numbers:
        for part, values in against_own_past(block.known[name], origin, targets, recent=rhythm.recent, long=rhythm.year,
                                             beside=block.beside(block.known[name], targets, limit=limit)).items():
            found[name + part] = values
    if scheme.closed_when:
        shut = Sums(block.closed.astype(float))
        back, ahead = shut.window(targets - 7, targets - 1), shut.window(targets + 1, targets + 7)
        before, after = (ahead, back) if block.mirrored else (back, ahead)
        found["closed days before"], found["closed days after"] = before, np.where(targets + 7 <= limit, after, np.nan)
        found["closed before"], found["closed after"] = block.beside(block.closed, targets, limit=limit)
    for name, values in block.past.items():
        for part, value in as_of_origin(values, origin, recent=max(4, rhythm.recent // 4), long=rhythm.year).items():
            found[name + part] = value
    return found


def _history_features(block: Block, scheme: Scheme, standing: Standing, targets: np.ndarray,
                      base: np.ndarray) -> dict[str, np.ndarray]:
    habit, level = standing.habits, standing.levels
    found = {
        "noise": np.log(standing.noise + 1e-4), "zeros recent": habit.zeros_recent, "zeros long": habit.zeros_long,
        "naive error": np.log((habit.naive_error + TINY) / (level.long + TINY)), "idle": np.minimum(habit.idle, 400),
        "age": np.minimum(habit.age, scheme.rhythm.year * 2.0), "size": np.log((habit.size + TINY) / (level.long + TINY)),
        "units": np.log(level.long + 1e-3),
    }
    out = {name: values[:, None] for name, values in found.items()}
    last = standing.origin - standing.start
    sales = np.maximum(block.sales[:, standing.start:standing.origin + 1], 0)
    sold, exposed = Sums(sales), Sums(standing.exposure)
    for name, width in (("last", 1), ("last quarter window", max(2, scheme.rhythm.recent // 4))):
        seen = exposed.window(last - width + 1, last)
        with np.errstate(invalid="ignore", divide="ignore"):
            recent = np.where(seen > 0, sold.window(last - width + 1, last) / seen, np.nan)
        out[name] = np.log(np.maximum(recent / np.maximum(level.middle, TINY)[:, None], 0.02))
    season = scheme.slots if scheme.slots > 1 else 0
    if season:  # what sold in the same slot in the last weeks, against the effect that is assumed
        lag = {"D": 7, "h": 168}[Frequency.parse(scheme.frequency).unit]
        ahead = targets - standing.origin
        same = targets - (-(-ahead // lag)) * lag - standing.start  # the last such slot at or before the origin
        total, seen = np.zeros(base.shape), np.zeros(base.shape)
        for back in range(4):
            at = same - back * lag
            inside = at >= 0
            values = sales[:, np.maximum(at, 0)]
            ok = np.isfinite(values) & inside
            total += np.where(ok, values, 0)
            seen += np.where(ok, standing.exposure[:, np.maximum(at, 0)], 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            usual = np.where(seen > 0, total / seen, np.nan) / np.maximum(level.middle, TINY)[:, None]
            out["same slot"] = np.log(np.maximum(usual, 0.02))
    return out


def _year_ago_features(block: Block, pooled: Pooled, scheme: Scheme, standing: Standing, targets: np.ndarray,
                       base: np.ndarray) -> dict[str, np.ndarray]:
    """Last year around the target, against the base; and how all series, the item and the place grew and lately went."""
    rhythm, o = scheme.rhythm, standing.origin
    frequency = Frequency.parse(scheme.frequency)
    ago = block.year_ago(frequency, targets)
    level_ago = np.maximum(standing.levels.middle_year_ago, TINY)[:, None]
    out = {}
    offsets = (-1, 1) if scheme.slots == 1 else (0,)
    for offset in offsets:
        sold, exposed = own_window(block, standing, ago + offset, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[f"own year ago {offset:+d}"] = np.log(np.maximum(np.where(exposed > 0, sold / exposed, np.nan) / level_ago, 0.02))
    narrow = Rhythm(rhythm.halves, rhythm.context, rhythm.recent, rhythm.year, rhythm.season, 0)
    names = ("item", "place", "all")
    for offset in offsets:
        for name, shape in zip(names, group_shapes(block, pooled, narrow, o, ago + offset), strict=True):
            out[f"{name} year ago {offset:+d}"] = np.log(np.maximum(shape, 0.02))
    further = block.year_ago(frequency, ago)
    if further.max() >= standing.start:
        sold, exposed = own_window(block, standing, further, rhythm.smooth)
        with np.errstate(invalid="ignore", divide="ignore"):
            out["own two years ago"] = np.log(np.maximum(np.where(exposed > 0, sold / exposed, np.nan) / level_ago, 0.02))
    else:
        out["own two years ago"] = np.full((len(base), 1), np.nan)
    end = o + block.first - pooled.first
    for name, (codes, index) in zip(names, pooled_indexes(block, pooled), strict=True):
        end_known = min(end, index.shape[1] - 1)
        now = _index_level(index, end_known, rhythm.halves[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            if name == "all":  # the item's and the place's are among the base's terms
                out["all growth"] = np.log(now / _index_level(index, end_known - rhythm.year, rhythm.halves[1]))[codes][:, None]
            out[f"{name} trend"] = np.log(_index_level(index, end_known, rhythm.halves[0]) / _index_level(
                index, end_known, rhythm.halves[2]))[codes][:, None]
    return {name: np.clip(values, -4, 4) for name, values in out.items()}

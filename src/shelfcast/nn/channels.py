"""What a network is told of a block of series as of an origin: channels for each period, numbers for each series.

Nothing after the origin is read but known covariates and the calendar. Sales are given in units of the series' own level, in
asinh space; beside them stands what was expected of each period by level, weekday and flags, so that what is left over can be
seen at once and carried from place to place.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Protocol, Self

import numpy as np

from shelfcast.features.block import Block
from shelfcast.features.calendar import calendar_features
from shelfcast.features.history import TINY
from shelfcast.features.pooled import Pooled
from shelfcast.features.scheme import Scheme
from shelfcast.features.table import Standing, base_terms, stand
from shelfcast.names import AVAILABLE, ITEM, LOCATION, STOCK
from shelfcast.periods import Frequency

Expect = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the parts of a profile forecast (flat (N, H), terms (N, H, P)) to the forecast in units (N, H), from which the network
starts; see `features.table.base_terms`."""

Bands = Callable[[np.ndarray, Standing], np.ndarray]
"""From forecasts in units (N, H) and what is known of the series to quantiles around them (N, H, 3) at `BANDS`, rising."""

BANDS = (0.1, 0.5, 0.9)
OWN = 7  # channels of the series itself
MOST_VALUES = 12  # of a text that get a channel of their own
_AT_ONCE = 32  # series whose channels are put side by side
FULL_SHELF = 0.95  # share of a period that an item could be bought, from which on sales are demand


@dataclass(frozen=True)
class Scaling:
    """How a number is brought near 0: as the logarithm of its ratio to the series' own usual value, or by mean and spread."""

    ratio: bool
    mean: float
    spread: float

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Learn it from a sample of values (N, T), nan where not known."""
        seen = values[np.isfinite(values)]
        if not len(seen):
            return cls(False, 0.0, 1.0)
        if seen.min() > 0 and values.ndim == 2:
            usual = np.nanmedian(np.where(np.isfinite(values).any(axis=1, keepdims=True), values, 1.0), axis=1, keepdims=True)
            seen = np.log(values / usual)
            return cls(True, 0.0, max(float(np.nanstd(seen)), 1e-3))
        return cls(False, float(seen.mean()), max(float(seen.std()), 1e-6))

    def apply(self, values: np.ndarray, usual: np.ndarray | None = None) -> np.ndarray:
        """Scaled values, the same shape; 0 where not known.

        Parameters
        ----------
        usual : (N, 1), the series' own usual value as of the origin, for ratios
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.ratio and usual is not None:
                scaled = np.log(np.maximum(values, TINY) / usual) / self.spread
            else:
                scaled = (values - self.mean) / self.spread
        return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0), -5.0, 5.0)


@dataclass(frozen=True)
class Layout:
    """Which channels there are; learned from a panel and kept with the network.

    Attributes
    ----------
    context, horizon : periods
    numbers, past, statics : {covariate: how it is scaled}
    gaps : covariates, known or past, that are missing somewhere within the history of a series: each has a channel that says so
    """

    context: int
    horizon: int
    numbers: Mapping[str, Scaling]
    past: Mapping[str, Scaling]
    statics: Mapping[str, Scaling]
    gaps: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Self:
        """From plain values."""
        scalings = {k: {n: Scaling(**s) for n, s in values[k].items()} for k in ("numbers", "past", "statics")}  # type: ignore[attr-defined]
        return cls(values["context"], values["horizon"], **scalings, gaps=tuple(values.get("gaps", ())))  # type: ignore[arg-type]

    def channels(self, view: "View") -> list[np.ndarray]:
        """Each covariate by its name, where it is missing, and the calendar."""
        scheme, past, found = view.scheme, view.past, []
        for name in scheme.flags:
            found.append(view.known(name) == 1)
        for name, texts in (scheme.texts or {}).items():
            found += [view.known(name) == k for k in range(min(len(texts), MOST_VALUES))]
        for name, scaling in self.numbers.items():
            values = view.known(name)
            found.append(scaling.apply(values, usual_value(values[:, :self.context])))
        for name, scaling in self.past.items():
            values = view.seen(name)
            found.append(scaling.apply(values, usual_value(values[:, :self.context])))
        for name in self.gaps:
            missing = past & ~np.isfinite(view.seen(name)) if name in self.past else view.inside & ~np.isfinite(view.known(name))
            found.append(missing)
        return found + list(calendar_channels(Frequency.parse(scheme.frequency), view.block.periods(view.columns), scheme))

    def attributes(self, view: "View") -> list[np.ndarray]:
        """Attributes by their names."""
        found = []
        for name, scaling in self.statics.items():
            found += [scaling.apply(view.block.static[name]), np.isfinite(view.block.static[name])]
        for name, values in (view.scheme.static_texts or {}).items():
            found += [view.block.static[name] == k for k in range(min(len(values), MOST_VALUES))]
        return found


@dataclass(frozen=True)
class View:
    """A block as it is seen from an origin: what channels are made of. N series, K columns of context and horizon.

    Attributes
    ----------
    block : with the sales of those that are shown as new hidden
    pooled, scheme, standing : see `features`
    columns : int (K,), of the block; below 0 before its first period
    terms : float (N, H, P), parts of the profile forecast, see `features.table.base_terms`
    usual, scale : float (N,), usual sales a period, and units in which sales are told
    relative : float (N,), usual sales over what item and place let expect
    where : float (N, 3), scaled latitude and longitude, and 1 where they are known
    exposure : float (N, K), effect of each period's cell and drivers; nan where it is not looked at
    bands : float (N, H, 3), how far the quantiles at `BANDS` of past errors lie from the anchor, in asinh space; None where nobody
        asked
    """

    block: Block
    pooled: Pooled
    scheme: Scheme
    standing: Standing
    columns: np.ndarray
    terms: np.ndarray
    usual: np.ndarray
    scale: np.ndarray
    relative: np.ndarray
    where: np.ndarray
    exposure: np.ndarray
    bands: np.ndarray | None

    @property
    def inside(self) -> np.ndarray:
        """bool (K,), columns that the block has."""
        return self.columns >= 0

    @property
    def past(self) -> np.ndarray:
        """bool (K,), columns of the block up to the origin."""
        return self.inside & (self.columns <= self.standing.origin)

    def known(self, name: str) -> np.ndarray:
        """float (N, K), a known covariate; nan before the block."""
        return np.where(self.inside, self.block.known[name][:, np.maximum(self.columns, 0)], np.nan)

    def seen(self, name: str) -> np.ndarray:
        """float (N, K), a past covariate; nan before the block and after the origin."""
        width = self.block.sales.shape[1]
        return np.where(self.past, self.block.past[name][:, np.clip(self.columns, 0, width - 1)], np.nan)


class Telling(Protocol):
    """Which channels and static numbers a network is given beside sales and what was expected of them."""

    @property
    def context(self) -> int:
        """Periods of the past."""

    @property
    def horizon(self) -> int:
        """Periods ahead."""

    def channels(self, view: View) -> list[np.ndarray]:
        """Arrays (N, K) or (K,), always as many, in the same order; nan where not known."""

    def attributes(self, view: View) -> list[np.ndarray]:
        """Arrays (N,), always as many; nan where not known."""


def learn_layout(block: Block, scheme: Scheme, *, context: int, horizon: int) -> Layout:
    """Sort out how the covariates of a block are scaled."""
    width = block.sales.shape[1]
    alive = np.maximum.accumulate(np.isfinite(block.sales), axis=1)
    varying = {n: block.known[n] for n in (*scheme.flags, *(scheme.texts or ()), *scheme.numbers)} | dict(block.past)
    gaps = tuple(n for n, values in varying.items() if (alive & ~np.isfinite(values[:, :width])).any())
    return Layout(context, horizon, {n: Scaling.of(block.known[n][:, :width]) for n in scheme.numbers},
                  {n: Scaling.of(v) for n, v in block.past.items()},
                  {n: Scaling.of(block.static[n]) for n in scheme.static_numbers}, gaps)


def covariate_channels(scheme: Scheme, layout: Layout) -> range:
    """Where the covariates stand: after sales, what was expected, last year, closed and sold out, and before the calendar."""
    texts = sum(min(len(values), MOST_VALUES) for values in (scheme.texts or {}).values())
    return range(OWN, OWN + len(scheme.flags) + texts + len(layout.numbers) + len(layout.past))


@dataclass(frozen=True)
class Snapshot:
    """What a network is told of N series as of an origin, and what came; fields as in `nn.batch.Batch`, by series.

    Attributes
    ----------
    x : float32 (N, T + H, C)
    anchor, truth : float32 (N, H); lower : bool (N, H)
    expected : float32 (N, H), units: the forecast that the anchor stands for
    static : float32 (N, S); item, place : int64 (N,); scale, weight : float32 (N,)
    upto : int64 (N,), columns of the pooled index that are known at the origin
    new : bool (N,), shown as if nothing had been known of it
    """

    x: np.ndarray
    anchor: np.ndarray
    expected: np.ndarray
    static: np.ndarray
    item: np.ndarray
    place: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    truth: np.ndarray
    lower: np.ndarray
    upto: np.ndarray
    new: np.ndarray


def snapshot(block: Block, pooled: Pooled, scheme: Scheme, layout: Telling, *, origin: int, expect: Expect,
             where: np.ndarray, nearby: np.ndarray, names: tuple[np.ndarray, np.ndarray], hidden: np.ndarray | None = None,
             last: int | None = None, steps: int | None = None, bands: Bands | None = None) -> Snapshot:
    """Stand at a column of a block and look back over the context and ahead over what is known of the horizon.

    Parameters
    ----------
    where : float (N, 3), scaled latitude and longitude, and 1 where they are known
    nearby : float (N,), log level of the places around each, from which a series without history starts
    names : int (N,) twice, identities of item and place from 1; 0 where never seen
    hidden : bool (N,), series that are shown as if they were new: no sales, no name of their own
    last : last column whose sales may be the truth; all when None
    steps : periods of the anchor, where it is wanted beyond the layout's horizon
    bands : tells how past errors lay
    """
    frequency, rhythm = Frequency.parse(scheme.frequency), scheme.rhythm
    context, horizon = layout.context, layout.horizon
    n, width = block.sales.shape
    new = np.zeros(n, dtype=bool) if hidden is None else hidden
    shown = block
    if new.any():
        unknown = pooled.keys[LOCATION].height
        groups = block.groups | {LOCATION: np.where(new, unknown, block.groups[LOCATION])}
        records = {name: np.where(new[:, None], np.nan, values) for name, values in block.past.items()}
        shown = replace(block, sales=np.where(new[:, None], np.nan, block.sales), past=records, groups=groups)
    standing = stand(shown, pooled, rhythm, origin)
    flat, terms = base_terms(shown, pooled, scheme, standing, np.arange(1, (steps or horizon) + 1))
    bare = standing.habits.count == 0
    around = np.where(bare, np.exp(nearby), 1.0)
    expected = expect(flat, terms) * around[:, None]
    usual = np.maximum(standing.levels.long * around, TINY)
    prior = np.maximum(pooled.prior_level(shown.groups[ITEM], shown.groups[LOCATION]), TINY)
    size = np.nan_to_num(standing.habits.size)  # of slow sellers one sale is many periods' usual sales
    scale = np.maximum(np.maximum(usual, 1e-3 * prior), 0.5 * size)[:, None]

    columns = origin + np.arange(-context + 1, horizon + 1)
    behind = shown.sales[:, standing.start:origin + 1]
    told = np.arcsinh(usual[:, None] * standing.exposure / scale)
    left = np.arcsinh(behind / scale) - told  # nan where unknown

    def backwards(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """(N, K): columns `wanted` of values (N, start..origin); nan outside."""
        position = wanted - standing.start
        fits = (position >= 0) & (wanted <= origin)
        return np.where(fits, values[:, np.clip(position, 0, values.shape[1] - 1)], np.nan)

    effect = flat[:, :horizon] / np.maximum(standing.levels.long, TINY)[:, None]
    exposure = np.concatenate([backwards(standing.exposure, columns[:context]), effect], axis=1)
    anchor = np.arcsinh(expected[:, :horizon] / scale)
    around_it = None
    if bands is not None:
        around_it = np.arcsinh(bands(expected[:, :horizon], standing) / scale[..., None]) - anchor[..., None]
    view = View(shown, pooled, scheme, standing, columns, terms[:, :horizon], usual, scale[:, 0], usual / prior, where, exposure,
                around_it)
    sales = backwards(behind, columns)
    ago = backwards(left, block.year_ago(frequency, columns))
    expectation = backwards(told, columns)
    expectation[:, context:] = anchor
    at = np.maximum(columns, 0)
    sold_out = _sold_out(block)
    channels = [np.arcsinh(sales / scale), np.isfinite(sales), expectation, ago, np.isfinite(ago),
                shown.closed[:, at] & view.inside,
                np.where(view.past & ~new[:, None], sold_out[:, np.minimum(at, width - 1)], 0.0), *layout.channels(view)]
    x = np.zeros((n, context + horizon, len(channels)), dtype=np.float32)
    for start in range(0, n, _AT_ONCE):  # so that what is written stays in the processor's cache until all channels are there
        some = slice(start, start + _AT_ONCE)
        for k, values in enumerate(channels):
            x[some, :, k] = _known_or_zero(values[some] if values.ndim == 2 else values)

    ahead = origin + np.arange(1, horizon + 1)
    seen = ahead <= (width - 1 if last is None else last)
    later = np.minimum(ahead, width - 1)
    truth = np.where(seen, block.sales[:, later], np.nan) / scale
    naive = np.where(np.isfinite(standing.habits.naive_error), standing.habits.naive_error, scale[:, 0])
    weight = scale[:, 0] / np.maximum(naive, 0.02 * scale[:, 0])
    weight = np.where((standing.levels.long > TINY) | new, np.minimum(weight, 10 * np.median(weight)), 0.0)
    item, place = names
    statics = [*_habits(view), *layout.attributes(view)]
    static = np.nan_to_num(np.stack([np.broadcast_to(c, n).astype(np.float32) for c in statics], axis=1))
    return Snapshot(x, anchor.astype(np.float32), expected, static, item, np.where(new, 0, place),
                    scale[:, 0].astype(np.float32), weight.astype(np.float32), truth.astype(np.float32), seen & sold_out[:, later],
                    np.full(n, max(origin + block.first - pooled.first + 1, 0)), new)


def calendar_channels(frequency: Frequency, periods: np.ndarray, scheme: Scheme) -> np.ndarray:
    """float (K, T): position in the week and month, and nearness of public holidays.

    Not the position in the year: a network learns the few years that it has seen by heart, each with what happened to everybody in
    it. What returns every year stands in what is expected of a period, and in what was left over a year ago.
    """
    found = calendar_features(frequency, periods, country=scheme.country, year=False)
    rows = []
    if "weekday" in found:
        rows += [found["weekday"] == k for k in range(7)]
    if "hour" in found:
        rows += [f(2 * np.pi * m * found["hour"] / 24) for m in (1, 2) for f in (np.sin, np.cos)]
    if "day_of_month" in found:
        rows += [f(2 * np.pi * found["day_of_month"] / 30.5) for f in (np.sin, np.cos)]
        rows += [np.exp(-found["days_to_month_end"] / 3.0)]
    narrow = 3.0 if frequency.unit in "hD" else 8.0
    for name in ("days_to_holiday", "days_since_holiday"):
        if name in found:
            rows.append(np.exp(-found[name] / narrow))
    rows += [found[name] for name in ("holidays", "holidays_after", "holidays_before") if name in found]
    return np.array(rows, dtype=float).reshape(len(rows), len(periods))


def usual_value(values: np.ndarray) -> np.ndarray:
    """(N, 1): mean of what is known; nan where nothing is."""
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, np.nansum(values, axis=1, keepdims=True) / count, np.nan)


def _known_or_zero(values: np.ndarray) -> np.ndarray:
    """The same with 0 for nan."""
    return values if values.dtype == bool else np.where(np.isnan(values), 0.0, values)


def _sold_out(block: Block) -> np.ndarray:
    """bool (N, T): the item could not be bought all the time, or the shelf was empty at the end: sales bound demand from below."""
    if AVAILABLE in block.past:
        return block.past[AVAILABLE] < FULL_SHELF
    if STOCK in block.past:
        return block.past[STOCK] <= 0
    return np.zeros(block.sales.shape, dtype=bool)


def _habits(view: View) -> list[np.ndarray]:
    """Arrays (N,): what each series is like, and where it is."""
    habits, year = view.standing.habits, view.scheme.rhythm.year
    return [np.log(np.maximum(view.relative, 1e-4)) / 1.5, habits.count == 0, np.log(view.standing.noise + 1e-3) / 2,
            habits.zeros_recent, habits.zeros_long, np.minimum(habits.age / year, 2.0), np.minimum(habits.idle / year, 1.0),
            *view.where.T]

"""Batches as they might have been: noise, other sizes, gaps, unknown places, blends of series, stretched time.

Pure functions of a batch of numpy arrays and a generator: the batch given is not changed, and the same generator gives the
same batch. Sales are altered in units of scale, not of asinh, wherever they are added up or multiplied. What is absent or
padding stays so; the future of covariates and the calendar are altered by `mixed` alone, which blends whole series.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from shelfcast.errors import SettingsError
from shelfcast.nn.batch import AGO_CHANNEL, AGO_KNOWN_CHANNEL, EXPECTED_CHANNEL, OBSERVED_CHANNEL, SALES_CHANNEL, Batch

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
_AUGMENT = 2**41  # apart from what training draws in the same part of the same step


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Which series are altered, and by how much; all off unless set.

    Attributes
    ----------
    jitter : share of series with noise on their sales
    jitter_size : its standard deviation, in units of asinh(sales / scale)
    scaling : share of series whose sales, expectation and truth are multiplied by one factor
    scaling_size : standard deviation of the factor's logarithm
    masking : share of series of which single periods are hidden
    masking_size : share of their periods
    blocks : share of series of which a run of periods is hidden
    blocks_size : longest run, as a share of the context
    places : share of series whose whole history and identity are hidden, as those of a new place are
    mixing : share of series blended with another of the batch, covariates and truth included
    mixing_size : of the Beta(size, size) from which the other's share is drawn (then at most a half)
    warping : share of series of which a window is stretched or squeezed in time
    warping_size : largest stretch: 2 is from half to twice as long
    channels : share of groups from which one covariate is hidden
    shocks : share of groups in which all places meet the same noise, period by period and for good
    shocks_size : its standard deviation, in units of asinh(sales / scale)
    """

    jitter: float = 0.0
    jitter_size: float = 0.05
    scaling: float = 0.0
    scaling_size: float = 0.2
    masking: float = 0.0
    masking_size: float = 0.1
    blocks: float = 0.0
    blocks_size: float = 0.25
    places: float = 0.0
    mixing: float = 0.0
    mixing_size: float = 0.5
    warping: float = 0.0
    warping_size: float = 1.5
    channels: float = 0.0
    shocks: float = 0.0
    shocks_size: float = 0.2

    def __post_init__(self) -> None:
        for field in fields(self):
            value, size = getattr(self, field.name), field.name.endswith("_size")
            share = not size or field.name in ("masking_size", "blocks_size")
            if share and not 0 <= value <= 1:
                raise SettingsError(f"{field.name} is {value}; it is a share, from 0 to 1.")
            if size and not value > 0:
                raise SettingsError(f"{field.name} is {value}; it must be above 0.")
        if self.warping_size <= 1:
            raise SettingsError(f"warping_size is {self.warping_size}; a window becomes up to that many times as long, so above 1.")

    @property
    def on(self) -> bool:
        """Whether anything is altered."""
        return any(getattr(self, f.name) > 0 for f in fields(self) if not f.name.endswith("_size"))


def augmented(batch: Batch, settings: AugmentSettings, *, seed: int, step: int, part: int, covariates: Sequence[int] = ()) -> Batch:
    """The batch of a part of a step, altered as the settings say; a pure function of its arguments.

    Parameters
    ----------
    covariates : channels of `x` that `settings.channels` may hide, one at a time
    """
    if not settings.on:
        return batch
    draw = np.random.default_rng([seed, step, part, _AUGMENT])
    s = settings
    # Blends first, so that what follows alters what the network sees; hiding last, so that nothing brings back what is hidden.
    # Each way copies the batch, so those that are off are left out.
    if s.mixing:
        batch = mixed(batch, draw, share=s.mixing, size=s.mixing_size)
    if s.warping:
        batch = warped(batch, draw, share=s.warping, size=s.warping_size)
    if s.scaling:
        batch = scaled(batch, draw, share=s.scaling, size=s.scaling_size)
    if s.shocks:
        batch = shocked(batch, draw, share=s.shocks, size=s.shocks_size)
    if s.jitter:
        batch = jittered(batch, draw, share=s.jitter, size=s.jitter_size)
    if s.masking:
        batch = masked(batch, draw, share=s.masking, size=s.masking_size)
    if s.blocks:
        batch = masked_blocks(batch, draw, share=s.blocks, size=s.blocks_size)
    if s.places:
        batch = hidden_places(batch, draw, share=s.places)
    if s.channels:
        batch = hidden_channels(batch, draw, share=s.channels, channels=covariates)
    return batch


def jittered(batch: Batch, draw: np.random.Generator, *, share: float, size: float) -> Batch:
    """Noise of standard deviation `size` on the observed sales of a share of series; sales that were not negative stay so."""
    chosen = _chosen(batch, draw, share)
    x = batch.x.copy()
    sales = x[..., : _context(batch), SALES_CHANNEL]
    noisy = sales + size * draw.standard_normal(sales.shape, dtype=np.float32)
    noisy = np.maximum(noisy, np.minimum(sales, 0))
    np.copyto(sales, noisy, where=chosen[..., None] & _observed(batch))
    return replace(batch, x=x)


def shocked(batch: Batch, draw: np.random.Generator, *, share: float, size: float) -> Batch:
    """The same noise, in logs, on the past of all places of a share of groups, in each period and in all of them; truth stays.

    What happened to everybody in a period is a name of that period: a network that reads it learns by heart what came next.
    Blurred, it has to look at what a place has of its own. The past of a year ago is blurred apart, with noise of its own.
    """
    chosen = batch.there & (draw.random(len(batch.there)) < share)[:, None]
    x = batch.x.copy()
    for channel, known in ((SALES_CHANNEL, _observed(batch)), (AGO_CHANNEL, x[..., AGO_KNOWN_CHANNEL] > 0)):
        values = x[..., : known.shape[-1], channel]
        noise = size * (draw.standard_normal((len(x), 1, known.shape[-1])) + draw.standard_normal((len(x), 1, 1)))
        # Sales are multiplied, so that nothing sold stays nothing; what was left over is a difference of logs, about.
        moved = np.arcsinh(np.sinh(values) * np.exp(noise)) if channel == SALES_CHANNEL else values + noise
        np.copyto(values, moved.astype(np.float32), where=chosen[..., None] & known)
    return replace(batch, x=x)


def scaled(batch: Batch, draw: np.random.Generator, *, share: float, size: float) -> Batch:
    """Sales, expectation and truth of a share of series times a factor, log-normal with logarithm of deviation `size`."""
    chosen = _chosen(batch, draw, share)
    factor = np.where(chosen, np.exp(size * draw.standard_normal(chosen.shape)), 1.0).astype(np.float32)[..., None]
    x = batch.x.copy()
    for channel in (SALES_CHANNEL, EXPECTED_CHANNEL):
        x[..., channel] = _where(chosen, np.arcsinh(factor * np.sinh(x[..., channel])), x[..., channel])
    anchor = _where(chosen, np.arcsinh(factor * np.sinh(batch.anchor)), batch.anchor)
    return replace(batch, x=x, anchor=anchor, truth=batch.truth * factor)


def masked(batch: Batch, draw: np.random.Generator, *, share: float, size: float) -> Batch:
    """Hide about a share `size` of the periods of the context, one by one, in a share of series."""
    chosen = _chosen(batch, draw, share)
    return _hidden(batch, chosen[..., None] & (draw.random((*chosen.shape, _context(batch))) < size))


def masked_blocks(batch: Batch, draw: np.random.Generator, *, share: float, size: float) -> Batch:
    """Hide one run of periods, up to a share `size` of the context long and anywhere in it, in a share of series."""
    chosen, context = _chosen(batch, draw, share), _context(batch)
    length = draw.integers(1, max(1, round(size * context)) + 1, chosen.shape)
    start = (draw.random(chosen.shape) * (context - length + 1)).astype(np.int64)
    when = np.arange(context)
    return _hidden(batch, chosen[..., None] & (when >= start[..., None]) & (when < (start + length)[..., None]))


def hidden_places(batch: Batch, draw: np.random.Generator, *, share: float) -> Batch:
    """Hide all sales and the identity of a share of series: what a place that opens tomorrow looks like.

    The expectation in `anchor` stays: whoever forecasts a new place makes it from attributes and neighbours, and so must
    whoever draws batches to learn that from.
    """
    chosen = _chosen(batch, draw, share)
    hidden = _hidden(batch, np.repeat(chosen[..., None], _context(batch), axis=-1))
    return replace(hidden, place=np.where(chosen, 0, batch.place))


def hidden_channels(batch: Batch, draw: np.random.Generator, *, share: float, channels: Sequence[int]) -> Batch:
    """Set one of `channels` to 0 (unknown) over context and horizon, in all places of a share of groups."""
    groups = batch.x.shape[0]
    chosen = draw.random(groups) < share
    which = draw.integers(0, max(1, len(channels)), groups)
    if not channels:
        return batch
    gone = np.zeros((groups, batch.x.shape[-1]), bool)
    gone[np.flatnonzero(chosen), np.asarray(channels)[which[chosen]]] = True
    return replace(batch, x=np.where(gone[:, None, None, :], np.float32(0), batch.x))


def mixed(batch: Batch, draw: np.random.Generator, *, share: float, size: float) -> Batch:
    """Blend a share of series with others of the batch: mixup (Zhang et al. 2018, equation 1) of series in units of scale.

    The other's share is drawn from Beta(size, size) and at most a half, so that identity and links stay the series' own.
    Sales are known where both are; a truth that is a lower bound in one is one in the blend.
    """
    chosen, context = _chosen(batch, draw, share), _context(batch)
    theirs = draw.beta(size, size, chosen.shape)
    theirs = np.where(chosen, np.minimum(theirs, 1 - theirs), 0.0).astype(np.float32)
    partner = _partners(batch, draw)

    def other(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, *values.shape[2:])[partner].reshape(values.shape)

    def blend(own: Floats) -> Floats:
        weight = theirs.reshape(*theirs.shape, *[1] * (own.ndim - 2))
        return _where(chosen, (1 - weight) * own + weight * other(own), own)

    x = blend(batch.x)
    both = _observed(batch) & other(_observed(batch))
    sales = np.arcsinh(blend(np.sinh(batch.x[..., :context, SALES_CHANNEL])))
    x[..., :context, SALES_CHANNEL] = _where(chosen, np.where(both, sales, 0), batch.x[..., :context, SALES_CHANNEL])
    x[..., :context, OBSERVED_CHANNEL] = _where(chosen, both.astype(np.float32), batch.x[..., :context, OBSERVED_CHANNEL])
    anchor = _where(chosen, np.arcsinh(blend(np.sinh(batch.anchor))), batch.anchor)
    lower = batch.lower | (chosen[..., None] & other(batch.lower))
    return replace(batch, x=x, anchor=anchor, static=blend(batch.static), truth=blend(batch.truth), lower=lower)


def warped(batch: Batch, draw: np.random.Generator, *, share: float, size: float) -> Batch:
    """Stretch or squeeze a window of the context, in a share of series (Le Guennec et al. 2016: window warping).

    The window, a quarter to a half of the context, becomes `size` ** u times as long, u uniform in (-1, 1). What follows it
    stays where it is, next to the horizon; what precedes it moves. Periods before the first are unknown. Only sales and
    whether they were observed move: the calendar and prices stay those of their dates.
    """
    chosen, context = _chosen(batch, draw, share), _context(batch)
    length = np.maximum(1, context * draw.uniform(0.25, 0.5, chosen.shape)).astype(np.int64)
    longer = np.maximum(1, np.rint(length * size ** draw.uniform(-1, 1, chosen.shape))).astype(np.int64)
    end = (length + draw.random(chosen.shape) * (context - length + 1)).astype(np.int64)
    when = np.arange(context)
    length, longer, end = length[..., None], longer[..., None], end[..., None]
    inside = end - length + (when - (end - longer)) * length // longer  # the period that is seen at `when` within the window
    source = np.where(when >= end, when, np.where(when >= end - longer, inside, when + longer - length))
    source = np.where(chosen[..., None], source, when)
    known = source >= 0
    x = batch.x.copy()
    for channel in (SALES_CHANNEL, OBSERVED_CHANNEL):
        moved = np.take_along_axis(x[..., :context, channel], np.maximum(source, 0), axis=-1)
        x[..., :context, channel] = np.where(known, moved, np.float32(0))
    return replace(batch, x=x)


def _context(batch: Batch) -> int:
    return int(batch.x.shape[2] - batch.truth.shape[-1])


def _chosen(batch: Batch, draw: np.random.Generator, share: float) -> Flags:
    """Each series that is there with probability `share`, bool (G, P)."""
    return np.asarray(batch.there & (draw.random(batch.there.shape) < share))


def _observed(batch: Batch) -> Flags:
    """bool (G, P, T)."""
    return np.asarray(batch.x[..., : _context(batch), OBSERVED_CHANNEL] > 0)


def _hidden(batch: Batch, gone: Flags) -> Batch:
    """Without the sales of `gone` (G, P, T): neither seen nor marked as seen."""
    x = batch.x.copy()
    for channel in (SALES_CHANNEL, OBSERVED_CHANNEL):
        np.copyto(x[..., : _context(batch), channel], np.float32(0), where=gone)
    return replace(batch, x=x)


def _where(chosen: Flags, altered: np.ndarray, own: np.ndarray) -> Floats:
    """`altered` for chosen series, `own` to the bit for others."""
    return np.where(chosen.reshape(*chosen.shape, *[1] * (own.ndim - 2)), altered, own).astype(own.dtype)


def _partners(batch: Batch, draw: np.random.Generator) -> NDArray[np.int64]:
    """For each of the G x P series the number of another that is there: they stand in a drawn ring, and each takes the next."""
    there = np.flatnonzero(batch.there.ravel())
    ring = draw.permutation(there)
    partner = np.arange(batch.there.size)
    partner[ring] = np.roll(ring, -1)
    return partner

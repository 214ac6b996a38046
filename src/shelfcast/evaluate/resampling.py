"""How sure is a difference? Resamples series and windows of paired losses, and says in which interval the truth lies.

A score is the mean over windows of sum(numerator) / sum(denominator) over series. Losses are crossed: each belongs to a series and
to a window, and varies with both. So both are drawn with replacement (Owen 2007, "The pigeonhole bootstrap", Annals of Applied
Statistics 1), each while the other stays as it is, and the two deviations add up, as the variances of two-way clustering do
(Cameron, Gelbach and Miller 2011). Owen's product of both draws counts the noise of single losses three times, the sum twice: in
simulations both held the truth at least as often as they promise, and the sum was narrower by a twentieth to a third. All models
see the same draws, so what they share cancels. A window is drawn whole, and neighbours together when `block` is above 1 (Künsch
1989; circular blocks as in Politis and Romano 1992). Series that miss together, such as those of one place, may be drawn together:
a unit is a series or a cluster of them.

Draws are kept as counts, a slice of replicates at a time, so memory grows with units, not with units x replicates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from shelfcast.errors import DataError, SettingsError, shorten

LEAST_WINDOWS: Final = 3  # two windows have one difference between them: nothing can be learned from drawing them again
_SLICE: Final = 4_000_000  # counts held at once (32 MB)
_SAME: Final = 1e-12  # relative; scores that are nearer were summed in another order

Method = Literal["percentile", "bca"]
Statistic = Callable[[np.ndarray], np.ndarray]
"""From scores (..., M) to a number for each (...)."""


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How to resample.

    Attributes
    ----------
    replicates : how often everything is drawn anew, at least 100
    confidence : share of such intervals that hold the truth, in (0.5, 1)
    method : `percentile`, or `bca` (bias-corrected and accelerated, Efron 1987)
    block : windows drawn together; above 1 when the windows follow closely and miss alike, as those that overlap do
    windows : draw windows, too; False holds the windows as they are, and the interval is for these windows only
    few : widen for few units by what Student's t is wider than the normal, sqrt(n / (n - 1)) t / z, for series and windows each
        (the expanded percentile interval of Hesterberg 2015, "What teachers should know about the bootstrap"); without it
        an interval over a handful of windows is too narrow
    seed : of the draws
    """

    replicates: int = 2000
    confidence: float = 0.95
    method: Method = "percentile"
    block: int = 1
    windows: bool = True
    few: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 100:
            raise SettingsError(f"{shorten(self.replicates)} replicates are too few for an interval; use at least 100.")
        if not 0.5 < self.confidence < 1:
            raise SettingsError(f"The confidence is {shorten(self.confidence)}; it must lie between 0.5 and 1, such as 0.95.")
        if self.method not in ("percentile", "bca"):
            raise SettingsError(f"The interval {shorten(self.method)!r} is not known. Known: percentile, bca.")
        if self.block < 1:
            raise SettingsError(f"A block holds at least 1 window; got {shorten(self.block)}.")

    def draws_windows(self, windows: int) -> bool:
        """Whether so many windows can be drawn: at least three blocks of them."""
        return self.windows and windows // self.block >= LEAST_WINDOWS


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number and how sure it is.

    Attributes
    ----------
    value, low, high : the estimate and its interval; nan where nothing could be drawn
    p : share of replicates on the other side of zero, doubled, as a two-sided p-value is read; at least 2 / (replicates + 1)
    units : series or clusters that were drawn
    effective : how many units of equal weight would say as much, (sum w)^2 / sum w^2 of the losses w (Kish 1965)
    windows : how many there are; `windows_drawn` says whether they were drawn, too
    """

    value: float
    low: float
    high: float
    p: float
    units: int
    effective: float
    windows: int
    windows_drawn: bool

    @property
    def leaves_zero_out(self) -> bool:
        """Whether the whole interval lies on one side of zero: only then a difference is claimed."""
        return bool(self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Part:
    """Losses of a group, ready to be drawn.

    Attributes
    ----------
    units : (n,), positions among all units that are drawn
    sums : float (n, M + 1, W): numerators of M models, then the denominator that they share; a unit without truth has zeros
    root : a window's score is the square root of its ratio (RMSE)
    """

    units: np.ndarray
    sums: np.ndarray
    root: bool = False


@dataclass(frozen=True)
class Replicates:
    """Scores of M models, as they are and in R replicates.

    Attributes
    ----------
    estimate : (M,)
    by_series : (R, M), series drawn, windows as they are
    by_window : (R, M), windows drawn, series as they are; None where windows cannot be drawn
    series_out, windows_out : (n, M) and (W, M), scores without one unit, and without one window; None unless for `bca`
    units, effective, windows : as in `Interval`; windows counts those with a truth
    """

    estimate: np.ndarray
    by_series: np.ndarray
    by_window: np.ndarray | None
    series_out: np.ndarray | None
    windows_out: np.ndarray | None
    units: int
    effective: float
    windows: int


def part_of(numerators: np.ndarray, denominator: np.ndarray, *, clusters: np.ndarray | None = None, root: bool = False) -> Part:
    """Losses as a part.

    Parameters
    ----------
    numerators : float (M, W, N), sums of loss by model, window and series
    denominator : float (W, N), what a score divides by; 0 where a series is not measured in a window
    clusters : (N,), whole numbers from 0: series that are drawn together; None draws each series
    """
    seen = (denominator != 0).any(axis=0) | (numerators != 0).any(axis=(0, 1))
    sums = np.concatenate([numerators[:, :, seen], denominator[None, :, seen]]).transpose(2, 0, 1)
    if clusters is None:
        return Part(np.flatnonzero(seen), np.ascontiguousarray(sums), root)
    units, code = np.unique(clusters[seen], return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(units)))
    return Part(units, np.add.reduceat(sums[order], starts, axis=0) if len(units) else sums[:0], root)


def resample(parts: Sequence[Part], *, units: int, settings: Resampling) -> list[Replicates]:
    """Scores of each part in every replicate; all parts see the same draws.

    Parameters
    ----------
    units : how many there are to draw from, in all parts together

    Raises
    ------
    DataError
        If a part has no truth at all.
    """
    if any(not (p.sums[:, -1].sum(axis=0) > 0).any() for p in parts):
        raise DataError("A group has nothing to compare: no sales are known in any window.")
    flats = [np.ascontiguousarray(p.sums.reshape(len(p.sums), -1)) for p in parts]
    by_series = [np.empty((settings.replicates, p.sums.shape[1] - 1)) for p in parts]
    random = np.random.default_rng(settings.seed)
    size = max(1, min(settings.replicates, _SLICE // max(units, 1)))
    for start in range(0, settings.replicates, size):
        here = slice(start, min(start + size, settings.replicates))
        weights = _counts(random, here.stop - start, units)
        for part, flat, out in zip(parts, flats, by_series, strict=True):
            chosen = weights if len(part.units) == units else weights[:, part.units]
            scores = _window_scores((chosen @ flat).reshape(-1, *part.sums.shape[1:]), part.root)
            out[here] = _mean_of_windows(scores, np.ones((1, part.sums.shape[2])))
    return [_replicates(part, out, settings) for part, out in zip(parts, by_series, strict=True)]


def total_scores(part: Part) -> np.ndarray:
    """(M,) scores as they are, nothing drawn."""
    total = part.sums.sum(axis=0)
    return _mean_of_windows(_window_scores(total[None], part.root), np.ones((1, total.shape[1])))[0]


def interval_of(found: Replicates, statistic: Statistic, settings: Resampling) -> Interval:
    """The interval of a statistic of the scores, such as the difference of two models."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(found.estimate))
        spread = spread_of(found, statistic, settings)
    spread = spread[np.isfinite(spread)]
    low = high = p = float("nan")
    if np.isfinite(value) and 2 * len(spread) >= settings.replicates and (found.units > 1 or found.by_window is not None):
        tail = (1 - settings.confidence) / 2
        ends = np.array([tail, 1 - tail])
        if settings.method == "bca":
            ends = _bca_ends(ends, spread, value, found, statistic)
        low, high = (float(v) for v in np.quantile(spread, ends))
        beyond = min(int((spread <= 0).sum()), int((spread >= 0).sum()))
        p = min(1.0, 2 * (1 + beyond) / (1 + len(spread)))
    return Interval(value=value, low=low, high=high, p=p, units=found.units, effective=found.effective, windows=found.windows,
                    windows_drawn=found.by_window is not None)


def spread_of(found: Replicates, statistic: Statistic, settings: Resampling) -> np.ndarray:
    """(R, ...), the statistic in each replicate, widened for few units and few windows."""
    value = statistic(found.estimate)
    spread = value + widening(found.units, settings) * (statistic(found.by_series) - value)
    if found.by_window is None:
        return spread
    return spread + widening(found.windows // settings.block, settings) * (statistic(found.by_window) - value)


def difference(a: int, b: int, *, target: float | None = None) -> Statistic:
    """Score of model a minus that of model b; with a target, of their distances to it (0 for bias, 0.8 for coverage)."""
    def of(scores: np.ndarray) -> np.ndarray:
        one, two = (scores[..., i] if target is None else np.abs(scores[..., i] - target) for i in (a, b))
        return np.where(_alike(one, two), 0.0, one - two)
    return of


def log_ratio(a: int, b: int) -> Statistic:
    """log(score of a / score of b): on this scale "a against b" mirrors "b against a"; 0 where both are 0."""
    def of(scores: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.log(scores[..., a]) - np.log(scores[..., b])
        return np.where(_alike(scores[..., a], scores[..., b]), 0.0, ratio)
    return of


def skill_of(found: Replicates, a: int, b: int, settings: Resampling) -> Interval:
    """Skill of model a over model b, 1 - score a / score b: positive when a is better."""
    logs = interval_of(found, log_ratio(a, b), settings)
    value, low, high = (float(0.0 - np.expm1(v)) for v in (logs.value, logs.high, logs.low))
    return Interval(value=value, low=low, high=high, p=logs.p, units=logs.units, effective=logs.effective, windows=logs.windows,
                    windows_drawn=logs.windows_drawn)


def paired_skill(loss_a: np.ndarray, loss_b: np.ndarray, *, weights: np.ndarray | None = None, clusters: np.ndarray | None = None,
                 replicates: int = 2000, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Skill of a over b, 1 - mean loss of a / mean loss of b, with its interval: the paired comparison in one call.

    Parameters
    ----------
    loss_a, loss_b : float (W, N), loss by window and series; nan where not measured, and then neither counts
    weights : (N,) or (W, N), how much a series counts within its window; None counts each the same
    clusters : (N,), series with the same whole number are drawn together
    replicates, confidence, seed : as in `Resampling`

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> b = rng.gamma(2.0, size=(8, 300))
    >>> found = paired_skill(0.9 * b, b)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.1, 0.1, 0.1)
    """
    a, b = np.atleast_2d(np.asarray(loss_a, dtype=float)), np.atleast_2d(np.asarray(loss_b, dtype=float))
    if a.shape != b.shape:
        raise SettingsError(f"Losses are compared in pairs, so both need the shape (windows, series); got {a.shape} and {b.shape}.")
    seen = np.isfinite(a) & np.isfinite(b)
    weight = np.where(seen, np.broadcast_to(np.ones(a.shape[1]) if weights is None else np.asarray(weights, float), a.shape), 0.0)
    part = part_of(np.stack([np.where(seen, one, 0.0) * weight for one in (a, b)]), weight, clusters=clusters)
    units = a.shape[1] if clusters is None else int(np.max(clusters)) + 1
    settings = Resampling(replicates=replicates, confidence=confidence, seed=seed)
    return skill_of(resample([part], units=units, settings=settings)[0], 0, 1, settings)


def share_above_half(won: np.ndarray, *, clusters: np.ndarray | None = None, confidence: float = 0.95,
                     windows: int = 1) -> Interval:
    """The share of series that are won, less one half, with the score interval of Wilson (1927).

    Drawing series again cannot widen a share of nought or one; Wilson's interval stays honest there. With clusters the count of
    series is divided by the design effect, as in Korn and Graubard (1998), which keeps the effective count between that of the
    clusters (Kish 1965) and that of the series.

    Parameters
    ----------
    won : float (N,) in [0, 1], a half for a tie
    clusters : (N,), series with the same whole number miss together
    windows : only told in the interval: they are not drawn

    Examples
    --------
    >>> found = share_above_half(np.zeros(20))
    >>> round(0.5 + found.low, 3), round(0.5 + found.high, 3)
    (0.0, 0.161)
    """
    if not len(won):
        return Interval(value=np.nan, low=np.nan, high=np.nan, p=np.nan, units=0, effective=0.0, windows=windows,
                        windows_drawn=False)
    code = np.arange(len(won)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    sizes, share = np.bincount(code).astype(float), float(won.mean())
    units, least = len(sizes), float(sizes.sum() ** 2 / (sizes ** 2).sum())
    off = (np.bincount(code, weights=won) - share * sizes) / len(won)
    variance = float(units / max(units - 1, 1) * (off ** 2).sum())
    told = units > 1 and 0 < share < 1  # else the clusters say nothing of how alike their series are, and each counts as one
    count = min(max(share * (1 - share) / max(variance, 1e-300), least), len(won)) if told else least
    z = float(ndtri((1 + confidence) / 2))
    centre = (share + z ** 2 / (2 * count)) / (1 + z ** 2 / count)
    half = z / (1 + z ** 2 / count) * np.sqrt(share * (1 - share) / count + z ** 2 / (4 * count ** 2))
    p = float(2 * ndtr(-abs(share - 0.5) * 2 * np.sqrt(count)))  # the test that the interval inverts
    return Interval(value=share - 0.5, low=max(float(centre - half), 0.0) - 0.5, high=min(float(centre + half), 1.0) - 0.5, p=p,
                    units=units, effective=count, windows=windows, windows_drawn=False)


@dataclass(frozen=True)
class DieboldMariano:
    """The test of equal accuracy through time: its statistic, two-sided p, and how many moments it had."""

    statistic: float
    p: float
    moments: int


def diebold_mariano(differences: np.ndarray, *, horizon: int = 1) -> DieboldMariano:
    """Is the mean loss difference zero, judged by how it varies through time alone?

    Diebold and Mariano (1995), with the small-sample correction and Student's t of Harvey, Leybourne and Newbold (1997):
    d / sqrt(V / T) x sqrt((T + 1 - 2h + h (h - 1) / T) / T), V = gamma_0 + 2 sum_{k < h} gamma_k.

    Parameters
    ----------
    differences : float (T,), loss of a minus loss of b at each moment, in order of time
    horizon : h, moments that one forecast spans; 1 for windows that do not overlap

    Returns
    -------
    nan for fewer than three moments, or where the estimated variance is not positive
    """
    d = np.asarray(differences, dtype=float)
    count = len(d)
    if count < LEAST_WINDOWS or horizon >= count:
        return DieboldMariano(float("nan"), float("nan"), count)
    centred = d - d.mean()
    covariances = [float(centred[k:] @ centred[: count - k]) / count for k in range(horizon)]
    variance = (covariances[0] + 2 * sum(covariances[1:])) / count
    factor = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    if variance <= 0 or factor <= 0:
        return DieboldMariano(float("nan"), float("nan"), count)
    statistic = float(d.mean() / np.sqrt(variance) * np.sqrt(factor))
    return DieboldMariano(statistic, float(2 * stdtr(count - 1, -abs(statistic))), count)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values of a family of tests, adjusted so that one false claim among all is as rare as the level says (Holm 1979).

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _alike(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Equal but for the order of summing: the same forecasts twice differ by exactly nothing."""
    return np.abs(one - two) <= _SAME * (np.abs(one) + np.abs(two))


def _counts(random: np.random.Generator, replicates: int, units: int) -> np.ndarray:
    """(replicates, units) how often each unit is drawn, each row multinomial with `units` draws."""
    counts = np.empty((replicates, units))
    for row in counts:  # one at a time: its counts fit the processor's cache, which makes counting several times as fast
        row[:] = np.bincount(random.integers(0, units, size=units), minlength=units)
    return counts


def _window_counts(windows: int, settings: Resampling) -> np.ndarray | None:
    """(R, W) how often each window is drawn: whole blocks of neighbours, around the end to the beginning; None for too few."""
    if not settings.draws_windows(windows):
        return None
    random = np.random.default_rng([settings.seed, windows])
    blocks = -(-windows // settings.block)
    starts = random.integers(0, windows, size=(settings.replicates, blocks, 1))
    drawn = ((starts + np.arange(settings.block)) % windows).reshape(settings.replicates, -1)[:, :windows]
    return (drawn[:, :, None] == np.arange(windows)).sum(axis=1).astype(float)


def _window_scores(sums: np.ndarray, root: bool) -> np.ndarray:
    """(..., M, W) scores by window from sums (..., M + 1, W); nan for a window without truth."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.where(sums[..., -1:, :] > 0, sums[..., :-1, :] / sums[..., -1:, :], np.nan)
        return np.sqrt(scores) if root else scores


def _mean_of_windows(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B, M) mean over the windows (B, M, W), each as often as drawn (B or 1, W); nan where no drawn window has a score."""
    seen = np.isfinite(scores)
    weight = counts[:, None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.where(seen, scores, 0.0) * weight).sum(axis=-1) / (seen * weight).sum(axis=-1)


def _replicates(part: Part, by_series: np.ndarray, settings: Resampling) -> Replicates:
    total, root = part.sums.sum(axis=0), part.root
    scores = _window_scores(total[None], root)
    counts = _window_counts(total.shape[1], settings)
    one = np.ones((1, total.shape[1]))
    series_out = windows_out = None
    if settings.method == "bca":
        series_out = _mean_of_windows(_window_scores(total - part.sums, root), one)
        kept = (~np.eye(total.shape[1], dtype=bool)).astype(float)
        windows_out = None if counts is None else _mean_of_windows(np.repeat(scores, len(kept), axis=0), kept)
    loss = np.abs(part.sums[:, :-1]).sum(axis=(1, 2))
    effective = float(loss.sum() ** 2 / (loss ** 2).sum()) if loss.any() else float(len(loss))
    by_window = None if counts is None else _mean_of_windows(scores, counts)
    return Replicates(_mean_of_windows(scores, one)[0], by_series, by_window, series_out, windows_out, len(part.units), effective,
                      int((total[-1] > 0).sum()))


def widening(units: int, settings: Resampling) -> float:
    """How much wider Student's t with the unbiased variance is than what drawing from `units` gives."""
    if not settings.few or units < 2:
        return 1.0
    at = (1 + settings.confidence) / 2
    return float(np.sqrt(units / (units - 1)) * stdtrit(units - 1, at) / ndtri(at))


def _bca_ends(ends: np.ndarray, spread: np.ndarray, value: float, found: Replicates, statistic: Statistic) -> np.ndarray:
    """Levels corrected for bias and skewness (Efron 1987); series and windows enter as two samples (Efron and Tibshirani 1993)."""
    share = ((spread < value).mean() + (spread <= value).mean()) / 2
    if not 0 < share < 1:
        return ends
    shift = float(ndtri(share))
    cubes = squares = 0.0
    for left_out in (found.series_out, found.windows_out):
        if left_out is None or len(left_out) < 2:
            continue
        values = statistic(left_out)
        values = values[np.isfinite(values)]
        pull = (len(values) - 1) * (values.mean() - values)
        cubes += float((pull ** 3).sum()) / len(values) ** 3
        squares += float((pull ** 2).sum()) / len(values) ** 2
    pace = cubes / (6 * squares ** 1.5) if squares > 0 else 0.0
    at = shift + ndtri(ends)
    return np.asarray(ndtr(shift + at / (1 - pace * at)))

"""So that 80 % means 80 %: quantiles moved until past windows were covered as often as their levels say.

Split conformal prediction for quantiles (Romano, Patterson and Candes 2019), on the scale of normal scores. The score of a
cell is where its truth lay in its own forecast, as a standard normal deviate: linear between the forecast's quantiles, and
beyond the outermost one in units of its distance from the median (the scaled score of Sesia and Candes 2020). For a level tau
the conformal quantile of past scores says which deviate to read instead of the usual one; reading is linear in the quantiles,
so it needs no model, does not cross, and scales spreads where forecasts are bell-like. No quantile moves farther than it would in
tails as heavy as a lognormal's: a leap in the quantiles of one series had made the loss of all nine times as large. A truth that
falls on an atom (nothing sold, where nought is likely) gets a deviate drawn from the atom's share, the randomised PIT (Czado,
Gneiting and Held 2009): an atom is never taken for a lack of coverage, and nought is never widened.

Scores are pooled by demand class and by a stretch of the horizon (Mondrian: Vovk 2003). Errors of one window share its
shocks, so evidence is counted in windows, not in cells: with few of them the correction is drawn towards none (Dunn, Wasserman
and Ramdas 2022 treat such groups). A calibration is learned from all of its windows at once, each alike, and stays as it is until
the next fit: following coverage from window to window (adaptive conformal inference, Gibbs and Candes 2021) brought the trials no
nearer to their levels and is not done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from shelfcast.data.classes import CLASSES
from shelfcast.errors import DataError, SettingsError, WeightsError, shorten
from shelfcast.forecast import Forecast, check_levels
from shelfcast.names import LEVELS

SHRINK_WINDOWS: Final = 1.5  # windows whose evidence weighs as much as the belief that nothing need change
SHRINK_SERIES: Final = 100.0  # series of a class whose own evidence weighs as much as that of all
STRETCHES: Final = 3  # of the horizon that have corrections of their own
_FEWEST_CELLS: Final = 200  # below this a group says nothing of its own
_END: Final = 5.0  # the largest deviate; a truth farther out says no more
_MOST: Final = 2.5  # a spread is at most multiplied, or divided, by this
_MOST_STRETCHED: Final = 4.0  # and no quantile gets farther from its median than so many times what it was
_MOST_CELLS: Final = 40_000


class Scored(NamedTuple):
    """A forecast of a past window and what came: `forecast`, `truth` (N, H) with nan where not known, `classes` int (N,)."""

    forecast: Forecast
    truth: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Which deviate to read for each level, by group of series and stretch of the horizon.

    Attributes
    ----------
    levels : (Q,) in (0, 1), rising
    groups : names of the groups of series, G
    bounds : last step, counted from 1, of each stretch but the last; (B - 1,)
    deviates : float (G, B, Q), rising along Q; `ndtri(levels)` where nothing changes
    windows : how many windows taught it
    """

    levels: tuple[float, ...]
    groups: tuple[str, ...]
    bounds: tuple[int, ...]
    deviates: np.ndarray
    windows: int = 0

    def __post_init__(self) -> None:
        deviates = np.asarray(self.deviates, dtype=float)
        if deviates.shape != (len(self.groups), len(self.bounds) + 1, len(self.levels)):
            raise SettingsError(f"A calibration of {len(self.groups)} groups, {len(self.bounds) + 1} stretches and "
                                f"{len(self.levels)} levels needs as many deviates; got {deviates.shape}.")
        if not np.isfinite(deviates).all() or (np.diff(deviates, axis=2) < 0).any():
            raise SettingsError("The deviates of a calibration are numbers that rise with the level.")
        view = deviates.view()
        view.flags.writeable = False
        object.__setattr__(self, "deviates", view)

    @classmethod
    def none(cls, levels: Sequence[float] = LEVELS) -> "Calibration":
        """The one that changes nothing."""
        usual = ndtri(np.array(levels))
        return cls(check_levels(levels), CLASSES, (), np.broadcast_to(usual, (len(CLASSES), 1, len(usual))))

    @property
    def factors(self) -> np.ndarray:
        """(G, B, 2): by how much the distance of the 0.1 and of the 0.9 quantile from the median is multiplied, about."""
        at = [self._at(np.array([q]))[:, :, 0] / ndtri(q) for q in (0.1, 0.9)]
        return np.stack(at, axis=2)

    def _at(self, levels: np.ndarray) -> np.ndarray:
        """(G, B, L) deviates of any levels; between the known ones linear in the usual deviate, beyond them in proportion."""
        usual, wanted = ndtri(np.array(self.levels)), ndtri(levels)
        out = np.empty((*self.deviates.shape[:2], len(levels)))
        for g in range(out.shape[0]):
            for b in range(out.shape[1]):
                out[g, b] = np.interp(wanted, usual, self.deviates[g, b] - usual) + wanted
        return out

    def save(self, folder: Path) -> None:
        """Write `calibration.npz` into a folder."""
        np.savez(folder / "calibration.npz", levels=np.array(self.levels), groups=np.array(self.groups, dtype=str),
                 bounds=np.array(self.bounds, dtype=np.int64), deviates=self.deviates, windows=np.array(self.windows))

    @classmethod
    def load(cls, folder: Path) -> "Calibration":
        """Read what `save` wrote."""
        try:
            with np.load(folder / "calibration.npz", allow_pickle=False) as held:
                return cls(tuple(float(q) for q in held["levels"]), tuple(str(g) for g in held["groups"]),
                           tuple(int(b) for b in held["bounds"]), held["deviates"], int(held["windows"]))
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(f"{str(folder)!r} holds no calibration that can be read: {shorten(error)}.") from error

    def as_json(self) -> dict[str, Any]:
        """What a manifest shows: the factors of the 0.1 and 0.9 quantiles' distance from the median, by group and stretch."""
        ends = [*map(str, self.bounds), "end"]
        return {"windows": self.windows,
                "spread": {g: {f"to step {e}": [round(float(v), 3) for v in self.factors[i, b]] for b, e in enumerate(ends)}
                           for i, g in enumerate(self.groups)}}


def normal_scores(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], *, floor: float = 0.0,
                  seed: int = 0) -> np.ndarray:
    """Where each truth lay in its forecast, as a standard normal deviate.

    Parameters
    ----------
    truth : float (R,), units
    quantiles : float (R, Q), units, not falling along Q
    levels : (Q,) rising; 0.5 among them
    floor : units below which nothing lies; quantiles at it are an atom that begins at probability 0
    seed : of the draw inside atoms

    Returns
    -------
    float (R,); nan where the forecast has no spread at all

    Examples
    --------
    >>> normal_scores(np.array([12.0]), np.array([[8.0, 10.0, 12.0]]), (0.1, 0.5, 0.9)).round(2)
    array([1.28])
    """
    at = np.asarray(levels, dtype=float)
    usual = ndtri(at)
    middle = _middle(levels)
    below = (quantiles < truth[:, None]).sum(axis=1)  # levels whose quantile lies below the truth
    upto = (quantiles <= truth[:, None]).sum(axis=1)
    q, last = len(at), len(at) - 1
    row = np.arange(len(truth))
    with np.errstate(invalid="ignore", divide="ignore"):
        # strictly between two quantiles, and beyond the outermost
        low, high = np.clip(below - 1, 0, last), np.clip(below, 0, last)
        share = (truth - quantiles[row, low]) / (quantiles[row, high] - quantiles[row, low])
        score = usual[low] + share * (usual[high] - usual[low])
        half = quantiles[:, [0, last]] - quantiles[:, [middle]]
        score = np.where(below == q, usual[last] * (truth - quantiles[:, middle]) / half[:, 1], score)
        score = np.where((below == 0) & (upto == 0), usual[0] * (truth - quantiles[:, middle]) / half[:, 0], score)
    # on an atom: a draw from its share of probability; quantiles that differ from their neighbours are a point of a continuum
    tied = upto > below
    wide = upto - below > 1
    first = np.where(below == 0, np.where(truth <= floor, 0.0, at[0]), at[np.clip(below, 0, last)])
    final = np.where(upto == q, 1.0, at[np.clip(upto - 1, 0, last)])
    draw = np.random.default_rng(seed).random(len(truth))
    atom = ndtri(np.clip(first + draw * (final - first), 1e-9, 1 - 1e-9))
    score = np.where(tied, np.where(wide | (truth <= floor), atom, usual[np.clip(below, 0, last)]), score)
    flat = quantiles[:, 0] == quantiles[:, last]
    return np.where(flat | np.isnan(truth), np.nan, np.clip(score, -_END, _END))


def learn_calibration(scored: Sequence[Scored], *, levels: Sequence[float] = LEVELS, shrink_windows: float = SHRINK_WINDOWS,
                      shrink_series: float = SHRINK_SERIES, stretches: int = STRETCHES, floor: float = 0.0,
                      seed: int = 0) -> Calibration:
    """The calibration that past windows ask for, as far as so few of them can ask.

    Parameters
    ----------
    scored : forecasts of past windows and what came, each window alike
    levels : levels to calibrate; others are read between them
    shrink_windows : windows whose evidence weighs as much as the belief that nothing need change; 0 believes the windows
    shrink_series : series of a class whose own evidence weighs as much as that of all classes
    stretches : of the horizon, about equal on a log scale, that are looked at apart
    floor : units below which nothing lies
    """
    checked = check_levels(levels)
    if not scored:
        return Calibration.none(checked)
    horizon = scored[0].forecast.horizon
    bounds = stretch_bounds(horizon, stretches)
    step = np.searchsorted(np.array(bounds), np.arange(1, horizon + 1), side="left")  # (H,) which stretch
    parts = [_scores(one, step, floor, [seed, k]) for k, one in enumerate(scored)]
    score, window, group, stretch = (np.concatenate([p[i] for p in parts]) for i in range(4))
    usual = ndtri(np.array(checked))
    held = len(scored) / (len(scored) + shrink_windows)
    overall = held * _asked(score, window, usual)
    deviates = np.empty((len(CLASSES), len(bounds) + 1, len(checked)))
    by_stretch = [_asked(score[stretch == b], window[stretch == b], usual) for b in range(len(bounds) + 1)]
    everything = _asked(score, window, usual)
    for g in range(len(CLASSES)):
        inside = group == g
        count = float(np.median([(s.classes == g).sum() for s in scored]))
        trust = held * count / (count + shrink_series)
        own = _asked(score[inside], window[inside], usual) - everything if inside.sum() >= _FEWEST_CELLS else 0.0
        for b in range(len(bounds) + 1):
            moved = overall + trust * own + held * 0.5 * (by_stretch[b] - everything)
            deviates[g, b] = _monotone(usual, moved)
    return Calibration(checked, CLASSES, bounds, deviates, len(scored))


def stretch_bounds(horizon: int, stretches: int) -> tuple[int, ...]:
    """Last steps of all stretches but the last: short near the cutoff, longer far from it.

    >>> stretch_bounds(28, 3), stretch_bounds(2, 3)
    ((3, 9), (1,))
    """
    ends = np.round(horizon ** (np.arange(1, stretches) / stretches)).astype(int)
    return tuple(int(e) for e in np.unique(ends) if 1 <= e < horizon)


def calibrate(forecast: Forecast, calibration: Calibration, groups: np.ndarray, *, levels: Sequence[float] | None = None,
              floor: float | None = 0.0) -> Forecast:
    """A forecast with its quantiles read where the calibration says.

    Parameters
    ----------
    forecast : with 0.5 among its levels; the more levels it has, the better others are read between them
    groups : int (N,), position of each series' group in `calibration.groups`
    levels : wanted; those of the forecast when None
    floor : units below which nothing lies; None where sales may be negative

    Returns
    -------
    Forecast; the means stay
    """
    wanted = forecast.levels if levels is None else check_levels(levels)
    deviates = calibration._at(np.array(wanted))  # (G, B, L)
    step = np.searchsorted(np.array(calibration.bounds), np.arange(1, forecast.horizon + 1), side="left")
    out = np.empty((*forecast.mean.shape, len(wanted)))
    for g in np.unique(groups):
        rows = np.flatnonzero(groups == g)
        for b in np.unique(step):
            columns = np.flatnonzero(step == b)
            said = forecast.quantiles[np.ix_(rows, columns)]
            out[np.ix_(rows, columns)] = _bounded(said, said @ reader(forecast.levels, deviates[g, b]), forecast.levels, wanted,
                                                  deviates[g, b])
    return finished(forecast, out, wanted, floor)


def _bounded(said: np.ndarray, moved: np.ndarray, levels: Sequence[float], wanted: Sequence[float],
             deviates: np.ndarray) -> np.ndarray:
    """(R, C, L): quantiles no farther from the median than the correction, squared, asks for, and at most `_MOST_STRETCHED` times.

    Where tails are bell-like, a deviate that is a tenth larger lies a tenth farther out; where they are as heavy as a lognormal's,
    about two tenths. Tails that leap from one level to the next (a member that is far off) would otherwise be read at the leap.
    """
    usual = ndtri(np.array(wanted))
    middle = said[:, :, [_middle(levels)]]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(usual == 0, 1.0, deviates / usual)
    most = np.clip(ratio, 1.0, None) ** 2
    reach = np.abs(said @ reader(levels, usual) - middle) * np.minimum(most, _MOST_STRETCHED)
    return np.clip(moved, middle - reach, middle + reach)


def finished(forecast: Forecast, quantiles: np.ndarray, levels: Sequence[float], floor: float | None) -> Forecast:
    """The forecast with new quantiles: at or above the floor, not falling, and still exactly 0 where it was sure of 0."""
    if floor is not None:
        quantiles = np.maximum(quantiles, floor)
    np.maximum.accumulate(quantiles, axis=2, out=quantiles)
    sure = forecast.quantiles[:, :, 0] == forecast.quantiles[:, :, -1]  # closed, or never in doubt
    quantiles[sure] = forecast.quantiles[sure][:, :1]
    return Forecast(forecast.series, forecast.frequency, forecast.cutoff, tuple(levels), quantiles, forecast.mean)


def reader(levels: Sequence[float], deviates: np.ndarray) -> np.ndarray:
    """(Q, L) matrix that reads quantiles at other deviates: linear between levels, beyond them by the distance from the median."""
    usual, last, middle = ndtri(np.array(levels)), len(levels) - 1, _middle(levels)
    out = np.zeros((len(levels), len(deviates)))
    for j, z in enumerate(deviates):
        if z > usual[last] or z < usual[0]:
            end = last if z > 0 else 0
            out[end, j] += z / usual[end]
            out[middle, j] += 1 - z / usual[end]
        else:
            low = int(np.clip(np.searchsorted(usual, z, side="right") - 1, 0, last - 1))
            share = (z - usual[low]) / (usual[low + 1] - usual[low])
            out[low, j] += 1 - share
            out[low + 1, j] += share
    return out


def _middle(levels: Sequence[float]) -> int:
    for i, q in enumerate(levels):
        if abs(q - 0.5) < 1e-9:
            return i
    raise DataError(f"Calibration needs a forecast with the median; it has the levels {', '.join(f'{q:g}' for q in levels)}.")


def _scores(one: Scored, stretch: np.ndarray, floor: float, seed: list[int]) -> tuple[np.ndarray, ...]:
    """Scores of a window's cells, and each cell's window, group and stretch."""
    row, column = np.nonzero(np.isfinite(one.truth))
    if len(row) > _MOST_CELLS:
        kept = np.sort(np.random.default_rng(seed).choice(len(row), _MOST_CELLS, replace=False))
        row, column = row[kept], column[kept]
    score = normal_scores(one.truth[row, column], one.forecast.quantiles[row, column], one.forecast.levels, floor=floor,
                          seed=seed[0] + seed[1])
    seen = np.isfinite(score)
    return score[seen], np.full(int(seen.sum()), seed[1]), one.classes[row][seen], stretch[column][seen]


def _asked(score: np.ndarray, window: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """(Q,): how much farther from the median each level's deviate would have to lie; 0 without evidence. Windows count alike.

    Both sides are judged together: a window in which everything sold less says that the spread was too narrow, and does not say
    that the next window will sell less, too.
    """
    if len(score) < _FEWEST_CELLS:
        return np.zeros(len(usual))
    sizes = np.bincount(window)
    size = np.abs(score)
    order = np.argsort(size, kind="stable")
    mass = np.cumsum((1.0 / sizes[window])[order])
    n = len(score)
    # The conformal quantile: of n + 1 exchangeable scores the next lies within the ceil((n + 1) p)-th with chance p or more.
    inside = 2 * ndtr(np.abs(usual)) - 1
    at = np.minimum(inside * (n + 1) / n, 1.0) * mass[-1]
    found = size[order][np.clip(np.searchsorted(mass, at - 1e-9), 0, n - 1)]
    return np.asarray(np.sign(usual) * np.where(usual == 0, 0.0, found - np.abs(usual)))


def _monotone(usual: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Deviates that rise, within the bounds of what a correction may do."""
    wide = np.abs(usual) * _MOST + 1.0
    return np.maximum.accumulate(np.clip(usual + moved, -wide, wide))

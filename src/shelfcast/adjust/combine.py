"""Several models' forecasts as one: quantiles averaged level by level, with weights that trials of the past have earned.

Averaging quantiles at each level (Vincentisation) keeps the shape of its members and does not cross (Lichtendahl, Grushka-
Cockayne and Winkler 2013). Weights lie on the simplex and minimise the scaled pinball loss on validation windows, either by
exponentiated gradient (Kivinen and Warmuth 1997; the loss is convex in the weights) or by greedy forward selection with
replacement (Caruana et al. 2004). Each demand class has weights of its own, drawn towards the weights of all series together
as far as the class has few series; and all are drawn towards one member alone, as far as the trials are few and what weighing
would have gained in them is small: a gain of one percent in three windows is as often luck as not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from shelfcast.adjust.trial import Trial
from shelfcast.data.classes import CLASSES
from shelfcast.errors import DataError, SettingsError, UnknownNameError, WeightsError, shorten
from shelfcast.evaluate.metrics import pinball_losses
from shelfcast.evaluate.scores import DECILES
from shelfcast.forecast import Forecast

Method = Literal["gradient", "greedy"]
SHRINK_SERIES: Final = 200.0  # series of a class whose evidence weighs as much as that of all series together
SHRINK_WINDOWS: Final = 0.5  # windows whose evidence weighs as much as the belief in one member
SHRINK_GAIN: Final = 0.01  # gain over that member, a share of its loss, that is believed by half
BETTER: Final = 0.02  # by so much of its loss another member must beat the base to be believed in instead
_FAINT: Final = 0.03  # a weight below this costs a model's time and moves nothing
_MOST_CELLS: Final = 12_000  # cells of a window that weights are learned from; more changes the third digit of a weight
_ROUNDS: Final = 80
_PICKS: Final = 24  # of the greedy selection: weights are multiples of 1/24
_CELL_LIMIT: Final = 20.0  # scaled losses beyond so many times the usual count as that: one odd series shall not rule


@dataclass(frozen=True, eq=False)
class Weights:
    """How much each member counts, by group of series.

    Attributes
    ----------
    members : names of the models, M
    groups : names of the groups, G; the demand classes unless told otherwise
    matrix : float (G, M), at least 0; rows sum to 1
    """

    members: tuple[str, ...]
    groups: tuple[str, ...]
    matrix: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, dtype=float)
        if matrix.shape != (len(self.groups), len(self.members)) or not len(self.members):
            raise SettingsError(f"Weights of {len(self.members)} members in {len(self.groups)} groups need a matrix of that shape; "
                                f"got {matrix.shape}.")
        if not np.isfinite(matrix).all() or (matrix < 0).any() or np.abs(matrix.sum(axis=1) - 1).max() > 1e-6:
            raise SettingsError("Weights are not negative and sum to 1 in each group.")
        view = matrix.view()
        view.flags.writeable = False
        object.__setattr__(self, "matrix", view)

    @property
    def used(self) -> tuple[str, ...]:
        """Members that count in some group."""
        return tuple(m for m, column in zip(self.members, self.matrix.T, strict=True) if (column > 0).any())

    def of(self, member: str) -> np.ndarray:
        """(G,) the weight of a member in each group; zeros for a model that is no member."""
        return self.matrix[:, self.members.index(member)] if member in self.members else np.zeros(len(self.groups))

    def table(self) -> pl.DataFrame:
        """One row a group: `group`, and a column of weights for each member."""
        return pl.DataFrame({"group": list(self.groups), **{m: self.matrix[:, i] for i, m in enumerate(self.members)}})

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a manifest or a file."""
        return {"members": list(self.members), "groups": list(self.groups), "matrix": self.matrix.tolist()}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Weights":
        """What `as_json` gave.

        Raises
        ------
        WeightsError
            If it is something else.
        """
        try:
            return cls(tuple(held["members"]), tuple(held["groups"]), np.array(held["matrix"], dtype=float))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"These are no weights of models: {shorten(error)}.") from error

    @classmethod
    def alone(cls, member: str) -> "Weights":
        """All weight on one member, in every demand class."""
        return cls.believed({member: 1.0})

    @classmethod
    def believed(cls, shares: Mapping[str, float]) -> "Weights":
        """The same weights in every demand class, {member: share}, shares that sum to 1: a belief, before anything is tried."""
        return cls(tuple(shares), CLASSES, np.tile(np.array(list(shares.values())), (len(CLASSES), 1)))


def tempered(weights: Weights, believed: Weights, trust: float) -> Weights:
    """What was believed, with as much of the members that belief leaves out as trials say, by how far the trials are trusted.

    For trials that are not quite the task, such as those of a shorter horizon: which of the members believed in is better they
    cannot say, that another one adds to them they can.

    Parameters
    ----------
    trust : 0 to 1

    Examples
    --------
    >>> tempered(Weights.believed({"a": 0.6, "c": 0.4}), Weights.believed({"a": 0.5, "b": 0.5}), 0.5).matrix[0].tolist()
    [0.4, 0.4, 0.2]
    """
    others = [m for m in weights.members if m not in believed.members]
    matrix = np.stack([trust * weights.of(m) for m in others], axis=1) if others else np.zeros((len(weights.groups), 0))
    matrix = np.where(matrix < _FAINT, 0.0, matrix)
    rest = 1 - matrix.sum(axis=1, keepdims=True)
    return Weights((*believed.members, *others), weights.groups, np.concatenate([rest * believed.matrix, matrix], axis=1))


def combine(forecasts: Mapping[str, Forecast], weights: Weights, groups: np.ndarray) -> Forecast:
    """Average the members' quantiles and means, by the weights of each series' group.

    Parameters
    ----------
    forecasts : {member: forecast}; members without any weight may be absent
    weights : as `learn_weights` gives them
    groups : int (N,), position of each series' group in `weights.groups`

    Raises
    ------
    DataError
        If a member that counts is absent, or two forecasts are not of the same series, periods and levels.
    """
    absent = [m for m in weights.used if m not in forecasts]
    if absent:
        raise DataError(f"The combination needs a forecast of {shorten(absent[0])!r}, and there is none.")
    first = forecasts[weights.used[0]]
    for name in weights.used:
        other = forecasts[name]
        if (other.cutoff, other.levels, other.mean.shape) != (first.cutoff, first.levels, first.mean.shape):
            raise DataError(f"The forecasts of {weights.used[0]} and {name} differ in cutoff, levels or shape: "
                            f"{first!r} and {other!r}.")
    if len(weights.used) == 1:
        return first
    quantiles, mean = np.zeros(first.quantiles.shape), np.zeros(first.mean.shape)
    for name in weights.used:
        share = weights.of(name)[groups]  # (N,)
        quantiles += share[:, None, None] * forecasts[name].quantiles
        mean += share[:, None] * forecasts[name].mean
    # Sums of rising numbers rise, but for the last bit.
    np.maximum.accumulate(quantiles, axis=2, out=quantiles)
    return Forecast(first.series, first.frequency, first.cutoff, first.levels, quantiles, mean)


def learn_weights(trials: Sequence[Trial], *, base: str | None = None, method: Method = "gradient", shrink: float = SHRINK_SERIES,
                  seed: int = 0) -> Weights:
    """Weights that would have made the least scaled quantile loss in trials of the past, by demand class.

    Parameters
    ----------
    trials : validation windows; each counts alike
    base : member believed in without evidence, unless another did better by `BETTER`; None takes the trials at their word
    method : `gradient`, or `greedy` selection with replacement
    shrink : series of a class whose evidence weighs as much as that of all series together
    seed : of the draw of cells

    Returns
    -------
    Weights over `data.classes.CLASSES`; without a base, no worse in the trials than the best single member
    """
    if method not in ("gradient", "greedy"):
        raise UnknownNameError("way of learning weights", str(method), ["gradient", "greedy"])
    members = tuple(trials[0].forecasts) if trials else ()
    if not members:
        raise SettingsError("Weights are learned from at least one trial with at least one member.")
    drawn = [_draw(r, members, np.random.default_rng([seed, k])) for k, r in enumerate(trials)]
    cells = _Cells(*(np.concatenate(part) for part in zip(*drawn, strict=True)))
    matrix = np.zeros((len(CLASSES), len(members)))
    if len(members) == 1 or not len(cells.truth):
        matrix[:, 0] = 1.0
        return Weights(members, CLASSES, matrix)
    solve = _gradient if method == "gradient" else _greedy
    pooled = _thrifty(solve(cells), cells)
    believed, trust_all = _belief(pooled, cells, members, base, len(trials))
    for g in range(len(CLASSES)):
        inside = cells.select(cells.group == g)
        count = float(np.median([(r.classes == g).sum() for r in trials]))
        own = solve(inside) if len(inside.truth) and count else pooled
        trust = count / (count + shrink)
        matrix[g] = _without_faint(trust_all * (trust * own + (1 - trust) * pooled) + (1 - trust_all) * believed)
    return Weights(members, CLASSES, matrix)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells to learn from: truth (R,), quantiles at the deciles (R, M, 9), weight of each cell's loss (R,), group (R,)."""

    truth: np.ndarray
    quantiles: np.ndarray
    weight: np.ndarray
    group: np.ndarray

    def select(self, which: np.ndarray) -> "_Cells":
        return _Cells(self.truth[which], self.quantiles[which], self.weight[which], self.group[which])

    def loss(self, share: np.ndarray) -> float:
        """Mean scaled quantile loss of the combination by these weights (M,)."""
        mixed = np.tensordot(self.quantiles, share, axes=([1], [0]))
        return float(self.weight @ _losses(self.truth, mixed) / self.weight.sum())


def _losses(truth: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(R,): twice the pinball loss, mean over the deciles, units."""
    return 2 * pinball_losses(truth[:, None], quantiles[:, None, :], np.array(DECILES))[:, 0].mean(axis=1)


def _draw(trial: Trial, members: Sequence[str], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    usable = np.isfinite(trial.truth) & (trial.scale > 0)[:, None]
    row, step = np.nonzero(usable)
    if len(row) > _MOST_CELLS:
        kept = np.sort(rng.choice(len(row), _MOST_CELLS, replace=False))
        row, step = row[kept], step[kept]
    quantiles = np.stack([np.stack([trial.forecasts[m].at(q)[row, step] for q in DECILES], axis=1) for m in members], axis=1) \
        if len(row) else np.empty((0, len(members), len(DECILES)))
    truth = trial.truth[row, step]
    weight = 1 / trial.scale[row]
    if len(row):
        # Scales near nought (series that hardly ever move) would rule the sum; bounded, they count as their like do.
        best = np.min([_losses(truth, quantiles[:, m]) for m in range(len(members))], axis=0) * weight
        usual = best[best <= np.quantile(best, 0.99)].mean()
        weight = weight * np.minimum(1.0, _CELL_LIMIT * usual / np.maximum(best, 1e-12))
        weight = weight / len(row)  # each window counts alike
    return truth, quantiles, weight, trial.classes[row]


def _gradient(cells: _Cells) -> np.ndarray:
    """Exponentiated gradient on the simplex, the best iterate kept; never behind the best single member."""
    members = cells.quantiles.shape[1]
    levels = np.array(DECILES)
    single = [cells.loss(one) for one in np.eye(members)]
    best, share = float(min(single)), np.eye(members)[int(np.argmin(single))]
    # Steps in units of the loss, so that neither money nor units matter.
    rate = 4.0 / max(best, 1e-12)
    weight = cells.weight / cells.weight.sum()
    w = np.full(members, 1 / members)
    for k in range(_ROUNDS):
        mixed = np.tensordot(cells.quantiles, w, axes=([1], [0]))  # (R, 9)
        slope = np.where(cells.truth[:, None] <= mixed, 1 - levels, -levels) * (2 / len(levels)) * weight[:, None]
        loss = float(weight @ _losses(cells.truth, mixed))
        if loss < best:
            best, share = loss, w.copy()
        gradient = np.einsum("rml,rl->m", cells.quantiles, slope)
        w = w * np.exp(-rate / np.sqrt(k + 1.0) * (gradient - gradient.min()))
        w /= w.sum()
    return share


def _greedy(cells: _Cells) -> np.ndarray:
    """Forward selection with replacement: what lowers the loss most is picked again and again; the best prefix is kept."""
    members = cells.quantiles.shape[1]
    picked = np.zeros(members)
    best, share = np.inf, picked
    for _ in range(_PICKS):
        tried = [(cells.loss((picked + one) / (picked.sum() + 1)), m) for m, one in enumerate(np.eye(members))]
        loss, member = min(tried)
        picked[member] += 1
        if loss < best - 1e-12:
            best, share = loss, picked / picked.sum()
    return share


def _belief(pooled: np.ndarray, cells: _Cells, members: Sequence[str], base: str | None, windows: int) -> tuple[np.ndarray, float]:
    """(M,) the one member believed in without evidence, and how far what the trials say is believed instead, 0 to 1."""
    single = np.array([cells.loss(one) for one in np.eye(len(members))])
    if base is None:
        return np.eye(len(members))[int(np.argmin(single))], 1.0
    if base not in members:
        raise UnknownNameError("member", base, members)
    handicap = np.where(np.array(members) == base, 1.0, 1.0 + BETTER)
    first = int(np.argmin(single * handicap))
    gain = max(1 - cells.loss(pooled) / single[first], 0.0) if single[first] > 0 else 0.0
    return np.eye(len(members))[first], windows / (windows + SHRINK_WINDOWS) * gain / (gain + SHRINK_GAIN)


def _without_faint(share: np.ndarray) -> np.ndarray:
    kept = np.where(share < _FAINT, 0.0, share)
    return np.asarray(kept / kept.sum())


def _thrifty(share: np.ndarray, cells: _Cells) -> np.ndarray:
    """The weights without the faint ones, where that leaves them no worse than the best single member."""
    kept = _without_faint(share)
    single = [cells.loss(one) for one in np.eye(len(share))]
    if cells.loss(kept) <= min(single):
        return kept
    return np.asarray(np.eye(len(share))[int(np.argmin(single))])

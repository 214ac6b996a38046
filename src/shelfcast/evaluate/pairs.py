"""Two models by one measure: the difference, the skill, their intervals, and what may be claimed of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from shelfcast.evaluate.contest import Measure
from shelfcast.evaluate.resampling import Interval, Replicates, Resampling, difference, holm, interval_of, skill_of


@dataclass(frozen=True)
class Pair:
    """Two models by one measure.

    Attributes
    ----------
    a, b : names; `score_a`, `score_b` their scores
    difference : score of a minus score of b (of the distances to the best value, for bias and coverage); negative: a is better
    skill : 1 - a / b; None for measures with a target
    adjusted : p of the deciding interval after Holm's correction for all pairs that were compared
    confidence : of the intervals
    """

    measure: str
    a: str
    b: str
    score_a: float
    score_b: float
    difference: Interval
    skill: Interval | None
    adjusted: float
    confidence: float

    @property
    def deciding(self) -> Interval:
        """The interval that a claim rests on."""
        return self.skill if self.skill is not None and np.isfinite(self.skill.value) else self.difference

    @property
    def winner(self) -> str | None:
        """The better model, where the interval leaves zero out, also after correction; else None: no difference is shown."""
        if not self.deciding.leaves_zero_out or self.adjusted > 1 - self.confidence:
            return None
        positive = self.deciding.low > 0
        return self.a if positive == (self.deciding is self.skill) else self.b


def mirrored(pair: Pair) -> Pair:
    """The same pair seen from the other model: b against a."""
    apart, skill = pair.difference, pair.skill
    turned = replace(apart, value=-apart.value, low=-apart.high, high=-apart.low)
    if skill is not None:  # 1 - a / b turns into 1 - b / a
        with np.errstate(divide="ignore", invalid="ignore"):
            value, low, high = (float(1 - 1 / np.float64(1 - v)) for v in (skill.value, skill.high, skill.low))
        skill = replace(skill, value=value, low=low, high=high)
    return replace(pair, a=pair.b, b=pair.a, score_a=pair.score_b, score_b=pair.score_a, difference=turned, skill=skill)


def pair_of(names: tuple[str, str], measure: Measure, found: Replicates, at: tuple[int, int], settings: Resampling) -> Pair:
    """Two of the models of some replicates, `at` their positions."""
    skill = skill_of(found, *at, settings) if measure.has_skill else None
    apart = interval_of(found, difference(*at, target=measure.target), settings)
    a, b = (float(found.estimate[i]) for i in at)
    return adjusted([Pair(measure.name, *names, a, b, apart, skill, float("nan"), settings.confidence)])[0]


def adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with Holm's correction for how many they are."""
    p = holm(np.array([one.deciding.p for one in pairs]))
    return [replace(one, adjusted=float(at)) for one, at in zip(pairs, p, strict=True)]


def all_pairs(models: Sequence[str], measure: Measure, found: Replicates, settings: Resampling) -> tuple[Pair, ...]:
    """Every two models, corrected together."""
    return tuple(adjusted([pair_of((models[a], models[b]), measure, found, (a, b), settings)
                           for a, b in combinations(range(len(models)), 2)]))


def verdict(pair: Pair) -> str:
    """One sentence: which is better and by how much, or that no difference is shown; told from the side of the better one."""
    if pair.difference.value > 0:
        pair = mirrored(pair)
    deciding = pair.deciding
    if not np.isfinite(deciding.low):
        return (f"Nothing can be claimed: {pair.measure} of {pair.a} is {pair.score_a:.4g}, of {pair.b} {pair.score_b:.4g}, "
                f"without an interval.")
    if deciding is pair.skill:
        said = f"{pair.a} has {abs(deciding.value):.1%} {'lower' if deciding.value >= 0 else 'higher'} {pair.measure} than {pair.b}"
        between = f"{pair.confidence:.0%} interval of the skill {deciding.low:+.1%} to {deciding.high:+.1%}"
    else:
        said = f"{pair.measure} of {pair.a} is {pair.score_a:.4g}, of {pair.b} {pair.score_b:.4g}"
        between = f"{pair.confidence:.0%} interval of the difference {deciding.low:+.4g} to {deciding.high:+.4g}"
    if pair.winner is None and deciding.leaves_zero_out:
        return (f"No difference is shown: {said} ({between}), but among so many pairs such a difference is found by chance (p "
                f"{pair.adjusted:.3f} after Holm's correction).")
    if pair.winner is None:
        return f"No difference is shown: {said} ({between}, which holds zero)."
    return f"{pair.winner} is better than {pair.b if pair.winner == pair.a else pair.a}: {said} ({between})."

"""Is model A really better than B, by how much, and where?

Takes a `Contest` (losses of several models on the same series, windows and truths) and returns tables with intervals. "Better" is
said only where the interval leaves zero out. How intervals are made is in `resampling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, Literal

import numpy as np
import polars as pl

from shelfcast.errors import DataError, SettingsError, shorten
from shelfcast.evaluate.contest import MEASURES, Contest, Measure
from shelfcast.evaluate.resampling import (
    LEAST_WINDOWS,
    DieboldMariano,
    Interval,
    Replicates,
    Resampling,
    diebold_mariano,
    difference,
    holm,
    interval_of,
    part_of,
    resample,
    skill_of,
    spread_of,
)
from shelfcast.names import ITEM, LOCATION

By = Literal["series", "item", "location"]
FEW_UNITS: Final = 3  # fewer have no interval of their own: drawing two again and again says nothing
DEFAULT: Final = Resampling()
MOST_GROUPS: Final = 40  # groups of a kind with an interval, those with the largest contribution
GROUP_SCHEMA: Final = {
    "kind": pl.String, "group": pl.String, "series": pl.Int64, "a": pl.Float64, "b": pl.Float64, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "skill": pl.Float64, "skill_low": pl.Float64, "skill_high": pl.Float64,
    "units": pl.Float64, "p": pl.Float64, "verdict": pl.String}
"""Of a table of groups: scores, difference a - b and skill with their intervals, `units` (loss of a less that of b, in units sold),
`p` after Holm's correction for the groups of its kind, and `verdict` on a: better, worse or not shown."""


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


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    measure : the deciding one; `by`: what was drawn, `units`: how many of them; `settings`: how
    contest : the losses it rests on
    ranking : one row a model, best first: model, score, low, high, rank, rank_low, rank_high, first (share of replicates in which
        it is best), skill, skill_low, skill_high (over the baseline), p (Holm-adjusted, against the baseline)
    baseline : the model that skill is measured against
    pairs : every two models by the deciding measure, Holm-adjusted together
    pair : the two models that the rest is about: positions in `contest.models`
    measures : the pair by every measure
    wins : share of series on which a has the smaller loss, ties by half, against one half
    through_time : Diebold and Mariano's test over the windows
    groups : the pair by class, location, item and step; columns `GROUP_SCHEMA`, the largest contribution first
    windows : the pair window by window; the intervals draw series alone
    told : sentences for the reader
    """

    measure: Measure
    by: By
    units: int
    settings: Resampling
    contest: Contest
    ranking: pl.DataFrame
    baseline: str
    pairs: tuple[Pair, ...]
    pair: tuple[int, int]
    measures: tuple[Pair, ...]
    wins: Interval
    through_time: DieboldMariano
    groups: pl.DataFrame
    windows: pl.DataFrame
    told: tuple[str, ...]

    @property
    def headline(self) -> Pair:
        """The pair by the deciding measure."""
        return next(p for p in self.measures if p.measure == self.measure.name)


def compare(contest: Contest, measure: Measure, *, pair: tuple[int, int] | None = None, baseline: str | None = None,
            by: By = "series", settings: Resampling = DEFAULT) -> Comparison:
    """Compare models.

    Parameters
    ----------
    measure : the deciding one
    pair : positions of the two models that details are wanted of; None: the two when there are two, else the best and the next
    baseline : what skill is measured against; None: the last of the pair's order when there are two models, else the worst
    by : what is drawn: each series, or all series of an item or a location together, as they miss together
    settings : how to resample

    Raises
    ------
    DataError
        If there is nothing to draw: one series (or cluster) and fewer than three windows.
    """
    if len(contest.models) < 2:
        raise SettingsError(f"A comparison needs two models; there is only {shorten(contest.models[0])}.")
    clusters = contest.clusters(by)
    units = _units(contest, clusters)
    if not contest.denominator(measure).any():
        usable = [m.name for m in MEASURES.values() if contest.denominator(m).any()]
        raise DataError(f"{measure.name} cannot be measured here: nothing was sold, or the past has no season to scale by. "
                        f"Compare by {' or '.join(usable)}.")
    if units < 2 and not settings.draws_windows(len(contest.windows)):
        raise DataError(f"One {by} and {_windows_said(contest)} leave nothing to draw, so no interval can be given. Backtest on at "
                        f"least {LEAST_WINDOWS} windows{', or compare --by series' if by != 'series' else ''}.")
    found = _replicates(contest, measure, range(len(contest.models)), clusters, units, settings)
    pairs = _pairs(contest.models, measure, found, settings)
    scores = _distance(found.estimate, measure)
    order = [int(i) for i in np.argsort(scores, kind="stable")]
    chosen = pair or ((0, 1) if len(order) == 2 else (order[0], order[1]))
    base = contest.position(baseline) if baseline else chosen[1] if len(order) == 2 else order[-1]
    kinds = [_by_class(contest, measure, chosen, clusters, units, settings),
             *(_by_key(contest, measure, chosen, key, clusters, units, settings) for key in (LOCATION, ITEM))]
    return Comparison(
        measure=measure, by=by, units=units, settings=settings, contest=contest, baseline=contest.models[base], pairs=pairs,
        pair=chosen,
        ranking=_ranking(contest.models, measure, found, order, base, settings),
        measures=_measures(contest, chosen, clusters, units, settings, pairs),
        wins=_wins(contest, measure, chosen, clusters, settings), through_time=_through_time(contest, measure, chosen),
        groups=pl.concat(kinds), windows=_windows(contest, measure, chosen, clusters, units, settings),
        told=(*contest.told, *_told(contest, found, by, settings)))


def step_table(measure: Measure, numerators: np.ndarray, denominators: np.ndarray, moved: np.ndarray, *, names: Sequence[str],
               clusters: np.ndarray | None, units: int, settings: Resampling) -> pl.DataFrame:
    """Two models by stretches of the horizon, in their order; columns `GROUP_SCHEMA`.

    Parameters
    ----------
    numerators : float (S, 2, W, N), losses of a and b by stretch; denominators (S, W, N); moved (S, 2), losses in units
    clusters : as in `part_of`; units: how many there are to draw
    """
    parts = [part_of(n, d, clusters=clusters) for n, d in zip(numerators, denominators, strict=True)]
    kept = [s for s, part in enumerate(parts) if (part.sums[:, -1] > 0).any()]
    found = resample([parts[s] for s in kept], units=units, settings=settings, root=measure.root)
    counts = [int((denominators[s] > 0).any(axis=0).sum()) for s in kept]
    return _group_rows("step", [names[s] for s in kept], counts, found, [float(moved[s, 0] - moved[s, 1]) for s in kept], measure,
                       settings)


def series_ratios(contest: Contest, measure: Measure, pair: tuple[int, int]) -> pl.DataFrame:
    """Loss of a over loss of b for each series, all windows together: `item`, `location`, `class`, `ratio` (log2; infinite where
    one has no loss at all, 0 where neither has); series without a denominator are left out."""
    sums = np.abs(contest.numerator(measure)[list(pair)].sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sums[0] == sums[1], 0.0, np.log2(sums[0]) - np.log2(sums[1]))
    seen = contest.denominator(measure).sum(axis=0) > 0
    return contest.series.with_columns(pl.Series("ratio", ratio)).filter(pl.Series(seen))


def verdict(pair: Pair) -> str:
    """One sentence: which is better and by how much, or that no difference is shown."""
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


def _units(contest: Contest, clusters: np.ndarray | None) -> int:
    return contest.series.height if clusters is None else int(clusters.max()) + 1


def _replicates(contest: Contest, measure: Measure, models: Sequence[int], clusters: np.ndarray | None, units: int,
                settings: Resampling) -> Replicates:
    part = part_of(contest.numerator(measure)[list(models)], contest.denominator(measure), clusters=clusters)
    return resample([part], units=units, settings=settings, root=measure.root)[0]


def _distance(scores: np.ndarray, measure: Measure) -> np.ndarray:
    """Scores on a scale where less is better."""
    return scores if measure.target is None else np.abs(scores - measure.target)


def _pair(models: tuple[str, str], measure: Measure, found: Replicates, at: tuple[int, int], settings: Resampling) -> Pair:
    a, b = at
    skill = skill_of(found, a, b, settings) if measure.has_skill else None
    apart = interval_of(found, difference(a, b, target=measure.target), settings)
    made = Pair(measure.name, *models, float(found.estimate[a]), float(found.estimate[b]), apart, skill, float("nan"),
                settings.confidence)
    return _adjusted([made])[0]


def _adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    p = holm(np.array([one.deciding.p for one in pairs]))
    return [replace(one, adjusted=float(at)) for one, at in zip(pairs, p, strict=True)]


def _pairs(models: Sequence[str], measure: Measure, found: Replicates, settings: Resampling) -> tuple[Pair, ...]:
    made = [_pair((models[a], models[b]), measure, found, (a, b), settings) for a, b in combinations(range(len(models)), 2)]
    return tuple(_adjusted(made))


def _ranking(models: Sequence[str], measure: Measure, found: Replicates, order: list[int], base: int,
             settings: Resampling) -> pl.DataFrame:
    spread = spread_of(found, lambda scores: _distance(scores, measure), settings)
    ranks = 1 + np.argsort(np.argsort(np.where(np.isfinite(spread), spread, np.inf), axis=1, kind="stable"), axis=1, kind="stable")
    tail = (1 - settings.confidence) / 2
    against = [None if i == base else _pair((models[i], models[base]), measure, found, (i, base), settings) for i in order]
    p = holm(np.array([float("nan") if one is None else one.deciding.p for one in against]))
    rows = []
    for rank, (i, one, at) in enumerate(zip(order, against, p, strict=True), start=1):
        score = interval_of(found, lambda scores, i=i: scores[..., i], settings)  # type: ignore[misc]
        skill = None if one is None else one.skill
        low, high = np.quantile(ranks[:, i], [tail, 1 - tail], method="nearest")
        rows.append({"model": models[i], "score": score.value, "low": score.low, "high": score.high, "rank": rank,
                     "rank_low": int(low), "rank_high": int(high), "first": float((ranks[:, i] == 1).mean()),
                     "skill": None if skill is None else skill.value, "skill_low": None if skill is None else skill.low,
                     "skill_high": None if skill is None else skill.high, "p": float(at) if np.isfinite(at) else None})
    floats = dict.fromkeys(("skill", "skill_low", "skill_high", "p"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats)


def _measures(contest: Contest, pair: tuple[int, int], clusters: np.ndarray | None, units: int, settings: Resampling,
              known: Sequence[Pair]) -> tuple[Pair, ...]:
    """The pair by every measure that can be measured; the adjusted p of the deciding one is that of the whole family of pairs."""
    names = contest.models[pair[0]], contest.models[pair[1]]
    adjusted = {(p.measure, frozenset((p.a, p.b))): p.adjusted for p in known}
    made = []
    for measure in MEASURES.values():
        if contest.denominator(measure).any():
            one = _pair(names, measure, _replicates(contest, measure, pair, clusters, units, settings), (0, 1), settings)
            family = adjusted.get((one.measure, frozenset(names)), one.adjusted)
            made.append(replace(one, adjusted=family))
    return tuple(made)


def _wins(contest: Contest, measure: Measure, pair: tuple[int, int], clusters: np.ndarray | None, settings: Resampling) -> Interval:
    """Share of series on which a does better, minus one half; windows are summed, not drawn."""
    numerator, denominator = contest.numerator(measure)[list(pair)].sum(axis=1), contest.denominator(measure).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = _distance(numerator / denominator, measure)
    won = np.where(np.isclose(scores[0], scores[1], rtol=1e-9, atol=0), 0.5, scores[0] < scores[1])
    seen = (denominator > 0).astype(float)
    part = part_of((won * seen)[None, None], seen[None], clusters=clusters)
    held = replace(settings, windows=False)
    found = resample([part], units=_units(contest, clusters), settings=held)[0]
    return interval_of(found, lambda scores: scores[..., 0] - 0.5, held)


def _through_time(contest: Contest, measure: Measure, pair: tuple[int, int]) -> DieboldMariano:
    sums = contest.numerator(measure)[list(pair)].sum(axis=2)
    total = contest.denominator(measure).sum(axis=1)
    kept = total > 0
    scores = sums[:, kept] / total[kept]
    scores = _distance(np.sqrt(scores) if measure.root else scores, measure)
    return diebold_mariano(scores[0] - scores[1])


def _windows(contest: Contest, measure: Measure, pair: tuple[int, int], clusters: np.ndarray | None, units: int,
             settings: Resampling) -> pl.DataFrame:
    held = replace(settings, windows=False)
    labels = np.broadcast_to(np.arange(len(contest.windows))[:, None], contest.cells.shape)
    names = contest.windows
    return _groups(contest, measure, pair, "window", labels, names, clusters, units, held, most=len(names)).sort(
        pl.col("group").replace_strict(list(names), range(len(names)), return_dtype=pl.Int64))


def _by_class(contest: Contest, measure: Measure, pair: tuple[int, int], clusters: np.ndarray | None, units: int,
              settings: Resampling) -> pl.DataFrame:
    return _groups(contest, measure, pair, "class", contest.classes, contest.class_names, clusters, units, settings)


def _by_key(contest: Contest, measure: Measure, pair: tuple[int, int], key: str, clusters: np.ndarray | None, units: int,
            settings: Resampling) -> pl.DataFrame:
    """By location or item; nothing where there is only one, or where each series is one of its own."""
    names = contest.series[key].unique().sort()
    if not 1 < len(names) < contest.series.height:
        return pl.DataFrame(schema=GROUP_SCHEMA)
    labels = np.asarray(contest.series[key].rank("dense").to_numpy(), dtype=np.intp) - 1
    return _groups(contest, measure, pair, key, labels, names.cast(pl.String).to_list(), clusters, units, settings)


def _groups(contest: Contest, measure: Measure, pair: tuple[int, int], kind: str, labels: np.ndarray, names: Sequence[str],
            clusters: np.ndarray | None, units: int, settings: Resampling, *, most: int = MOST_GROUPS) -> pl.DataFrame:
    labels = np.broadcast_to(labels, contest.cells.shape)
    count = len(names)
    flat = np.where(labels >= 0, labels, count).reshape(-1)
    moved = contest.losses[measure.units]
    moved = moved[pair[0]] - moved[pair[1]]
    total = np.bincount(flat, weights=moved.reshape(-1), minlength=count + 1)[:count]
    denominator = contest.denominator(measure)
    there = np.bincount(flat, weights=denominator.reshape(-1), minlength=count + 1)[:count] > 0
    shown = [int(g) for g in np.argsort(-np.abs(total), kind="stable") if there[g]][:most]
    if not shown:
        return pl.DataFrame(schema=GROUP_SCHEMA)
    numerators = contest.numerator(measure)[list(pair)]
    parts, counts = [], []
    for g in shown:
        columns = np.flatnonzero((labels == g).any(axis=0))
        inside = labels[:, columns] == g
        below = np.where(inside, denominator[:, columns], 0.0)
        part = part_of(np.where(inside, numerators[:, :, columns], 0.0), below,
                       clusters=columns if clusters is None else clusters[columns])
        parts.append(part)
        counts.append(int((below > 0).any(axis=0).sum()))
    found = resample(parts, units=units, settings=settings, root=measure.root)
    return _group_rows(kind, [str(names[g]) for g in shown], counts, found, [float(total[g]) for g in shown], measure, settings)


def _group_rows(kind: str, names: Sequence[str], counts: Sequence[int], found: Sequence[Replicates], units: Sequence[float],
                measure: Measure, settings: Resampling) -> pl.DataFrame:
    pairs = _adjusted([_pair(("a", "b"), measure, one, (0, 1), settings) for one in found])
    rows = []
    for name, count, one, moved, pair in zip(names, counts, found, units, pairs, strict=True):
        sure = one.units >= FEW_UNITS or one.by_window is not None
        skill = pair.skill
        won = {"a": "better", "b": "worse", None: "not shown"}[pair.winner] if sure else "not shown"
        ends = [v if sure and np.isfinite(v) else None for v in (pair.difference.low, pair.difference.high,
                                                                  *((skill.low, skill.high) if skill else (np.nan, np.nan)))]
        rows.append((kind, name, count, pair.score_a, pair.score_b, pair.difference.value, *ends[:2],
                     skill.value if skill else None, *ends[2:], moved, pair.adjusted if sure else None, won))
    return pl.DataFrame(rows, schema=GROUP_SCHEMA, orient="row")


def _windows_said(contest: Contest) -> str:
    count = len(contest.windows)
    return f"{count} window{'s' if count > 1 else ''}"


def _told(contest: Contest, found: Replicates, by: str, settings: Resampling) -> list[str]:
    drawn = {"series": "series", "item": "items (with all their places)", "location": "places (with all their items)"}
    told = [f"Intervals come from {settings.replicates:,} replicates that draw {found.units:,} {drawn[by]}"
            + (f" and {found.windows} windows" if found.by_window is not None else "")
            + f" with replacement; the losses lie as on {found.effective:,.0f} equal ones."]
    if found.by_window is None:
        told.append(f"{_windows_said(contest).capitalize()} cannot be drawn with replacement, so the intervals hold for "
                    f"{'this window' if len(contest.windows) == 1 else 'these windows'} only: another month may decide otherwise. "
                    f"Backtest on at least {LEAST_WINDOWS * settings.block} windows for a claim about time.")
    if found.units < FEW_UNITS:
        told.append(f"With {found.units} {by} to draw, the intervals say little; compare --by series, or on more of them.")
    return told

"""Is model A really better than B, by how much, and where?

Takes a `Contest` (losses of several models on the same series, windows and truths) and returns tables with intervals. "Better" is
said only where the interval leaves zero out. How intervals are made is in `resampling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl

from shelfcast.errors import DataError, SettingsError, shorten
from shelfcast.evaluate.compared_groups import FEW_UNITS, MOST_GROUPS, by_class, by_key, by_window, group_rows
from shelfcast.evaluate.contest import MEASURES, Contest, Measure
from shelfcast.evaluate.pairs import Pair, adjusted, all_pairs, pair_of
from shelfcast.evaluate.resampling import (
    LEAST_WINDOWS,
    DieboldMariano,
    Interval,
    Replicates,
    Resampling,
    diebold_mariano,
    interval_of,
    part_of,
    resample,
    share_above_half,
    spread_of,
    total_scores,
)
from shelfcast.names import ITEM, LOCATION

By = Literal["series", "item", "location"]
DEFAULT: Final = Resampling()


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
    wins : share of series on which a has the smaller loss, ties by half, less one half
    through_time : Diebold and Mariano's test over the windows
    groups : the pair by class, location, item (and step, where added); columns `GROUP_SCHEMA`, the largest contribution first
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
            by: By = "series", settings: Resampling = DEFAULT, overlap: int = 1) -> Comparison:
    """Compare models.

    Parameters
    ----------
    measure : the deciding one
    pair : positions of the two models that details are wanted of; None: the two when there are two, else the best and the next
    baseline : what skill is measured against; None: the second of two models, else the worst
    by : what is drawn: each series, or all series of an item or a location together, as they miss together
    settings : how to resample
    overlap : windows into which one period may fall: horizon / step, rounded up; above 1 neighbours miss alike, so the test
        through time looks as far

    Raises
    ------
    DataError
        If there is nothing to draw: one series (or cluster) and fewer than three windows.
    """
    if len(contest.models) < 2:
        raise SettingsError(f"A comparison needs two models; there is only {shorten(contest.models[0])}.")
    clusters = contest.clusters(by)
    units = contest.series.height if clusters is None else int(clusters.max()) + 1
    _refuse(contest, measure, by, units, settings)
    everything = part_of(contest.numerator(measure), contest.denominator(measure), clusters=clusters, root=measure.root)
    order = [int(i) for i in np.argsort(_distance(total_scores(everything), measure), kind="stable")]
    two = len(order) == 2
    base = contest.position(baseline) if baseline else pair[1] if pair and two else 1 if two else order[-1]
    chosen = pair or ((1 - base, base) if two else (order[0], order[1]))
    usable = [m for m in MEASURES.values() if contest.denominator(m).any()]
    by_measure = [part_of(contest.numerator(m)[list(chosen)], contest.denominator(m), clusters=clusters, root=m.root)
                  for m in usable]
    kinds = [by_class(contest, measure, chosen, clusters), by_key(contest, measure, chosen, clusters, key=LOCATION),
             by_key(contest, measure, chosen, clusters, key=ITEM), by_window(contest, measure, chosen, clusters)]
    # One pass over the draws for everything, so that all parts see the same ones, and none is made twice.
    parts = [everything, *by_measure, *(part for kind in kinds for part in kind.parts)]
    found, *rest = resample(parts, units=units, settings=settings)
    pairs = all_pairs(contest.models, measure, found, settings)
    tables, at = [], len(usable)
    for kind in kinds:
        tables.append(group_rows(kind, rest[at:at + len(kind.parts)], measure, settings))
        at += len(kind.parts)
    return Comparison(
        measure=measure, by=by, units=units, settings=settings, contest=contest, baseline=contest.models[base], pairs=pairs,
        pair=chosen, ranking=_ranking(contest.models, measure, found, order, base, settings),
        measures=_measures(contest, chosen, usable, rest[:len(usable)], pairs, settings),
        wins=_wins(contest, measure, chosen, clusters, settings),
        through_time=_through_time(contest, measure, chosen, overlap),
        groups=pl.concat(tables[:-1]), windows=tables[-1], told=(*contest.told, *_told(contest, found, by, settings, overlap)))


def _refuse(contest: Contest, measure: Measure, by: By, units: int, settings: Resampling) -> None:
    if not contest.denominator(measure).any():
        usable = [m.name for m in MEASURES.values() if contest.denominator(m).any()]
        why = ("nothing was sold, or the past has no season to scale by" if measure.loss in contest.losses else
               "a run was made by an earlier version, which kept no such losses; run the backtest again for it")
        raise DataError(f"{measure.name} cannot be measured here: {why}. "
                        f"Compare by {' or '.join(usable)}.")
    if units < 2 and not settings.draws_windows(len(contest.windows)):
        raise DataError(f"One {by} and {_windows_said(contest)} leave nothing to draw, so no interval can be given. Backtest on at "
                        f"least {LEAST_WINDOWS} windows{', or compare --by series' if by != 'series' else ''}.")


def _distance(scores: np.ndarray, measure: Measure) -> np.ndarray:
    """Scores on a scale where less is better."""
    return scores if measure.target is None else np.abs(scores - measure.target)


def _ranking(models: Sequence[str], measure: Measure, found: Replicates, order: list[int], base: int,
             settings: Resampling) -> pl.DataFrame:
    spread = spread_of(found, lambda scores: _distance(scores, measure), settings)
    ranks = 1 + np.argsort(np.argsort(np.where(np.isfinite(spread), spread, np.inf), axis=1, kind="stable"), axis=1, kind="stable")
    tail = (1 - settings.confidence) / 2
    others = [i for i in order if i != base]
    against = dict(zip(others, adjusted([pair_of((models[i], models[base]), measure, found, (i, base), settings) for i in others]),
                       strict=True))
    rows = []
    for rank, i in enumerate(order, start=1):
        score = _score(found, i, measure, settings)
        one = against.get(i)
        skill = None if one is None else one.skill
        low, high = np.quantile(ranks[:, i], [tail, 1 - tail], method="nearest")
        rows.append({"model": models[i], "score": float(found.estimate[i]), "low": score[0], "high": score[1], "rank": rank,
                     "rank_low": int(low), "rank_high": int(high), "first": float((ranks[:, i] == 1).mean()),
                     "skill": None if skill is None else skill.value, "skill_low": None if skill is None else skill.low,
                     "skill_high": None if skill is None else skill.high,
                     "p": one.adjusted if one is not None and np.isfinite(one.adjusted) else None})
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("skill", "skill_low", "skill_high", "p"), pl.Float64))


def _score(found: Replicates, at: int, measure: Measure, settings: Resampling) -> tuple[float, float]:
    """The interval of one model's score; of scores that cannot be negative on the scale of their logarithm, as skill is."""
    if not measure.has_skill:
        plain = interval_of(found, lambda scores: scores[..., at], settings)
        return plain.low, plain.high
    logs = interval_of(found, lambda scores: np.log(scores[..., at]), settings)
    return float(np.exp(logs.low)), float(np.exp(logs.high))


def _measures(contest: Contest, pair: tuple[int, int], measures: Sequence[Measure], found: Sequence[Replicates],
              family: Sequence[Pair], settings: Resampling) -> tuple[Pair, ...]:
    """The pair by every measure; the one by the deciding measure keeps the p of the whole family of pairs."""
    names = contest.models[pair[0]], contest.models[pair[1]]
    known = {(p.measure, frozenset((p.a, p.b))): p.adjusted for p in family}
    made = []
    for measure, one in zip(measures, found, strict=True):
        new = pair_of(names, measure, one, (0, 1), settings)
        made.append(replace(new, adjusted=known.get((measure.name, frozenset(names)), new.adjusted)))
    return tuple(made)


def _wins(contest: Contest, measure: Measure, pair: tuple[int, int], clusters: np.ndarray | None,
          settings: Resampling) -> Interval:
    """The share of series on which a does better, all windows together, a tie counting half, less one half."""
    above, below = contest.numerator(measure)[list(pair)].sum(axis=1), contest.denominator(measure).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = _distance(above / below, measure)
    won = np.where(np.isclose(scores[0], scores[1], rtol=1e-9, atol=0), 0.5, scores[0] < scores[1])
    seen = below > 0
    return share_above_half(won[seen], clusters=None if clusters is None else clusters[seen], confidence=settings.confidence,
                            windows=len(contest.windows))


def _through_time(contest: Contest, measure: Measure, pair: tuple[int, int], overlap: int) -> DieboldMariano:
    sums, total = contest.numerator(measure)[list(pair)].sum(axis=2), contest.denominator(measure).sum(axis=1)
    scores = sums[:, total > 0] / total[total > 0]
    scores = _distance(np.sqrt(scores) if measure.root else scores, measure)
    return diebold_mariano(scores[0] - scores[1], horizon=overlap)


def _windows_said(contest: Contest) -> str:
    count = len(contest.windows)
    return f"{count} window{'s' if count > 1 else ''}"


def _told(contest: Contest, found: Replicates, by: str, settings: Resampling, overlap: int) -> list[str]:
    drawn = {"series": "series", "item": "items (with all their places)", "location": "places (with all their items)"}
    told = [f"Intervals come from {settings.replicates:,} replicates that draw {found.units:,} {drawn[by]}"
            + (f" and {found.windows} windows" if found.by_window is not None else "")
            + f" with replacement; the losses lie as on {found.effective:,.0f} equal ones."]
    if overlap > 1:
        drawn_so = (f"{settings.block} neighbours are drawn together" if settings.block >= overlap else
                    f"yet only {settings.block} of them {'is' if settings.block == 1 else 'are'} drawn together, as was asked for: "
                    f"the intervals may be too narrow")
        told.append(f"A period falls into up to {overlap} windows, which therefore miss alike; {drawn_so}, and the test through "
                    f"time takes {overlap - 1} neighbour{'s' if overlap > 2 else ''} on each side into account.")
    if found.by_window is None:
        told.append(f"{_windows_said(contest).capitalize()} cannot be drawn with replacement, so the intervals hold for "
                    f"{'this window' if len(contest.windows) == 1 else 'these windows'} only: another month may decide otherwise. "
                    f"Backtest on at least {LEAST_WINDOWS * settings.block} windows for a claim about time.")
    told.append("Among the groups of a table, better and worse are said after Holm's correction for how many they are; the "
                "intervals are each group's own.")
    if settings.replicates + 1 < 2 * MOST_GROUPS / (1 - settings.confidence):
        told.append(f"With {settings.replicates:,} replicates no claim on one of many groups can be made; use "
                    f"{2 * MOST_GROUPS / (1 - settings.confidence):,.0f} or more.")
    if found.units < FEW_UNITS:
        told.append(f"With {found.units} {by} to draw, the intervals say little; compare --by series, or on more of them.")
    return told

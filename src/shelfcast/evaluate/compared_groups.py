"""Where one model wins and loses: two models by class, place, item, window and stretch of the horizon."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.evaluate.contest import Contest, Measure
from shelfcast.evaluate.pairs import adjusted, pair_of
from shelfcast.evaluate.resampling import Part, Replicates, Resampling, part_of, resample

FEW_UNITS: Final = 3  # fewer have no interval of their own: drawing two again and again says nothing
MOST_GROUPS: Final = 40  # groups of a kind with an interval, those with the largest contribution
GROUP_SCHEMA: Final = {
    "kind": pl.String, "group": pl.String, "series": pl.Int64, "a": pl.Float64, "b": pl.Float64, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "skill": pl.Float64, "skill_low": pl.Float64, "skill_high": pl.Float64,
    "units": pl.Float64, "p": pl.Float64, "verdict": pl.String}
"""Of a table of groups: scores, difference a - b and skill with their intervals, `units` (loss of a less that of b, in units sold),
`p` after Holm's correction for the groups of its kind, and `verdict` on a: better, worse or not shown."""


@dataclass(frozen=True)
class Groups:
    """Groups of one kind, ready to be drawn.

    Attributes
    ----------
    names, counts, moved : for each group its name, how many series it has, and loss of a less that of b, in units
    parts : their losses
    """

    kind: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    moved: tuple[float, ...]
    parts: tuple[Part, ...]


def grouped(contest: Contest, measure: Measure, pair: tuple[int, int], *, kind: str, labels: np.ndarray, names: Sequence[str],
            clusters: np.ndarray | None) -> Groups:
    """The pair's losses by group, the largest contribution in units first, up to `MOST_GROUPS`.

    Parameters
    ----------
    labels : (N,) or (W, N), position of the group in `names`; -1 for none
    clusters : as in `part_of`
    """
    labels = np.broadcast_to(labels, contest.cells.shape)
    count = len(names)
    flat = np.where(labels >= 0, labels, count).reshape(-1)
    moved = contest.losses[measure.units]
    total = np.bincount(flat, weights=(moved[pair[0]] - moved[pair[1]]).reshape(-1), minlength=count + 1)[:count]
    below = contest.denominator(measure)
    there = np.bincount(flat, weights=below.reshape(-1), minlength=count + 1)[:count] > 0
    shown = [int(g) for g in np.argsort(-np.abs(total), kind="stable") if there[g]][:MOST_GROUPS]
    above = contest.numerator(measure)[list(pair)]
    parts, counts = [], []
    for g in shown:
        columns = np.flatnonzero((labels == g).any(axis=0))
        inside = labels[:, columns] == g
        parts.append(part_of(np.where(inside, above[:, :, columns], 0.0), np.where(inside, below[:, columns], 0.0),
                             clusters=columns if clusters is None else clusters[columns], root=measure.root))
        counts.append(int(((below[:, columns] > 0) & inside).any(axis=0).sum()))
    return Groups(kind, tuple(str(names[g]) for g in shown), tuple(counts), tuple(float(total[g]) for g in shown), tuple(parts))


def by_class(contest: Contest, measure: Measure, pair: tuple[int, int], clusters: np.ndarray | None) -> Groups:
    """By demand class, as of each window."""
    return grouped(contest, measure, pair, kind="class", labels=contest.classes, names=contest.class_names, clusters=clusters)


def by_key(contest: Contest, measure: Measure, pair: tuple[int, int], clusters: np.ndarray | None, *, key: str) -> Groups:
    """By location or item; nothing where there is only one, or where each series is one of its own."""
    names = contest.series[key].unique().sort()
    if not 1 < len(names) < contest.series.height:
        return Groups(key, (), (), (), ())
    labels = np.asarray(contest.series[key].rank("dense").to_numpy(), dtype=np.intp) - 1
    return grouped(contest, measure, pair, kind=key, labels=labels, names=names.cast(pl.String).to_list(), clusters=clusters)


def by_window(contest: Contest, measure: Measure, pair: tuple[int, int], clusters: np.ndarray | None) -> Groups:
    """Window by window, in order; only series can be drawn within one."""
    above, below = contest.numerator(measure)[list(pair)], contest.denominator(measure)
    moved = contest.losses[measure.units].sum(axis=2)
    shown = [w for w in range(len(below)) if (below[w] > 0).any()]
    parts = tuple(part_of(above[:, w:w + 1], below[w:w + 1], clusters=clusters, root=measure.root) for w in shown)
    return Groups("window", tuple(contest.windows[w] for w in shown), tuple(int((below[w] > 0).sum()) for w in shown),
                  tuple(float(moved[pair[0], w] - moved[pair[1], w]) for w in shown), parts)


def group_rows(groups: Groups, found: Sequence[Replicates], measure: Measure, settings: Resampling) -> pl.DataFrame:
    """The groups as a table, columns `GROUP_SCHEMA`; `found` as `resample` gives it for their parts."""
    pairs = adjusted([pair_of(("a", "b"), measure, one, (0, 1), settings) for one in found])
    rows = []
    for name, count, moved, one, pair in zip(groups.names, groups.counts, groups.moved, found, pairs, strict=True):
        sure, skill = one.units >= FEW_UNITS or one.by_window is not None, pair.skill
        won = {"a": "better", "b": "worse", None: "not shown"}[pair.winner] if sure else "not shown"
        ends = [pair.difference.low, pair.difference.high, *((skill.low, skill.high) if skill else (np.nan, np.nan))]
        ends = [v if sure and np.isfinite(v) else None for v in ends]  # type: ignore[misc]
        value = skill.value if skill and np.isfinite(skill.value) else None
        p = pair.adjusted if sure and np.isfinite(pair.adjusted) else None
        rows.append((groups.kind, name, count, pair.score_a, pair.score_b, pair.difference.value, *ends[:2], value, *ends[2:],
                     moved, p, won))
    return pl.DataFrame(rows, schema=GROUP_SCHEMA, orient="row")


def step_table(measure: Measure, numerators: np.ndarray, denominators: np.ndarray, moved: np.ndarray, *, names: Sequence[str],
               clusters: np.ndarray | None, units: int, settings: Resampling) -> pl.DataFrame:
    """Two models by stretches of the horizon, in their order; columns `GROUP_SCHEMA`.

    Parameters
    ----------
    numerators : float (S, 2, W, N), losses of a and b by stretch; denominators (S, W, N); moved (S, 2), losses in units
    clusters : as in `part_of`; units: how many there are to draw
    """
    parts = [part_of(n, d, clusters=clusters, root=measure.root) for n, d in zip(numerators, denominators, strict=True)]
    kept = [s for s, part in enumerate(parts) if (part.sums[:, -1] > 0).any()]
    groups = Groups("step", tuple(names[s] for s in kept), tuple(int((denominators[s] > 0).any(axis=0).sum()) for s in kept),
                    tuple(float(moved[s, 0] - moved[s, 1]) for s in kept), tuple(parts[s] for s in kept))
    return group_rows(groups, resample(groups.parts, units=units, settings=settings), measure, settings)


def level_table(measure: Measure, scores: Sequence[pl.DataFrame], windows: Sequence[str], settings: Resampling) -> pl.DataFrame:
    """Two models by groups of which only scores are kept, such as levels of a hierarchy: only windows can be drawn.

    Parameters
    ----------
    scores : of a and of b: `when` (window), `kind`, `group`, `series`, `value`
    windows : in order; a group needs a score of both models in each

    Returns
    -------
    columns `GROUP_SCHEMA`, for each kind the groups of most series first; units are not known
    """
    both = scores[0].join(scores[1], on=["when", "kind", "group"], suffix="_b").filter(pl.col("when").is_in(list(windows)))
    both = both.filter(pl.col("value").is_finite() & pl.col("value_b").is_finite())
    whole = (both.group_by("kind", "group", maintain_order=True)
             .agg(pl.col("value", "value_b").sort_by("when"), pl.col("series").max(), pl.len().alias("windows"))
             .filter(pl.col("windows") == len(windows)).sort("series", descending=True, maintain_order=True))
    tables = [pl.DataFrame(schema=GROUP_SCHEMA)]
    for (kind,), part in whole.group_by("kind", maintain_order=True):
        shown = part.head(MOST_GROUPS)
        parts = tuple(Part(np.zeros(1, dtype=np.intp), np.array([[a, b, [1.0] * len(windows)]]))
                      for a, b in zip(shown["value"].to_list(), shown["value_b"].to_list(), strict=True))
        groups = Groups(str(kind), tuple(shown["group"].to_list()), tuple(shown["series"].to_list()), (float("nan"),) * len(parts),
                        parts)
        tables.append(group_rows(groups, resample(parts, units=1, settings=settings), measure, settings))
    return pl.concat(tables).with_columns(pl.col("units").fill_nan(None))


def series_ratios(contest: Contest, measure: Measure, pair: tuple[int, int]) -> pl.DataFrame:
    """Loss of a over loss of b for each series, all windows together: `item`, `location`, `class`, `ratio` (log2; infinite where
    one has no loss at all, 0 where neither has); series without a denominator are left out."""
    sums = np.abs(contest.numerator(measure)[list(pair)].sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sums[0] == sums[1], 0.0, np.log2(sums[0]) - np.log2(sums[1]))
    seen = contest.denominator(measure).sum(axis=0) > 0
    return contest.series.with_columns(pl.Series("ratio", ratio)).filter(pl.Series(seen))

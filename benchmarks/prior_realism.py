"""How like real sales are the worlds that the pretrained model learns from? Told by features, for each public set.

    python benchmarks/prior_realism.py                              every set, against its own regime and against all worlds
    python benchmarks/prior_realism.py --sets m5,iowa --worlds 40   some sets, more worlds of each regime
    python benchmarks/prior_realism.py --append                     add the rows to results/prior_realism.csv and prior_features.csv
    python benchmarks/prior_realism.py --page FOLDER                also write real series beside drawn ones as a page; real sales
                                                                    are not ours to hand on, so keep it out of the repository

A real set is one retailer and the prior is many, so that even a perfect prior is told from it: by the level, the season and the
noise that this one retailer has. Therefore every figure stands beside the same figure of drawn worlds, each held against the
others: a set is as real as can be when it is no easier to tell than they are.

auc      of a classifier (boosted trees, five folds, series of a place or a world kept together) that tells the set's series from
         drawn ones: 0.5 when it cannot, 1 when it always can; 95 % interval by drawing places and worlds anew
shape    the same without the features that depend on the unit of sales, which the network does not see either; beside it the median
         of drawn worlds against the other worlds, and the rank: the share of them that are at least as easy to tell as the set
answers  the same by how promotions and prices are and what they do, of the series that have them
energy   distance of the joint distributions of features, 0 (alike) to 1; `of worlds` the median of drawn worlds
covered  share of the real series that have drawn ones as near as drawn series have those of other worlds (95 % do): what a network
         must see is not that everything looks like this set, but that something does

By feature: which share of worlds has a lower median (`middle`) and a smaller spread (`width`) than the set, near 0 or 1 where no
world is like it; quantiles over real and over drawn series, Kolmogorov-Smirnov and Wasserstein distance (the latter in standard
deviations of the drawn), share of real series outside the middle 98 % of the drawn, and how much auc is lost when the feature is
shuffled.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from provenance import append_row
from real_sets import REAL_SETS, RealSet
from series_features import ANSWERS, RECORDED, SCALED, features, sample

FOLDS: Final = 5
NEAR: Final = 5  # the how-manieth nearest drawn series says how near they are
ROUNDS: Final = 40  # of boosting
FAR: Final = 5.0  # standard deviations beyond which a feature counts as no farther
LEAST: Final = 12  # series that a world needs to be held against the others
WORLDS_SHAPE, WORLDS_ENERGY = "worlds' shape", "worlds' energy"
QUANTILES: Final = (0.1, 0.5, 0.9)
DRAWS: Final = 300  # of places and worlds anew, for the interval


@dataclass(frozen=True)
class Told:
    """How well one side is told from the other: area under the curve, its interval, and the loss when each feature is shuffled."""

    auc: float
    low: float
    high: float
    lost: dict[str, float]


def classify(names: list[str], one: np.ndarray, other: np.ndarray, groups: np.ndarray, *, seed: int = 0, deep: bool = True) -> Told:
    """Tell the rows of `one` from those of `other` by features they were not learned on.

    Parameters
    ----------
    one, other : float (N, K), (M, K); nan where a feature is not known
    groups : (N + M,), rows of a group are in one fold
    deep : also the interval, and what each feature is worth
    """
    import lightgbm
    from sklearn.model_selection import StratifiedGroupKFold

    x, y = np.vstack([one, other]), np.repeat([1, 0], [len(one), len(other)])
    codes = np.unique(groups, return_inverse=True)[1]
    score, shuffled = np.zeros(len(y)), np.zeros((len(names), len(y)))
    rng = np.random.default_rng(seed)
    settings = {"objective": "binary", "num_leaves": 8, "min_data_in_leaf": 10, "learning_rate": 0.2, "is_unbalance": True,
                "num_threads": 1, "verbose": -1, "seed": seed, "feature_fraction": 0.7}
    for fitting, held in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, y, codes):
        model = lightgbm.train(settings, lightgbm.Dataset(x[fitting], y[fitting]), ROUNDS)
        score[held] = model.predict(x[held], raw_score=True)
        if deep:  # all features in one call, each shuffled in its own copy of the rows
            moved = np.repeat(x[None, held], len(names), axis=0)
            for k in range(len(names)):
                moved[k, :, k] = rng.permutation(moved[k, :, k])
            shuffled[:, held] = model.predict(moved.reshape(-1, len(names)), raw_score=True).reshape(len(names), -1)
    auc = area(score, y)
    if not deep:
        return Told(auc, auc, auc, {})
    times = np.stack([np.bincount(rng.integers(0, codes.max() + 1, codes.max() + 1), minlength=codes.max() + 1)[codes]
                      for _ in range(DRAWS)])
    drawn = [area(score, y, t) for t in times if t[y == 1].any() and t[y == 0].any()]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Told(auc, float(low), float(high), {name: auc - area(shuffled[k], y) for k, name in enumerate(names)})


def area(score: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Chance that a row with label 1 scores higher than one with label 0, ties counting half."""
    weight = np.ones(len(score)) if weight is None else weight
    codes = np.unique(score, return_inverse=True)[1]
    ones, noughts = (np.bincount(codes, weight * (label == v)) for v in (1, 0))
    below = np.cumsum(noughts) - noughts / 2
    return float((ones * below).sum() / (ones.sum() * noughts.sum()))


def standard(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in standard deviations of `other` around its mean, at most `FAR`; what is not known lies at the mean.

    A feature that hardly any series of one side has says nothing about distance and is left out.
    """
    known = (np.isfinite(one).mean(0) > 0.5) & (np.isfinite(other).mean(0) > 0.5)
    mean, spread = np.nanmean(other[:, known], axis=0), np.nanstd(other[:, known], axis=0)
    pooled = np.nanstd(np.vstack([one, other])[:, known], axis=0)
    spread = np.where(spread > 1e-6, spread, np.where(pooled > 1e-6, pooled, 1.0))
    a, b = (np.nan_to_num(np.clip((x[:, known] - mean) / spread, -FAR, FAR)) for x in (one, other))
    return a, b


def energy(one: np.ndarray, other: np.ndarray) -> float:
    """Energy distance of two samples over twice their mean distance, 0 to 1 (Szekely and Rizzo 2013, energy statistics).

    The mean within a sample leaves out each row's distance to itself, so that samples of the same distribution are at 0 on average.
    """
    from scipy.spatial.distance import cdist

    across = cdist(one, other).mean()
    within = [cdist(a, a).sum() / (len(a) * (len(a) - 1)) for a in (one, other)]
    return float(1.0 - sum(within) / (2 * across)) if across > 0 else 0.0


def coverage(one: np.ndarray, other: np.ndarray, worlds: np.ndarray) -> float:
    """Share of rows of `one` whose near neighbours in `other` are no farther than 95 % of `other` have theirs in other worlds."""
    from scipy.spatial.distance import cdist

    distance = cdist(other, other)
    distance[worlds[:, None] == worlds[None, :]] = np.inf
    if not np.isfinite(np.partition(distance, NEAR - 1, axis=1)[:, NEAR - 1]).all():
        return float("nan")  # too few worlds
    usual = np.quantile(np.partition(distance, NEAR - 1, axis=1)[:, NEAR - 1], 0.95)
    return float((np.partition(cdist(one, other), NEAR - 1, axis=1)[:, NEAR - 1] <= usual).mean())


def by_feature(names: list[str], one: np.ndarray, other: np.ndarray, worlds: np.ndarray, lost: dict[str, float]) -> list[
        dict[str, object]]:
    """A row for each feature that both sides have, first those in which the set lies outside the worlds.

    `middle` and `width` are the shares of worlds whose median, and whose distance between the quantiles 0.1 and 0.9, are below the
    set's (ties count half): what matters is not that a retailer differs from the mean of all, but that no drawn one is like it.
    """
    from scipy.stats import ks_2samp, wasserstein_distance

    rows = []
    for k, name in enumerate(names):
        seen = np.isfinite(other[:, k])
        a, b, world = one[np.isfinite(one[:, k]), k], other[seen, k], worlds[seen]
        if len(a) < 20 or len(b) < 20:
            continue
        spread = float(b.std()) if b.std() > 1e-6 else max(float(np.concatenate([a, b]).std()), 1e-6)
        low, high = np.quantile(b, [0.01, 0.99])
        parts = [q for q in (b[world == w] for w in np.unique(world)) if len(q) >= LEAST]
        deciles = np.array([np.quantile(q, QUANTILES) for q in parts]).reshape(-1, 3)
        own = np.quantile(a, QUANTILES)
        rows.append({"feature": name, "middle": _rank(own[1], deciles[:, 1]),
                     "width": _rank(own[2] - own[0], deciles[:, 2] - deciles[:, 0]), "ks": float(ks_2samp(a, b).statistic),
                     "wasserstein": float(wasserstein_distance(a, b)) / spread,
                     "outside": float(((a < low) | (a > high)).mean()), "lost": lost.get(name, float("nan")),
                     **{f"real q{q:g}": float(v) for q, v in zip(QUANTILES, own, strict=True)},
                     **{f"drawn q{q:g}": float(np.quantile(b, q)) for q in QUANTILES}})
    return sorted(rows, key=lambda r: (min(r["middle"], 1 - r["middle"]), -r["ks"]))


def _rank(value: float, others: np.ndarray) -> float:
    """Share of values below, ties counting half."""
    return float(((others < value - 1e-9) + 0.5 * (np.abs(others - value) <= 1e-9)).mean()) if len(others) else float("nan")


def compare(name: str, against: str, real: pl.DataFrame, drawn: pl.DataFrame, *, worlds: int) -> tuple[
        dict[str, object], list[dict[str, object]]]:
    """A row for a set and what it is held against, and its rows by feature."""
    sales = [c for c in real.columns if c not in (*RECORDED, *ANSWERS, "place") and _known(real, c) and _known(drawn, c)]
    shape = [c for c in sales if c not in SCALED]
    everything = tell(sales, real, drawn)
    shaped = tell(shape, real, drawn)
    answers = [c for c in ANSWERS if _known(real, c)]
    recorded = [frame.filter(pl.all_horizontal(pl.lit(True), *(pl.col(c).is_finite() for c in answers))) for frame in (real, drawn)]
    enough = answers and min(f.height for f in recorded) >= 50 and recorded[1]["world"].n_unique() >= FOLDS
    answered = tell(answers, *recorded) if enough else Told(float("nan"), float("nan"), float("nan"), {})
    one, other = standard(*(f.select(shape).to_numpy() for f in (real, drawn)))
    rivals = list(_rivals(shape, drawn, worlds=worlds))
    row = {"set": name, "against": against, "series": real.height, "drawn": drawn.height, "worlds": drawn["world"].n_unique(),
           **_named("auc", everything), **_named("shape", shaped), WORLDS_SHAPE: _median([r[0] for r in rivals]),
           "rank": float(np.mean([r[0] >= shaped.auc for r in rivals])) if rivals else float("nan"),
           **_named("answers", answered), "energy": energy(one, other), WORLDS_ENERGY: _median([r[1] for r in rivals]),
           "covered": coverage(one, other, drawn["world"].to_numpy())}
    lost = {**everything.lost, **shaped.lost, **answered.lost}  # of the shape where it is part of it
    listed = [c for c in real.columns if c != "place"]
    return row, by_feature(listed, *(f.select(listed).to_numpy() for f in (real, drawn)), drawn["world"].to_numpy(), lost)


def tell(names: list[str], real: pl.DataFrame, drawn: pl.DataFrame, *, deep: bool = True) -> Told:
    """Tell a table of features from another."""
    groups = np.concatenate([_together(real), np.char.add("w", drawn["world"].to_numpy().astype(str))])
    return classify(names, real.select(names).to_numpy(), drawn.select(names).to_numpy(), groups, deep=deep)


def _known(frame: pl.DataFrame, name: str) -> bool:
    """Whether a feature is a number for most series."""
    return bool(frame[name].is_finite().mean() > 0.5)  # type: ignore[operator]


def _named(name: str, told: Told) -> dict[str, float]:
    return {name: told.auc, f"{name} low": told.low, f"{name} high": told.high}


def _rivals(shape: list[str], drawn: pl.DataFrame, *, worlds: int) -> Iterator[tuple[float, float]]:
    """(auc by shape, energy) of drawn worlds, each held against the others."""
    large = drawn.group_by("world").len().filter(pl.col("len") >= LEAST).sort("world")["world"]
    for world in large.sample(min(worlds, len(large)), seed=0) if len(large) > FOLDS else []:
        own, rest = drawn.filter(pl.col("world") == world), drawn.filter(pl.col("world") != world)
        yield tell(shape, own, rest, deep=False).auc, energy(*standard(*(f.select(shape).to_numpy() for f in (own, rest))))


def _together(one: pl.DataFrame) -> np.ndarray:
    """(N,) which series are in one fold: those of a place, where there are places enough, else each for itself."""
    places = one["place"].to_numpy().astype(str)
    return np.char.add("r", places if len(np.unique(places)) >= 2 * FOLDS else np.arange(len(places)).astype(str))


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def pool(wanted: set[tuple[str, int]], regimes: tuple[str, ...], *, worlds: int, each: int, seed: int) -> dict[
        tuple[str, int], pl.DataFrame]:
    """{(unit of the frequency, window): features of drawn series, with `world` and `regime`}, from so many worlds of each regime.

    A world whose past is shorter than a window is not in that window's table.
    """
    from shelfcast.world.prior import draw_world

    tables: dict[tuple[str, int], list[pl.DataFrame]] = {key: [] for key in wanted}
    for r, regime in enumerate(regimes):
        for number in range(worlds):
            drawn = draw_world(seed + 100_000 * r + number, regime=regime)
            for unit, window in wanted:
                if drawn.panel.frequency.unit != unit:
                    continue
                rng = np.random.default_rng([seed, r, number])
                found = sample(drawn.panel, window=window, most=each, rng=rng, promo="promo", price="price")
                if found is not None:
                    tables[unit, window].append(features(found).with_columns(
                        pl.lit(f"{regime} {number}").alias("world"), pl.lit(regime).alias("regime")))
    return {key: pl.concat(found) if found else pl.DataFrame() for key, found in tables.items()}


OF_SET: Final[dict[str, tuple[str, ...]]] = {
    "rossmann": ("stores",), "rossmann_week": ("stores_weekly",), "walmart": ("departments",), "m5": ("grocery",),
    "store_item": ("fast",), "stallion": ("monthly",), "dominicks": ("brands",), "iowa": ("liquor",),
    "online_retail": ("grocery",), "complete_journey": ("liquor", "grocery")}
"""{set: the regimes that it belongs to}; where none is of its kind, those that sell by the same kind of thing."""


def real_features(real: RealSet, most: int) -> pl.DataFrame:
    """Features of at most so many series of a set, the same ones each time."""
    found = sample(real.panel, window=real.window, most=most, rng=np.random.default_rng(0), promo=real.promo, price=real.price)
    assert found is not None
    return features(found)


def main() -> None:
    """Draw, tell apart, print, append where asked."""
    from shelfcast.world.prior import REGIMES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(REAL_SETS))
    parser.add_argument("--worlds", type=int, default=24, help="worlds of each regime (24)")
    parser.add_argument("--each", type=int, default=25, help="series of each world (25)")
    parser.add_argument("--series", type=int, default=400, help="series of each real set (400)")
    parser.add_argument("--rivals", type=int, default=12, help="worlds that are held against the others (12)")
    parser.add_argument("--seed", type=int, default=910_000, help="of the first world; far from those that a network learns from")
    parser.add_argument("--append", action="store_true")
    asked = parser.parse_args()
    began = time.perf_counter()
    sets = {name: REAL_SETS[name]() for name in asked.sets.split(",")}
    wanted = {(real.panel.frequency.unit, real.window) for real in sets.values()}
    drawn = pool(wanted, tuple(REGIMES), worlds=asked.worlds, each=asked.each, seed=asked.seed)
    print(f"drawn in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    for name, real in sets.items():
        own = real_features(real, asked.series)
        table = drawn[real.panel.frequency.unit, real.window]
        kinds = [r for r in OF_SET[name] if table.height and r in table["regime"]]
        of_kind = table.filter(pl.col("regime").is_in(kinds)) if kinds else table.clear()
        for against, part in (("+".join(kinds), of_kind), ("all", table)):
            if not part.height or part["world"].n_unique() < FOLDS:
                print(f"{name}: too few worlds of {against or OF_SET[name]} have {real.window} {real.panel.frequency.noun}s",
                      flush=True)
                continue
            row, rows = compare(name, against, own, part, worlds=asked.rivals if kinds and part is not table else 0)
            print("\n".join(told(row, rows)), flush=True)
            if asked.append:
                append_row("prior_realism", {k: _rounded(v) for k, v in row.items()})
                for one in rows:
                    append_row("prior_features", {"set": name, "against": against, **{k: _rounded(v) for k, v in one.items()}})
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)


def told(row: dict[str, object], rows: list[dict[str, object]]) -> Iterator[str]:
    """What was found about a set, for people."""
    yield (f"\n{row['set']} against {row['against']}: {row['series']:,} series, {row['drawn']:,} drawn of {row['worlds']} worlds\n"
           + "  " + "   ".join(f"{m} {row[m]:.3f} ({row[f'{m} low']:.3f} to {row[f'{m} high']:.3f})"
                               for m in ("auc", "shape", "answers") if np.isfinite(row[m]))  # type: ignore[call-overload]
           + f"\n  worlds' shape {row[WORLDS_SHAPE]:.3f}, rank {row['rank']:.2f}   energy {row['energy']:.3f}, worlds' "
             f"{row[WORLDS_ENERGY]:.3f}   covered {row['covered']:.2f}")
    yield (f"  {'feature':<20} {'middle':>6} {'width':>5} {'ks':>5} {'wass.':>6} {'out':>5} {'lost':>6}   "
           f"{'real q10 q50 q90':>26}   {'drawn q10 q50 q90':>26}")
    for one in rows:
        sides = ["".join(f" {one[f'{side} q{q:g}']:8.3f}" for q in QUANTILES) for side in ("real", "drawn")]
        yield (f"  {one['feature']:<20} {one['middle']:6.2f} {one['width']:5.2f} {one['ks']:5.2f} {one['wasserstein']:6.2f} "
               f"{one['outside']:5.2f} {one['lost']:6.3f}   {sides[0]:>27}  {sides[1]:>27}")


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # series whose feature is nan
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        main()

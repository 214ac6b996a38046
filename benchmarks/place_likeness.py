"""Are near shops more alike, and does likeness seen in the past come again? Sets of `space_sets.py`, before their first window.

    python benchmarks/place_likeness.py
    python benchmarks/place_likeness.py --sets iowa

For each set: the mean correlation of two places' residuals (`features/likeness.py`) by the distance between them, and for places of
one region and of two; intervals over places drawn anew (95 %). Then how much of a pair's correlation in the first half of the past
comes again in the second (slope through 0), and what `usual_pull` makes of it. Last, what the neighbours' past adds to a place's
own when the next mean of so many periods is forecast by least squares: R2 on the last third of the past, learned on the rest.
"""

import argparse
from itertools import pairwise
from typing import Final

import numpy as np

import space_sets
from provenance import append_row
from shelfcast.features.globe import great_circle
from shelfcast.features.likeness import residual_correlation, residuals, usual_pull
from shelfcast.features.places import Places, rows_of
from shelfcast.models.boosted_rows import draw_sample
from shelfcast.names import LOCATION

BANDS: Final = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Kilometres."""
DRAWS: Final = 400
KERNELS: Final = (3.0, 30.0, 100.0)
"""Kilometres over which a neighbour's say falls to 1/e."""
WIDTHS: Final = {"D": (1, 7, 28), "W": (1, 4, 13)}
"""Periods whose mean is forecast, by the unit of a period."""
OWN_LAGS, NEIGHBOURS_LAGS = 3, 2


def mean_with_interval(values: np.ndarray, pairs: np.ndarray, drawn: np.ndarray) -> tuple[float, float, float]:
    """Mean of a symmetric table over the chosen pairs, and its interval when places are drawn anew.

    Parameters
    ----------
    values : (P, P); pairs : bool (P, P), symmetric, diagonal False
    drawn : (D, P), how often each place is in a draw
    """
    chosen = pairs.astype(float)
    told, count = values * chosen, chosen
    sums = np.einsum("dp,dp->d", drawn @ told, drawn), np.einsum("dp,dp->d", drawn @ count, drawn)
    some = sums[1] > 0
    means = sums[0][some] / sums[1][some]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(told.sum() / count.sum()), float(low), float(high)


def measure(name: str) -> list[dict[str, object]]:
    """Rows of one set."""
    known = getattr(space_sets, name)()
    panel = known.first
    sample = draw_sample(panel, horizon=known.horizon, most_series=300, seed=0, country=None)
    pooled, half = sample.pooled, sample.scheme.rhythm.recent // 2
    places = Places.of(panel, region=known.region)
    every = residuals(pooled.group_index[LOCATION], half=half)
    own = rows_of(places, every, pooled.keys[LOCATION][LOCATION])[:-1]
    found = residual_correlation(own, pull=0.0).astype(float)
    km = great_circle(places.spots[:, None], places.spots[None])
    others = ~np.eye(len(places), dtype=bool)
    drawn = np.random.default_rng(0).poisson(1, (DRAWS, len(places))).astype(float)
    groups = {f"{a:g} to {b:g} km": others & (km >= a) & (km < b) for a, b in pairwise(BANDS)}
    there = places.region >= 0
    both, same = there[:, None] & there[None] & others, places.region[:, None] == places.region[None]
    groups |= {"same region": both & same, "other region": both & ~same}
    groups |= {"3 to 30 km, same region": both & same & (km >= 3) & (km < 30),
               "3 to 30 km, other region": both & ~same & (km >= 3) & (km < 30), "all": others}
    rows: list[dict[str, object]] = []
    for what, pairs in groups.items():
        if pairs.sum() >= 20:
            mean, low, high = mean_with_interval(found, pairs, drawn)
            rows.append({"set": name, "what": what, "pairs": int(pairs.sum() / 2), "value": round(mean, 4), "low": round(low, 4),
                         "high": round(high, 4)})
    middle, upper = own.shape[1] // 2, np.triu_indices(len(own), 1)
    early, late = (residual_correlation(part, pull=0.0)[upper].astype(float) for part in (own[:, :middle], own[:, middle:]))
    for what, value in (("comes again, slope", float((early * late).sum() / (early**2).sum())),
                        ("comes again, correlation over pairs", float(np.corrcoef(early, late)[0, 1])),
                        ("usual_pull, periods", usual_pull(own)), ("unit of nearness, km", places.scale)):
        rows.append({"set": name, "what": what, "pairs": len(early), "value": round(value, 4), "low": "", "high": ""})
    codes = places.codes(pooled.keys[LOCATION][LOCATION])
    index = np.empty_like(pooled.group_index[LOCATION])
    index[codes], index[-1] = pooled.group_index[LOCATION][:-1], pooled.group_index[LOCATION][-1]
    for width in WIDTHS[panel.frequency.unit]:
        for what, value in gains(index, places, width).items():
            told = f"next {width}: own" if what == "own" else f"next {width}: added by {what}"
            rows.append({"set": name, "what": told, "pairs": len(early), "value": round(value, 4), "low": "", "high": ""})
    return rows


def gains(index: np.ndarray, places: Places, width: int) -> dict[str, float]:
    """R2 of the next mean of `width` periods from a place's own three last, and what two of its neighbours' add to it.

    Parameters
    ----------
    index : float (P + 1, T), actual over usual sales of each place, and of all together
    """
    ratio = np.nan_to_num(np.log(np.clip(index[:-1].astype(float) / index[-1], 0.05, 20)))
    means = ratio[:, ratio.shape[1] % width:].reshape(len(ratio), -1, width).mean(2)
    means -= means.mean(0)
    shares = {}
    if places.located.all():
        km = great_circle(places.spots[:, None], places.spots[None])
        shares = {f"near, {k:g} km": np.exp(-km / k) for k in KERNELS}
    shares["same region"] = (places.region[:, None] == places.region[None]).astype(float)
    for share in shares.values():
        np.fill_diagonal(share, 0.0)
        share /= np.maximum(share.sum(1, keepdims=True), 1e-9)
    first = means.shape[1] * 2 // 3

    def told(at: int, share: np.ndarray | None) -> np.ndarray:
        own = [means[:, at - 1 - lag] for lag in range(OWN_LAGS)]
        others = [] if share is None else [share @ means[:, at - 1 - lag] for lag in range(NEIGHBOURS_LAGS)]
        return np.column_stack([*own, *others])

    def explained(share: np.ndarray | None) -> float:
        x, y = np.vstack([told(at, share) for at in range(OWN_LAGS, first)]), means[:, OWN_LAGS:first].T.reshape(-1)
        weights = np.linalg.lstsq(x, y, rcond=None)[0]
        seen = np.vstack([told(at, share) for at in range(first, means.shape[1])])
        truth = means[:, first:].T.reshape(-1)
        return float(1 - ((truth - seen @ weights) ** 2).sum() / (truth**2).sum())

    alone = explained(None)
    return {"own": alone} | {name: explained(share) - alone for name, share in shares.items()}


def main() -> None:
    """Print the table and append it to benchmarks/results/place_likeness.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["iowa", "rossmann", "chain"], help="of space_sets.py")
    for name in parser.parse_args().sets:
        for row in measure(name):
            interval = f"[{row['low']}, {row['high']}]" if row["low"] != "" else ""
            print(f"{row['set']:10} {row['what']:38} {row['pairs']:>9,} {row['value']:>10} {interval}")
            append_row("place_likeness", row)


if __name__ == "__main__":
    main()

"""Stores that a model has never seen: a tenth of Iowa's, forecast from their place, attributes and neighbours alone.

    python benchmarks/held_out_stores.py                              profile in place of the network
    python benchmarks/held_out_stores.py --model spacetime --settings cold=0.1,steps=1500 --append

A tenth of the stores, drawn by seed, is left out of training altogether. At a window's cutoff they are in the panel with where
they are and what is known of them, and without any sales; the other stores have their history. Each store's forecasts are measured
against the mean of its region: by category, level and period the mean of the forecasts that the same model makes for the known
stores of the region (the first three digits of the zip code), or of all known stores of the category where the region has none. The
bar: WQL at least a tenth lower, on the held-out stores' own sales.

Since "the mean of the region" can be understood in another way, a second rival is measured: for each category and level the
quantile of what the region's known stores sold in the weeks of the year before the cutoff (`past`).
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from provenance import append_row
from shelfcast.data.split import Window
from shelfcast.evaluate.metrics import pinball_losses
from shelfcast.evaluate.resampling import Interval, Resampling, part_of, resample, skill_of
from shelfcast.evaluate.scores import DECILES
from shelfcast.models.base import Forecaster
from shelfcast.names import ITEM, LOCATION, SALES
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.workflow.choosing import make_forecaster
from space_runs import settings_from
from space_sets import SETS, SpaceSet

YEAR = 52  # weeks


def held_out(panel: SalesPanel, *, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """bool (N,): the series of the stores that are left out, a share of all stores drawn by seed."""
    stores = panel.series[LOCATION].unique().sort()
    count = max(1, round(share * stores.len()))
    drawn = np.random.default_rng(seed).choice(stores.len(), size=count, replace=False)
    return panel.series[LOCATION].is_in(stores[np.sort(drawn)].implode()).to_numpy()


def without_sales(panel: SalesPanel, out: np.ndarray) -> SalesPanel:
    """The panel in which the series `out`, bool (N,), begin at the cutoff and have no sales at all; what is known ahead stays."""
    series = panel.series.with_columns(pl.when(pl.Series(out)).then(panel.cutoff).otherwise("start").cast(
        panel.series.schema["start"]).alias("start"))
    new = pl.Series(out)[panel.rows[SERIES]]
    hidden = [c for c in panel.rows.columns if c == SALES or panel.covariates.get(c) == "past"]
    rows = panel.rows.filter(~new | (pl.col(PERIOD) >= panel.cutoff))
    new = pl.Series(out)[rows[SERIES]]
    rows = rows.with_columns(pl.when(~new).then(pl.col(c)).alias(c) for c in hidden)
    # A series is what has a row: without one at the cutoff, a panel whose absent rows are noughts would say that nothing was sold.
    at_cutoff = pl.DataFrame({SERIES: np.flatnonzero(out).astype(np.uint32)}).with_columns(
        pl.lit(panel.cutoff, dtype=rows.schema[PERIOD]).alias(PERIOD))
    bare = at_cutoff.join(rows, on=[SERIES, PERIOD], how="anti")
    return replace(panel, series=series, rows=pl.concat([rows, bare], how="diagonal").sort(SERIES, PERIOD))


def region_groups(panel: SalesPanel, known: np.ndarray, region: str) -> tuple[np.ndarray, np.ndarray]:
    """Which known series stand for which: codes (N,) of category and region, and (N,) of the category alone.

    Parameters
    ----------
    known : bool (N,)
    region : attribute of the places
    """
    assert panel.places is not None
    table = panel.series.join(panel.places.select(LOCATION, region), on=LOCATION, how="left", maintain_order="left")
    fine = table.select(pl.struct(ITEM, region).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    coarse = table[ITEM].rank("dense").to_numpy().astype(np.int64) - 1
    lost = ~np.isin(coarse, coarse[known])
    if lost.any():
        raise ValueError(f"Item {table[ITEM][int(np.argmax(lost))]!r} is sold at held-out stores alone.")
    return fine, coarse


def region_mean(values: np.ndarray, known: np.ndarray, groups: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The mean of the known series of each series' category and region, else of its category: (N, ...) to (N, ...).

    Parameters
    ----------
    values : of all series; those that are not known are not looked at
    groups : of `region_groups`
    """
    means, counts = [], []
    for codes in groups:
        count = np.bincount(codes[known], minlength=codes.max() + 1).astype(float)
        total = np.zeros((len(count), *values.shape[1:]))
        np.add.at(total, codes[known], values[known])
        means.append((total / np.maximum(count, 1).reshape(-1, *[1] * (values.ndim - 1)))[codes])
        counts.append(count[codes])
    return np.where((counts[0] > 0).reshape(-1, *[1] * (values.ndim - 1)), means[0], means[1])


def region_past(past: np.ndarray, known: np.ndarray, groups: tuple[np.ndarray, np.ndarray], levels: Sequence[float]) -> np.ndarray:
    """Quantiles (N, Q) of what the known series of each series' category and region sold, all weeks of `past` (N, T) together."""
    fine, coarse = groups
    codes = np.where(np.isin(fine, fine[known]), fine, fine.max() + 1 + coarse)
    both = np.concatenate([fine[known], fine.max() + 1 + coarse[known]])
    table = pl.DataFrame({"code": both, "sold": np.concatenate([past[known]] * 2)}).explode("sold").drop_nulls().drop_nans()
    found = table.group_by("code").agg(pl.col("sold").quantile(q, "linear").alias(str(q)) for q in levels)
    return pl.DataFrame({"code": codes}).join(found, on="code", how="left", maintain_order="left").drop("code").to_numpy()


@dataclass(frozen=True)
class Judged:
    """Losses of the held-out series; W windows, N series.

    Attributes
    ----------
    losses : {who: (W, N)}, twice the pinball loss, mean over deciles, summed over the window, units
    sold : (W, N), units
    stores : (N,), whole numbers
    """

    losses: dict[str, np.ndarray]
    sold: np.ndarray
    stores: np.ndarray

    def wql(self, who: str) -> float:
        """Weighted quantile loss, the mean over windows."""
        return float((self.losses[who].sum(axis=1) / self.sold.sum(axis=1)).mean())

    def skill(self, who: str, rival: str) -> Interval:
        """1 - WQL / WQL of the rival; stores are drawn with all their categories."""
        part = part_of(np.stack([self.losses[who], self.losses[rival]]), self.sold, clusters=self.stores)
        settings = Resampling()
        return skill_of(resample([part], units=int(self.stores.max()) + 1, settings=settings)[0], 0, 1, settings)


def judge(one: SpaceSet, model: Forecaster, out: np.ndarray) -> Judged:
    """Fit on the known stores, forecast every window, and measure the held-out series.

    Parameters
    ----------
    out : bool (N,), of the series known before the first window
    """
    assert one.region is not None
    gone = set(one.first.series.filter(pl.Series(out))[LOCATION])
    model.fit(one.first.select(~out))
    found: dict[str, list[np.ndarray]] = {"model": [], "region": [], "past": []}
    sold, at = [], one.first.series.filter(pl.Series(out)).select(ITEM, LOCATION)
    for window in one.windows():
        quantiles, rivals, here = forecasts(window, model, gone, region=one.region)
        keys = window.past.series.filter(pl.Series(here)).select(ITEM, LOCATION).with_row_index("row")
        # A series that begins later than the first window is not judged, so that windows hold the same series.
        rows = at.join(keys, on=[ITEM, LOCATION], how="left", maintain_order="left")["row"].to_numpy()
        truth = window.truth()[here][rows]
        for who, cube in {"model": quantiles, **rivals}.items():
            found[who].append(2 * np.nansum(pinball_losses(truth, cube[here][rows], np.array(DECILES)).mean(axis=2), axis=1))
        sold.append(np.nansum(np.abs(truth), axis=1))
    stores = at[LOCATION].rank("dense").to_numpy().astype(np.int64) - 1
    return Judged({who: np.stack(parts) for who, parts in found.items()}, np.stack(sold), stores)


def forecasts(window: Window, model: Forecaster, gone: set[object], *,
              region: str) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Of one window: the model's deciles (N, H, 9) of all series, those of the rivals, and which series (N,) are held out."""
    out = window.past.series[LOCATION].is_in(list(gone)).to_numpy()
    panel = without_sales(window.past, out)
    quantiles = model.predict(panel, horizon=window.horizon, levels=DECILES).quantiles
    groups = region_groups(panel, ~out, region)
    past = panel.dense(context=min(YEAR, panel.cutoff - int(panel.series["start"].min()) + 1), covariates=()).sales  # type: ignore[arg-type]
    level = np.repeat(region_past(past, ~out, groups, DECILES)[:, None, :], window.horizon, axis=1)
    return quantiles, {"region": region_mean(quantiles, ~out, groups), "past": level}, out


def bar(model: str, options: dict[str, object], *, seed: int = 0, stores: int | None = None,
        say: bool = False) -> dict[str, object]:
    """WQL of the held-out stores beside the mean of their region.

    Parameters
    ----------
    stores : a sample of so many stores, for a quick look; all when None
    """
    one, began = SETS["iowa"](), time.perf_counter()
    if stores is not None:
        names = one.panel.series[LOCATION].unique().sort()
        kept = names.gather(np.sort(np.random.default_rng(1).choice(names.len(), size=stores, replace=False)))
        one = replace(one, panel=one.panel.select(one.panel.series[LOCATION].is_in(kept.implode()).to_numpy()))
    first = one.first
    out = held_out(first, seed=seed)
    made, _ = make_forecaster(model, first, horizon=one.horizon, seed=seed, options=options)
    judged = judge(one, made, out)
    row: dict[str, object] = {"model": model, "settings": ",".join(f"{k}={v}" for k, v in options.items()), "seed": seed,
                              "stores": len(np.unique(judged.stores)), "of_stores": first.series[LOCATION].n_unique(),
                              "series": len(judged.stores)}
    row |= {f"WQL {who}": round(judged.wql(who), 4) for who in judged.losses}
    for rival in ("region", "past"):
        skill = judged.skill("model", rival)
        row |= {f"over {rival}": round(skill.value, 4), f"over {rival} low": round(skill.low, 4),
                f"over {rival} high": round(skill.high, 4)}
    if say:
        print("  ".join(f"{k} {v}" for k, v in row.items()), f" {time.perf_counter() - began:.0f} s", flush=True)
    return row


def main() -> None:
    """Measure and print; append a row where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="profile")
    parser.add_argument("--settings", default="", help="name=value,name=value")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stores", type=int, default=None, help="a sample of so many stores")
    parser.add_argument("--append", action="store_true")
    asked = parser.parse_args()
    row = bar(asked.model, settings_from(asked.settings, asked.model), seed=asked.seed, stores=asked.stores, say=True)
    if asked.append:
        append_row("held_out_stores", row)


if __name__ == "__main__":
    main()

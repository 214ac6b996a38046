"""How often sums lie inside their intervals, level by level of a hierarchy, pooled over windows.

    python benchmarks/level_coverage.py                                         store_item, eight windows, profile, apart
    python benchmarks/level_coverage.py --tasks stallion,dominicks --reconcile auto --model boosted
    python benchmarks/level_coverage.py --append                               add the rows to benchmarks/results/level_coverage.csv

In every window a model learns from its past alone, and so does what makes series and sums agree, as in `shelfcast backtest
--hierarchy`. `--skip` leaves out the last windows: those of m5 and rossmann are tests. Should be: 75 to 85 % in the 80 % interval,
96 to 99.5 % in the 98 % interval. `--reconcile apart` adds the series up by the correlation of their past changes, without any
forecast of sums, as a backtest without `--hierarchy` does.
"""

import argparse
from itertools import islice

import numpy as np
import polars as pl

from provenance import append_row
from shelfcast.data.split import windows
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import scored_part, still_sold
from shelfcast.models.registry import setting_names
from shelfcast.names import LEVELS
from shelfcast.progress import Silent
from shelfcast.workflow.choosing import make_forecaster
from shelfcast.workflow.pieces import Recorded
from shelfcast.workflow.preparing import Clock
from shelfcast.workflow.reconciling import Summing, agree, hierarchy_by
from spine_accuracy import TASKS

HIERARCHIES = {"store_item": (("item", "location"), 28), "stallion": (("item", "location"), 3),
               "dominicks": (("item", "location"), 4), "m5": (("department", "item", "location"), 28),
               "rossmann": (("StoreType", "Assortment"), 28)}
"""{task: (attributes to sum by, periods ahead)}"""
MEASURES = {"coverage 0.1-0.9": "cover80", "coverage 0.01-0.99": "cover98", "WQL": "WQL"}


def coverage(task: str, *, count: int, model: str, how: str, series: int, skip: int) -> pl.DataFrame:
    """One row a level, and one for the series: `level`, `series`, `cover80`, `cover98`, `WQL`, means over the windows."""
    panel = TASKS[task]().panel
    names, horizon = HIERARCHIES[task]
    if series < len(panel):
        panel = panel.select(np.sort(np.random.default_rng(0).choice(len(panel), series, replace=False)))
    options = {"effort": "fast"} if "effort" in setting_names(model) else {}
    found = []
    for window in islice(windows(panel, horizon=horizon, count=count + skip), count):
        scored = scored_part(still_sold(window), max_series=None, seed=0)
        past = scored.past
        fitted, _ = make_forecaster(model, window.past, horizon=horizon, seed=0, options=options)
        fitted.fit(window.past)
        hierarchy = hierarchy_by(names, past)
        if how == "apart":
            found.append(measure(scored, fitted, levels=LEVELS, hierarchy=hierarchy).scores)
            continue
        bottom = fitted.predict(past, horizon=horizon, levels=LEVELS)
        summing = Summing(how=how, model=model, horizon=horizon, levels=LEVELS, options=options)  # type: ignore[arg-type]
        agreed = agree(bottom, hierarchy, summing, panel=past, clock=Clock(), progress=Silent())
        kept = Recorded({past.cutoff: agreed.bottom or bottom})
        found.append(measure(scored, kept, levels=LEVELS, hierarchy=hierarchy, upper=agreed.upper).scores)
    rows = pl.concat(found).filter(pl.col("kind").is_in(["level", "all"]) & pl.col("metric").is_in(list(MEASURES)))
    means = rows.group_by("kind", "group", "metric", maintain_order=True).agg(pl.col("value").mean(), pl.col("series").max())
    table = means.pivot(on="metric", index=["kind", "group", "series"], values="value").rename(MEASURES)
    level = pl.when(pl.col("kind") == "all").then(pl.lit("series")).otherwise("group").alias("level")
    return table.sort("series").select(level, "series", *MEASURES.values())


def main() -> None:
    """Print a table for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="store_item")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--model", default="profile")
    parser.add_argument("--reconcile", default="apart")
    parser.add_argument("--series", type=int, default=150, help="a sample of so many series")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many last windows")
    parser.add_argument("--append", action="store_true")
    options = parser.parse_args()
    print(f"{'task':<12} {'level':<24} {'nodes':>6} {'80 %':>6} {'98 %':>6} {'WQL':>8}")
    for task in options.tasks.split(","):
        asked = {"model": options.model, "reconcile": options.reconcile, "windows": options.windows, "skip": options.skip}
        table = coverage(task, count=options.windows, model=options.model, how=options.reconcile, series=options.series,
                         skip=options.skip)
        for row in table.iter_rows(named=True):
            print(f"{task:<12} {row['level']:<24} {row['series']:>6,} {row['cover80']:>6.3f} {row['cover98']:>6.3f} "
                  f"{row['WQL']:>8.4f}", flush=True)
            if options.append:
                append_row("level_coverage", {"task": task, **asked, **{k: round(v, 4) if isinstance(v, float) else v
                                                                        for k, v in row.items()}})


if __name__ == "__main__":
    main()

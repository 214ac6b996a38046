"""Growth of reconciliation with the number of series: 1,000, 10,000 and 30,000 items at places, 28 days ahead, on one core.

    python benchmarks/reconcile.py [COUNT ...]              each method, a row each
    python benchmarks/reconcile.py --append [COUNT ...]     also append the rows to benchmarks/results/reconcile.csv

Items belong to categories and these to departments, places to regions, and every cross of the two is a level. Base forecasts of
all levels and 112 past errors of each (four windows of 28 days) are drawn here. `seconds` is `reconcile()` alone, as the clock
went, and `cpu s` what it computed: on a busy machine the first says more of the neighbours than of it. `weights s` (CPU) is its
part for covariance and factors. With `bottom_up` quantiles of all sums come from 200 samples, which is what it spends its time on.
Peak memory is that of the whole process, the drawn data included.
"""

import argparse
import json
import os
import resource
import sys
import time
from typing import get_args

import numpy as np
import polars as pl

from provenance import append_row, measured_run
from shelfcast.adjust.reconcile import METHODS, Method, projection_of, reconcile
from shelfcast.data.hierarchy import BOTTOM, Hierarchy
from shelfcast.forecast import Forecast
from shelfcast.periods import Frequency

HORIZON, PERIODS = 28, 112
PLACES = {1_000: 10, 10_000: 20, 30_000: 30}
LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def chain(count: int) -> Hierarchy:
    """About `count` series: every item at every place."""
    places = PLACES.get(count, 20)
    items = count // places
    categories = max(4, items // 25)
    item_table = pl.DataFrame({"item": [f"i{k:06d}" for k in range(items)],
                               "category": [f"c{k % categories:04d}" for k in range(items)],
                               "department": [f"d{k % categories % 8}" for k in range(items)]})
    place_table = pl.DataFrame({"location": [f"p{k:04d}" for k in range(places)], "region": [f"r{k % 4}" for k in range(places)]})
    series = item_table.select("item").join(place_table.select("location"), how="cross").sort("item", "location")
    return Hierarchy.of(series, items=item_table, places=place_table, item_levels=["department", "category", "item"],
                        place_levels=["region", "location"])


def draw(hierarchy: Hierarchy) -> tuple[dict[str, Forecast], dict[str, np.ndarray]]:
    """Base forecasts and past errors of all levels: sizes over two decades, errors with a common part, sums with their own."""
    rng = np.random.default_rng(11)
    n = hierarchy.series.height
    size = rng.lognormal(0.5, 1.2, size=(n, 1))
    truth = size * (1 + 0.3 * np.sin(2 * np.pi * np.arange(HORIZON) / 7))
    noise = np.sqrt(size) * rng.normal(size=(n, PERIODS)) + 0.2 * size * rng.normal(size=(1, PERIODS))
    forecasts, errors = {}, {}
    for level in (hierarchy.bottom, *hierarchy.levels):
        own = 1.0 if level.name == BOTTOM else 0.7
        past = own * level.sums(noise)
        sigma = np.sqrt((past**2).mean(axis=1, keepdims=True))
        mean = np.maximum(level.sums(truth) + 0.3 * sigma * rng.normal(size=(len(level), HORIZON)), 0.0)
        spread = np.linspace(-2, 2, len(LEVELS)) * sigma[:, :, None]
        forecasts[level.name] = Forecast(level.series, Frequency("D"), 0, LEVELS, np.maximum(mean[:, :, None] + spread, 0.0), mean)
        errors[level.name] = past
    return forecasts, errors


def one(count: int, method: Method) -> None:
    """Run one method in this process and print what it took."""
    hierarchy = chain(count)
    forecasts, errors = draw(hierarchy)
    bottom = forecasts.pop(BOTTOM)
    start, solver = time.process_time(), ""
    if method in ("ols", "wls", "mint"):
        solver = projection_of(hierarchy, method, errors=errors).solver
    weights = time.process_time() - start
    start, clock = time.process_time(), time.perf_counter()
    found = reconcile(bottom, hierarchy, upper=forecasts, method=method, errors=errors)
    seconds, cpu = time.perf_counter() - clock, time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    print(json.dumps({"series": len(bottom), "forecasts": len(hierarchy), "levels": len(hierarchy.levels) + 1, "solver": solver,
                      "weights_cpu_seconds": round(weights, 2), "cpu_seconds": round(cpu, 2), "seconds": round(seconds, 2),
                      "coherence": found.coherence, "peak_gb": round(peak, 2)}))


def main() -> None:
    """Print a row for each count and method, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=list(PLACES))
    parser.add_argument("--append", action="store_true", help="append the rows to benchmarks/results/reconcile.csv")
    parser.add_argument("--one", choices=get_args(Method), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.counts[0], options.one)
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    print(f"{'series':>7} {'forecasts':>9} {'levels':>6}  {'method':<9} {'solver':<10} {'weights s':>9} {'cpu s':>8} "
          f"{'seconds':>8} {'peak GB':>8} {'gap':>8}")
    for count in options.counts or PLACES:
        for method in METHODS:
            run = measured_run([sys.executable, __file__, str(count), "--one", method])
            if run.code:
                sys.exit(f"{count} {method}: exit {run.code}\n{run.errors[-2000:]}")
            row = json.loads(run.output)
            print(f"{row['series']:>7,} {row['forecasts']:>9,} {row['levels']:>6}  {method:<9} {row['solver']:<10} "
                  f"{row['weights_cpu_seconds']:>9.1f} {row['cpu_seconds']:>8.1f} {row['seconds']:>8.1f} {row['peak_gb']:>8.2f} "
                  f"{row['coherence']:>8.0e}", flush=True)
            if options.append:
                append_row("reconcile", {"method": method, **row})


if __name__ == "__main__":
    main()

"""Growth of time and memory with the number of series: 1,000, 10,000 and 100,000 store-items of two years.

    python benchmarks/scale.py [COUNT ...]              by weeks, horizon 8
    python benchmarks/scale.py --daily [COUNT ...]      by days, horizon 28

Runs the whole `forecast` verb, `auto` and its trials included, in a process of its own for each count, on sales drawn here
(intermittent counts with a season), and prints a row each with wall seconds and peak memory; rows are appended to
benchmarks/results/scale.csv.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from provenance import Run, append_row, measured_run

AT_ONCE = 5_000  # series drawn at a time: the table itself should not need more memory than what is measured


@dataclass(frozen=True)
class Pace:
    """A frequency: its name, days of a period, periods of history, horizon, and the share of the mean weekly level a period has."""

    freq: str
    days: int
    periods: int
    horizon: int
    share: float


WEEKLY = Pace("W", 7, 104, 8, 1.0)
DAILY = Pace("D", 1, 730, 28, 0.5)


def draw(count: int, pace: Pace, target: Path) -> None:
    """Sales of `count` store-items: Poisson, levels over two decades, a yearly season, by days a weekly one; zeros left out."""
    time = np.arange(pace.periods)
    parts = []
    for start in range(0, count, AT_ONCE):
        rng = np.random.default_rng([7, start])
        n = min(AT_ONCE, count - start)
        level = pace.share * rng.lognormal(0.3, 1.2, size=(n, 1))
        season = 1 + 0.3 * np.sin(2 * np.pi * time * pace.days / 364 + rng.uniform(0, 2 * np.pi, size=(n, 1)))
        week = 1 + 0.3 * np.sin(2 * np.pi * time / 7) if pace.days == 1 else 1.0
        sold = rng.poisson(level * season * week)
        series, period = np.nonzero(sold)
        days = np.datetime64("2022-01-03") + period * np.timedelta64(pace.days, "D")
        number = (start + series).astype(np.int32)
        parts.append(pl.DataFrame({"store": number % 50, "item": number // 50, "date": days,
                                   "units": sold[series, period].astype(np.int32)}))
    pl.concat(parts).write_parquet(target)


def once(count: int, pace: Pace, folder: Path) -> tuple[Run, dict[str, Any], int]:
    """The whole forecast of so many series: what it took, its summary, and the rows it read."""
    sales = folder / "sales.parquet"
    draw(count, pace, sales)
    run = measured_run([sys.executable, "-m", "shelfcast", "forecast", str(sales), "--freq", pace.freq, "--horizon",
                        str(pace.horizon), "--json", "--out", str(folder / "f.parquet")])
    if run.code:
        raise RuntimeError(f"{count} series: exit {run.code}\n{run.errors[-2000:]}")
    return run, json.loads(run.output), pl.scan_parquet(sales).select(pl.len()).collect().item()


def main() -> None:
    """Print and keep a row for each count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int)
    parser.add_argument("--daily", action="store_true")
    arguments = parser.parse_args()
    pace = DAILY if arguments.daily else WEEKLY
    print(f"{'series':>8} {'rows':>11} {'seconds':>8} {'peak GB':>8}  by stage")
    for count in arguments.counts or [1_000, 10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            run, summary, rows = once(count, pace, Path(folder))
        stages = " ".join(f"{k} {v:.0f}" for k, v in summary["seconds"].items())
        print(f"{count:>8,} {rows:>11,} {run.seconds:>8.1f} {run.peak_gb:>8.2f}  {stages}", flush=True)
        append_row("scale", {"freq": pace.freq, "series": count, "forecast_series": summary["series"], "rows": rows,
                             "horizon": pace.horizon, "seconds": round(run.seconds, 1), "peak_gb": round(run.peak_gb, 2)})


if __name__ == "__main__":
    main()

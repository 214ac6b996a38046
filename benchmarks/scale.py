"""Growth of time and memory with the number of series: 1,000, 10,000 and 100,000 weekly store-item series.

    python benchmarks/scale.py [COUNT ...]

Runs the whole `forecast` verb in a process of its own for each count, on sales drawn here (two years of weekly intermittent
counts), and prints a row each with wall seconds and peak memory; rows are appended to benchmarks/results/scale.csv.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from provenance import append_row, measured_run

WEEKS, HORIZON = 104, 8


def draw(count: int, target: Path) -> None:
    """Weekly sales of `count` store-items, Poisson with a yearly season and levels spread over two decades; zeros are left out."""
    rng = np.random.default_rng(7)
    level = rng.lognormal(0.3, 1.2, size=(count, 1))
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(WEEKS) / 52 + rng.uniform(0, 2 * np.pi, size=(count, 1)))
    sold = rng.poisson(level * season)
    series, week = np.nonzero(sold)
    days = np.datetime64("2022-01-03") + week * np.timedelta64(7, "D")
    pl.DataFrame({"store": series % 50, "item": series // 50, "date": days, "units": sold[series, week]}).write_parquet(target)


def main(counts: list[int]) -> None:
    """Print and keep a row for each count."""
    print(f"{'series':>8} {'rows':>11} {'seconds':>8} {'peak GB':>8}  by stage")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            sales = Path(folder) / "sales.parquet"
            draw(count, sales)
            run = measured_run([sys.executable, "-m", "shelfcast", "forecast", str(sales), "--horizon", str(HORIZON), "--json",
                                "--out", str(Path(folder) / "f.parquet")])
            if run.code:
                sys.exit(f"{count} series: exit {run.code}\n{run.errors[-2000:]}")
            summary = json.loads(run.output)
            stages = " ".join(f"{k} {v:.0f}" for k, v in summary["seconds"].items())
            rows = pl.scan_parquet(sales).select(pl.len()).collect().item()
            print(f"{count:>8,} {rows:>11,} {run.seconds:>8.1f} {run.peak_gb:>8.2f}  {stages}")
            append_row("scale", {"series": count, "forecast_series": summary["series"], "horizon": HORIZON,
                                 "seconds": round(run.seconds, 1), "peak_gb": round(run.peak_gb, 2)})


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1_000, 10_000, 100_000])

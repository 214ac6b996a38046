"""The bars of accuracy: the public retail tasks among published models, coverage, time; reconciliation; 100,000 daily series."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import polars as pl

from fev_retail import run
from level_coverage import coverage
from provenance import HERE, TASKS

MODEL = "auto"


@cache
def public_tasks():  # a module
    """The public benchmark's own cut and score."""
    sys.path.append(str(TASKS))
    import fev_tasks

    return fev_tasks


@cache
def task(name: str, windows: range | None = None) -> dict[str, object]:
    """Our default on a task: the mean of each measure over its windows."""
    return run(public_tasks(), name, MODEL, windows, 0, None, say=False)


def peer_ratio() -> float:
    """Our scaled quantile loss on m5_1D over that of the best peer that was run here on the same window."""
    rows = pl.read_csv(HERE / "results/peers.csv").filter((pl.col("task") == "m5_1D") & (pl.col("window") == 0))
    best = rows.filter(pl.col("peer") != "ours")["SQL"].min()
    return round(float(task("m5_1D")["SQL"]) / float(best), 4)  # type: ignore[arg-type]


@cache
def reconciled() -> dict[str, float]:
    """MinT on 30,000 series and their sums: seconds of one core, GB, largest gap."""
    done = subprocess.run([sys.executable, str(HERE / "reconcile.py"), "30000", "--one", "mint"], capture_output=True, text=True,
                          check=True, env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    return dict(json.loads(done.stdout))


@cache
def large() -> dict[str, float]:
    """The whole forecast of 100,000 daily series of two years, in a process of its own."""
    from scale import DAILY, once

    with tempfile.TemporaryDirectory() as folder:
        done, summary, _ = once(100_000, DAILY, Path(folder))
        return {"peak": round(done.peak_gb, 2), "series": summary["series"]}


@cache
def levels(name: str) -> pl.DataFrame:
    """Coverage at each level of a hierarchy, pooled over eight windows; of m5 and rossmann those before the test windows.

    Forecast by `profile`, its series added up by the correlation of their past changes: no sum is forecast or reconciled.
    """
    return coverage(name, count=8, model="profile", how="apart", series=150, skip={"m5": 1, "rossmann": 2}.get(name, 0))


def covered(name: str, column: str, sense: str) -> float:
    """Coverage at the level where it is least (`>=`) or most (`<=`); the series themselves have bars of their own."""
    found = levels(name).filter(pl.col("level") != "series")[column]
    return round(float(found.min() if sense == ">=" else found.max()), 4)  # type: ignore[arg-type]


BARS = [
    *((f"{name} SQL", "<=", bar, lambda name=name: task(name)["SQL"])
      for name, bar in (("rossmann_1D", 0.205), ("rossmann_1W", 0.225), ("walmart", 0.648))),
    *((f"{name} seconds, all windows", "<=", 1500, lambda name=name: task(name)["seconds"])
      for name in ("rossmann_1D", "rossmann_1W", "walmart", "m5_1D")),
    *((f"{name} coverage of 80 %", sense, bar, lambda name=name: task(name)["cover80"])
      for name in ("rossmann_1D", "rossmann_1W") for sense, bar in ((">=", 0.75), ("<=", 0.85))),
    *((f"{name} coverage of 98 %", sense, bar, lambda name=name: task(name)["cover98"])
      for name in ("rossmann_1D", "rossmann_1W") for sense, bar in ((">=", 0.96), ("<=", 0.995))),
    ("rossmann_1W coverage of 80 %, first unseen Christmas", ">=", 0.70, lambda: task("rossmann_1W", range(6, 7))["cover80"]),
    *((f"{name} coverage of {share} at every level, profile added up apart, {'least' if sense == '>=' else 'most'}", sense, bar,
       lambda name=name, column=column, sense=sense: covered(name, column, sense))
      for name in ("m5", "rossmann", "store_item") for share, column, sense, bar in (
          ("80 %", "cover80", ">=", 0.75), ("80 %", "cover80", "<=", 0.85),
          ("98 %", "cover98", ">=", 0.96), ("98 %", "cover98", "<=", 0.995))),
    ("m5_1D SQL over the best peer run here", "<=", 1.0, peer_ratio),
    ("reconcile 30,000 series, seconds of one core", "<=", 60, lambda: reconciled()["cpu_seconds"]),
    ("reconcile 30,000 series, largest gap", "<=", 1e-6, lambda: reconciled()["coherence"]),
    ("100,000 daily series, GB", "<=", 24, lambda: large()["peak"]),
    ("100,000 daily series, forecast", ">=", 99_000, lambda: large()["series"]),
]

"""The bars of the spine: the four commands on real sales, accuracy, scale, light import, broken inputs, no look ahead."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from provenance import DATA, ROOT, Run, measured_run

CLI = [sys.executable, "-m", "shelfcast"]
SCRATCH = tempfile.TemporaryDirectory(prefix="shelfcast-bars-")
OUT = Path(SCRATCH.name)
CUTOFF, ROSSMANN_HORIZON = "2015-06-13", 48
LEVELS = ["q0.01", "q0.05", *(f"q0.{i}" for i in range(1, 10)), "q0.95", "q0.99"]


def run(*arguments: object) -> Run:
    """One command of ours, measured; it must end with 0."""
    done = measured_run([*CLI, *map(str, arguments)])
    if done.code:
        raise RuntimeError(f"exit {done.code}: {done.errors[-400:]}")
    return done


@cache
def check_online_retail() -> Run:
    """The first command of the issue."""
    return run("check", DATA / "online_retail/transactions.parquet", "--json")


@cache
def rossmann() -> Run:
    """The second."""
    return run("forecast", DATA / "rossmann/train.parquet", "--columns", "location=Store,date=Date,sales=Sales",
               "--known", "Open,Promo,SchoolHoliday,state_closed_day", "--static", DATA / "rossmann/store.parquet",
               "--cutoff", CUTOFF, "--horizon", ROSSMANN_HORIZON, "--out", OUT / "rossmann.parquet",
               "--report", OUT / "rossmann.html")


@cache
def walmart() -> Run:
    """The third."""
    return run("forecast", DATA / "walmart/train.parquet", "--columns", "location=Store,item=Dept,date=Date,sales=Weekly_Sales",
               "--covariates", DATA / "walmart/features.parquet", "--known", "IsHoliday,Temperature", "--horizon", 13,
               "--out", OUT / "walmart.csv")


@cache
def iowa() -> Run:
    """The fourth."""
    return run("forecast", DATA / "iowa_liquor/sales_lines_*.parquet",
               "--columns", "location=store,item=item,date=date,sales=bottles",
               "--places", DATA / "iowa_liquor/stores.parquet", "--freq", "W", "--horizon", 8, "--out", OUT / "iowa.parquet")


def is_whole(file: Path, horizon: int) -> int:
    """1 when every series has every period once, sorted, and quantiles are finite, rising and not negative; else 0."""
    table = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, try_parse_dates=True)
    keys = ["item", "location", "date"]
    per_series = table.group_by("item", "location").agg(pl.len().alias("n"), pl.col("date").n_unique().alias("dates"))
    quantiles = table.select(LEVELS).to_numpy()
    return int(table.columns == [*keys, "mean", *LEVELS] and bool((per_series["n"] == horizon).all())
               and bool((per_series["dates"] == horizon).all()) and table.select(keys).equals(table.select(keys).sort(keys))
               and bool(np.isfinite(quantiles).all()) and bool((np.diff(quantiles, axis=1) >= 0).all())
               and bool((quantiles >= 0).all()))


def rossmann_wape() -> float:
    """WAPE of the median over the 48 days after the cutoff, all stores, zero days included."""
    rossmann()
    forecast = pl.read_parquet(OUT / "rossmann.parquet")
    truth = pl.read_parquet(DATA / "rossmann/train.parquet").select(
        pl.col("Store").alias("location"), pl.col("Date").cast(pl.Date).alias("date"), pl.col("Sales").cast(pl.Float64))
    both = truth.join(forecast, on=["location", "date"], how="inner")
    if both.height != forecast.height:
        raise RuntimeError(f"{forecast.height} forecasts, {both.height} of them with sales")
    return round(float((both["Sales"] - both["q0.5"]).abs().sum() / both["Sales"].sum()), 4)


def walmart_wape() -> float:
    """WAPE of the median on the published 2,936 series, last 39 weeks, by the public task's own cut and score."""
    from shelfcast.models.registry import make_model
    from spine_accuracy import run as replay
    from spine_accuracy import walmart as published

    task = published()
    return round(float(replay(task, 0, make_model("boosted", {"horizon": task.horizon}))["WAPE"]), 4)


@cache
def read_check_clean() -> dict[str, float]:
    """Reading, checking and cleaning the Iowa lines against a bare streaming group-by, in turn, three times."""
    bare = """
import polars as pl
table = (pl.scan_parquet({path!r}).group_by("item", "store", ((pl.col("date").cast(pl.Int32) + 3) // 7).alias("week"))
         .agg(pl.col("bottles").sum(), pl.len()).collect(engine="streaming"))
"""
    ours = """
from shelfcast.data.check import check_sales
from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales
lines = read_sales({path!r}, columns=dict(location="store", item="item", date="date", sales="bottles"), freq="W", places={places!r})
check_sales(lines)
clean_sales(lines)
"""
    names = {"path": str(DATA / "iowa_liquor/sales_lines_*.parquet"), "places": str(DATA / "iowa_liquor/stores.parquet")}
    ratios, peaks = [], []
    for _ in range(3):
        base = measured_run([sys.executable, "-c", bare.format(**names)])
        mine = measured_run([sys.executable, "-c", ours.format(**names)])
        if base.code or mine.code:
            raise RuntimeError((base.errors + mine.errors)[-400:])
        ratios.append(mine.seconds / base.seconds)
        peaks.append(mine.peak_gb)
    return {"ratio": round(statistics.median(ratios), 2), "peak": round(max(peaks), 2)}


def import_seconds() -> float:
    """What `import shelfcast` adds to `python -c pass`: difference of medians of 10, run in turn."""
    def once(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    pairs = [(once("import shelfcast"), once("pass")) for _ in range(10)]
    return round(statistics.median(p[0] for p in pairs) - statistics.median(p[1] for p in pairs), 4)


def heavy_modules() -> int:
    """Heavy packages that `import shelfcast` loads."""
    code = "import sys, shelfcast; print(sum(m in sys.modules for m in ('polars', 'torch', 'lightgbm', 'fastapi')))"
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


@cache
def passed(*tests: str) -> int:
    """How many of these tests pass; none may fail."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rN", *tests], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1]
    if done.returncode:
        raise RuntimeError(last)
    return int(last.split(" passed")[0].split()[-1])


def finding_kinds() -> int:
    """Kinds of finding that the check knows."""
    from shelfcast.data.check import KINDS

    return len(KINDS)


def check_ends_well() -> int:
    """1 when the check of the messy web shop finds something and ends with 0."""
    return int(len(json.loads(check_online_retail().output)["findings"]) > 0)


BARS = [
    ("check online_retail ends well", "==", 1, check_ends_well),
    ("kinds of finding", ">=", 25, finding_kinds),
    ("rossmann whole", "==", 1, lambda: (rossmann(), is_whole(OUT / "rossmann.parquet", ROSSMANN_HORIZON))[1]),
    ("rossmann WAPE", "<=", 0.09, rossmann_wape),
    ("walmart whole", "==", 1, lambda: (walmart(), is_whole(OUT / "walmart.csv", 13))[1]),
    ("walmart published WAPE", "<=", 0.10, walmart_wape),
    ("import seconds", "<=", 0.1, import_seconds),
    ("import heavy modules", "==", 0, heavy_modules),
    ("broken inputs answered", ">=", 80, lambda: passed("tests/broken")),
    ("models that do not look ahead", ">=", 1, lambda: passed("tests/leakage")),
    ("iowa read, check, clean against a bare scan", "<=", 6, lambda: read_check_clean()["ratio"]),
    ("iowa read, check, clean peak GB", "<=", 8, lambda: read_check_clean()["peak"]),
    ("iowa whole", "==", 1, lambda: (iowa(), is_whole(OUT / "iowa.parquet", 8))[1]),
    ("iowa minutes", "<=", 60, lambda: round(iowa().seconds / 60, 1)),
    ("iowa peak GB", "<=", 16, lambda: round(iowa().peak_gb, 2)),
]

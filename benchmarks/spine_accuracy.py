"""How well the default forecasts real sales, beside seasonal naive: one row a task.

    python benchmarks/spine_accuracy.py                         every task, its last window, the default model
    python benchmarks/spine_accuracy.py --tasks rossmann --windows 1:10 --model profile
    python benchmarks/spine_accuracy.py --append                add the rows to benchmarks/results/spine_accuracy.csv

Window k ends k horizons before the end of the data (of each series, for walmart, as in the public benchmark fev). Settings
were chosen on windows from 1 on and on other sets; window 0 of rossmann and walmart is the test that the bars name.

Measures as in fev: levels 0.1 to 0.9; WAPE and MASE of the median; SQL and WQL twice the pinball loss over the in-sample
seasonal naive error, and over mean sales. Coverage counts open periods alone.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from provenance import DATA, append_row
from shelfcast.data.split import windows
from shelfcast.models.base import Forecaster
from shelfcast.models.boosted import Boosted, BoostedSettings
from shelfcast.models.profile import Profile, ProfileSettings
from shelfcast.panel import PERIOD, CovariateTable, SalesPanel

DECILES = tuple(i / 10 for i in range(1, 10))
LEVELS = (0.01, 0.05, *DECILES, 0.95, 0.99)


@dataclass(frozen=True)
class Task:
    """A panel with its horizon and the lag of its naive error; `own_ends`: series end when their own sales do."""

    panel: SalesPanel
    horizon: int
    season: int
    own_ends: bool = False


def rossmann() -> Task:
    """Daily sales of 1,115 drugstores."""
    sales = pl.read_parquet(DATA / "rossmann/train.parquet").rename({"Store": "location", "Date": "date", "Sales": "sales"})
    places = pl.read_parquet(DATA / "rossmann/store.parquet").rename({"Store": "location"})
    panel = SalesPanel.from_frame(sales, freq="D", known=["Open", "Promo", "SchoolHoliday", "state_closed_day"], places=places,
                                  closed_when="Open")
    return Task(_with_static(panel, places), 48, 7)


def rossmann_week() -> Task:
    """The same by weeks from Monday, with the days of each flag as known covariates."""
    days = pl.read_parquet(DATA / "rossmann/train.parquet").rename({"Store": "location", "Date": "date", "Sales": "sales"})
    known = ["Open", "Promo", "SchoolHoliday", "state_closed_day"]
    week = pl.col("date").cast(pl.Date).dt.truncate("1w")
    sums = (pl.col(c).sum().cast(pl.Float64) for c in ("sales", *known))
    weeks = days.group_by("location", week).agg(pl.len().alias("days"), *sums)
    places = pl.read_parquet(DATA / "rossmann/store.parquet").rename({"Store": "location"})
    panel = SalesPanel.from_frame(weeks.filter(pl.col("days") == 7), freq="W", known=known, places=places)
    return Task(_with_static(panel, places), 13, 1)


def walmart() -> Task:
    """Weekly sales of the 2,936 store-departments that fev keeps: those with at least 79 weeks of sales."""
    sales = pl.read_parquet(DATA / "walmart/train.parquet").rename(
        {"Store": "location", "Dept": "item", "Date": "date", "Weekly_Sales": "sales"}).drop("IsHoliday")
    sales = sales.filter(pl.len().over("location", "item") >= 79)
    features = pl.read_parquet(DATA / "walmart/features.parquet").rename({"Store": "location", "Date": "date"})
    places = pl.read_parquet(DATA / "walmart/stores.parquet").rename({"Store": "location"})
    panel = SalesPanel.from_frame(sales, freq="W-FRI", places=places)
    known = ["IsHoliday", "Temperature", "Fuel_Price", "CPI", "Unemployment", *(f"MarkDown{i}" for i in range(1, 6))]
    table = features.select("location", panel.frequency.number_of(pl.col("date")).alias(PERIOD), *known)
    panel = replace(panel, tables=(CovariateTable(table),), covariates=dict.fromkeys(known, "known"))
    return Task(_with_static(panel, places), 39, 1, own_ends=True)


def m5() -> Task:
    """Daily unit sales of 2,196 items at 10 stores, many of them slow."""
    sales = pl.read_parquet(DATA / "m5/daily_sales_sample.parquet").with_columns(pl.col("date").cast(pl.Date))
    calendar = pl.read_parquet(DATA / "m5/calendar.parquet").with_columns(pl.col("date").str.to_date())
    prices = pl.read_parquet(DATA / "m5/sell_prices.parquet").rename({"sell_price": "price"})
    events = ["event_name_1", "event_type_1", "event_name_2", "event_type_2", "snap_CA", "snap_TX", "snap_WI"]
    table = (sales.join(calendar.select("date", "wm_yr_wk", *events), on="date")
             .join(prices, on=["store_id", "item_id", "wm_yr_wk"], how="left").rename({"item_id": "item", "store_id": "location"}))
    table = table.with_columns(pl.col("item").str.slice(0, pl.col("item").str.len_chars() - 4).alias("department"))
    items = table.select("item", "department").unique().sort("item")
    panel = SalesPanel.from_frame(table, freq="D", known=["price", *events], items=items)
    return Task(_with_static(panel, items), 28, 7)


def store_item() -> Task:
    """Daily sales of 50 items at 10 stores, clean and regular."""
    sales = pl.read_parquet(DATA / "store_item/train.parquet").rename({"store": "location"})
    return Task(SalesPanel.from_frame(sales, freq="D"), 28, 7)


def stallion() -> Task:
    """Monthly beer of 58 agencies and 25 products, with prices and events."""
    sales = pl.read_parquet(DATA / "stallion/stallion.parquet").rename({"agency": "location", "sku": "item", "volume": "sales"})
    sales = sales.with_columns(pl.col("location", "item").cast(pl.String))
    known = ["price_regular", "discount", "easter_day", "good_friday", "new_year", "christmas", "labor_day", "independence_day",
             "revolution_day_memorial", "regional_games", "fifa_u_17_world_cup", "football_gold_cup", "beer_capital", "music_fest"]
    return Task(SalesPanel.from_frame(sales, freq="M", known=known, past=["avg_max_temp", "industry_volume"]), 6, 1)


def dominicks() -> Task:
    """Weekly orange juice of 83 stores and 11 brands, with prices, deals and features."""
    sales = pl.read_parquet(DATA / "dominicks_oj/sales.parquet").rename({"store": "location", "brand": "item"})
    own = pl.coalesce(pl.when(pl.col("item") == b).then(pl.col(f"price{b}")) for b in range(1, 12))
    sales = sales.with_columns(own.alias("price"), pl.col("logmove").exp().alias("sales"),
                               (pl.date(1989, 9, 14) + pl.duration(weeks=pl.col("week") - 1)).alias("date"))
    return Task(SalesPanel.from_frame(sales, freq="W-THU", known=["price", "deal", "feat"]), 8, 1)


def iowa() -> Task:
    """Weekly bottles of a fortieth of the stores that sold in the last year, all their items: mostly zeros."""
    lines = pl.scan_parquet(DATA / "iowa_liquor/sales_lines_*.parquet").filter(pl.col("store") % 40 == 7)
    week = pl.col("date").dt.truncate("1w")
    table = (lines.group_by(pl.col("store").alias("location"), "item", week.alias("date"))
             .agg(pl.col("bottles").sum().cast(pl.Float64).alias("sales")).collect())
    last = table["date"].max()
    assert isinstance(last, date)
    alive = pl.col("date").max().over("location", "item") > last - timedelta(weeks=52)
    return Task(SalesPanel.from_frame(table.filter(alive), freq="W", absent="zero"), 8, 1)


TASKS: dict[str, Callable[[], Task]] = {
    f.__name__: f for f in (rossmann, rossmann_week, walmart, m5, store_item, stallion, dominicks, iowa)}


def _with_static(panel: SalesPanel, attributes: pl.DataFrame) -> SalesPanel:
    names = [c for c in attributes.columns if c not in ("item", "location")]
    return replace(panel, covariates={**panel.covariates, **dict.fromkeys(names, "static")})


@dataclass(frozen=True)
class Group:
    """Series that share a cutoff: what a model gets, and what came. `past` and `truth` are (N, T) and (N, H)."""

    panel: SalesPanel
    past: np.ndarray
    truth: np.ndarray


def window(task: Task, k: int) -> tuple[SalesPanel, list[Group]]:
    """The panel to fit on, and the groups to forecast, of window k."""
    found = next(windows(task.panel, horizon=task.horizon, count=k + 1, own_ends=task.own_ends))
    truth = found.truth()
    return found.past, [Group(part, part.dense(covariates=()).sales, truth[at]) for at, part in found.by_cutoff()]


def measures(truth: np.ndarray, quantiles: np.ndarray, naive_error: np.ndarray) -> dict[str, float]:
    """fev's measures; truth (N, H), quantiles (N, H, 9) at the deciles, naive_error (N,) with nan to leave a series out."""
    q = np.array(DECILES)
    pinball = 2 * np.abs((truth[..., None] - quantiles) * ((truth[..., None] <= quantiles) - q))
    error = np.abs(truth - quantiles[..., 4])
    mean = np.nanmean(np.abs(truth))
    return {"WAPE": float(np.nanmean(error) / mean),
            "SQL": float(np.nanmean(pinball / naive_error[:, None, None], axis=(0, 1)).mean()),
            "WQL": float(np.nanmean(pinball, axis=(0, 1)).mean() / mean), "MASE": float(np.nanmean(error / naive_error[:, None]))}


def seasonal_naive(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """(N, H, 9): the last season, gaps filled forward, the same at all levels."""
    filled = pl.DataFrame(past.T).fill_nan(None).fill_null(strategy="forward").fill_null(0.0).to_numpy().T
    one = filled[:, -season:] if filled.shape[1] >= season else filled
    return np.repeat(np.resize(np.tile(one, (1, horizon)), (len(past), one.shape[1] * horizon))[:, :horizon, None], 9, axis=2)


def error_of_naive(past: np.ndarray, season: int) -> np.ndarray:
    """(N,) in-sample seasonal naive error; nan where undefined or zero."""
    change = np.abs(past[:, season:] - past[:, :-season])
    seen = np.isfinite(change)
    error = np.where(seen, change, 0).sum(1) / np.maximum(seen.sum(1), 1)
    return np.where(error > 0, error, np.nan)


def run(task: Task, k: int, model: Forecaster) -> dict[str, float]:
    """Fit, forecast and score one window."""
    panel, groups = window(task, k)
    began = time.perf_counter()
    model.fit(panel)
    fitted = time.perf_counter()
    forecasts = [model.predict(g.panel, horizon=task.horizon, levels=LEVELS) for g in groups]
    done = time.perf_counter()
    truth = np.concatenate([g.truth for g in groups])
    quantiles = np.concatenate([f.quantiles for f in forecasts])
    naive_error = np.concatenate([error_of_naive(g.past, task.season) for g in groups])
    naive = np.concatenate([seasonal_naive(g.past, task.horizon, task.season) for g in groups])
    deciles = quantiles[:, :, 2:11]
    out = measures(truth, deciles, naive_error)
    out |= {f"naive {n}": v for n, v in measures(truth, naive, naive_error).items()}
    open_ = np.isfinite(truth) & (quantiles[:, :, -1] > 0)
    for level in (0.05, 0.5, 0.95):
        out[f"below {level:g}"] = float((truth <= quantiles[:, :, LEVELS.index(level)])[open_].mean())
    mean = np.concatenate([f.mean for f in forecasts])
    out["mean/actual"] = float(mean[np.isfinite(truth)].sum() / truth[np.isfinite(truth)].sum())
    return out | {"series": len(truth), "fit s": fitted - began, "predict s": done - fitted}


def _models(name: str, effort: str, seed: int, rows: int | None) -> Callable[[int], Forecaster]:
    if name == "profile":
        return lambda horizon: Profile(ProfileSettings(seed=seed, horizon=horizon))
    return lambda horizon: Boosted(BoostedSettings(seed=seed, horizon=horizon, effort=effort, max_rows=rows,  # type: ignore[arg-type]
                                                    threads=int(os.environ.get("OMP_NUM_THREADS", "2"))))


def _rows(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    low, _, high = arguments.windows.partition(":")
    ks = range(int(low), int(high) if high else int(low) + 1)
    make = _models(arguments.model, arguments.effort, arguments.seed, arguments.rows)
    for name in arguments.tasks.split(","):
        task = TASKS[name]()
        if arguments.horizon:
            task = replace(task, horizon=arguments.horizon)
        found = []
        for k in ks:
            found.append(run(task, k, make(task.horizon)))
            if len(ks) > 1:
                scores = "  ".join(f"{n} {found[-1][n]:.4f}" for n in ("WAPE", "SQL", "WQL"))
                print(f"  {name} window {k}: {scores}", file=sys.stderr)
        row: dict[str, object] = {"task": name, "model": arguments.model, "effort": arguments.effort, "windows": arguments.windows,
                                  "horizon": task.horizon}
        row |= {key: round(float(np.mean([f[key] for f in found])), 4) for key in found[0]}
        yield row


def main() -> None:
    """Run, print a table, and append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--windows", default="0", help="k, or first:end")
    parser.add_argument("--model", default="boosted", choices=["boosted", "profile"])
    parser.add_argument("--effort", default="full", choices=["fast", "full"])
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--horizon", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--append", action="store_true")
    arguments = parser.parse_args()
    pairs = " ".join(f"{n:>7s} {'naive':>7s}" for n in ("WAPE", "SQL", "WQL", "MASE"))
    print(f"{'task':13s} {'series':>6s} {pairs} {'<=.05':>6s} {'<=.5':>6s} {'<=.95':>6s} {'mean':>6s} {'fit s':>6s} {'pred s':>6s}")
    for row in _rows(arguments):
        pairs = " ".join(f"{row[n]:7.4f} {row['naive ' + n]:7.4f}" for n in ("WAPE", "SQL", "WQL", "MASE"))
        print(f"{row['task']:13s} {row['series']:6.0f} {pairs} {row['below 0.05']:6.3f} {row['below 0.5']:6.3f} "
              f"{row['below 0.95']:6.3f} {row['mean/actual']:6.3f} {row['fit s']:6.1f} {row['predict s']:6.1f}", flush=True)
        if arguments.append:
            append_row("spine_accuracy", row)


if __name__ == "__main__":
    main()

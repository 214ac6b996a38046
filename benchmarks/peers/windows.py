"""Which windows the peers are given: the tasks of the public benchmark as its own code cuts them, and sets to choose on."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from exchange import About, Window

sys.path.append(str(Path(__file__).resolve().parent.parent))
from provenance import DATA, TASKS

# Their last windows are the test that the bars name: scored once a release.
SEALED = ("m5_1D", "rossmann_1D", "rossmann_1W", "walmart")


@dataclass(frozen=True)
class Set:
    """A long table (id, date, y, covariates) and what its columns are. `item`, `location`: static columns, or empty."""

    frame: pd.DataFrame
    horizon: int
    season: int
    freq: str
    known: list[str] = field(default_factory=list)
    static: list[str] = field(default_factory=list)
    item: str = ""
    location: str = ""


def public_tasks() -> ModuleType:
    """The public benchmark's own cuts and measures, which lie beside the data."""
    if not (TASKS / "fev_tasks.py").exists():
        raise FileNotFoundError(f"The tasks of the public benchmark are not at {TASKS}. Set SHELFCAST_DATA to the folder of data "
                                f"sets that has bench/fev_tasks.py beside it.")
    sys.path.append(str(TASKS))
    import fev_tasks
    return fev_tasks


def m5_1d() -> Set:
    """Daily units of 2,196 items at 10 stores. Department, category and state are in the names of items and stores."""
    task = public_tasks().m5_1D(DATA)
    frame = task.frame.drop(columns="wm_yr_wk")
    parts = frame.item_id.str.rsplit("_", n=1).str[0]
    frame = frame.assign(department=parts, category=parts.str.split("_").str[0], state=frame.store_id.str.split("_").str[0])
    return Set(frame, 28, 7, "D", task.known, [*task.static, "department", "category", "state"], "item_id", "store_id")


def rossmann_1d() -> Set:
    """Daily sales of 1,115 drugstores with the flags that are known ahead."""
    task = public_tasks().rossmann_1D(DATA)
    keep = ["id", "date", "y", *task.known, *(c for c in task.static if c not in task.known)]
    frame = task.frame[keep].assign(id=task.frame.id.astype(str), Store=task.frame.Store.astype(str))
    return Set(frame, 48, 7, "D", task.known, task.static, "", "Store")


def store_item() -> Set:
    """Daily sales of 50 items at 10 stores, clean and regular."""
    frame = pd.read_parquet(DATA / "store_item/train.parquet").rename(columns={"sales": "y"})
    frame[["store", "item"]] = frame[["store", "item"]].astype(str)
    return Set(frame.assign(id=frame.item + "_" + frame.store), 28, 7, "D", [], ["item", "store"], "item", "store")


def dominicks_oj() -> Set:
    """Weekly orange juice of 83 stores and 11 brands, with its own price, deals and features."""
    frame = pd.read_parquet(DATA / "dominicks_oj/sales.parquet")
    prices = frame[[f"price{b}" for b in range(1, 12)]].to_numpy()
    dates = pd.Timestamp(1989, 9, 14) + pd.to_timedelta((frame.week - 1) * 7, unit="D")
    frame = frame.assign(price=prices[np.arange(len(frame)), frame.brand.to_numpy() - 1], y=np.exp(frame.logmove), date=dates,
                         store=frame.store.astype(str), brand=frame.brand.astype(str))
    frame["id"] = frame.brand + "_" + frame.store
    return Set(_every_period(frame, "W-THU", ["store", "brand"]), 8, 1, "W-THU", ["price", "deal", "feat"], ["store", "brand"],
               "brand", "store")


def stallion() -> Set:
    """Monthly beer of 58 agencies and 25 products, with prices and events."""
    frame = pd.read_parquet(DATA / "stallion/stallion.parquet").rename(columns={"volume": "y"})
    frame[["agency", "sku"]] = frame[["agency", "sku"]].astype(str)
    known = ["price_regular", "discount", "easter_day", "good_friday", "new_year", "christmas", "labor_day", "independence_day",
             "revolution_day_memorial", "regional_games", "fifa_u_17_world_cup", "football_gold_cup", "beer_capital", "music_fest"]
    frame = frame.assign(id=frame.sku + "_" + frame.agency)
    return Set(frame[["id", "date", "y", *known, "agency", "sku"]], 6, 12, "MS", known, ["agency", "sku"], "sku", "agency")


SETS: dict[str, Callable[[], Set]] = {
    "m5_1D": m5_1d, "rossmann_1D": rossmann_1d, "store_item": store_item, "dominicks_oj": dominicks_oj, "stallion": stallion}


def _every_period(frame: pd.DataFrame, freq: str, static: list[str]) -> pd.DataFrame:
    """One row per series and period from its first to the last of all; series that sold no more at the end are left out."""
    last = frame.date.max()
    first = frame.groupby("id").date.agg(["min", "max"])
    first = first[first["max"] == last]["min"]
    dates = pd.DataFrame({"date": pd.date_range(frame.date.min(), last, freq=freq)})
    grid = dates.merge(first.rename("first").reset_index(), how="cross")
    grid = grid[grid.date >= grid["first"]].drop(columns="first")
    whole = grid.merge(frame.drop(columns=static), on=["id", "date"], how="left")
    return whole.merge(frame[["id", *static]].drop_duplicates("id"), on="id")


def cut_window(name: str, k: int, *, series: int | None = None) -> tuple[Window, pd.DataFrame]:
    """Window k of a task (0 is the last), and its truth (id, date, y), for the judge alone.

    Parameters
    ----------
    series : take about this many series, evenly spread, to try a set-up out; all when None
    """
    made = SETS[name]()
    frame = made.frame.assign(id=made.frame.id.astype(str), y=made.frame.y.astype(float))
    if series is not None:
        ids = np.sort(frame.id.unique())
        frame = frame[frame.id.isin(ids[:: max(1, len(ids) // series)])]
    frame = frame.sort_values(["id", "date"], kind="stable", ignore_index=True)
    from_end = frame.groupby("id", sort=False).cumcount(ascending=False)
    long_enough = frame.groupby("id", sort=False).id.transform("size") > made.horizon * (k + 1)
    past = frame[long_enough & (from_end >= made.horizon * (k + 1))]
    ahead = frame[long_enough & (from_end < made.horizon * (k + 1)) & (from_end >= made.horizon * k)]
    static = frame[["id", *made.static]].drop_duplicates("id")
    static = static[static.id.isin(ahead.id.unique())]
    about = About(name, k, made.horizon, made.season, made.freq, made.known, made.static, made.item, made.location)
    window = Window(about, past[["id", "date", "y", *made.known]].reset_index(drop=True),
                    ahead[["id", "date", *made.known]].reset_index(drop=True), static.reset_index(drop=True))
    return window, ahead[["id", "date", "y"]].reset_index(drop=True)

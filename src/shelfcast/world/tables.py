"""The simulated chain as tables: what a retailer would have on file, and beside it the truth.

Takes the arrays of a simulated life, gives polars tables, and writes them to a folder.
"""

from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from shelfcast.files import whole_folder
from shelfcast.names import AVAILABLE, DATE, ITEM, LATITUDE, LOCATION, LONGITUDE, PRICE, PROMO, SALES, STOCK
from shelfcast.world.blueprint import ChainSettings
from shelfcast.world.calendar import FEASTS
from shelfcast.world.life import Life
from shelfcast.world.retailer import Retailer

KNOWN: Final = (PRICE, PROMO, "open", "holiday", "event", "temperature", "fuel_price", "lottery_draw")
"""Covariates of the demo chain whose future is given."""

PAST: Final = (STOCK, AVAILABLE)
"""Covariates of the demo chain that are seen only up to the last day of history."""

_OF_SERIES: Final = ("level", "elasticity", "uplift", "dip", "dispersion", "empty", "lump", "safety")
_SIZES: Final = ("Small", "Large", "Family pack", "Organic", "Budget", "Fine")


@dataclass(frozen=True)
class Truth:
    """What nobody in the chain knows.

    Attributes
    ----------
    days : by item, location, date, history and horizon: `mu` expected units, stock aside, given weather and shocks;
        `demand` units asked for, of which `bulk` by somebody who bought up the shelf (not part of `mu`); `sold`, `lost`
        units and `stock_out` (history only); `reported`; and the effect of each mechanism on the log of `mu`
    series : by item, location: `level` log units a day, `elasticity`, `uplift` log, `dip` share, `exposure` to rivals,
        `dispersion` r, `empty` share of days without customers, `lump` units bought at a time, `safety`
    rivals : by item, rival, location: `share`, and `cross_elasticity` of the item's demand to the rival's price
    shocks : `shock`, `origin` (a location), `start`, `size` log, `speed` km a day, `life` days
    shock_days : by shock, location, date: `effect` on the log, where it is felt at all
    weather : by location, date: `temperature` as it came, the horizon included
    due : by item, location, date: `units` on order when history ends
    feasts : by category, event: `strength` on the log at its peak
    """

    days: pl.DataFrame
    series: pl.DataFrame
    rivals: pl.DataFrame
    shocks: pl.DataFrame
    shock_days: pl.DataFrame
    weather: pl.DataFrame
    due: pl.DataFrame
    feasts: pl.DataFrame


@dataclass(frozen=True)
class DemoChain:
    """A simulated retailer's tables and their truth.

    Attributes
    ----------
    sales : item, location, date, sales (units; null after `cutoff`), price (money), promo (0 or 1), stock (units at the end of
        the day), available (share of the day), open, holiday (0 or 1), event (text), temperature (degrees Celsius; after
        `cutoff` as foreseen on that day), fuel_price and lottery_draw (irrelevant); sorted by item, location, date
    places : location, latitude, longitude (degrees), region, size (1 is middling), opened (null: before history)
    items : item, name, category, launched, withdrawn (null: outside history), cost (money a unit), pack (units a case),
        lead_time (days)
    truth : what nobody in the chain knows
    settings : what it was made from
    cutoff : last day of history
    """

    sales: pl.DataFrame
    places: pl.DataFrame
    items: pl.DataFrame
    truth: Truth
    settings: ChainSettings
    cutoff: date

    @property
    def history(self) -> pl.DataFrame:
        """The sales up to the cutoff."""
        return self.sales.filter(pl.col(DATE) <= self.cutoff)

    @property
    def future(self) -> pl.DataFrame:
        """The true days after the cutoff: expected demand `mu` and `demand` that came."""
        return self.truth.days.filter(pl.col(DATE) > self.cutoff).select(ITEM, LOCATION, DATE, "mu", "demand", "bulk")


def write_chain(chain: DemoChain, folder: Path | str) -> None:
    """Write sales.parquet, places.csv, items.csv and truth/*.parquet, all or nothing; an earlier folder is replaced."""
    with whole_folder(folder) as new:
        chain.sales.write_parquet(new / "sales.parquet")
        chain.places.write_csv(new / "places.csv")
        chain.items.write_csv(new / "items.csv")
        (new / "truth").mkdir()
        for f in fields(chain.truth):
            getattr(chain.truth, f.name).write_parquet(new / "truth" / f"{f.name}.parquet")


def tables_of(settings: ChainSettings, life: Life) -> DemoChain:
    """The tables of a life that was simulated with numpy."""
    s, r = settings, life.retailer
    total = s.days + s.horizon
    names = _Names(s)
    # Items first, so that rows come out sorted by item, location, date without a sort.
    order = np.arange(s.places * s.items).reshape(s.places, s.items).T.ravel()
    kept = (life.alive[order] > 0)
    row, column = np.nonzero(kept)
    series = order[row]
    keys = {ITEM: names.items.gather(r.item_of[series]), LOCATION: names.places.gather(r.place_of[series]),
            DATE: names.dates.gather(column)}

    def cells(values: np.ndarray) -> np.ndarray:
        return values[series, column]

    def history(values: np.ndarray, whole: bool = True) -> pl.Series:
        """A column that ends with history; null after it."""
        padded = np.full((values.shape[0], total), np.nan)
        padded[:, :s.days] = values
        column_ = pl.Series(cells(padded)).fill_nan(None)
        return column_.cast(pl.Int64) if whole else column_.round(4)

    place = r.place_of[series]
    past = column < s.days
    reported = ~past
    reported[past] = life.reported[series[past], column[past]] > 0
    event = pl.Series(["none", *(f.name for f in FEASTS)]).gather(life.days.feast[column] + 1)
    sales = pl.DataFrame({
        **keys, SALES: history(life.shelf.sold), PRICE: np.round(cells(life.price), 2),
        PROMO: cells(life.offers.active).astype(np.int64),
        STOCK: history(life.shelf.stock), AVAILABLE: history(life.shelf.available, whole=False),
        "open": life.is_open[place, column].astype(np.int64), "holiday": life.days.closed[column].astype(np.int64), "event": event,
        "temperature": np.round(life.foreseen[place, column], 1),
    })
    if s.irrelevant.on:
        sales = sales.with_columns(
            pl.Series("fuel_price", np.round(1.6 + 0.12 * life.irrelevant_walk[column], 3)),
            pl.Series("lottery_draw", life.irrelevant_flag[place, column].astype(np.int64)))
    sold, demand = history(life.shelf.sold), pl.Series(cells(life.demand)).cast(pl.Int64)
    days = pl.DataFrame({
        **keys, "mu": cells(life.mu), "demand": demand, "bulk": pl.Series(cells(life.outliers)).cast(pl.Int64), "sold": sold,
        "lost": demand - sold, "stock_out": (demand > sold), "reported": reported,
        **{name: cells(np.broadcast_to(effect, life.mu.shape)).astype(np.float32) for name, effect in life.effects.items()},
    })
    truth = Truth(days, *_truth_tables(s, life, names))
    return DemoChain(sales.filter(pl.Series(reported)), _places(r, names), _items(s, r, names), truth, s,
                     s.first + timedelta(s.days - 1))


class _Names:
    """The keys of a chain as columns to gather from."""

    def __init__(self, s: ChainSettings) -> None:
        self.places = pl.Series([f"S{p + 1:0{max(2, len(str(s.places)))}d}" for p in range(s.places)])
        self.items = pl.Series([f"I{k + 1:0{max(3, len(str(s.items)))}d}" for k in range(s.items)])
        self.regions = pl.Series([f"Region {g + 1}" for g in range(s.regions)])
        self.dates = pl.Series([s.first + timedelta(t) for t in range(s.days + s.horizon)], dtype=pl.Date)
        self.categories = pl.Series([d.name for d in s.departments])

    def on(self, day: np.ndarray) -> pl.Series:
        """Dates of day numbers; null outside the simulated time."""
        within = (day >= 0) & (day < self.dates.len())
        index = pl.Series(np.where(within, day, 0).astype(np.int64))
        return pl.DataFrame({"d": self.dates.gather(index), "w": within}).select(pl.when("w").then("d")).to_series()


def _places(r: Retailer, names: _Names) -> pl.DataFrame:
    return pl.DataFrame({
        LOCATION: names.places, LATITUDE: np.round(r.latitude, 5), LONGITUDE: np.round(r.longitude, 5),
        "region": names.regions.gather(r.region_of), "size": np.round(np.exp(r.size), 3), "opened": names.on(r.opened),
    })


def _items(s: ChainSettings, r: Retailer, names: _Names) -> pl.DataFrame:
    products = []
    for k in range(s.items):
        department, turn = s.departments[k % len(s.departments)], k // len(s.departments)
        thing, size = department.things[turn % len(department.things)], turn // len(department.things)
        products.append(thing if size == 0 else f"{thing}, {_SIZES[(size - 1) % len(_SIZES)].lower()}")
    return pl.DataFrame({
        ITEM: names.items, "name": products, "category": names.categories.gather(r.category_of),
        "launched": names.on(r.launched), "withdrawn": names.on(r.withdrawn), "cost": np.round(r.cost, 2),
        "pack": r.pack.astype(np.int64), "lead_time": r.lead.astype(np.int64),
    })


def _truth_tables(s: ChainSettings, life: Life, names: _Names) -> tuple[pl.DataFrame, ...]:
    r = life.retailer
    listed = np.nonzero(r.listed > 0)[0]
    series = pl.DataFrame({
        ITEM: names.items.gather(r.item_of[listed]), LOCATION: names.places.gather(r.place_of[listed]),
        **{name: getattr(r, name)[listed] for name in _OF_SERIES}, "exposure": r.rival[listed],
    })
    n, k = np.nonzero(life.share * r.listed[:, None])
    rival_series = r.place_of[n] * s.items + k
    rivals = pl.DataFrame({
        ITEM: names.items.gather(r.item_of[n]), "rival": names.items.gather(k), LOCATION: names.places.gather(r.place_of[n]),
        "share": life.share[n, k], "cross_elasticity": -r.rival[n] * life.share[n, k] * r.elasticity[rival_series],
    })
    count, places, total = life.shocks.shape
    numbers = np.arange(count)
    shocks = pl.DataFrame({
        "shock": numbers, "origin": names.places.gather(life.shock_origin),
        "start": pl.Series([s.first + timedelta(int(t)) for t in life.shock_start], dtype=pl.Date),
        **{name: getattr(life, f"shock_{name}") for name in ("size", "speed", "life")},
    })
    at, place, day = np.nonzero(np.abs(life.shocks) > 1e-3)
    shock_days = pl.DataFrame({"shock": at, LOCATION: names.places.gather(place), DATE: names.dates.gather(day),
                               "effect": life.shocks[at, place, day]})
    place, day = (i.ravel() for i in np.indices((places, total)))
    weather = pl.DataFrame({LOCATION: names.places.gather(place), DATE: names.dates.gather(day),
                            "temperature": life.temperature.ravel()})
    n, ahead = np.nonzero(life.shelf.due > 0)
    due = pl.DataFrame({ITEM: names.items.gather(r.item_of[n]), LOCATION: names.places.gather(r.place_of[n]),
                        DATE: pl.Series([s.first + timedelta(s.days + int(a)) for a in ahead], dtype=pl.Date),
                        "units": life.shelf.due[n, ahead].astype(np.int64)})
    category, feast = (i.ravel() for i in np.indices(r.taste.shape))
    feasts = pl.DataFrame({"category": names.categories.gather(category),
                           "event": pl.Series([f.name for f in FEASTS]).gather(feast), "strength": r.taste.ravel()})
    return series, rivals, shocks, shock_days, weather, due, feasts

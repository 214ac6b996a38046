"""The three sets on which space is judged, as panels with windows: Iowa's stores, Rossmann's, and the demo chain.

    python benchmarks/space_sets.py                 what each set holds
    python benchmarks/space_sets.py --sets iowa

A model learns once, from what was known before a set's first window, and forecasts every window from its own cutoff.

iowa: bottles by week, store and category; the last year, 2021, in four windows of 13 weeks. Stores are those with coordinates;
categories are the ten that sold most in 2019 and 2020 (of 47; of five lines in a hundred the category is not known); a series is
kept when it sold in at least 60 % of the weeks of those two years, so that a week is mostly a number and not a nought. Nothing of
the test year enters the choice. What is known of a store is where it is and the chain that it belongs to, read from its name.
rossmann: daily sales of 1,115 stores with their state; nobody published where the stores are, so the state is all that space has.
The last 48 days belong to the public task and are cut off; the windows are the four before them.
demo: the simulated chain as it is, and chain: a larger instance of the same world (`LARGE`). Both by week, place and category, in
windows of four weeks: by days and items a shock, a tenth of demand, drowns in the noise of single sales. `_days` is by day,
`_places` all items of a place together, `_items` each for itself.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Final

import polars as pl

from provenance import DATA
from shelfcast.data.split import Window, cut, windows
from shelfcast.names import ALL, AVAILABLE, DATE, ITEM, LATITUDE, LOCATION, LONGITUDE, SALES
from shelfcast.panel import SalesPanel
from shelfcast.world.blueprint import DEMO, ChainSettings
from shelfcast.world.chain import demo_chain
from shelfcast.world.tables import DemoChain

CHAINS: Final = 11
"""Chains of Iowa's stores that are told apart: with all others together, as many values of an attribute as a network is told."""
IOWA_YEARS: Final = (2019, 2020)
"""Years by which stores and categories are chosen: the two before the test year."""
LARGE: Final = replace(DEMO, seed=6, places=36, days=3 * DEMO.days, shocks=replace(DEMO.shocks, count=3 * DEMO.shocks.count))
"""The demo chain's own blueprint with three times its places, and three times its days with as many shocks a year.

In the demo chain itself 12 shocks come before the test windows and two in them, too few to learn from and to judge by; here 34 and
8. The seed is the first from 5 on with which shocks vary in the test windows as much as in the whole time, within a tenth
(standard deviation of the log 0.097 and 0.100; with seed 5 0.047 and 0.093), looked up before any model was run on it.
"""


@dataclass(frozen=True)
class SpaceSet:
    """A panel and how it is cut.

    Attributes
    ----------
    name : what it is called in tables
    panel : all that is known, the windows included
    horizon : periods to forecast in a window
    count : windows, one behind the other, the last ending at the panel's cutoff
    region : attribute of the places that names their region, or None
    """

    name: str
    panel: SalesPanel
    horizon: int
    count: int
    region: str | None = None

    def windows(self) -> Iterator[Window]:
        """Oldest first."""
        return windows(self.panel, horizon=self.horizon, count=self.count)

    @property
    def first(self) -> SalesPanel:
        """What a model learns from: the panel as it was known at the first window's cutoff."""
        return cut(self.panel, self.panel.cutoff - self.horizon * self.count)


@cache
def iowa() -> SpaceSet:
    """Weekly bottles by store and category."""
    products = pl.scan_parquet(DATA / "iowa_liquor/products.parquet").select(
        pl.col("item_number").cast(pl.Int32, strict=False).alias("product"), pl.col("category_name").alias(ITEM)).unique("product")
    places = iowa_places()
    lines = pl.scan_parquet(DATA / "iowa_liquor/sales_lines_*.parquet").rename({"item": "product", "store": LOCATION})
    weeks = (lines.filter(pl.col("bottles") > 0).join(products, on="product", how="inner").filter(pl.col(ITEM).is_not_null())
             .group_by(ITEM, pl.col(LOCATION).cast(pl.Int64), pl.col(DATE).dt.truncate("1w"))
             .agg(pl.col("bottles").sum().cast(pl.Float64).alias(SALES)).collect(engine="streaming"))
    weeks = weeks.filter(pl.col(DATE) < pl.date(2021, 12, 27))  # the last week is not whole
    kept = chosen_series(weeks, places)
    panel = SalesPanel.from_frame(weeks.join(kept, on=[ITEM, LOCATION], how="semi"), freq="W", absent="zero", places=places)
    return SpaceSet("iowa", static(panel, places, "zip3", "chain"), 13, 4, "zip3")


def iowa_places() -> pl.DataFrame:
    """Stores that have coordinates: where they are, the first three digits of the zip code, which name a region, and the chain.

    A chain is called by the first two words of its stores' names (Casey's General, Hy-Vee Food, Hy-Vee Wine); those outside the
    `CHAINS` with the most stores are one.
    """
    stores = pl.read_parquet(DATA / "iowa_liquor/stores.parquet").filter(pl.col("lat").is_not_null() & pl.col("lon").is_not_null())
    chain = pl.col("name").str.to_lowercase().str.extract(r"^(\S+(?:\s+[^\s\d#/]+)?)").fill_null("")
    places = stores.unique("store", keep="last", maintain_order=True).select(
        pl.col("store").cast(pl.Int64).alias(LOCATION), pl.col("lat").alias(LATITUDE), pl.col("lon").alias(LONGITUDE),
        pl.col("zip").str.slice(0, 3).alias("zip3"), chain.alias("chain")).sort(LOCATION)
    largest = places["chain"].value_counts().sort("count", "chain", descending=[True, False]).head(CHAINS)["chain"]
    return places.with_columns(pl.when(pl.col("chain").is_in(largest.implode())).then("chain").otherwise(pl.lit("other"))
                               .alias("chain"))


def chosen_series(weeks: pl.DataFrame, places: pl.DataFrame, *, categories: int = 10, share: float = 0.6) -> pl.DataFrame:
    """The series with enough sales in the two years before the test: `item`, `location`.

    Parameters
    ----------
    weeks : `item`, `location`, `date` (Mondays), `sales`: bottles above 0
    categories : how many, by bottles
    share : of the weeks in which a series must have sold
    """
    early = weeks.filter(pl.col(DATE).dt.year().is_in(IOWA_YEARS)).join(places, on=LOCATION, how="semi")
    largest = early.group_by(ITEM).agg(pl.col(SALES).sum()).sort(SALES, ITEM, descending=[True, False]).head(categories)
    often = (early.join(largest, on=ITEM, how="semi").group_by(ITEM, LOCATION).agg(pl.len().alias("weeks"))
             .filter(pl.col("weeks") >= share * early[DATE].n_unique()))
    return often.select(ITEM, LOCATION).sort(ITEM, LOCATION)


@cache
def rossmann() -> SpaceSet:
    """Daily sales of drugstores, with their state."""
    from spine_accuracy import rossmann as task

    whole = task().panel
    states = pl.read_parquet(DATA / "rossmann/store_states.parquet").rename({"Store": LOCATION, "State": "state"})
    assert whole.places is not None
    places = whole.places.join(states.with_columns(pl.col(LOCATION).cast(whole.places.schema[LOCATION])), on=LOCATION, how="left")
    panel = replace(whole, places=places, covariates={**whole.covariates, "state": "static"})
    return SpaceSet("rossmann", cut(panel, panel.cutoff - 48), 48, 4, "state")


@cache
def simulated(settings: ChainSettings) -> DemoChain:
    """A simulated chain, made once."""
    return demo_chain(settings)


@cache
def world_set(name: str) -> SpaceSet:
    """A set of `WORLDS`."""
    settings, by, freq, horizon, count = WORLDS[name]
    return SpaceSet(name, panel_of(simulated(settings), by=by, freq=freq), horizon, count, "region")


def panel_of(made: DemoChain, *, by: str, freq: str = "D") -> SalesPanel:
    """The history of a simulated chain, with the future of what is known ahead.

    Parameters
    ----------
    by : `item`; or an attribute of items, or `all`, whose items are then added up: sales, the share of them in promotion, and the
        mean of the logarithm of the price relative to each item's own mean
    freq : `D`, or `W` for weeks: sales are added up, of the rest the mean, of a week's events the first. A week with a day that
        the place did not report is not known
    """
    past, known = [AVAILABLE], ["price", "promo", "open", "holiday", "temperature", "event"]
    table = made.sales.select(ITEM, LOCATION, DATE, SALES, *known, *past)
    items = made.items
    means = [pl.col(c).mean() for c in known if c != "event"]
    # A group that reported nothing is not known; the sum of nulls would be 0.
    total = pl.when(pl.col(SALES).is_not_null().any()).then(pl.col(SALES).sum()).alias(SALES)
    if by != ITEM:
        relative = pl.col("price").log() - pl.col("price").log().mean().over(ITEM, LOCATION)
        summed = table.with_columns(relative.alias("price"))
        if by != ALL:
            summed = summed.join(items.select(ITEM, by), on=ITEM).with_columns(pl.col(by).alias(ITEM))
        group = [LOCATION, DATE] if by == ALL else [ITEM, LOCATION, DATE]
        table = summed.group_by(group).agg(total, pl.col("event").first(), *means)
        past, items = [], None
    if freq == "W":
        keys = [c for c in (ITEM, LOCATION) if c in table.columns]
        whole = pl.when((pl.len() == 7) & pl.col(SALES).is_not_null().all()).then(pl.col(SALES).sum()).alias(SALES)
        event = pl.col("event").sort_by(DATE).filter(pl.col("event") != "none").first().fill_null("none")
        table = table.group_by(*keys, pl.col(DATE).dt.truncate("1w")).agg(whole, event, *means, *(pl.col(c).mean() for c in past))
    panel = SalesPanel.from_frame(table, freq=freq, known=known, past=past, cutoff=made.cutoff, places=made.places, items=items,
                                  closed_when="open" if freq == "D" else None)
    return static(panel, made.places, "region", "size") if items is None else replace(
        panel, covariates={**panel.covariates, **dict.fromkeys(("region", "size", "category"), "static")})


def static(panel: SalesPanel, attributes: pl.DataFrame, *names: str) -> SalesPanel:
    """The panel with these attributes of places as covariates."""
    assert set(names) <= set(attributes.columns)
    return replace(panel, covariates={**panel.covariates, **dict.fromkeys(names, "static")})


WORLDS: Final[dict[str, tuple[ChainSettings, str, str, int, int]]] = {
    "demo": (DEMO, "category", "W", 4, 8), "demo_places": (DEMO, ALL, "W", 4, 8),
    "demo_days": (DEMO, "category", "D", 14, 12), "demo_items": (DEMO, ITEM, "D", 14, 12),
    "chain": (LARGE, "category", "W", 4, 26), "chain_places": (LARGE, ALL, "W", 4, 26),
    "chain_days": (LARGE, "category", "D", 28, 26)}
"""{simulated set: (world, what is added up, frequency, horizon, windows)}"""
SETS: Final[dict[str, Callable[[], SpaceSet]]] = {
    "iowa": iowa, "rossmann": rossmann, **{name: partial(world_set, name) for name in WORLDS}}


def main() -> None:
    """Say what each set holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="iowa,rossmann,demo,chain")
    for name in parser.parse_args().sets.split(","):
        one = SETS[name]()
        print(f"{name}: {one.panel!r}\n  {one.count} windows of {one.horizon}, {len(one.first):,} series known before the first",
              flush=True)


if __name__ == "__main__":
    main()

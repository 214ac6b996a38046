"""The real sales that simulated ones are held against: each set as a panel, with the window that is looked at.

    python benchmarks/real_sets.py        what each set holds

Nothing after a public task's last cutoff is looked at: the panels of rossmann, walmart and m5 end where the last window of their
task begins, so that a prior that is mended by these figures has not seen what it will be scored on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

import spine_accuracy
from provenance import DATA
from shelfcast.data.split import cut
from shelfcast.names import DATE, ITEM, LOCATION, SALES
from shelfcast.panel import SalesPanel


@dataclass(frozen=True)
class RealSet:
    """Real sales.

    Attributes
    ----------
    panel : cut off before what a public task asks for
    window : periods that are looked at, the last ones; short enough that drawn worlds of its kind have as many
    promo, price : names of the known covariates that tell of promotions and prices, or None
    """

    panel: SalesPanel
    window: int
    promo: str | None = None
    price: str | None = None


def rossmann() -> RealSet:
    """Daily sales of drugstores, in money."""
    return RealSet(_before(spine_accuracy.rossmann()), 392, "Promo")


def rossmann_week() -> RealSet:
    """The same by weeks; a day of promotion makes a week of it."""
    return RealSet(_before(spine_accuracy.rossmann_week()), 104, "Promo")


def walmart() -> RealSet:
    """Weekly sales of departments, in money; which markdowns are promotions is not said."""
    return RealSet(_before(spine_accuracy.walmart()), 104)


def m5() -> RealSet:
    """Daily units of items, mostly slow."""
    return RealSet(_before(spine_accuracy.m5()), 392, price="price")


def store_item() -> RealSet:
    """Daily units of fast items."""
    return RealSet(spine_accuracy.store_item().panel, 392)


def stallion() -> RealSet:
    """Monthly beer, in hectolitres."""
    return RealSet(spine_accuracy.stallion().panel, 48, price="price_regular")


def dominicks() -> RealSet:
    """Weekly orange juice, in ounces: whole numbers again, since logarithms are what is given."""
    panel = spine_accuracy.dominicks().panel
    return RealSet(replace(panel, rows=panel.rows.with_columns(pl.col(SALES).round(0))), 104, "deal", "price")


def iowa() -> RealSet:
    """Weekly bottles that shops order."""
    panel = spine_accuracy.iowa().panel
    return RealSet(cut(panel, panel.cutoff - 1), 104)  # the last week is not whole


def online_retail() -> RealSet:
    """Daily units of a web shop's products, cancellations taken off nothing."""
    lines = pl.scan_parquet(DATA / "online_retail/transactions.parquet").filter(
        pl.col("Quantity") > 0, pl.col("UnitPrice") > 0, ~pl.col("InvoiceNo").cast(pl.String).str.starts_with("C"))
    day = pl.col("InvoiceDate").cast(pl.Date)
    rows = lines.group_by(pl.col("StockCode").alias(ITEM), day.alias(DATE)).agg(pl.col("Quantity").sum().alias(SALES)).collect()
    return RealSet(SalesPanel.from_frame(rows, freq="D", absent="zero"), 364)


def complete_journey() -> RealSet:
    """Weekly units of product types in all stores of a grocer, as far as a sample of 75,000 lines shows them."""
    products = pl.scan_parquet(DATA / "complete_journey/products.parquet").select("product_id", pl.col("product_type").alias(ITEM))
    lines = pl.scan_parquet(DATA / "complete_journey/transactions_sample.parquet").join(products, on="product_id")
    first = pl.date(2017, 1, 1)  # a Sunday, when week 1 begins
    rows = (lines.filter(pl.col("quantity") > 0, pl.col(ITEM).is_not_null(), ~pl.col(ITEM).str.contains("GASOLINE"))
            .group_by(ITEM, (first + pl.duration(weeks=pl.col("week") - 1)).alias(DATE)).agg(pl.col("quantity").sum().alias(SALES))
            .collect())
    return RealSet(SalesPanel.from_frame(rows.with_columns(pl.col(DATE).cast(pl.Date)), freq="W-SUN", absent="zero"), 52)


REAL_SETS: Final[dict[str, Callable[[], RealSet]]] = {f.__name__: f for f in (
    rossmann, rossmann_week, walmart, m5, store_item, stallion, dominicks, iowa, online_retail, complete_journey)}


def _before(task: spine_accuracy.Task) -> SalesPanel:
    """The panel as it was known at the cutoff of the task's last window."""
    return cut(task.panel, task.panel.cutoff - task.horizon)


def main() -> None:
    """Say what each set holds."""
    for name, make in REAL_SETS.items():
        real = make()
        began = int((real.panel.series["start"] <= real.panel.cutoff - real.window // 2).sum())
        print(f"{name:<17} {real.panel!r}\n{'':<17} window {real.window}, {began:,} series began in its first half or before; "
              f"{LOCATION}s {real.panel.series[LOCATION].n_unique():,}", flush=True)


if __name__ == "__main__":
    main()

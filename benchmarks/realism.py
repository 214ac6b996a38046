"""Does the simulated chain look like real ones? Simple features of daily series, as quantiles over series, beside public data.

    python benchmarks/realism.py [SERIES]

Takes at most SERIES (500) series of each public set, the same ones each time. Days on which a place is closed are left out
where the data say so. Rossmann's series are whole shops in money, store_item's fast sellers; m5 is units of an item at a shop,
which is what the demo chain simulates. Appends a row for each set and feature to benchmarks/results/realism.csv.
"""

import sys
from collections.abc import Callable

import numpy as np
import polars as pl

from provenance import DATA, append_row
from shelfcast.world.chain import demo_chain

QUANTILES = (0.1, 0.5, 0.9)
LEAST_DAYS = 200  # shorter series say little about seasons and trends
FEATURES = ("mean", "zeros", "cv", "lag7", "promo", "spikes", "trend")
"""Units a day; share of days without sales; standard deviation over mean; autocorrelation at seven days; mean on days of a
promotion over mean on others (nan where unknown); share of days above four times the mean of the days with sales; growth a
year of the mean of the last half over that of the first, on the log."""


def demo() -> pl.DataFrame:
    chain = demo_chain()
    return chain.history.filter(pl.col("open") == 1).select("item", "location", "date", "sales", "promo")


def rossmann() -> pl.DataFrame:
    rows = pl.scan_parquet(DATA / "rossmann" / "train.parquet").filter(pl.col("Open") == 1)
    return rows.select(pl.lit("all").alias("item"), pl.col("Store").alias("location"), pl.col("Date").cast(pl.Date).alias("date"),
                       pl.col("Sales").alias("sales"), pl.col("Promo").alias("promo")).collect()


def store_item() -> pl.DataFrame:
    return pl.scan_parquet(DATA / "store_item" / "train.parquet").select(
        "item", pl.col("store").alias("location"), pl.col("date").cast(pl.Date), "sales").collect()


def m5() -> pl.DataFrame:
    return pl.scan_parquet(DATA / "m5" / "daily_sales_sample.parquet").select(
        pl.col("item_id").alias("item"), pl.col("store_id").alias("location"), pl.col("date").cast(pl.Date), "sales").collect()


SETS: dict[str, Callable[[], pl.DataFrame]] = {"demo": demo, "m5": m5, "store_item": store_item, "rossmann": rossmann}


def features(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """The features of at most so many series, one row a series."""
    if "promo" not in rows.columns:
        rows = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias("promo"))
    keys = ["item", "location"]
    names = rows.select(keys).unique().sort(keys)
    if names.height > most:
        names = names[np.sort(np.random.default_rng(0).permutation(names.height)[:most])]
    rows = rows.join(names, on=keys, how="semi").sort(*keys, "date").with_columns(pl.col("sales").cast(pl.Float64))
    week_ago = rows.select(*keys, pl.col("date") + pl.duration(days=7), pl.col("sales").alias("before"))
    rows = rows.join(week_ago, on=[*keys, "date"], how="left", maintain_order="left")
    x, on = pl.col("sales"), pl.col("promo") > 0
    span = (pl.col("date").max() - pl.col("date").min()).dt.total_days()
    late = pl.col("date") > pl.col("date").min() + pl.duration(days=span // 2)
    table = rows.group_by(keys).agg(
        pl.len().alias("days"), x.mean().alias("mean"), (x == 0).mean().alias("zeros"), (x.std() / x.mean()).alias("cv"),
        pl.corr("sales", "before").alias("lag7"), (x.filter(on).mean() / x.filter(~on).mean()).alias("promo"),
        (x > 4 * x.filter(x > 0).mean()).mean().alias("spikes"),
        ((x.filter(late).mean() / x.filter(~late).mean()).log() / (span / 2 / 365.25)).alias("trend"))
    return table.filter(pl.col("days") >= LEAST_DAYS, pl.col("mean") > 0)


def quantile(column: pl.Series, q: float) -> float:
    """Over the series for which the feature is a number."""
    known = column.drop_nulls()
    known = known.filter(known.is_finite())
    return float(known.quantile(q, "linear")) if len(known) else float("nan")  # type: ignore[arg-type]


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    tables = {name: features(load(), most) for name, load in SETS.items()}
    heads = [f"{name}, {table.height} series" for name, table in tables.items()]
    print(f"{'':<8} " + " ".join(f"{head:>29}" for head in heads))
    for feature in FEATURES:
        cells = []
        for name, table in tables.items():
            values = {f"q{q:g}": round(quantile(table[feature], q), 4) for q in QUANTILES}
            cells.append(" ".join(f"{v:9.3f}" for v in values.values()))
            append_row("realism", {"set": name, "series": table.height, "feature": feature, **values})
        print(f"{feature:<8} " + " ".join(cells))


if __name__ == "__main__":
    main()

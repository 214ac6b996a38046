"""Cancelled lines, matched with the sales that they take back."""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.cleaning.flaws import REJECTING, line_flaws
from shelfcast.data.cleaning.rules import Change
from shelfcast.data.cleaning.tally import NAME, RAW, RETURNED, SOLD, Tally
from shelfcast.data.lines import CANCELLED, ROW
from shelfcast.names import DATE, ITEM, LOCATION, PRICE, SALES
from shelfcast.panel import PERIOD, SERIES

DAYS: Final = 30  # later than that it is a return of goods that were wanted, not an order that never was
ROUNDS: Final = 20  # each round gives every sale to one cancellation at most; what is left after so many stays unmatched


def match_cancelled(rows: pl.DataFrame, frame: pl.LazyFrame, found: Tally, today: date) -> tuple[pl.DataFrame, list[Change]]:
    """Remove sales that were cancelled, together with the lines that cancel them.

    A cancelled line takes back the latest earlier sale, within 30 days, of the same item, place, units and price. Only the lines
    that could match are loaded.

    Parameters
    ----------
    rows : of the tally, with `sold` and `returned`
    frame : the lines, with canonical types
    """
    survey = found.survey
    keys = [k for k in (ITEM, LOCATION) if k in survey.schema]
    flaws = line_flaws(survey.schema, today=today)
    usable = ~pl.any_horizontal([flaws[f] for f in REJECTING if f in flaws])
    price = [PRICE] if PRICE in survey.schema else []
    wanted = frame.filter(usable).select(*keys, DATE, SALES, *price, CANCELLED, *([ROW] if ROW in survey.schema else []))
    back = wanted.filter(pl.col(CANCELLED) & (pl.col(SALES) < 0)).collect(engine="streaming")
    if not back.height:
        return rows, []
    same = [*keys, "units", *price]
    back = _named(back, found, keys).with_columns((-pl.col(SALES)).alias("units"))
    sold = wanted.filter(pl.col(SALES).is_in(back["units"].unique().to_list()) & ~pl.col(CANCELLED).fill_null(False))
    sales = _named(sold.collect(engine="streaming"), found, keys).with_columns(pl.col(SALES).alias("units"))
    sales = sales.join(back.select(same).unique(), on=same, how="semi").with_row_index("sale").sort(DATE, "sale")
    back = back.with_row_index("return").sort(DATE, "return")
    pairs = _pairs(back, sales, same)
    if not pairs.height:
        return rows, []
    gone = _per_period(sales.join(pairs, on="sale", how="semi"), found, keys).rename({"units": "unsold"})
    undone = _per_period(back.join(pairs, on="return", how="semi"), found, keys).rename({"units": "unreturned"})
    at = [SERIES, PERIOD]
    rows = (
        rows.join(gone, on=at, how="left", maintain_order="left")
        .join(undone, on=at, how="left", maintain_order="left")
        .with_columns(
            (pl.col(SOLD) - pl.col("unsold").fill_null(0.0)).clip(lower_bound=0.0).alias(SOLD),
            (pl.col(RETURNED) + pl.col("unreturned").fill_null(0.0)).clip(upper_bound=0.0).alias(RETURNED),
        )
        .drop("unsold", "unreturned")
    )
    units = float(gone["unsold"].sum())
    left = back.height - pairs.height
    what = f"cancelled lines were matched with the sale they take back, and both removed; {left:,} match none of {DAYS} days"
    return rows, [Change("cancelled", what, pairs.height, gone[SERIES].n_unique(), -units)]


def _pairs(back: pl.DataFrame, sales: pl.DataFrame, same: list[str]) -> pl.DataFrame:
    """`return`, `sale`: each at most once. A sale that several returns want goes to the earliest of them."""
    found = []
    for _ in range(ROUNDS):
        tried = back.join_asof(
            sales.select(*same, DATE, "sale"), on=DATE, by=same, strategy="backward", tolerance=f"{DAYS}d", check_sortedness=False
        )
        fresh = (
            tried.drop_nulls("sale")
            .select("return", "sale")
            .sort("return")
            .unique(subset="sale", keep="first", maintain_order=True)
        )
        if not fresh.height:
            break
        found.append(fresh)
        back = back.join(fresh, on="return", how="anti", maintain_order="left")
        sales = sales.join(fresh, on="sale", how="anti", maintain_order="left")
    return pl.concat(found) if found else pl.DataFrame(schema={"return": pl.UInt32, "sale": pl.UInt32})


def _named(lines: pl.DataFrame, found: Tally, keys: list[str]) -> pl.DataFrame:
    """The lines with the spelling kept for their names."""
    for key in keys:
        if key in found.survey.ranges:  # a number has one spelling
            continue
        spelling = found.survey.names[key].select(pl.col(RAW).alias(key), NAME)
        lines = lines.join(spelling, on=key, how="inner", maintain_order="left").drop(key).rename({NAME: key})
    return lines


def _per_period(lines: pl.DataFrame, found: Tally, keys: list[str]) -> pl.DataFrame:
    """`series`, `period`, `units` of some lines."""
    series = found.series.with_row_index(SERIES)
    return (
        lines.with_columns(found.frequency.number_of(pl.col(DATE)).alias(PERIOD))
        .group_by(*keys, PERIOD)
        .agg(pl.col("units").sum())
        .join(series.select(SERIES, *keys), on=keys, how="inner")
        .select(pl.col(SERIES).cast(pl.UInt32), PERIOD, "units")
    )

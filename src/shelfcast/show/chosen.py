"""Which series a report shows one by one, and what it shows of each."""

from typing import Any, Final

import numpy as np
import polars as pl

from shelfcast.names import AVAILABLE, DATE, ITEM, KEYS, LOCATION, PROMO, SALES, STOCK
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.show.content import Fan
from shelfcast.show.fans import make_fan
from shelfcast.show.labels import series_labels

PROMO_NAMES: Final = ("promo", "promotion", "onpromotion", "on_promotion")


def choose(summary: pl.DataFrame, most: int) -> pl.DataFrame:
    """Up to `most` series and why: `series, item, location, why`. The same table gives the same choice.

    The largest; those that grow and fall most in units; the least certain and the most intermittent among those that
    matter (the largest series that make up nine tenths of the units); the newest.
    """
    known = summary.filter(pl.col("next").is_not_null()).sort("next", ITEM, LOCATION, descending=[True, False, False])
    share = known["next"].cum_sum() - known["next"]
    matter = known.filter(share <= 0.9 * float(known["next"].sum() or 0.0))
    part = max(1, most // 6)
    wanted: list[tuple[pl.DataFrame, pl.Expr, str, int]] = [(known, -pl.col("next"), "sells most", most - 5 * part)]
    before = pl.col("before")  # null where the series was not sold in the earlier stretch, or for less than half of it
    wanted += [(known.filter(pl.col("next") > before), before - pl.col("next"), "grows most", part),
               (known.filter(pl.col("next") < before), pl.col("next") - before, "falls most", part)]
    wanted += [(matter.filter(pl.col("next") > 0), -pl.col("width") / pl.col("next"), "least certain", part),
               (matter.filter(pl.col("selling") < 0.5 * pl.col("lived")), pl.col("selling") / pl.col("lived"), "sells seldom",
                part),
               (matter, -pl.col("start"), "newest", part)]
    reasons: dict[int, str] = {}
    for frame, by, why, count in wanted:
        ranked = frame.sort(by, ITEM, LOCATION)[SERIES].to_list()
        if why == "newest" and frame["start"].n_unique() < 2:
            continue
        for code in [c for c in ranked[: count + len(reasons)] if c not in reasons][:count]:
            reasons[code] = why
    for code in known[SERIES].head(most).to_list():  # fill up where a reason found too few
        if len(reasons) >= most:
            break
        reasons.setdefault(code, "sells most")
    picked = pl.DataFrame({SERIES: list(reasons), "why": list(reasons.values())}, schema={SERIES: pl.UInt32, "why": pl.String})
    return picked.head(most).join(known.select(SERIES, *KEYS), on=SERIES, how="left", maintain_order="left")


def fans_of(panel: SalesPanel, table: pl.LazyFrame, chosen: pl.DataFrame, *, levels: tuple[float, ...],
            horizon: int) -> tuple[Fan, ...]:
    """A fan for each chosen series, in the order chosen."""
    if not chosen.height:
        return ()
    codes = np.sort(chosen[SERIES].to_numpy())
    few = panel.select(codes)
    marks = _marks(few)
    names = list(dict.fromkeys(name for name, _ in marks.values()))
    dense = few.dense(horizon=horizon, covariates=names)
    position = {int(code): i for i, code in enumerate(codes)}
    forecast = table.join(chosen.select(KEYS).lazy(), on=list(KEYS), how="semi").sort(*KEYS, DATE).collect(engine="streaming")
    columns = [DATE, "mean", *(f"q{q:g}" for q in levels)]
    parts = {key: part.select(columns) for key, part in forecast.partition_by(list(KEYS), as_dict=True, include_key=True).items()}
    span = dense.sales.shape[1]
    fans = []
    labels = series_labels(panel, chosen)
    for row, label in zip(chosen.iter_rows(named=True), labels, strict=True):
        i = position[row[SERIES]]
        begin = max(0, int(panel.series["start"][row[SERIES]]) - dense.first)
        values: dict[str, Any] = {PERIOD: dense.first + np.arange(begin, span, dtype=np.int32), SALES: dense.sales[i, begin:]}
        for mark, (name, says) in marks.items():
            source = dense.known.get(name, dense.past.get(name))
            if source is not None:
                values[mark] = says(source[i, begin:span])
        history = pl.DataFrame(values).with_columns(pl.col(SALES).fill_nan(None), pl.col(PERIOD).cast(pl.Int32))
        fans.append(make_fan(label, row["why"], panel.frequency, history=history,
                             forecast=parts[(row[ITEM], row[LOCATION])], horizon=horizon))
    return tuple(fans)


def _marks(panel: SalesPanel) -> dict[str, tuple[str, Any]]:
    """{mark: (covariate, test on its values)} for what the panel records."""
    marks: dict[str, tuple[str, Any]] = {}
    if panel.closed_when is not None:
        marks["closed"] = panel.closed_when, lambda v: v == 0
    promo = next((c for c in panel.covariates if c.lower() in PROMO_NAMES), None)
    if promo is not None and panel.covariates[promo] != "static" and promo not in panel.categories:
        marks[PROMO] = promo, lambda v: v > 0
    if AVAILABLE in panel.covariates:
        marks["sold_out"] = AVAILABLE, lambda v: v < 1
    elif STOCK in panel.covariates:
        marks["sold_out"] = STOCK, lambda v: v <= 0
    return {mark: pair for mark, pair in marks.items() if panel.covariates[pair[0]] in ("known", "past")}

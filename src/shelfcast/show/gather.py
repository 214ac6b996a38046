"""From a panel and a forecast to what a report says.

A panel may have a million series and a forecast may be a file written in batches: totals are group-by sums over a lazy
table, and only the chosen series are ever looked at one by one.
"""

from typing import Any, Final

import numpy as np
import polars as pl

from shelfcast.errors import DataError, shorten
from shelfcast.evaluate.sum_bands import sum_quantiles
from shelfcast.forecast import MEAN, Forecast
from shelfcast.names import DATE, ITEM, KEYS, LOCATION, PRICE, SALES, quantile_column
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.periods import Frequency
from shelfcast.show import numerals
from shelfcast.show.chosen import choose, fans_of
from shelfcast.show.content import ACCURACY_SCHEMA, CHANGES_SCHEMA, FINDINGS_SCHEMA, About, Dependence, Fan, ReportContent
from shelfcast.show.fans import YEAR_LAG, make_fan
from shelfcast.show.labels import key_labels, series_labels
from shelfcast.show.moves import NEXT, Span, against_first, compare, earlier_spans, located, movers, sold_in
from shelfcast.show.totals import (
    SPREAD,
    SQUARES,
    deviation,
    measure_dependence,
    over_horizon,
    range_levels,
)

SAMPLED: Final = 1000  # series on which dependence is measured: the correlation's error is far below what matters
FIRST_WITHDRAWN: Final = 10
MOST_SCORED: Final = 30  # places whose accuracy is shown, the largest; more is a list that nobody reads


def gather(panel: SalesPanel, forecast: Forecast | pl.DataFrame | pl.LazyFrame, about: About, *,
           findings: pl.DataFrame | None = None, changes: pl.DataFrame | None = None, accuracy: pl.DataFrame | None = None,
           withdrawn: pl.DataFrame | None = None, dependence: Dependence | None = None, most_series: int = 24) -> ReportContent:
    """Collect what the report says.

    Parameters
    ----------
    panel : history up to the cutoff; covariates past it are shown where they are known
    forecast : a Forecast, or its table `item, location, date, mean, q...`, lazy if it is large
    about : title, source, model, manifest
    findings, changes, accuracy : tables of the shapes in `content`
    withdrawn : series that are no longer sold: item, location, sold, last_sale, reason
    dependence : how errors move together, if known better than the history tells
    most_series : how many series are shown one by one

    Raises
    ------
    DataError
        If the forecast lacks columns or has no rows.
    SettingsError
        If it holds no levels on both sides of the middle, so that no range can be shown.
    """
    table, levels = _table(forecast)
    frequency = panel.frequency
    periods = _totals(table, levels, frequency)
    horizon = periods.height
    first = int(periods[PERIOD][0])
    spans = earlier_spans(panel, first, horizon)
    summary = _summary(panel, table, levels, spans, horizon)
    dependence = dependence or _dependence(panel, summary, horizon)

    mean = periods[MEAN].to_numpy()
    sums = periods.select(quantile_column(q) for q in levels).to_numpy()
    bands = sum_quantiles(mean, sums, levels, spread=periods[SPREAD].to_numpy(), squares=periods[SQUARES].to_numpy(),
                          rho=dependence.series)
    expected, whole = over_horizon(mean, bands, dependence.time)
    low, high = range_levels(levels)
    money, priced = _money(panel, summary)
    moves = {key: movers(panel, summary, key) for key in KEYS}
    return ReportContent(
        about=about, frequency=frequency, horizon=horizon, cutoff=frequency.date(panel.cutoff), facts=_facts(panel, summary),
        total=_total_fan(panel, periods, bands, levels, horizon), expected=expected,
        low=float(whole[levels.index(low)]), high=float(whole[levels.index(high)]), levels=levels, series=summary.height,
        dependence=dependence, money=money, priced=priced, stretches=tuple(compare(panel, summary, s) for s in spans),
        chosen=fans_of(panel, table, choose(summary, most_series), levels=levels, horizon=horizon),
        items=moves[ITEM], locations=moves[LOCATION], places=located(panel, summary),
        findings=_shaped(findings, FINDINGS_SCHEMA), changes=_shaped(changes, CHANGES_SCHEMA),
        **_largest_places(panel, summary, accuracy), **_withdrawn(panel, withdrawn))


def _table(forecast: Forecast | pl.DataFrame | pl.LazyFrame) -> tuple[pl.LazyFrame, tuple[float, ...]]:
    table = forecast.to_frame().lazy() if isinstance(forecast, Forecast) else forecast.lazy()
    columns = table.collect_schema().names()
    missing = [c for c in (*KEYS, DATE, MEAN) if c not in columns]
    if missing:
        raise DataError(f"The forecast table lacks {', '.join(missing)}; it has {', '.join(map(shorten, columns[:20]))}.")
    levels = sorted(float(c[1:]) for c in columns if c.startswith("q") and c[1:].replace(".", "", 1).isdigit())
    return table, tuple(levels)


def _totals(table: pl.LazyFrame, levels: tuple[float, ...], frequency: Frequency) -> pl.DataFrame:
    """One row a period: date, sums of mean and quantiles, `spread` and `squares` of the series' deviations."""
    sums = [pl.col(c).sum() for c in (MEAN, *map(quantile_column, levels))]
    periods = (table.with_columns(deviation(levels).alias(SPREAD)).group_by(DATE)
               .agg(*sums, (pl.col(SPREAD) ** 2).sum().alias(SQUARES), pl.col(SPREAD).sum())
               .with_columns(frequency.number_of(pl.col(DATE)).alias(PERIOD)).sort(PERIOD).collect(engine="streaming"))
    if not periods.height:
        raise DataError("The forecast has no rows, so there is nothing to report.")
    return periods


def _summary(panel: SalesPanel, table: pl.LazyFrame, levels: tuple[float, ...], spans: list[Span], horizon: int) -> pl.DataFrame:
    """One row a series: its code, units next, width of its range, its history in a few numbers, and what it is compared with."""
    low, high = map(quantile_column, range_levels(levels))
    next_ = (table.group_by(KEYS).agg(pl.col(MEAN).sum().alias(NEXT), (pl.col(high) - pl.col(low)).sum().alias("width"))
             .collect(engine="streaming"))
    sold = pl.col(SALES)
    year = panel.cutoff - YEAR_LAG[panel.frequency.unit]
    measures = [sold.sum().alias("sold"), (sold.filter(pl.col(PERIOD) > year) != 0).sum().alias("selling")]
    past = (panel.rows.lazy().filter(pl.col(PERIOD) <= panel.cutoff).group_by(SERIES).agg(measures).collect(engine="streaming"))
    series = panel.series.with_row_index(SERIES).with_columns(pl.col(SERIES).cast(pl.UInt32))
    joined = (series.join(past, on=SERIES, how="left").join(sold_in(panel, spans, horizon), on=SERIES, how="left")
              .join(next_, on=list(KEYS), how="full", coalesce=True))
    unknown = joined.filter(pl.col(SERIES).is_null())
    if unknown.height:
        who = unknown.row(0, named=True)
        raise DataError(f"{unknown.height:,} forecast series are not in the panel; the first: item {shorten(who[ITEM])}, location "
                        f"{shorten(who[LOCATION])}. Give the panel that the forecast was made from.")
    lived = (panel.cutoff - pl.max_horizontal(pl.col("start") - 1, pl.lit(year))).alias("lived")
    return against_first(joined.with_columns(lived), spans).sort(*KEYS)


def _dependence(panel: SalesPanel, summary: pl.DataFrame, horizon: int) -> Dependence:
    codes = summary.filter(pl.col(NEXT).is_not_null()).sort(NEXT, ITEM, LOCATION, descending=[True, False, False])[SERIES]
    which = np.sort(codes.head(SAMPLED).to_numpy())
    length = panel.cutoff + 1 - int(panel.series["start"].min())  # type: ignore[arg-type]
    sales = panel.select(which).dense(context=min(length, 3 * YEAR_LAG[panel.frequency.unit]), covariates=()).sales
    return measure_dependence(sales, season=panel.frequency.season, horizon=horizon)


def _sum(column: pl.Series) -> float:
    return float(column.sum() or 0.0)


def _facts(panel: SalesPanel, summary: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    begin, end = (panel.frequency.date(int(p)) for p in (panel.series["start"].min(), panel.cutoff))  # type: ignore[arg-type]
    covariates = ", ".join(f"{numerals.name(c)} ({kind})" for c, kind in list(panel.covariates.items())[:30])
    return (
        ("Series", f"{len(panel):,}"), ("Forecast", f"{summary[NEXT].count():,}"),
        ("Items", f"{panel.series[ITEM].n_unique():,}"), ("Locations", f"{panel.series[LOCATION].n_unique():,}"),
        ("History", f"{numerals.day(begin, panel.frequency)} to {numerals.day(end, panel.frequency)}"),
        ("Frequency", panel.frequency.word), ("Rows", f"{panel.rows.height:,}"),
        ("Sold in all", numerals.quantity(_sum(summary["sold"]))), ("Covariates", covariates or "none"),
    )


def _total_fan(panel: SalesPanel, periods: pl.DataFrame, bands: np.ndarray, levels: tuple[float, ...], horizon: int) -> Fan:
    frequency = panel.frequency
    totals = (panel.rows.lazy().filter(pl.col(PERIOD) <= panel.cutoff).group_by(PERIOD)
              .agg(pl.when(pl.col(SALES).count() > 0).then(pl.col(SALES).sum()).alias(SALES)).collect(engine="streaming"))
    begin = int(panel.series["start"].min())  # type: ignore[arg-type]
    axis = pl.DataFrame({PERIOD: np.arange(begin, panel.cutoff + 1, dtype=np.int32)})
    history = axis.join(totals, on=PERIOD, how="left").sort(PERIOD)
    if panel.absent == "zero":
        history = history.with_columns(pl.col(SALES).fill_null(0.0))
    forecast = periods.select(DATE, MEAN, *(pl.Series(quantile_column(q), bands[:, i]) for i, q in enumerate(levels)))
    return make_fan(f"All {len(panel):,} series together" if len(panel) > 1 else "The series", "", frequency, history=history,
                    forecast=forecast, horizon=horizon)


def _money(panel: SalesPanel, summary: pl.DataFrame) -> tuple[float | None, float]:
    """Value of the expected units at each series' last known price, and the share of units that has one."""
    if PRICE not in panel.covariates:
        return None, 0.0
    parts = []
    if PRICE in panel.rows.columns:
        parts.append(panel.rows.lazy().filter((pl.col(PERIOD) <= panel.cutoff) & pl.col(PRICE).is_not_null()).group_by(SERIES)
                     .agg(pl.col(PRICE).sort_by(PERIOD).last().cast(pl.Float64)).collect(engine="streaming"))
    priced = summary.select(SERIES, *KEYS, NEXT)
    prices = [priced.join(p, on=SERIES, how="left")[PRICE] for p in parts]
    for table in panel.tables:
        if PRICE in table.values:
            keys = [k for k in table.keys if k != PERIOD]
            known = table.frame.filter(pl.col(PRICE).is_not_null())
            if PERIOD in table.keys:
                known = known.filter(pl.col(PERIOD) <= panel.cutoff).sort(PERIOD)
            last = known.group_by(keys).agg(pl.col(PRICE).last().cast(pl.Float64)) if keys else None
            if last is not None:
                prices.append(priced.join(last, on=keys, how="left")[PRICE])
    if not prices:
        return None, 0.0
    price = pl.DataFrame([p.alias(str(i)) for i, p in enumerate(prices)]).select(pl.coalesce(pl.all()).alias(PRICE))[PRICE]
    value, units = _sum(price * priced[NEXT]), _sum(priced[NEXT].filter(price.is_not_null()))
    everything = _sum(priced[NEXT])
    return (value, units / everything) if units > 0 and everything > 0 else (None, 0.0)


def _largest_places(panel: SalesPanel, summary: pl.DataFrame, accuracy: pl.DataFrame | None) -> dict[str, Any]:
    """The scores, with places named, the largest first and the rest left out."""
    if accuracy is None or not accuracy.height:
        return {"accuracy": pl.DataFrame(schema=ACCURACY_SCHEMA)}
    by_place = accuracy.filter(pl.col("kind") == LOCATION)
    sizes = summary.group_by(pl.col(LOCATION).cast(pl.String).alias("group")).agg(pl.col(NEXT).sum())
    places = by_place.select("group").unique().join(sizes, on="group", how="left").fill_null(0.0)
    places = places.sort(NEXT, "group", descending=[True, False])
    largest = places.head(MOST_SCORED)
    labels = largest.select("group", pl.Series("label", key_labels(panel, LOCATION, largest["group"]), dtype=pl.String))
    shown = labels.join(by_place, on="group", how="inner", maintain_order="left_right").with_columns(pl.col("label").alias("group"))
    rest = accuracy.filter(pl.col("kind") != LOCATION)
    return {"accuracy": pl.concat([rest, shown.select(rest.columns)]), "scored_places": places.height}


def _withdrawn(panel: SalesPanel, withdrawn: pl.DataFrame | None) -> dict[str, Any]:
    if withdrawn is None or not withdrawn.height:
        return {}
    sold = withdrawn if "sold" not in withdrawn.columns else withdrawn.filter(~pl.col("sold"))
    if not sold.height:
        return {}
    reasons = sold.group_by("reason").agg(pl.len().cast(pl.Int64).alias("series"))
    first = sold.sort("last_sale", *KEYS, descending=[True, False, False], nulls_last=True).head(FIRST_WITHDRAWN)
    names = pl.Series("name", series_labels(panel, first), dtype=pl.String)
    return {"withdrawn": reasons.sort("series", "reason", descending=[True, False]),
            "withdrawn_first": first.select(names, "last_sale", "reason")}


def _shaped(table: pl.DataFrame | None, schema: dict[str, Any]) -> pl.DataFrame:
    """The table with exactly the columns of the schema; absent ones are null."""
    if table is None:
        return pl.DataFrame(schema=schema)
    return table.select((pl.col(c) if c in table.columns else pl.lit(None)).cast(t).alias(c) for c, t in schema.items())


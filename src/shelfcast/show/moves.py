"""What grows and what falls, like for like: earlier stretches, and which series may be compared with them.

A shop that was shut for half of the earlier stretch, or an item that was not yet sold then, does not grow by 235 %: it is back,
or new. Such series count in what is expected, but in no comparison.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from shelfcast.names import LATITUDE, LOCATION, LONGITUDE, SALES
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.show import numerals
from shelfcast.show.content import MOVES_SCHEMA, PLACES_SCHEMA, Stretch
from shelfcast.show.fans import YEAR_LAG
from shelfcast.show.labels import key_labels

MOVERS: Final = 5  # items and places named on either side
ENOUGH: Final = 0.5  # share of a stretch's open periods that a series' record must cover to be compared

NEXT, BEFORE, MARK = "next", "before", "mark"


@dataclass(frozen=True)
class Span:
    """Periods of an earlier stretch, and the columns of the summary that hold what was sold in it."""

    name: str
    first: int
    last: int

    @property
    def units(self) -> str:
        """Column: units sold in it."""
        return f"{self.name}: units"

    @property
    def alike(self) -> str:
        """Column: the series' record covers enough of it to be compared."""
        return f"{self.name}: alike"


def earlier_spans(panel: SalesPanel, first: int, horizon: int) -> list[Span]:
    """Last year's same stretch and the most recent one, as far as the history reaches.

    Parameters
    ----------
    first : period number of the forecast's first period
    """
    begin = int(panel.series["start"].min())  # type: ignore[arg-type]
    lag = YEAR_LAG[panel.frequency.unit]
    years = -(-(first + horizon - 1 - panel.cutoff) // lag)  # a long horizon is compared with the last stretch that is all past
    length = numerals.periods(horizon, panel.frequency)
    spans = []
    if panel.frequency.unit != "Y" and first - years * lag >= begin:
        ago = "last year" if years == 1 else f"{years} years earlier"
        spans.append(Span(f"the same {length} {ago}" if horizon > 1 else f"the same {panel.frequency.noun} {ago}",
                          first - years * lag, first + horizon - 1 - years * lag))
    if panel.cutoff - horizon + 1 >= begin:
        spans.append(Span(f"the last {length}" if horizon > 1 else f"the last {panel.frequency.noun}",
                          panel.cutoff - horizon + 1, panel.cutoff))
    return spans


def sold_in(panel: SalesPanel, spans: list[Span], horizon: int) -> pl.DataFrame:
    """One row a series: its code, and for each span the units sold in it (null: no row) and whether it may be compared."""
    recent = [Span(f"recent {i}", panel.cutoff - (i + 1) * horizon + 1, panel.cutoff - i * horizon) for i in (0, 1)]
    rows = panel.rows.lazy().filter(pl.col(PERIOD) <= panel.cutoff)
    closing = panel.closed_when if panel.closed_when in panel.rows.columns else None
    shut = (pl.col(closing).cast(pl.Float64) == 0).fill_null(False) if closing else pl.lit(False)
    measures = []
    for s in (*spans, *recent):
        inside = pl.col(PERIOD).is_between(s.first, s.last)
        known = pl.col(SALES).is_not_null()
        measures += [pl.col(SALES).filter(inside).sum().alias(s.units),
                     (inside & known & ~shut).sum().alias(f"{s.name}: open rows"),
                     (inside & (shut | ~known)).sum().alias(f"{s.name}: shut rows")]
    counts = rows.group_by(SERIES).agg(measures).collect(engine="streaming")
    series = panel.series.with_row_index(SERIES).with_columns(pl.col(SERIES).cast(pl.UInt32)).join(counts, on=SERIES, how="left")
    series = series.with_columns(pl.col(f"{s.name}: {what} rows").fill_null(0).cast(pl.Int64)
                                 for s in (*spans, *recent) for what in ("open", "shut"))
    for s in (*spans, *recent):
        series = series.with_columns(_open_in(panel, series, s).alias(s.name))
    usual = pl.max_horizontal(s.name for s in recent)
    return series.select(SERIES, *(pl.col(s.units) for s in spans), *(_enough(panel, s, usual).alias(s.alike) for s in spans))


def _open_in(panel: SalesPanel, series: pl.DataFrame, s: Span) -> pl.Series:
    """(N,) periods of the span in which sales are known and the place was open."""
    length = s.last - s.first + 1
    age = (s.last - pl.max_horizontal(pl.col("start"), pl.lit(s.first)) + 1).clip(lower_bound=0)
    recorded = age - pl.col(f"{s.name}: shut rows") if panel.absent == "zero" else pl.col(f"{s.name}: open rows")
    most = pl.lit(length)
    closing = panel.closed_when
    for table in panel.tables:  # opening hours with keys of their own: a place is open in the periods that are left
        if closing in table.values:
            keys = [k for k in table.keys if k != PERIOD]
            shut = table.frame.filter((pl.col(closing).cast(pl.Float64) == 0) & pl.col(PERIOD).is_between(s.first, s.last)) \
                if PERIOD in table.keys else table.frame.head(0)
            days = shut.group_by(keys).agg(pl.len().alias("shut")) if keys else shut.select(pl.len().alias("shut"))
            series = series.join(days, on=keys, how="left", maintain_order="left") if keys else series.join(days, how="cross")
            most = length - pl.col("shut").fill_null(0).cast(pl.Int64)
            break
    return series.select(pl.min_horizontal(recorded, most).clip(lower_bound=0)).to_series()


def _enough(panel: SalesPanel, s: Span, usual: pl.Expr) -> pl.Expr:
    """The record covers at least half of the span's open periods.

    Open periods are those of the series that was open longest. A recorded series with gaps is held to what it records lately,
    or a series that is written down on every third day could never be compared.
    """
    length = s.last - s.first + 1
    begun = (s.last - pl.col("start") + 1) >= ENOUGH * length
    open_ = pl.col(s.name)
    yard = open_.max() if panel.absent == "zero" else pl.min_horizontal(open_.max(), usual)
    return begun & (open_ > 0) & (open_ >= ENOUGH * yard)


def against_first(summary: pl.DataFrame, spans: list[Span]) -> pl.DataFrame:
    """The summary with `before` (units in the first span; null where not comparable) and `mark` (null, `new` or `back`)."""
    if not spans:
        return summary.with_columns(pl.lit(None, dtype=pl.Float64).alias(BEFORE), pl.lit(None, dtype=pl.String).alias(MARK))
    s = spans[0]
    alike = pl.col(s.alike).fill_null(False)
    mark = pl.when(alike).then(None).when(pl.col("start") > s.first).then(pl.lit("new")).otherwise(pl.lit("back"))
    return summary.with_columns(pl.when(alike).then(pl.col(s.units).fill_null(0.0)).alias(BEFORE), mark.alias(MARK))


def compare(panel: SalesPanel, summary: pl.DataFrame, s: Span) -> Stretch:
    """The stretch as the report tells it: in all, and like for like."""
    forecast = summary.filter(pl.col(NEXT).is_not_null())
    alike = forecast.filter(pl.col(s.alike))
    return Stretch(name=s.name, first=panel.frequency.date(s.first), last=panel.frequency.date(s.last),
                   units=float(summary[s.units].sum() or 0.0), series=alike.height, of=forecast.height,
                   alike_units=float(alike[s.units].sum() or 0.0), alike_next=float(alike[NEXT].sum() or 0.0))


def movers(panel: SalesPanel, summary: pl.DataFrame, key: str) -> pl.DataFrame:
    """What grows and falls most in units, like for like, largest growth first; then what is new or back, largest first.

    Returns
    -------
    table of MOVES_SCHEMA; `next` and `before` are of comparable series alone, except where `mark` says new or back
    """
    if summary[key].n_unique() < 2 or not summary[BEFORE].is_not_null().any():
        return pl.DataFrame(schema=MOVES_SCHEMA)
    grouped = _grouped(summary, key)
    alike = grouped.filter(pl.col(MARK).is_null()).with_columns((pl.col("alike") - pl.col(BEFORE)).alias("move"))
    alike = alike.sort("move", key, descending=[True, False])
    ups, downs = alike.filter(pl.col("move") > 0).head(MOVERS), alike.filter(pl.col("move") < 0).tail(MOVERS)
    others = grouped.filter(pl.col(MARK).is_not_null() & (pl.col(NEXT) > 0)).sort(NEXT, key, descending=[True, False]).head(MOVERS)
    columns = [key, pl.coalesce("alike", NEXT).alias(NEXT), BEFORE, MARK]
    told = pl.concat([ups.select(columns), downs.select(columns), others.select(key, NEXT, BEFORE, MARK)])
    names = pl.Series("name", key_labels(panel, key, told[key]), dtype=pl.String)
    return told.select(names, NEXT, BEFORE, MARK).cast(MOVES_SCHEMA)  # type: ignore[arg-type]


def located(panel: SalesPanel, summary: pl.DataFrame) -> pl.DataFrame:
    """Places with coordinates, the largest first: table of PLACES_SCHEMA."""
    places = panel.places
    if places is None or LATITUDE not in places.columns or LONGITUDE not in places.columns:
        return pl.DataFrame(schema=PLACES_SCHEMA)
    found = (_grouped(summary, LOCATION)
             .join(places.unique(LOCATION, keep="first", maintain_order=True).select(LOCATION, LATITUDE, LONGITUDE), on=LOCATION)
             .with_columns(pl.col(LATITUDE, LONGITUDE).cast(pl.Float64))
             .filter(pl.col(LATITUDE).is_between(-90, 90), pl.col(LONGITUDE).is_between(-180, 180), pl.col("units").is_not_null())
             .sort(NEXT, LOCATION, descending=[True, False]))
    names = pl.Series("name", key_labels(panel, LOCATION, found[LOCATION]), dtype=pl.String)
    return found.select(names, LATITUDE, LONGITUDE, NEXT, "alike", BEFORE, MARK).cast(PLACES_SCHEMA)  # type: ignore[arg-type]


def _grouped(summary: pl.DataFrame, key: str) -> pl.DataFrame:
    """One row an item or place: `next` of all its series, `alike` and `before` of the comparable ones, and its mark."""
    comparable = pl.col(BEFORE).is_not_null()
    some = comparable.any()
    return (summary.filter(pl.col(NEXT).is_not_null()).group_by(key)
            .agg(pl.col(NEXT).sum(), pl.col(NEXT).count().alias("units"),
                 pl.when(some).then(pl.col(NEXT).filter(comparable).sum()).alias("alike"),
                 pl.when(some).then(pl.col(BEFORE).sum()).alias(BEFORE),
                 pl.when(some).then(None).when((pl.col(MARK) == "back").any()).then(pl.lit("back")).otherwise(pl.col(MARK).first())
                 .alias(MARK)))

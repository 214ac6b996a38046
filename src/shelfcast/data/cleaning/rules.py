"""The rules of cleaning that work on rows added up by period; each takes rows, returns rows and what it changed.

Rows come from the tally (`sold`, `returned`, `lines` ...) or from a panel (`sales`). Every rule leaves rows that it would not
change again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

import numpy as np
import polars as pl

from shelfcast.data.cleaning.flaws import HUGE
from shelfcast.data.cleaning.tally import LAST, LEAST, LINES, MOST, RETURNED, SOLD, WHEN
from shelfcast.errors import DataError, shorten
from shelfcast.names import ITEM, LOCATION, PRICE, SALES, Absent, Kind
from shelfcast.panel import PERIOD, SERIES
from shelfcast.periods import Frequency

Repeated = Literal["sum", "last", "mean", "error"]
Returns = Literal["apart", "net"]

USUAL_DAY: Final = 0.5  # a weekday is a trading day if at least half of the weeks sold something on it
COMPLETE: Final = 0.8  # of the usual number of recorded days; six days still stand for a week, five do not
CLOSED_SHARE: Final = 0.999  # of the rows that a flag calls closed, so many must have sold nothing
CLOSED_ROWS: Final = 20  # fewer rows prove nothing


@dataclass(frozen=True)
class Change:
    """What one rule changed.

    Attributes
    ----------
    rule : name of the rule, as in CleanSettings
    what : a sentence for a planner
    rows : lines or periods changed
    series : series touched, or None where not counted
    units : units taken away (negative) or added
    """

    rule: str
    what: str
    rows: int
    series: int | None = None
    units: float = 0.0


def add_up_repeated(
    rows: pl.DataFrame, series: pl.DataFrame, frequency: Frequency, how: Repeated
) -> tuple[pl.DataFrame, list[Change]]:
    """Several lines of a recorded series for one period: equal ones count once, others as `how` says."""
    many = pl.col(LINES) > 1
    same = many & (pl.col(LEAST) == pl.col(MOST))
    differ = many & ~same
    counted = rows.select(same.sum().alias("same"), differ.sum().alias("differ")).row(0)
    changes = []
    if sum(counted) and how == "error":
        first = rows.filter(many).row(0, named=True)
        who = series.row(first[SERIES], named=True)
        raise DataError(
            f"{sum(counted):,} periods have several rows of one item and location; the first: "
            f"item {shorten(who[ITEM])}, location {shorten(who[LOCATION])}, "
            f"{frequency.date(first[PERIOD])}. Choose how to join them: "
            f"repeated = sum, last or mean."
        )
    total = pl.col(SOLD) + (pl.col(RETURNED) if RETURNED in rows.columns else 0.0)
    value = {"sum": total, "last": pl.col(LAST), "mean": total / pl.col(LINES), "error": total}[how]
    joined = pl.when(same).then(pl.col(MOST)).when(differ).then(value).otherwise(total)
    out = rows.with_columns(joined.alias(SALES)).drop(SOLD, LEAST, MOST, LAST, *([RETURNED] if RETURNED in rows.columns else []))
    if counted[0]:
        part = rows.filter(same)
        gone = float((part[MOST] * (part[LINES].cast(pl.Float64) - 1)).sum())
        changes.append(
            Change(
                "repeated",
                "periods whose rows say the same more than once were counted once",
                counted[0],
                part[SERIES].n_unique(),
                -gone,
            )
        )
    if counted[1]:
        part = rows.filter(differ).select(SERIES, (joined - total).alias("change"))
        word = {"sum": "were added up", "last": "keep their last row", "mean": "became their mean", "error": ""}[how]
        changes.append(
            Change(
                "repeated",
                f"periods with several rows that differ {word}",
                counted[1],
                part[SERIES].n_unique(),
                float(part["change"].sum()),
            )
        )
    return out, changes


def set_returns_apart(rows: pl.DataFrame, how: Returns) -> tuple[pl.DataFrame, list[Change]]:
    """Transactions: `apart` keeps what was sold, `net` subtracts what came back. Gives `sales`."""
    if RETURNED not in rows.columns:
        return rows.rename({SOLD: SALES}), []
    back = rows.filter(pl.col(RETURNED) < 0)
    count, touched, units = back.height, back[SERIES].n_unique(), float(back[RETURNED].sum())
    if how == "net":
        out = rows.with_columns((pl.col(SOLD) + pl.col(RETURNED)).alias(SALES)).drop(SOLD, RETURNED)
        what = "periods have what came back taken off what was sold"
        return out, [Change("returns", what, count, touched, units)] if count else []
    # A period with nothing but returns was a period without sales: the row stays, with zero.
    out = rows.rename({SOLD: SALES}).drop(RETURNED)
    what = "periods with goods that came back keep what was sold; the returns are set aside"
    return out, [Change("returns", what, count, touched, -units)] if count else []


def lift_negative_periods(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Change]]:
    """Recorded series: a period below zero (more came back than went out) sold nothing that we know of: zero."""
    below = rows.filter(pl.col(SALES) < 0)
    if not below.height:
        return rows, []
    out = rows.with_columns(pl.when(pl.col(SALES) < 0).then(0.0).otherwise(pl.col(SALES)).alias(SALES))
    what = "periods below zero (more came back than was sold) became zero"
    return out, [Change("returns", what, below.height, below[SERIES].n_unique(), -float(below[SALES].sum()))]


def drop_bad_prices(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Change]]:
    """A price of zero or less, or beyond any price (a slip of the hand, or infinite), is not known."""
    if PRICE not in rows.columns:
        return rows, []
    bad = pl.col(PRICE).is_not_null() & ~((pl.col(PRICE) > 0) & (pl.col(PRICE) <= HUGE)).fill_null(False)
    found = rows.filter(bad)
    if not found.height:
        return rows, []
    out = rows.with_columns(pl.when(~bad).then(pl.col(PRICE)).alias(PRICE))
    return out, [
        Change("prices", "periods with a price of zero or less, or beyond any price, have no known price now", found.height,
               found[SERIES].n_unique())
    ]


def drop_unusable_numbers(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Change]]:
    """Sales that are not finite are not known."""
    bad = pl.col(SALES).is_not_null() & ~pl.col(SALES).is_finite()
    found = rows.filter(bad)
    if not found.height:
        return rows, []
    out = rows.with_columns(pl.when(~bad).then(pl.col(SALES)).alias(SALES))
    return out, [
        Change("unreadable", "periods with sales that are no number are not known now", found.height, found[SERIES].n_unique())
    ]


# -- whole periods --------------------------------------------------------------------------------------------------


def coarsen(rows: pl.DataFrame, fine: Frequency, coarse: Frequency, kinds: Mapping[str, Kind], *,
            absent: Absent = "missing") -> tuple[pl.DataFrame, list[Change]]:
    """Sum a recorded series to longer periods; a period with too few of its usual days is not known.

    The usual share of days is the series' own median, so a shop that never opens on Sundays has whole weeks of six days.
    Where a day without a row is one without a sale (`absent` is zero), no number of days is too few.
    """
    moved = rows.with_columns(coarse.number_of(fine.date_of(pl.col(PERIOD))).alias(PERIOD))
    totals = [pl.col(SALES).sum(), pl.col(SALES).count().cast(pl.UInt32).alias("~known"), pl.len().alias("~days")]
    summaries = []
    for name in kinds:
        column = pl.col(name)
        if name == PRICE:
            weight = pl.when(column.is_not_null() & (pl.col(SALES) > 0)).then(pl.col(SALES))
            summaries.append(
                pl.when(weight.sum() > 0).then((column * weight).sum() / weight.sum()).otherwise(column.mean()).alias(name)
            )
        elif rows.schema[name].is_numeric():
            summaries.append(
                (column.max() if name == "promo" else column.drop_nulls().last() if name == "stock" else column.mean()).alias(name)
            )
        else:
            summaries.append((column.max() if rows.schema[name] == pl.Boolean else column.drop_nulls().first()).alias(name))
    out = moved.group_by(SERIES, PERIOD, maintain_order=True).agg(*totals, *summaries)
    days = coarse.date_of(pl.col(PERIOD) + 1).cast(pl.Date).cast(pl.Int32) - coarse.date_of(pl.col(PERIOD)).cast(pl.Date).cast(
        pl.Int32
    )
    out = out.with_columns((pl.col("~known") / days).alias("~share"))
    usual = out.filter(pl.col("~known") > 0).group_by(SERIES).agg(pl.col("~share").median().alias("~usual"))
    out = out.join(usual, on=SERIES, how="left", maintain_order="left")
    short = (pl.col("~known") > 0) & (pl.col("~share") < COMPLETE * pl.col("~usual")) & pl.lit(absent == "missing")
    found = out.filter(short)
    changes = [Change("frequency", f"{fine.noun} rows were added up to {coarse.noun}s", rows.height, rows[SERIES].n_unique())]
    if found.height:
        changes.append(
            Change(
                "incomplete",
                f"{coarse.noun}s with fewer than {COMPLETE:.0%} of their usual {fine.noun}s are not known now",
                found.height,
                found[SERIES].n_unique(),
                -float(found[SALES].sum()),
            )
        )
    silent = short.fill_null(False) | (pl.col("~known") == 0)
    return out.with_columns(pl.when(~silent).then(pl.col(SALES)).alias(SALES)).drop("~known", "~days", "~share", "~usual"), changes


@dataclass(frozen=True)
class Span:
    """First and last whole period, and the partial ones left out at either end."""

    first: int
    last: int
    partial_first: bool
    partial_last: bool


def whole_span(days: pl.DataFrame, frequency: Frequency, cutoff: date | None, *, summed: bool) -> Span:
    """Which periods the sales cover wholly.

    A first or last period is partial if a usual trading weekday lies in it before the first or after the last day with sales. With
    a cutoff the sales are known up to that day, if they come within a week of it; a cutoff inside a period leaves that period out.

    Parameters
    ----------
    days : table `when`, `lines`, `sales`: usable dates
    summed : periods are sums of days; if not, each row names its own period and none is partial
    """
    sold = days.filter(pl.col(SALES) > 0)
    moments = (sold if sold.height else days)[WHEN]
    begin, end = moments[0], moments[-1]
    first_day, last_day = (d.date() if isinstance(d, datetime) else d for d in (begin, end))
    if cutoff is not None and timedelta(0) < cutoff - last_day < timedelta(days=7):
        last_day, end = cutoff, cutoff
    first, last = frequency.number(begin), frequency.number(end)
    if not summed or frequency.unit in "hD":
        return Span(first, last, False, False)
    weekdays = moments.cast(pl.Date).unique().dt.weekday().value_counts()
    weeks = max(1, -(-((last_day - first_day).days + 1) // 7))
    usual = {int(d) for d, n in weekdays.iter_rows() if n / weeks >= USUAL_DAY}
    start, after = (_day(frequency, n) for n in (first, last + 1))
    partial_first = any((start + timedelta(days=i)).isoweekday() in usual for i in range((first_day - start).days))
    partial_last = any((last_day + timedelta(days=i)).isoweekday() in usual for i in range(1, (after - last_day).days))
    if last - first < 2:  # dropping either would leave next to nothing; better a short period than none
        return Span(first, last, False, False)
    return Span(first + partial_first, last - partial_last, partial_first, partial_last)


def _day(frequency: Frequency, number: int) -> date:
    day = frequency.date(number)
    return day.date() if isinstance(day, datetime) else day


# -- closed places --------------------------------------------------------------------------------------------------


def closed_flag(rows: pl.DataFrame, cutoff: int, kinds: Mapping[str, Kind]) -> tuple[str | None, list[Change]]:
    """The known covariate that is 0 when the place is closed: its zeros sold nothing, its ones mostly something.

    By its name (`Open`, `is_open`) the zeros are enough; any other name must also show that few of its ones sold nothing.
    """
    best: tuple[bool, int, str] | None = None
    history = rows.filter((pl.col(PERIOD) <= cutoff) & pl.col(SALES).is_not_null())
    for name, kind in kinds.items():
        if kind != "known" or name not in rows.columns or not (rows.schema[name].is_numeric() or rows.schema[name] == pl.Boolean):
            continue
        flag = pl.col(name).cast(pl.Float64)
        sold = pl.col(SALES) > 0
        found = history.select(
            ((flag == 0).sum()).alias("zeros"),
            ((flag == 0) & ~sold).sum().alias("silent"),
            flag.min().alias("low"),
            flag.max().alias("high"),
            ((flag > 0) & ~sold).sum().alias("idle"),
            (flag > 0).sum().alias("open"),
        ).row(0, named=True)
        if (
            found["low"] != 0
            or found["high"] != 1
            or found["zeros"] < CLOSED_ROWS
            or found["silent"] < CLOSED_SHARE * found["zeros"]
        ):
            continue
        named = "open" in name.lower().replace("_", " ").split() or name.lower() in ("isopen", "opened")
        if not named and found["idle"] > 0.1 * found["open"]:
            continue
        best = max(best or (False, 0, ""), (named, found["zeros"], name))
    if best is None:
        return None, []
    return best[2], [
        Change("closed", f"periods with {best[2]} = 0 sold nothing and are taken as closed, not as lack of demand", best[1])
    ]


# -- outliers -------------------------------------------------------------------------------------------------------


def cap_outliers(rows: pl.DataFrame, limits: np.ndarray) -> tuple[pl.DataFrame, list[Change]]:
    """Sales above their series' limit become the limit.

    Parameters
    ----------
    limits : float (N,), units; inf where a series has none
    """
    over = rows[SALES].to_numpy() > limits[rows[SERIES].to_numpy()]
    if not over.any():
        return rows, []
    capped = np.where(over, limits[rows[SERIES].to_numpy()], rows[SALES].to_numpy())
    gone = float((capped - rows[SALES].to_numpy())[over].sum())
    out = rows.with_columns(pl.Series(SALES, capped).fill_nan(None))
    touched = len(np.unique(rows[SERIES].to_numpy()[over]))
    return out, [
        Change("outliers", "periods far above all others of their series were cut to the limit", int(over.sum()), touched, gone)
    ]

"""From lines to a clean panel: named rules, each of which can be switched and says what it changed.

The source is never touched. Cleaning a clean panel, or the lines of its table, changes nothing more.

A cutoff hides everything later except known covariates before anything is counted, spellings and trading days included. Rows of a
recorded series belong to history if their date is not after the cutoff; summed lines give whole periods only, so that a
cutoff inside a week ends history with the week before it.
"""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, Literal

import numpy as np
import polars as pl

from shelfcast.data.cleaning.absent import Absence, judge_absence
from shelfcast.data.cleaning.cancellations import match_cancelled
from shelfcast.data.cleaning.copies import without_copies
from shelfcast.data.cleaning.covariates import attributes, panel_tables
from shelfcast.data.cleaning.flaws import REJECTING, SALES_ONLY, line_flaws
from shelfcast.data.cleaning.outliers import upper_limits
from shelfcast.data.cleaning.rules import (
    Change,
    Repeated,
    Returns,
    Span,
    add_up_repeated,
    cap_outliers,
    closed_flag,
    coarsen,
    drop_bad_prices,
    drop_unusable_numbers,
    lift_negative_periods,
    set_returns_apart,
    whole_span,
)
from shelfcast.data.cleaning.tally import LINES, NAME, RAW, WHEN, Tally, canonical, forget, shorter_than_recorded, tally
from shelfcast.data.findings import SHOWN
from shelfcast.data.lines import ROW, SERVICE, SalesLines
from shelfcast.data.split import cut, lines_until
from shelfcast.errors import DataError, SettingsError, shorten
from shelfcast.names import ITEM, LOCATION, SALES, Kind
from shelfcast.panel import PERIOD, SERIES, SalesPanel, hide_future
from shelfcast.periods import Frequency
from shelfcast.progress import Progress, Silent, stage

MOST_REJECTED: Final = 1_000_000  # rows of the list of rejected rows; all are counted
REASON: Final = "reason"
_SILENT: Final = Silent()


@dataclass(frozen=True, kw_only=True)
class CleanSettings:
    """Which rules clean, and how.

    Attributes
    ----------
    unreadable : lines without a readable date, item, location or sales are rejected, or are an error
    future : sales dated after today (or the cutoff, if later) are rejected, or kept
    services : lines that are no products but postage, fees or bookkeeping (known of some sources by their stock codes) are
        rejected, or kept as if they were items
    names : blanks around and inside names are trimmed, and spellings that differ only in case become the most frequent one
    repeated : several rows of a recorded series for one period. Equal ones count once, different ones as said here
    copies : lines that equal another one in every column, the number of their invoice or receipt included: `keep` them (so a till
        writes an item that was scanned twice), or `drop` all but the first
    cancelled : a cancelled line is matched with the sale it takes back, and both are removed
    returns : negative units are set `apart` (sales are what was sold), or sales are `net` of them and may be negative
    prices : prices of zero or less become unknown
    partial : partial first and last periods of summed lines are left out
    closed : look for a known covariate that says when a place is closed
    outliers : `keep` them, or `cap` them at the limit that checking flags
    today : the day after which nothing has happened yet; the computer's date when None
    """

    unreadable: Literal["reject", "error"] = "reject"
    future: Literal["reject", "keep"] = "reject"
    services: Literal["reject", "keep"] = "reject"
    names: bool = True
    repeated: Repeated = "sum"
    copies: Literal["keep", "drop"] = "keep"
    cancelled: bool = True
    returns: Returns = "apart"
    prices: bool = True
    partial: bool = True
    closed: bool = True
    outliers: Literal["keep", "cap"] = "keep"
    today: date | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("unreadable", ("reject", "error")),
            ("future", ("reject", "keep")),
            ("services", ("reject", "keep")),
            ("repeated", ("sum", "last", "mean", "error")),
            ("copies", ("keep", "drop")),
            ("returns", ("apart", "net")),
            ("outliers", ("keep", "cap")),
        ):
            if getattr(self, name) not in known:
                raise SettingsError(f"{name} = {shorten(getattr(self, name))!r} is not known. Known: {', '.join(known)}.")


@dataclass(frozen=True)
class Cleaned:
    """A clean panel and what was done to get it.

    Attributes
    ----------
    panel : what was sold
    changes : table, one row a change: `rule`, `what`, `rows`, `series` (null: not counted), `units`
    rejected : lines that entered nowhere, with their `reason`; at most a million
    rejected_count : how many lines were rejected in all
    told : sentences on what was inferred, for the user
    """

    panel: SalesPanel
    changes: pl.DataFrame
    rejected: pl.DataFrame = field(default_factory=pl.DataFrame)
    rejected_count: int = 0
    told: tuple[str, ...] = ()


def clean_sales(
    source: SalesLines | SalesPanel,
    *,
    settings: CleanSettings = CleanSettings(),
    cutoff: date | None = None,
    progress: Progress = _SILENT,
) -> Cleaned:
    """Make a clean panel from lines, or from a panel that was built by hand.

    Parameters
    ----------
    source : what `read_sales` returned, or a panel
    cutoff : last day of history; later rows give known covariates only

    Raises
    ------
    DataError
        If no line is usable, a rule that is set to `error` finds something, or periods were asked for that are shorter than
        the recorded ones.
    """
    if isinstance(source, SalesPanel):
        return _clean_panel(source if cutoff is None else cut(source, cutoff), settings)
    if settings.services == "keep":
        source = replace(source, frame=source.frame.drop(SERVICE, strict=False))
    with stage(progress, "cleaning", 3) as bar:
        source, copies = without_copies(source, cutoff) if settings.copies == "drop" else (source, [])
        settled = settle(source, settings=settings, cutoff=cutoff)
        _refuse_finer(source, settled.tally)
        bar.advance()
        forget(source)
        flaws = settled.tally.survey.flaws
        rejected, told = _reject(settled, settings)
        bar.advance(2)
    count = sum(flaws.get(f, 0) for f in REJECTING)
    return Cleaned(settled.panel, changes_table(told + copies + settled.changes), rejected, count,
                   (settled.absence.told,) if settled.absence.told else ())


def _refuse_finer(lines: SalesLines, found: Tally) -> None:
    """What was sold in each hour of a recorded day is not known, and hours without a row would pass for hours without a sale."""
    recorded = shorter_than_recorded(lines, found.survey)
    if recorded is not None and lines.freq is not None:
        days = found.survey.days[WHEN].cast(pl.Date)
        raise DataError(
            f"{lines.freq.word.capitalize()} sales were asked for, and {shorten(lines.source)} is {recorded.word}: its dates, "
            f"{days[0]} to {days[-1]}, name no {lines.freq.noun} within a {recorded.noun}. "
            f"Write --freq {recorded}, or a longer period, or leave --freq out."
        )


@dataclass(frozen=True)
class Settled:
    """Lines on their way to a panel: what was counted, what was decided. Checking looks at this, cleaning returns its panel."""

    lines: SalesLines
    today: date
    tally: Tally
    span: Span
    panel: SalesPanel
    changes: list[Change]
    absence: Absence


def settle(source: SalesLines, *, settings: CleanSettings, cutoff: date | None) -> Settled:
    """Count the lines and apply the rules."""
    today = latest_day(settings.today, cutoff, keep=settings.future == "keep")
    found = tally(source, today=today, cutoff=cutoff, unify_names=settings.names)
    lines = source if cutoff is None else lines_until(source, cutoff)
    absence = judge_absence(lines, found)
    rows, changes, frequency = _settle_rows(lines, found, today, settings, absence)
    panel, span, more = _build(lines, found, rows, frequency, cutoff, settings)
    panel = replace(panel, absent=absence.means)
    return Settled(lines, today, found, span, panel, changes + more, absence)


def latest_day(today: date | None, cutoff: date | None, *, keep: bool = False) -> date:
    """The day after which sales are not believed."""
    if keep:
        return date.max
    day = date.today() if today is None else today
    return day if cutoff is None else max(day, cutoff)


def changes_table(changes: list[Change]) -> pl.DataFrame:
    """The log of changes as a table."""
    schema = {"rule": pl.String, "what": pl.String, "rows": pl.Int64, "series": pl.Int64, "units": pl.Float64}
    return pl.DataFrame([(c.rule, c.what, c.rows, c.series, c.units) for c in changes], schema=schema, orient="row")


# -- lines ----------------------------------------------------------------------------------------------------------


def _reject(settled: Settled, settings: CleanSettings) -> tuple[pl.DataFrame, list[Change]]:
    """The lines that enter nowhere, with their reason."""
    lines, found, today = settled.lines, settled.tally, settled.today
    seen = [f for f in REJECTING if found.survey.flaws.get(f)]
    if lines.shape == "transactions" and found.survey.flaws.get("missing_sales"):
        seen.append("missing_sales")
    if not seen:
        return pl.DataFrame(), []
    flaws = line_flaws(found.survey.schema, today=today)
    reason = pl.coalesce(pl.when(flaws[f]).then(pl.lit(f.replace("_", " "))) for f in seen).alias(REASON)
    frame = canonical(lines).select(reason, pl.all()).filter(pl.col(REASON).is_not_null())
    rejected = frame.head(MOST_REJECTED).collect(engine="streaming")
    spoilt = [f for f in seen if f != "no_products"]
    if settings.unreadable == "error" and spoilt:
        first = rejected.filter(pl.col(REASON) != "no products").row(0, named=True)
        total = sum(found.survey.flaws[f] for f in spoilt)
        where = f"data row {first[ROW] + 1:,}" if ROW in first else "the first"
        raise DataError(
            f"{total:,} lines of {shorten(lines.source)} cannot be used; {where} has "
            f"{first[REASON]}. Mend them, or leave them out: unreadable = reject."
        )
    changes = []
    for name in seen:
        rule = {"future_dates": "future", "no_products": "services"}.get(name, "unreadable")
        part = "their sales are not used" if name in SALES_ONLY and lines.shape == "series" else "rejected"
        what = "lines of postage, fees and bookkeeping" if name == "no_products" else f"lines with {name.replace('_', ' ')}"
        changes.append(Change(rule, f"{what}: {part}", found.survey.flaws[name]))
    return rejected, changes


def _settle_rows(
    lines: SalesLines, found: Tally, today: date, settings: CleanSettings, absence: Absence
) -> tuple[pl.DataFrame, list[Change], Frequency]:
    """One number of sales for each row, in the frequency that the panel will have."""
    changes = _renamed(found)
    frequency = found.frequency
    if lines.shape == "transactions":
        rows = found.rows
        if settings.cancelled and found.survey.flaws.get("cancelled_lines"):
            rows, more = match_cancelled(rows, canonical(lines), found, today)
            changes += more
        rows, more = set_returns_apart(rows, settings.returns)
        changes += more
    else:
        rows, more = add_up_repeated(found.rows, found.series, frequency, settings.repeated)
        changes += more
        rows = rows.drop(LINES)
        if lines.freq is not None and lines.freq.unit != frequency.unit:
            frequency = lines.freq
            rows, more = coarsen(rows, found.frequency, frequency, found.kinds, absent=absence.means)
            changes += more
        if settings.returns == "apart":
            rows, more = lift_negative_periods(rows)
            changes += more
    if settings.prices:
        rows, more = drop_bad_prices(rows)
        changes += more
    spoilt = sum(found.survey.flaws.get(flaw, 0) for flaw in ("zero_prices", "negative_prices", "infinite_prices"))
    if spoilt:  # adding up has passed them over already, whatever the rule for whole periods
        changes.append(Change("prices", "lines with a price of zero or less, or an infinite one, were added up without it", spoilt))
    return rows, changes, frequency


def _renamed(found: Tally) -> list[Change]:
    changes = []
    for key, table in found.survey.names.items():
        other = table.filter(pl.col(RAW) != pl.col(NAME)) if table.schema[RAW] == pl.String else table.clear()
        if other.height:
            changes.append(
                Change(
                    "names",
                    f"lines whose {key} was written with other blanks or case got the usual spelling ({other.height:,} spellings)",
                    int(other[LINES].sum()),
                )
            )
    return changes


def _build(
    lines: SalesLines, found: Tally, rows: pl.DataFrame, frequency: Frequency, cutoff: date | None, settings: CleanSettings
) -> tuple[SalesPanel, Span, list[Change]]:
    """Cut to whole periods, then join covariates and attributes."""
    changes = []
    summed = lines.shape == "transactions" or frequency != found.frequency
    span = whole_span(found.survey.days, frequency, cutoff, summed=summed and settings.partial)
    apart: list[pl.Series] = []
    for partial, end, word in ((span.partial_first, span.first, "first"), (span.partial_last, span.last, "last")):
        if partial:
            left = rows.filter(pl.col(PERIOD) < end if word == "first" else (pl.col(PERIOD) > end) & pl.col(SALES).is_not_null())
            apart.append(left[SERIES])
            when = frequency.date(end - 1 if word == "first" else end + 1)
            changes.append(
                Change(
                    "partial",
                    f"the {word} {frequency.noun}, of {when}, is partial and was left out",
                    left.height,
                    left[SERIES].n_unique(),
                    -float(left[SALES].sum()),
                )
            )
    if span.partial_first:
        rows = rows.filter(pl.col(PERIOD) >= span.first)
    kinds: dict[str, Kind] = dict(found.kinds)
    rows = hide_future(rows, span.last, kinds)
    rows, series, begun = _recode(rows, found.series, span.last)
    changes += _nowhere_else(apart, begun, found.series, frequency)
    if settings.outliers == "cap":
        rows, more = cap_outliers(rows, upper_limits(rows, series.height))
        changes += more
    closed, more = closed_flag(rows, span.last, kinds) if settings.closed else (None, [])
    changes += more
    names = found.survey.names
    declared = {**kinds, **lines.covariates}
    first = int(series["start"].min())  # type: ignore[arg-type]
    tables, more = panel_tables(lines.tables, series, names, declared, frequency=frequency, first=first, cutoff=span.last)
    changes += more
    kinds |= {n: declared[n] for t in tables for n in t.values}
    attached: dict[str, pl.DataFrame | None] = {}
    for word, table, key in (("items", lines.items, ITEM), ("places", lines.places, LOCATION)):
        attached[word], static, more = attributes(table, key, series, names.get(key), f"the table of {word}")
        changes += more
        kinds |= {n: k for n, k in static.items() if n not in kinds}
    panel = SalesPanel(
        rows=rows,
        series=series,
        frequency=frequency,
        cutoff=span.last,
        covariates=kinds,
        tables=tuple(tables),
        items=attached["items"],
        places=attached["places"],
        net_of_returns=settings.returns == "net",
        closed_when=closed,
    )
    return panel, span, changes


def _nowhere_else(apart: list[pl.Series], begun: pl.Series, series: pl.DataFrame, frequency: Frequency) -> list[Change]:
    """Series that have sales in a partial period alone: with it, they are gone from the panel.

    Parameters
    ----------
    apart : codes of the series in the partial periods, one for each row left out
    begun : codes of the series that are in the panel
    series : all series, by code
    """
    if not apart or begun.len() == series.height:
        return []
    codes = pl.concat(apart)
    kept = np.zeros(series.height, dtype=bool)
    kept[begun.to_numpy()] = True
    lost = codes.filter(~kept[codes.to_numpy()])
    which = lost.unique().sort()
    if not which.len():
        return []
    firsts = series[which.head(SHOWN)].iter_rows(named=True)
    named = "; ".join(f"item {shorten(who[ITEM], 30)} at location {shorten(who[LOCATION], 30)}" for who in firsts)
    more = f" and {which.len() - SHOWN:,} more" if which.len() > SHOWN else ""
    what = f"series sold in a {frequency.noun} that was left out and in no other are not in the panel: {named}{more}"
    return [Change("partial", what, lost.len(), which.len())]


def _recode(
    rows: pl.DataFrame, series: pl.DataFrame, cutoff: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    """The series that have begun by the cutoff, with their start; their rows under new codes; and their old codes."""
    history = rows.filter(pl.col(PERIOD) <= cutoff)
    if not history.height:
        raise DataError("No sales lie before the cutoff. Choose a later one.")
    change = (history[SERIES].diff() != 0).fill_null(True)
    starts = history.filter(change).select(SERIES, PERIOD)
    begun = series[starts[SERIES]].with_columns(starts[PERIOD].alias("start"))
    if starts.height < series.height:
        codes = starts.select(SERIES).with_row_index("new")
        rows = (
            rows.join(codes, on=SERIES, how="inner", maintain_order="left")
            .with_columns(pl.col("new").cast(pl.UInt32).alias(SERIES))
            .drop("new")
        )
    rest = [c for c in rows.columns if c not in (SERIES, PERIOD, SALES)]
    return rows.select(SERIES, PERIOD, SALES, *rest), begun, starts[SERIES]


# -- panels ---------------------------------------------------------------------------------------------------------


def _clean_panel(panel: SalesPanel, settings: CleanSettings) -> Cleaned:
    """The rules that a panel can still need; a clean one comes back equal."""
    rows, changes = drop_unusable_numbers(panel.rows)
    if settings.returns == "apart" and not panel.net_of_returns:
        rows, more = lift_negative_periods(rows)
        changes += more
    if settings.prices:
        rows, more = drop_bad_prices(rows)
        changes += more
    if settings.outliers == "cap":
        rows, more = cap_outliers(rows, upper_limits(rows.filter(pl.col(PERIOD) <= panel.cutoff), len(panel)))
        changes += more
    closed = panel.closed_when
    if closed is None and settings.closed:
        closed, more = closed_flag(rows, panel.cutoff, panel.covariates)
        changes += more
    net = panel.net_of_returns or settings.returns == "net"
    return Cleaned(replace(panel, rows=rows, closed_when=closed, net_of_returns=net), changes_table(changes))

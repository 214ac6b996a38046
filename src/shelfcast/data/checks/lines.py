"""Kinds of finding that show in single lines, before anything is added up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from shelfcast.data.checks.view import View
from shelfcast.data.cleaning.copies import MONEY
from shelfcast.data.cleaning.copies import equal_lines as copied
from shelfcast.data.cleaning.flaws import EARLIEST, HUGE, LATEST
from shelfcast.data.cleaning.tally import LEAST, LINES, MOST, shorter_than_recorded
from shelfcast.data.findings import SHOWN, Found, Severity, kind
from shelfcast.data.lines import CANCELLED
from shelfcast.errors import shorten
from shelfcast.names import AVAILABLE, DATE, PRICE, PROMO, SALES, STOCK
from shelfcast.panel import PERIOD, SERIES

MOSTLY: Final = 0.5  # a column of which more cannot be used is not that column
DOUBLED: Final = 0.2  # of the lines: no till scans so many twice, a file was joined to itself
NOTHING_LEFT: Final = "the lines are rejected and listed with their reason"


@dataclass(frozen=True)
class _Words:
    flaw: str
    severity: Severity
    says: str
    why: str
    does: str
    fatal: bool = False  # an ERROR where it takes most lines


_FLAWS: Final = (
    _Words(
        "unparsable_dates",
        "WARNING",
        "rows have a date that cannot be read",
        "Sales without a day cannot enter any forecast.",
        NOTHING_LEFT,
        fatal=True,
    ),
    _Words(
        "missing_dates", "WARNING", "rows have no date", "Sales without a day cannot enter any forecast.", NOTHING_LEFT, fatal=True
    ),
    _Words(
        "absurd_dates",
        "WARNING",
        f"rows are dated before {EARLIEST.year} or after {LATEST.year}",
        "Spreadsheets and databases write such dates where none was known.",
        NOTHING_LEFT,
        fatal=True,
    ),
    _Words(
        "future_dates",
        "WARNING",
        "rows have sales dated after today",
        "What has not happened cannot have been sold; often day and month were exchanged.",
        "their sales are not used; give --cutoff where the data run ahead of the calendar on purpose",
        fatal=True,
    ),
    _Words("missing_items", "WARNING", "rows have no item", "We do not know what was sold.", NOTHING_LEFT, fatal=True),
    _Words("missing_locations", "WARNING", "rows have no location", "We do not know where it was sold.", NOTHING_LEFT, fatal=True),
    _Words(
        "no_products",
        "NOTE",
        "rows are no products but postage, fees or bookkeeping",
        "A stock code that names no product: its quantities are not what customers want.",
        "they are left out and listed with their reason",
    ),
    _Words(
        "unparsable_sales",
        "WARNING",
        "rows have sales that are no number",
        "A text in the sales column is not counted.",
        "the sales are not used; the rows are listed with their reason",
        fatal=True,
    ),
    _Words(
        "missing_sales",
        "NOTE",
        "rows have no sales",
        "Nobody knows what was sold then; that is not the same as nothing.",
        "recorded series keep the period as not known; order lines are left out",
    ),
    _Words(
        "infinite_sales",
        "WARNING",
        "rows have sales that are infinite or not a number",
        "They would make every sum infinite.",
        "the sales are not used; the rows are listed with their reason",
        fatal=True,
    ),
    _Words(
        "huge_sales",
        "WARNING",
        f"rows have sales beyond {HUGE:,.0f} units",
        "No shop sells that; a barcode may have slipped into the quantity.",
        "the sales are not used; the rows are listed",
        fatal=True,
    ),
    _Words(
        "times_of_day",
        "NOTE",
        "rows have a time of day",
        "Days end at midnight of the clock that wrote them.",
        "lines are added up by day, or by the hour where every row is a full hour",
    ),
    _Words(
        "fractional_units",
        "NOTE",
        "rows have fractions of a unit",
        "Weighed goods, or money in place of units: forecasts will not be whole numbers either.",
        "nothing",
    ),
    _Words(
        "cancelled_lines",
        "NOTE",
        "rows cancel an earlier sale",
        "An order that was taken back was no demand, or was.",
        "each is matched with its sale of the 30 days before and both are removed; the rest counts as returns",
    ),
    _Words(
        "zero_prices",
        "NOTE",
        "rows have a price of zero",
        "Gifts, samples, or a correction: not a price that customers answer to.",
        "the price is taken as not known; the units count",
    ),
    _Words(
        "negative_prices",
        "WARNING",
        "rows have a price below zero",
        "Price and sales contradict each other: nobody is paid for buying.",
        "the price is taken as not known; the units count",
    ),
    _Words(
        "infinite_prices",
        "WARNING",
        "rows have a price that is infinite or not a number",
        "It is no price.",
        "the price is taken as not known",
    ),
    _Words(
        "sales_without_price",
        "NOTE",
        "rows have sales without a price",
        "What was sold had a price; what the customer saw is not known.",
        "the price of the period comes from its other rows",
    ),
    *(
        _Words(
            f"unparsable_{name}",
            "WARNING",
            f"rows have a value of {name} that is no number",
            f"The {name} is not known there.",
            "the value is taken as not known",
        )
        for name in (PRICE, PROMO, STOCK, AVAILABLE)
    ),
)


def _look_for(words: _Words) -> Callable[[View], Found | None]:
    def look(view: View) -> Found | None:
        survey = view.survey
        if survey is None or not survey.flaws.get(words.flaw):
            return None
        count = survey.flaws[words.flaw]
        if words.flaw == "missing_sales":  # rows after the last sale are the future that known covariates need
            count = min(count, view.unknown_in_history)
        money = survey.money.get(words.flaw)
        fatal = words.fatal and count > MOSTLY * survey.rows
        return Found(count, survey.rows, view.first_lines[words.flaw], money or None, severity="ERROR" if fatal else None)

    return look


for _words in _FLAWS:
    kind(_words.flaw, _words.severity, looks_at="lines", says=_words.says, unit="rows", why=_words.why, does=_words.does)(
        _look_for(_words)
    )


@kind(
    "returns",
    "NOTE",
    looks_at="lines",
    says="rows have negative units",
    unit="rows",
    why="Goods came back, or the stock was corrected; what was wanted is what was sold before that.",
    does="returns are set aside and logged; a recorded period below zero becomes zero",
)
def returns(view: View) -> Found | None:
    """Negative lines that cancel nothing; many of them in a recorded series mean that the column is not sales."""
    survey = view.survey
    if survey is None or not survey.flaws.get("negative_units"):
        return None
    count = survey.flaws["negative_units"]
    many = count > MOSTLY * survey.rows
    return Found(
        count,
        survey.rows,
        view.first_lines["negative_units"],
        survey.money.get("negative_units") or None,
        severity="WARNING" if many else None,
        says="rows have negative units and cancel nothing" if CANCELLED in survey.schema else None,
    )


@kind(
    "time_zones",
    "NOTE",
    looks_at="lines",
    says="rows have dates with a time zone",
    unit="rows",
    why="Midnight depends on the zone: a sale at half past eleven belongs to the day of the shop's own clock.",
    does="the clock time as written counts, and the zone is left out",
)
def time_zones(view: View) -> Found | None:
    """A time zone in the type of the date column."""
    if view.lines is None or view.survey is None:
        return None
    when = view.lines.frame.collect_schema().get(DATE)
    if not isinstance(when, pl.Datetime) or when.time_zone is None:
        return None
    return Found(view.survey.rows, view.survey.rows, says=f"rows have dates in the time zone {when.time_zone}")


@kind(
    "equal_lines",
    "NOTE",
    looks_at="lines",
    says="rows equal another one in every column",
    unit="rows",
    why="A line that was written twice counts twice; but a till also writes an item that was scanned twice as two equal lines.",
    does="kept as they are; choose copies = drop to count equal lines once",
)
def equal_lines(view: View) -> Found | None:
    """Equal in all that the source says of them, the number of their invoice or receipt included."""
    if view.lines is None or view.survey is None:
        return None
    found = copied(view.lines)
    if found is None or not found.height:
        return None
    return Found(
        found.height,
        view.survey.rows,
        [view.at_line(row | {"value": f"units {row[SALES]:g}"}) for row in found.head(SHOWN).iter_rows(named=True)],
        float(found[MONEY].sum()) or None if MONEY in found.columns else None,
        severity="WARNING" if found.height > DOUBLED * view.survey.rows else None,
        says=f"rows equal another one in every column, {shorten(view.lines.document, 20)} included",
    )


@kind(
    "repeated_keys",
    "ERROR",
    looks_at="lines",
    says="rows repeat an item, location and date, and differ",
    unit="rows",
    why="A recorded series has one number a period; two that differ cannot both be right.",
    does="they are added up; choose repeated = last, mean or error instead",
)
def repeated_keys(view: View) -> Found | None:
    """Several rows of a recorded series for one period. If all of them say the same, that is a warning."""
    if view.tally is None or view.lines is None or view.lines.shape != "series":
        return None
    rows = view.tally.rows
    many = rows.filter(pl.col(LINES) > 1)
    if not many.height:
        return None
    differ = many.filter(pl.col(LEAST) != pl.col(MOST))
    shown = differ if differ.height else many
    count = int((shown[LINES].cast(pl.Int64) - 1).sum())
    places = []
    first = shown.head(5)
    for code, period, least, most in first.select(SERIES, PERIOD, LEAST, MOST).iter_rows():
        who = view.tally.series.row(code, named=True)
        places.append(
            view.place(who, view.tally.frequency.date(period), f"{least:g} and {most:g}" if least != most else f"{least:g}")
        )
    total = int(rows[LINES].cast(pl.Int64).sum())
    if differ.height:
        return Found(count, total, places)
    return Found(
        count,
        total,
        places,
        severity="WARNING",
        says="rows repeat an item, location and date, and say the same",
        does="each is counted once",
    )


@kind(
    "finer_than_recorded",
    "ERROR",
    looks_at="lines",
    says="periods shorter than the recorded ones were asked for",
    unit="periods",
    why="What was sold on each day of a recorded month is not known; most periods would be empty.",
    does="refused; leave --freq out, or ask for the recorded period or a longer one",
)
def finer_than_recorded(view: View) -> Found | None:
    """The dates show a longer period than the one asked for."""
    if view.lines is None or view.tally is None or view.lines.freq is None:
        return None
    recorded = shorter_than_recorded(view.lines, view.tally.survey)
    if recorded is None:
        return None
    return Found(1, 1, [view.place({}, None, f"recorded {recorded.word}, asked for {view.lines.freq.word}")])


@kind(
    "stray_dates",
    "WARNING",
    looks_at="lines",
    says="rows lie far from all other dates",
    unit="rows",
    why="A mistyped year moves the end of the history, and every series looks withdrawn.",
    does="nothing; give --cutoff with the last true day, or mend the dates",
)
def stray_dates(view: View) -> Found | None:
    """A few lines at either end, with at least half of the whole history empty between them and the rest."""
    if view.survey is None or view.survey.days.height < 3:
        return None
    days = view.survey.days.filter(pl.col(SALES) > 0)
    numbers = days["when"].cast(pl.Date).cast(pl.Int32).to_numpy()
    if len(numbers) < 3:
        return None
    lines = days[LINES].to_numpy().astype("int64")
    gaps = numbers[1:] - numbers[:-1]
    at = int(gaps.argmax())
    before, after = int(lines[: at + 1].sum()), int(lines[at + 1 :].sum())
    few = min(before, after)
    rest = (numbers[-1] - numbers[at + 1]) if after > before else (numbers[at] - numbers[0])
    if gaps[at] < 366 or gaps[at] < rest / 2 or few > 0.01 * (before + after):
        return None
    stray = days["when"][-1] if after < before else days["when"][0]
    return Found(few, before + after, [view.place({}, stray, None)])

"""What a report says, as plain tables and arrays: filled by `gather`, drawn by `report`, and testable without either."""

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from shelfcast.periods import Frequency

FINDINGS_SCHEMA = {"severity": pl.String, "kind": pl.String, "count": pl.Int64, "of": pl.Int64, "unit": pl.String,
                   "sentence": pl.String, "first": pl.String, "money": pl.Float64, "cleaning": pl.String}
CHANGES_SCHEMA = {"rule": pl.String, "what": pl.String, "rows": pl.Int64, "series": pl.Int64, "units": pl.Float64}
ACCURACY_SCHEMA = {"kind": pl.String, "group": pl.String, "model": pl.String, "metric": pl.String, "value": pl.Float64,
                   "series": pl.Int64}
MOVES_SCHEMA = {"name": pl.String, "next": pl.Float64, "before": pl.Float64, "mark": pl.String}
PLACES_SCHEMA = {"name": pl.String, "latitude": pl.Float64, "longitude": pl.Float64, "next": pl.Float64, "alike": pl.Float64,
                 "before": pl.Float64, "mark": pl.String}


@dataclass(frozen=True, kw_only=True)
class About:
    """What the numbers alone do not say.

    Attributes
    ----------
    title : heading of the report
    source : where the sales came from, for a reader
    model : name of the model
    why : one sentence on why this model
    unit : what one unit of sales is called, plural
    manifest : (label, value) pairs: version, seed, fingerprint, time ...
    """

    title: str
    source: str
    model: str = ""
    why: str = ""
    unit: str = "units"
    manifest: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """An earlier stretch as long as the horizon, to compare the forecast with.

    Attributes
    ----------
    name : how a sentence calls it: `the same 48 days last year`
    first, last : its dates
    units : sold in it, all series
    series, of : how many of the forecast's series have a record of at least half of it, and how many the forecast has
    alike_units, alike_next : sold in it and expected next, over those series alone (like for like)
    """

    name: str
    first: date
    last: date
    units: float
    series: int
    of: int
    alike_units: float
    alike_next: float

    @property
    def alike(self) -> bool:
        """Nearly all of the forecast's series can be compared with the stretch, so totals may be compared as they are."""
        return self.series >= 0.98 * self.of


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """How errors are assumed to move together, which series' quantiles alone cannot say.

    Attributes
    ----------
    series : correlation between the errors of two series, 0 to 1
    time : correlation between the total's errors in two periods of the horizon, 0 to 1
    how : one sentence: where the two numbers come from
    """

    series: float
    time: float
    how: str


@dataclass(frozen=True, kw_only=True)
class Fan:
    """History and forecast of one series or of the total. Dates rise; tables are short enough to be drawn.

    Attributes
    ----------
    name : title of the chart
    why : why this series is shown
    history : date, sales (null: not known), and where recorded closed, promo, sold_out (Boolean)
    forecast : date, mean, then q columns, rising levels
    ghost : date (shifted to this year), sales: the same stretch a year before; may be empty
    overview : date, sales: the whole history, coarse
    """

    name: str
    why: str
    history: pl.DataFrame
    forecast: pl.DataFrame
    ghost: pl.DataFrame
    overview: pl.DataFrame


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """All that a report says.

    Attributes
    ----------
    about : title, source, model, manifest
    frequency, horizon, cutoff : length of a period, number of periods, last day of history
    facts : (label, value) pairs on the panel: counts, dates, covariates
    total : fan of all series together
    expected, low, high : units over the whole horizon: mean and 80 % range
    levels : levels of the forecast's quantiles
    money : expected value at the last known prices, or None without prices
    priced : share of the expected units that has a price
    stretches : earlier stretches to compare with, the best comparison first; may be empty
    chosen : fans of chosen series
    series : how many series the forecast has
    dependence : assumption behind the bands of totals
    items, locations : see MOVES_SCHEMA, units: what moves most like for like, largest growth first; then what is new or back
    places : see PLACES_SCHEMA, degrees and units, `alike` and `before` like for like; empty without coordinates
    findings : see FINDINGS_SCHEMA, worst first
    changes : see CHANGES_SCHEMA
    accuracy : see ACCURACY_SCHEMA, the forecast's model and the naive one; of places the largest, the largest first
    scored_places : how many places were measured
    withdrawn : reason, series; and the first few in `withdrawn_first`: name, last_sale, reason
    """

    about: About
    frequency: Frequency
    horizon: int
    cutoff: date
    facts: tuple[tuple[str, str], ...]
    total: Fan
    expected: float
    low: float
    high: float
    levels: tuple[float, ...]
    series: int
    dependence: Dependence
    money: float | None = None
    priced: float = 0.0
    stretches: tuple[Stretch, ...] = ()
    chosen: tuple[Fan, ...] = ()
    items: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MOVES_SCHEMA))
    locations: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MOVES_SCHEMA))
    places: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PLACES_SCHEMA))
    findings: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FINDINGS_SCHEMA))
    changes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CHANGES_SCHEMA))
    accuracy: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ACCURACY_SCHEMA))
    scored_places: int = 0
    withdrawn: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"reason": pl.String, "series": pl.Int64}))
    withdrawn_first: pl.DataFrame = field(default_factory=lambda: pl.DataFrame())

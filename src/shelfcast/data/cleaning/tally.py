"""The one streaming pass from lines to periods, which checking and cleaning share.

Lines are first surveyed (flaws, days, names: small answers, one scan), then added up by item, location and period. The three keys
are packed into one 64-bit number: grouping and sorting 23 million rows by it takes a third of the time of three columns.
"""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from shelfcast.data.cleaning.flaws import AT_STAKE, REJECTING, SALES_ONLY, line_flaws, money_of
from shelfcast.data.lines import SalesLines
from shelfcast.data.split import lines_until
from shelfcast.errors import DataError, shorten
from shelfcast.names import ALL, AVAILABLE, DATE, ITEM, KEYS, LOCATION, PRICE, PROMO, SALES, STOCK, Kind
from shelfcast.panel import PERIOD, SERIES
from shelfcast.periods import Frequency, infer_frequency

# A name with a ~ before it is no column of a source: covariates stand beside these.
SOLD = "~sold"  # Float64, units >= 0: sum of the lines that are not negative; null: no line says
RETURNED = "~returned"  # Float64, units <= 0: sum of the negative lines
LINES = "~lines"  # UInt32: lines with sales in the period
LEAST, MOST, LAST = "~least", "~most", "~last"  # Float64: of the lines' sales; only for recorded series
RAW, NAME, CODE, WHEN = "raw", "name", "code", "when"
_BAD_PRICES = frozenset({"zero_prices", "negative_prices", "infinite_prices", "sales_without_price", "unparsable_price"})
_KEY = "~key"  # Int64: series and period of a line as one number
_SIGNED = 1 << 63  # past it a number is no 64-bit integer with a sign
_NARROW = 1 << 22  # whole numbers within such a range are their own codes: no list of names, no join
_AT_ONCE = 100_000_000  # lines that may be sorted in memory as one number each: 800 MB
_FEW_DATES = 6  # fewer may share a weekday or a first of the month by chance
_LENGTH = "hDWMQY"  # units of frequency, the shortest first


@dataclass(frozen=True)
class Survey:
    """Small answers about all lines.

    Attributes
    ----------
    schema : of the lines' frame
    rows : number of lines
    flaws : {flaw: number of lines}
    money : {flaw that occurs and puts money at stake: money on those lines}; empty without prices
    days : table `when` (Date; Datetime by the hour where times of day occur), `lines`, `sales` (lines with usable sales), of usable
        dates, sorted
    names : {item or location: table `raw`, `lines`, `name` (the spelling kept), `code` (rank)}; not for keys in `ranges`
    ranges : {item or location that is a whole number in a narrow range: (smallest, largest)}; such a number is its own code
    most : largest number of units in a line that is finite
    """

    schema: Mapping[str, pl.DataType]
    rows: int
    flaws: Mapping[str, int]
    money: Mapping[str, float]
    days: pl.DataFrame
    names: Mapping[str, pl.DataFrame]
    ranges: Mapping[str, tuple[int, int]]
    most: float


@dataclass(frozen=True)
class Tally:
    """Lines added up.

    Attributes
    ----------
    survey : small answers about the lines
    frequency : of `rows`: as asked for or inferred for transactions; the recorded one for series, which cleaning may sum further
    series : table `item`, `location`, sorted
    rows : table `series`, `period`, `sold`, `returned` where anything came back, for recorded series `lines`, `least`, `most`,
        `last`, then the covariates; sorted by series and period, each once
    kinds : {covariate in `rows`: known or past}
    """

    survey: Survey
    frequency: Frequency
    series: pl.DataFrame
    rows: pl.DataFrame
    kinds: Mapping[str, Kind]


_memo: list[tuple["weakref.ref[SalesLines]", tuple[object, ...], Tally]] = []  # at most one: the last lines that were tallied


def tally(lines: SalesLines, *, today: date, cutoff: date | None = None, unify_names: bool = True) -> Tally:
    """Survey the lines as they were known at `cutoff` and add them up; a second call with the same lines costs nothing.

    Raises
    ------
    DataError
        If no line has a usable item, location, date and sales.
    """
    asked = (today, cutoff, unify_names)
    for reference, settings, done in _memo:
        if reference() is lines and settings == asked:
            return done
    done = _tally(lines if cutoff is None else lines_until(lines, cutoff), today, unify_names)
    _memo[:] = [(weakref.ref(lines, lambda _: _memo.clear()), asked, done)]
    return done


def forget(lines: SalesLines) -> None:
    """Give back the memory that the tally of these lines takes."""
    if _memo and _memo[0][0]() is lines:
        _memo.clear()


def kinds_of(lines: SalesLines, schema: Mapping[str, pl.DataType]) -> dict[str, Kind]:
    """{covariate in the sales file: kind}: those with a role are past unless declared otherwise."""
    kinds: dict[str, Kind] = {name: "past" for name in (PRICE, PROMO, STOCK, AVAILABLE) if name in schema}
    return kinds | {name: kind for name, kind in lines.covariates.items() if name in schema}


def canonical(lines: SalesLines) -> pl.LazyFrame:
    """The lines with dates without a time zone (the clock on the wall stays), text keys for categories, finite types."""
    schema = lines.frame.collect_schema()
    missing = [c for c in (DATE, SALES) if c not in schema]
    if missing:
        raise DataError(
            f"{shorten(lines.source)} has no column for {' and '.join(missing)}; its columns are "
            f"{', '.join(map(shorten, list(schema)[:20]))}. Name them: --columns date=...,sales=..."
        )
    changes = [pl.col(SALES).cast(pl.Float64)] if schema[SALES] != pl.Float64 else []
    when = schema[DATE]
    if isinstance(when, pl.Datetime) and when.time_zone is not None:
        changes.append(pl.col(DATE).dt.replace_time_zone(None))
    elif when == pl.Null:
        changes.append(pl.col(DATE).cast(pl.Date))
    elif not isinstance(when, (pl.Date, pl.Datetime)):
        raise DataError(
            f"The date column of {shorten(lines.source)} holds {when}, not dates. Read it with read_sales, which reads texts."
        )
    changes += [pl.col(k).cast(pl.String) for k in KEYS if k in schema and isinstance(schema[k], (pl.Categorical, pl.Enum))]
    return lines.frame.with_columns(changes) if changes else lines.frame


def _tally(lines: SalesLines, today: date, unify_names: bool) -> Tally:
    frame = canonical(lines)
    survey = survey_lines(frame, today=today, unify_names=unify_names)
    if not survey.days.height or any(not t.height for t in survey.names.values()):
        if not survey.rows:
            raise DataError(f"No row of {shorten(lines.source)} lies within history: choose a later cutoff.")
        worst = max(REJECTING, key=lambda name: survey.flaws.get(name, 0))
        most = survey.flaws.get(worst, 0)
        why = f" Most often: {most:,} lines with {worst.replace('_', ' ')}." if most else ""
        raise DataError(
            f"None of the {survey.rows:,} rows of {shorten(lines.source)} has a usable item, location, date and sales."
            f"{why} See what is wrong: shelfcast check"
        )
    frequency = frequency_of(lines, survey)
    kinds = kinds_of(lines, survey.schema)
    packed, space = _pack(frame, survey, frequency)
    rows = _add_up(packed, space, lines, survey, kinds, today)
    if not rows.height:
        raise DataError(f"None of the {survey.rows:,} rows of {shorten(lines.source)} has a usable item, location, date and sales.")
    code = rows[_KEY] // space.periods
    first = code.rle_id() if code.len() else code
    which = code.filter((first.diff() != 0).fill_null(True)).to_numpy()
    series = pl.DataFrame([space.values(ITEM, which // space.locations), space.values(LOCATION, which % space.locations)])
    rows = rows.with_columns(
        first.cast(pl.UInt32).alias(SERIES), (pl.col(_KEY) % space.periods + space.first).cast(pl.Int32).alias(PERIOD)
    )
    rest = [c for c in rows.columns if c not in (_KEY, SERIES, PERIOD)]
    return Tally(survey, frequency, series, rows.select(SERIES, PERIOD, *rest), kinds)


# -- surveying ------------------------------------------------------------------------------------------------------


def survey_lines(frame: pl.LazyFrame, *, today: date, unify_names: bool) -> Survey:
    """One scan for all small answers."""
    schema = dict(frame.collect_schema())
    flaws = line_flaws(schema, today=today)
    usable = ~pl.any_horizontal([flaws[f] for f in REJECTING if f in flaws and f not in SALES_ONLY])
    said = pl.col(SALES).is_not_null() & ~pl.any_horizontal([flaws[f] for f in SALES_ONLY])
    counts = [pl.len().alias("rows"), *(e.sum().alias(f"n {n}") for n, e in flaws.items())]
    when = pl.col(DATE) if schema[DATE] == pl.Date else pl.col(DATE).dt.truncate("1h")
    keys: list[str] = [k for k in KEYS if k in schema]
    whole = [k for k in keys if schema[k].is_integer()]
    counts.append(pl.col(SALES).filter(pl.col(SALES).is_finite()).max().alias("most"))
    counts += [e.alias(f"{word} {k}") for k in whole for word, e in (("low", pl.col(k).min()), ("high", pl.col(k).max()))]
    queries = [
        frame.select(counts),
        frame.filter(usable).group_by(when.alias(WHEN)).agg(pl.len().alias(LINES), said.sum().alias(SALES)),
    ]
    queries += [_spellings(frame.filter(usable), k) for k in keys if k not in whole]
    answer, days, *tables = pl.collect_all(queries, engine="streaming")
    found = answer.row(0, named=True)
    ends = {k: (found[f"low {k}"] or 0, found[f"high {k}"] or 0) for k in whole}
    ranges = {k: e for k, e in ends.items() if e[1] - e[0] < _NARROW and -_SIGNED <= e[0] <= e[1] < _SIGNED}
    wide = [k for k in whole if k not in ranges]  # barcodes: rare, and worth a scan of their own
    named = dict(zip([k for k in keys if k not in whole], tables, strict=True))
    if wide:
        named |= zip(wide, pl.collect_all([_spellings(frame.filter(usable), k) for k in wide], engine="streaming"), strict=True)
    names = {k: _codes(named[k], unify=unify_names) for k in keys if k in named}
    return Survey(
        schema=schema,
        rows=found["rows"],
        flaws={n: int(found[f"n {n}"]) for n in flaws},
        money=_money(frame, schema, {n: e for n, e in flaws.items() if n in AT_STAKE and found[f"n {n}"]}),
        days=days.sort(WHEN),
        names=names,
        ranges=ranges,
        most=found["most"] or 0.0,
    )


def _money(frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], flaws: Mapping[str, pl.Expr]) -> dict[str, float]:
    """A second scan, only where there is something to count."""
    money = money_of(schema)
    if money is None or not flaws:
        return {}
    sums = frame.select(money.filter(e).sum().alias(n) for n, e in flaws.items()).collect(engine="streaming")
    return {n: float(v) for n, v in sums.row(0, named=True).items()}


def _spellings(frame: pl.LazyFrame, key: str) -> pl.LazyFrame:
    # Lines without sales do not count: future rows of known covariates have no say in how an item is spelt.
    return frame.group_by(pl.col(key).alias(RAW)).agg(pl.col(SALES).count().alias(LINES))


def _codes(table: pl.DataFrame, *, unify: bool) -> pl.DataFrame:
    """The spelling kept for each name, and its rank. Spellings that differ by blanks or case become the most frequent one."""
    if table.schema[RAW] == pl.String and unify:
        table = table.with_columns(pl.col(RAW).str.strip_chars().str.replace_all(r"\s+", " ").alias("trimmed"))
        kept = (
            table.group_by("trimmed")
            .agg(pl.col(LINES).sum())
            .sort(LINES, "trimmed", descending=[True, False])
            .group_by(pl.col("trimmed").str.to_lowercase().alias("folded"), maintain_order=True)
            .agg(pl.col("trimmed").first().alias(NAME))
        )
        table = (
            table.with_columns(pl.col("trimmed").str.to_lowercase().alias("folded"))
            .join(kept, on="folded", how="left")
            .drop("trimmed", "folded")
        )
    else:
        table = table.with_columns(pl.col(RAW).alias(NAME))
    ranks = table.select(pl.col(NAME).unique().sort()).with_row_index(CODE)
    return table.join(ranks, on=NAME, how="left").with_columns(pl.col(CODE).cast(pl.Int64)).sort(CODE, RAW)


def frequency_of(lines: SalesLines, survey: Survey) -> Frequency:
    """The frequency of the tally: as recorded for series, as asked for or by the day for transactions.

    A shorter period than the recorded one is used if it is asked for: all dates may be firsts of months by chance. Weeks that
    the file itself marks by one weekday keep that weekday, whether or not weeks were asked for.
    """
    dates = survey.days.filter(pl.col(SALES) > 0)[WHEN] if survey.days[SALES].sum() else survey.days[WHEN]
    if dates.dtype != pl.Date and (survey.flaws.get("broken_hours", 0) or lines.shape == "transactions"):
        dates = dates.dt.date().unique()
    recorded = infer_frequency(dates)
    asked = lines.freq
    if lines.shape == "transactions":
        if recorded.unit in "WMQY" and dates.len() >= 3 and (asked is None or asked == Frequency(recorded.unit)):
            return recorded
        return asked or Frequency("D")
    if asked is None or (dates.len() > 1 and _LENGTH.index(asked.unit) > _LENGTH.index(recorded.unit)):
        return recorded
    return recorded if asked == Frequency("W") == Frequency(recorded.unit) else asked


def shorter_than_recorded(lines: SalesLines, survey: Survey) -> Frequency | None:
    """The recorded period, where the one asked for is shorter; None where it is not, or too few dates tell."""
    asked = lines.freq
    if asked is None:
        return None
    days = survey.days[WHEN]
    if asked.unit == "h" and lines.shape == "transactions":  # lines add up to any period that their dates can name
        timeless = days.dtype == pl.Date or not survey.flaws.get("times_of_day")
    else:
        timeless = asked.unit == "h" and days.dtype == pl.Date
    if not timeless and (lines.shape == "transactions" or days.len() < _FEW_DATES):
        return None
    if asked.unit == "h" and not timeless and days.dt.hour().n_unique() > 1:  # half hours, which are added up to hours
        return None
    recorded = frequency_of(replace(lines, freq=None), survey)
    return recorded if recorded.per_year < asked.per_year else None


# -- adding up ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Space:
    """How three keys become one number: ((item * locations) + location) * periods + (period - first)."""

    size: int
    locations: int
    periods: int
    first: int
    offsets: Mapping[str, int]
    names: Mapping[str, pl.Series]
    types: Mapping[str, pl.DataType]

    def values(self, key: str, codes: np.ndarray) -> pl.Series:
        if key in self.offsets:
            return (pl.Series(key, codes) + self.offsets[key]).cast(self.types[key])
        if key not in self.names:
            return pl.Series(key, [ALL] * len(codes), dtype=pl.String)
        return self.names[key].gather(codes).alias(key)


def _pack(frame: pl.LazyFrame, survey: Survey, frequency: Frequency) -> tuple[pl.LazyFrame, _Space]:
    ends = survey.days[WHEN].gather([0, -1]).to_frame(DATE).select(frequency.number_of(pl.col(DATE)))[DATE]
    first, periods = int(ends[0]), int(ends[1]) - int(ends[0]) + 1
    codes: dict[str, pl.Expr] = {}
    offsets, names, sizes = {}, {}, {ITEM: 1, LOCATION: 1}
    for key, table in survey.names.items():
        names[key] = table.select(pl.col(NAME).unique(maintain_order=True))[NAME]
        frame = frame.join(table.lazy().select(pl.col(RAW).alias(key), pl.col(CODE).alias(f"{key} code")), on=key, how="inner")
        codes[key], sizes[key] = pl.col(f"{key} code"), names[key].len()
    for key, (low, high) in survey.ranges.items():
        codes[key], offsets[key], sizes[key] = pl.col(key).cast(pl.Int64) - low, low, high - low + 1
    if sizes[ITEM] * sizes[LOCATION] * periods >= 1 << 62:
        raise DataError(
            f"{sizes[ITEM]:,} items at {sizes[LOCATION]:,} locations over {periods:,} {frequency.noun}s are too many to "
            f"count; give fewer items, or a longer period: --freq W"
        )
    zero = pl.lit(0, dtype=pl.Int64)
    key_of = (codes.get(ITEM, zero) * sizes[LOCATION] + codes.get(LOCATION, zero)) * periods
    key_of = key_of + frequency.number_of(pl.col(DATE)).cast(pl.Int64) - first
    size = sizes[ITEM] * sizes[LOCATION] * periods
    return frame.with_columns(key_of.alias(_KEY)), _Space(size, sizes[LOCATION], periods, first, offsets, names, survey.schema)


def _add_up(
    frame: pl.LazyFrame, space: _Space, lines: SalesLines, survey: Survey, kinds: Mapping[str, Kind], today: date
) -> pl.DataFrame:
    flaws = line_flaws(survey.schema, today=today)
    seen = {name for name, count in survey.flaws.items() if count}
    series = lines.shape == "series"
    spoilt = [f for f in REJECTING if f in seen]
    # A recorded row whose sales alone are unusable still says what was known; a transaction without sales says nothing.
    dropping: list[str] = [f for f in spoilt if not (series and f in SALES_ONLY)]
    if not series and "missing_sales" in seen:
        dropping.append("missing_sales")
    if dropping:
        frame = frame.filter(~pl.any_horizontal([flaws[f] for f in dropping]))
    hidden = [f for f in spoilt if series and f in SALES_ONLY]
    if hidden:
        gone = pl.any_horizontal([flaws[f] for f in hidden])
        masked = [SALES, *(name for name, kind in kinds.items() if kind == "past")]
        frame = frame.with_columns(pl.when(~gone).then(pl.col(c)).alias(c) for c in masked)
    unknown = bool(seen & {"missing_sales", *hidden})
    sales = pl.col(SALES)
    shift = int(survey.most).bit_length()
    returned = bool(seen & {"negative_units", "cancelled_lines"})
    if not (series or returned or set(kinds) - {PRICE}) and survey.rows <= _AT_ONCE:
        if not kinds and "fractional_units" not in seen and space.size << shift < 1 << 62:
            return _add_up_whole(frame, shift)
        return _add_up_sorted(frame, priced=PRICE in kinds, all_known=not seen & _BAD_PRICES)
    if returned:
        totals = [pl.when(sales >= 0).then(sales).sum().alias(SOLD), pl.when(sales < 0).then(sales).sum().alias(RETURNED)]
    else:
        totals = [sales.sum().alias(SOLD)]
    if series or unknown:
        totals.append((sales.count() if unknown else pl.len()).cast(pl.UInt32).alias(LINES))
    if series:
        totals += [sales.min().alias(LEAST), sales.max().alias(MOST), sales.last().alias(LAST)]
    totals += [_summary(name, survey.schema[name], plain=series).alias(name) for name in kinds]
    wanted = [_KEY, SALES, *kinds]
    rows = frame.select(wanted).group_by(_KEY).agg(totals).collect(engine="streaming").sort(_KEY)
    if unknown:
        rows = rows.with_columns(pl.when(pl.col(LINES) > 0).then(pl.col(SOLD)).alias(SOLD))
    return rows if series else rows.drop(LINES, strict=False)


def _add_up_whole(frame: pl.LazyFrame, shift: int) -> pl.DataFrame:
    """Whole units and nothing else: key and units share one number, so that one plain sort brings the lines of a period together.

    Five times faster than grouping, for 8 bytes a line.
    """
    both = pl.col(_KEY) * (1 << shift) + pl.col(SALES).cast(pl.Int64)
    packed = np.sort(frame.select(both.alias("both")).collect(engine="streaming")["both"].to_numpy())
    runs = _Runs(packed >> shift)
    packed &= (1 << shift) - 1
    return pl.DataFrame([pl.Series(_KEY, runs.keys), pl.Series(SOLD, runs.sum(packed).astype(np.float64))])


def _add_up_sorted(frame: pl.LazyFrame, *, priced: bool, all_known: bool) -> pl.DataFrame:
    """Units that are all sold, with or without prices: lines sorted by key, then summed in runs."""
    wanted = [_KEY, SALES]
    if priced:
        price = pl.col(PRICE)
        money = pl.col(SALES) * price
        if not all_known:  # nan marks a line whose price says nothing: one column less to sort than a weight beside it
            money = pl.when((price > 0) & price.is_finite()).then(money).otherwise(float("nan"))
        frame = frame.with_columns(money.alias("money"))
        wanted.append("money")
    lines = frame.select(wanted).collect(engine="streaming").sort(_KEY)
    runs = _Runs(lines[_KEY].to_numpy())
    units = lines[SALES].to_numpy()
    sold = runs.sum(units)
    out = [pl.Series(_KEY, runs.keys), pl.Series(SOLD, sold)]
    if priced:
        spent, weight = lines["money"].to_numpy(), sold
        priceless = np.flatnonzero(np.isnan(spent))
        if len(priceless):
            spent, weight = spent.copy(), sold.copy()
            spent[priceless] = 0.0
            np.subtract.at(weight, runs.of(priceless), units[priceless])
        with np.errstate(divide="ignore", invalid="ignore"):
            out.append(pl.Series(PRICE, runs.sum(spent) / weight).fill_nan(None))
    return pl.DataFrame(out)


class _Runs:
    """Runs of equal keys in a sorted array, made for runs of mostly one: only what is more than the first is added up."""

    def __init__(self, sorted_keys: np.ndarray) -> None:
        self._first = np.empty(len(sorted_keys), dtype=bool)
        self._first[:1] = True
        np.not_equal(sorted_keys[1:], sorted_keys[:-1], out=self._first[1:])
        self.keys = sorted_keys[self._first]
        self._rest = np.flatnonzero(~self._first)
        self._rest_of = self.of(self._rest)

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Which run each of these rising positions lies in."""
        # A position's run is its place less the values before it that opened no run.
        return positions - np.searchsorted(self._rest, positions, side="right")

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum of each run."""
        if len(self._rest) > len(self.keys):
            return np.add.reduceat(values, np.flatnonzero(self._first))
        out = values[self._first]
        np.add.at(out, self._rest_of, values[self._rest])
        return out


def _summary(name: str, dtype: pl.DataType, *, plain: bool) -> pl.Expr:
    """One value for a period.

    Prices by units sold (`plain`: where none were sold, their mean), promotions the most, stock the last, numbers their mean, texts
    the first.
    """
    column = pl.col(name)
    if name == PRICE:
        price = pl.when(column.is_finite()).then(column)
        weight = pl.when(price.is_not_null() & (pl.col(SALES) > 0) & (price > 0)).then(pl.col(SALES))
        weighted = (price * weight).sum() / weight.sum()
        listed = pl.when(price > 0).then(price).mean() if plain else pl.lit(None, dtype=pl.Float64)
        return pl.when(weight.sum() > 0).then(weighted).otherwise(listed)
    if name == PROMO and dtype.is_numeric():
        return column.max().cast(pl.Float64)
    if name == STOCK:
        return column.drop_nulls().last().cast(pl.Float64)
    if dtype == pl.Boolean:
        return column.max()
    if dtype.is_numeric():
        return column.mean()
    return column.drop_nulls().first()

"""Covariate files and attribute tables, brought to the panel's keys and periods."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from shelfcast.data.cleaning.rules import Change
from shelfcast.data.cleaning.tally import NAME, RAW
from shelfcast.data.lines import Covariates
from shelfcast.errors import DataError, shorten
from shelfcast.names import DATE, ITEM, KEYS, LATITUDE, LOCATION, LONGITUDE, PROMO, STOCK, Kind
from shelfcast.panel import PERIOD, CovariateTable
from shelfcast.periods import Frequency, infer_frequency

REGULAR: Final = 0.8  # so many of a table's steps must be one period of its frequency before a value stands for a longer period
NAMING: Final = 0.5  # a text that is different in over half of many rows names the row and does not describe it
FEW: Final = 20  # rows below which every text may describe
_ORDER: Final = {"h": 0, "D": 1, "W": 2, "M": 3, "Q": 4, "Y": 5}


def panel_tables(
    tables: Sequence[Covariates],
    series: pl.DataFrame,
    names: Mapping[str, pl.DataFrame],
    kinds: Mapping[str, Kind],
    *,
    frequency: Frequency,
    first: int,
    cutoff: int,
) -> tuple[list[CovariateTable], list[Change]]:
    """The declared covariates of each table, by the keys it has, in the panel's periods.

    Rows finer than a period are summarised; a value that stands for a longer period is spread over all it covers. Past covariates
    after the cutoff are removed.

    Parameters
    ----------
    series : the panel's series
    names : {key: table `raw`, `name`}: spellings that were unified
    first, cutoff : period numbers of the panel's first and last period of history
    """
    done, changes = [], []
    for table in tables:
        frame = table.frame.collect(engine="streaming")
        wanted = [n for n in frame.columns if kinds.get(n) in ("known", "past")]
        if not wanted:
            continue
        keys: list[str] = [k for k in KEYS if k in frame.columns]
        frame = frame.select(*keys, *([DATE] if DATE in frame.columns else []), *wanted)
        for key in keys:
            frame = match_key(frame, key, series[key], names.get(key), table.source)
        frame = frame.drop_nulls([k for k in (*keys, DATE) if k in frame.columns])
        if keys:
            frame = frame.join(series.select(keys).unique(), on=keys, how="semi")
        if DATE in frame.columns:
            frame, told = _in_periods(frame, frequency, table.source)
            changes += told
            past = [n for n in wanted if kinds[n] == "past"]
            if past:
                frame = frame.with_columns(pl.when(pl.col(PERIOD) <= cutoff).then(pl.col(n)).alias(n) for n in past)
            frame = frame.filter(pl.col(PERIOD) >= first if len(past) < len(wanted) else pl.col(PERIOD).is_between(first, cutoff))
            keys = [*keys, PERIOD]
        if not keys:
            raise DataError(
                f"The covariate file {shorten(table.source)} has none of the columns item, location, date. "
                f"Say which they are: --columns location=NAME"
            )
        repeated = frame.height - frame.select(keys).n_unique() if frame.height else 0
        frame = frame.group_by(keys, maintain_order=True).agg(_one_value(frame, n) for n in wanted).sort(keys)
        if repeated:
            changes.append(
                Change(
                    "covariates",
                    f"rows of {shorten(table.source, 40)} that share their {' and '.join(keys)} with another were joined",
                    repeated,
                )
            )
        done.append(CovariateTable(frame.with_columns(pl.col(PERIOD).cast(pl.Int32)) if PERIOD in keys else frame))
    return done, changes


def attributes(
    table: pl.DataFrame | None, key: str, series: pl.DataFrame, names: pl.DataFrame | None, source: str
) -> tuple[pl.DataFrame | None, dict[str, Kind], list[Change]]:
    """An attribute table with one row a key, which of its columns describe (and are static covariates), and what was changed."""
    if table is None or key not in table.columns:
        return None, {}, []
    frame = match_key(table, key, series[key], names, source).drop_nulls(key)
    changes = []
    once = frame.unique(subset=key, keep="first", maintain_order=True).sort(key)
    if once.height < frame.height:
        changes.append(
            Change("attributes", f"rows of {shorten(source, 40)} that repeat their {key} were left out", frame.height - once.height)
        )
    once = once.with_columns(
        pl.col(c).cast(pl.String) for c, t in once.schema.items() if isinstance(t, (pl.Categorical, pl.Enum)) and c != key
    )
    once = _with_days(once, key)
    kinds: dict[str, Kind] = {}
    for name, dtype in once.schema.items():
        if name in (ITEM, LOCATION, DATE) or name.startswith("__"):  # pandas writes its row labels under such names
            continue
        if (
            dtype.is_numeric()
            or dtype == pl.Boolean
            or (dtype == pl.String and (once.height <= FEW or once[name].n_unique() <= NAMING * once.height))
        ):
            kinds[name] = "static"
    for name in (LATITUDE, LONGITUDE):  # where a place is, is a matter for those who know distances
        kinds.pop(name, None)
    return once, kinds, changes


def _with_days(table: pl.DataFrame, key: str) -> pl.DataFrame:
    """Texts that are all days (2023-12-19) become dates: they tell of lives, and are neither numbers nor categories."""
    texts = [c for c, t in table.schema.items() if t == pl.String and c != key]
    days = table.select(pl.col(c).str.to_date("%Y-%m-%d", strict=False) for c in texts)
    whole = [c for c in texts if days[c].null_count() == table[c].null_count() < table.height]
    return table.with_columns(days.select(whole))


def match_key(frame: pl.DataFrame, key: str, wanted: pl.Series, names: pl.DataFrame | None, source: str) -> pl.DataFrame:
    """A key column in the type and the spelling of the sales' own.

    Raises
    ------
    DataError
        If the types cannot be brought together without loss.
    """
    own = frame[key].cast(pl.String) if isinstance(frame[key].dtype, (pl.Categorical, pl.Enum)) else frame[key]
    distinct = own.unique()
    matched = _in_type(distinct, key, wanted, source)
    if matched.dtype == pl.String:
        matched = matched.str.strip_chars().str.replace_all(r"\s+", " ")
        if names is not None:
            folded = pl.col(RAW).str.strip_chars().str.replace_all(r"\s+", " ").str.to_lowercase().alias("folded")
            spelling = names.select(folded, NAME).unique(subset="folded")
            table = matched.alias("own").to_frame().with_columns(pl.col("own").str.to_lowercase().alias("folded"))
            matched = (
                table.join(spelling, on="folded", how="left", maintain_order="left").select(pl.coalesce(NAME, "own")).to_series()
            )
    if matched.dtype == own.dtype and (matched == distinct).fill_null(True).all():
        return frame.with_columns(own)
    table = pl.DataFrame([distinct.alias("own"), matched.alias(key)])
    return frame.with_columns(
        own.alias("own").to_frame().join(table, on="own", how="left", maintain_order="left", nulls_equal=True)[key]
    )


def _in_type(column: pl.Series, key: str, wanted: pl.Series, source: str) -> pl.Series:
    if column.dtype == wanted.dtype:
        return column
    try:
        text = column.dtype == pl.String
        cast = column.str.strip_chars().cast(wanted.dtype, strict=False) if text else _as(column, wanted.dtype)
    except (pl.exceptions.PolarsError, AttributeError) as error:
        raise DataError(
            f"The {key} column of {shorten(source)} is of type {column.dtype}, that of the sales {wanted.dtype}."
        ) from error
    if column.len() and cast.null_count() == column.len() > column.null_count():
        raise DataError(
            f"No {key} of {shorten(source)} can be read as the sales file writes them: "
            f"{shorten(column.drop_nulls()[0])!r} there, {shorten(wanted[0])!r} in the sales."
        )
    return cast


def _as(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if dtype == pl.String and column.dtype.is_float():  # 1.0 in a table is 1 in a text
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(pl.Float64) == column).all():
            column = whole
    cast = column.cast(dtype, strict=False)
    if dtype.is_integer() and column.dtype.is_float():
        cast = pl.select(pl.when(cast.cast(pl.Float64) == column).then(cast)).to_series()
    return cast


def _in_periods(frame: pl.DataFrame, frequency: Frequency, source: str) -> tuple[pl.DataFrame, list[Change]]:
    """`date` becomes `period`; rows that stand for a longer period than the panel's are spread over it."""
    if isinstance(frame.schema[DATE], pl.Datetime) and frame.schema[DATE].time_zone is not None:
        frame = frame.with_columns(pl.col(DATE).dt.replace_time_zone(None))
    if frame.schema[DATE] not in (pl.Date, pl.Datetime("us"), pl.Datetime("ms"), pl.Datetime("ns")):
        first = f"; the first is {shorten(frame[DATE][0])!r}" if frame.height else ""
        raise DataError(f"The dates of the covariate file {shorten(source)} cannot be read{first}.")
    own = infer_frequency(frame[DATE]) if frame.height else frequency
    if _ORDER[own.unit] <= _ORDER[frequency.unit] or not _regular(frame[DATE], own):
        return frame.with_columns(frequency.number_of(pl.col(DATE)).alias(PERIOD)).drop(DATE), []
    number = own.number_of(pl.col(DATE))
    begin = frequency.number_of(own.date_of(number))
    end = frequency.number_of(own.date_of(number + 1))
    spread = frame.with_columns(pl.int_ranges(begin, end).alias(PERIOD)).drop(DATE).explode(PERIOD)
    told = f"{own.word} values of {shorten(source, 40)} stand for each of their {frequency.noun}s"
    return spread.drop_nulls(PERIOD), [Change("covariates", told, frame.height)]


def _regular(dates: pl.Series, own: Frequency) -> bool:
    """The table's dates step by one period; scattered dates (holidays) are days, whatever weekday they share."""
    numbers = dates.unique().sort().to_frame(DATE).select(own.number_of(pl.col(DATE)))[DATE].unique().sort()
    steps = numbers.diff().drop_nulls()
    return bool(steps.len()) and float((steps == 1).mean()) >= REGULAR  # type: ignore[arg-type]


def _one_value(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Promotions the most, stock the last, truth values any, numbers their mean, texts the first."""
    dtype = frame.schema[name]
    column = pl.col(name)
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    if dtype == pl.Boolean or (name == PROMO and dtype.is_numeric()):
        return column.max().alias(name)
    if name == STOCK:
        return column.drop_nulls().last().alias(name)
    if dtype.is_numeric():
        return column.cast(pl.Float64).fill_nan(None).mean().alias(name)
    return column.drop_nulls().first().alias(name)

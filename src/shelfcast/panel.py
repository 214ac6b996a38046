"""SalesPanel: what was sold, by item, location and period.

A long polars table (one row per series and period that has a row) with a dense numpy view made for a slice at a time.
A million weekly series fit in memory because gaps are not stored and covariates are not multiplied out: prices by item
and week, weather by place and day stay tables of their own, joined when a dense view is asked for.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import polars as pl

from shelfcast.errors import DataError, SettingsError, SourceError, UnknownNameError, shorten
from shelfcast.files import whole_folder
from shelfcast.names import ALL, DATE, ITEM, KEYS, LOCATION, SALES, Absent, Kind
from shelfcast.periods import Frequency, infer_frequency

SERIES: Final = "series"  # UInt32 code: the row of the series table
PERIOD: Final = "period"  # Int32 period number of the panel's frequency
LARGEST: Final = 1e30  # of a covariate; squares and sums of larger numbers overflow, and nothing in a shop is so large
_FORMAT: Final = 1


@dataclass(frozen=True)
class CovariateTable:
    """Covariates with their own keys: any of item, location and period, each combination once.

    Attributes
    ----------
    frame : table with the key columns (`item`, `location` as in the panel, `period` as a number) and the values
    """

    frame: pl.DataFrame

    def __post_init__(self) -> None:
        if not self.keys:
            raise DataError(f"A covariate table has none of the columns item, location, date; it has "
                            f"{', '.join(map(shorten, self.frame.columns[:8]))}.")
        repeated = self.frame.filter(self.frame.select(self.keys).is_duplicated())
        if repeated.height:
            raise DataError(f"A covariate table has {repeated.height:,} rows that repeat {', '.join(self.keys)}; the first: "
                            f"{shorten(repeated.select(self.keys).row(0))}. Keep one row for each.")

    @property
    def keys(self) -> list[str]:
        """Which of item, location and period the table has."""
        return [k for k in (*KEYS, PERIOD) if k in self.frame.columns]

    @property
    def values(self) -> list[str]:
        """The covariates' names."""
        return [c for c in self.frame.columns if c not in (*KEYS, PERIOD)]


@dataclass(frozen=True)
class Dense:
    """A slice of a panel as arrays. N series, T periods of history, H periods of future.

    Attributes
    ----------
    first : period number of column 0
    sales : float64 (N, T), units; nan where nothing is known: before the first row of a series, and in its gaps
        where the panel says that absent means missing
    known : {name: float64 (N, T + H)}; nan where not given
    past : {name: float64 (N, T)}; nan where not recorded
    static : {name: float64 (N,)} numbers, and codes of `panel.categories[name]` for texts; nan where not recorded

    Texts are codes: the position in `panel.categories[name]`.
    """

    first: int
    sales: np.ndarray
    known: Mapping[str, np.ndarray]
    past: Mapping[str, np.ndarray]
    static: Mapping[str, np.ndarray]

    @property
    def observed(self) -> np.ndarray:
        """bool (N, T): sales are known."""
        return np.isfinite(self.sales)

    @property
    def periods(self) -> np.ndarray:
        """int (T + H,): period numbers of the columns, the future included."""
        width = next((v.shape[1] for v in self.known.values()), self.sales.shape[1])
        return self.first + np.arange(width)


@dataclass(frozen=True, repr=False, eq=False)
class SalesPanel:
    """What was sold. Immutable; every method returns something new.

    Make one with `read_sales` and `clean_sales`, or from a clean table with `SalesPanel.from_frame`.

    Attributes
    ----------
    rows : table sorted by `series`, `period`, each pair once; `sales` Float64 in units (null: not known) and the
        covariates that came in the sales file. Rows past `cutoff` hold known covariates and no sales.
    series : table, one row a series, sorted by `item`, `location`; `start` is its first period with a row
    frequency : the length of a period
    cutoff : last period of history, as a number
    covariates : {name: known, past or static}
    tables : covariates with keys of their own
    items, places : attributes by `item`, by `location`; columns named in `covariates` as static are for models,
        `latitude` and `longitude` (degrees) locate a place
    absent : what a period without a row means between a series' start and the cutoff
    net_of_returns : sales may be negative
    holds : `sales`, or `demand` once stock-outs have been undone
    closed_when : name of a known covariate which is 0 in periods when nothing can be sold (closed shop), or None
    """

    rows: pl.DataFrame
    series: pl.DataFrame
    frequency: Frequency
    cutoff: int
    covariates: Mapping[str, Kind] = field(default_factory=dict)
    tables: tuple[CovariateTable, ...] = ()
    items: pl.DataFrame | None = None
    places: pl.DataFrame | None = None
    absent: Absent = "missing"
    net_of_returns: bool = False
    holds: str = "sales"
    closed_when: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "covariates", MappingProxyType(dict(self.covariates)))
        if not self.series.height:
            raise DataError("The panel has no series: no row has an item, a location, a date and sales.")
        for name in self.covariates:
            self._sources_of(name)
        if self.closed_when is not None and self.covariates.get(self.closed_when) != "known":
            raise SettingsError(f"{self.closed_when!r} is to say when places are closed, but it is not a known covariate.")

    # -- making ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_frame(cls, frame: Any, *, freq: str | Frequency | None = None, known: Sequence[str] = (), past: Sequence[str] = (),
                   absent: Absent = "missing", cutoff: Any = None, **rest: Any) -> Self:
        """From a clean table with `item`, `location`, `date`, `sales` and covariates.

        Parameters
        ----------
        frame : any Arrow table (polars, pandas, pyarrow, DuckDB); without `item` or `location` the column is `all`
        freq : frequency of the dates; inferred when None
        known, past : covariate columns and what they are; other columns are left out
        absent : what a period without a row means
        cutoff : last day of history; by default the last date that has sales
        rest : other fields of the panel (`items`, `places`, `tables` ...)

        Raises
        ------
        DataError
            If a key repeats, or a column is missing or of the wrong type.
        """
        table = frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(frame)
        for name in (DATE, SALES):
            if name not in table.columns:
                raise UnknownNameError("column", name, table.columns, advice="A panel needs the columns date and sales.")
        if not table.schema[DATE].is_temporal():
            raise DataError(f"The column date holds {table.schema[DATE]}, not dates. read_sales() parses texts.")
        if not (table.schema[SALES].is_numeric() or table.schema[SALES] == pl.Null):
            raise DataError(f"The column sales holds {table.schema[SALES]}, not numbers. read_sales() parses texts.")
        frequency = freq if isinstance(freq, Frequency) else Frequency.parse(freq) if freq else infer_frequency(table[DATE])
        table = table.with_columns(pl.lit(ALL).alias(k) for k in KEYS if k not in table.columns)
        wanted = [*known, *past]
        for name in wanted:
            if name not in table.columns:
                raise UnknownNameError("column", name, table.columns)
        table = table.select(*KEYS, frequency.number_of(pl.col(DATE)).alias(PERIOD), pl.col(SALES).cast(pl.Float64), *wanted)
        last = frequency.number(cutoff) if cutoff is not None else None
        kinds: dict[str, Kind] = {**dict.fromkeys(known, "known"), **dict.fromkeys(past, "past")}
        return cls.from_periods(table, frequency, cutoff=last, covariates=kinds, absent=absent, **rest)

    @classmethod
    def from_periods(cls, table: pl.DataFrame, frequency: Frequency, *, cutoff: int | None = None,
                     covariates: Mapping[str, Kind] | None = None, **rest: Any) -> Self:
        """From a table with `item`, `location`, `period` (number), `sales` and covariates, in any order.

        A series is a pair of item and location with at least one row up to the cutoff. By default the cutoff is the last
        period that has sales. Sales after it are dropped, and past covariates with them.
        """
        table = table.filter(pl.all_horizontal(pl.col(k).is_not_null() for k in (*KEYS, PERIOD)))
        table = table.with_columns(pl.col(SALES).cast(pl.Float64).fill_nan(None))
        endless = table.filter(pl.col(SALES).is_infinite())
        if endless.height:
            who = endless.row(0, named=True)
            raise DataError(f"{endless.height:,} rows have infinite sales; the first: item {shorten(who[ITEM])}, location "
                            f"{shorten(who[LOCATION])}, {frequency.date(who[PERIOD])}. Leave sales empty where they are not known.")
        if cutoff is None:
            cutoff = table.filter(pl.col(SALES).is_not_null())[PERIOD].max()  # type: ignore[assignment]
        if cutoff is None:
            raise DataError("No row has sales, so there is no history to stand on.")
        series = (table.filter(pl.col(PERIOD) <= cutoff).group_by(*KEYS).agg(pl.col(PERIOD).min().alias("start"))
                  .sort(*KEYS).with_row_index(SERIES))
        covariates = dict(covariates or {})
        own = [c for c in covariates if c in table.columns]
        rows = table.join(series.select(SERIES, *KEYS), on=KEYS, how="inner").select(SERIES, PERIOD, SALES, *own)
        rows = hide_future(rows, cutoff, covariates).sort(SERIES, PERIOD)
        doubled = rows.select((pl.col(SERIES).diff() == 0) & (pl.col(PERIOD).diff() == 0)).to_series().fill_null(False)
        if doubled.any():
            first = rows.filter(doubled).row(0, named=True)
            who = series.row(first[SERIES], named=True)
            raise DataError(f"{int(doubled.sum()):,} rows repeat an item, location and date; the first: item {shorten(who[ITEM])}, "
                            f"location {shorten(who[LOCATION])}, {frequency.date(first[PERIOD])}. clean_sales() adds them up.")
        return cls(rows=rows, series=series.drop(SERIES), frequency=frequency, cutoff=cutoff, covariates=covariates, **rest)

    # -- looking --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.series.height

    def __repr__(self) -> str:
        start, end = self.frequency.date(int(self.series["start"].min())), self.frequency.date(self.cutoff)  # type: ignore[arg-type]
        names = ", ".join(f"{n} ({k})" for n, k in self.covariates.items()) or "none"
        items, places = self.series[ITEM].n_unique(), self.series[LOCATION].n_unique()
        rows = self.rows.height
        return (f"SalesPanel: {len(self):,} series ({items:,} item{'s' * (items != 1)} x {places:,} "
                f"location{'s' * (places != 1)}), {self.frequency.word}, {start} to {end}, "
                f"{rows:,} row{'s' * (rows != 1)}; covariates: {names}")

    @property
    def categories(self) -> Mapping[str, list[str]]:
        """{text covariate: its values, sorted}; a dense view holds positions in this list."""
        found = {}
        for name in self.covariates:
            parts = [f[name] for f in self._sources_of(name) if f.schema[name] in (pl.String, pl.Categorical, pl.Enum)]
            if parts:
                found[name] = sorted(set().union(*(set(p.cast(pl.String).drop_nulls().unique()) for p in parts)))
        return found

    def horizon_given(self) -> int:
        """How many periods after the cutoff have at least one known covariate somewhere."""
        known = {name for name, kind in self.covariates.items() if kind == "known"}
        frames = [self.rows, *(t.frame for t in self.tables if PERIOD in t.keys)]
        ends = [f.select(pl.col(PERIOD).max()).item() for f in frames if known & set(f.columns)]
        return max([0, *(int(end) - self.cutoff for end in ends if end is not None)])

    def given(self, name: str, horizon: int) -> np.ndarray:
        """bool (N, horizon): the period after the cutoff has a row with this known covariate, be its value null or not."""
        first = self.cutoff + 1
        out = np.zeros((len(self), horizon), dtype=bool)
        if name in self.rows.columns:
            future = self.rows.filter(pl.col(PERIOD).is_between(first, self.cutoff + horizon))
            out[future[SERIES].to_numpy(), future[PERIOD].to_numpy() - first] = True
        for table in self.tables:
            if name in table.values:
                there = CovariateTable(table.frame.select(*table.keys, pl.lit(1.0).alias(name)))
                out |= np.isfinite(self._table_values(there, name, first, horizon, None))
        return out

    def select(self, which: np.ndarray | Sequence[int] | slice) -> Self:
        """A panel of some series: a slice, or rising positions in the series table (also a boolean array)."""
        if isinstance(which, slice):
            start, stop, step = which.indices(len(self))
            which = np.arange(start, stop, step)
        which = np.asarray(which)
        if which.dtype == bool:
            which = np.flatnonzero(which)
        if not len(which):
            raise DataError("No series is left after selecting.")
        if np.any(np.diff(which) <= 0) or which[0] < 0 or which[-1] >= len(self):
            raise SettingsError(f"Series are selected by rising positions from 0 to {len(self) - 1:,}, each once.")
        codes = self.rows[SERIES].to_numpy()
        if which[-1] - which[0] + 1 == len(which):  # a run: no copy of the rows
            lo, hi = np.searchsorted(codes, [which[0], which[-1] + 1])
            rows = self.rows.slice(int(lo), int(hi - lo)).with_columns((pl.col(SERIES) - int(which[0])).cast(pl.UInt32))
        else:
            recode = np.full(len(self), len(self), dtype=np.uint32)
            recode[which] = np.arange(len(which), dtype=np.uint32)
            new = recode[codes]
            rows = self.rows.with_columns(pl.Series(SERIES, new)).filter(pl.Series(new < len(self)))
        return replace(self, rows=rows, series=self.series[which])

    def chunks(self, size: int) -> Iterator[Self]:
        """The panel in runs of `size` series, in order."""
        for start in range(0, len(self), size):
            yield self.select(slice(start, start + size))

    def dense(self, *, context: int | None = None, horizon: int = 0, covariates: Sequence[str] | None = None) -> Dense:
        """The panel as arrays.

        Parameters
        ----------
        context : periods of history, counted back from the cutoff; all when None
        horizon : periods of future for the known covariates
        covariates : names wanted; all when None
        """
        first = int(self.series["start"].min())  # type: ignore[arg-type]
        if horizon < 0 or (context is not None and context < 1):
            raise SettingsError(f"A dense view has at least 1 period of context and no negative horizon; got {context}, {horizon}.")
        if context is not None:
            first = self.cutoff - context + 1
        span = self.cutoff - first + 1
        inside = self.rows.filter(pl.col(PERIOD).is_between(first, self.cutoff + horizon))
        where = inside[SERIES].to_numpy().astype(np.int64), (inside[PERIOD].to_numpy() - first).astype(np.int64)
        sales = np.full((len(self), span + horizon), np.nan)
        if self.absent == "zero":
            begun = np.arange(first, self.cutoff + 1)[None, :] >= self.series["start"].to_numpy()[:, None]
            sales[:, :span][begun] = 0.0
        sales[where] = inside[SALES].cast(pl.Float64).fill_null(np.nan).to_numpy()
        arrays: dict[Kind, dict[str, np.ndarray]] = {"known": {}, "past": {}, "static": {}}
        categories = self.categories
        for name in self.covariates if covariates is None else covariates:
            if name not in self.covariates:
                raise UnknownNameError("covariate", name, self.covariates)
            kind = self.covariates[name]
            if kind == "static":
                arrays[kind][name] = self._static_values(name, categories.get(name))
            else:
                width = span + (horizon if kind == "known" else 0)
                arrays[kind][name] = self._values(name, first, width, inside, where, categories.get(name))
        return Dense(first, sales[:, :span], arrays["known"], arrays["past"], arrays["static"])

    def _sources_of(self, name: str) -> list[pl.DataFrame]:
        """The tables that hold a covariate: the rows first, then the tables in their order, then attributes."""
        if self.covariates[name] == "static":
            candidates = [f for f in (self.items, self.places) if f is not None]
        else:
            candidates = [self.rows, *(t.frame for t in self.tables)]
        found = [f for f in candidates if name in f.columns]
        if not found:
            raise UnknownNameError("covariate column", name, sorted({c for f in candidates for c in f.columns}))
        return found

    def _values(self, name: str, first: int, width: int, inside: pl.DataFrame, where: tuple[np.ndarray, np.ndarray],
                categories: list[str] | None) -> np.ndarray:
        out = np.full((len(self), width), np.nan)
        if name in inside.columns:
            values = _numbers(inside[name], categories)
            keep = where[1] < width
            out[where[0][keep], where[1][keep]] = values[keep]
        for table in self.tables:
            if name in table.values:
                dense = self._table_values(table, name, first, width, categories)
                np.copyto(out, dense, where=np.isnan(out))
        return out

    def _table_values(self, table: CovariateTable, name: str, first: int, width: int,
                      categories: list[str] | None) -> np.ndarray:
        """(N, width) or (N, 1): one array row for each distinct key, then a take by series."""
        keys = [k for k in table.keys if k != PERIOD]
        frame = table.frame
        groups = self.series.select(keys).unique(maintain_order=True).with_row_index("group") if keys else None
        group_of_series = (self.series.select(keys).join(groups, on=keys, how="left", maintain_order="left")["group"].to_numpy()
                           if groups is not None else np.zeros(len(self), dtype=np.int64))
        if groups is not None:
            frame = frame.join(groups, on=keys, how="inner")
        size = groups.height if groups is not None else 1
        if PERIOD not in table.keys:
            values = np.full((size, 1), np.nan)
            values[frame["group"].to_numpy(), 0] = _numbers(frame[name], categories)
        else:
            frame = frame.filter(pl.col(PERIOD).is_between(first, first + width - 1))
            values = np.full((size, width), np.nan)
            at = frame["group"].to_numpy() if groups is not None else np.zeros(frame.height, dtype=np.int64)
            values[at, frame[PERIOD].to_numpy() - first] = _numbers(frame[name], categories)
        return values[group_of_series]

    def _static_values(self, name: str, categories: list[str] | None) -> np.ndarray:
        out = np.full(len(self), np.nan)
        for key, frame in ((ITEM, self.items), (LOCATION, self.places)):
            if frame is not None and name in frame.columns:
                joined = self.series.select(key).join(frame.select(key, name), on=key, how="left", maintain_order="left")[name]
                values = _numbers(joined, categories)
                out = np.where(np.isnan(out), values, out)
        return out

    # -- converting, saving -----------------------------------------------------------------------------------------

    def to_frame(self) -> pl.DataFrame:
        """The long table: `item`, `location`, `date`, `sales`, then the covariates of the sales file."""
        keyed = self.series.select(KEYS).with_row_index(SERIES)
        rest = [c for c in self.rows.columns if c not in (SERIES, PERIOD, SALES)]
        return (self.rows.join(keyed, on=SERIES, how="left", maintain_order="left")
                .select(*KEYS, self.frequency.date_of(pl.col(PERIOD)).alias(DATE), SALES, *rest))

    def to_nixtla(self) -> pl.DataFrame:
        """As Nixtla's libraries want it: `unique_id` (item/location), `ds`, `y`, covariates; history only, gaps as in `rows`."""
        table = self.to_frame().filter(pl.col(DATE) <= self.frequency.date(self.cutoff))
        return table.select(_joined_keys().alias("unique_id"), pl.col(DATE).alias("ds"), pl.col(SALES).alias("y"),
                            pl.exclude(*KEYS, DATE, SALES))

    def to_autogluon(self) -> Any:
        """As AutoGluon wants it: a pandas frame with `item_id` (item/location), `timestamp`, `target`, covariates."""
        table = self.to_nixtla().rename({"unique_id": "item_id", "ds": "timestamp", "y": "target"})
        return _pandas(table.with_columns(pl.col("timestamp").cast(pl.Datetime("ns"))))

    def to_pandas(self) -> Any:
        """`to_frame()` as a pandas frame."""
        return _pandas(self.to_frame())

    def fingerprint(self) -> str:
        """A short hash of all that the panel holds; equal panels have equal fingerprints."""
        digest = hashlib.sha256(json.dumps(self._settings(), sort_keys=True, default=str).encode())
        for frame in (self.rows, self.series, *(t.frame for t in self.tables), self.items, self.places):
            if frame is not None:
                digest.update(str(dict(frame.schema)).encode())
                # reinterpret: row hashes are 64-bit and must stay in row order
                digest.update(frame.hash_rows(seed=0).to_numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: Path | str) -> None:
        """Write the panel as a folder of Parquet files and `panel.json`; whole or not at all."""
        with whole_folder(folder) as out:
            self.rows.write_parquet(out / "rows.parquet")
            self.series.write_parquet(out / "series.parquet")
            for i, table in enumerate(self.tables):
                table.frame.write_parquet(out / f"covariates-{i}.parquet")
            for name, frame in (("items", self.items), ("places", self.places)):
                if frame is not None:
                    frame.write_parquet(out / f"{name}.parquet")
            (out / "panel.json").write_text(json.dumps(self._settings(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a folder that `save` wrote.

        Raises
        ------
        SourceError
            If it is no saved panel, is damaged, or was written in another format.
        """
        folder = Path(folder)
        try:
            settings = json.loads((folder / "panel.json").read_text(encoding="utf-8"))
            if settings.pop("format") != _FORMAT:
                raise SourceError(f"{str(folder)!r} was written by another version of shelfcast; write it again with this one.")
            names = [f"covariates-{i}" for i in range(settings.pop("tables"))]
            tables = tuple(CovariateTable(pl.read_parquet(folder / f"{name}.parquet")) for name in names)
            items, places = (pl.read_parquet(folder / f"{name}.parquet") if (folder / f"{name}.parquet").exists() else None
                             for name in ("items", "places"))
            rows, series = (pl.read_parquet(folder / f"{name}.parquet") for name in ("rows", "series"))
            frequency = Frequency.parse(settings.pop("frequency"))
            return cls(rows, series, frequency, tables=tables, items=items, places=places, **settings)
        except SourceError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
            raise SourceError(f"{str(folder)!r} is not a saved panel, or a file of it is absent or damaged: "
                              f"{shorten(error, 200)}") from error

    def _settings(self) -> dict[str, Any]:
        return {"format": _FORMAT, "frequency": str(self.frequency), "cutoff": self.cutoff, "covariates": dict(self.covariates),
                "tables": len(self.tables), "absent": self.absent, "net_of_returns": self.net_of_returns, "holds": self.holds,
                "closed_when": self.closed_when}


def hide_future(rows: pl.DataFrame, cutoff: int, covariates: Mapping[str, Kind]) -> pl.DataFrame:
    """Drop sales and past covariates after the cutoff, and the rows that then say nothing."""
    known = [c for c in rows.columns if covariates.get(c) == "known"]
    gone = [c for c in rows.columns if c == SALES or covariates.get(c) == "past"]
    future = pl.col(PERIOD) > cutoff
    if not known:
        return rows.filter(~future)
    return rows.with_columns(pl.when(future).then(None).otherwise(pl.col(c)).alias(c) for c in gone)


def _numbers(column: pl.Series, categories: list[str] | None) -> np.ndarray:
    """float64: numbers as they are, booleans 0 and 1, texts as codes; null and what is no usable number are nan."""
    if categories is not None:
        codes = pl.Series(categories, dtype=pl.String)
        return column.cast(pl.String).replace_strict(codes, np.arange(len(categories), dtype=float), default=None,
                                                     return_dtype=pl.Float64).fill_null(np.nan).to_numpy()
    numbers = column.cast(pl.Float64)
    if not (column.dtype.is_integer() or column.dtype == pl.Boolean):
        usable = numbers.abs() <= LARGEST  # false for nan, which polars holds to be greater than every number
        numbers = numbers if usable.all() else numbers.zip_with(usable.fill_null(False), pl.Series([None], dtype=pl.Float64))
    return numbers.fill_null(np.nan).to_numpy()


def _joined_keys() -> pl.Expr:
    return pl.concat_str(pl.col(ITEM).cast(pl.String), pl.lit("/"), pl.col(LOCATION).cast(pl.String))


def _pandas(table: pl.DataFrame) -> Any:
    from shelfcast.errors import MissingExtraError

    try:
        return table.to_pandas()
    except ImportError as error:
        raise MissingExtraError("Converting to pandas", "pandas", "pandas and pyarrow") from error

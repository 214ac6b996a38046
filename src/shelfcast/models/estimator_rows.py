"""What scikit-learn calls X and y as a panel: a table with one row an item, location and date, or a bare array of one series.

A bare array has no dates: its rows are consecutive periods of one series, and asked for a forecast they are the periods after
those that were learned from. Every column that is no key is a known covariate, numbers or texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import numpy as np
import polars as pl

from shelfcast.data.lines import refuse_reserved
from shelfcast.errors import DataError, MissingExtraError, SettingsError, UnknownNameError, shorten
from shelfcast.names import ALL, DATE, ITEM, KEYS, LATITUDE, LOCATION, LONGITUDE, SALES, Absent, Kind
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.periods import Frequency, infer_frequency

_FIRST_DAY: Final = "2000-01-03"  # a Monday: of the first row where there are no dates


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the columns of X are.

    Attributes
    ----------
    date : column of dates; None where rows are consecutive periods of one series
    item, location : key columns; where one is absent under its usual name, all rows belong to one
    freq : length of a period; read from the dates when None, daily without dates
    known : known covariates; every column that is no key and not static when None
    static : columns that never change for an item, or for a location; `latitude` and `longitude` locate a place
    absent : what a period without a row means, as in SalesPanel
    closed_when : known covariate that is 0 where nothing can be sold
    """

    date: str | None = DATE
    item: str = ITEM
    location: str = LOCATION
    freq: str | None = None
    known: tuple[str, ...] | None = None
    static: tuple[str, ...] = ()
    absent: Absent = "missing"
    closed_when: str | None = None

    def table(self, X: Any) -> pl.DataFrame:
        """X as a table with `item`, `location` and the other columns; a column `date` unless rows are consecutive.

        Raises
        ------
        UnknownNameError
            If a column that a parameter names is absent.
        DataError
            If a key is empty, or a covariate's name has another meaning here.
        """
        if not is_frame(X):
            return pl.DataFrame({f"x{i}": column for i, column in enumerate(np.asarray(X, dtype=np.float64).T)}) \
                .with_columns(pl.lit(ALL).alias(k) for k in KEYS)
        table = as_table(X)
        asked = {DATE: self.date, ITEM: self.item, LOCATION: self.location}
        wanted = {role: column for role, column in asked.items() if column is not None
                  and (role == DATE or column != role or column in table.columns)}
        for role, column in wanted.items():
            if column not in table.columns:
                raise UnknownNameError("column", column, table.columns,
                                       advice=f"Say {role}='...' to name the column of {role}s" +
                                              (", or date=None if the rows are consecutive periods of one series." if role == DATE
                                               else "."))
        rest = [c for c in table.columns if c not in wanted.values()]
        for name in rest:
            _refuse_taken(name)
        table = table.select(*(_key(table, column).alias(role) for role, column in wanted.items()), *rest)
        for role in wanted:
            if table[role].null_count():
                at = int(table[role].is_null().arg_max() or 0)
                raise DataError(f"{table[role].null_count():,} rows have no {role}; the first is row {at}. Leave such rows out.")
        if DATE in wanted and not table.schema[DATE].is_temporal():
            raise DataError(f"The column {shorten(self.date)!r} holds {table.schema[DATE]}, not dates; the first: "
                            f"{shorten(table[DATE][0])}. Parse it first, for example with pandas.to_datetime.")
        return table.with_columns(pl.lit(ALL).alias(k) for k in KEYS if k not in table.columns)

    def covariates(self, table: pl.DataFrame) -> list[str]:
        """The known covariates among the columns."""
        if self.known is None:
            return [c for c in table.columns if c not in (*KEYS, PERIOD, *self.static)]
        for name in self.known:
            if name not in table.columns:
                raise UnknownNameError("column", name, table.columns)
        return list(self.known)

    def frequency(self, table: pl.DataFrame) -> Frequency:
        """As told, or as the dates show."""
        if self.freq is not None:
            return Frequency.parse(self.freq)
        return infer_frequency(table[DATE]) if DATE in table.columns else Frequency("D")

    def periods(self, X: Any, frequency: Frequency | None = None, *, after: int | None = None) -> tuple[pl.DataFrame, Frequency]:
        """The rows of X, in their order, with `item`, `location`, `period` (a number) and the other columns; the frequency.

        Parameters
        ----------
        frequency : of the periods; as told, or as the dates show, when None
        after : the period before the first row, where rows are consecutive; by default the rows begin on a Monday
        """
        table = self.table(X)
        frequency = frequency or self.frequency(table)
        if DATE in table.columns:
            return table.select(*KEYS, frequency.number_of(pl.col(DATE)).alias(PERIOD), pl.exclude(*KEYS, DATE)), frequency
        first = frequency.number(_FIRST_DAY) if after is None else after + 1
        numbers = np.arange(first, first + table.height, dtype=np.int32)
        return table.select(*KEYS, pl.Series(PERIOD, numbers), pl.exclude(*KEYS)), frequency

    def learned(self, X: Any, y: np.ndarray) -> SalesPanel:
        """The panel of X and sales y (n,), units; nan where sales are not known."""
        if not np.isfinite(y).any():
            raise SettingsError(f"y holds no sales: all {len(y):,} values are missing (Input y contains NaN only).")
        if self.absent not in get_args(Absent):
            raise UnknownNameError("meaning of absent", str(self.absent), get_args(Absent))
        table, frequency = self.periods(X)
        known = self.covariates(table)
        rows = table.select(*KEYS, PERIOD, pl.Series(SALES, y).fill_nan(None), *(_plain(table, c) for c in known))
        kinds: dict[str, Kind] = {**dict.fromkeys(known, "known")}
        attributes = {key: _attributes(table, key, self.static) for key in KEYS}
        kinds |= dict.fromkeys((c for c in self.static if c not in (LATITUDE, LONGITUDE)), "static")
        # Rows without dates are counted on from their last one, with or without sales.
        cutoff = None if is_frame(X) and self.date is not None else int(table[PERIOD][-1])
        return SalesPanel.from_periods(rows, frequency, cutoff=cutoff, covariates=kinds, net_of_returns=bool((y < 0).any()),
                                       items=attributes[ITEM], places=attributes[LOCATION], absent=self.absent,
                                       closed_when=self.closed_when)

    def asked(self, panel: SalesPanel, X: Any) -> pl.DataFrame:
        """The rows of X as `series` of the panel, `period` after its cutoff and known covariates, in the order of X.

        Raises
        ------
        DataError
            If a row's series was not learned from, its period lies in the history, or its covariate is of another type.
        """
        table, _ = self.periods(X, panel.frequency, after=panel.cutoff)
        known = [name for name, kind in panel.covariates.items() if kind == "known"]
        for name in known:
            if name not in table.columns:
                raise UnknownNameError("column", name, table.columns)
        rows = table.select(*KEYS, PERIOD, *(_plain(table, c) for c in known))
        for name in known:
            if rows.schema[name] != panel.rows.schema[name] and rows.schema[name] != pl.Null:
                raise DataError(f"The covariate {shorten(name)!r} holds {rows.schema[name]}, and it held {panel.rows.schema[name]} "
                                f"when the model learned from it. Give it as then.")
        codes = panel.series.select(KEYS).with_row_index(SERIES)
        try:
            rows = rows.cast({k: panel.series.schema[k] for k in KEYS})
        except pl.exceptions.PolarsError as error:
            raise DataError(f"Items or locations are of another type than those that the model learned from "
                            f"({', '.join(f'{k}: {panel.series.schema[k]}' for k in KEYS)}).") from error
        rows = rows.join(codes, on=KEYS, how="left", maintain_order="left")
        unknown = rows.filter(pl.col(SERIES).is_null())
        if unknown.height:
            who = unknown.row(0, named=True)
            raise DataError(f"{unknown.height:,} rows are of series that the model has no history of; the first: item "
                            f"{shorten(who[ITEM])}, location {shorten(who[LOCATION])}. Fit it on sales that hold them.")
        past = rows.filter(pl.col(PERIOD) <= panel.cutoff)
        if past.height:
            who = past.row(0, named=True)
            raise DataError(
                f"{past.height:,} of {rows.height:,} rows lie in the history that the model learned from, which ends on "
                f"{panel.frequency.date(panel.cutoff)}; the first: item {shorten(who[ITEM])}, location {shorten(who[LOCATION])}, "
                f"{panel.frequency.date(who[PERIOD])}. It forecasts later dates only: to see how it would have done in the past, "
                f"cross-validate with SalesSplit.")
        doubled = rows.filter(rows.select(SERIES, PERIOD).is_duplicated())
        if doubled.height:
            who = doubled.row(0, named=True)
            raise DataError(f"{doubled.height:,} rows repeat an item, location and date; the first: item {shorten(who[ITEM])}, "
                            f"location {shorten(who[LOCATION])}, {panel.frequency.date(who[PERIOD])}. Keep one of each.")
        return rows.select(SERIES, PERIOD, *known)


def with_future(panel: SalesPanel, asked: pl.DataFrame) -> SalesPanel:
    """The panel with these rows' known covariates after its cutoff; a period that nobody gave is a gap (null), as in a replay."""
    known = [c for c in asked.columns if c not in (SERIES, PERIOD)]
    if not known:
        return panel
    horizon = int(asked[PERIOD].max()) - panel.cutoff  # type: ignore[arg-type]
    asked = asked.cast({c: panel.rows.schema[c] for c in known})
    stay = panel.rows.join(asked, on=[SERIES, PERIOD], how="anti")
    grid = pl.DataFrame({
        SERIES: np.repeat(np.arange(len(panel), dtype=np.uint32), horizon),
        PERIOD: np.tile(np.arange(panel.cutoff + 1, panel.cutoff + horizon + 1, dtype=np.int32), len(panel)),
    })
    gaps = grid.join(asked, on=[SERIES, PERIOD], how="anti").join(stay, on=[SERIES, PERIOD], how="anti")
    return replace(panel, rows=pl.concat([stay, asked, gaps], how="diagonal").sort(SERIES, PERIOD))


def as_table(X: Any) -> pl.DataFrame:
    """A table as polars; what polars cannot take is said by name."""
    if isinstance(X, pl.DataFrame):
        return X
    try:
        return pl.DataFrame(X)
    except ImportError as error:
        raise MissingExtraError("Reading a pandas table", "pandas", "pyarrow") from error


def is_frame(X: Any) -> bool:
    """Whether it is a table whose columns have names (polars, pandas) and no bare array; numbers are no names."""
    return isinstance(X, pl.DataFrame) or (hasattr(X, "columns") and hasattr(X, "shape") and
                                           all(isinstance(c, str) for c in X.columns))


def _refuse_taken(name: str) -> None:
    """A covariate must not be called as a column of a panel is; above all what is to be forecast must not be among them."""
    if name == SALES:
        raise DataError("X holds the column 'sales'. What was sold is y: take it out of X, or rename the column if it is another.")
    if name in (*KEYS, DATE, SERIES, PERIOD):
        refuse_reserved(name)


def _key(table: pl.DataFrame, column: str) -> pl.Expr:
    """A key; a categorical one as text, since the codes of two tables have nothing to do with each other."""
    return pl.col(column).cast(pl.String) if table.schema[column] in (pl.Categorical, pl.Enum) else pl.col(column)


def _plain(table: pl.DataFrame, name: str) -> pl.Expr:
    """A covariate as numbers or texts, whatever their width: the same when it is learned from and when it is asked for."""
    kind = table.schema[name]
    if kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        return pl.col(name).cast(pl.Float64)
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return pl.col(name).cast(pl.String)
    raise DataError(f"The column {shorten(name)!r} holds {kind}, which is no covariate: give numbers or texts, or leave it out.")


def _attributes(table: pl.DataFrame, key: str, static: Sequence[str]) -> pl.DataFrame | None:
    """What never changes for an item (for a location, in the case of a location), one row each; None where there is nothing."""
    for name in static:
        if name not in table.columns:
            raise UnknownNameError("column", name, table.columns)
    if not static:
        return None
    counted = {k: table.group_by(k).agg(pl.col(c).drop_nulls().n_unique() for c in static) for k in KEYS}
    steady = {k: {c for c in static if (counted[k][c] <= 1).all()} for k in KEYS}
    for name in static:
        if not any(name in steady[k] for k in KEYS):
            raise DataError(f"The column {shorten(name)!r} is to be static, but it changes within an item and within a location. "
                            f"Leave it out of static, and it is a known covariate.")
    # What is the same for all of a place belongs to the place, coordinates above all.
    own = [c for c in static if (c in steady[LOCATION]) == (key == LOCATION)]
    return table.group_by(key).agg(_plain(table, c).drop_nulls().first() for c in own).sort(key) if own else None

"""Forecast: what may be wanted, as quantiles for every item, location and future period."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from shelfcast.errors import DataError, MissingExtraError, SettingsError, SourceError, shorten
from shelfcast.files import whole_file
from shelfcast.names import DATE, ITEM, KEYS, LOCATION, quantile_column
from shelfcast.periods import Frequency, infer_frequency

MEAN = "mean"
MOST_LEVELS = 999  # 0.001, 0.002 ... 0.999; each is a column, and nobody can tell finer ones apart


@dataclass(frozen=True, repr=False, eq=False)
class Forecast:
    """Quantiles and means of N series over H periods at Q levels. Immutable.

    Attributes
    ----------
    series : table, one row a series: `item`, `location`, sorted by both
    frequency : the length of a period
    cutoff : last period of history, as a number; column 0 of the arrays is the period after it
    levels : (Q,), probabilities in (0, 1), strictly rising
    quantiles : float (N, H, Q), units; finite, not falling along Q
    mean : float (N, H), units; the expected value, not the median
    """

    series: pl.DataFrame
    frequency: Frequency
    cutoff: int
    levels: tuple[float, ...]
    quantiles: np.ndarray
    mean: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", check_levels(self.levels))
        for name in ("quantiles", "mean"):  # a view that nobody can write to; the caller's own array stays as it is
            view = np.asarray(getattr(self, name)).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        check_horizon(self.horizon)
        shape = (self.series.height, self.horizon, len(self.levels))
        if self.quantiles.shape != shape or self.mean.shape != shape[:2]:
            raise DataError(f"A forecast of {shape[0]:,} series at {shape[2]} levels needs quantiles (N, H, Q) and mean (N, H); "
                            f"got {self.quantiles.shape} and {self.mean.shape}.")
        if not (np.isfinite(self.quantiles).all() and np.isfinite(self.mean).all()):
            raise DataError(f"{self._first(~(np.isfinite(self.quantiles).all(axis=2) & np.isfinite(self.mean)))} is not a number.")
        crossing = np.asarray((np.diff(self.quantiles, axis=2) < 0).any(axis=2))
        if crossing.any():
            raise DataError(f"{self._first(crossing)} has quantiles that cross.")

    def _first(self, bad: np.ndarray) -> str:
        i, h = np.argwhere(bad)[0]
        who = self.series.row(int(i), named=True)
        return (f"{int(bad.sum()):,} of {bad.size:,} forecast periods are unusable; the first, item {shorten(who[ITEM])} at "
                f"location {shorten(who[LOCATION])} on {self.frequency.date(self.cutoff + 1 + int(h))},")

    def __len__(self) -> int:
        return self.series.height

    def __repr__(self) -> str:
        dates = self.dates
        return (f"Forecast: {len(self):,} series, {self.frequency.word}, {dates[0]} to {dates[-1]}, "
                f"levels {', '.join(f'{q:g}' for q in self.levels)}")

    @property
    def horizon(self) -> int:
        """Number of periods, H."""
        return int(self.mean.shape[1])

    @property
    def dates(self) -> pl.Series:
        """(H,) dates of the periods."""
        return self.frequency.dates(self.cutoff + 1 + np.arange(self.horizon))

    def at(self, level: float) -> np.ndarray:
        """(N, H) quantiles of one level. Levels in between are not guessed.

        Raises
        ------
        SettingsError
            If the forecast does not hold this level.
        """
        for i, known in enumerate(self.levels):
            if abs(known - level) < 1e-9:
                return self.quantiles[:, :, i]
        raise SettingsError(f"The forecast has no level {level:g}, only {', '.join(f'{q:g}' for q in self.levels)}. "
                            f"Forecast again with --levels that include {level:g}.")

    def select(self, which: np.ndarray | Sequence[int] | slice) -> Self:
        """A forecast of some series: a slice, or rising positions in the series table (also a boolean array)."""
        if isinstance(which, slice):
            which = np.arange(*which.indices(len(self)))
        which = np.asarray(which)
        if which.dtype == bool:
            which = np.flatnonzero(which)
        if not len(which):
            raise DataError("No series is left after selecting.")
        if np.any(np.diff(which) <= 0) or which[0] < 0 or which[-1] >= len(self):
            raise SettingsError(f"Series are selected by rising positions from 0 to {len(self) - 1:,}, each once.")
        return type(self)(self.series[which], self.frequency, self.cutoff, self.levels, self.quantiles[which], self.mean[which])

    def to_frame(self) -> pl.DataFrame:
        """One row per item, location and period: `item, location, date, mean, q...`, sorted by item, location, date."""
        n, h = self.mean.shape
        keys = self.series.select(KEYS)[np.repeat(np.arange(n), h)]
        dates = self.dates[np.tile(np.arange(h), n)]
        values = [pl.Series(quantile_column(q), self.quantiles[:, :, i].reshape(-1)) for i, q in enumerate(self.levels)]
        return keys.with_columns(dates.alias(DATE), pl.Series(MEAN, self.mean.reshape(-1)), *values)

    def to_nixtla(self) -> pl.DataFrame:
        """As Nixtla's libraries write forecasts: `unique_id` (item/location), `ds`, then the mean and the quantiles.

        The columns keep our names, `mean` and `q0.1`: Nixtla's `lo-80` says how wide an interval is, which needs two levels that
        are symmetric, and ours need not be. `utilsforecast` scores them by name: `quantile_loss(table, {"mean": "q0.1"}, q=0.1)`.
        """
        joined = pl.concat_str(pl.col(ITEM).cast(pl.String), pl.lit("/"), pl.col(LOCATION).cast(pl.String))
        return self.to_frame().select(joined.alias("unique_id"), pl.col(DATE).alias("ds"), pl.exclude(*KEYS, DATE))

    def to_autogluon(self) -> Any:
        """As AutoGluon predicts: a pandas frame with `item_id` (item/location), `timestamp`, `mean` and quantiles named `0.1`."""
        names = {quantile_column(q): quantile_column(q)[1:] for q in self.levels}
        table = self.to_nixtla().rename({"unique_id": "item_id", "ds": "timestamp", **names})
        return _pandas(table.with_columns(pl.col("timestamp").cast(pl.Datetime("ns"))))

    def to_pandas(self) -> Any:
        """`to_frame()` as a pandas frame."""
        return _pandas(self.to_frame())

    def save(self, path: Path | str) -> None:
        """Write the table as `.parquet` or `.csv`; whole or not at all."""
        with whole_file(path) as out:
            write_table(self.to_frame(), out)

    @classmethod
    def from_frame(cls, table: Any, *, freq: str | Frequency | None = None) -> Self:
        """From a table as `to_frame` makes it, every series with the same consecutive periods.

        Raises
        ------
        DataError
            If a column is absent, a key repeats, or a series lacks a period.
        """
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
        names = [c for c in frame.columns if c.startswith("q") and _is_level(c[1:])]
        missing = [c for c in (*KEYS, DATE, MEAN) if c not in frame.columns]
        if missing or not names:
            raise DataError(f"A forecast table needs item, location, date, mean and q0.5 or other quantiles; it has "
                            f"{', '.join(map(shorten, frame.columns[:20]))}.")
        frequency = freq if isinstance(freq, Frequency) else Frequency.parse(freq) if freq else infer_frequency(frame[DATE])
        names.sort(key=lambda c: float(c[1:]))
        frame = frame.with_columns(frequency.number_of(pl.col(DATE)).alias("period")).sort(*KEYS, "period")
        series = frame.select(KEYS).unique(maintain_order=True)
        periods = frame["period"].unique().sort().to_numpy()
        full = np.tile(np.arange(periods[0], periods[-1] + 1), series.height)
        if len(full) != frame.height or (frame["period"].to_numpy() != full).any():
            first, last = frequency.date(int(periods[0])), frequency.date(int(periods[-1]))
            raise DataError(f"The forecast table has {frame.height:,} rows for {series.height:,} series and periods from {first} "
                            f"to {last}; each series needs each period once.")
        shape = series.height, len(full) // series.height
        quantiles = np.stack([frame[c].cast(pl.Float64).to_numpy().reshape(shape) for c in names], axis=2)
        return cls(series, frequency, int(periods[0]) - 1, tuple(float(c[1:]) for c in names), quantiles,
                   frame[MEAN].cast(pl.Float64).to_numpy().reshape(shape))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file that `save` wrote."""
        path = Path(path)
        try:
            table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, try_parse_dates=True)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(f"{str(path)!r} cannot be read as a forecast: {shorten(error, 200)}") from error
        return cls.from_frame(table)


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Levels as a strictly rising tuple of probabilities, or an error that names the one that is wrong."""
    checked = tuple(float(q) for q in levels)
    if not checked:
        raise SettingsError("At least one quantile level is needed, for example 0.5.")
    if len(checked) > MOST_LEVELS:
        raise SettingsError(f"{len(checked):,} quantile levels are more than the {MOST_LEVELS:,} that a forecast may have.")
    for q in checked:
        if not 0 < q < 1:
            raise SettingsError(f"{q:g} is not a quantile level: levels lie between 0 and 1, such as 0.1 or 0.95.")
    if any(b <= a for a, b in pairwise(checked)):
        raise SettingsError(f"Quantile levels must rise, each once; got {', '.join(f'{q:g}' for q in checked)}.")
    return checked


def check_horizon(horizon: int) -> int:
    """The horizon, or an error when it is no whole number of at least 1 period."""
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise SettingsError(f"{shorten(horizon)} is no horizon: a forecast reaches at least 1 whole period ahead.")
    return int(horizon)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write by the file name's ending: .parquet or .csv."""
    if path.suffix == ".parquet":
        table.write_parquet(path)
    elif path.suffix == ".csv":
        table.write_csv(path)
    else:
        raise SettingsError(f"{path.name!r} ends in neither .parquet nor .csv, the two formats that tables are written in.")


def _is_level(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def _pandas(table: pl.DataFrame) -> Any:
    try:
        return table.to_pandas()
    except ImportError as error:
        raise MissingExtraError("Converting to pandas", "pandas", "pandas and pyarrow") from error

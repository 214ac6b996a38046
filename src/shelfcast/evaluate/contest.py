"""What may be compared: losses of several models on the same series, windows and truths, as arrays.

Takes the losses of backtests as tables and keeps what all models were measured on; says what was left out, and refuses what
does not agree. Knows no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.errors import DataError, UnknownNameError, shorten
from shelfcast.names import ITEM, KEYS, LOCATION

WINDOW_KEYS: Final = ("when", *KEYS)
LOSSES: Final = ("absolute", "square", "excess", "absolute_scaled", "quantile", "quantile_scaled", "inside")
COLUMNS: Final = ("window", "cutoff", "model", ITEM, LOCATION, "class", "cells", "actual", "scale", *LOSSES)
"""Columns of a run's losses that are read: a row for each window, model and series."""
EXTRA: Final = ("symmetric", "crps", "square_scale")
"""Columns that are read where they are: runs of earlier versions have none."""
_NEAR: Final = 1e-6  # relative; sums of the same truths differ by rounding alone


@dataclass(frozen=True)
class Measure:
    """How a score is made of sums.

    Attributes
    ----------
    name : as in `scores.csv`
    loss : the numerator's column
    over : the denominator: `cells`, `scaled` (cells of series whose scale is known), `actual`, or `series` (those whose squared
        scale is known, each one)
    units : the column that says the same in units sold, for where a difference comes from
    root : a window's score is the square root of the ratio
    target : the best value, when that is not 0 from above; what counts then is the distance to it
    """

    name: str
    loss: str
    over: str
    units: str
    root: bool = False
    target: float | None = None

    @property
    def has_skill(self) -> bool:
        """Whether a ratio of two scores says anything: not for scores with a target."""
        return self.target is None


MEASURES: Final = {m.name: m for m in (
    Measure("SQL", "quantile_scaled", "scaled", "quantile"), Measure("WQL", "quantile", "actual", "quantile"),
    Measure("MASE", "absolute_scaled", "scaled", "absolute"), Measure("WAPE", "absolute", "actual", "absolute"),
    Measure("RMSE", "square", "cells", "absolute", root=True), Measure("bias", "excess", "actual", "excess", target=0.0),
    Measure("coverage", "inside", "cells", "inside", target=0.8),
    Measure("MAE", "absolute", "cells", "absolute"), Measure("MSE", "square", "cells", "absolute"),
    Measure("sMAPE", "symmetric", "cells", "absolute"), Measure("CRPS", "crps", "cells", "crps"),
    Measure("RMSSE", "rmsse", "series", "absolute"))}


def measure_named(name: str) -> Measure:
    """The measure of a name, whatever its case."""
    for known in MEASURES.values():
        if known.name.lower() == name.lower():
            return known
    raise UnknownNameError("measure to compare by", name, MEASURES, advice=(
        "WRMSSE takes a root over many series at once, so it has no loss that is drawn series by series; RMSSE is the nearest that "
        "has." if name.upper() == "WRMSSE" else ""))


@dataclass(frozen=True)
class Contest:
    """Losses that may be compared.

    Attributes
    ----------
    models : (M,) names, in the order in which they were given
    windows : (W,) names, oldest first: the last day of history, or how far back where series end at dates of their own
    series : (N,) rows: `item`, `location`, `class` (as of the last window), sorted by both keys
    cells, scaled, actual : float (W, N), what scores divide by; 0 where a series is not measured in a window
    scale : float (W, N), units that scaled losses are counted in; 0 where nobody knows it
    square_scale : float (W, N), squared units that squared losses are counted in (RMSSE); 0 where nobody knows it
    classes : (W, N) position of the demand class in `class_names`; -1 where not measured
    losses : {column: float (M, W, N)}
    told : sentences on what was left out
    """

    models: tuple[str, ...]
    windows: tuple[str, ...]
    series: pl.DataFrame
    cells: np.ndarray
    scaled: np.ndarray
    actual: np.ndarray
    scale: np.ndarray
    square_scale: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]
    losses: dict[str, np.ndarray]
    told: tuple[str, ...]

    def denominator(self, measure: Measure) -> np.ndarray:
        """(W, N) what a score of this measure divides by; 0 where the runs kept no such loss."""
        if measure.loss not in self.losses:
            return np.zeros(self.cells.shape)
        series = np.where(self.square_scale > 0, np.minimum(self.cells, 1.0), 0.0)
        return {"cells": self.cells, "scaled": self.scaled, "actual": self.actual, "series": series}[measure.over]

    def numerator(self, measure: Measure) -> np.ndarray:
        """(M, W, N) losses, 0 where the denominator has no say."""
        losses = self.losses[measure.loss]
        return np.where(self.scaled > 0, losses, 0.0) if measure.over == "scaled" else losses

    def position(self, model: str) -> int:
        """Where a model stands among `models`."""
        if model not in self.models:
            raise UnknownNameError("model in these runs", model, self.models)
        return self.models.index(model)

    def clusters(self, by: str) -> np.ndarray | None:
        """(N,) what is drawn together: None for each series, else the number of its item or location."""
        if by == "series":
            return None
        return np.asarray(self.series[by].rank("dense").to_numpy(), dtype=np.intp) - 1


def named_windows(losses: pl.DataFrame) -> pl.DataFrame:
    """The losses of one run with `when`, the name by which its windows meet those of another run.

    That is the cutoff; where series end at dates of their own, a window has many, and is named by how far it lies back.
    """
    if losses.group_by("window").agg(pl.col("cutoff").n_unique())["cutoff"].max() == 1:
        return losses.with_columns(cutoff_text(losses).alias("when"))
    back = (pl.col("window").max() - pl.col("window")).cast(pl.String)
    return losses.with_columns(pl.format("own ends, {} back", back).alias("when"))


def cutoff_text(losses: pl.DataFrame) -> pl.Expr:
    """The cutoffs as runs name their files: 2024-05-12, with the hour for hours: 2024-05-12T07."""
    hours = isinstance(losses.schema["cutoff"], pl.Datetime)
    return pl.col("cutoff").dt.strftime("%Y-%m-%dT%H") if hours else pl.col("cutoff").cast(pl.String)


def contest_of(losses: pl.DataFrame, models: Sequence[str]) -> Contest:
    """Keep what every model was measured on.

    Parameters
    ----------
    losses : table with `COLUMNS` and `when` (`named_windows`), a row for each window, model, item and location; rows without
        cells are left out
    models : which, and in which order

    Raises
    ------
    DataError
        If a series is measured twice, no window or series is common, or the truths differ; names the first.
    """
    table = losses.filter(pl.col("model").is_in(list(models)), pl.col("cells") > 0).select(
        "when", *COLUMNS, *(c for c in EXTRA if c in losses.columns))
    _refuse_twice(table)
    told: list[str] = []
    table = _common_windows(table, models, told)
    table = _common_series(table, models, told)
    _refuse_other_truths(table, models)
    return _arrays(table, models, told)


def _refuse_twice(table: pl.DataFrame) -> None:
    twice = table.select("model", *WINDOW_KEYS).is_duplicated()
    if twice.any():
        row = table.filter(twice).row(0, named=True)
        raise DataError(f"The losses of {shorten(row['model'])} hold {_who(row)} more than once, so they are not a backtest's.")


def _common_windows(table: pl.DataFrame, models: Sequence[str], told: list[str]) -> pl.DataFrame:
    of = {model: set(part["when"]) for (model,), part in table.select("model", "when").unique().group_by("model")}
    sets = [of.get(model, set()) for model in models]
    common = set.intersection(*sets)
    if not common:
        first, other = next(((a, b) for a in range(len(sets)) for b in range(a) if not sets[a] & sets[b]), (1, 0))
        raise DataError(f"{shorten(models[other])} and {shorten(models[first])} share no window: one has those after "
                        f"{_few(sets[other])}, the other {_few(sets[first])}. Run the backtests on the same windows.")
    every = set.union(*sets)
    if len(common) < len(every):
        told.append(f"Compared on the {len(common)} windows that all models have, of {len(every)}; left out: "
                    f"{_few(every - common)}.")
    return table.filter(pl.col("when").is_in(list(common)))


def _common_series(table: pl.DataFrame, models: Sequence[str], told: list[str]) -> pl.DataFrame:
    counted = table.with_columns(pl.len().over(WINDOW_KEYS).alias("sides"))
    common = counted.filter(pl.col("sides") == len(models)).drop("sides")
    if not common.height:
        row = counted.row(0, named=True)
        raise DataError(f"The models share no series in any window; {_who(row)}, is measured for {shorten(row['model'])} but not "
                        f"for all of {', '.join(map(shorten, models))}.")
    lost = counted.filter(pl.col("sides") < len(models)).select(WINDOW_KEYS).unique(maintain_order=True)
    if lost.height:
        kept = common.height // len(models)
        told.append(f"Compared on {kept:,} of {kept + lost.height:,} series and windows, those that all models have; the first "
                    f"left out: {_who(lost.row(0, named=True))}.")
    return common


def _refuse_other_truths(table: pl.DataFrame, models: Sequence[str]) -> None:
    """The same window of the same series has the same sales, or two different things were forecast."""
    spread = table.group_by(WINDOW_KEYS, maintain_order=True).agg(
        (pl.col("cutoff").n_unique() > 1).alias("ends"), (pl.col("cells").max() != pl.col("cells").min()).alias("cells"),
        ((pl.col("actual").max() - pl.col("actual").min()) > _NEAR * (1 + pl.col("actual").abs().max())).alias("sales"))
    odd = spread.filter(pl.any_horizontal("ends", "cells", "sales"))
    if not odd.height:
        return
    where = odd.row(0, named=True)
    rows = {r["model"]: r for r in table.join(odd.head(1).select(WINDOW_KEYS), on=WINDOW_KEYS).iter_rows(named=True)}
    first = rows[models[0]]
    compared = ("cutoff", "cells", "actual")
    other = next(m for m in models[1:] if any(rows[m][c] != first[c] for c in compared))
    raise DataError(f"{shorten(models[0])} and {shorten(other)} were measured on different sales in {odd.height:,} of "
                    f"{spread.height:,} series and windows; the first, {_who(where)}: {first['actual']:g} units in "
                    f"{first['cells']:g} periods after {first['cutoff']} against {rows[other]['actual']:g} in "
                    f"{rows[other]['cells']:g} after {rows[other]['cutoff']}. "
                    f"Run both backtests on the same data and horizon.")


def _arrays(table: pl.DataFrame, models: Sequence[str], told: Sequence[str]) -> Contest:
    series = table.select(KEYS).unique().sort(KEYS)
    cutoffs = table.group_by("when").agg(pl.col("cutoff").min()).sort("cutoff")["when"]
    names = table["class"].cast(pl.String).unique(maintain_order=True)
    numbered = series.with_row_index("position")
    at = (table.select(KEYS).join(numbered, on=KEYS, how="left", maintain_order="left")["position"].to_numpy(),
          table["when"].replace_strict(cutoffs, range(len(cutoffs)), return_dtype=pl.Int64).to_numpy(),
          table["model"].replace_strict(list(models), range(len(models)), return_dtype=pl.Int64).to_numpy())
    n, w, m = (a.astype(np.intp) for a in at)
    shape = len(cutoffs), series.height

    def laid(column: str) -> np.ndarray:
        out = np.zeros(shape)
        out[w, n] = table[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return out

    losses = {}
    for column in (*LOSSES, *(c for c in EXTRA if c in table.columns and c != "square_scale")):
        losses[column] = np.zeros((len(models), *shape))
        # A loss in units of a scale that nobody knows is not a number; `scaled` leaves such cells out.
        losses[column][m, w, n] = table[column].cast(pl.Float64).fill_nan(None).fill_null(0.0).to_numpy()
    cells, scale = laid("cells"), laid("scale")
    square_scale = laid("square_scale") if "square_scale" in table.columns else np.zeros(shape)
    square_scale = np.where(np.isfinite(square_scale) & (square_scale > 0), square_scale, 0.0)
    if "square_scale" in table.columns:
        losses["rmsse"] = scaled_root(losses["square"], cells, square_scale)
    classes = np.full(shape, -1, dtype=np.intp)
    classes[w, n] = table["class"].cast(pl.String).replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    last = classes.shape[0] - 1 - np.argmax((classes >= 0)[::-1], axis=0)
    named = pl.Series("class", [str(name) for name in names])[classes[last, np.arange(series.height)]]
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 0.0)
    scaled = np.where(scale > 0, cells, 0.0)
    return Contest(models=tuple(models), windows=tuple(cutoffs.to_list()), series=series.with_columns(named.alias("class")),
                   cells=cells, scaled=scaled, actual=laid("actual"), scale=scale, square_scale=square_scale, classes=classes,
                   class_names=tuple(str(name) for name in names), losses=losses, told=tuple(told))


def scaled_root(square: np.ndarray, cells: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Root mean squared scaled error of each series, from sums of squares; 0 where there are no cells or no scale.

    A root over the periods of one series is that series' own, so RMSSE, the mean of such roots, is drawn series by series.
    """
    below = np.where(scale > 0, cells, 0.0) * scale
    return np.asarray(np.sqrt(np.where(below > 0, square, 0.0) / np.where(below > 0, below, 1.0)))


def _who(row: dict[str, object]) -> str:
    return f"item {shorten(row[ITEM])} at location {shorten(row[LOCATION])} in the window after {row['when']}"


def _few(cutoffs: set[str]) -> str:
    listed = sorted(cutoffs)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "") if listed else "none"

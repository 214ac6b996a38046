"""What finished backtests measured, read back: run folders with losses, scores, forecasts and what came.

    manifest.json   losses.parquet   scores.csv   forecasts/MODEL/CUTOFF.parquet   actuals/CUTOFF.parquet

Where series end at dates of their own, the forecasts of a window are a folder with a file for each of those dates.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from shelfcast.errors import DataError, SourceError, UnknownNameError, WeightsError, shorten, shorten_path
from shelfcast.evaluate.contest import COLUMNS, EXTRA, named_windows
from shelfcast.operate.runs import MANIFEST, read_manifest

LOSSES: Final = "losses.parquet"
SCORES: Final = "scores.csv"
FORECASTS: Final = "forecasts"
ACTUALS: Final = "actuals"
_ALIKE: Final = {"fingerprint": "on other data", "horizon": "with another horizon", "frequency": "by other periods"}


@dataclass(frozen=True)
class MeasuredRun:
    """A finished backtest.

    Attributes
    ----------
    folder : where it lies
    manifest : what it says of itself
    losses : a row for each window, model and series, with `when` (`contest.named_windows`)
    models : in the order of the losses
    """

    folder: Path
    manifest: Mapping[str, Any]
    losses: pl.DataFrame
    models: tuple[str, ...]

    def scores(self) -> pl.DataFrame | None:
        """The long table of scores; None where there is none."""
        types = {"group": pl.String, "model": pl.String, "value": pl.Float64}
        try:
            table = pl.read_csv(self.folder / SCORES, schema_overrides=types)
        except (OSError, pl.exceptions.PolarsError):
            return None
        return table if {"window", "model", "kind", "group", "series", "metric", "value"} <= set(table.columns) else None

    def cells(self, model: str) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
        """(cutoff as its file is called, forecast, actual), as tables; none where the run kept no forecasts.

        Raises
        ------
        SourceError
            If one is damaged.
        """
        home = self.folder / FORECASTS / model
        for path in sorted((*home.glob("*.parquet"), *home.glob("*/*.parquet"))):
            window = path.stem if path.parent == home else path.parent.name
            try:
                yield path.stem, pl.read_parquet(path), pl.read_parquet(self.folder / ACTUALS / f"{window}.parquet")
            except (OSError, pl.exceptions.PolarsError) as error:
                raise SourceError(f"A forecast of {shorten_path(self.folder)!r} or what came cannot be read: {shorten(error, 160)} "
                                  f"Run the backtest again.") from error


def read_measured(folder: Path) -> MeasuredRun:
    """Read the run folder of a finished backtest.

    Raises
    ------
    SourceError
        If there is no such folder, it is no backtest's, or the backtest was not finished.
    """
    said = repr(shorten_path(folder))
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.partial")
        if unfinished.is_dir():
            raise SourceError(f"The backtest {said} was not finished. Run the same `shelfcast backtest` again: it goes on from "
                              f"where it stopped.")
        raise SourceError(f"There is no folder {said}. Give the folders that `shelfcast backtest --run` wrote.")
    try:
        manifest = read_manifest(folder)
    except WeightsError as error:
        raise SourceError(f"{said} is not the run of a backtest: its {MANIFEST} is absent or damaged. Give the folders that "
                          f"`shelfcast backtest --run` wrote.") from error
    if manifest.get("verb") != "backtest":
        raise SourceError(f"{said} is the run of `shelfcast {shorten(manifest.get('verb', '?'))}`, which compares no models. Give "
                          f"the folders that `shelfcast backtest --run` wrote.")
    try:
        losses = pl.read_parquet(folder / LOSSES)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{said} has no {LOSSES} that can be read ({shorten(error, 120)}), so there is nothing to compare. Run "
                          f"the backtest again.") from error
    lacking = [c for c in COLUMNS if c not in losses.columns]
    if lacking or not losses.height:
        found = f"lacks {', '.join(lacking)}" if lacking else "is empty"
        raise SourceError(f"The {LOSSES} of {said} {found}, so there is nothing to compare. Run the backtest again.")
    names = losses["model"].cast(pl.String).unique(maintain_order=True).to_list()
    return MeasuredRun(folder, manifest, named_windows(losses.with_columns(pl.col("model").cast(pl.String))), tuple(names))


def joined_losses(runs: Sequence[MeasuredRun]) -> tuple[pl.DataFrame, dict[str, tuple[MeasuredRun, str]]]:
    """The losses of several runs as one table, and {label: (run, model)}; a name that two runs share gets its folder beside it.

    Raises
    ------
    DataError
        If the runs measured different data or another horizon; names the first difference.
    """
    for other in runs[1:]:
        for what, said in _ALIKE.items():
            one, two = runs[0].manifest.get(what), other.manifest.get(what)
            if one != two:
                raise DataError(f"{shorten_path(other.folder)!r} was measured {said} than {shorten_path(runs[0].folder)!r}: {what} "
                                f"{shorten(two)} against {shorten(one)}. Only backtests of the same sales, cleaned alike, can be "
                                f"compared in pairs.")
    shared = [name for run in runs for name in run.models]
    labels: dict[str, tuple[MeasuredRun, str]] = {}
    extra = [c for c in EXTRA if all(c in run.losses.columns for run in runs)]
    tables = []
    for run in runs:
        names = {}
        for name in run.models:
            label = name if shared.count(name) == 1 else f"{name} ({run.folder.name})"
            while label in labels:
                label += "'"
            labels[label] = (run, name)
            names[name] = label
        table = run.losses.select("when", *COLUMNS, *extra)
        table = table.with_columns(pl.col("model").replace_strict(names, return_dtype=pl.String))
        tables.append(_same_types(table, runs[0].losses))
    return pl.concat(tables), labels


def overlap_of(runs: Sequence[MeasuredRun]) -> int:
    """Windows into which one period may fall, 1 where windows do not overlap: the horizon over the step, rounded up.

    Windows that several runs have in common lie at least as far apart as those of the run with the longest step. A run that
    says no step has windows a horizon apart, as backtests do unless asked otherwise.
    """
    found = []
    for run in runs:
        horizon, asked = int(run.manifest["horizon"]), run.manifest.get("settings") or {}
        found.append(-(-horizon // int(asked.get("step") or horizon)))
    return min(found)


def _same_types(table: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """Sums as floats; keys as in the first run, where both can be read alike."""
    keys = {c: like.schema[c] for c in ("item", "location", "cutoff", "class")}
    floats = [c for c in (*COLUMNS, *EXTRA) if c in table.columns and c not in ("window", "model", *keys)]
    try:
        return table.with_columns(*(pl.col(c).cast(kind) for c, kind in keys.items()), pl.col(floats).cast(pl.Float64),
                                  pl.col("window").cast(pl.Int64))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"The runs name their items or places in different ways: {shorten(error, 160)}") from error


def chosen_models(labels: Mapping[str, object], wanted: Sequence[str]) -> list[str]:
    """The models to compare, in the order in which they were asked for; all without a wish."""
    for name in wanted:
        if name not in labels:
            raise UnknownNameError("model in these runs", name, labels)
    return list(dict.fromkeys(wanted)) or list(labels)

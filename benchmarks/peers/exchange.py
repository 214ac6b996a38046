"""The neutral format in which a peer gets a window and hands back a forecast. Needs pandas and pyarrow alone.

A window is a folder:
    past.parquet     id, date, y and the known covariates, one row per series and period up to the cutoff; y null where not known
    future.parquet   id, date and the known covariates of the horizon; no y
    static.parquet   id and what never changes
    window.json      task, window, horizon, season, freq (a pandas alias), known, static, item, location, threads, seed, limit
The truth lies elsewhere, where no peer looks. A forecast is one parquet file: id, date, q0.1 ... q0.9.

Every peer runs as `python run.py WINDOW FORECAST --model NAME` in an environment of its own.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

LEVELS = tuple(i / 10 for i in range(1, 10))
QUANTILES = [f"q{level:g}" for level in LEVELS]
NOTHING = "none"  # a text covariate where nothing is given: a day without an event


@dataclass(frozen=True)
class About:
    """What a window is: `horizon` and `season` in periods, `freq` a pandas alias, `item` and `location` names of static columns
    (or empty), `limit` in seconds of wall time."""

    task: str
    window: int
    horizon: int
    season: int
    freq: str
    known: list[str]
    static: list[str]
    item: str = ""
    location: str = ""
    threads: int = 2
    seed: int = 0
    limit: float = 600.0


@dataclass(frozen=True)
class Window:
    """What a peer may know: sales and known covariates up to the cutoff, known covariates after it, what never changes."""

    about: About
    past: pd.DataFrame
    future: pd.DataFrame
    static: pd.DataFrame


def write_window(folder: Path, window: Window) -> None:
    """Write a window into a folder, made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("past", "future", "static"):
        getattr(window, name).to_parquet(folder / f"{name}.parquet", index=False)
    write_about(folder, window.about)


def write_about(folder: Path, about: About) -> None:
    """Write what a window is, beside its tables."""
    (folder / "window.json").write_text(json.dumps(asdict(about), indent=1) + "\n", encoding="utf-8")


def read_about(folder: Path) -> About:
    """Read what `write_about` wrote."""
    about = json.loads((folder / "window.json").read_text(encoding="utf-8"))
    unknown = set(about) - {f.name for f in fields(About)}
    if unknown:
        raise ValueError(f"{folder / 'window.json'} holds {sorted(unknown)}, which this version does not know. "
                         f"Write the window again.")
    return About(**about)


def read_window(folder: Path) -> Window:
    """Read what `write_window` wrote."""
    return Window(read_about(folder), *(pd.read_parquet(folder / f"{name}.parquet") for name in ("past", "future", "static")))


def write_forecast(path: Path, window: Window, forecast: pd.DataFrame) -> None:
    """Write a forecast, one row for every row of the window's future, with its quantiles in rising order."""
    table = window.future[["id", "date"]].merge(forecast[["id", "date", *QUANTILES]], on=["id", "date"], how="left", validate="1:1")
    values = table[QUANTILES].to_numpy(float)
    if not np.isfinite(values).all():
        bad = table[~np.isfinite(values).all(axis=1)]
        raise ValueError(f"{len(bad):,} of {len(table):,} rows of the horizon have no finite forecast; the first: id "
                         f"{bad.id.iloc[0]!r} on {bad.date.iloc[0]:%Y-%m-%d}.")
    table[QUANTILES] = np.sort(values, axis=1)
    table.to_parquet(path, index=False)


def read_forecast(path: Path) -> pd.DataFrame:
    """Read what `write_forecast` wrote."""
    return pd.read_parquet(path)


def ready(window: Window, *, texts: str = "codes", history: int | None = None) -> Window:
    """The window for a library that takes no gaps and no texts; the same treatment for every peer that needs it.

    Sales that are not known repeat the last known ones (0 before the first); covariates that are numbers repeat the last known,
    then the next known, then 0. A text that is missing is `none`.

    Parameters
    ----------
    texts : `categories` keeps texts and static columns as pandas categories, `codes` makes them whole numbers,
        `dummies` makes a 0/1 column of each value
    history : periods of the past to keep, counted back from each series' end; all when None
    """
    about, past, future = window.about, window.past, window.future
    if history is not None:
        past = past[past.groupby("id", sort=False).cumcount(ascending=False) < history]
    both = pd.concat([past.assign(y=past.groupby("id", sort=False).y.ffill().fillna(0.0)), future], ignore_index=True)
    known, static = list(about.known), list(about.static)
    numbers = [c for c in known if pd.api.types.is_numeric_dtype(both[c])]
    if numbers:
        groups = both.sort_values(["id", "date"]).groupby("id", sort=False)[numbers]
        both[numbers] = groups.ffill().combine_first(groups.bfill()).fillna(0.0).astype(float)
    both, known = _texts(both, known, [c for c in known if c not in numbers], texts)
    rest = [c for c in static if pd.api.types.is_numeric_dtype(window.static[c])]
    fixed, static = _texts(window.static.copy(), static, [c for c in static if c not in rest], texts)
    fixed[rest] = fixed[rest].astype(float).fillna(fixed[rest].astype(float).median()).fillna(0.0)
    cut = len(past)
    about = About(**{**asdict(about), "known": known, "static": static})
    ahead = both.iloc[cut:][["id", "date", *known]].reset_index(drop=True)
    return Window(about, both.iloc[:cut][["id", "date", "y", *known]], ahead, fixed)


def padded(window: Window, length: int) -> Window:
    """The window with series of fewer than `length` periods begun earlier, with no sales and their first known covariates.

    For libraries that refuse a short series outright: it was not on the shelf before, and a refused series could not be scored.
    """
    past = window.past.sort_values(["id", "date"], kind="stable")
    sizes = past.groupby("id", sort=False).date.agg(["size", "min"])
    short = sizes[sizes["size"] < length]
    if short.empty:
        return window
    first = past.drop_duplicates("id").set_index("id").loc[short.index]
    missing = (length - short["size"]).to_numpy()
    before = first.loc[np.repeat(short.index.to_numpy(), missing)].reset_index()
    step = pd.tseries.frequencies.to_offset(window.about.freq)
    runs = [pd.date_range(end=start - step, periods=n, freq=step) for start, n in zip(short["min"], missing, strict=True)]
    before["date"] = np.concatenate([run.to_numpy() for run in runs])
    before["y"] = 0.0
    whole = pd.concat([before[past.columns], past], ignore_index=True).sort_values(["id", "date"], kind="stable", ignore_index=True)
    return Window(window.about, whole, window.future, window.static)


def _texts(frame: pd.DataFrame, names: list[str], which: list[str], texts: str) -> tuple[pd.DataFrame, list[str]]:
    """The frame with its texts treated, and the names that take the place of `names`."""
    out = [n for n in names if n not in which or texts != "dummies"]
    for name in which:
        values = frame[name].astype("object").where(frame[name].notna(), NOTHING).astype(str).astype("category")
        if texts == "dummies":
            dummies = pd.get_dummies(values, prefix=name, dtype=float).drop(columns=f"{name}_{NOTHING}", errors="ignore")
            frame = pd.concat([frame.drop(columns=name), dummies], axis=1)
            out += list(dummies.columns)
        else:
            frame = frame.assign(**{name: values if texts == "categories" else values.cat.codes.astype(float)})
    return frame, out


def calendar_lags(about: About) -> list[int]:
    """Lags that the libraries' own guides use for a frequency: the last season day by day, then whole seasons, then a year."""
    by_unit = {"D": [1, 2, 3, 4, 5, 6, 7, 14, 21, 28, 35, 42, 364], "W": [1, 2, 3, 4, 5, 8, 13, 26, 52], "M": [1, 2, 3, 4, 6, 12]}
    return by_unit[about.freq[0]]


def run_peer(models: dict[str, Callable[[Window], pd.DataFrame]]) -> None:
    """The command line of every peer: read the window, forecast with the model asked for, write the forecast."""
    parser = argparse.ArgumentParser()
    parser.add_argument("window", type=Path)
    parser.add_argument("forecast", type=Path)
    parser.add_argument("--model", required=True, choices=list(models))
    arguments = parser.parse_args()
    window = read_window(arguments.window)
    write_forecast(arguments.forecast, window, models[arguments.model](window))

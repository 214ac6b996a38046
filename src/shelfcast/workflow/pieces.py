"""Pieces of a backtest: one model in one window, each a folder that is written whole, so that a killed run goes on where it was.

    MODEL-CUTOFF-KEY/   scores.parquet   losses.parquet   piece.json   forecasts/*.parquet
    actuals-CUTOFF-KEY/ *.parquet

The key is a hash of the panel, of the package's sources and of all that could change the numbers; a piece with another key is not
taken.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

import shelfcast
from shelfcast.data.split import Window, windows
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import CHUNK, Slice, scored_part, sellable, still_sold
from shelfcast.files import whole_folder
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster
from shelfcast.models.registry import setting_names
from shelfcast.names import DATE, KEYS, SALES
from shelfcast.operate.batches import ForecastBatches
from shelfcast.operate.runs import code_hash
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency
from shelfcast.workflow.choosing import account_of, make_forecaster

PIECE: Final = "piece.json"
_ACTUALS: Final = "actuals"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides the numbers of a backtest, as plain values for every process.

    Attributes
    ----------
    models : {model: its settings}
    fingerprint : of the panel
    folder : where pieces are written
    threads : for models that have such a setting and were not given one; changes no number
    budget_s : seconds that `auto` may take in each window
    code : hash of the sources that make the numbers, as they were when the plan was made
    """

    horizon: int
    windows: int
    step: int
    own_ends: bool
    refit: str
    models: Mapping[str, Mapping[str, Any]]
    levels: tuple[float, ...]
    seed: int
    max_series: int
    fingerprint: str
    folder: Path
    threads: int | None = field(default=None)
    budget_s: float | None = None
    code: str = field(default_factory=code_hash)

    @property
    def key(self) -> str:
        """A short hash of everything that decides the numbers, the models apart."""
        told = {k: v for k, v in asdict(self).items() if k not in ("models", "folder", "threads", "windows")}
        return _hash({**told, "shelfcast": shelfcast.__version__})

    def piece(self, model: str, cutoff: str) -> Path:
        """The folder of one model's piece. When it is fitted once, how many windows there are says where that was."""
        told = [self.key, model, self.models[model], cutoff, self.windows if self.refit == "once" else None]
        return self.folder / f"{model}-{cutoff}-{_hash(told)}"

    def actuals(self, cutoff: str) -> Path:
        """The folder of what came in a window."""
        return self.folder / f"{_ACTUALS}-{cutoff}-{_hash([self.key, cutoff])}"


@dataclass(frozen=True)
class Task:
    """One model and the windows (0 = oldest) in which a process runs it."""

    model: str
    windows: tuple[int, ...]


def tasks_of(plan: Plan, cutoffs: Sequence[str]) -> list[Task]:
    """What is still to be done, the pieces on disk apart: window by window, or model by model when each is fitted once."""
    todo = [(m, k) for k in range(plan.windows) for m in plan.models if not (plan.piece(m, cutoffs[k]) / PIECE).exists()]
    if plan.refit == "every":
        return [Task(m, (k,)) for m, k in todo]
    return [Task(m, tuple(k for one, k in todo if one == m)) for m in plan.models if any(one == m for one, _ in todo)]


def the_windows(plan: Plan, panel: SalesPanel) -> list[Callable[[], Window]]:
    """Each window, oldest first, made when it is asked for: the cut panels of all of them would not fit."""
    def at(k: int) -> Window:
        left = windows(panel, horizon=plan.horizon, count=plan.windows - k, step=plan.step, own_ends=plan.own_ends)
        return still_sold(next(left))
    return [partial(at, k) for k in range(plan.windows)]


def run_task(state: tuple[Plan, SalesPanel], task: Task) -> list[int]:
    """Run one model in its windows and write the pieces; the windows that were done."""
    plan, panel = state
    made = the_windows(plan, panel)
    fitted: tuple[Forecaster, str, float] | None = None
    for k in task.windows:
        window = made[k]()
        if plan.refit == "every":
            fitted = _fit(plan, task.model, window)
        elif fitted is None:
            fitted = _fit(plan, task.model, window if k == 0 else made[0]())
        _write_piece(plan, task.model, k, window, *fitted)
    return list(task.windows)


def write_actuals(plan: Plan, window: Window) -> None:
    """What came in a window, for the series that are scored; closed and unknown periods are null."""
    name = cutoff_name(window.past.cutoff, window.past.frequency)
    target = plan.actuals(name)
    scored = scored_part(window, max_series=plan.max_series, seed=plan.seed)
    steps = np.arange(1, plan.horizon + 1)
    parts = []
    for start in range(0, len(scored.past), CHUNK):
        part = scored.select(slice(start, start + CHUNK))
        keys = part.past.series.select(KEYS)[np.repeat(np.arange(len(part.past)), plan.horizon)]
        dates = part.past.frequency.dates((part.ends[:, None] + steps).reshape(-1))
        parts.append(keys.with_columns(dates.alias(DATE), pl.Series(SALES, sellable(part).reshape(-1)).fill_nan(None)))
    with whole_folder(target) as out:
        pl.concat(parts).write_parquet(out / "actuals.parquet")


def cutoff_name(cutoff: int, frequency: Frequency) -> str:
    """A cutoff as a file's name: 2024-05-12, with the hour for hours."""
    day = frequency.date(cutoff)
    return f"{day:%Y-%m-%dT%H}" if isinstance(day, datetime) else str(day)


def _fit(plan: Plan, name: str, window: Window) -> tuple[Forecaster, str, float]:
    began = time.perf_counter()
    options = dict(plan.models[name])
    if plan.threads is not None and (name == "auto" or "threads" in setting_names(name)):
        options.setdefault("threads", plan.threads)
    model, why = make_forecaster(name, window.past, horizon=plan.horizon, seed=plan.seed, options=options,
                                 budget_s=plan.budget_s)
    model.fit(window.past)
    return model, why, time.perf_counter() - began


def _write_piece(plan: Plan, name: str, k: int, window: Window, model: Forecaster, why: str, seconds: float) -> None:
    frequency = window.past.frequency
    cutoff = cutoff_name(window.past.cutoff, frequency)
    scored = scored_part(window, max_series=plan.max_series, seed=plan.seed)
    with ExitStack() as stack:
        shelves: dict[int, ForecastBatches] = {}

        def keep(part: Slice) -> None:
            for one in part.forecasts:
                if one.cutoff not in shelves:
                    shelves[one.cutoff] = stack.enter_context(ForecastBatches())
                shelves[one.cutoff].add(one)

        began = time.perf_counter()
        found = measure(scored, model, levels=plan.levels, keep=keep)
        spent = time.perf_counter() - began
        with whole_folder(plan.piece(name, cutoff)) as out:
            found.scores.write_parquet(out / "scores.parquet")
            found.losses.with_columns(frequency.date_of(pl.col("end")).alias("cutoff")).drop("end").write_parquet(
                out / "losses.parquet")
            (out / "forecasts").mkdir()
            for at, shelf in shelves.items():
                shelf.write(out / "forecasts" / f"{cutoff_name(at, frequency)}.parquet")
            (out / PIECE).write_text(json.dumps({
                "model": name, "ran": model.traits.name, "why": why, "trained_on": list(model.traits.trained_on), "window": k,
                "cutoff": cutoff, "fitted_on": len(window.past), "scored": len(scored.past), "fit_seconds": round(seconds, 3),
                "predict_seconds": round(spent, 3), "auto": account_of(model),
                "process": os.getpid()}, indent=2) + "\n", encoding="utf-8")


def read_forecasts(folder: Path) -> list[Forecast]:
    """The forecasts of one piece, or of one model and window of a run: one for each cutoff."""
    return [Forecast.load(path) for path in sorted(folder.glob("*.parquet"))]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]

"""Pieces of a backtest: one model in one window, each a folder that is written whole, so that a killed run goes on where it was.

    MODEL-CUTOFF-KEY/   scores.parquet   losses.parquet   piece.json   forecasts/*.parquet   levels/*.parquet
    actuals-CUTOFF-KEY/ *.parquet
    training-MODEL-CUTOFF-KEY/   of a network: checkpoint.safetensors   history.csv

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
from typing import Any, Final, Self

import numpy as np
import polars as pl

import shelfcast
from shelfcast.data.hierarchy import Hierarchy
from shelfcast.data.split import Window, windows
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import CHUNK, Slice, forecast_window, scored_part, sellable, still_sold
from shelfcast.files import whole_folder
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster, Traits, resumes
from shelfcast.models.registry import model_traits, setting_names
from shelfcast.names import DATE, KEYS, LEVELS, SALES
from shelfcast.operate.batches import ForecastBatches
from shelfcast.operate.runs import code_hash
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency
from shelfcast.progress import Silent
from shelfcast.settings import Reconciling
from shelfcast.workflow.choosing import account_of, make_forecaster
from shelfcast.workflow.preparing import Clock
from shelfcast.workflow.reconciling import LEVELS_FOLDER, Agreed, Summing, agree, hierarchy_by, whole, write_levels

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
    hierarchy, reconcile : attributes by which sums are forecast, too, and how all is made to agree; none for neither
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
    hierarchy: tuple[str, ...] = ()
    reconcile: Reconciling | None = None

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

    def summing(self, model: str) -> Summing:
        """How a model's forecasts are made to agree with those of their sums."""
        assert self.reconcile is not None  # the settings see to it where there is a hierarchy
        return Summing(how=self.reconcile, model=model, options=self.settings_of(model), horizon=self.horizon, levels=self.levels,
                       seed=self.seed, batch=CHUNK)

    def settings_of(self, model: str) -> dict[str, Any]:
        """A model's settings, with the threads that it may use here."""
        options = dict(self.models[model])
        if self.threads is not None and (model == "auto" or ("threads" in setting_names(model) and not _decided_by_threads(model))):
            options.setdefault("threads", self.threads)
        return options


def _decided_by_threads(model: str) -> bool:
    """Whether a model gives other numbers with other threads, and so keeps its own number of them."""
    return any(traits.name == model and traits.threads_decide for traits in model_traits())


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
    model, why = make_forecaster(name, window.past, horizon=plan.horizon, seed=plan.seed, options=plan.settings_of(name),
                                 budget_s=plan.budget_s)
    if resumes(model):  # what a killed one needs to go on lies beside the pieces, and goes with them
        kept = plan.folder / f"training-{plan.piece(name, cutoff_name(window.past.cutoff, window.past.frequency)).name}"
        kept.mkdir(exist_ok=True)
        model.fit(window.past, folder=kept, progress=False)
    else:
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
        hierarchy = hierarchy_by(plan.hierarchy, scored.past) if plan.hierarchy else None
        agreed = None if hierarchy is None else _agreed(plan, name, scored, model, hierarchy)
        made: Forecaster = model
        if agreed is not None and agreed.bottom is not None:
            made = Recorded({agreed.bottom.cutoff: agreed.bottom})
        found = measure(scored, made, levels=plan.levels, keep=keep, hierarchy=hierarchy,
                        upper=None if agreed is None else agreed.upper)
        spent = time.perf_counter() - began
        with whole_folder(plan.piece(name, cutoff)) as out:
            found.scores.write_parquet(out / "scores.parquet")
            found.losses.with_columns(frequency.date_of(pl.col("end")).alias("cutoff")).drop("end").write_parquet(
                out / "losses.parquet")
            (out / "forecasts").mkdir()
            for at, shelf in shelves.items():
                shelf.write(out / "forecasts" / f"{cutoff_name(at, frequency)}.parquet")
            files = write_levels(out / LEVELS_FOLDER, agreed.upper) if agreed is not None and agreed.upper else {}
            (out / PIECE).write_text(json.dumps({
                "model": name, "ran": model.traits.name, "why": why, "trained_on": list(model.traits.trained_on), "window": k,
                "cutoff": cutoff, "fitted_on": len(window.past), "scored": len(scored.past), "fit_seconds": round(seconds, 3),
                "predict_seconds": round(spent, 3), "auto": account_of(model), "levels": files,
                "reconciled": None if agreed is None else agreed.as_plain(),
                "process": os.getpid()}, indent=2) + "\n", encoding="utf-8")


def _agreed(plan: Plan, name: str, scored: Window, model: Forecaster, hierarchy: Hierarchy) -> Agreed | None:
    """The window's scored series made to agree with their sums, by its past alone; None where nothing is left to sum."""
    if not hierarchy.levels:
        return None
    past = scored.past
    parts = [one for _, found in forecast_window(scored, model, levels=plan.levels) for _, one in found]
    return agree(whole(parts, past), hierarchy, plan.summing(name), panel=past, clock=Clock(), progress=Silent())


def read_levels(piece: Path, frequency: Frequency) -> dict[str, Forecast]:
    """{level: its forecast} of a piece; nothing where no sums were forecast.

    The frequency is given, for the dates of a short horizon do not tell it.
    """
    files = json.loads((piece / PIECE).read_text(encoding="utf-8"))["levels"]
    tables = {name: pl.read_parquet(piece / LEVELS_FOLDER / file) for name, file in files.items()}
    return {name: Forecast.from_frame(table, freq=frequency) for name, table in tables.items()}


class Recorded:
    """A model that gives the forecasts that it holds, {cutoff: forecast}: they are measured as if they were being made."""

    def __init__(self, forecasts: Mapping[int, Forecast]) -> None:
        self.traits = Traits(name="recorded", summary="forecasts that were made before", needs_fit=False)
        self.forecasts = dict(forecasts)

    def fit(self, panel: SalesPanel) -> Self:  # noqa: ARG002 (as the protocol names it)
        """Nothing to learn."""
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """The series of the panel, out of what is held for its cutoff."""
        held = self.forecasts[panel.cutoff]
        at = held.series.with_row_index("at").join(panel.series.select(KEYS), on=KEYS, how="semi")["at"].to_numpy()
        found = held if len(at) == len(held) else held.select(np.sort(at))
        assert found.horizon == horizon and found.levels == tuple(levels), "a piece holds what its plan asked for"
        return found

    def save(self, folder: Path) -> None:
        """Each forecast as a file."""
        for cutoff, forecast in self.forecasts.items():
            forecast.save(folder / f"{cutoff}.parquet")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls({int(path.stem): Forecast.load(path) for path in folder.glob("*.parquet")})


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]

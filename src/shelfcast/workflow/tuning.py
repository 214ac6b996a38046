"""Tune: search the settings of a model that forecast the past best, and keep what was found as a run folder.

    study.db          every trial (SQLite, by Optuna); a tuning that was killed goes on with it
    best.toml         the best settings so far, for `fit --set @RUN/best.toml`
    trials.csv        a row per trial: state, loss, seconds, settings
    importances.csv   how much each setting mattered
    report.html       the page
    settings.toml, manifest.json
    training/         checkpoints of trainings that were not finished

The first two are written as the search goes, the rest when it ends.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

import shelfcast
from shelfcast.errors import SettingsError, UnknownNameError, masked, printable, shorten, shorten_path
from shelfcast.evaluate.search import Found, SearchSettings, search
from shelfcast.evaluate.study import Tried, require_optuna
from shelfcast.files import check_folder, remove_partials, whole_file
from shelfcast.models.registry import make_model, model_names
from shelfcast.models.spaces import Space, search_space
from shelfcast.operate.runs import Manifest, code_hash, harmless_csv
from shelfcast.operate.taken import refuse_taken, taken
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, Silent
from shelfcast.settings import TuneSettings, as_json, options_to_toml, to_toml
from shelfcast.show.tuning_page import write_tuning
from shelfcast.workflow.choosing import is_fitted_folder
from shelfcast.workflow.horizons import horizon_by_data
from shelfcast.workflow.preparing import DEVICE, WHY_DEVICE, Clock, Say, prepare_all, rules, severities, silent
from shelfcast.workflow.trying import METRIC, WindowLoss, WindowPlan, plan_windows

STUDY: Final = "study.db"
PAGE: Final = "report.html"
BEST: Final = "best.toml"
_TRAINING: Final = "training"
_WORK: Final = "another tuning of the same --run"


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """What a tuning leaves.

    Attributes
    ----------
    summary : plain values for people and programs
    options : the best settings, those that were fixed among them, for `ForecastSettings(options=...)`
    trials : one row a trial, as in trials.csv
    run : the folder
    """

    summary: Mapping[str, Any]
    options: Mapping[str, Any]
    trials: pl.DataFrame
    run: Path


def tune(settings: TuneSettings, *, say: Say = silent, progress: Progress | None = None,
         clock: Callable[[], float] = time.perf_counter) -> TuneResult:
    """Search settings within the budget; write the run folder.

    A tuning that was killed goes on where it was; one that ended goes on when it is given a larger budget or more trials.

    Parameters
    ----------
    clock : seconds, rising

    Raises
    ------
    DataError
        If the sales cannot be read into a panel.
    SettingsError
        If something asked for does not exist, or the folder holds another study; said before the work starts.
    MissingExtraError
        If Optuna, or what the model needs, is not installed.
    """
    since = clock()
    _refuse_early(settings)
    seconds, progress = Clock(), progress or Silent()
    lines, findings, cleaned = prepare_all(settings, seconds, say, progress, horizon=0)
    panel = cleaned.panel
    horizon = settings.horizon or horizon_by_data(panel)[0]
    space = search_space(settings.model, unit=panel.frequency.unit).without(settings.options)
    plan = plan_windows(panel, horizon=horizon, asked=settings.windows)
    say(_told_windows(plan, panel, horizon))
    settings.run.mkdir(exist_ok=True)
    with taken(settings.run, work=_WORK):
        remove_partials(settings.run / BEST)
        objective = WindowLoss(panel, plan, model=settings.model, fixed=settings.options, work=_work(space, settings),
                               horizon=horizon, seed=settings.seed, max_series=settings.max_series,
                               folder=settings.run / _TRAINING)
        defaults = objective.defaults()
        teller = _Teller(settings, horizon, say)
        with seconds("search"), _telling_what_is_kept(settings.run, say):
            found = search(objective, space.dimensions,
                           SearchSettings(budget_s=settings.budget, trials=settings.trials, seed=settings.seed, since=since),
                           default={name: defaults[name] for name in space.dimensions}, path=settings.run / STUDY,
                           identity=_identity(settings, panel, space, plan, horizon), told=teller, progress=progress, clock=clock)
        with suppress(OSError):  # checkpoints of a trial that ran out of time stay, for a larger budget
            (settings.run / _TRAINING).rmdir()
        notes = [*found.told, *([f"In some windows no {settings.model} was trained: {objective.stood_back}."]
                                if objective.stood_back else [])]
        for note in notes:
            say(note)
        trials = _table(found, space)
        summary = _summary(settings, found, plan, panel, horizon, notes)
        counts = {f"findings_{k.lower()}": v for k, v in severities(findings).items()}
        manifest = Manifest(
            verb="tune", model=settings.model, why_model="asked for", device=DEVICE, why_device=WHY_DEVICE, seed=settings.seed,
            fingerprint=panel.fingerprint(), cutoff=str(panel.frequency.date(panel.cutoff)), frequency=str(panel.frequency),
            horizon=horizon, seconds=dict(seconds.seconds), notes=(*lines.told, *cleaned.told, *notes),
            counts={"series": len(panel), "rows": panel.rows.height, "trials": len(found.trials), "windows": len(plan.names),
                    "rejected_rows": cleaned.rejected_count, **counts},
            models=(summary,))
        _write(settings, found, trials, manifest)
        use = f"shelfcast fit SALES --model {settings.model} --horizon {horizon} --set @{settings.run / BEST} --run FOLDER"
        write_tuning(settings.run / PAGE, replace(found, told=tuple(notes)), space.dimensions, title=_title(settings),
                     model=settings.model, metric=METRIC, facts=_facts(summary, manifest), command=use)
    return TuneResult(summary=summary, options=summary["options"], trials=trials, run=settings.run)


@contextmanager
def _telling_what_is_kept(run: Path, say: Say) -> Iterator[None]:
    """Where a search is interrupted, say that it was not for nothing."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"What was found so far is kept in {shorten_path(run)!r}; the same command goes on from there.")
        raise


def _refuse_early(settings: TuneSettings) -> None:
    """What would fail in the end is said before the work starts."""
    rules(settings)
    name = settings.model
    if name == "auto" or is_fitted_folder(name):
        what = "weighs and calibrates models by itself" if name == "auto" else "is a folder: a fitted model learns no more"
        raise SettingsError(f"{shorten(name)!r} {what}. Name the model to tune: {', '.join(model_names())}.")
    if name not in model_names():
        raise UnknownNameError("model", name, model_names())
    for given in ("seed", "horizon"):
        if given in settings.options:
            raise SettingsError(f"{given} is not given by --set here, for all windows share it: write --{given}.")
    require_optuna()
    make_model(name, settings.options)
    check_folder(settings.run, marks=[STUDY])
    refuse_taken(settings.run, work=_WORK)


def _work(space: Space, settings: TuneSettings) -> str | None:
    """The setting that a first look shortens; none where it is worth nothing: where there is nothing to search."""
    return space.work if space.dimensions and settings.trials != 1 else None


def _identity(settings: TuneSettings, panel: SalesPanel, space: Space, plan: WindowPlan, horizon: int) -> dict[str, Any]:
    """What tells this study from others: losses of two may not be compared."""
    return {"model": settings.model, "panel": panel.fingerprint(), "horizon": horizon, "windows": [*plan.names, plan.aside],
            "fixed": dict(settings.options), "space": space.as_json(), "seed": settings.seed, "max_series": settings.max_series,
            "shelfcast": f"{shelfcast.__version__} {code_hash()}"}


def _told_windows(plan: WindowPlan, panel: SalesPanel, horizon: int) -> str:
    many = len(plan.names) > 1
    head = (f"Settings are chosen by the window{'s' if many else ''} of {horizon} {panel.frequency.noun}s after "
            f"{' and '.join(sorted(plan.names))}")
    if plan.aside is None:
        return f"{head}, the only one that the past allows: no window is left that nothing was chosen by."
    return f"{head}; the last one, after {plan.aside}, is kept aside and only scored in the end."


@dataclass
class _Teller:
    """Says how each trial did, and keeps the best settings in the run folder at all times."""

    settings: TuneSettings
    horizon: int
    say: Say
    best: int | None = None
    seen: int = -1

    def __call__(self, found: Found) -> None:
        if found.best.number != self.best:
            self.best = found.best.number
            with whole_file(self.settings.run / BEST) as out:
                out.write_text(options_to_toml(self.settings.model, _best_options(self.settings, found),
                                               about=_about(self.settings, found, self.horizon)), encoding="utf-8")
        trial = found.trials[-1]
        if trial.number > self.seen:
            self.seen = trial.number
            self.say(_told_trial(trial, found, self.settings))


def _about(settings: TuneSettings, found: Found, horizon: int) -> str:
    return (f"Best settings found by shelfcast tune: {METRIC} {found.best.loss:.6g}, with the defaults {found.default.loss:.6g}.\n"
            f"Use them: shelfcast fit SALES --model {settings.model} --horizon {horizon} --set @{BEST}")


def _best_options(settings: TuneSettings, found: Found) -> dict[str, Any]:
    return {**settings.options, **found.best.options}


def _told_trial(trial: Tried, found: Found, settings: TuneSettings) -> str:
    """One sentence on a trial, with what of the budget is gone and about how many more it holds."""
    times = "" if trial.ratio is None else f" ({trial.ratio:.3g} times the default's loss)"
    if trial.loss is not None:
        how = f"{METRIC} {trial.loss:.4g}"
        how += " by the defaults" if trial is found.default else times + (", the best so far" if trial is found.best else "")
    elif trial.state == "pruned":
        how = f"given up after {', '.join(trial.losses)}{times}"
    elif trial.state == "unfinished":
        how = "not finished, for the time was over"
    else:
        how = f"failed: {trial.why}"
    said = f"Trial {trial.number}: {how}; {trial.seconds:,.0f} s."
    if settings.budget is None:
        return said
    ended = [t for t in found.trials if t.state != "unfinished"]
    left = settings.budget - found.spent_s
    more = int(left / max(float(np.mean([t.seconds for t in ended[1:] or ended])), 1e-3)) if left > 0 else 0
    about = f", time for about {more:,} more" if 0 < more < 10_000 else ""
    return f"{said} {found.spent_s:,.0f} of {settings.budget:,.0f} s{about}."


def _table(found: Found, space: Space) -> pl.DataFrame:
    """One row a trial."""
    rows = found.trials
    places = list(dict.fromkeys(p for t in rows for p in t.losses))
    columns: dict[str, Any] = {
        "trial": [t.number for t in rows], "state": [t.state for t in rows],
        METRIC: pl.Series([t.loss for t in rows], dtype=pl.Float64),
        "times_default": pl.Series([t.ratio for t in rows], dtype=pl.Float64), "seconds": [round(t.seconds, 3) for t in rows],
        "at_seconds": [round(t.at, 3) for t in rows],
        **{f"{METRIC} {p}": pl.Series([t.losses.get(p) for t in rows], dtype=pl.Float64) for p in places},
        **{name: [t.options[name] for t in rows] for name in space.dimensions}, "why": [t.why for t in rows]}
    return pl.DataFrame(columns, strict=False)


def _summary(settings: TuneSettings, found: Found, plan: WindowPlan, panel: SalesPanel, horizon: int,
             notes: list[str]) -> dict[str, Any]:
    counts = {state: sum(t.state == state for t in found.trials) for state in ("scored", "pruned", "failed", "unfinished")}
    best = _best_options(settings, found)
    changed = {k: v for k, v in found.best.options.items() if v != found.default.options[k]}
    files = {"run": str(settings.run), "best": str(settings.run / BEST), "report": str(settings.run / PAGE)}
    return {"verb": "tune", "model": settings.model, "metric": METRIC, "series": len(panel), "horizon": horizon,
            "frequency": str(panel.frequency), "windows": list(plan.names), "last_window": plan.aside,
            "default": found.default.loss, "best": found.best.loss, "gain": found.gain, "best_trial": found.best.number,
            "last": dict(found.last), "trials": counts, "options": best, "changed": changed, "importances": dict(found.importances),
            "seconds": round(found.spent_s, 1), "budget": settings.budget, "notes": notes, "files": files}


def _title(settings: TuneSettings) -> str:
    """What was tuned on: the name of the file of sales."""
    named = isinstance(settings.sales, str | Path) and str(settings.sales) != "-"
    return printable(Path(masked(str(settings.sales))).name) if named else "sales"


def _facts(summary: Mapping[str, Any], manifest: Manifest) -> dict[str, str]:
    """What the page says of its own making."""
    trials = ", ".join(f"{n:,} {state}" for state, n in summary["trials"].items() if n)
    budget = "none" if summary["budget"] is None else f"{summary['budget']:,.0f} seconds"
    last = summary["last_window"] or "none: the past allows no more than one window"
    horizon = f"{summary['horizon']} ({summary['frequency']})"
    return {"model": manifest.model, "series": f"{summary['series']:,}", "horizon": horizon,
            "windows chosen by, after": ", ".join(summary["windows"]), "window kept aside, after": last, "trials": trials,
            "time budget": budget, "seconds, of all starts": f"{summary['seconds']:,.0f}", "seed": str(manifest.seed),
            "shelfcast": shelfcast.__version__, "hash of the code": code_hash(), "data fingerprint": manifest.fingerprint,
            "data until": manifest.cutoff}


def _write(settings: TuneSettings, found: Found, trials: pl.DataFrame, manifest: Manifest) -> None:
    """The files that are written when the search ends, each whole."""
    important = pl.DataFrame({"setting": list(found.importances), "importance": list(found.importances.values())},
                             schema={"setting": pl.String, "importance": pl.Float64})
    for name, table in (("trials", trials), ("importances", important)):
        with whole_file(settings.run / f"{name}.csv") as out:
            harmless_csv(table).write_csv(out)
    with whole_file(settings.run / "settings.toml") as out:
        out.write_text(to_toml(settings), encoding="utf-8")
    manifest.write(settings.run, settings=as_json(settings))

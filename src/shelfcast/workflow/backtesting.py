"""Backtest: replay windows of the past with several models, side by side, and keep what was found as a run folder.

    manifest.json      versions, seed, fingerprint, which models ran and why, what their weights were trained on
    settings.toml      what was asked, resolved
    results.csv        a row per model and measure: mean over the windows, its spread, skill, and where it came from
    scores.csv         a row per window, model, group and measure
    losses.parquet     a row per window, model and series: sums of losses
    forecasts/MODEL/CUTOFF.parquet, actuals/CUTOFF.parquet
    levels/MODEL/CUTOFF/LEVEL.parquet   forecasts of sums, where a hierarchy was asked for
    report.html        the page

With series that end at dates of their own, the forecasts of a window are a folder CUTOFF with one file for each own cutoff.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

import shelfcast
from shelfcast.adjust.override_table import Overrides
from shelfcast.data.findings import Findings
from shelfcast.data.hierarchy import Hierarchy
from shelfcast.data.split import window_cutoffs
from shelfcast.errors import DataError, SettingsError, UnknownNameError, masked, printable, shorten
from shelfcast.evaluate.backtest import levels_told
from shelfcast.evaluate.scores import measure_names
from shelfcast.evaluate.summary import Summary, summarise
from shelfcast.files import check_folder, scratch_folder, whole_file, whole_folder
from shelfcast.models.registry import model_names
from shelfcast.names import KEYS
from shelfcast.operate.processes import share_out
from shelfcast.operate.runs import MANIFEST, Manifest, code_hash, write_tables
from shelfcast.operate.taken import LOCK, refuse_taken, remove_taken, taken
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, Silent, stage
from shelfcast.settings import BacktestSettings, as_json, to_toml
from shelfcast.show.backtest_page import write_backtest
from shelfcast.workflow.choosing import check_options, is_fitted_folder, known_settings
from shelfcast.workflow.judging import judge_overrides
from shelfcast.workflow.overriding import asked_overrides, check_overrides
from shelfcast.workflow.pieces import PIECE, Plan, cutoff_name, run_task, tasks_of, the_windows, write_actuals
from shelfcast.workflow.preparing import DEVICE, WHY_DEVICE, Clock, Say, prepare_all, rules, severities, silent
from shelfcast.workflow.reconciling import LEVELS_FOLDER, asked_hierarchy, attribute_names

_ABOUT: Final = "backtest.json"  # marks a folder of pieces as ours
BASELINE: Final = "naive"
_WORK: Final = "another backtest of the same --run"


@dataclass(frozen=True, kw_only=True)
class BacktestResult:
    """What a backtest leaves.

    Attributes
    ----------
    summary : plain values for people and programs
    results : one row a model and measure, as in results.csv
    scores : one row a window, model, group and measure, as in scores.csv
    run : the folder
    """

    summary: Mapping[str, Any]
    results: pl.DataFrame
    scores: pl.DataFrame
    run: Path


def backtest(settings: BacktestSettings, *, say: Say = silent, progress: Progress | None = None) -> BacktestResult:
    """Replay windows of the past with each model; write the run folder.

    A run that was killed goes on with the pieces that it had finished.

    Raises
    ------
    DataError
        If the sales cannot be read into a panel.
    SettingsError
        If the windows need more history than there is, or something asked for does not exist; said before the work starts.
    """
    options = _refuse_early(settings)
    metrics = _metrics(settings)
    overrides = asked_overrides(settings)
    clock, progress = Clock(), progress or Silent()
    lines, findings, cleaned = prepare_all(settings, clock, say, progress, horizon=0)
    panel = cleaned.panel
    check_overrides(overrides, panel)
    hierarchy = asked_hierarchy(settings, panel, lines.columns)
    plan = Plan(horizon=settings.horizon, windows=settings.windows, step=settings.step or settings.horizon,
                own_ends=settings.own_ends, refit=settings.refit, models=options, levels=settings.levels, seed=settings.seed,
                max_series=settings.max_series, fingerprint=panel.fingerprint(), folder=_pieces_folder(settings.run),
                budget_s=settings.budget, hierarchy=attribute_names(settings.hierarchy, panel, lines.columns),
                reconcile=settings.reconcile)
    if hierarchy is not None:
        say(_told_cost(plan, panel, hierarchy))
    cutoffs = _cutoffs(plan, panel)
    with taken(plan.folder, work=_WORK):
        return _replay(settings, plan, panel, cutoffs, told=(*lines.told, *cleaned.told), findings=findings,
                       rejected=cleaned.rejected_count, metrics=metrics, overrides=overrides, clock=clock, say=say,
                       progress=progress)


def _replay(settings: BacktestSettings, plan: Plan, panel: SalesPanel, cutoffs: list[str], *, told: Sequence[str],
            findings: Findings, rejected: int, metrics: tuple[str, ...], overrides: Overrides | None, clock: Clock,
            say: Say, progress: Progress) -> BacktestResult:
    """Write the pieces, then the run folder; the folder of pieces is this process's own meanwhile."""
    with whole_file(plan.folder / _ABOUT) as out:
        out.write_text(json.dumps({"shelfcast": shelfcast.__version__, "code": plan.code, "fingerprint": plan.fingerprint}) + "\n",
                       encoding="utf-8")
    with clock("replay"):
        kept = _run(plan, panel, cutoffs, settings.jobs, say, progress)
    with clock("overrides"):
        judged = judge_overrides(plan, panel, overrides, cutoffs, say=say, progress=progress)
    plan = judged.plan
    pieces, scores, losses = _gathered(plan, cutoffs)
    found = summarise(scores, metrics=metrics, baseline=BASELINE)
    counts = {"rejected_rows": rejected, "pieces_kept": kept,
              **{f"findings_{k.lower()}": v for k, v in severities(findings).items()}}
    notes = tuple(levels_told(settings.levels))
    manifest = _manifest(plan, panel, pieces, counts=counts, notes=(*told, *notes), clock=clock)
    results = _results(found, plan, manifest, pieces)
    summary = {**_summary(settings, found, manifest, pieces, cutoffs), "overrides": judged.summary()}
    with whole_folder(settings.run) as out:
        _fill(out, plan, cutoffs, scores, losses, results)
        judged.write(out, cutoffs)
        write_backtest(out / "report.html", scores, found, title=_title(settings), facts=_facts(settings, manifest, cutoffs),
                       notes=notes)
        (out / "settings.toml").write_text(to_toml(settings), encoding="utf-8")
        replace(manifest, seconds=clock.seconds).write(out, settings=as_json(settings))
    remove_taken(plan.folder)
    return BacktestResult(summary=summary, results=results, scores=scores, run=settings.run)


def _told_cost(plan: Plan, panel: SalesPanel, hierarchy: Hierarchy) -> str:
    """How much more work it is to forecast sums and make all agree, before it begins."""
    fits = max(plan.summing(model).fits(panel, hierarchy) for model in plan.models)
    replays = max(plan.summing(model).replays(panel) for model in plan.models)
    head = f"Sums by {len(hierarchy.levels)} levels, reconciled by {plan.reconcile}: in each window every model"
    if not fits:
        return f"{head} is fitted no more often, for the levels are added up and the past is too short to be replayed."
    again = f"replayed {replays} times inside its past"
    if plan.reconcile == "bottom_up":
        why = f"for the past is {again}; the levels are added up, not forecast"
    else:
        why = f"for the levels are forecast, too{f' and {again}' if replays else ''}"
    unbound = "" if plan.budget_s is None else " The time budget does not bound these fits."
    return f"{head} is fitted up to {fits} more times, {why}.{unbound}"


def _refuse_early(settings: BacktestSettings) -> dict[str, dict[str, Any]]:
    """What would fail in the end is said before the work starts; {model: its settings}."""
    rules(settings)
    check_folder(settings.run, marks=[MANIFEST])
    check_folder(_pieces_folder(settings.run), marks=[_ABOUT, LOCK])
    refuse_taken(_pieces_folder(settings.run), work=_WORK)
    options: dict[str, dict[str, Any]] = {}
    for name in settings.models:
        if is_fitted_folder(name):
            raise SettingsError(f"{shorten(name)!r} is a folder: a model that is already fitted has seen the windows. A backtest "
                                f"fits models itself; name them: auto, {', '.join(model_names())}.")
        if name != "auto" and name not in model_names():
            raise UnknownNameError("model", name, ["auto", *model_names()])
        options[name] = {}
    for key, value in settings.options.items():
        model, dot, setting = key.partition(".")
        if dot:
            if model not in options:
                raise UnknownNameError("model of this backtest", model, options)
            options[model][setting] = value
            continue
        having = [m for m in options if key in known_settings(m)]
        if not having:
            known = sorted({s for m in options for s in known_settings(m)})
            raise UnknownNameError("setting of these models", key, known)
        for m in having:
            options[m][key] = value
    for name, chosen in options.items():
        check_options(name, chosen)
    return options


def _metrics(settings: BacktestSettings) -> tuple[str, ...]:
    """The measures asked for, spelled as they are written, whatever the case of their letters."""
    known = {name.lower(): name for name in measure_names(settings.levels)}
    out = []
    for name in settings.metrics:
        if name.lower() not in known:
            raise UnknownNameError("measure", name, known.values())
        out.append(known[name.lower()])
    return tuple(dict.fromkeys(out))


def _pieces_folder(run: Path) -> Path:
    return run.with_name(f"{run.name}.partial")


def _cutoffs(plan: Plan, panel: SalesPanel) -> list[str]:
    """Names of the windows' cutoffs, oldest first."""
    found = window_cutoffs(panel, horizon=plan.horizon, count=plan.windows, step=plan.step, own_ends=plan.own_ends)
    return [cutoff_name(cutoff, panel.frequency) for cutoff in found]


def _run(plan: Plan, panel: SalesPanel, cutoffs: list[str], jobs: int, say: Say, progress: Progress) -> int:
    """Write every piece that is not there yet; how many were."""
    tasks = tasks_of(plan, cutoffs)
    total = plan.windows * len(plan.models)
    kept = total - sum(len(task.windows) for task in tasks)
    if kept:
        say(f"{kept} of {total} pieces were finished before and are kept.")
    for cutoff, make in zip(cutoffs, the_windows(plan, panel), strict=True):
        if not plan.actuals(cutoff).exists():
            write_actuals(plan, make())
    if not tasks:
        return kept
    with stage(progress, "replaying the past", total) as bar:
        bar.advance(kept)
        if jobs == 1:
            for task in tasks:
                bar.advance(len(run_task((plan, panel), task)))
            return kept
        # Only LightGBM's threads are limited: it gives the same numbers for any count of them, which sums in polars do not (1e-14).
        threads = max(1, (os.cpu_count() or 1) // jobs)
        with scratch_folder() as scratch:
            panel.save(Path(scratch) / "panel")
            shared = share_out(tasks, prepare=_load, argument=(replace(plan, threads=threads), str(Path(scratch) / "panel")),
                               work=run_task, jobs=jobs, environment={"OMP_WAIT_POLICY": "PASSIVE"})
            for _, done in shared:
                bar.advance(len(done))
    return kept


def _load(argument: tuple[Plan, str]) -> tuple[Plan, SalesPanel]:
    """What each process begins with: the plan, and the panel read from its folder."""
    plan, folder = argument
    return plan, SalesPanel.load(folder)


def _labelled(table: pl.DataFrame, piece: Mapping[str, Any], *, cutoff: bool = True) -> pl.DataFrame:
    labels = {"window": pl.lit(piece["window"], dtype=pl.Int32), "cutoff": pl.lit(piece["cutoff"]), "model": pl.lit(piece["model"])}
    if not cutoff:
        del labels["cutoff"]
    first = ["window", "cutoff", "model", *(k for k in KEYS if k in table.columns)]
    return table.with_columns(**labels).select(*first, pl.exclude(first))


def _gathered(plan: Plan, cutoffs: list[str]) -> tuple[list[dict[str, Any]], pl.DataFrame, pl.DataFrame]:
    """What the pieces say of themselves, all scores and all losses; window by window."""
    pieces = [plan.piece(model, cutoff) for cutoff in cutoffs for model in plan.models]
    told = [json.loads((piece / PIECE).read_text(encoding="utf-8")) for piece in pieces]
    scores = pl.concat([_labelled(pl.read_parquet(piece / "scores.parquet"), one) for piece, one in zip(pieces, told, strict=True)])
    if not scores.height:
        raise DataError(f"Nothing is known of the sales in the {plan.windows} windows, so nothing can be measured there.")
    losses = pl.concat([_labelled(pl.read_parquet(piece / "losses.parquet"), one, cutoff=False)
                        for piece, one in zip(pieces, told, strict=True)])
    return told, scores, losses


def _manifest(plan: Plan, panel: SalesPanel, told: list[dict[str, Any]], *, counts: Mapping[str, int], notes: tuple[str, ...],
              clock: Clock) -> Manifest:
    counted = {"series": len(panel), "scored": max(one["scored"] for one in told), "rows": panel.rows.height,
               "windows": plan.windows, "pieces": len(told), **counts}
    return Manifest(verb="backtest", model=", ".join(plan.models), why_model="asked for", device=DEVICE, why_device=WHY_DEVICE,
                    seed=plan.seed, fingerprint=plan.fingerprint, cutoff=str(panel.frequency.date(panel.cutoff)),
                    frequency=str(panel.frequency), horizon=plan.horizon, seconds=dict(clock.seconds), counts=counted, notes=notes,
                    models=tuple(told))


def _results(found: Summary, plan: Plan, manifest: Manifest, told: list[dict[str, Any]]) -> pl.DataFrame:
    """One row a model and measure, with where it came from."""
    trained = {one["model"]: ", ".join(one["trained_on"]) for one in told}
    ran = {one["model"]: one["ran"] for one in told}
    return found.table.with_columns(
        pl.col("model").replace_strict(ran, return_dtype=pl.String).alias("ran"),
        pl.lit(plan.horizon).alias("horizon"), pl.lit(plan.refit).alias("refit"), pl.lit(plan.own_ends).alias("own_ends"),
        pl.lit(manifest.cutoff).alias("data_until"), pl.lit(manifest.frequency).alias("frequency"),
        pl.lit(shelfcast.__version__).alias("shelfcast"), pl.lit(plan.code).alias("code"),
        pl.lit(plan.fingerprint).alias("fingerprint"),
        pl.lit(plan.seed).alias("seed"), pl.lit(_settings_hash(plan)).alias("settings"),
        pl.col("model").replace_strict(trained, return_dtype=pl.String).alias("trained_on"))


def _settings_hash(plan: Plan) -> str:
    told = {k: v for k, v in asdict(plan).items() if k not in ("folder", "threads", "code")}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _summary(settings: BacktestSettings, found: Summary, manifest: Manifest, told: list[dict[str, Any]],
             cutoffs: list[str]) -> dict[str, Any]:
    """What the command line prints and --json writes."""
    seconds: dict[str, float] = {}
    for one in told:
        seconds[one["model"]] = round(seconds.get(one["model"], 0.0) + one["fit_seconds"] + one["predict_seconds"], 3)
    return {"verb": "backtest", "horizon": settings.horizon, "windows": settings.windows, "cutoffs": cutoffs,
            "frequency": manifest.frequency, "series": manifest.counts["series"], "scored": manifest.counts["scored"],
            "refit": settings.refit, "own_ends": settings.own_ends, "fingerprint": manifest.fingerprint,
            "models": found.as_dict(), "metrics": list(found.metrics), "won": found.won(), "model_seconds": seconds,
            "why": {one["model"]: f"{one['ran']}: {one['why']}" if one["ran"] != one["model"] else one["why"] for one in told},
            "pieces_kept": manifest.counts["pieces_kept"], "notes": levels_told(settings.levels),
            "seconds": dict(manifest.seconds), "files": {"run": str(settings.run)}}


def _title(settings: BacktestSettings) -> str:
    named = isinstance(settings.sales, str | Path) and str(settings.sales) != "-"
    return printable(Path(masked(str(settings.sales))).name) if named else "sales"


def _facts(settings: BacktestSettings, manifest: Manifest, cutoffs: list[str]) -> dict[str, str]:
    """What the page says of its own making."""
    why = {one["model"]: one["why"].removeprefix(f"{one['model']}: ") for one in manifest.models if one["why"] != "asked for"}
    return {"windows": f"{settings.windows} of {settings.horizon} periods ({manifest.frequency}), cutoffs {', '.join(cutoffs)}",
            "series": f"{manifest.counts['scored']:,} of {manifest.counts['series']:,} scored",
            "each model learned": "anew before every window" if settings.refit == "every" else "once, before the oldest window",
            **({"series end": "with their own last known sale"} if settings.own_ends else {}), **why,
            **({"sums": f"by {', '.join(settings.hierarchy)}, reconciled by {settings.reconcile}"} if settings.hierarchy else {}),
            "shelfcast": shelfcast.__version__, "hash of the code": code_hash(), "seed": str(manifest.seed),
            "data fingerprint": manifest.fingerprint,
            "data until": manifest.cutoff, "seconds": ", ".join(f"{k} {v:.1f}" for k, v in manifest.seconds.items())}


def _fill(out: Path, plan: Plan, cutoffs: list[str], scores: pl.DataFrame, losses: pl.DataFrame, results: pl.DataFrame) -> None:
    """The run folder's tables and forecasts; pieces are linked, not copied, where the disk can."""
    write_tables(out, {"scores": scores, "results": results})
    losses.write_parquet(out / "losses.parquet")
    (out / "actuals").mkdir()
    for cutoff in cutoffs:
        for model in plan.models:
            levels = sorted((plan.piece(model, cutoff) / LEVELS_FOLDER).glob("*.parquet"))
            if levels:
                home = out / LEVELS_FOLDER / model / cutoff
                home.mkdir(parents=True)
            for file in levels:
                _link(file, home / file.name)
    for cutoff in cutoffs:
        _link(plan.actuals(cutoff) / "actuals.parquet", out / "actuals" / f"{cutoff}.parquet")
        for model in plan.models:
            files = sorted((plan.piece(model, cutoff) / "forecasts").glob("*.parquet"))
            home = out / "forecasts" / model
            if plan.own_ends:
                home = home / cutoff
            home.mkdir(parents=True, exist_ok=True)
            for file in files:
                _link(file, home / file.name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

"""Fit and forecast: the way from sales to a forecast, its score, its run folder and its page."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

import shelfcast
from shelfcast.adjust.override_table import Overrides
from shelfcast.adjust.saving import check_forecaster, learned_places, save_forecaster
from shelfcast.data.hierarchy import Hierarchy
from shelfcast.errors import SettingsError, SourceError, masked, printable, shorten, shorten_path
from shelfcast.evaluate.backtest import Backtest, backtest
from shelfcast.files import check_folder, check_target, whole_folder
from shelfcast.forecast import MEAN
from shelfcast.models.base import Forecaster, require_future, resumes
from shelfcast.models.registry import (
    make_model,
    model_names,
)
from shelfcast.names import DATE, quantile_column
from shelfcast.operate.batches import ForecastBatches
from shelfcast.operate.runs import FORECAST, MANIFEST, MODEL, Manifest, write_tables
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, Silent, stage
from shelfcast.settings import ForecastSettings, as_json, to_toml
from shelfcast.show.content import About
from shelfcast.show.evidence import accuracy_table, findings_table
from shelfcast.show.gather import gather
from shelfcast.show.report import write_report
from shelfcast.workflow.automatic import AutoForecaster
from shelfcast.workflow.choosing import account_of, check_options, choose_model, fitted_folder, is_fitted_folder
from shelfcast.workflow.horizons import horizon_before_reading, horizon_by_data, told_horizon
from shelfcast.workflow.overriding import Planned, asked_overrides, check_overrides, overriding
from shelfcast.workflow.preparing import Clock, Places, Prepared, Say, is_among, manifest_of, prepare, rules, severities, silent
from shelfcast.workflow.proving import score_of_proof
from shelfcast.workflow.reconciling import Coherent, asked_hierarchy, reconciling
from shelfcast.workflow.remembering import Remembering, refuse_cache
from shelfcast.workflow.training import account_of_training, fit_kept, kept, refuse_trained, stood_back, write_training

BACKTEST_SERIES = 5_000  # series that the one-window score is taken on, when there are more


@dataclass(frozen=True, kw_only=True)
class ForecastResult:
    """What a forecast leaves.

    Attributes
    ----------
    summary : plain values for people and programs: what ran, on what, how well, what needs attention
    head : the first rows of the forecast
    files : {what: where it was written}
    """

    summary: Mapping[str, Any]
    head: pl.DataFrame
    files: Mapping[str, Path]


def fit(settings: ForecastSettings, *, say: Say = silent, progress: Progress | None = None) -> Mapping[str, Any]:
    """Fit a model on all history and keep it in `settings.run`; a horizon that is not given is chosen, and told."""
    run = settings.run
    if run is None:
        raise SettingsError("Fitting needs a folder to keep the model in: give --run FOLDER.")
    _refuse_early(settings)
    clock, progress = Clock(), progress or Silent()
    settings, prepared = _prepare(settings, clock, say, progress)
    model, why = choose_model(replace(settings, backtest=False), prepared.panel)  # one fit alone: the whole budget is its own
    with kept(run, model) as place:
        with clock("fit"):
            fit_kept(model, prepared.panel, place, say=say, progress=progress)
        why = _settled(model, why, say)
        manifest = _with_account(manifest_of("fit", settings, prepared, model, why, clock), model)
        with whole_folder(run) as folder:
            save_forecaster(model, folder / MODEL, panel=prepared.panel)
            write_training(folder, model, prepared.panel, manifest, title=_title(settings))
            (folder / "settings.toml").write_text(to_toml(settings), encoding="utf-8")
            manifest.write(folder, settings=as_json(settings))
    return {"verb": "fit", "model": model.traits.name, "why_model": why, "auto": account_of(model), "series": len(prepared.panel),
            "horizon": settings.horizon, "training": account_of_training(model), "files": {"run": str(run)}}


def forecast(settings: ForecastSettings, *, say: Say = silent, progress: Progress | None = None) -> ForecastResult:
    """Forecast every series that is still sold; write what was asked for. A horizon that is not given is chosen, and told.

    Raises
    ------
    DataError
        If the sales cannot be read into a panel, or a known covariate has no future row.
    SettingsError
        If a result could not be written where it was asked for; said before the work starts.
    """
    _refuse_early(settings)
    overrides = asked_overrides(settings)
    clock, progress = Clock(), progress or Silent()
    settings, prepared = _prepare(settings, clock, say, progress)
    check_overrides(overrides, prepared.cleaned.panel)
    panel = prepared.panel
    hierarchy = asked_hierarchy(settings, panel, prepared.lines.columns)
    model, why = choose_model(settings, panel)
    require_future(panel, settings.ahead)
    say(f"Model: {model.traits.name} ({why}).")
    to_fit = model.traits.needs_fit and not is_fitted_folder(settings.model)
    with kept(settings.run if to_fit else None, model) as place:
        began = time.perf_counter()
        if to_fit:
            with clock("fit"):
                fit_kept(model, panel, place, say=say, progress=progress)
        why = _settled(model, why, say)
        return _forecast(settings, prepared, model, why, hierarchy, overrides, clock=clock, say=say, progress=progress,
                         spent=time.perf_counter() - began)


def _forecast(settings: ForecastSettings, prepared: Prepared, model: Forecaster, why: str, hierarchy: Hierarchy | None,
              overrides: Overrides | None, *, clock: Clock, say: Say, progress: Progress, spent: float) -> ForecastResult:
    """What follows the fit: score, forecast, sums, overrides, and writing what was asked for."""
    panel = prepared.panel
    scores = None
    if settings.backtest:
        with clock("backtest"):
            scores = _scored(settings, model, panel, say, progress, spent=spent)
        if scores is not None and isinstance(model, AutoForecaster):
            why = " ".join([why, *scores.told])
    with ForecastBatches() as batches:
        with clock("predict"), stage(progress, "forecasting", len(panel)) as bar:
            remembering = Remembering(settings, model, panel)
            for part in panel.chunks(settings.batch if model.traits.series_apart else len(panel)):
                batches.add(remembering.forecast(part))
                bar.advance(len(part))
        if remembering.told:
            say(remembering.told)
        with (reconciling(batches, hierarchy, settings, panel, clock=clock, say=say, progress=progress) as coherent,
              overriding(coherent.batches, overrides, prepared, say=say, progress=progress) as planned):
            coherent = coherent.with_overrides(planned)
            manifest = _with_account(manifest_of("forecast", settings, prepared, model, why, clock), model)
            manifest = replace(manifest, notes=(*manifest.notes, *remembering.notes))
            files = _write(settings, prepared, model, coherent, planned, scores, manifest, clock)
            head = planned.batches.scan(settings.levels).head(10).collect()
            summary = {**_summary(settings, prepared, planned, scores, manifest, files), "levels": coherent.summary(),
                       "auto": account_of(model)}
    return ForecastResult(summary=summary, head=head, files=files)


def demo(folder: Path, *, say: Say = silent, progress: Progress | None = None) -> ForecastResult:
    """Simulate the demo chain into `folder/chain`, spoil its sales as a messy export, and run the whole path on that, into
    `folder/run`."""
    from shelfcast.world.chain import DEMO, demo_chain
    from shelfcast.world.dirt import soil, write_soiled
    from shelfcast.world.tables import write_chain

    if os.path.exists(folder) and not os.path.isdir(folder):
        raise SettingsError(f"{str(folder)!r} is a file; give the name of a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    say("Simulating the demo chain ...")
    chain = demo_chain(DEMO)
    with whole_folder(folder / "chain") as whole:  # the chain and its messy export appear together
        write_chain(chain, whole)
        write_soiled(soil(chain.sales, seed=DEMO.seed), whole / "sales.csv")
    return forecast(demo_settings(folder), say=say, progress=progress)


def demo_settings(folder: Path) -> ForecastSettings:
    """The forecast that the demo makes: what a user would ask for on these files."""
    chain = folder / "chain"
    return ForecastSettings(sales=chain / "sales.csv", places=chain / "places.csv", static=chain / "items.csv", horizon=28,
                            known=("open", "promo", "price", "holiday"), model="boosted", options={"effort": "fast"},
                            run=folder / "run", report=folder / "report.html")


def _prepare(settings: ForecastSettings, clock: Clock, say: Say, progress: Progress) -> tuple[ForecastSettings, Prepared]:
    """The sales, and settings whose horizon is settled; a fitted model's folder brings both its horizon and its places."""
    asked = settings.horizon
    settings, why = horizon_before_reading(settings)
    prepared = prepare(settings, clock, say, progress, places=_places_of_model(settings))
    if settings.horizon is None:
        ahead, why = horizon_by_data(prepared.panel)
        settings = replace(settings, horizon=ahead)
    if asked is None:
        told = told_horizon(prepared.panel, settings.ahead, why)
        say(told)
        prepared = replace(prepared, told=(told,))
    return settings, prepared


def _places_of_model(settings: ForecastSettings) -> Places | None:
    """The places that a fitted model learned with, where no table of places is given."""
    if settings.places is not None or not is_fitted_folder(settings.model):
        return None
    table = learned_places(fitted_folder(settings.model))
    return None if table is None else Places(table=table, source=f"the model in {shorten_path(settings.model)!r}")


def _refuse_early(settings: ForecastSettings) -> None:
    """What would fail in the end is said before the work starts: targets, and the name of the model."""
    several = settings.static if isinstance(settings.static, tuple | list) else (settings.static,)
    given = (settings.sales, *settings.covariates, *several, settings.places, settings.overrides)
    inputs = [str(s) for s in given if isinstance(s, str | Path)]
    for target in (settings.out, settings.report):
        if target is not None:
            check_target(target)
            if any(is_among(target, given) for given in inputs):
                raise SettingsError(f"{str(target)!r} is one of the files that are read, and inputs are never changed. Give "
                                    f"the result another name.")
    rules(settings)
    if settings.run is not None:
        check_folder(settings.run, marks=[MANIFEST])
    refuse_cache(settings)
    if is_fitted_folder(settings.model):
        if settings.options:
            raise SettingsError(f"The model in {shorten_path(settings.model)!r} is already fitted; the setting "
                                f"{shorten(next(iter(settings.options)))!r} cannot change it. Leave --set out, or fit again.")
        if not Path(settings.model).is_dir():
            raise SourceError(f"There is no folder {shorten_path(settings.model)!r}, so no model. Give the folder that `shelfcast "
                              f"fit --run` or `shelfcast forecast --run` wrote, or a name: {', '.join(model_names())}.")
        check_forecaster(fitted_folder(settings.model))
        horizon_before_reading(settings)
    elif settings.model != "auto":
        made = make_model(settings.model, settings.options)
        if settings.run is not None and resumes(made):
            refuse_trained(settings.run)
    else:
        check_options("auto", settings.options)


def _settled(model: Forecaster, why: str, say: Say) -> str:
    """Say what `auto` tried and found, and make that the reason; also why a network was not trained."""
    account = account_of(model)
    if account is None:
        back = stood_back(model)
        if back:
            say(f"No network was trained: {back}.")
        return f"{why}; {back}" if back else why
    for sentence in account["told"]:
        say(sentence)
    return " ".join(["auto:", *account["told"]])


def _with_account(manifest: Manifest, model: Forecaster) -> Manifest:
    """The manifest with what `auto` tried, its weights and its calibration; or with how a network was trained."""
    account, training = account_of(model), account_of_training(model)
    told = account if account is not None else None if training is None else {"training": training}
    return manifest if told is None else replace(manifest, models=({"model": manifest.model, **told},))


def _scored(settings: ForecastSettings, model: Forecaster, panel: SalesPanel, say: Say, progress: Progress, *,
            spent: float) -> Backtest | None:
    """The score of the last window: from auto's own trials, or by fitting once more on what came before it.

    Parameters
    ----------
    spent : seconds that the fit took, as a second one will
    """
    if not isinstance(model, AutoForecaster):
        return _backtest(settings, model, panel, say, progress)
    if model.proof_ is not None:
        scores = score_of_proof(model.proof_, panel)
        say(" ".join(scores.told))
        return scores
    left = None if settings.budget is None else settings.budget - spent
    if left is not None and left < spent:
        say(f"No score: no window of this horizon was tried, and a second fit of {spent:.0f} seconds does not fit into what the "
            f"time budget leaves; give a larger --budget, or --no-backtest.")
        return None
    return _backtest(settings, AutoForecaster(replace(model.settings, budget_s=left)), panel, say, progress)


def _backtest(settings: ForecastSettings, model: Forecaster, panel: SalesPanel, say: Say, progress: Progress) -> Backtest | None:
    length = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
    if length < 2 * settings.ahead:
        say(f"No backtest: {length} periods of history cannot be split into a past and a window of {settings.horizon}.")
        return None
    return backtest(model, panel, horizon=settings.ahead, rival=make_model("naive"), max_series=BACKTEST_SERIES,
                    seed=settings.seed, progress=progress)


def _write(settings: ForecastSettings, prepared: Prepared, model: Forecaster, coherent: Coherent, planned: Planned,
           scores: Backtest | None, manifest: Manifest, clock: Clock) -> dict[str, Path]:
    files: dict[str, Path] = {}
    content = None
    if settings.report is not None or settings.run is not None:
        with clock("report"):
            content = gather(prepared.panel, planned.batches.scan(), _about(settings, manifest, planned),
                             findings=findings_table(prepared.findings), changes=prepared.cleaned.changes,
                             accuracy=accuracy_table(scores), withdrawn=prepared.withdrawn)
    if settings.run is not None and content is not None:
        with whole_folder(settings.run) as folder:
            coherent.batches.write(folder / FORECAST)
            coherent.write(folder)
            planned.write(folder)
            save_forecaster(model, folder / MODEL, panel=prepared.panel)
            tables = {"findings": prepared.findings.to_frame(), "changes": prepared.cleaned.changes,
                      "rejected": prepared.cleaned.rejected, "withdrawn": prepared.withdrawn}
            write_tables(folder, tables if scores is None else {**tables, "scores": scores.scores})
            write_report(folder / "report.html", content)
            write_training(folder, model, prepared.panel, manifest, title=_title(settings))
            (folder / "settings.toml").write_text(to_toml(settings), encoding="utf-8")
            replace(manifest, seconds=clock.seconds).write(folder, settings=as_json(settings))
        files["run"] = settings.run
    if settings.report is not None and content is not None:
        write_report(settings.report, content)
        files["report"] = settings.report
    if settings.out is not None:
        planned.batches.write(settings.out, settings.levels)
        files["forecast"] = settings.out
    return files


def _summary(settings: ForecastSettings, prepared: Prepared, planned: Planned, scores: Backtest | None, manifest: Manifest,
             files: Mapping[str, Path]) -> dict[str, Any]:
    """What the command line prints and --json writes."""
    median = quantile_column(0.5)
    totals = (planned.batches.scan().group_by(DATE).agg(pl.col(MEAN).sum(), pl.col(median).sum().alias("sum of medians")).sort(DATE)
              .collect(engine="streaming"))
    return {
        "verb": manifest.verb, "model": manifest.model, "why_model": manifest.why_model, "frequency": manifest.frequency,
        "cutoff": manifest.cutoff, "horizon": settings.horizon, "first": str(totals[DATE][0]), "last": str(totals[DATE][-1]),
        "series": manifest.counts["forecast"], "withdrawn": manifest.counts["withdrawn"], "rows": planned.batches.rows,
        "total_mean": float(totals[MEAN].sum()), "fingerprint": manifest.fingerprint,
        "findings": severities(prepared.findings), "backtest": None if scores is None else scores.headline(),
        "overrides": planned.summary(), "seconds": dict(manifest.seconds), "files": {k: str(v) for k, v in files.items()},
    }


def _title(settings: ForecastSettings) -> str:
    """What a page is about: the name of the file of sales."""
    named = isinstance(settings.sales, str | Path) and str(settings.sales) != "-"
    return printable(Path(masked(str(settings.sales))).name) if named else "sales"


def _about(settings: ForecastSettings, manifest: Manifest, planned: Planned) -> About:
    """What the report says of its own making."""
    source = _title(settings)
    lines = {"shelfcast": shelfcast.__version__, "model": f"{manifest.model} ({manifest.why_model})", "cutoff": manifest.cutoff,
             "seed": manifest.seed, "data fingerprint": manifest.fingerprint,
             "device": f"{manifest.device} ({manifest.why_device})",
             "seconds": ", ".join(f"{k} {v:.1f}" for k, v in manifest.seconds.items()), **planned.lines()}
    for row in (row for one in manifest.models for row in one.get("weights", ())):
        share = ", ".join(f"{k} {v:.0%}" for k, v in row.items() if k != "group" and v > 0)
        lines[f"weights, {row['group']}"] = share
    return About(title=source, source=source, model=manifest.model, why=manifest.why_model,
                 manifest=tuple((k, str(v)) for k, v in lines.items()))

"""One short function for each thing that a user can ask for; every door calls these and nothing beneath them.

    check     what is wrong or odd in sales
    clean     a clean panel and what was changed
    fit       a fitted model, kept as a folder
    forecast  read, check, clean, score on the last window, fit, forecast, report
    demo      the same on a simulated chain
    models    which models there are; `doctor`: what is installed and why
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl

import shelfcast
from shelfcast.data.check import check_sales
from shelfcast.data.clean import Cleaned, CleanSettings, clean_sales
from shelfcast.data.cleaning.flaws import REJECTING
from shelfcast.data.findings import SEVERITIES, Finding, Findings
from shelfcast.data.formats.tables import unreadable
from shelfcast.data.lifecycle import judge
from shelfcast.data.lines import SalesLines
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError, SettingsError, SourceError, UnknownNameError, masked, printable, shorten, shorten_path
from shelfcast.evaluate.backtest import Backtest, backtest
from shelfcast.files import check_folder, check_target, whole_folder
from shelfcast.forecast import MEAN
from shelfcast.models.base import Forecaster, require_future
from shelfcast.models.registry import (
    check_saved,
    load_model,
    make_model,
    missing_package,
    model_names,
    model_traits,
    save_model,
    setting_names,
)
from shelfcast.names import DATE, SALES, quantile_column
from shelfcast.operate.batches import ForecastBatches
from shelfcast.operate.runs import CLEANED, CORE, EXTRAS, FORECAST, MANIFEST, MODEL, Manifest, installed, write_tables
from shelfcast.panel import PERIOD, SalesPanel
from shelfcast.progress import Progress, Silent, stage
from shelfcast.settings import MAX_HORIZON, ForecastSettings, SalesSettings, as_json, to_toml
from shelfcast.show.content import About
from shelfcast.show.evidence import accuracy_table, findings_table
from shelfcast.show.gather import gather
from shelfcast.show.report import write_report

Say = Callable[[str], None]
BACKTEST_SERIES = 5_000  # series that the one-window score is taken on, when there are more
DEVICE, WHY_DEVICE = "cpu", "every model of this version runs on the CPU"


def silent(_: str) -> None:
    """The way to say nothing."""


@dataclass
class _Clock:
    """Wall seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Sales that were read, checked and cleaned, with the series that are still sold."""

    lines: SalesLines
    findings: Findings
    cleaned: Cleaned
    panel: SalesPanel
    withdrawn: pl.DataFrame


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


def check(settings: SalesSettings, *, horizon: int = 0, say: Say = silent, progress: Progress | None = None) -> Findings:
    """Findings about sales; changes nothing."""
    if horizon < 0 or horizon > MAX_HORIZON:
        raise SettingsError(f"The horizon is {shorten(horizon)}; it must be a whole number of periods from 0 to {MAX_HORIZON:,}.")
    lines = _read(settings, say)
    with _reading(lines):
        return check_sales(lines, horizon=horizon, cutoff=settings.cutoff, progress=progress or Silent())


def clean(settings: SalesSettings, out: Path, *, say: Say = silent, progress: Progress | None = None) -> Cleaned:
    """Clean sales into a folder: panel/, sales.parquet, changes.csv, rejected.csv."""
    check_folder(out, marks=CLEANED)
    lines = _read(settings, say)
    with _reading(lines):
        cleaned = clean_sales(lines, settings=_rules(settings), cutoff=settings.cutoff, progress=progress or Silent())
    with whole_folder(out) as folder:
        cleaned.panel.save(folder / "panel")
        cleaned.panel.to_frame().write_parquet(folder / "sales.parquet")
        write_tables(folder, {"changes": cleaned.changes, "rejected": cleaned.rejected})
    return cleaned


def fit(settings: ForecastSettings, *, say: Say = silent, progress: Progress | None = None) -> Mapping[str, Any]:
    """Fit a model on all history and keep it in `settings.run`."""
    if settings.run is None:
        raise SettingsError("Fitting needs a folder to keep the model in: give --run FOLDER.")
    _refuse_early(settings)
    clock, progress = _Clock(), progress or Silent()
    prepared = _prepare(settings, clock, say, progress)
    model, why = _model(settings, prepared.panel)
    with clock("fit"), stage(progress, "fitting", 1):
        model.fit(prepared.panel)
    manifest = _manifest("fit", settings, prepared, model, why, clock)
    with whole_folder(settings.run) as folder:
        save_model(model, folder / MODEL, panel=prepared.panel)
        (folder / "settings.toml").write_text(to_toml(settings), encoding="utf-8")
        manifest.write(folder, settings=as_json(settings))
    return {"verb": "fit", "model": model.traits.name, "why_model": why, "series": len(prepared.panel),
            "files": {"run": str(settings.run)}}


def forecast(settings: ForecastSettings, *, say: Say = silent, progress: Progress | None = None) -> ForecastResult:
    """Forecast every series that is still sold; write what was asked for.

    Raises
    ------
    DataError
        If the sales cannot be read into a panel, or a known covariate has no future row.
    SettingsError
        If a result could not be written where it was asked for; said before the work starts.
    """
    _refuse_early(settings)
    clock, progress = _Clock(), progress or Silent()
    prepared = _prepare(settings, clock, say, progress)
    panel = prepared.panel
    require_future(panel, settings.horizon)
    model, why = _model(settings, panel)
    say(f"Model: {model.traits.name} ({why}).")
    scores = None
    if settings.backtest:
        with clock("backtest"):
            scores = _backtest(settings, model, panel, say, progress)
    if model.traits.needs_fit and not _is_fitted_folder(settings.model):
        with clock("fit"), stage(progress, "fitting", 1):
            model.fit(panel)
    with ForecastBatches() as batches:
        with clock("predict"), stage(progress, "forecasting", len(panel)) as bar:
            for part in panel.chunks(settings.batch if model.traits.series_apart else len(panel)):
                batches.add(model.predict(part, horizon=settings.horizon, levels=settings.all_levels))
                bar.advance(len(part))
        manifest = _manifest("forecast", settings, prepared, model, why, clock)
        files = _write(settings, prepared, model, batches, scores, manifest, clock)
        head = batches.scan(settings.levels).head(10).collect()
        summary = _summary(settings, prepared, batches, scores, manifest, files)
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


def models() -> list[dict[str, Any]]:
    """Every registered model: what it uses and needs, and whether it can run here."""
    listed = []
    for name, traits in zip(model_names(), model_traits(), strict=True):
        missing = missing_package(name)
        listed.append({**asdict(traits), "name": name, "available": missing is None,
                       "needs": None if missing is None else f"pip install 'shelfcast[{traits.extra or 'all'}]'"})
    return listed


def doctor() -> dict[str, Any]:
    """What is installed, which device and why, where files go."""
    return {
        "shelfcast": shelfcast.__version__, "python": platform.python_version(), "executable": sys.executable,
        "platform": platform.platform(), "cores": os.cpu_count(), "device": DEVICE, "why_device": WHY_DEVICE,
        "core": installed(CORE), "extras": {name: installed(packages) for name, packages in EXTRAS.items()},
        "temporary_files": tempfile.gettempdir(), "results": "only where --out, --run and --report say",
    }


# -- the steps --------------------------------------------------------------------------------------------------------


def _refuse_early(settings: ForecastSettings) -> None:
    """What would fail in the end is said before the work starts: targets, and the name of the model."""
    inputs = [str(s) for s in (settings.sales, *settings.covariates, settings.static, settings.places) if isinstance(s, str | Path)]
    for target in (settings.out, settings.report):
        if target is not None:
            check_target(target)
            if any(_is_among(target, given) for given in inputs):
                raise SettingsError(f"{str(target)!r} is one of the files that are read, and inputs are never changed. Give "
                                    f"the result another name.")
    _rules(settings)
    if settings.run is not None:
        check_folder(settings.run, marks=[MANIFEST])
    if _is_fitted_folder(settings.model):
        if settings.options:
            raise SettingsError(f"The model in {shorten_path(settings.model)!r} is already fitted; the setting "
                                f"{shorten(next(iter(settings.options)))!r} cannot change it. Leave --set out, or fit again.")
        if not Path(settings.model).is_dir():
            raise SourceError(f"There is no folder {shorten_path(settings.model)!r}, so no model. Give the folder that `shelfcast "
                              f"fit --run` or `shelfcast forecast --run` wrote, or a name: {', '.join(model_names())}.")
        check_saved(_fitted_folder(settings.model))
    elif settings.model != "auto":
        make_model(settings.model, settings.options)
    elif settings.options:
        make_model("boosted", settings.options)  # what auto chooses unless the past is short


def _is_among(target: Path, given: str) -> bool:
    """Whether an existing file is what a name, a folder or a glob means."""
    if not target.is_file():
        return False
    if os.path.isfile(given):
        return os.path.samefile(given, target)
    if os.path.isdir(given):
        return Path(given).resolve() in target.resolve().parents
    return fnmatchcase(str(target.resolve()), str(Path(given).absolute()))


def _read(settings: SalesSettings, say: Say) -> SalesLines:
    lines = read_sales(settings.sales, columns=settings.columns, freq=settings.freq, covariates=settings.covariates,
                       known=settings.known, past=settings.past, static=settings.static, places=settings.places,
                       query=settings.query)
    for sentence in lines.told:
        say(sentence)
    return lines


@contextmanager
def _reading(lines: SalesLines) -> Iterator[None]:
    """Lines are read while they are checked and cleaned: damage deep inside a file shows only then."""
    try:
        yield
    except (pl.exceptions.ComputeError, pl.exceptions.PanicException) as error:
        raise unreadable(lines.source, error) from error


def _rules(settings: SalesSettings) -> CleanSettings:
    known = [f.name for f in fields(CleanSettings) if f.name not in ("returns", "today")]  # one is a setting, one for tests
    for name, value in settings.rules.items():
        if name not in known:
            raise UnknownNameError("cleaning rule", name, known)
        default = getattr(CleanSettings(), name)
        if isinstance(default, bool) and not isinstance(value, bool):
            raise SettingsError(f"The cleaning rule {name} is switched by true or false, not by {shorten(value)!r}.")
    return CleanSettings(**{"returns": settings.returns, **settings.rules})


def _prepare(settings: ForecastSettings, clock: _Clock, say: Say, progress: Progress) -> Prepared:
    with clock("read"):
        lines = _read(settings, say)
    with clock("check"), _reading(lines):
        findings = check_sales(lines, horizon=settings.horizon, cutoff=settings.cutoff, progress=progress)
    with clock("clean"), _reading(lines):
        cleaned = clean_sales(lines, settings=_rules(settings), cutoff=settings.cutoff, progress=progress)
    say(f"{cleaned.panel!r}.")
    _refuse_ruins(cleaned, findings, settings, say)
    judged = judge(cleaned.panel)
    sold = judged["sold"].to_numpy()
    if not sold.any():
        end = cleaned.panel.frequency.date(cleaned.panel.cutoff)
        raise DataError(f"None of the {len(sold):,} series is still sold on {end}, so there is nothing to forecast. "
                        f"Choose an earlier --cutoff.")
    withdrawn = judged.filter(~pl.col("sold")).drop("sold")
    if withdrawn.height:
        say(f"{withdrawn.height:,} of {len(sold):,} series are judged withdrawn and not forecast; the first: "
            f"item {withdrawn['item'][0]} at {withdrawn['location'][0]}, {withdrawn['reason'][0]}.")
    panel = cleaned.panel if sold.all() else cleaned.panel.select(sold)
    return Prepared(lines=lines, findings=findings, cleaned=cleaned, panel=panel, withdrawn=withdrawn)


def _refuse_ruins(cleaned: Cleaned, findings: Findings, settings: SalesSettings, say: Say) -> None:
    """A forecast from less than half of the rows, or without a single unit sold, is worth nothing; and it is said what was lost."""
    panel = cleaned.panel
    lost = [f for f in findings if f.name in REJECTING]
    if lost:
        told = f"{cleaned.rejected_count:,} of {lost[0].of:,} rows cannot be used: {_reasons(lost)}."
        if 2 * cleaned.rejected_count > lost[0].of:
            raise DataError(f"{told} Mend them first; `shelfcast check` says more, `shelfcast clean` lists each with its reason.")
        say(told)
    end = panel.frequency.date(panel.cutoff)
    if not panel.rows.filter(pl.col(PERIOD) <= panel.cutoff).select((pl.col(SALES) != 0).any()).item():
        grave = _reasons([f for f in findings if f.unit == "rows" and 2 * f.count >= f.of])
        raise DataError(f"Not one unit was sold up to {end}, as far as the data can be read, so there is nothing to learn from. "
                        f"{f'Found: {grave}. ' if grave else ''}Is this the column of the sales? --columns sales=Name")
    after = panel.frequency.date(panel.cutoff + 1)
    if settings.cutoff is not None and settings.cutoff >= (after.date() if isinstance(after, datetime) else after):
        say(f"History ends with {end}, before the cutoff {settings.cutoff}: the forecast begins on {after}.")


def _reasons(found: list[Finding]) -> str:
    """Findings with their first place, on one line."""
    return "; ".join(f"{f.count:,} {f.says}" + (f" (first: {f.places[0]})" if f.places else "") for f in found[:5])


def _is_fitted_folder(name: str) -> bool:
    return "/" in name or os.sep in name or os.path.isdir(name)


def _model(settings: ForecastSettings, panel: SalesPanel) -> tuple[Forecaster, str]:
    """The model to run and why."""
    name = settings.model
    if _is_fitted_folder(name):
        folder = _fitted_folder(name)
        return load_model(folder, panel=panel), f"fitted before, in {name}"
    why = "asked for"
    if name == "auto":
        name, reason = _auto(panel, settings.horizon)
        why = f"auto: {reason}"
    known = setting_names(name)
    asked = {k: v for k, v in (("seed", settings.seed), ("horizon", settings.horizon)) if k in known}
    # The settings given with auto are boosted's; where the profile answers, those that it has, too.
    options = settings.options if settings.model != "auto" else {k: v for k, v in settings.options.items() if k in known}
    return make_model(name, {**asked, **options}), why


def _fitted_folder(name: str) -> Path:
    """The model's own folder, when the folder of a run was given."""
    return Path(name) / MODEL if (Path(name) / MODEL).is_dir() else Path(name)


def _auto(panel: SalesPanel, horizon: int) -> tuple[str, str]:
    """Boosted where the past holds enough horizons to learn from, the shrunk profile where it does not."""
    length = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
    past = f"{length:,} {panel.frequency.noun}s of history and {panel.rows.height:,} rows"
    if length < 3 * horizon or panel.rows.height < 300:
        return "profile", f"{past} are too few for boosting at horizon {horizon}"
    if panel.frequency.unit in "MQY" and length < 1.5 * panel.frequency.season:
        return "profile", f"{past} show no season twice"
    return "boosted", f"{past} suffice for boosting"


def _backtest(settings: ForecastSettings, model: Forecaster, panel: SalesPanel, say: Say, progress: Progress) -> Backtest | None:
    length = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
    if length < 2 * settings.horizon:
        say(f"No backtest: {length} periods of history cannot be split into a past and a window of {settings.horizon}.")
        return None
    return backtest(model, panel, horizon=settings.horizon, rival=make_model("naive"), max_series=BACKTEST_SERIES,
                    seed=settings.seed, progress=progress)


def _write(settings: ForecastSettings, prepared: Prepared, model: Forecaster, batches: ForecastBatches, scores: Backtest | None,
           manifest: Manifest, clock: _Clock) -> dict[str, Path]:
    files: dict[str, Path] = {}
    content = None
    if settings.report is not None or settings.run is not None:
        with clock("report"):
            content = gather(prepared.panel, batches.scan(), _about(settings, manifest), findings=findings_table(prepared.findings),
                             changes=prepared.cleaned.changes, accuracy=accuracy_table(scores), withdrawn=prepared.withdrawn)
    if settings.run is not None and content is not None:
        with whole_folder(settings.run) as folder:
            batches.write(folder / FORECAST)
            save_model(model, folder / MODEL, panel=prepared.panel)
            tables = {"findings": prepared.findings.to_frame(), "changes": prepared.cleaned.changes,
                      "rejected": prepared.cleaned.rejected, "withdrawn": prepared.withdrawn}
            write_tables(folder, tables if scores is None else {**tables, "scores": scores.scores})
            write_report(folder / "report.html", content)
            (folder / "settings.toml").write_text(to_toml(settings), encoding="utf-8")
            replace(manifest, seconds=clock.seconds).write(folder, settings=as_json(settings))
        files["run"] = settings.run
    if settings.report is not None and content is not None:
        write_report(settings.report, content)
        files["report"] = settings.report
    if settings.out is not None:
        batches.write(settings.out, settings.levels)
        files["forecast"] = settings.out
    return files


def _manifest(verb: str, settings: ForecastSettings, prepared: Prepared, model: Forecaster, why: str, clock: _Clock) -> Manifest:
    panel = prepared.panel
    counts = {"series": len(prepared.cleaned.panel), "forecast": len(panel), "withdrawn": prepared.withdrawn.height,
              "rows": prepared.cleaned.panel.rows.height, "rejected_rows": prepared.cleaned.rejected_count,
              **{f"findings_{k.lower()}": v for k, v in _severities(prepared.findings).items()}}
    return Manifest(verb=verb, model=model.traits.name, why_model=why, device=DEVICE, why_device=WHY_DEVICE, seed=settings.seed,
                    fingerprint=panel.fingerprint(), cutoff=str(panel.frequency.date(panel.cutoff)), frequency=str(panel.frequency),
                    horizon=settings.horizon, seconds=dict(clock.seconds), counts=counts, notes=prepared.lines.told)


def _severities(findings: Findings) -> dict[str, int]:
    """{severity: how many kinds of finding}, the gravest first."""
    return {severity: sum(f.severity == severity for f in findings) for severity in SEVERITIES}


def _summary(settings: ForecastSettings, prepared: Prepared, batches: ForecastBatches, scores: Backtest | None, manifest: Manifest,
             files: Mapping[str, Path]) -> dict[str, Any]:
    """What the command line prints and --json writes."""
    median = quantile_column(0.5)
    totals = (batches.scan().group_by(DATE).agg(pl.col(MEAN).sum(), pl.col(median).sum().alias("sum of medians")).sort(DATE)
              .collect(engine="streaming"))
    return {
        "verb": manifest.verb, "model": manifest.model, "why_model": manifest.why_model, "frequency": manifest.frequency,
        "cutoff": manifest.cutoff, "horizon": settings.horizon, "first": str(totals[DATE][0]), "last": str(totals[DATE][-1]),
        "series": manifest.counts["forecast"], "withdrawn": manifest.counts["withdrawn"], "rows": batches.rows,
        "total_mean": float(totals[MEAN].sum()), "fingerprint": manifest.fingerprint,
        "findings": _severities(prepared.findings), "backtest": None if scores is None else scores.headline(),
        "seconds": dict(manifest.seconds), "files": {k: str(v) for k, v in files.items()},
    }


def _about(settings: ForecastSettings, manifest: Manifest) -> About:
    """What the report says of its own making."""
    named = isinstance(settings.sales, str | Path) and str(settings.sales) != "-"
    source = printable(Path(masked(str(settings.sales))).name) if named else "sales"
    lines = {"shelfcast": shelfcast.__version__, "model": f"{manifest.model} ({manifest.why_model})", "cutoff": manifest.cutoff,
             "seed": manifest.seed, "data fingerprint": manifest.fingerprint,
             "device": f"{manifest.device} ({manifest.why_device})",
             "seconds": ", ".join(f"{k} {v:.1f}" for k, v in manifest.seconds.items())}
    return About(title=source, source=source, model=manifest.model, why=manifest.why_model,
                 manifest=tuple((k, str(v)) for k, v in lines.items()))

"""The verbs: flags to settings, settings to the workflow, the workflow's result to the terminal. Nothing is computed here."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from shelfcast import progress, workflow
from shelfcast.cli.comparison import print_comparison
from shelfcast.cli.tables import print_backtest, print_compression, print_finetuning, print_tuning
from shelfcast.errors import SettingsError, printable, shorten
from shelfcast.settings import (
    BacktestSettings,
    CompareSettings,
    FinetuneSettings,
    ForecastSettings,
    SalesSettings,
    TuneSettings,
    options_from_toml,
)
from shelfcast.workflow import Say


def demo(options: argparse.Namespace) -> int:
    """`shelfcast demo`"""
    folder = Path(options.folder)
    result = workflow.demo(folder, say=_say(options), progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    _print_summary(result.summary)
    print(f"""
Open    {folder / 'report.html'}
Look at {folder / 'run'}   forecast.parquet, scores.csv, findings.csv, changes.csv, manifest.json
Next    shelfcast check {folder / 'chain' / 'sales.csv'}
        shelfcast forecast YOUR_SALES.csv --horizon 28 --out forecast.csv --report report.html
        shelfcast models""")
    return 0


def check(options: argparse.Namespace) -> int:
    """`shelfcast check`"""
    found = workflow.check(SalesSettings(**_source(options)), horizon=options.horizon, say=_say(options),
                           progress=progress.for_terminal())
    if options.json:
        _json(found.to_json())
    else:
        print(printable(found.to_text()))
    return 1 if found.has_errors else 0


def clean(options: argparse.Namespace) -> int:
    """`shelfcast clean`"""
    out = Path(options.out)
    cleaned = workflow.clean(SalesSettings(**_source(options)), out, say=_say(options), progress=progress.for_terminal())
    changes = cleaned.changes.to_dicts()
    if options.json:
        return _json({"verb": "clean", "series": len(cleaned.panel), "rows": cleaned.panel.rows.height,
                      "rejected_rows": cleaned.rejected_count, "changes": changes, "files": {"folder": str(out)}})
    print(f"{printable(repr(cleaned.panel))}\n")
    for change in changes:
        print(f"  {change['rule']:<18} {printable(change['what'])}")
    print(f"\nWritten to {out}. Next: shelfcast forecast {out / 'sales.parquet'} --horizon 28")
    return 0


def fit(options: argparse.Namespace) -> int:
    """`shelfcast fit`"""
    result = workflow.fit(_forecast_settings(options), say=_say(options), progress=progress.for_terminal())
    if options.json:
        return _json(result)
    print(f"Fitted {result['model']} on {result['series']:,} series, for {result['horizon']:,} periods ahead.")
    if result["training"] is not None:
        print(f"{printable(result['training']['told'])}\nOpen  {Path(options.run) / 'training.html'}")
    beside = [*(f"--static {f}" for f in options.static), *(f"--covariates {f}" for f in options.covariates)]
    print(printable(" ".join(["Next: shelfcast forecast SALES", *beside, f"--model {options.run}"])))
    return 0


def forecast(options: argparse.Namespace) -> int:
    """`shelfcast forecast`"""
    result = workflow.forecast(_forecast_settings(options), say=_say(options), progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    _print_summary(result.summary)
    if not result.files:
        print(f"\nThe first {result.head.height} of {result.summary['rows']:,} rows:\n")
        _print_table(result.head)
        print("\nNext: --out FILE.parquet keeps the forecast, --report FILE.html draws it, --run FOLDER keeps everything.")
    return 0


def backtest(options: argparse.Namespace) -> int:
    """`shelfcast backtest`"""
    chosen: dict[str, Any] = {"metrics": _flat(options.metrics)} if options.metrics else {}
    if options.models:  # a name given twice stays, so that the settings can say so
        chosen["models"] = tuple(name for given in options.models for name in given)
    settings = BacktestSettings(
        **_source(options), **chosen, horizon=options.horizon, windows=options.windows, step=options.step, refit=options.refit,
        own_ends=options.own_ends, options={k: _value(v) for k, v in _merged(options.options).items()}, seed=options.seed,
        levels=options.levels, max_series=options.max_series, jobs=options.jobs, run=options.run,
        overrides=options.overrides, budget=options.budget, hierarchy=_flat(options.hierarchy), reconcile=options.reconcile)
    result = workflow.backtest(settings, say=_say(options), progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    print_backtest(result.summary)
    return 0


def compare(options: argparse.Namespace) -> int:
    """`shelfcast compare`"""
    settings = CompareSettings(runs=tuple(map(Path, options.runs)), models=_flat(options.models), metric=options.metric,
                               baseline=options.baseline, by=options.by, block=options.block, replicates=options.replicates,
                               confidence=options.confidence, method=options.interval, seed=options.seed, report=options.report)
    result = workflow.compare(settings, say=_say(options), progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    print_comparison(result.summary)
    return 0


def tune(options: argparse.Namespace) -> int:
    """`shelfcast tune`"""
    settings = TuneSettings(
        **_source(options), model=options.model, horizon=options.horizon, windows=options.windows, budget=options.budget,
        trials=options.trials, options={k: _value(v) for k, v in _merged(options.options).items()}, seed=options.seed,
        max_series=options.max_series, run=options.run)
    result = workflow.tune(settings, say=_say(options), progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    print_tuning(result.summary)
    return 0


def finetune(options: argparse.Namespace) -> int:
    """`shelfcast finetune`"""
    settings = FinetuneSettings(
        **_source(options), more=tuple(options.more), method=options.method, weights=options.weights, horizon=options.horizon,
        steps=options.steps, patience=options.patience, rank=options.rank, seed=options.seed, run=options.run,
        options={k: _value(v) for k, v in _merged(options.options).items()})
    result = workflow.finetune(settings, command=options.command, say=_say(options), progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    print_finetuning(result.summary)
    return 0


def pretrain(options: argparse.Namespace) -> int:
    """`shelfcast pretrain`"""
    names = ("size", "steps", "processes", "threads", "device", "precision", "seed", "drawn", "distinct")
    result = workflow.pretrain(Path(options.folder), options={k: getattr(options, k) for k in names}, resume=options.resume,
                               minutes=options.minutes, command=options.command, say=_say(options),
                               progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    print(result.summary["told"])
    if result.done:
        page = result.summary["files"].get("page")
        print(f"""
{f"Open    {page}" if page else f"Weights {result.folder}"}
Next    shelfcast forecast YOUR_SALES.csv --model pretrained --set weights={result.folder}""")
    return 0


def compress(options: argparse.Namespace) -> int:
    """`shelfcast compress`"""
    names = ("int8", "prune", "distil_into", "steps", "rise", "processes", "threads", "device", "precision", "seed", "drawn",
             "distinct")
    result = workflow.compress(options.weights, Path(options.out), options={k: getattr(options, k) for k in names},
                               resume=options.resume, minutes=options.minutes, command=options.command, say=_say(options),
                               progress=progress.for_terminal())
    if options.json:
        return _json(result.summary)
    if result.done:
        print_compression(result.summary)
    return 0


def models(options: argparse.Namespace) -> int:
    """`shelfcast models`"""
    listed = workflow.models()
    if options.json:
        return _json({"models": listed})
    print(f"{'model':<12} {'here':<5} {'uses':<27} what it is")
    for one in listed:
        uses = ", ".join(k for k in ("known", "past", "static", "places") if one[f"uses_{k}"]) or "sales alone"
        print(f"{one['name']:<12} {'yes' if one['available'] else 'no':<5} {uses:<27} {one['summary']}")
        if not one["available"]:
            print(f"{'':<18} bring it with: {one['needs']}")
    return 0


def doctor(options: argparse.Namespace) -> int:
    """`shelfcast doctor`"""
    found = workflow.doctor()
    if options.json:
        return _json(found)
    print(f"shelfcast {found['shelfcast']}, Python {found['python']} ({found['executable']})")
    print(f"{found['platform']}, {found['cores']} cores")
    print(f"device           {found['device']} ({found['why_device']})")
    print(f"temporary files  {found['temporary_files']}\nresults          {found['results']}")
    print("core             " + ", ".join(f"{k} {v or 'MISSING'}" for k, v in found["core"].items()))
    for extra, packages in found["extras"].items():
        lacking = [k for k, v in packages.items() if v is None]
        state = ", ".join(f"{k} {v}" for k, v in packages.items() if v)
        print(f"{extra:<16} {state}" + (f"  lacks {', '.join(lacking)}: pip install 'shelfcast[{extra}]'" if lacking else ""))
    return 0


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "demo": demo, "check": check, "clean": clean, "fit": fit, "forecast": forecast, "backtest": backtest,
    "compare": compare, "tune": tune, "finetune": finetune, "pretrain": pretrain, "compress": compress,
    "models": models,
    "doctor": doctor,
}


def _one_or_all(files: list[str]) -> str | tuple[str, ...] | None:
    """One file as it is, several together, none as nothing."""
    return None if not files else files[0] if len(files) == 1 else tuple(files)


def _source(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "sales": options.sales, "columns": _merged(options.columns), "freq": options.freq, "covariates": tuple(options.covariates),
        "known": _flat(options.known), "past": _flat(options.past), "static": _one_or_all(options.static), "places": options.places,
        "query": options.query, "cutoff": options.cutoff, "absent": options.absent,
        "returns": options.returns,
        "rules": {k: _value(v) for k, v in _merged(getattr(options, "rules", [])).items()},
    }


def _forecast_settings(options: argparse.Namespace) -> ForecastSettings:
    """`fit` has fewer flags than `forecast`; what it lacks keeps its default."""
    names = ("out", "run", "report", "levels", "overrides", "reconcile", "budget", "cache")
    chosen = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return ForecastSettings(**_source(options), **chosen, horizon=options.horizon, model=options.model, seed=options.seed,
                            hierarchy=_flat(getattr(options, "hierarchy", [])),
                            options=_options(options),
                            backtest=not getattr(options, "no_backtest", False))


def _options(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of --set: those of files, and over them those that are written out."""
    read: dict[str, Any] = {}
    for given in options.options:
        if isinstance(given, Path):
            read |= options_from_toml(given, model=options.model)
    return read | {k: _value(v) for k, v in _merged([p for p in options.options if not isinstance(p, Path)]).items()}


def _merged(pairs: list[dict[str, str]]) -> dict[str, str]:
    """The pairs of a flag that was given several times, each name once."""
    out: dict[str, str] = {}
    for name, value in (pair for one in pairs for pair in one.items()):
        if out.setdefault(name, value) != value:
            raise SettingsError(f"{shorten(name)!r} is given twice: {shorten(out[name])!r} and {shorten(value)!r}.")
    return out


def _flat(names: list[list[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for one in names for n in one))


def _value(text: str) -> Any:
    """A setting's value as Python means it: numbers and true/false are themselves, the rest is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _say(options: argparse.Namespace) -> Say:
    return workflow.silent if options.quiet else _to_stderr


def _to_stderr(sentence: str) -> None:
    print(printable(sentence), file=sys.stderr)


def _json(result: Any) -> int:
    print(json.dumps(_finite(result), ensure_ascii=False, indent=2, default=str, allow_nan=False))
    return 0


def _finite(value: Any) -> Any:
    """The same with null for what is no number: JSON knows neither nan nor infinity."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_summary(summary: Mapping[str, Any]) -> None:
    print(f"\nForecast of {summary['series']:,} series over {summary['horizon']} periods ({summary['frequency']}), "
          f"{summary['first']} to {summary['last']}: {summary['total_mean']:,.0f} units expected in all")
    print(f"  model      {summary['model']} ({summary['why_model']})")
    if summary["withdrawn"]:
        print(f"  withdrawn  {summary['withdrawn']:,} series are no longer sold and not forecast")
    if summary.get("levels"):
        sums = summary["levels"]
        listed = ", ".join(f"{name} {n:,}" for name, n in sums["levels"].items())
        print(f"  sums       {printable(listed)}; {sums['method']}, largest gap {sums['largest_gap']:.1g} units")
    for one in (summary.get("overrides") or {}).get("by", []):
        print(f"  overrides  {shorten(one['who'], 40)} moved {one['periods']:,} periods: {one['up']:,.0f} units more, "
              f"{one['down']:,.0f} less")
    counts = ", ".join(f"{n:,} {kind}" for kind, n in summary["findings"].items() if n)
    print(f"  findings   {counts or 'none'}")
    if summary["backtest"]:
        print("  backtest   on the last window, beside the seasonal naive forecast:")
        for metric, pair in summary["backtest"].items():
            if pair["model"] != pair["model"]:  # nan: nothing to measure it by, such as a season before the first
                continue
            rival = f"   naive {pair['rival']:8.4f}" if "rival" in pair else ""
            skill = f"   {abs(pair['skill']):.1%} {'better' if pair['skill'] >= 0 else 'worse'}" if "skill" in pair else ""
            aim = "   should be 0.8" if metric.startswith("coverage") else ""
            print(f"             {metric:<18} {pair['model']:8.4f}{rival}{skill}{aim}")
        if summary["backtest"]["WAPE"]["model"] >= 0.995:
            print("             The median of nearly every series is nought, so WAPE says little: plan with the mean and the upper "
                  "quantiles.")
    for what, where in summary["files"].items():
        print(f"  {what:<10} {printable(str(where))}")


def _print_table(table: Any) -> None:
    """The keys, the mean and three quantiles, aligned."""
    shown = [c for c in table.columns if not c.startswith("q") or c in ("q0.1", "q0.5", "q0.9")]
    rows = [shown, *([f"{v:,.2f}" if isinstance(v, float) else shorten(v, 24) for v in row] for row in table.select(shown).rows())]
    widths = [max(len(r[i]) for r in rows) for i in range(len(shown))]
    for row in rows:
        print("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)))

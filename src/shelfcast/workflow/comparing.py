"""Compare: from the run folders of backtests to what may be claimed of their models, and the page that shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from shelfcast.errors import SettingsError, shorten
from shelfcast.evaluate.compare import Comparison
from shelfcast.evaluate.compare import compare as compare_models
from shelfcast.evaluate.compared_groups import GROUP_SCHEMA, level_table, step_table
from shelfcast.evaluate.contest import Contest, Measure, contest_of, cutoff_text, measure_named
from shelfcast.evaluate.pairs import Pair, verdict
from shelfcast.evaluate.reliability import (
    coverage_counts,
    known_cells,
    losses_by_stretch,
    reliability,
    stretch_arrays,
    stretches,
)
from shelfcast.evaluate.resampling import Interval, Resampling
from shelfcast.files import check_target
from shelfcast.operate.measured import MeasuredRun, chosen_models, joined_losses, overlap_of, read_measured
from shelfcast.progress import Progress, Silent, stage
from shelfcast.settings import CompareSettings
from shelfcast.workflow.preparing import Say, silent

BASELINE: Final = "naive"
COVERAGE: Final = "coverage 0.1-0.9"  # as scores call what the losses call inside


@dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """What a comparison leaves.

    Attributes
    ----------
    summary : plain values for people and programs
    comparison : the whole of it
    reliability : {model of the pair: level, below, covered, cells}; empty where the runs kept no forecasts
    files : {what: where it was written}
    """

    summary: Mapping[str, Any]
    comparison: Comparison
    reliability: Mapping[str, pl.DataFrame]
    files: Mapping[str, Path]


def compare(settings: CompareSettings, *, say: Say = silent, progress: Progress | None = None) -> ComparisonResult:
    """Compare the models of one or several backtests.

    Raises
    ------
    SourceError
        If a folder is not the run of a finished backtest.
    DataError
        If the runs measured different things.
    """
    if settings.report is not None:
        check_target(settings.report)
    measure = measure_named(settings.metric)
    runs = [read_measured(folder) for folder in settings.runs]
    losses, labels = joined_losses(runs)
    models = chosen_models(labels, settings.models)
    if len(models) < 2:
        raise SettingsError(f"There is only one model to compare, {shorten(models[0])}. Give the run of another backtest, or "
                            f"one of several models.")
    contest = contest_of(losses, models)
    for sentence in contest.told:
        say(sentence)
    overlap = overlap_of([labels[model][0] for model in models])
    resampling = Resampling(replicates=settings.replicates, confidence=settings.confidence, method=settings.method,
                            block=settings.block or overlap, seed=settings.seed)
    progress = progress or Silent()
    with stage(progress, "comparing", 1):
        found = compare_models(contest, measure, baseline=settings.baseline or _naive(models, labels), by=settings.by,
                               settings=resampling,
                               overlap=overlap)
    steps, reliable = _cells(found, contest, measure, labels, progress)
    told = found.told if steps.height else (*found.told, "A run kept no forecasts, so nothing is said by step of the horizon.")
    levels = _levels(found, contest, measure, labels)
    if levels.height:
        told = (*told, "By levels of the hierarchy, age and promotion only scores are kept: there windows alone are drawn.")
    told = (*told, *_seen_before(models, labels))
    found = replace(found, groups=pl.concat([found.groups, steps, levels]), told=told)
    files: dict[str, Path] = {}
    if settings.report is not None:
        from shelfcast.show.comparison import write_comparison

        write_comparison(settings.report, found, reliability=reliable, runs=[run.folder.name for run in runs])
        files["report"] = settings.report
    return ComparisonResult(summary=_summary(found, reliable, settings, files), comparison=found, reliability=reliable, files=files)


def _naive(models: Sequence[str], labels: Mapping[str, tuple[MeasuredRun, str]]) -> str | None:
    """What skill is measured against when nobody says: naive, where it is among the models."""
    return next((label for label in models if labels[label][1] == BASELINE), None)


def _seen_before(models: Sequence[str], labels: Mapping[str, tuple[MeasuredRun, str]]) -> list[str]:
    """Models whose weights came trained: their scores on data that they have seen say little."""
    told = []
    for label in models:
        run, name = labels[label]
        given = sorted({str(seen) for one in run.manifest.get("models", []) if one.get("model") == name
                        for seen in one.get("trained_on", [])})
        if given:
            told.append(f"{label} came trained on {', '.join(given)}; where these sales are among them, its score says little.")
    return told


def _cells(found: Comparison, contest: Contest, measure: Measure, labels: Mapping[str, tuple[MeasuredRun, str]],
           progress: Progress) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """The pair by stretches of the horizon and its reliability, from the forecasts that the runs kept."""
    names = [contest.models[i] for i in found.pair]
    horizon = int(labels[names[0]][0].manifest["horizon"])
    parts = stretches(horizon)
    tables, reliable = [], {}
    with stage(progress, "reading forecasts", len(names)) as bar:
        for name in names:
            table, counts = _model_cells(*labels[name], contest, horizon)
            bar.advance(1)
            if table is None:
                return pl.DataFrame(schema=GROUP_SCHEMA), {}
            tables.append(table)
            reliable[name] = reliability(counts)
    arrays = stretch_arrays(contest, measure, tables, len(parts))
    labelled = [str(first) if first == last else f"{first} to {last}" for first, last in parts]
    return step_table(measure, *arrays, names=labelled, clusters=contest.clusters(found.by), units=found.units,
                      settings=found.settings), reliable


def _levels(found: Comparison, contest: Contest, measure: Measure, labels: Mapping[str, tuple[MeasuredRun, str]]) -> pl.DataFrame:
    """The pair by levels of the hierarchy, age and promotion, from the scores; nothing where series had to be left out."""
    name = COVERAGE if measure.name == "coverage" else measure.name
    tables = []
    for at in found.pair:
        run, model = labels[contest.models[at]]
        losses = run.losses.filter(pl.col("model") == model, pl.col("cells") > 0, pl.col("when").is_in(list(contest.windows)))
        scores = run.scores()
        if scores is None or losses.height != int((contest.cells > 0).sum()):
            return pl.DataFrame(schema=GROUP_SCHEMA)
        when = losses.select(pl.col("window").cast(pl.Int64), "when").unique()
        tables.append(scores.filter(pl.col("model") == model, pl.col("metric") == name,
                                    pl.col("kind").str.contains(":", literal=True) | pl.col("kind").is_in(["age", "promoted"]))
                      .with_columns(pl.col("window").cast(pl.Int64)).join(when, on="window")
                      .select("when", "kind", "group", "series", "value"))
    return level_table(measure, tables, contest.windows, found.settings)


def _model_cells(run: MeasuredRun, model: str, contest: Contest, horizon: int) -> tuple[pl.DataFrame | None, list[pl.DataFrame]]:
    """Losses by stretch with the window, and counts of coverage, of the series and windows that are compared."""
    kept = run.losses.filter(pl.col("model") == model, pl.col("when").is_in(list(contest.windows)), pl.col("cells") > 0)
    kept = kept.join(contest.series.select("item", "location"), on=["item", "location"], how="semi")
    kept = kept.select("item", "location", "when", cutoff_text(kept))
    tables, counts = [], []
    for cutoff, forecast, actual in run.cells(model):
        here = kept.filter(pl.col("cutoff") == cutoff).drop("cutoff")
        cells = known_cells(forecast, actual).join(here, on=["item", "location"])
        if cells.height:
            tables.append(losses_by_stretch(cells, horizon).join(here, on=["item", "location"]))
            counts.append(coverage_counts(cells))
    return (pl.concat(tables) if tables else None), counts


def _summary(found: Comparison, reliable: Mapping[str, pl.DataFrame], settings: CompareSettings,
             files: Mapping[str, Path]) -> dict[str, Any]:
    head = found.headline
    return {
        "verb": "compare", "metric": found.measure.name, "verdict": verdict(head),
        "winner": head.winner, "a": head.a, "b": head.b, "baseline": found.baseline, "drawn": found.by,
        "confidence": found.settings.confidence, "replicates": found.settings.replicates,
        "seed": found.settings.seed, "block": found.settings.block,
        "windows": list(found.contest.windows), "series": found.contest.series.height,
        "ranking": found.ranking.to_dicts(), "measures": [_pair(p) for p in found.measures],
        "pairs": [_pair(p) for p in found.pairs],
        "win_rate": {"value": 0.5 + found.wins.value, "low": 0.5 + found.wins.low, "high": 0.5 + found.wins.high},
        "diebold_mariano": vars(found.through_time), "groups": found.groups.to_dicts(), "by_window": found.windows.to_dicts(),
        "reliability": {name: table.to_dicts() for name, table in reliable.items()}, "told": list(found.told),
        "runs": [str(run) for run in settings.runs], "files": {k: str(v) for k, v in files.items()},
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {"metric": pair.measure, "a": pair.a, "b": pair.b, "score_a": pair.score_a, "score_b": pair.score_b,
            "difference": _interval(pair.difference), "skill": None if pair.skill is None else _interval(pair.skill),
            "p_adjusted": pair.adjusted, "winner": pair.winner}


def _interval(interval: Interval) -> dict[str, Any]:
    return dict(vars(interval))



"""The page of a backtest: which model is best, where and how surely, as one HTML file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup

from shelfcast.data.hierarchy import BOTTOM
from shelfcast.evaluate.summary import Summary
from shelfcast.files import whole_file
from shelfcast.names import LOCATION
from shelfcast.show import numerals
from shelfcast.show.backtest_charts import bar, line_chart
from shelfcast.show.page import render_page
from shelfcast.show.report import GROUPS

KINDS: Final = {"class": "By kind of demand", "age": "New series and old", "promoted": "With and without promotion",
                "level": "Added up: forecasts of sums", LOCATION: "By place, those with most series first"}
MOST_ROWS: Final = 40  # of a table of groups; scores.csv holds all
_SHARES: Final = ("WAPE", "WQL", "bias", "coverage", "sMAPE")
_NEW: Final = {"new": "new: shorter than a season and than two horizons", "old": "old"}


def write_backtest(path: Path | str, scores: pl.DataFrame, summary: Summary, *, facts: Mapping[str, str], title: str,
                   notes: Sequence[str] = ()) -> None:
    """Write the page as one HTML file; whole or not at all.

    Parameters
    ----------
    scores : `window`, `cutoff`, `model`, `kind`, `group`, `series`, `metric`, `value`
    facts : {what: how} of the run, for the end of the page
    title : what was replayed
    """
    text = render_backtest(scores, summary, facts=facts, title=title, notes=notes)
    with whole_file(path) as out:
        out.write_text(text, encoding="utf-8")


def render_backtest(scores: pl.DataFrame, summary: Summary, *, facts: Mapping[str, str], title: str,
                    notes: Sequence[str] = ()) -> str:
    """The page as a text."""
    models = list(dict.fromkeys(scores["model"]))
    won = summary.won()
    metric = won["metric"] or summary.metrics[0]
    means = (scores.with_columns(pl.col("value").fill_nan(None)).group_by("model", "kind", "group", "metric", maintain_order=True)
             .agg(pl.col("value").mean(), pl.col("series").max()))
    values = {
        "title": numerals.name(title), "models": [numerals.name(m) for m in models], "metric": metric, "headline": _headline(won),
        "ranking": _ranking(summary, models), "metrics": list(summary.metrics), "baseline": summary.baseline,
        "windows": _windows(summary, models, metric), "steps": _steps(means, models, metric),
        "blocks": _blocks(means, models, metric), "reliable": _reliable(means, models), "notes": list(notes),
        "facts": [(numerals.plain(k), numerals.plain(v)) for k, v in facts.items()],
    }
    return render_page("backtest.html.j2", values, styles=["report.css", "comparison.css", "backtest.css"], scripts=["report.js"])


def _headline(won: Mapping[str, Any]) -> str:
    if won["model"] is None:
        return "Nothing could be compared."
    model = numerals.name(won["model"])
    said = f"{model} has the best {won['metric']}: {write(won['mean'], won['metric'])}"
    if won["lead"] is not None:
        said += f", {numerals.percent(won['lead'])} ahead of {numerals.name(won['second'])}"
    count = won["of_windows"]
    if len(won["windows_won"]) > 1:
        said += f". It was best in {won['windows_won'][won['model']]} of {count} window{'s' * (count != 1)}"
    return said + "."


def _ranking(summary: Summary, models: Sequence[str]) -> list[dict[str, Any]]:
    """One row a model: its mean of each measure with the spread over windows, and skill."""
    rows = {(r["model"], r["metric"]): r for r in summary.table.iter_rows(named=True)}
    out = []
    for m, model in enumerate(models):
        cells = []
        for metric in summary.metrics:
            row = rows.get((model, metric))
            mean = None if row is None else row["mean"]
            spread = None if row is None else row["spread"]
            skill = None if row is None or model == summary.baseline else row["skill"]
            varies = "" if spread is None else f"± {write(spread, metric).removeprefix('+')}"
            cells.append({"mean": write(mean, metric), "spread": varies,
                          "skill": "" if skill is None else f"{numerals.percent(skill, signed=True)}"})
        out.append({"model": numerals.name(model), "colour": m % 6, "cells": cells})
    return out


def _windows(summary: Summary, models: Sequence[str], metric: str) -> dict[str, Any]:
    rows = summary.by_window.filter(pl.col("metric") == metric)
    windows = rows.select("window", "cutoff").unique().sort("window")
    labels = [str(c) for c in windows["cutoff"]]
    found = {(r["model"], r["window"]): r["value"] for r in rows.iter_rows(named=True)}
    lines = {m: np.array([_number(found.get((m, w))) for w in windows["window"]]) for m in models}
    return _picture(lines, labels, "window", f"{metric} of each model after each cutoff, the oldest first", metric)


def _steps(means: pl.DataFrame, models: Sequence[str], metric: str) -> dict[str, Any]:
    rows = means.filter((pl.col("kind") == "step") & (pl.col("metric") == metric)).with_columns(pl.col("group").cast(pl.Int64))
    steps = sorted(set(rows["group"]))
    found = {(r["model"], r["group"]): r["value"] for r in rows.iter_rows(named=True)}
    lines = {m: np.array([_number(found.get((m, h))) for h in steps]) for m in models}
    return _picture(lines, [str(h) for h in steps], "step", f"{metric} of each model by step ahead", metric)


def _reliable(means: pl.DataFrame, models: Sequence[str]) -> dict[str, Any]:
    """How far the share of sales at or below each quantile lies from its level."""
    rows = means.filter((pl.col("kind") == "all") & pl.col("metric").str.starts_with("coverage q"))
    levels = sorted({float(m.removeprefix("coverage q")) for m in rows["metric"]})
    found = {(r["model"], float(r["metric"].removeprefix("coverage q"))): r["value"] for r in rows.iter_rows(named=True)}
    lines = {m: np.array([_number(found.get((m, q))) - q for q in levels]) for m in models}
    title = "Share of sales at or below each quantile, less its level"
    return _picture(lines, [f"{q:g}" for q in levels], "level", title, "coverage")


def _picture(lines: Mapping[str, np.ndarray], labels: list[str], identity: str, title: str, metric: str) -> dict[str, Any]:
    share = any(metric.startswith(s) for s in _SHARES)
    if not labels:
        return {"svg": Markup(""), "rows": [], "title": title}
    named = {numerals.name(m): v for m, v in lines.items()}
    rows = [(label, [write(float(v[i]), metric) for v in lines.values()]) for i, label in enumerate(labels)]
    svg = line_chart(named, labels, identity=identity, title=title, share=share)
    return {"svg": Markup(svg), "rows": rows, "title": title}


def _blocks(means: pl.DataFrame, models: Sequence[str], metric: str) -> list[dict[str, Any]]:
    """A table for each way to tell series apart; WAPE where they were not measured by the metric."""
    out = []
    for kind in dict.fromkeys(means["kind"]):
        if kind in ("all", "step"):
            continue
        of_kind = means.filter((pl.col("kind") == kind) & (pl.col("group") != BOTTOM))
        by = metric if metric in set(of_kind["metric"]) else "WAPE"
        part = of_kind.filter(pl.col("metric") == by)
        if not part.height:
            continue
        groups = part.group_by("group", maintain_order=True).agg(pl.col("series").max())
        if kind == LOCATION or ":" in kind:
            groups = groups.sort("series", descending=True, maintain_order=True)
        found = {(r["model"], r["group"]): r["value"] for r in part.iter_rows(named=True)}
        most = max((v for v in found.values() if v is not None and math.isfinite(v)), default=1.0)
        rows = []
        for group, series in groups.head(MOST_ROWS).iter_rows():
            name = _NEW.get(group, group) if kind == "age" else GROUPS.get(group, group) if kind == "class" else group
            cells = [{"value": write(found.get((m, group)), by),
                      "bar": Markup(bar(found.get((m, group)), most, colour=i, title=f"{m}: {write(found.get((m, group)), by)}"))}
                     for i, m in enumerate(models)]
            rows.append({"name": numerals.name(name, 60), "series": f"{series:,}", "cells": cells})
        title = KINDS.get(str(kind), f"By {str(kind).partition(':')[2] or kind} of {str(kind).partition(':')[0]}s")
        more = f" ({len(rows)} of {groups.height:,})" if groups.height > len(rows) else ""
        out.append({"title": f"{title}{more}", "metric": by, "rows": rows})
    return out


def write(value: float | None, metric: str) -> str:
    """A measure as the page writes it: shares as percentages."""
    if value is None or not math.isfinite(value):
        return numerals.UNKNOWN
    if any(metric.startswith(s) for s in _SHARES):
        return numerals.percent(value, signed=metric == "bias")
    return numerals.quantity(value, 3)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)

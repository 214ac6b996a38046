"""The page of a training: how the loss went, how large the network is, and which places listen to others, as one HTML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup

from shelfcast.files import whole_file
from shelfcast.names import LOCATION
from shelfcast.nn.callbacks import Row
from shelfcast.nn.records import Training
from shelfcast.panel import SalesPanel
from shelfcast.show import numerals
from shelfcast.show.backtest_charts import bar, line_chart
from shelfcast.show.labels import key_labels
from shelfcast.show.page import render_page

MOST_PLACES: Final = 40  # shown; place_weights.csv holds all
MOST_ROWS: Final = 40  # of the history; history.csv holds all
WEIGHT: Final = "weight"
ERRORS: Final = ("MSE", "MAE", "WAPE", "SQL", "WQL")  # of which less is better


def write_training(path: Path | str, training: Training, *, title: str, settings: Mapping[str, object], facts: Mapping[str, str],
                   weights: pl.DataFrame | None = None, panel: SalesPanel | None = None, scores: pl.DataFrame | None = None,
                   told: str = "") -> None:
    """Write the page as one HTML file; whole or not at all.

    Parameters
    ----------
    title : what was learned from
    settings : the model's
    facts : {what: how} of the run, for the end of the page
    weights : item, location, weight (0 to 1) of the other places in each series' forecast
    panel : whose attributes name the places
    scores : sales, cutoff, unseen, measure, before, after: what a fine-tuning was worth
    told : how it went, where `headline` is not what is to be said
    """
    text = render_training(training, title=title, settings=settings, facts=facts, weights=weights, panel=panel, scores=scores,
                           told=told)
    with whole_file(path) as out:
        out.write_text(text, encoding="utf-8")


def render_training(training: Training, *, title: str, settings: Mapping[str, object], facts: Mapping[str, str],
                    weights: pl.DataFrame | None = None, panel: SalesPanel | None = None, scores: pl.DataFrame | None = None,
                    told: str = "") -> str:
    """The page as a text."""
    values = {
        "title": numerals.name(title), "headline": told or headline(training), "curve": _curve(training.history),
        "places": _places(weights, panel), "scores": _before_and_after(scores),
        "settings": [(numerals.plain(k), numerals.plain(_said(v))) for k, v in settings.items()],
        "network": [(numerals.plain(k), numerals.plain(_said(v))) for k, v in training.network.items()],
        "facts": [(numerals.plain(k), numerals.plain(v)) for k, v in facts.items()],
    }
    return render_page("training.html.j2", values, styles=["report.css", "comparison.css", "backtest.css"], scripts=["report.js"])


def headline(training: Training) -> str:
    """How it went, in a sentence or two."""
    said = (f"The network learned {training.parameters:,} numbers in {training.steps:,} of {training.asked:,} steps, "
            f"{_duration(training.seconds)}: {training.stopped}.")
    if training.best_step is not None:
        said += f" The weights of step {training.best_step:,} were kept, with a validation loss of {_loss(training.best_loss)}."
    elif len(training.history) > 1:
        said += f" Its loss went from {_loss(training.history[0].loss)} to {_loss(training.history[-1].loss)}."
    return said


def _curve(history: tuple[Row, ...]) -> dict[str, Any]:
    """Losses by step as a picture, and at most so many of them as a table."""
    lines = {"training": np.array([row.loss for row in history])}
    if any(row.validation is not None for row in history):
        lines["validation"] = np.array([np.nan if row.validation is None else row.validation for row in history])
    svg = line_chart(lines, [f"{row.step:,}" for row in history], identity="curve", title="Loss by step of the training",
                     from_zero=False) if history else ""
    kept = sorted(set(np.linspace(0, len(history) - 1, min(len(history), MOST_ROWS)).round().astype(int))) if history else []
    rows = [(f"{history[i].step:,}", [_loss(line[i]) for line in lines.values()]) for i in kept]
    return {"svg": Markup(svg), "names": list(lines), "rows": rows, "shown": len(rows), "all": len(history)}


def _before_and_after(scores: pl.DataFrame | None) -> list[dict[str, Any]]:
    """One row a panel and measure: what it was, what it is, and how much less that is."""
    if scores is None:
        return []
    rows = []
    for row in scores.iter_rows(named=True):
        before, after = row["before"], row["after"]
        share = numerals.percent(1 - after / before) if before and after is not None and row["measure"] in ERRORS else ""
        seen = "kept for this table alone" if row["unseen"] else "also looked at by early stopping"
        rows.append({"sales": numerals.name(row["sales"]), "window": f"after {row['cutoff']}, {seen}", "measure": row["measure"],
                     "before": _loss(before), "after": _loss(after), "less": share})
    return rows


def _places(weights: pl.DataFrame | None, panel: SalesPanel | None) -> dict[str, Any]:
    """One row a place: the mean weight that others have in its series' forecasts, the largest first."""
    if weights is None or weights[LOCATION].n_unique() < 2 or not (weights[WEIGHT] > 0).any():  # no mixer of places: no weights
        return {"rows": [], "all": 0, "mean": ""}
    ends = pl.col(WEIGHT).min().alias("low"), pl.col(WEIGHT).max().alias("high")
    table = (weights.group_by(LOCATION).agg(pl.col(WEIGHT).mean(), *ends, pl.len().alias("series"))
             .sort([WEIGHT, LOCATION], descending=[True, False]))
    shown = table.head(MOST_PLACES)
    most = float(table["high"].max() or 0.0)  # type: ignore[arg-type]
    names = [numerals.name(v) for v in shown[LOCATION]] if panel is None else key_labels(panel, LOCATION, shown[LOCATION])
    rows = [{"name": name, "series": f"{row['series']:,}", "weight": numerals.percent(row[WEIGHT]),
             "range": f"{numerals.percent(row['low'])} to {numerals.percent(row['high'])}",
             "bar": Markup(bar(row[WEIGHT], most, colour=0, title=f"{name}: {numerals.percent(row[WEIGHT])}"))}
            for name, row in zip(names, shown.iter_rows(named=True), strict=True)]
    return {"rows": rows, "all": table.height, "mean": numerals.percent(float(weights[WEIGHT].mean() or 0.0))}  # type: ignore[arg-type]


def _loss(value: float | None) -> str:
    """Losses are small and their differences smaller: four digits that count."""
    return numerals.UNKNOWN if value is None or not np.isfinite(value) else f"{value:.4g}".replace("-", numerals.MINUS)


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    if isinstance(value, bool) or not isinstance(value, int):
        return numerals.UNKNOWN if value is None else str(value)
    return f"{value:,}"


def _duration(seconds: float) -> str:
    """Seconds in words.

    >>> _duration(7.04), _duration(95.0), _duration(7_500.0)
    ('7.0 seconds', '1.6 minutes', '2.1 hours')
    """
    for size, word in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {word}"
    return f"{seconds:.1f} seconds"

"""What a backtest says in short: each model's measures over its windows, how steady they are, and who won."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

NO_SKILL: Final = ("bias", "coverage", "width")  # measures of which less is not better
AIMS: Final = {"bias": 0.0, "coverage 0.1-0.9": 0.8, "coverage 0.01-0.99": 0.98}
"""Measures that should come near a number, and the number."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Attributes
    ----------
    table : one row a model and measure: `model`, `metric`, `mean` and `spread` (standard deviation) over the windows, `windows`
        (measured), `skill` (1 - model / baseline), `series`
    by_window : `window`, `cutoff`, `model`, `metric`, `value` of all series together
    metrics : the measures to show; the first decides who won
    baseline : the model that skill is over; None when it did not run
    """

    table: pl.DataFrame
    by_window: pl.DataFrame
    metrics: tuple[str, ...]
    baseline: str | None

    def as_dict(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """{model: {measure: {mean, spread, skill}}} of the measures to show."""
        out: dict[str, dict[str, dict[str, float | None]]] = {}
        for row in self.table.filter(pl.col("metric").is_in(self.metrics)).iter_rows(named=True):
            out.setdefault(row["model"], {})[row["metric"]] = {k: row[k] for k in ("mean", "spread", "skill")}
        return {model: {m: found[m] for m in self.metrics if m in found} for model, found in out.items()}

    def won(self) -> dict[str, Any]:
        """Who has the best mean of the first measure that can be won, and in how many windows each was best."""
        metric = next((m for m in self.metrics if can_win(m)), None)
        rows = self.by_window.filter((pl.col("metric") == metric) & pl.col("value").is_not_null())
        if metric is None or not rows.height:
            return {"metric": metric, "model": None, "windows_won": {}, "lead": None}
        distance = (pl.col("value") - AIMS.get(metric, 0.0)).abs()
        best = rows.sort(distance, maintain_order=True).group_by("window", maintain_order=True).first()
        measured = self.table.filter(pl.col("metric") == metric).drop_nulls("mean")
        order = measured.sort((pl.col("mean") - AIMS.get(metric, 0.0)).abs())
        means = order["mean"].to_list()
        counts = dict(best.group_by("model").len().iter_rows())
        return {"metric": metric, "model": order["model"][0], "mean": means[0],
                "windows_won": {model: int(counts.get(model, 0)) for model in order["model"]}, "of_windows": best.height,
                "second": order["model"][1] if len(means) > 1 else None,
                "lead": 1 - means[0] / means[1] if len(means) > 1 and means[1] > 0 else None}


def can_win(metric: str) -> bool:
    """Whether a measure says who is better: coverage and bias do by their distance from the aim, width alone does not."""
    return not metric.startswith("width") and (not metric.startswith("coverage") or metric in AIMS)


def summarise(scores: pl.DataFrame, *, metrics: Sequence[str], baseline: str) -> Summary:
    """Mean and spread over windows of all series' measures.

    Parameters
    ----------
    scores : `window`, `cutoff`, `model`, `kind`, `group`, `series`, `metric`, `value`
    metrics : to show
    baseline : model that skill is over, if it ran
    """
    rows = (scores.filter(pl.col("kind") == "all").select("window", "cutoff", "model", "series", "metric", "value")
            .with_columns(pl.col("value").fill_nan(None)))
    table = rows.group_by("model", "metric", maintain_order=True).agg(
        pl.col("value").mean().alias("mean"),
        pl.col("value").std().alias("spread"), pl.col("value").is_not_null().sum().alias("windows"), pl.col("series").max())
    ran = baseline in set(table["model"])
    base = table.filter(pl.col("model") == baseline).select("metric", pl.col("mean").alias("base"))
    shown = ~pl.any_horizontal(pl.col("metric").str.starts_with(n) for n in NO_SKILL)
    table = (table.join(base, on="metric", how="left", maintain_order="left")
             .with_columns(pl.when(shown & (pl.col("base") > 0)).then(1 - pl.col("mean") / pl.col("base")).alias("skill"))
             .select("model", "metric", "mean", "spread", "windows", "skill", "series"))
    return Summary(table, rows.drop("series"), tuple(metrics), baseline if ran else None)

"""Findings and backtests, as the tables that a report shows."""

from typing import Final

import polars as pl

from shelfcast.data.findings import Findings
from shelfcast.evaluate.backtest import Backtest
from shelfcast.show.content import ACCURACY_SCHEMA, FINDINGS_SCHEMA

METRICS: Final = {"WAPE": "wape", "bias": "bias", "MASE": "mase", "SQL": "sql", "coverage 0.1-0.9": "coverage"}


def findings_table(findings: Findings) -> pl.DataFrame:
    """Findings in the shape that a report shows."""
    rows = [(f.severity, f.name, f.count, f.of, f.unit, f.headline, str(f.places[0]) if f.places else None, f.money, f.does)
            for f in findings]
    return pl.DataFrame(rows, schema=FINDINGS_SCHEMA, orient="row")


def accuracy_table(backtest: Backtest | None) -> pl.DataFrame:
    """Mean over the windows of the measures that a report shows: everything, by demand class, by location."""
    if backtest is None:
        return pl.DataFrame(schema=ACCURACY_SCHEMA)
    table = (backtest.scores.filter(pl.col("metric").is_in(list(METRICS)), pl.col("kind").is_in(["all", "class", "location"]))
             .group_by("kind", "group", "role", "metric", maintain_order=True)
             .agg(pl.col("value").fill_nan(None).mean(), pl.col("series").max()))
    return (table.with_columns(pl.col("role").replace_strict({"model": "ours", "rival": "naive"}).alias("model"),
                               pl.col("metric").replace_strict(METRICS))
            .select(list(ACCURACY_SCHEMA)).cast(ACCURACY_SCHEMA))  # type: ignore[arg-type]

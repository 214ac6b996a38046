"""The dense view of a panel, written again with loops over rows and cells: slow, and plain enough to be believed."""

import math

import polars as pl

from shelfcast.panel import SalesPanel


def slow_dense(panel: SalesPanel, *, context: int | None, horizon: int) -> tuple[list[list[float]], dict[str, list[list[float]]]]:
    """Sales [series][period], and {known or past covariate: [series][period]} with numbers only; nan where not known."""
    keys = panel.series.select("item", "location").rows()
    starts = panel.series["start"].to_list()
    first = min(starts) if context is None else panel.cutoff - context + 1
    periods = list(range(first, panel.cutoff + 1))
    ahead = list(range(panel.cutoff + 1, panel.cutoff + 1 + horizon))
    rows = {(row["series"], row["period"]): row for row in panel.rows.iter_rows(named=True)}

    def sales(n: int, t: int) -> float:
        if (n, t) in rows:
            return number(rows[n, t]["sales"])
        return 0.0 if panel.absent == "zero" and t >= starts[n] else math.nan

    def covariate(name: str, n: int, t: int) -> float:
        if name in panel.rows.columns and (n, t) in rows and rows[n, t][name] is not None:
            return number(rows[n, t][name])
        for table in panel.tables:
            if name in table.values:
                found = table_value(table.frame, name, keys[n], t)
                if not math.isnan(found):
                    return found
        return math.nan

    covariates = {}
    for name, kind in panel.covariates.items():
        if kind != "static":
            columns = periods + ahead if kind == "known" else periods
            covariates[name] = [[covariate(name, n, t) for t in columns] for n in range(len(keys))]
    return [[sales(n, t) for t in periods] for n in range(len(keys))], covariates


def table_value(frame: pl.DataFrame, name: str, key: tuple[object, object], period: int) -> float:
    """What a covariate table says of one item, location and period."""
    wanted = {"item": key[0], "location": key[1], "period": period}
    for row in frame.iter_rows(named=True):
        if all(row[k] == v for k, v in wanted.items() if k in row):
            return number(row[name])
    return math.nan


def number(value: object) -> float:
    return math.nan if value is None else float(value)  # type: ignore[arg-type]

"""The public retail tasks of fev-bench, forecast by our default, beside every published model.

    python benchmarks/fev_retail.py                              the tasks whose data are at hand, all windows, `auto`
    python benchmarks/fev_retail.py --tasks walmart --model profile
    python benchmarks/fev_retail.py --windows 3:10 --keep FOLDER       some windows; losses of each series kept for `paired`
    python benchmarks/fev_retail.py --tasks rossmann_1D --model spacetime --once      a network, fitted at the first cutoff
    python benchmarks/fev_retail.py --model pretrained --hidden        no covariate at all, not even which days were closed
    python benchmarks/fev_retail.py --model pretrained --set weights=small             settings of a model
    python benchmarks/fev_retail.py --append                     add rows to benchmarks/results/fev_retail.csv

Windows, measures and the cut in time are those of `fev_tasks.py`, which lies beside the data; window k ends k horizons before each
series' own end. In each window the past is read and cleaned as any user's table is, `auto` chooses, learns and forecasts, and the
judge sees quantiles alone. The same settings for all tasks: the columns are told which is item, place, known or static. With
`--hidden` only dates, names and sales are left of the table: the case that published univariate models are measured in.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from provenance import DATA, TASKS, append_row
from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales
from shelfcast.data.split import cut
from shelfcast.models.base import Forecaster
from shelfcast.names import DATE, ITEM, LOCATION, SALES, quantile_column
from shelfcast.panel import SalesPanel
from shelfcast.workflow.choosing import make_forecaster
from space_runs import settings_from
from which_weights import USUAL, stamp

sys.path.append(str(TASKS))
DECILES = tuple(k / 10 for k in range(1, 10))
LEVELS = (0.01, 0.05, *DECILES, 0.95, 0.99)
KEYS = {"walmart": {ITEM: "Dept", LOCATION: "Store"}, "m5_1D": {ITEM: "item_id", LOCATION: "store_id"}}
"""Which column is the item and which the place; where nothing is said the series is a place."""
BARS = {"rossmann_1D": (0.205, 0.185), "rossmann_1W": (0.225, 0.195), "walmart": (0.648, 0.62)}
MEASURES = ("SQL", "WQL", "WAPE", "MASE")
PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Scored:
    """One window of one task.

    Attributes
    ----------
    row : measures, coverage, seconds
    losses : one row a series: id, scaled quantile loss (mean over steps and levels)
    told : what the model says of how it decided
    """

    row: dict[str, float]
    losses: pl.DataFrame
    told: tuple[str, ...]


def panel_of(task, past: pd.DataFrame, known: pd.DataFrame) -> SalesPanel:
    """A window as a user's table: the past, then the known covariates of the horizon, if any; read and cleaned by default."""
    keys = KEYS.get(task.name, {LOCATION: "id"})
    names = list(dict.fromkeys(keys.values()))
    columns = list(dict.fromkeys(["date", *names, *task.known]))
    ahead = [known[columns]] if task.known else []
    table = pl.from_pandas(pd.concat([past[[*columns, "y"]], *ahead], ignore_index=True))
    table = table.with_columns(pl.col(DATE).cast(pl.Date), pl.col("y").cast(pl.Float64), pl.col(names).cast(pl.String))
    renamed = {v: k for k, v in keys.items()}
    table = table.rename(renamed).rename({"y": SALES})
    static = [c for c in task.static if c not in names and c not in task.known]
    attributes = None
    if static:
        key = LOCATION
        attributes = pl.from_pandas(past.drop_duplicates(keys[key])[[keys[key], *static]]).rename({keys[key]: key})
        attributes = attributes.with_columns(pl.col(key).cast(pl.String))
        same = [c for c in static if past.groupby(keys[key])[c].nunique(dropna=False).max() == 1]
        attributes = attributes.select(key, *same)
    lines = read_sales(table, freq=task.freq, known=[c for c in task.known if c in table.columns], static=attributes)
    return clean_sales(lines, cutoff=past.date.max().date()).panel


def without_covariates(task):
    """The task as it is told by dates, names and sales alone."""
    return replace(task, known=[], static=[])


def label(model: str, options: Mapping[str, object] | None = None, *, once: bool = False, hidden: bool = False) -> str:
    """What a model is called in a row: pretrained ones with their weights, and how they were asked where that is not as usual."""
    options = options or {}
    said = [stamp(str(options.get("weights", USUAL)))] if model == PRETRAINED else []
    said += [f"{k}={v}" for k, v in options.items() if (model, k) != (PRETRAINED, "weights")]
    said += ["fitted once"] * once + ["covariates hidden"] * hidden
    return f"{model} ({', '.join(said)})" if said else model


def learn(task, panel: SalesPanel, model: str, *, seed: int, options: dict[str, object] | None = None) -> Forecaster:
    """A model of the registry, or `auto`, fitted on a window's past."""
    return make_forecaster(model, panel, horizon=task.horizon, seed=seed, options=options)[0].fit(panel)


def forecasts_by_id(task, past: pd.DataFrame, panel: SalesPanel, forecaster: Forecaster) -> pl.DataFrame:
    """Forecast each series from its own end: table of quantiles by id, `task.horizon` rows each."""
    keys = KEYS.get(task.name, {LOCATION: "id"})
    firsts = {v: (v, "first") for v in keys.values() if v != "id"}
    ids = past.groupby("id", sort=False).agg(date=("date", "max"), **firsts).reset_index()
    ends = pl.from_pandas(ids).with_columns(pl.col(v).cast(pl.String).alias(k) for k, v in keys.items())
    ends = ends.with_columns(pl.col(DATE).cast(pl.Date))
    series = panel.series.with_columns(pl.col(k).cast(pl.String) for k in keys)
    ends = series.join(ends, on=list(keys), how="left", maintain_order="left")
    cutoffs = np.array([panel.frequency.number(d) for d in ends[DATE]])
    parts = []
    for cutoff in np.unique(cutoffs):
        chosen = np.flatnonzero(cutoffs == cutoff)
        part = panel.select(chosen)
        made = forecaster.predict(part if cutoff == panel.cutoff else cut(part, int(cutoff)), horizon=task.horizon, levels=LEVELS)
        table = made.to_frame()
        parts.append(table.with_columns(ends["id"][np.repeat(chosen, task.horizon)].alias("id")))
    return pl.concat(parts)


def judge(fev, task, past: pd.DataFrame, truth: dict[object, np.ndarray],
          table: pl.DataFrame) -> tuple[dict[str, float], pl.DataFrame]:
    """Measures of a window, and the loss of each series."""
    h = task.horizon
    ids = table["id"].to_list()[::h]
    cube = np.stack([table[quantile_column(q)].to_numpy().reshape(-1, h) for q in LEVELS], axis=2)
    by_id = dict(zip(ids, cube, strict=True))
    lost = [key for key in truth if key not in by_id]
    if lost:
        raise ValueError(f"{len(lost):,} of {len(truth):,} series of {task.name} have no forecast, the first {lost[0]!r}.")
    at = [LEVELS.index(q) for q in DECILES]
    history = {key: part.y.to_numpy(float) for key, part in past.groupby("id", sort=False)}
    row = fev.score(history, truth, {key: by_id[key][:, at] for key in truth}, task.season)
    naive = fev.score(history, truth, fev.seasonal_naive({k: history[k] for k in truth}, h, task.season), task.season)
    keys = list(truth)
    y, q = np.stack([truth[k] for k in keys]), np.stack([by_id[k] for k in keys])
    seen = np.isfinite(y) & (q[:, :, -1] > 0)  # closed days are no test of an interval
    row |= {f"naive {m}": naive[m] for m in MEASURES}
    for name, low, high in (("cover80", 0.1, 0.9), ("cover98", 0.01, 0.99)):
        inside = (y >= q[:, :, LEVELS.index(low)]) & (y <= q[:, :, LEVELS.index(high)])
        row[name] = float(inside[seen].mean())
    pinball = 2 * np.abs((y[..., None] - q[:, :, at]) * ((y[..., None] <= q[:, :, at]) - np.array(DECILES)))
    steps = [np.abs(history[k][task.season:] - history[k][: max(len(history[k]) - task.season, 0)]) for k in keys]
    scale = np.array([s[np.isfinite(s)].mean() if np.isfinite(s).any() else np.nan for s in steps])
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.nansum(pinball.mean(2), axis=1) / np.isfinite(y).sum(axis=1)
        loss = each / np.where(scale > 0, scale, np.nan)
    return row, pl.DataFrame({"id": [str(k) for k in keys], "loss": loss})


def score_window(fev, task, past: pd.DataFrame, known: pd.DataFrame, truth: dict[object, np.ndarray], model: str, seed: int,
                 fitted_before: Forecaster | None = None, *, options: dict[str, object] | None = None) -> tuple[Scored, Forecaster]:
    """One window: read, clean, fit (unless fitted before), forecast, judge."""
    began = time.perf_counter()
    panel = panel_of(task, past, known)
    prepared = time.perf_counter()
    forecaster = fitted_before or learn(task, panel, model, seed=seed, options=options)
    fitted = time.perf_counter()
    table = forecasts_by_id(task, past, panel, forecaster)
    predicted = time.perf_counter()
    told = tuple(getattr(forecaster, "told_", ()) or getattr(forecaster, "told", ()) or ())
    row, losses = judge(fev, task, past, truth, table)
    row |= {"prepare_s": prepared - began, "fit_s": fitted - prepared, "predict_s": predicted - fitted}
    return Scored(row, losses, told), forecaster


def run(fev, name: str, model: str, ks: range | None, seed: int, keep: Path | None, say: bool, *,
        once: bool = False, hidden: bool = False, options: dict[str, object] | None = None) -> dict[str, object]:
    """All windows of a task: the mean of each measure; fitted in each, or `once` at the first; its covariates shown or `hidden`."""
    task = getattr(fev, name)(DATA)
    if hidden:
        task = without_covariates(task)
    called = label(model, options, once=once, hidden=hidden)
    rows = []
    fitted = None
    for k, (past, known, truth) in zip(range(task.windows - 1, -1, -1), fev.cuts(task), strict=True):
        if ks is not None and k not in ks:
            continue
        with np.errstate(all="ignore"):
            scored, forecaster = score_window(fev, task, past, known, truth, model, seed, fitted, options=options)
            fitted = forecaster if once else None
        rows.append(scored.row)
        if say:
            print(f"  {name} window {k}: " + "  ".join(f"{m} {scored.row[m]:.4f}" for m in (*MEASURES, "cover80", "cover98"))
                  + f"  fit {scored.row['fit_s']:.0f} s", file=sys.stderr, flush=True)
            for sentence in scored.told:
                print(f"    {sentence}", file=sys.stderr, flush=True)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            scored.losses.write_parquet(keep / f"{name}-{model}{'-hidden' * hidden}-{k:02d}.parquet")
    out: dict[str, object] = {"task": name, "model": called, "windows": len(rows)}
    out |= {key: round(float(np.mean([r[key] for r in rows])), 4) for key in rows[0]}
    out["seconds"] = round(sum(r["prepare_s"] + r["fit_s"] + r["predict_s"] for r in rows), 1)
    return out


def standing(name: str, ours: dict[str, object]) -> Iterator[str]:
    """Our line among the published ones, best first."""
    published = pl.read_csv(DATA.parent / "published/fev_bench_retail.csv").filter(pl.col("task_name") == name)
    lines = [(r["SQL"], r["model_name"], *(r[m] for m in MEASURES)) for r in published.iter_rows(named=True)]
    mine = f"shelfcast {ours['model']}"
    lines.append((ours["SQL"], mine, *(ours[m] for m in MEASURES)))
    lines.sort()
    yield (f"{name}  ({ours['windows']} windows, {ours['series']:.0f} series, {ours['seconds']:.0f} s; "
           f"cover80 {ours['cover80']:.3f}, cover98 {ours['cover98']:.3f})")
    place = [line[1] for line in lines].index(mine)
    for i, line in enumerate(lines):
        if i < 6 or abs(i - place) <= 1 or line[1] == "Seasonal Naive":
            mark = ">" if line[1] == mine else " "
            yield f" {mark}{i + 1:3d}  {line[1]:22s} " + "  ".join(f"{m} {v:8.4f}" for m, v in zip(MEASURES, line[2:], strict=True))


def main() -> None:
    """Run, print our line among the published ones, append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="rossmann_1D,rossmann_1W,walmart,m5_1D")
    parser.add_argument("--windows", default=None, help="first:end of k; all by default")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--once", action="store_true", help="fit at a task's first cutoff alone")
    parser.add_argument("--hidden", action="store_true", help="no covariates: dates, names and sales alone")
    parser.add_argument("--set", default="", dest="options", help="settings of the model: name=value,name=value")
    parser.add_argument("--append", action="store_true")
    arguments = parser.parse_args()
    if not (TASKS / "fev_tasks.py").exists():
        parser.error(f"the tasks are not at {TASKS}; set SHELFCAST_DATA to the folder of data sets that has bench/ beside it")
    import fev_tasks

    ks = None
    if arguments.windows is not None:
        low, _, high = arguments.windows.partition(":")
        ks = range(int(low), int(high) if high else int(low) + 1)
    options = settings_from(arguments.options, arguments.model)
    for name in arguments.tasks.split(","):
        row = run(fev_tasks, name, arguments.model, ks, arguments.seed, arguments.keep, say=True, once=arguments.once,
                  hidden=arguments.hidden, options=options)
        print("\n".join(standing(name, row)), flush=True)
        if arguments.append:
            append_row("fev_retail", row)


if __name__ == "__main__":
    main()

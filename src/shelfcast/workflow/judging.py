"""Overrides in a backtest: each model's forecast of a window with what planners had written by then, scored beside it as `MODEL +
overrides`, and what the overrides were worth.

Their pieces lie beside the models' own and look alike, so a killed run keeps them too. A run folder with overrides also holds
`value_added.csv` (by model, who, why, kind, direction, size), `ledger.parquet` (each period moved, with what was sold) and
`overrides.csv`.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from shelfcast.adjust.moving import moved_to
from shelfcast.adjust.override import Overridden, apply_as_known
from shelfcast.adjust.override_table import ROW, Overrides
from shelfcast.adjust.value_added import in_words, judge_moves, value_added
from shelfcast.data.split import Window
from shelfcast.errors import SettingsError
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import scored_part
from shelfcast.files import whole_folder
from shelfcast.forecast import Forecast
from shelfcast.names import DATE, KEYS, SALES
from shelfcast.operate.runs import harmless_csv
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, stage
from shelfcast.workflow.pieces import PIECE, Plan, Recorded, cutoff_name, read_levels, the_windows
from shelfcast.workflow.preparing import Say
from shelfcast.workflow.reconciling import LEVELS_FOLDER, hierarchy_by, write_levels

WITH: Final = " + overrides"
_LEDGER: Final = "ledger.parquet"


@dataclass(frozen=True)
class Judged:
    """What a backtest found of the overrides.

    Attributes
    ----------
    plan : with `MODEL + overrides` among the models when any override was known and stood in a window
    added : `value_added` of each model, first column `model`
    overrides : all that were given; None when a backtest was asked for without
    """

    plan: Plan
    added: pl.DataFrame
    overrides: Overrides | None = None

    def write(self, out: Path, cutoffs: Sequence[str]) -> None:
        """Keep the overrides, the ledger and the value added in a run folder."""
        if self.overrides is None:
            return
        harmless_csv(self.overrides.table.drop(ROW)).write_csv(out / "overrides.csv")
        harmless_csv(self.added).write_csv(out / "value_added.csv")
        pieces = [(m, self.plan.piece(m, c)) for m in self.plan.models if m.endswith(WITH) for c in cutoffs]
        if pieces:
            tables = [pl.scan_parquet(piece / _LEDGER).select(pl.lit(m.removesuffix(WITH)).alias("model"), pl.all())
                      for m, piece in pieces]
            pl.concat(tables).sink_parquet(out / _LEDGER)

    def summary(self) -> dict[str, Any] | None:
        """{model: {says, value added, low, high, periods, moved}}; None when no overrides were given."""
        if self.overrides is None:
            return None
        out: dict[str, Any] = {}
        for model in self.added["model"].unique(maintain_order=True):
            of_model = self.added.filter(pl.col("model") == model)
            whole = of_model.filter(pl.col("by") == "all").row(0, named=True)
            shown = ("value added", "low", "high", "overrides", "periods", "moved")
            out[model] = {"says": in_words(of_model), **{k.replace(" ", "_"): whole[k] for k in shown}}
        return out


def judge_overrides(plan: Plan, panel: SalesPanel, overrides: Overrides | None, cutoffs: Sequence[str], *, say: Say,
                    progress: Progress) -> Judged:
    """Score every model's finished pieces again with the overrides that were known at each window's cutoff.

    Nothing that was written later is used. Where only a sample of the series is scored, totals that other series share in are
    left out, and that is told.
    """
    if overrides is None:
        return Judged(plan, pl.DataFrame())
    taken = sorted(m for m in plan.models if m.endswith(WITH))
    if taken:
        raise SettingsError(f"A model is called {taken[0]!r}, as forecasts with overrides are. Leave it out.")
    key = str(overrides.table.hash_rows(seed=1).sum())
    wider = replace(plan, models={**plan.models, **{m + WITH: {**plan.models[m], "overrides": key} for m in plan.models}})
    judged: dict[str, list[pl.DataFrame]] = {m: [] for m in plan.models}
    told: dict[str, None] = {}
    with stage(progress, "judging overrides", len(cutoffs) * len(plan.models)) as bar:
        for make, cutoff in zip(the_windows(plan, panel), cutoffs, strict=True):
            window = None
            for model in plan.models:
                piece = wider.piece(model + WITH, cutoff)
                if not (piece / PIECE).exists():
                    window = make() if window is None else window
                    told |= dict.fromkeys(_write_piece(wider, model, cutoff, window, panel, overrides))
                judged[model].append(pl.read_parquet(piece / _LEDGER))
                bar.advance()
    for sentence in told:
        say(f"Overrides: {sentence}")
    if not any(t.height for tables in judged.values() for t in tables):
        say("No override had been written before a window and stood in it, so there is nothing to compare.")
        return Judged(plan, value_added([]).select(pl.lit("").alias("model"), pl.all()).head(0), overrides)
    added = pl.concat([value_added(tables, seed=plan.seed).select(pl.lit(m).alias("model"), pl.all())
                       for m, tables in judged.items()])
    return Judged(wider, added, overrides)


def _write_piece(plan: Plan, model: str, cutoff: str, window: Window, panel: SalesPanel, overrides: Overrides) -> tuple[str, ...]:
    """The piece `MODEL + overrides` of one window; sentences on overrides that could not be used."""
    began = time.perf_counter()
    source, frequency = plan.piece(model, cutoff), panel.frequency
    actuals = pl.read_parquet(plan.actuals(cutoff) / "actuals.parquet")
    made: dict[int, Overridden] = {}
    ledgers = []
    for path in sorted((source / "forecasts").glob("*.parquet")):
        own = Forecast.from_frame(pl.read_parquet(path), freq=frequency)
        rest = window.past.series.join(own.series, on=KEYS, how="anti")
        one = apply_as_known(own, overrides, items=panel.items, places=panel.places, known=panel.series, unsampled=rest)
        made[own.cutoff] = one
        ledgers.append(judge_moves(own, one.forecast, one.ledger, actual=_sold(actuals, own)))
    scored = scored_part(window, max_series=plan.max_series, seed=plan.seed)
    hierarchy = hierarchy_by(plan.hierarchy, scored.past) if plan.hierarchy else None
    upper = {}
    if hierarchy is not None:
        upper = read_levels(source, frequency)
        if plan.reconcile != "none":  # sums go along with the overridden series, their quantiles along with their means
            (moved,) = (one.forecast for one in made.values())
            upper = {name: moved_to(one, hierarchy[name].sums(moved.mean)) for name, one in upper.items()}
    found = measure(scored, Recorded({at: one.forecast for at, one in made.items()}), levels=plan.levels, hierarchy=hierarchy,
                    upper=upper)
    told = json.loads((source / PIECE).read_text(encoding="utf-8"))
    told |= {"model": model + WITH, "fit_seconds": 0.0, "predict_seconds": round(time.perf_counter() - began, 3),
             "why": "the same with the overrides that had been written by then"}
    with whole_folder(plan.piece(model + WITH, cutoff)) as out:
        found.scores.write_parquet(out / "scores.parquet")
        losses = found.losses.with_columns(frequency.date_of(pl.col("end")).alias("cutoff")).drop("end")
        losses.write_parquet(out / "losses.parquet")
        (out / "forecasts").mkdir()
        for at, one in made.items():
            one.forecast.to_frame().write_parquet(out / "forecasts" / f"{cutoff_name(at, frequency)}.parquet")
        if upper:
            write_levels(out / LEVELS_FOLDER, upper)
        pl.concat(ledgers).write_parquet(out / _LEDGER)
        (out / PIECE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return tuple(dict.fromkeys(s for one in made.values() for s in one.told if "not applied" in s))


def _sold(actuals: pl.DataFrame, forecast: Forecast) -> np.ndarray:
    """(N, H): what came in the periods of a forecast; nan where it is not known."""
    kept = actuals.join(forecast.series, on=KEYS, how="semi").sort(*KEYS, DATE)
    return kept[SALES].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(len(forecast), forecast.horizon)

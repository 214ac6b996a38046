"""The network as a member beside `auto`, on the public retail tasks: does the blend lower the score, and how sure is that?

    python benchmarks/blend.py --tasks walmart                      all windows; network, auto, blend, and the paired interval
    python benchmarks/blend.py --tasks rossmann_1W --set steps=1200 --append

The network is fitted once, at the task's first cutoff, and forecasts all its windows; `auto` is fitted in each, as in
`fev_retail.py`. The weights are those that `adjust.combine.learn_weights` finds on the window just before the first cutoff, whose
models have seen nothing of it; where the history is too short to replay one, as many periods as can be. No test window has a say.
"""

import argparse
import sys
import time

import numpy as np
import polars as pl

from fev_retail import DATA, MEASURES, TASKS, forecasts_by_id, judge, learn, panel_of
from provenance import append_row
from shelfcast.adjust.combination import Combination
from shelfcast.adjust.combine import Weights, learn_weights
from shelfcast.adjust.trial import run_trial
from shelfcast.data.classes import CLASSES
from shelfcast.data.split import windows
from shelfcast.evaluate.resampling import paired_skill
from shelfcast.panel import SalesPanel
from shelfcast.workflow.planning import trial_horizon

MEMBERS = ("auto", "spacetime")


def weights_before(task, panel: SalesPanel, *, seed: int, options: dict[str, object]) -> Weights:
    """Weights of the members by the window before the panel's cutoff."""
    horizon = trial_horizon(panel, task.horizon)
    (window,) = windows(panel, horizon=horizon, count=1)
    fitted = {name: learn(task, window.past, name, seed=seed, options=options if name == "spacetime" else None) for name in MEMBERS}
    return learn_weights([run_trial(window, fitted)], base=None, seed=seed)


def run(fev, name: str, *, seed: int, options: dict[str, object], share: float | None) -> dict[str, object]:
    """All windows of a task: measures of each member and of the blend."""
    task = getattr(fev, name)(DATA)
    rows: dict[str, list[dict[str, float]]] = {m: [] for m in (*MEMBERS, "blend")}
    losses: dict[str, list[pl.DataFrame]] = {m: [] for m in rows}
    network = weights = None
    began = time.perf_counter()
    for k, (past, known, truth) in zip(range(task.windows - 1, -1, -1), fev.cuts(task), strict=True):
        with np.errstate(all="ignore"):
            panel = panel_of(task, past, known)
            if network is None or weights is None:
                weights = (Weights(MEMBERS, CLASSES, np.tile([1 - share, share], (len(CLASSES), 1))) if share is not None
                           else weights_before(task, panel, seed=seed, options=options))
                print(weights.table(), file=sys.stderr)
                network = learn(task, panel, "spacetime", seed=seed, options=options)
            fitted = {"auto": learn(task, panel, "auto", seed=seed), "spacetime": network}
            fitted["blend"] = Combination(dict(fitted), weights)
            for member, forecaster in fitted.items():
                row, loss = judge(fev, task, past, truth, forecasts_by_id(task, past, panel, forecaster))
                rows[member].append(row)
                losses[member].append(loss.sort("id"))
        print(f"  {name} window {k}: " + "  ".join(f"{m} {r[-1]['SQL']:.4f} ({r[-1]['cover80']:.3f})" for m, r in rows.items()),
              file=sys.stderr, flush=True)
    ids = losses["auto"][0]["id"]
    if any(part["id"].to_list() != ids.to_list() for parts in losses.values() for part in parts):
        raise ValueError(f"The windows of {name} do not hold the same series.")
    each = {m: np.stack([part["loss"].to_numpy() for part in parts]) for m, parts in losses.items()}
    skill = paired_skill(each["blend"], each["auto"])
    out: dict[str, object] = {"task": name, "windows": task.windows, "settings": " ".join(f"{k}={v}" for k, v in options.items()),
                              "share": "" if share is None else share}
    for member, parts in rows.items():
        out |= {f"{member} {m}": round(float(np.mean([r[m] for r in parts])), 4) for m in (*MEASURES, "cover80", "cover98")}
    out |= {"skill": round(skill.value, 4), "low": round(skill.low, 4), "high": round(skill.high, 4),
            "seconds": round(time.perf_counter() - began, 1)}
    return out


def main() -> None:
    """Run, print, append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="rossmann_1D,rossmann_1W,walmart,m5_1D")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="settings of the network")
    parser.add_argument("--share", type=float, default=None, help="the network's weight; learned on an earlier window by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--append", action="store_true")
    arguments = parser.parse_args()
    if not (TASKS / "fev_tasks.py").exists():
        parser.error(f"the tasks are not at {TASKS}; set SHELFCAST_DATA to the folder of data sets that has bench/ beside it")
    import fev_tasks

    options: dict[str, object] = {}
    for pair in arguments.set:
        key, _, value = pair.partition("=")
        options[key] = int(value) if value.lstrip("-").isdigit() else float(value) if value.replace(".", "", 1).isdigit() else value
    for name in arguments.tasks.split(","):
        row = run(fev_tasks, name, seed=arguments.seed, options=options, share=arguments.share)
        print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
        if arguments.append:
            append_row("blend", row)


if __name__ == "__main__":
    main()

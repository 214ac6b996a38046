"""A network as a member beside a model, on the public retail tasks: does the blend lower the score, and how sure is that?

    python benchmarks/blend.py --tasks walmart                      all windows; network, auto, blend, and the paired interval
    python benchmarks/blend.py --tasks rossmann_1W --set steps=1200 --append
    python benchmarks/blend.py --members boosted,pretrained --append          zero-shot beside trees
    python benchmarks/blend.py --members auto,pretrained --set weights=small  and beside all that `auto` has
    python benchmarks/blend.py --members auto,pretrained --inside --append    as a member that `auto` itself weighs

`spacetime` is fitted once, at the task's first cutoff, and forecasts all its windows; all other members are fitted in each, as in
`fev_retail.py`. The weights are those that `adjust.combine.learn_weights` finds on the window just before the first cutoff, whose
models have seen nothing of it; where the history is too short to replay one, as many periods as can be. No test window has a say.
With `--inside`, `auto` is fitted twice in each window, with and without the network as one of its own members, and weighs by
windows before that one, as it does for a user.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import polars as pl

from fev_retail import DATA, MEASURES, TASKS, forecasts_by_id, judge, label, learn, panel_of
from provenance import append_row
from shelfcast.adjust.combination import Combination
from shelfcast.adjust.combine import Weights, learn_weights
from shelfcast.adjust.trial import run_trial
from shelfcast.data.classes import CLASSES
from shelfcast.data.split import windows
from shelfcast.evaluate.resampling import paired_skill
from shelfcast.models.base import Forecaster
from shelfcast.panel import SalesPanel
from shelfcast.workflow.choosing import MORE
from shelfcast.workflow.planning import trial_horizon

MEMBERS = ("auto", "spacetime")
"""The model that has to be bettered, and the network that joins it."""
ONCE = ("spacetime",)
"""Members that take too long to be fitted in each window."""
INSIDE = "inside"
"""What a row says of the share where `auto` weighs the network itself."""


def weights_before(task, panel: SalesPanel, *, seed: int, options: dict[str, object],
                   members: Sequence[str] = MEMBERS) -> Weights:
    """Weights of the members by the window before the panel's cutoff."""
    horizon = trial_horizon(panel, task.horizon)
    (window,) = windows(panel, horizon=horizon, count=1)
    fitted = {name: learn(task, window.past, name, seed=seed, options=options if name == members[1] else None) for name in members}
    return learn_weights([run_trial(window, fitted)], base=None, seed=seed)


def run(fev, name: str, *, seed: int, options: dict[str, object], share: float | None,
        members: Sequence[str] = MEMBERS, inside: bool = False) -> dict[str, object]:
    """All windows of a task: measures of each member and of the blend.

    Parameters
    ----------
    options : settings of the network
    share : the network's weight; learned before the first window when None
    members : the model that has to be bettered, and the network
    inside : the first has the network as one of its own members, by a setting of its name
    """
    first, network = members
    switch = next((setting for setting, model in MORE.items() if model == network), network)
    task = getattr(fev, name)(DATA)
    rows: dict[str, list[dict[str, float]]] = {m: [] for m in (first, network, "blend")}
    losses: dict[str, list[pl.DataFrame]] = {m: [] for m in rows}
    kept: dict[str, Forecaster] = {}
    weights = None
    began = time.perf_counter()
    for k, (past, known, truth) in zip(range(task.windows - 1, -1, -1), fev.cuts(task), strict=True):
        with np.errstate(all="ignore"):
            panel = panel_of(task, past, known)
            if weights is None and not inside:
                weights = (Weights(tuple(members), CLASSES, np.tile([1 - share, share], (len(CLASSES), 1))) if share is not None
                           else weights_before(task, panel, seed=seed, options=options, members=members))
                print(weights.table(), file=sys.stderr)
            fitted = {m: kept.get(m) or learn(task, panel, m, seed=seed, options=options if m == network else None)
                      for m in members}
            kept = {m: one for m, one in fitted.items() if m in ONCE}
            if weights is not None:
                fitted["blend"] = Combination(dict(fitted), weights)
            else:
                fitted["blend"] = learn(task, panel, first, seed=seed, options={switch: True, **options})
            for member, forecaster in fitted.items():
                row, loss = judge(fev, task, past, truth, forecasts_by_id(task, past, panel, forecaster))
                rows[member].append(row)
                losses[member].append(loss.sort("id"))
        print(f"  {name} window {k}: " + "  ".join(f"{m} {r[-1]['SQL']:.4f} ({r[-1]['cover80']:.3f})" for m, r in rows.items()),
              file=sys.stderr, flush=True)
    ids = losses[first][0]["id"]
    if any(part["id"].to_list() != ids.to_list() for parts in losses.values() for part in parts):
        raise ValueError(f"The windows of {name} do not hold the same series.")
    each = {m: np.stack([part["loss"].to_numpy() for part in parts]) for m, parts in losses.items()}
    skill = paired_skill(each["blend"], each[first])
    out: dict[str, object] = {"task": name, "windows": task.windows}
    if tuple(members) != MEMBERS or inside:
        out |= {"first": first, "network": label(network, {k: v for k, v in options.items() if k == "weights"})}
    out |= {"settings": " ".join(f"{k}={v}" for k, v in options.items() if k != "weights"),
            "share": INSIDE if inside else "" if share is None else share}
    told = {first: first, network: network, "blend": "blend"} if "network" not in out else {
        first: "first", network: "network", "blend": "blend"}
    for member, parts in rows.items():
        out |= {f"{told[member]} {m}": round(float(np.mean([r[m] for r in parts])), 4) for m in (*MEASURES, "cover80", "cover98")}
    out |= {"skill": round(skill.value, 4), "low": round(skill.low, 4), "high": round(skill.high, 4),
            "seconds": round(time.perf_counter() - began, 1)}
    return out


def main() -> None:
    """Run, print, append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="rossmann_1D,rossmann_1W,walmart,m5_1D")
    parser.add_argument("--members", default=",".join(MEMBERS), help="the model that has to be bettered, and the network")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="settings of the network")
    parser.add_argument("--share", type=float, default=None, help="the network's weight; learned on an earlier window by default")
    parser.add_argument("--inside", action="store_true", help="the first member is `auto`, which has the network as one of its own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--append", action="store_true")
    arguments = parser.parse_args()
    if not (TASKS / "fev_tasks.py").exists():
        parser.error(f"the tasks are not at {TASKS}; set SHELFCAST_DATA to the folder of data sets that has bench/ beside it")
    import fev_tasks

    members = tuple(arguments.members.split(","))
    if len(set(members)) != 2:
        parser.error("--members takes two models with a comma between them")
    if arguments.inside and members[0] != "auto":
        parser.error("--inside is for --members auto,NETWORK: no other model has members")
    options: dict[str, object] = {}
    for pair in arguments.set:
        key, _, value = pair.partition("=")
        options[key] = int(value) if value.lstrip("-").isdigit() else float(value) if value.replace(".", "", 1).isdigit() else value
    for name in arguments.tasks.split(","):
        row = run(fev_tasks, name, seed=arguments.seed, options=options, share=arguments.share, members=members,
                  inside=arguments.inside)
        print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
        if arguments.append:
            append_row("blend_members" if "network" in row else "blend", row)


if __name__ == "__main__":
    main()

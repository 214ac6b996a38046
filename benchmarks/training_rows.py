"""What each way of training the network is worth: one setting changed at a time, beside the defaults and their spread over seeds.

    python benchmarks/training_rows.py                            dominicks and stallion, 250 steps, every row
    python benchmarks/training_rows.py --sets stallion --steps 1000 --only shocks=0.0,loss=mse --append

Earlier windows alone: window 3 of dominicks, 1 of stallion. Short trainings, so that all rows can be run in a quarter of an hour on
two cores: they rank ways of training a little, not a lot. `over` is SQL over the mean of the defaults' seeds.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

os.environ.setdefault("OMP_NUM_THREADS", "1")

SETS = {"dominicks": 3, "stallion": 1}
DEFAULTS = ("", "seed=1", "seed=2")
ROWS = ("shocks=0.0", "shocks=0.4", "events=0.2", "jitter=0.5", "scaling=0.5", "masking=0.5", "blocks=0.5", "mixing=0.5",
        "warping=0.5", "hiding=0.5", "cold=0.1", "adversarial=fgsm", "adversarial=pgd", "optimizer=muon",
        "optimizer=sgd,rate=0.05", "loss=mse", "loss=poisson", "loss=tweedie", "loss=negative_binomial", "schedule=constant",
        "schedule=wsd", "ema=0.0", "dropout=0.0", "dropout=0.3", "weight_decay=0.0", "patience=5")


def measured(name: str, words: str, steps: int) -> dict[str, object]:
    """One training: a row."""
    import spine_accuracy
    from shelfcast.models.spacetime import SpaceTime, SpaceTimeSettings
    from space_runs import settings_from

    task = getattr(spine_accuracy, name)()
    options = settings_from(words, "spacetime")
    began = time.process_time()
    model = SpaceTime(SpaceTimeSettings(**{"steps": steps, "horizon": task.horizon, **options}))  # type: ignore[arg-type]
    found = spine_accuracy.run(task, SETS[name], model)
    return {"set": name, "window": SETS[name], "steps": steps, "settings": words or "defaults", "SQL": round(found["SQL"], 4),
            "WQL": round(found["WQL"], 4), "WAPE": round(found["WAPE"], 4), "cpu_s": round(time.process_time() - began, 1)}


def main() -> None:
    """Run, print, append rows where asked."""
    from provenance import append_row

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--only", default=None, help="settings to try, separated by blanks; all by default")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--append", action="store_true")
    asked = parser.parse_args()
    chosen = [*DEFAULTS, *(ROWS if asked.only is None else asked.only.split())]
    for name in asked.sets.split(","):
        with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(measured, [name] * len(chosen), chosen, [asked.steps] * len(chosen)))
        usual = sum(float(str(row["SQL"])) for row in rows[:len(DEFAULTS)]) / len(DEFAULTS)
        for row in rows:
            row["over"] = round(float(str(row["SQL"])) / usual, 4)
            print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
            if asked.append:
                append_row("training_rows", row)


if __name__ == "__main__":
    main()

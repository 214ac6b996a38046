"""Our space-time network beside PatchTST, NHITS and TFT of neuralforecast: same windows, equal parameters, equal seconds.

    python benchmarks/peers/networks.py                                      window 1 of the tasks to choose on
    python benchmarks/peers/networks.py --tasks stallion --seconds 60 --append

In one run, one thread each: ours with its transformer, then PatchTST and TFT with its number of parameters (within a tenth),
its context, as many windows in a batch, and its seconds; ours with its MLP, then NHITS likewise. `equal.py` says what a window
and a second are. `--append` adds the rows to benchmarks/results/network_peers.csv.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from compare import HERE, OURS, environment, scores, written  # which puts the folder of the benchmarks on the path
from exchange import read_forecast, read_window
from measured import measured
from windows import SEALED, SETS

from provenance import append_row

TASKS = ("stallion", "dominicks_oj", "store_item")
PEER = "neuralforecast"
BESIDE = {"transformer": ("patchtst", "tft"), "mlp": ("nhits",)}
CLOSE = 0.1  # parameters may differ by so much
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
WIDTHS = {"task": -12, "window": 6, "beside": -11, "model": -11, "parameters": 10, "context": 7, "steps": 6, "windows": 8,
          "seconds": 7, "windows_per_second": 18, "SQL": 7, "WQL": 7, "MASE": 7, "cover80": 7}


def trained(folder: Path, peer: str, model: str, *, seconds: float, limit: float, like: Mapping[str, float]) -> dict[str, float]:
    """Train one network in its environment: what it tells beside its forecast.

    Parameters
    ----------
    seconds : of the processor, for the fit
    limit : seconds of wall time after which it is ended
    like : parameters and context that it is to have; nothing for ours, which has its own
    """
    os.environ.update(dict.fromkeys(THREADS, "1") | {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"})
    out = kept(folder, peer, model)
    asked = [word for name, value in like.items() for word in (f"--{name}", str(value))]
    out.unlink(missing_ok=True)
    ran = measured([str(environment(peer)), str(HERE / peer / "networks.py"), str(folder), str(out), "--model", model,
                    "--seconds", str(seconds), *asked], log=out.with_suffix(".log"), limit=limit)
    if ran.code or not out.exists():
        raise RuntimeError(f"{peer} {model} ended with {ran.code} after {ran.seconds:.0f} s:\n{ran.tail()}")
    return json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))


def kept(folder: Path, peer: str, model: str) -> Path:
    """Where a network's forecast is kept."""
    return folder / f"network-{peer}-{model}.parquet"


def rows_of(folder: Path, truth: pd.DataFrame, *, seconds: float, limit: float) -> Iterator[dict[str, object]]:
    """One row a network: ours, then those that are as large; for each encoder of time that is compared.

    Raises
    ------
    RuntimeError
        If a network fails, or none of its sizes has as many parameters as ours, within a tenth.
    """
    window = read_window(folder)
    for ours, peers in BESIDE.items():
        own: dict[str, float] = {}
        for peer, model in [(OURS, ours), *((PEER, m) for m in peers)]:
            like = {name: own[name] for name in ("parameters", "context") if own}
            told = trained(folder, peer, model, seconds=seconds, limit=limit, like=like)
            own = own or told
            if abs(told["parameters"] / own["parameters"] - 1) > CLOSE:
                raise RuntimeError(f"{model} has {told['parameters']:,} parameters and ours {own['parameters']:,} on "
                                   f"{window.about.task}: none of its sizes comes within a tenth.")
            found = scores(window, truth, read_forecast(kept(folder, peer, model)))
            yield {"task": window.about.task, "window": window.about.window, "beside": ours, "peer": peer, "model": model, **told,
                   **{name: round(float(found[name]), 4) for name in ("SQL", "WQL", "MASE")},
                   "cover80": round(float(found["inside80"]), 4)}


def ratios(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """For each peer: our SQL over its (at most 1 is as accurate), our windows a second over its (more is faster)."""
    table = pd.DataFrame(rows)
    same = ["task", "window", "beside"]
    both = table[table.peer == PEER].merge(table[table.peer == OURS], on=same, suffixes=("", "_ours"), validate="m:1")
    out = both[[*same, "model"]].assign(SQL=both.SQL_ours / both.SQL, speed=both.windows_per_second_ours / both.windows_per_second)
    return out.to_dict("records")


def main() -> None:
    """Write the windows, train the networks, print a table, append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TASKS), help=f"by commas, of {', '.join(SETS)}")
    parser.add_argument("--window", type=int, default=1, help="0 is the last; that of the public tasks is refused")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor, for each fit")
    parser.add_argument("--limit", type=float, default=3_600.0, help="seconds of wall time for each network")
    parser.add_argument("--append", action="store_true")
    parser.set_defaults(series=None, threads=1)
    arguments = parser.parse_args()
    tasks = arguments.tasks.split(",")
    if wrong := [t for t in tasks if t not in SETS]:
        parser.error(f"There is no task {', '.join(wrong)}; there are {', '.join(SETS)}.")
    if arguments.window == 0 and (wrong := [t for t in tasks if t in SEALED]):
        parser.error(f"window 0 of {', '.join(wrong)} is scored once a release, by compare.py")
    rows = []
    print("  ".join(f"{name:{'<' if width < 0 else '>'}{abs(width)}}" for name, width in WIDTHS.items()))
    for task in tasks:
        folder, truth = written(f"{task}-window{arguments.window}", task, arguments)
        for row in rows_of(folder, truth, seconds=arguments.seconds, limit=arguments.limit):
            rows.append(row)
            print("  ".join(f"{row[name]:{'<' if width < 0 else '>'}{abs(width)}}" for name, width in WIDTHS.items()), flush=True)
            if arguments.append:
                append_row("network_peers", row)
    for one in ratios(rows):
        print(f"{one['task']}, ours ({one['beside']}) beside {one['model']}: SQL {one['SQL']:.3f} of its, "
              f"{one['speed']:.2f} times its windows a second")


if __name__ == "__main__":
    main()

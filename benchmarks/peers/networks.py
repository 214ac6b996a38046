"""Our space-time network beside PatchTST, NHITS and TFT of neuralforecast: same windows, equal parameters, equal seconds.

    python benchmarks/peers/networks.py                                      window 1 of the tasks to choose on
    python benchmarks/peers/networks.py --tasks stallion --seconds 60 --append
    python benchmarks/peers/networks.py --ours mlp --set patch=12,spatial=none      one of ours, with other settings

In one run, one thread each: ours with its transformer, then PatchTST and TFT with its number of parameters (within a tenth),
its context, as many windows in a batch, and its seconds; ours with its MLP, then NHITS likewise. `equal.py` says what a window
and a second are. `--append` adds the rows to benchmarks/results/network_peers.csv.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
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


def trained(folder: Path, peer: str, model: str, *, seconds: float, limit: float,
            like: Mapping[str, object]) -> dict[str, float]:
    """Train one network in its environment: what it tells beside its forecast.

    Parameters
    ----------
    seconds : of the processor, for the fit
    limit : seconds of wall time after which it is ended
    like : what it is to be, by option of its `networks.py`: a peer has our parameters and context, ours what is set
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


def rows_of(folder: Path, truth: pd.DataFrame, *, chosen: Sequence[str], words: str, seconds: float,
            limit: float) -> Iterator[dict[str, object]]:
    """One row a network: ours, then those that are as large; for each encoder of time that is compared.

    Parameters
    ----------
    chosen : encoders of time, of `BESIDE`
    words : other settings of ours, `name=value` by commas

    Raises
    ------
    RuntimeError
        If a network fails, or none of its sizes has as many parameters as ours, within a tenth.
    """
    window = read_window(folder)
    for ours in chosen:
        own: dict[str, float] = {}
        for peer, model in [(OURS, ours), *((PEER, m) for m in BESIDE[ours])]:
            like = {name: own[name] for name in ("parameters", "context")} if own else {"set": words}
            told = trained(folder, peer, model, seconds=seconds, limit=limit, like=like)
            own = own or told
            if abs(told["parameters"] / own["parameters"] - 1) > CLOSE:
                raise RuntimeError(f"{model} has {told['parameters']:,} parameters and ours {own['parameters']:,} on "
                                   f"{window.about.task}: none of its sizes comes within a tenth.")
            found = scores(window, truth, read_forecast(kept(folder, peer, model)))
            yield {"task": window.about.task, "window": window.about.window, "beside": ours, "set": words, "peer": peer,
                   "model": model, **told,
                   **{name: round(float(found[name]), 4) for name in ("SQL", "WQL", "MASE")},
                   "cover80": round(float(found["inside80"]), 4)}


def ratios(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """For each peer: our SQL and WQL over its (at most 1 is as accurate), our windows a second over its (more is faster).

    Both, since SQL is a mean over series of losses in units of a naive error: one series that hardly moved can decide it.
    """
    table = pd.DataFrame(rows)
    same = ["task", "window", "beside", "set"]
    both = table[table.peer == PEER].merge(table[table.peer == OURS], on=same, suffixes=("", "_ours"), validate="m:1")
    names = {"SQL": "SQL", "WQL": "WQL", "speed": "windows_per_second"}
    out = both[[*same, "model"]].assign(**{name: both[f"{column}_ours"] / both[column] for name, column in names.items()})
    return out.to_dict("records")


def main() -> None:
    """Write the windows, train the networks, print a table, append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TASKS), help=f"by commas, of {', '.join(SETS)}")
    parser.add_argument("--window", type=int, default=1, help="0 is the last; that of the public tasks is refused")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor, for each fit")
    parser.add_argument("--ours", default=",".join(BESIDE), help=f"encoders of time, by commas, of {', '.join(BESIDE)}")
    parser.add_argument("--set", default="", dest="words", help="other settings of ours: name=value, by commas")
    parser.add_argument("--limit", type=float, default=3_600.0, help="seconds of wall time for each network")
    parser.add_argument("--append", action="store_true")
    parser.set_defaults(series=None, threads=1)
    arguments = parser.parse_args()
    tasks, chosen = arguments.tasks.split(","), arguments.ours.split(",")
    if wrong := [o for o in chosen if o not in BESIDE]:
        parser.error(f"Ours has no {', '.join(wrong)} here; it has {', '.join(BESIDE)}.")
    if wrong := [t for t in tasks if t not in SETS]:
        parser.error(f"There is no task {', '.join(wrong)}; there are {', '.join(SETS)}.")
    if arguments.window == 0 and (wrong := [t for t in tasks if t in SEALED]):
        parser.error(f"window 0 of {', '.join(wrong)} is scored once a release, by compare.py")
    rows = []
    print("  ".join(f"{name:{'<' if width < 0 else '>'}{abs(width)}}" for name, width in WIDTHS.items()))
    for task in tasks:
        folder, truth = written(f"{task}-window{arguments.window}", task, arguments)
        for row in rows_of(folder, truth, chosen=chosen, words=arguments.words, seconds=arguments.seconds, limit=arguments.limit):
            rows.append(row)
            print("  ".join(f"{row[name]:{'<' if width < 0 else '>'}{abs(width)}}" for name, width in WIDTHS.items()), flush=True)
            if arguments.append:
                append_row("network_peers", row)
    for one in ratios(rows):
        print(f"{one['task']}, ours ({one['beside']}) beside {one['model']}: SQL {one['SQL']:.3f} and WQL "
              f"{one['WQL']:.3f} of its, {one['speed']:.2f} times its windows a second")


if __name__ == "__main__":
    main()

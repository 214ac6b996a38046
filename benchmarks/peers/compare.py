"""Ours and the peers on the same windows: accuracy, time, memory.

    python benchmarks/peers/compare.py                                   every peer on window 1 of every task
    python benchmarks/peers/compare.py --tasks m5_1D --peers darts,ours --append
    python benchmarks/peers/compare.py --tasks m5_1D --window 0 --release        the sealed window, once a release

Each task's window is written once in a neutral format; each model runs in a process and an environment of its own, reads it and
writes deciles; all are scored by the same code. Forecasts are kept in benchmarks/peers/work, so that a peer that has run is
scored again, not run again (--again runs it again); ours runs again when the commit is another or the tree has changes.
Environments are made when absent (benchmarks/peers/PEER/.venv).
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).resolve().parent.parent))
from exchange import QUANTILES, Window, read_about, read_forecast, read_window, write_about, write_window
from measured import measured
from windows import SEALED, SETS, cut_window, public_tasks

from provenance import append_row, commit

HERE = Path(__file__).resolve().parent
PEERS = ("statsforecast", "mlforecast", "darts", "neuralforecast", "autogluon")
OURS = "ours"


@dataclass(frozen=True)
class Result:
    """A forecast that was made, and its cost: seconds of wall and of processor time, peak memory (MB) of the largest process."""

    forecast: Path
    seconds: float
    cpu: float
    megabytes: float


def environment(peer: str) -> Path:
    """The interpreter of a peer, made with its pinned requirements when absent."""
    if peer == OURS:
        return Path(sys.executable)
    python = HERE / peer / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = HERE / peer / ".venv" / ".installed"
    requirements = HERE / peer / "requirements.txt"
    if done.exists() and done.read_text(encoding="utf-8") == requirements.read_text(encoding="utf-8"):
        return python
    print(f"Making the environment of {peer}; this happens once.", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(HERE / peer / ".venv")], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = [line for line in requirements.read_text(encoding="utf-8").splitlines() if line.startswith("torch==")]
    if torch:  # first: what needs PyTorch then takes this build
        subprocess.run([*install, *torch], check=True)
    subprocess.run([*install, "--requirement", str(requirements)], check=True)
    done.write_text(requirements.read_text(encoding="utf-8"), encoding="utf-8")
    return python


def models_of(peer: str) -> list[str]:
    """The models that a peer's folder runs."""
    return tomllib.loads((HERE / peer / "peer.toml").read_text(encoding="utf-8"))["models"]


def written(name: str, task: str, arguments: argparse.Namespace) -> tuple[Path, pd.DataFrame]:
    """The folder of a window, cut and written when absent, and its truth, which lies beside the folder and not in it."""
    folder, truth = HERE / "work" / name, HERE / "work" / "truth" / f"{name}.parquet"
    if not (truth.exists() and (folder / "window.json").exists()):
        window, sold = cut_window(task, arguments.window, series=arguments.series)
        write_window(folder, window)
        truth.parent.mkdir(exist_ok=True)
        sold.to_parquet(truth, index=False)
    about = replace(read_about(folder), threads=arguments.threads, limit=arguments.limit)
    write_about(folder, about)
    return folder, pd.read_parquet(truth)


def run_model(folder: Path, window: Window, peer: str, model: str, *, again: bool = False) -> Result | None:
    """Run one model on a written window, or find what it made before; None when it failed, which is told."""
    out, label = folder / f"{peer}-{model}.parquet", folder / f"{peer}-{model}.json"
    if out.exists() and label.exists() and not again:
        kept = json.loads(label.read_text(encoding="utf-8"))
        now = commit()
        if peer != OURS or (kept.get("commit") == now and not now.endswith("+")):  # ours of other code is another model
            return Result(out, kept["seconds"], kept["cpu"], kept["megabytes"])
    threads = str(window.about.threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
    os.environ.update(dict.fromkeys(names, threads) | {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"})
    command = [str(environment(peer)), str(HERE / peer / "run.py"), str(folder), str(out), "--model", model]
    out.unlink(missing_ok=True)
    ran = measured(command, log=folder / f"{peer}-{model}.log", limit=window.about.limit)
    if ran.code or not out.exists():
        why = "ran past the limit" if ran.seconds >= window.about.limit else f"ended with {ran.code}"
        print(f"{peer} {model}: {why} after {ran.seconds:.0f} s\n{ran.tail()}", file=sys.stderr)
        return None
    result = Result(out, ran.seconds, ran.cpu, ran.megabytes)
    cost = {"seconds": result.seconds, "cpu": result.cpu, "megabytes": result.megabytes, "commit": commit()}
    label.write_text(json.dumps(cost) + "\n", encoding="utf-8")
    return result


def scores(window: Window, truth: pd.DataFrame, forecast: pd.DataFrame) -> dict[str, float]:
    """SQL, WQL, WAPE, MASE as the public benchmark's own code measures them, and the share of sales inside q0.1 to q0.9.

    The same courtesy for all: no quantile is below zero where no sale of the past is.
    """
    keys = list(truth.id.unique())
    table = truth.merge(forecast, on=["id", "date"], how="left", validate="1:1")
    values = table[QUANTILES].to_numpy(float)
    if not window.past.y.min() < 0:
        values = np.maximum(values, 0.0)
    n, h = len(keys), window.about.horizon
    quantiles = dict(zip(keys, values.reshape(n, h, len(QUANTILES)), strict=True))
    actual = dict(zip(keys, table.y.to_numpy(float).reshape(n, h), strict=True))
    past = {key: part.to_numpy(float) for key, part in window.past.groupby("id", sort=False).y}
    out = public_tasks().score(past, actual, quantiles, window.about.season)
    y = table.y.to_numpy(float)
    seen = np.isfinite(y)
    return out | {"inside80": float(((y >= values[:, 0]) & (y <= values[:, -1]))[seen].mean())}


def wanted(peers: str, ours: str) -> list[tuple[str, list[str]]]:
    """[(peer, its models)] from `--peers`, in which `peer:model` asks for one model of a peer.

    Raises
    ------
    ValueError
        If there is no such peer or model.
    """
    found = []
    for one in peers.split(","):
        peer, _, model = one.partition(":")
        if peer not in (*PEERS, OURS):
            raise ValueError(f"There is no peer {peer!r}; there are {', '.join((*PEERS, OURS))}.")
        models = ours.split(",") if peer == OURS else models_of(peer)
        if model and model not in models and peer != OURS:
            raise ValueError(f"{peer} has no model {model!r}; it has {', '.join(models)}.")
        found.append((peer, [model] if model else models))
    return found


def table_of(folder: Path, truth: pd.DataFrame, chosen: list[tuple[str, list[str]]], *, again: bool) -> Iterator[dict[str, object]]:
    """One row a model."""
    window = read_window(folder)
    for peer, models in chosen:
        for model in models:
            result = run_model(folder, window, peer, model, again=again)
            if result is None:
                continue
            found = scores(window, truth, read_forecast(result.forecast))
            yield {"task": window.about.task, "window": window.about.window, "peer": peer, "model": model,
                   "series": found["series"],
                   **{n: round(float(found[n]), 4) for n in ("SQL", "WQL", "WAPE", "MASE", "inside80")},
                   "seconds": round(result.seconds, 1), "cpu": round(result.cpu, 1), "megabytes": round(result.megabytes)}


def main() -> None:
    """Write the windows, run the models, print a table, append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(SETS))
    parser.add_argument("--window", type=int, default=1, help="0 is the last; sealed for the public tasks")
    parser.add_argument("--peers", default=",".join((*PEERS, OURS)), help="by commas; peer:model for one model of a peer")
    parser.add_argument("--ours", default="boosted", help="registered models of ours, by commas")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds of wall time for one model on one window")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--series", type=int, default=None, help="about so many series only, to try a set-up out")
    parser.add_argument("--release", action="store_true", help="allow the sealed window")
    parser.add_argument("--again", action="store_true", help="run what has run before")
    parser.add_argument("--append", action="store_true")
    arguments = parser.parse_args()
    tasks = arguments.tasks.split(",")
    try:
        chosen = wanted(arguments.peers, arguments.ours)
    except ValueError as error:
        parser.error(str(error))
    wrong = [t for t in tasks if t not in SETS]
    if wrong:
        parser.error(f"There is no task {', '.join(wrong)}; there are {', '.join(SETS)}.")
    print(f"{'task':12s} {'w':>2s} {'peer':14s} {'model':16s} {'series':>6s} {'SQL':>7s} {'WQL':>7s} {'WAPE':>7s} {'MASE':>7s} "
          f"{'in 80':>6s} {'seconds':>8s} {'cpu s':>8s} {'MB':>6s}")
    for task in tasks:
        if arguments.window == 0 and task in SEALED and not arguments.release:
            parser.error(f"window 0 of {task} is scored once a release (--release)")
        name = f"{task}-window{arguments.window}{f'-{arguments.series}' if arguments.series else ''}"
        folder, truth = written(name, task, arguments)
        for row in table_of(folder, truth, chosen, again=arguments.again):
            print(f"{row['task']:12s} {row['window']:2d} {row['peer']:14s} {row['model']:16s} {row['series']:6d} "
                  f"{row['SQL']:7.4f} {row['WQL']:7.4f} {row['WAPE']:7.4f} {row['MASE']:7.4f} {row['inside80']:6.3f} "
                  f"{row['seconds']:8.1f} {row['cpu']:8.1f} {row['megabytes']:6.0f}", flush=True)
            if arguments.append:
                append_row("peers", row)


if __name__ == "__main__":
    main()

"""Is a training that is killed again and again the same as one never killed?

    python benchmarks/resume.py                 twenty kills, the space-time network on monthly beer sales (stallion)
    python benchmarks/resume.py --kills 3 --optimizer muon

Each training is a process of its own that fits the model into a folder. It is killed (SIGKILL) at a random moment, while
sampling, learning, validating or writing a checkpoint, and started again, until it ends; then its weights and the ONNX network
are compared, byte for byte, with those of a process that was left alone.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from provenance import append_row

CHECKPOINT, HISTORY = "checkpoint.safetensors", "history.csv"


def fit(folder: Path, *, steps: int, optimizer: str, accumulate: int) -> None:
    """Fit, with what is needed to go on in `folder`, and leave the fitted model there."""
    from shelfcast.models.spacetime import SpaceTime, SpaceTimeSettings
    from spine_accuracy import stallion

    settings = SpaceTimeSettings(steps=steps, optimizer=optimizer, accumulate=accumulate, width=16, layers=2, heads=2, series=64,
                                 ema=0.99, patience=1_000)
    model = SpaceTime(settings).fit(stallion().panel, folder=folder)
    (folder / "model").mkdir()
    model.save(folder / "model")


def start(folder: Path, given: argparse.Namespace) -> subprocess.Popen[bytes]:
    """A process that fits into `folder`."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, __file__, "--into", str(folder), "--steps", str(given.steps), "--optimizer",
                             given.optimizer, "--accumulate", str(given.accumulate)])


def killed(folder: Path, given: argparse.Namespace, draw: random.Random, *, interval: float) -> list[int]:
    """Kill trainings until there were enough, and let the last one end; bytes of the checkpoint at each kill (0: none yet).

    Parameters
    ----------
    interval : seconds between checkpoints of the training that was left alone
    """
    kills: list[int] = []
    while len(kills) < given.kills:
        before = _stamp(folder / HISTORY)
        process = start(folder, given)
        _await(folder / HISTORY, before, process)  # it is written anew when training goes on
        if draw.random() < 0.4:
            _await(folder / CHECKPOINT, _stamp(folder / CHECKPOINT), process)
        time.sleep(draw.uniform(0.0, 0.9 * interval))
        if process.poll() is not None:
            raise SystemExit(f"It ended after {len(kills)} kills; give it more steps (--steps).")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills.append((folder / CHECKPOINT).stat().st_size if (folder / CHECKPOINT).exists() else 0)
        print(f"kill {len(kills):2d}: checkpoint of {kills[-1]:,} bytes", flush=True)
    if start(folder, given).wait():
        raise SystemExit("The training that was left to end failed.")
    return kills


def digest(folder: Path) -> dict[str, str]:
    """What was fitted, by file: the hash of its bytes."""
    return {name: hashlib.sha256((folder / "model" / name).read_bytes()).hexdigest()[:16]
            for name in ("network.safetensors", "network.onnx")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1_200)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.into:
        fit(given.into, steps=given.steps, optimizer=given.optimizer, accumulate=given.accumulate)
        return
    with tempfile.TemporaryDirectory() as scratch:
        straight, broken = Path(scratch, "straight"), Path(scratch, "broken")
        began = time.perf_counter()
        if start(straight, given).wait():
            raise SystemExit("The training that was never killed failed.")
        whole = time.perf_counter() - began
        training = float((straight / HISTORY).read_text(encoding="utf-8").split(",")[-1])
        kills = killed(broken, given, random.Random(given.seed), interval=training / (given.steps / 100))
        one, other = digest(straight), digest(broken)
        rows = [(folder / HISTORY).read_text(encoding="utf-8").count("\n") - 1 for folder in (straight, broken)]
    print(f"\n{'':22}never killed      killed {len(kills)} times")
    for name in one:
        print(f"{name:22}{one[name]}  {other[name]}  {'equal' if one[name] == other[name] else 'DIFFERENT'}")
    print(f"{'rows of the history':22}{rows[0]:<18}{rows[1]}")
    equal = one == other and rows[0] == rows[1]
    append_row("resume", {
        "optimizer": given.optimizer, "steps": given.steps, "accumulate": given.accumulate, "kills": len(kills),
        "before_first_checkpoint": sum(k == 0 for k in kills), "equal": equal, "seconds_unkilled": round(whole, 1)})
    if not equal:
        raise SystemExit(1)


def _await(file: Path, before: int, process: subprocess.Popen[bytes]) -> None:
    while _stamp(file) == before and process.poll() is None:
        time.sleep(0.002)


def _stamp(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    main()

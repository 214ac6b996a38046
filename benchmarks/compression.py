"""What compression costs: size, speed and score of weights as they are, in eight bits, pruned, both, and distilled, in one run.

    python benchmarks/compression.py --weights tiny --keep FOLDER              a table; what is made stays in FOLDER
    python benchmarks/compression.py --weights small --into tiny --keep FOLDER   and a tiny network that learns from small
    python benchmarks/compression.py --weights tiny --keep FOLDER --append     also add rows to results/compression.csv

On simulated retailers from which nothing was learned: pinball loss in units of the closed form's at three levels (only
ratios between rows mean something), calibration, and forecasts a second of
one core by ONNX Runtime, all contestants in turn, round after round; `faster` is the median of the ratios of a round. On real
sales: SQL of the last window of store_item, stallion and dominicks_oj, on which nothing was trained; the statistics of a panel are
the same for all.

`pruned singly` sets as many single weights to zero as `pruned` has fewer, the smallest of each matrix (Han et al. 2015): what this
saves are bytes once the file is packed, and no time.
"""

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import polars as pl
import torch

import spine_accuracy
from provenance import append_row
from shelfcast.models.compressing import CompressSettings, compress, measure
from shelfcast.models.pretrained import Pretrained, PretrainedSettings, Weights, read_weights
from shelfcast.models.pretraining import read_network, write_weights
from shelfcast.models.worlds import Drawing, validation_worlds
from shelfcast.nn.network import SpaceTimeNetwork
from shelfcast.panel import SalesPanel

REAL = ("store_item", "stallion", "dominicks")


class Fitted(Pretrained):
    """A model that is fitted already."""

    def fit(self, panel: SalesPanel) -> Self:  # noqa: ARG002 -- as a model is fitted
        """Nothing to do."""
        return self


def contestants(weights: str, keep: Path, *, prune: float, steps: int | None, into: str | None) -> Iterator[tuple[str, Weights]]:
    """Weights by name; those that are in `keep` already are taken as they are."""
    first = read_weights(weights)
    yield "float32", first
    ways: dict[str, dict[str, object]] = {
        "int8": {"int8": True}, f"pruned {prune:g}": {"prune": prune, "steps": steps},
        f"pruned {prune:g}, not taught": {"prune": prune, "steps": 0}}
    if into:
        ways[f"distilled into {into}"] = {"distil_into": into, "steps": steps}
    for name, way in ways.items():
        yield name, made(weights, keep, name, way)
    yield f"pruned {prune:g}, int8", made(str(folder_of(keep, weights, f"pruned {prune:g}")), keep, f"pruned {prune:g}, int8",
                                          {"int8": True})
    if into:
        yield f"distilled into {into}, int8", made(str(folder_of(keep, weights, f"distilled into {into}")), keep,
                                                   f"distilled into {into}, int8", {"int8": True})
    yield f"pruned singly {prune:g}", singly(first, keep, weights, prune)


def folder_of(keep: Path, weights: str, name: str) -> Path:
    """Where what was made lies."""
    return keep / "-".join([Path(weights).name, *name.replace(",", "").split()])


def made(weights: str, keep: Path, name: str, way: dict[str, object]) -> Weights:
    """Compress, unless that was done."""
    folder = folder_of(keep, weights, name)
    if not folder.exists():
        found = compress(weights, folder, CompressSettings(**way), resume=True)  # type: ignore[arg-type]
        print(f"  {name}: {' '.join(found.told)}", flush=True)
    return read_weights(folder)


def singly(first: Weights, keep: Path, weights: str, share: float) -> Weights:
    """The smallest single weights of each matrix set to zero, the network as large as it was."""
    folder = folder_of(keep, weights, f"pruned singly {share:g}")
    if not folder.exists():
        network: SpaceTimeNetwork = read_network(first.folder, first.card)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 2:
                    least = parameter.abs().flatten().kthvalue(max(1, int(share * parameter.numel()))).values
                    parameter[parameter.abs() <= least] = 0.0
        folder.mkdir()
        write_weights(folder, network, {k: v for k, v in first.card.items() if k in ("size", "trained_on")})
    return read_weights(folder)


def real_scores(found: dict[str, Weights], tasks: list[str]) -> dict[str, dict[str, float]]:
    """{contestant: {task: SQL}}; a panel's statistics are read once."""
    out: dict[str, dict[str, float]] = {name: {} for name in found}
    for task_name in tasks:
        task = spine_accuracy.TASKS[task_name]()
        panel, _ = spine_accuracy.window(task, 0)
        first = Pretrained(PretrainedSettings(weights=str(next(iter(found.values())).folder), horizon=task.horizon)).fit(panel)
        for name, weights in found.items():
            model = Fitted(first.settings)
            model.context_ = first.context_  # what a panel tells does not depend on the network
            model._take(weights)
            out[name][task_name] = spine_accuracy.run(task, 0, model)["SQL"]
    return out


def main() -> None:
    """Print the table, and append it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="tiny", help="name of weights in the box, or a folder")
    parser.add_argument("--keep", help="folder for what is made; what lies there is not made again")
    parser.add_argument("--prune", type=float, default=0.3)
    parser.add_argument("--into", help="size to distil into")
    parser.add_argument("--steps", type=int, help="of each training")
    parser.add_argument("--measured", type=int, default=30, help="simulated retailers")
    parser.add_argument("--tasks", default=",".join(REAL))
    parser.add_argument("--append", action="store_true", help="append to results/compression.csv")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        keep = Path(asked.keep or folder)
        keep.mkdir(exist_ok=True)
        found = dict(contestants(asked.weights, keep, prune=asked.prune, steps=asked.steps, into=asked.into))
        batches = [batch for batch, _ in validation_worlds(Drawing(series=96), asked.measured)]
        table = measure({name: (one.onnx, int(one.card["parameters"])) for name, one in found.items()}, batches)
        scores = real_scores(found, [t for t in asked.tasks.split(",") if t])
        rows = [{"weights": Path(asked.weights).name, "network": one.name, "parameters": one.parameters, "bytes": one.size,
                 "packed": len(gzip.compress(found[one.name].onnx)), "per_s": round(one.speed, 1), "faster": round(one.faster, 3),
                 "loss": round(one.loss, 5), "more": round(one.loss / table[0].loss - 1, 5),
                 **{f"below_{level}": round(share, 3) for level, share in zip(("0.1", "0.5", "0.9"), one.below, strict=True)},
                 **{task: round(scores[one.name][task], 4) if task in scores[one.name] else None for task in REAL},
                 "worlds": asked.measured} for one in table]
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_width_chars=200):
        print(pl.DataFrame(rows))
    if asked.append:
        for row in rows:
            append_row("compression", row)


if __name__ == "__main__":
    main()

"""Trains a tiny network as one of several processes, and leaves its weights, its losses and the parts it drew.

Run as `torchrun --nproc-per-node N crew_training.py FOLDER ACCUMULATE [STOP_AT]`, or as `python crew_training.py FOLDER
ACCUMULATE`: then it trains alone in FOLDER/one and, forked into two processes once PyTorch is loaded, in FOLDER/two.
"""

import json
import os
import socket
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from nn.tiny_task import TinyNetwork, TinyTask
from shelfcast.nn.checkpoint import network_tensors
from shelfcast.nn.training import TrainingSettings, train


class PatchyNetwork(TinyNetwork):
    """One weight is used by part 0 alone, and one by none: others have no gradient for them."""

    def __init__(self):
        super().__init__(seed=int(os.environ.get("RANK", "0")))  # what rank 0 starts with counts
        self.part = 0
        self.rare, self.never = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))

    def forward(self, *inputs):
        out = super().forward(*inputs)
        return out * self.rare if self.part == 0 else out


def crew_training(folder, accumulate, stop_at=None):
    """What each process does."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    rank = os.environ.get("RANK", "0")
    network = PatchyNetwork()

    def act(step, part):
        network.part = part
        if step == stop_at:
            os._exit(3)

    settings = TrainingSettings(steps=12, rate=0.01, ema=0.9, accumulate=accumulate, validate_every=4, checkpoint_every=3,
                                patience=9)
    task = TinyTask(act=act, validations=3)
    trained = train(network, task, settings, folder=folder)
    save_file(network_tensors(trained.network), folder / f"weights-{rank}.safetensors")
    losses = [[r.loss, r.validation] for r in trained.history]
    (folder / f"told-{rank}.json").write_text(json.dumps({"drawn": task.drawn, "losses": losses}))


def forked(folder, accumulate):
    """Alone, and as two."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    processes = []
    for name, rank, size in (("one", 0, 1), ("two", 0, 2), ("two", 1, 2)):
        (folder / name).mkdir(exist_ok=True)
        processes.append(os.fork())
        if processes[-1] == 0:
            os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="localhost", MASTER_PORT=str(port))
            crew_training(folder / name, accumulate)
            os._exit(0)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) != 0 for p in processes))


if __name__ == "__main__":
    where, parts = Path(sys.argv[1]), int(sys.argv[2])
    if "RANK" in os.environ:
        crew_training(where, parts, int(sys.argv[3]) if len(sys.argv) > 3 else None)
    else:
        forked(where, parts)

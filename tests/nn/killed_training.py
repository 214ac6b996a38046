"""Trains a tiny network in processes that are killed, and compares what comes out with a training never killed.

Run as `python killed_training.py FOLDER KILLS`. Forked after PyTorch is loaded, so that a process costs milliseconds.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from nn.tiny_task import TinyNetwork, TinyTask
from shelfcast.nn.checkpoint import network_tensors
from shelfcast.nn.training import TrainingSettings, train

STEPS = 90  # a kill leaves at most 4 more of them done
SETTINGS = TrainingSettings(steps=STEPS, rate=0.01, ema=0.9, accumulate=2, warmup=5, schedule="cosine",
                            validate_every=5, checkpoint_every=2, adversarial="pgd", adversarial_steps=1)


def trained_bytes(folder, act=lambda step, part: None):
    """The final weights, one after the other."""
    network = train(TinyNetwork(), TinyTask(act=act), SETTINGS, folder=folder).network
    return b"".join(t.detach().numpy().tobytes() for t in network_tensors(network).values())


def child(folder, result, draw):
    """Train until killed: by its parent at a random moment, else by its own hand when it draws a batch; `STEPS` are never done."""
    fatal = draw.randrange(2, 12)
    calls = 0

    def act(step, part):
        nonlocal calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    result.write_bytes(trained_bytes(folder, act))


def main():
    torch.set_num_threads(1)
    folder, wanted = Path(sys.argv[1]), int(sys.argv[2])
    straight, broken, result = folder / "straight", folder / "broken", folder / "result"
    straight.mkdir()
    broken.mkdir()
    started = time.perf_counter()
    expected = trained_bytes(straight)
    whole = time.perf_counter() - started
    draw, kills = random.Random(0), 0
    while kills < wanted:
        assert not result.exists(), "it ended before it was killed often enough"
        process = os.fork()
        if process == 0:
            child(broken, result, random.Random(kills))
            os._exit(0)
        time.sleep(draw.uniform(0.2, 1.0) * whole / wanted)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        kills += os.WIFSIGNALED(status)
    print("kills", kills, "equal", trained_bytes(broken) == expected)


if __name__ == "__main__":
    main()

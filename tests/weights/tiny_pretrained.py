"""A network of the pretrained model's kind, 16 numbers wide, random weights, as a folder: to try on it what is done to weights."""

from functools import cache
from pathlib import Path

FEW = {"series": 12, "regimes": ("monthly",)}  # of drawn worlds: the quickest to draw


@cache
def few_worlds(seed: int, count: int):
    """Batches out of drawn worlds."""
    from shelfcast.models.worlds import Drawing, draw_batch

    return [draw_batch(Drawing(seed=seed, **FEW), number)[0] for number in range(count)]


def write_tiny_pretrained(folder: Path, *, seed: int = 0, width: int = 16, layers: int = 2) -> None:
    """Write weights into an empty folder."""
    import torch

    from shelfcast.models.pretraining import PATCH, write_weights
    from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork

    first = few_worlds(0, 1)[0]
    shape = NetworkSettings(channels=first.x.shape[-1], statics=first.static.shape[-1], relations=first.links.shape[-1], items=1,
                            places=1, context=1_024, horizon=128, patch=PATCH, width=width, layers=layers, heads=2, dropout=0.0,
                            banded=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SpaceTimeNetwork(shape)
        torch.nn.init.normal_(network.head.leave.weight, std=0.02)  # as it begins a network repeats its anchor
    write_weights(folder, network, {"size": "tiny of tests", "trained_on": "nothing"})

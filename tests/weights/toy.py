"""Weights for the pretrained model as they begin, in a folder that is gone at the end: a network so small that it learns in a test.

Its channels are the universal ones, its head says nothing yet: it forecasts the profile with usual widths.
"""

import atexit
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from weights.shop import shop


@cache
def toy_folder(seed: int = 0) -> Path:
    """A folder of weights, as `shelfcast pretrain` writes them; 16 numbers wide, 2 layers deep."""
    import torch

    from shelfcast.models.pretraining import TRAINED_ON, write_weights
    from shelfcast.nn.network import SpaceTimeNetwork

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SpaceTimeNetwork(toy_shape())
    folder = Path(mkdtemp(prefix="shelfcast-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_weights(folder, network, {"size": "toy", "trained_on": TRAINED_ON})
    return folder


@cache
def toy_shape():
    """The shape of a network that reads universal channels of short windows."""
    from shelfcast.models.lessons import Lessons, LessonSettings
    from shelfcast.names import LEVELS
    from shelfcast.nn.network import NetworkSettings

    with Lessons([(shop(), LessonSettings(horizon=7, context=16))], patch=8, levels=LEVELS, about={}) as lessons:
        batch = lessons.batch(0, 0)
    shape = NetworkSettings(channels=batch.x.shape[-1], statics=batch.static.shape[-1], relations=batch.links.shape[-1], items=1,
                            places=1, context=64, horizon=32, patch=8, width=16, layers=2, heads=2)
    return replace(shape, dropout=0.0)

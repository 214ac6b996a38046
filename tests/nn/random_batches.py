"""Batches of random numbers for networks of any kind: what goes in has the shape and the range of real ones, and no meaning."""

from dataclasses import fields, replace
from typing import get_args

import numpy as np
import torch

from shelfcast.nn.batch import Batch
from shelfcast.nn.network import Fusion, NetworkSettings, SpaceTimeNetwork, Spatial, Temporal

TEMPORAL, SPATIAL, FUSION = get_args(Temporal), get_args(Spatial), get_args(Fusion)
CONTEXT, HORIZON, CHANNELS, STATICS, RELATIONS, NAMES = 13, 5, 6, 3, 3, 9  # neither is a multiple of a patch of 4


def random_batch(seed=0, *, groups=2, places=4, padding=0):
    """A batch of numpy arrays; the last `padding` places of the first group are not there."""
    draw = np.random.default_rng(seed)
    shape = (groups, places)
    there = np.ones(shape, bool)
    there[0, places - padding:] = False
    x = draw.normal(size=(*shape, CONTEXT + HORIZON, CHANNELS)).astype(np.float32)
    x[..., CONTEXT:, :2] = 0
    links = draw.uniform(-0.2, 1, (groups, places, places, RELATIONS)).astype(np.float32)
    return Batch(x, draw.normal(0.8, 0.3, (*shape, HORIZON)).astype(np.float32),
                 draw.normal(size=(*shape, STATICS)).astype(np.float32), draw.integers(0, NAMES, groups),
                 np.where(there, draw.integers(0, NAMES, shape), 0), links, there, np.ones(shape, np.float32),
                 there.astype(np.float32), draw.gamma(2.0, 0.5, (*shape, HORIZON)).astype(np.float32),
                 draw.random((*shape, HORIZON)) < 0.1)


def network(seed=0, **settings):
    """A small network in evaluation mode whose head has something to say (as it begins it repeats its anchor)."""
    shape = {"channels": CHANNELS, "statics": STATICS, "relations": RELATIONS, "items": NAMES, "places": NAMES,
             "context": CONTEXT, "horizon": HORIZON, "patch": 4, "width": 16, "layers": 2, "heads": 2} | settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = SpaceTimeNetwork(NetworkSettings(**shape))
        torch.nn.init.normal_(made.head.leave.weight, std=0.2)
    return made.eval()


def answers(made, batch):
    """Quantiles, mean, dispersion and gates as numpy arrays."""
    with torch.no_grad():
        return [out.numpy() for out in made(*batch.tensors().inputs())]


def with_places(batch, order):
    """The batch with its places in another order, or fewer of them."""
    moved = {f.name: getattr(batch, f.name)[:, order] for f in fields(batch) if f.name not in ("item", "links")}
    return replace(batch, **moved, links=batch.links[:, order][:, :, order])

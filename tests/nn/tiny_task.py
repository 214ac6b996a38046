"""A network of a few weights and batches of made-up series, for tests of the training loop."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from shelfcast.nn.batch import Batch

GROUPS, PLACES, CONTEXT, HORIZON, CHANNELS = 4, 3, 8, 2, 4


def tiny_batch(seed=0, *, groups=GROUPS):
    """Series that go on at their mean, times 1 or 2 by a covariate; one place of the last group is padding."""
    draw = np.random.default_rng(seed)
    shape = (groups, PLACES)
    x = np.zeros((*shape, CONTEXT + HORIZON, CHANNELS), np.float32)
    level = draw.uniform(0.5, 1.5, (*shape, 1))
    double = draw.integers(0, 2, (*shape, CONTEXT + HORIZON))
    sales = level * (1 + double) * draw.uniform(0.9, 1.1, double.shape)
    observed = draw.random((*shape, CONTEXT)) < 0.9
    x[..., :CONTEXT, 0] = np.where(observed, np.arcsinh(sales[..., :CONTEXT]), 0)
    x[..., :CONTEXT, 1] = observed
    x[..., 2] = double
    x[..., 3] = np.arange(CONTEXT + HORIZON) / 10
    there = np.ones(shape, bool)
    there[-1, -1] = False
    x[~there] = 0
    return Batch(
        x=x, anchor=np.arcsinh(np.repeat(level, HORIZON, -1)).astype(np.float32),
        static=draw.normal(size=(*shape, 2)).astype(np.float32),
        item=np.arange(1, groups + 1), place=np.tile(np.arange(1, PLACES + 1), (groups, 1)),
        links=np.ones((groups, PLACES, PLACES, 1), np.float32), there=there, scale=np.ones(shape, np.float32),
        weight=there.astype(np.float32), truth=np.where(there[..., None], sales[..., CONTEXT:], np.nan).astype(np.float32),
        lower=np.zeros((*shape, HORIZON), bool))


class TinyNetwork(nn.Module):
    """Every kind of parameter: a matrix, an embedding, a norm, biases; and dropout."""

    def __init__(self, seed=0, *, dropout=0.2, width=6):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.enter = nn.Linear((CONTEXT + HORIZON) * CHANNELS, width)
            self.place = nn.Embedding(PLACES + 1, width)
            self.norm = nn.LayerNorm(width)
            self.hidden = nn.Linear(width, width)
            self.leave = nn.Linear(width, HORIZON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, anchor, static, item, place, links, there):
        hidden = self.norm(self.enter(x.flatten(2)) + self.place(place))
        return anchor + self.leave(self.dropout(torch.relu(self.hidden(hidden))))


class TinyTask:
    """Squared error on made-up series; `act` is called before each batch is drawn."""

    def __init__(self, *, name="tiny", validations=2, act=lambda step, part: None):
        self.name, self.validations, self.act = name, validations, act
        self.drawn = []

    def batch(self, step, part):
        self.act(step, part)
        self.drawn.append((step, part))
        return tiny_batch([1, step, part])

    def loss(self, network, batch):
        known = ~batch.truth.isnan()
        gap = network(*batch.inputs()) - torch.asinh(batch.truth.nan_to_num(posinf=torch.inf))
        return (gap.square() * known).sum() / known.sum()

    def validation(self):
        return (tiny_batch([2, number]) for number in range(self.validations))

    def fingerprint(self):
        return {"name": self.name}


class SpoiltTask(TinyTask):
    """From a step on, one of its arrays holds something else."""

    def __init__(self, step, **fields):
        super().__init__()
        self.step, self.fields = step, fields

    def batch(self, step, part):
        found = super().batch(step, part)
        if step < self.step:
            return found
        return replace(found, **{k: np.full_like(getattr(found, k), v) for k, v in self.fields.items()})

"""A network of a few weights that learns from made-up batches, for tests of the training loop."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from nn.made_up import CHANNELS, CONTEXT, HORIZON, PLACES, tiny_batch


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

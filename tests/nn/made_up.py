"""Made-up batches, small enough to check by hand; numpy alone."""

import numpy as np

from shelfcast.nn.batch import Batch

GROUPS, PLACES, CONTEXT, HORIZON, CHANNELS = 4, 3, 8, 2, 7


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
    x[..., 2] = np.arcsinh(level)
    x[..., 3] = draw.normal(0, 0.1, double.shape)
    x[..., 4] = 1.0
    x[..., 5] = double
    x[..., 6] = np.arange(CONTEXT + HORIZON) / 10
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

"""The same chance gives the same world, whether numpy or torch does the sums."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from shelfcast.errors import SettingsError
from shelfcast.world.arrays import namespace
from shelfcast.world.blueprint import ChainSettings
from shelfcast.world.chain import live
from shelfcast.world.draws import DRAWS, Draws, draw, draw_torch
from shelfcast.world.retailer import sizes_of

WORLD = ChainSettings(seed=4, places=4, items=12, days=300, horizon=20)
ARRAYS = ("alive", "is_open", "mu", "demand", "outliers", "regular", "price", "temperature", "foreseen", "shocks", "share",
          "reported")


def test_numpy_and_torch_agree_on_the_same_chance():
    torch = pytest.importorskip("torch")
    draws = draw(sizes_of(WORLD), WORLD.seed)
    here = live(WORLD, draws)
    there = live(WORLD, Draws(draws.sizes, {k: torch.as_tensor(v) for k, v in draws.values.items()}))
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(there, name).numpy(), getattr(here, name), rtol=1e-6, atol=1e-6, err_msg=name)
    for name, effect in here.effects.items():
        np.testing.assert_allclose(there.effects[name].numpy(), effect, rtol=1e-6, atol=1e-6, err_msg=name)
    for f in fields(here.shelf):
        np.testing.assert_allclose(getattr(there.shelf, f.name).numpy(), getattr(here.shelf, f.name), rtol=1e-6, atol=1e-6)
    for f in fields(here.retailer):
        np.testing.assert_allclose(getattr(there.retailer, f.name).numpy(), getattr(here.retailer, f.name), rtol=1e-6, atol=1e-6)


def test_torch_draws_its_own_worlds_that_look_alike():
    torch = pytest.importorskip("torch")
    lived = live(WORLD, draw_torch(sizes_of(WORLD), 4))
    again = live(WORLD, draw_torch(sizes_of(WORLD), 4))
    assert lived.mu.dtype == torch.float32
    assert torch.equal(lived.demand, again.demand)
    assert (lived.shelf.sold <= lived.demand[:, :WORLD.days]).all()
    assert torch.isfinite(lived.mu).all()
    assert float(lived.demand.sum()) == pytest.approx(float(lived.mu.sum()), rel=0.1)
    assert not torch.equal(live(WORLD, draw_torch(sizes_of(WORLD), 5)).demand, lived.demand)


def test_each_kind_of_chance_has_a_stream_of_its_own():
    draws = draw(sizes_of(WORLD), 1)
    uniform = [name for name, (law, axes) in DRAWS.items() if law == "uniform" and axes == "NT"]
    for a, b in pairwise(uniform):
        assert abs(np.corrcoef(draws[a].ravel(), draws[b].ravel())[0, 1]) < 0.02
    assert all(draws[name].min() >= 0 and draws[name].max() < 1 for name in uniform)


def test_chance_needs_a_seed_from_zero_on_and_sizes_from_one_on():
    with pytest.raises(SettingsError, match="-3"):
        draw(sizes_of(WORLD), -3)


def test_lists_are_no_arrays():
    with pytest.raises(SettingsError, match="list"):
        namespace([1.0, 2.0])

"""Losses against plain oracles in numpy, scikit-learn and scipy; bounds, masks and gradients."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from nn.random_batches import random_batch
from shelfcast.errors import UnknownNameError
from shelfcast.nn import losses
from shelfcast.nn.losses import MEANS, total_loss

LEVELS = (0.1, 0.5, 0.9)
KINDS = ("pinball", *MEANS)


def said(batch, seed=0):
    """Quantiles, mean, dispersion and gates of a network that could be wrong."""
    draw = np.random.default_rng(seed)
    shape = batch.truth.shape
    quantiles = np.sort(draw.gamma(2.0, 0.5, (*shape, len(LEVELS))), axis=-1)
    found = quantiles, draw.gamma(2.0, 0.5, shape), draw.gamma(2.0, 1.0, shape), np.zeros(shape[:2])
    return tuple(torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in found)


def loss(kind, batch, answer):
    return total_loss(kind, batch.tensors(), answer, torch.tensor(LEVELS))


def oracle_pinball(quantiles, truth, lower):
    """One number at a time, as the definition is written."""
    total = 0.0
    for q, level in zip(quantiles, LEVELS, strict=True):
        if truth >= q:
            total += level * (truth - q)
        elif not lower:
            total += (1 - level) * (q - truth)
    return 2 * total / len(LEVELS)


def test_pinball_is_that_of_its_definition_in_scales_and_in_asinh_halves():
    batch = random_batch(padding=1)
    answer = said(batch)
    q, y, cut = answer[0].detach().numpy(), batch.truth, batch.lower
    found, mass = 0.0, 0.0
    for g, p, h in np.ndindex(y.shape):
        if batch.there[g, p]:
            found += 0.5 * oracle_pinball(q[g, p, h], y[g, p, h], cut[g, p, h])
            found += 0.5 * oracle_pinball(np.arcsinh(q[g, p, h]), np.arcsinh(y[g, p, h]), cut[g, p, h])
            mass += 1
    assert cut.any() and loss("pinball", batch, answer).item() == pytest.approx(found / mass, rel=1e-5)


def test_the_best_quantile_of_many_draws_is_theirs():
    draws = torch.tensor(np.random.default_rng(0).gamma(2.0, 1.0, 4_001), dtype=torch.float32)[None, None]
    grid = torch.linspace(0.2, 6, 117)
    for i, level in enumerate(LEVELS):
        levels, none = torch.tensor(LEVELS)[i:i + 1], torch.zeros_like(draws, dtype=torch.bool)
        costs = torch.stack([losses.pinball(g.expand(*draws.shape, 1), draws, none, levels).mean() for g in grid])
        assert grid[costs.argmin()].item() == pytest.approx(np.quantile(draws.numpy(), level), abs=0.1)


def test_above_a_lower_bound_nothing_costs_and_below_it_all_does():
    truth, lower, levels = torch.tensor([[[2.0, 2.0]]]), torch.tensor([[[True, False]]]), torch.tensor(LEVELS)
    above, below = losses.pinball(torch.full((1, 1, 2, 3), 5.0), truth, lower, levels), losses.pinball(
        torch.full((1, 1, 2, 3), 1.0), truth, lower, levels)
    assert above[0, 0, 0] == 0 < above[0, 0, 1] and below[0, 0, 0] == below[0, 0, 1] > 0


def test_demand_behind_sold_out_periods_is_found_again():
    """Sales are cut at a shelf of 3: taken at their word the upper quantile is 3; as bounds it is beyond."""
    demand = np.random.default_rng(1).gamma(4.0, 0.7, 5_000)
    shelf = np.where(np.random.default_rng(2).random(5_000) < 0.5, 3.0, 99.0)  # half of the periods have a full store room
    sales = torch.tensor(np.minimum(demand, shelf), dtype=torch.float32)[None, None]
    cut = torch.tensor(demand > shelf)[None, None]
    levels, grid = torch.tensor([0.8]), torch.linspace(2, 5, 61)

    def best(lower):
        costs = torch.stack([losses.pinball(g.expand(*sales.shape, 1), sales, lower, levels).mean() for g in grid])
        return grid[costs.argmin()].item()

    true = float(np.quantile(demand, 0.8))
    assert best(cut) > best(torch.zeros_like(cut)) + 0.2
    assert abs(best(torch.zeros_like(cut)) - 3.0) < 0.1 < true - 3.0


@pytest.mark.parametrize(("name", "power"), [("mse", 0), ("poisson", 1), ("tweedie", 1.5)])
def test_losses_of_the_mean_are_half_of_scikit_learns_deviances(name, power):
    metrics = pytest.importorskip("sklearn.metrics")
    batch = random_batch()
    mean, truth = said(batch)[1].detach(), torch.tensor(batch.truth)
    truth[0, 0, :2] = 0.0
    found = MEANS[name](mean, truth, torch.ones(())).double().numpy()
    deviance = partial(metrics.mean_tweedie_deviance, power=power)
    wanted = np.array([deviance([y], [m]) for y, m in zip(truth.numpy().ravel(), mean.numpy().ravel(), strict=True)])
    np.testing.assert_allclose(found.ravel(), wanted if name == "mse" else wanted / 2, rtol=2e-4, atol=2e-5)


def test_the_negative_binomial_of_whole_numbers_is_scipys():
    mean, spread, counts = np.array([0.3, 2.0, 9.0]), np.array([0.5, 3.0, 40.0]), np.array([0, 1, 12])
    wanted = -stats.nbinom.logpmf(counts, spread, spread / (spread + mean))
    found = losses.negative_binomial(*(torch.tensor(v, dtype=torch.float64) for v in (mean, counts, spread)))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_cells_that_are_unknown_padding_or_weightless_do_not_count(kind):
    batch = random_batch(padding=1)
    answer = said(batch)
    plain = loss(kind, batch, answer)
    truth = batch.truth.copy()
    truth[~batch.there] = 7.0
    torch.testing.assert_close(loss(kind, replace(batch, truth=truth), answer), plain)
    weight = batch.weight.copy()
    weight[1, 2] = 0.0
    truth[1, 2] = np.nan
    torch.testing.assert_close(loss(kind, replace(batch, truth=truth), answer), loss(kind, replace(batch, weight=weight), answer))
    torch.testing.assert_close(loss(kind, replace(batch, weight=5 * batch.weight), answer), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_at_the_edges_of_what_can_be_said(kind):
    batch = random_batch(padding=1)
    truth = batch.truth.copy()
    truth[0, 0], truth[0, 1], truth[1, 0], truth[1, 1] = 0.0, 1e6, np.nan, -3.0  # returns beyond sales
    answer = said(batch)
    with torch.no_grad():
        answer[1][0] = 0.0
        answer[0][1] = 4_000.0
        answer[2][1] = 0.01
    found = loss(kind, replace(batch, truth=truth), answer)
    found.backward()
    assert torch.isfinite(found)
    for part in answer[:3]:
        assert part.grad is None or torch.isfinite(part.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_in_which_nothing_is_known_costs_nothing(kind):
    batch = random_batch()
    answer = said(batch)
    found = loss(kind, replace(batch, truth=np.full_like(batch.truth, np.nan)), answer)
    found.backward()
    assert found.item() == 0.0 and (answer[0].grad == 0).all()


@pytest.mark.parametrize("kind", list(MEANS))
def test_a_better_mean_costs_less_and_a_bound_says_nothing_of_it(kind):
    batch = random_batch()
    batch = replace(batch, truth=np.full_like(batch.truth, 2.0), lower=np.zeros_like(batch.lower))
    answer = said(batch)
    costs = []
    for mean in (2.0, 1.0, 4.0):
        costs.append(loss(kind, batch, (answer[0], torch.full_like(answer[1], mean), torch.full_like(answer[2], 5.0))).item())
    assert costs[0] < min(costs[1:])
    bound = replace(batch, lower=np.ones_like(batch.lower))
    torch.testing.assert_close(loss(kind, bound, answer), loss("pinball", bound, answer))


def test_an_unknown_loss_is_named_with_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"tweedy.*tweedie"):
        loss("tweedy", random_batch(), said(random_batch()))

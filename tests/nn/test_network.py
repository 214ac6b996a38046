"""The whole network on random batches: what it may depend on, and what it may not."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from nn.random_batches import CONTEXT, FUSION, HORIZON, NAMES, SPATIAL, TEMPORAL, answers, network, random_batch, with_places
from shelfcast.errors import UnknownNameError
from shelfcast.names import LEVELS
from shelfcast.nn.batch import AGO_CHANNEL, AGO_KNOWN_CHANNEL
from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork, parameters_of

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = [{"temporal": t, "spatial": s, "fusion": f} for t, s, f in product(TEMPORAL, SPATIAL, FUSION)]
SPACES = [{"temporal": "mlp", "spatial": s, "fusion": f} for s, f in product(SPATIAL, FUSION)]


def named(kind):
    return "-".join(kind.values())


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_every_kind_forecasts_rising_quantiles_and_learns_with_all_its_weights(kind):
    made, batch = network(**kind), random_batch(padding=1)
    quantiles, mean, dispersion, gates = made(*batch.tensors().inputs())
    shape = batch.there.shape
    assert quantiles.shape == (*shape, HORIZON, len(LEVELS)) and mean.shape == dispersion.shape == (*shape, HORIZON)
    assert (quantiles.diff(dim=-1) > 0).all() and (mean >= 0).all() and (dispersion > 0).all()
    if kind["spatial"] == "none":
        assert (gates == 0).all()
    else:
        assert ((gates > 0) & (gates < 1)).all()
    (quantiles.asinh().sum() + mean.log1p().sum() + dispersion.sum() + gates.sum()).backward()
    silent = [name for name, p in made.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert silent == []


@pytest.mark.parametrize("kind", SPACES, ids=named)
def test_padding_never_changes_what_is_said_of_real_places(kind):
    made, batch = network(**kind), random_batch(padding=2)
    other = replace(batch, x=np.where(batch.there[..., None, None], batch.x, 50).astype(np.float32),
                    static=np.where(batch.there[..., None], batch.static, -9).astype(np.float32))
    small = with_places(batch, [0, 1])
    for one in (other, small):
        for mine, theirs in zip(answers(made, one), answers(made, batch), strict=True):
            np.testing.assert_allclose(mine[:1, :2], theirs[:1, :2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [k for k in SPACES if k["spatial"] != "conv"], ids=named)
def test_places_in_another_order_get_the_same_answers_in_that_order(kind):
    made, batch = network(**kind), random_batch()
    order = [2, 0, 3, 1]
    for mine, theirs in zip(answers(made, with_places(batch, order)), answers(made, batch), strict=True):
        np.testing.assert_allclose(mine, theirs[:, order], rtol=1e-4, atol=1e-5)


def test_a_convolution_over_places_reads_their_order():
    made, batch = network(spatial="conv"), random_batch()
    order = [2, 0, 3, 1]
    assert np.abs(answers(made, with_places(batch, order))[0] - answers(made, batch)[0][:, order]).max() > 1e-3


@pytest.mark.parametrize("spatial", SPATIAL)
def test_another_places_history_matters_if_and_only_if_places_are_mixed(spatial):
    made, batch = network(spatial=spatial), random_batch()
    x = batch.x.copy()
    x[:, 1, :CONTEXT, 0] += 1.0
    before, after = (answers(made, b)[0] for b in (batch, replace(batch, x=x)))
    assert np.abs(before - after)[:, 1].max() > 1e-3
    others = np.abs(before - after)[:, [0, 2, 3]].max()
    assert others == 0 if spatial == "none" else others > 1e-5


@pytest.mark.parametrize("spatial", SPATIAL)
def test_another_group_never_matters(spatial):
    made, batch = network(spatial=spatial), random_batch()
    x, item = batch.x.copy(), batch.item.copy()
    x[1] += 1.0
    item[1] = (item[1] + 1) % NAMES
    before, after = (answers(made, b)[0] for b in (batch, replace(batch, x=x, item=item)))
    np.testing.assert_allclose(before[0], after[0], rtol=1e-5, atol=1e-6)
    assert np.abs(before[1] - after[1]).max() > 1e-3


@pytest.mark.parametrize("spatial", ["attention", "graph"])
def test_how_places_are_related_matters(spatial):
    made, batch = network(spatial=spatial), random_batch()
    assert np.abs(answers(made, batch)[0] - answers(made, replace(batch, links=np.zeros_like(batch.links)))[0]).max() > 1e-4


@pytest.mark.parametrize("temporal", TEMPORAL)
def test_known_futures_names_attributes_and_the_anchor_are_heard(temporal):
    made, batch = network(temporal=temporal), random_batch()
    before = answers(made, batch)[0]
    x = batch.x.copy()
    x[:, :, CONTEXT + 2, 3] += 1.0  # a covariate of one coming period
    for other in (replace(batch, x=x), replace(batch, item=(batch.item + 1) % NAMES), replace(batch, static=batch.static + 1),
                  replace(batch, place=(batch.place + 1) % NAMES), replace(batch, anchor=batch.anchor + 1)):
        assert np.abs(answers(made, other)[0] - before).max() > 1e-4


@pytest.mark.parametrize("temporal", TEMPORAL)
def test_the_latest_and_the_earliest_period_of_the_context_are_heard(temporal):
    """A context that is no multiple of the patch is padded in front; nothing of it is lost."""
    made, batch = network(temporal=temporal, layers=3), random_batch()
    for period in (0, CONTEXT - 1):
        x = batch.x.copy()
        x[:, :, period] += 1.0
        assert np.abs(answers(made, replace(batch, x=x))[0] - answers(made, batch)[0]).max() > 1e-5


def test_names_are_hidden_in_training_only():
    made, batch = network(dropout=0.0), random_batch(groups=6)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        calm = [made(*batch.tensors().inputs())[0] for _ in range(2)]
        made.train()
        drawn = [made(*batch.tensors().inputs())[0] for _ in range(2)]
    assert torch.equal(*calm) and not torch.equal(*drawn)


@pytest.mark.parametrize("kind", SPACES, ids=named)
def test_half_precision_gives_nearly_the_same(kind):
    made, batch = network(**kind), random_batch(padding=1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = made(*batch.tensors().inputs())[0].float().asinh().numpy()
    assert np.abs(half - np.arcsinh(answers(made, batch)[0])).max() < 0.2


def test_settings_come_back_from_plain_values():
    settings = network().settings
    plain = settings.as_json() | {"levels": list(settings.levels)}
    assert NetworkSettings.from_json(plain) == settings and hash(NetworkSettings.from_json(plain)) == hash(settings)


def test_an_unknown_kind_is_named_with_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"transfomer.*transformer"):
        network(temporal="transfomer")


def test_space_and_width_cost_parameters():
    assert parameters_of(network(spatial="none")) < parameters_of(network()) < parameters_of(network(width=32))
    assert parameters_of(network()) == sum(v.numel() for v in network().state_dict().values())


@pytest.mark.parametrize("spatial", SPATIAL)
def test_what_other_places_left_over_a_year_ago_is_heard_for_the_horizon_if_places_are_mixed(spatial):
    """So that an event of one place a year ago can be told from the season, which comes to all of them."""
    made, batch = network(spatial=spatial), random_batch(3)
    x = batch.x.copy()
    x[..., AGO_KNOWN_CHANNEL] = 1.0
    moved = x.copy()
    moved[:, 1, CONTEXT:, AGO_CHANNEL] += 3.0  # of the second place alone, over the horizon
    before, after = (answers(made, replace(batch, x=values))[0] for values in (x, moved))
    assert np.abs(before - after)[:, 1].max() > 1e-4
    assert (np.abs(before - after)[:, 0].max() > 1e-4) == (spatial != "none")


@pytest.mark.parametrize("kind", SPACES, ids=named)
def test_a_place_that_is_alone_with_its_item_hears_nobody(kind):
    made, batch = network(**kind), random_batch(5, padding=3)
    gates = answers(made, batch)[3]
    assert gates[0, 0] == 0 and ((gates[1] > 0).all() or kind["spatial"] == "none")


def test_what_the_pinball_loss_does_not_train_says_nothing():
    """The correction of the mean and the dispersion: their rows begin at 0 and get no gradient from quantiles."""
    made = SpaceTimeNetwork(network().settings)
    rows = made.head.leave.weight.reshape(made.settings.patch, len(made.settings.levels) + 2, -1)
    assert (rows[:, -2:] == 0).all() and (rows[:, :-2] != 0).any()
    made(*random_batch(0).tensors().inputs())[0].sum().backward()
    assert (made.head.leave.weight.grad.reshape(rows.shape)[:, -2:] == 0).all()

"""Blocks alone: shapes, order, masks, and the arithmetic of the quantile head."""

from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import nn

from shelfcast.names import LEVELS
from shelfcast.nn import blocks

WIDTH, HEADS, TOKENS = 16, 2, 6
TEMPORAL = ("transformer", "lstm", "gru", "mlp", "conv")
SPATIAL = ("attention", "graph", "conv")


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def mixer(kind):
    return blocks.place_mixer(kind, width=WIDTH, heads=HEADS, relations=3, dropout=0.0).eval()


def states(places, *, groups=2):
    there = torch.ones(groups, places, dtype=torch.bool)
    return torch.randn(groups, places, TOKENS, WIDTH), torch.rand(groups, places, places, 3), there


def test_a_patch_is_read_whole_and_no_other():
    embed = blocks.PatchEmbedding(4, 3, WIDTH, 0.0).eval()
    x = torch.randn(2, 12, 3)
    moved = x.clone()
    moved[:, 7] += 1.0  # of the second patch
    with torch.no_grad():
        before, after = embed(x), embed(moved)
    assert before.shape == (2, 3, WIDTH)
    changed = (before != after).any(-1)
    assert changed[:, 1].all() and not changed[:, [0, 2]].any()


@pytest.mark.parametrize("kind", TEMPORAL)
def test_an_encoder_of_time_knows_the_order_of_tokens_and_no_other_series(kind):
    layer = blocks.time_layer(kind, width=WIDTH, heads=HEADS, tokens=TOKENS, depth=0, dropout=0.0).eval()
    h = torch.randn(3, TOKENS, WIDTH)
    with torch.no_grad():
        out, turned = layer(h, TOKENS), layer(h.flip(1), TOKENS).flip(1)
        alone = torch.cat([layer(h[i:i + 1], TOKENS) for i in range(3)])
    assert out.shape == h.shape
    assert (out - turned).abs().max() > 1e-2
    torch.testing.assert_close(out, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", TEMPORAL)
def test_what_happens_early_is_heard_of_late(kind):
    """Two layers of convolution reach 3 tokens; all others reach any."""
    first, last = (blocks.time_layer(kind, width=WIDTH, heads=HEADS, tokens=TOKENS, depth=i, dropout=0.0).eval() for i in range(2))
    h = torch.randn(1, TOKENS, WIDTH)
    moved = h.clone()
    moved[:, TOKENS - 4] += torch.randn(WIDTH)
    with torch.no_grad():
        assert (last(first(h, TOKENS), 1) - last(first(moved, TOKENS), 1)).abs().max() > 1e-4


@pytest.mark.parametrize("kind", TEMPORAL)
@pytest.mark.parametrize("keep", [1, 3, TOKENS])
def test_tokens_that_nobody_reads_are_left_out_and_change_nothing(kind, keep):
    layer = blocks.time_layer(kind, width=WIDTH, heads=HEADS, tokens=TOKENS, depth=0, dropout=0.0).eval()
    h = torch.randn(2, TOKENS, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(layer(h, keep), layer(h, TOKENS)[:, -keep:], rtol=1e-4, atol=1e-5)


def test_rotary_scores_depend_on_how_far_tokens_lie_apart_and_not_on_where():
    layer = blocks.TimeAttention(WIDTH, HEADS, TOKENS, 0.0)
    query, key = torch.randn(2, 1, 1, 1, WIDTH // HEADS)
    turned = tuple(layer._turned(x.expand(1, 1, TOKENS, -1), 0)[0, 0] for x in (query, key))
    scores = turned[0] @ turned[1].T
    for apart in range(-3, 4):
        along = torch.diagonal(scores, apart)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=1e-4, atol=1e-4)
    assert scores[0].std() > 1e-2


@pytest.mark.parametrize("kind", SPATIAL)
def test_places_that_are_padding_say_nothing(kind):
    h, links, there = states(5)
    padded = there.clone()
    padded[:, 3:] = False
    other = h.clone()
    other[:, 3:] += 100.0
    mix = mixer(kind)
    with torch.no_grad():
        few = mix(h[:, :3], links[:, :3, :3], there[:, :3])
        torch.testing.assert_close(mix(h, links, padded)[:, :3], few, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mix(other, links, padded)[:, :3], few, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["attention", "graph"])
def test_a_place_is_told_of_the_others_and_not_of_itself(kind):
    h, links, there = states(4)
    moved = h.clone()
    moved[:, 0] += torch.randn(TOKENS, WIDTH)
    mix = mixer(kind)
    if kind == "graph":  # which places are alike is learned from states, the own one too: only the given neighbourhood is judged
        nn.init.zeros_(mix.learned.weight)
    else:  # what is asked for is the own state's; what is answered is the others'
        nn.init.zeros_(mix.ask.weight[:2 * WIDTH])
    with torch.no_grad():
        change = (mix(h, links, there) - mix(moved, links, there)).abs().amax(dim=(0, 2, 3))
    assert change[0] < 1e-5 and (change[1:] > 1e-3).all()


@pytest.mark.parametrize("kind", SPATIAL)
def test_a_place_that_is_alone_gets_an_answer(kind):
    h, links, there = states(1)
    with torch.no_grad():
        assert torch.isfinite(mixer(kind)(h, links, there)).all()


@pytest.mark.parametrize("kind", ["attention", "graph"])
def test_relations_turn_the_ear_to_those_who_are_near(kind):
    h, links, there = states(3, groups=1)
    mix = mixer(kind)
    nn.init.zeros_(mix.relate.bias)
    nn.init.constant_(mix.relate.weight, 50.0)
    links[:] = 0
    links[0, 0, 2] = 1.0
    moved = h.clone()
    moved[:, 1] += torch.randn(TOKENS, WIDTH)  # not the one who is near
    if kind == "graph":
        nn.init.zeros_(mix.learned.weight)
    with torch.no_grad():
        change = (mix(h, links, there) - mix(moved, links, there)).abs().amax(dim=(0, 2, 3))
    assert change[0] < 1e-4 < 1e-2 < change[2]


@pytest.mark.parametrize("name", list(blocks.FUSIONS))
def test_the_weight_of_a_message_lies_between_0_and_1(name):
    fuse = blocks.FUSIONS[name](WIDTH)
    with torch.no_grad():
        fused, weight = fuse(10 * torch.randn(2, 3, TOKENS, WIDTH), 10 * torch.randn(2, 3, TOKENS, WIDTH))
    assert fused.shape == (2, 3, TOKENS, WIDTH) and weight.shape == (2, 3, TOKENS)
    assert ((weight > 0) & (weight < 1)).all()


def test_a_gate_that_is_shut_leaves_a_place_to_itself():
    fuse = blocks.GateFusion(WIDTH)
    nn.init.constant_(fuse.gate.bias, -200.0)
    own, message = torch.randn(2, 5, WIDTH), torch.randn(2, 5, WIDTH)
    with torch.no_grad():
        fused, weight = fuse(own, message)
    assert torch.equal(fused, own) and weight.max() < 1e-20


# -- quantiles --------------------------------------------------------------------------------------------------------


def head(levels=LEVELS, **rest):
    return blocks.QuantileHead(WIDTH, 4, levels, **({"least": 0.0} | rest)).eval()


def test_a_head_that_has_learned_nothing_says_its_anchor_with_the_spread_of_a_normal_of_0_4():
    one = head()
    nn.init.zeros_(one.leave.weight)
    anchor = torch.tensor([[0.5, 1.0, 2.0, 0.0]])
    with torch.no_grad():
        quantiles, mean, dispersion = one(torch.randn(1, 1, WIDTH), anchor)
    usual = NormalDist(0.0, 0.4)
    wanted = anchor[..., None] + torch.tensor([usual.inv_cdf(q) for q in LEVELS])
    torch.testing.assert_close(quantiles.asinh(), wanted, rtol=1e-4, atol=1e-4)
    assert mean.shape == dispersion.shape == (1, 4) and (dispersion > 0).all()


@pytest.mark.parametrize("levels", [LEVELS, (0.5,), (0.5, 0.9), (0.1, 0.5), (0.05, 0.25, 0.5, 0.75, 0.95)])
def test_quantiles_rise_whatever_is_said(levels):
    one = head(levels)
    with torch.no_grad():
        nn.init.normal_(one.leave.weight, std=3.0)
        quantiles, mean, _ = one(5 * torch.randn(7, 3, WIDTH), 3 * torch.randn(7, 12))
    assert quantiles.shape == (7, 12, len(levels)) and torch.isfinite(quantiles).all() and torch.isfinite(mean).all()
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert quantiles.abs().max() <= np.sinh(blocks.MOST) * 1.001


def test_a_mean_is_not_negative_unless_sales_may_be():
    h, anchor = torch.randn(50, 3, WIDTH), torch.full((50, 12), -2.0)
    with torch.no_grad():
        assert (head()(h, anchor)[1] >= 0).all()
        assert (head(least=-float("inf"))(h, anchor)[1] < 0).all()


def test_the_mean_of_a_normal_in_scales_is_found_from_its_quantiles():
    levels = tuple(k / 100 for k in range(1, 100))
    share = torch.tensor(blocks._shares(levels))
    values = torch.tensor([NormalDist(3.0, 0.5).inv_cdf(q) for q in levels])
    assert share.sum().item() == pytest.approx(1.0) and (values * share).sum().item() == pytest.approx(3.0, abs=1e-3)
    assert all(b > a for a, b in pairwise(values.tolist()))

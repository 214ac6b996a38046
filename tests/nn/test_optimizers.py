"""Optimisers and rates: who is decayed, who is orthogonalised, how the rate rises and falls, what a checkpoint needs."""

import math
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from nn.tiny_task import TinyNetwork  # noqa: E402
from shelfcast.errors import UnknownNameError, WeightsError  # noqa: E402
from shelfcast.nn.averaging import Average  # noqa: E402
from shelfcast.nn.optimizers import OPTIMIZERS, Optimizer, decays, rate_factor  # noqa: E402


def optimizer(network, kind, *, weight_decay=0.0, rate=0.1):
    return Optimizer(network, kind=kind, rate=rate, momentum=0.9, weight_decay=weight_decay)


def push(network, *, value=1.0):
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, value)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "wsd"])
def test_every_rate_rises_over_the_warm_up_and_never_after(schedule):
    rates = [rate_factor(s, steps=100, warmup=10, schedule=schedule) for s in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (s + 1) for s in range(10)])
    assert all(a >= b >= 0 for a, b in pairwise(rates[9:]))
    assert rates[10] == pytest.approx(1.0)
    assert rates[-1] == 1.0 if schedule == "constant" else rates[-1] < 0.05 or schedule == "wsd"


def test_rates_half_way_are_those_of_their_formulas():
    half = {s: rate_factor(50, steps=100, warmup=0, schedule=s) for s in ("constant", "cosine", "linear", "wsd")}
    assert half == pytest.approx({"constant": 1.0, "cosine": 0.5, "linear": 0.5, "wsd": 1.0})
    assert rate_factor(25, steps=100, warmup=0, schedule="cosine") == pytest.approx(0.5 + math.sqrt(0.5) / 2)
    assert rate_factor(90, steps=100, warmup=0, schedule="wsd") == pytest.approx(1 - math.sqrt(0.5))


def test_a_rate_beyond_the_last_step_is_none_and_an_unknown_schedule_is_refused():
    assert rate_factor(150, steps=100, warmup=0, schedule="linear") == 0.0
    with pytest.raises(UnknownNameError, match="Did you mean 'cosine'"):
        rate_factor(5, steps=10, warmup=0, schedule="cosin")


def test_matrices_decay_and_norms_biases_and_embeddings_do_not():
    assert {n for n, yes in decays(TinyNetwork()).items() if yes} == {"enter.weight", "hidden.weight", "leave.weight"}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_without_a_gradient_weight_decay_alone_shrinks_what_decays(kind):
    network, before = TinyNetwork(), {n: p.detach().clone() for n, p in TinyNetwork().named_parameters()}
    push(network, value=0.0)
    optimizer(network, kind, weight_decay=0.5).step(1.0)
    for name, parameter in network.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.5) if decays(network)[name] else before[name]
        assert torch.allclose(parameter, expected), name


def test_muon_moves_matrices_by_an_orthogonal_step_of_adamws_size():
    network = TinyNetwork()
    before = network.hidden.weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer(network, "muon").step(1.0)
    values = torch.linalg.svdvals((network.hidden.weight.detach() - before) / 0.1)
    assert values.max() / values.min() < 2.5  # Newton and Schulz's five steps bring them near one another
    assert 0.1 < (values.square().sum() / before.numel()).sqrt() < 0.3  # 0.2 in the mean square, as AdamW's


def test_a_step_at_half_the_rate_moves_half_as_far():
    moves = []
    for factor in (1.0, 0.5):
        network = TinyNetwork()
        before = network.hidden.weight.detach().clone()
        push(network)
        optimizer(network, "sgd").step(factor)
        moves.append(before - network.hidden.weight.detach())
    assert torch.allclose(moves[0], torch.full_like(moves[0], 0.1)) and torch.allclose(moves[0], 2 * moves[1])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimiser_with_its_memory_restored_goes_on_to_the_bit(kind):
    def steps(network, chosen, values):
        for value in values:
            push(network, value=value)
            chosen.step(1.0)

    straight, halted = TinyNetwork(), TinyNetwork()
    steps(straight, optimizer(straight, kind, weight_decay=0.1), [0.3, -0.1, 0.2, 0.5])
    first = optimizer(halted, kind, weight_decay=0.1)
    steps(halted, first, [0.3, -0.1])
    second = optimizer(halted, kind, weight_decay=0.1)
    second.restore(first.state())
    steps(halted, second, [0.2, 0.5])
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), halted.parameters(), strict=True))
    assert not any(t.requires_grad for t in first.state().values())


def test_a_parameter_that_is_frozen_or_unused_is_left_alone():
    network = TinyNetwork()
    network.enter.weight.requires_grad_(False)
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    push(network)
    network.enter.weight.grad = network.hidden.bias.grad = None
    chosen = optimizer(network, "adamw", weight_decay=0.5)
    chosen.step(1.0)
    unchanged = {n for n, p in network.named_parameters() if torch.equal(p, before[n])}
    assert unchanged == {"enter.weight", "hidden.bias"}
    assert not any(k.startswith(("enter.weight", "hidden.bias")) for k in chosen.state())


def test_a_memory_of_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(WeightsError, match=r"'hidden2\.weight'"):
        optimizer(TinyNetwork(), "adamw").restore({"hidden2.weight/exp_avg": torch.zeros(2)})


def test_an_average_forgets_the_start_soon_and_then_changes_slowly():
    network = torch.nn.Linear(1, 1, bias=False)
    average = Average(network, 0.99)
    with torch.no_grad():
        network.weight.fill_(100.0)
    average.update(1)
    near = float(average.values["weight"])
    for step in range(2, 2000):
        average.update(step)
    with torch.no_grad():
        network.weight.fill_(0.0)
    average.update(2000)
    assert near > 80 and float(average.values["weight"]) == pytest.approx(99.0, rel=1e-3)


def test_a_network_shows_its_average_and_takes_its_own_weights_back_to_the_bit():
    network = TinyNetwork()
    average = Average(network, 0.5)
    push(network)
    optimizer(network, "sgd").step(1.0)
    average.update(1)
    own = {n: p.detach().clone() for n, p in network.named_parameters()}
    with pytest.raises(KeyError), average.shown():
        assert all(torch.equal(p, average.values[n]) and not torch.equal(p, own[n]) for n, p in network.named_parameters())
        raise KeyError
    assert all(torch.equal(p, own[n]) for n, p in network.named_parameters())

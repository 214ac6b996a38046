"""Networks in eight bits say nearly the same, of each series for itself, and stay in float where the loss asks for it."""

from dataclasses import replace

import numpy as np
import pytest

from nn.random_batches import answers, network, random_batch
from shelfcast.nn import quantise
from shelfcast.nn.export import Runner, to_onnx

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def usual():
    """A network, and it as ONNX."""
    made = network(temporal="transformer", spatial="attention", fusion="gate", layers=1, width=64)
    return made, to_onnx(made)


@pytest.fixture(autouse=True)
def _all_products(monkeypatch):
    """In a network as small as this one even small products are rounded."""
    monkeypatch.setattr(quantise, "_LEAST", 1_000)


def test_in_eight_bits_a_network_says_nearly_the_same_in_fewer_bytes(usual):
    made, model = usual
    small = eight(model)
    said, wanted = np.arcsinh(Runner(small, threads=1).run(random_batch())[0]), np.arcsinh(answers(made, random_batch())[0])
    assert np.abs(said - wanted).mean() < 0.03 * wanted.std()
    assert not np.array_equal(said, wanted)
    weights = sum(value.numel() for value in made.state_dict().values())
    assert len(model) - len(small) > 2 * weights  # of four bytes about three are saved


def test_a_forecast_in_eight_bits_does_not_depend_on_what_else_is_asked(usual):
    runner = Runner(eight(usual[1]), threads=1)
    batch = random_batch(groups=2)
    loud = batch.x.copy()
    loud[1] *= 1_000.0
    for mine, beside_loud in zip(runner.run(batch), runner.run(replace(batch, x=loud)), strict=True):
        np.testing.assert_allclose(mine[0], beside_loud[0], rtol=1e-5, atol=1e-5)


def test_parts_are_named_as_those_of_the_network(usual):
    assert set(quantise.parts_of(usual[1])) == {"past", "future", "mixers.0", "time.0.across", "time.0.each", "head"}


def test_parts_that_nobody_asked_for_stay_as_they_are(usual):
    assert eight(usual[1], []) == usual[1]
    head = eight(usual[1], ["head"])
    assert len(eight(usual[1], ["head", "past"])) < len(head) < len(usual[1])


def test_what_comes_in_is_measured_wide_enough_for_nearly_all_of_it_and_holds_zero(usual):
    ranges = quantise.ranges_of(usual[1], [random_batch(k) for k in range(3)])
    low, high = ranges["past.enter.weight"]
    seen = random_batch(0).x
    assert low < np.quantile(seen, 0.01) < 0 < np.quantile(seen, 0.99) < high
    assert ranges["past.enter.weight"] == ranges["past.around.weight"]
    assert all(low <= 0 <= high for low, high in ranges.values())


def eight(model, parts=None):
    """The network in eight bits, ranges measured on three batches."""
    ranges = quantise.ranges_of(model, [random_batch(k) for k in range(3)])
    return quantise.in_eight_bits(model, ranges, quantise.parts_of(model) if parts is None else parts)


def plain(monkeypatch, costs):
    """Networks that are the names of what is in eight bits, whose loss is 1 and the sum of what those cost."""
    monkeypatch.setattr(quantise, "parts_of", lambda model: tuple(costs))
    monkeypatch.setattr(quantise, "in_eight_bits", lambda model, ranges, parts: ",".join(parts).encode())
    return lambda model: 1 + sum(costs[name] for name in model.decode().split(",") if name)


def test_the_costliest_part_goes_back_to_float_and_no_more_than_needed(monkeypatch):
    loss = plain(monkeypatch, {"past": 0.001, "middle": 0.0005, "head": 0.05})
    found = quantise.quantise(b"", {}, loss, most=0.002)
    assert (found.blocks, found.floats, found.model) == (("past", "middle"), ("head",), b"past,middle")
    assert found.rise == pytest.approx(0.0015) and found.rises["head"] == pytest.approx(0.05)


def test_where_all_may_be_rounded_nothing_is_tried_alone(monkeypatch):
    found = quantise.quantise(b"", {}, plain(monkeypatch, {"past": 0.0, "head": 0.001}), most=0.002)
    assert found.blocks == ("past", "head") and not found.rises


def test_where_nothing_may_be_rounded_the_network_stays_as_it_was(monkeypatch):
    found = quantise.quantise(b"", {}, plain(monkeypatch, {"past": 0.1, "head": 0.2}), most=0.002)
    assert (found.model, found.blocks, found.rise) == (b"", (), 0.0)

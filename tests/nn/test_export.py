"""ONNX Runtime says what PyTorch says, whatever the network, for any number of groups and places."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest
import torch

from nn.random_batches import FUSION, SPATIAL, TEMPORAL, answers, network, random_batch
from shelfcast.errors import WeightsError
from shelfcast.nn.export import Runner, to_onnx

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = [("transformer", "attention", "gate"), ("conv", "conv", "attention")]  # tracing a recurrent one takes many seconds
ALL = [kind for kind in product(TEMPORAL, SPATIAL, FUSION) if kind[1] != "none" or kind[2] == "gate"]
OTHER_SHAPES = [(2, 3, 0), (1, 1, 0), (3, 1, 0), (1, 7, 4), (5, 2, 1), (4, 64, 20)]


def check(kind, **settings):
    """Export once and compare on batches of several shapes."""
    made = network(temporal=kind[0], spatial=kind[1], fusion=kind[2], **settings)
    runner = Runner(to_onnx(made), threads=1)
    for groups, places, padding in OTHER_SHAPES:
        batch = random_batch(groups + places, groups=groups, places=places, padding=padding)
        quantiles, mean, _, gates = answers(made, batch)
        for found, wanted in zip(runner.run(batch), (quantiles, mean, gates), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
            assert found.shape == wanted.shape and np.isfinite(found).all()
    return made, runner


@pytest.mark.parametrize("kind", QUICK, ids="-".join)
def test_exported_networks_say_the_same_for_any_number_of_groups_and_places(kind):
    check(kind, layers=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL, ids="-".join)
def test_every_kind_says_the_same_with_several_layers(kind):
    check(kind)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"negative": True}, {"levels": (0.5,)}, {"levels": (0.1, 0.5, 0.9), "layers": 1},
                                      {"patch": 1}, {"patch": 13}, {"layers": 3, "width": 32, "heads": 4}],
                         ids=lambda s: "-".join(f"{k} {v}" for k, v in s.items()))
def test_other_shapes_of_networks_say_the_same_too(settings):
    check(("transformer", "attention", "gate"), **settings)


@pytest.fixture(scope="module")
def usual():
    """A network as ONNX; its graph is traced once for its settings, so this is quick after the tests above."""
    made = network(temporal="transformer", spatial="attention", fusion="gate", layers=1)
    return made, to_onnx(made)


def test_weights_are_those_of_this_network_and_not_of_the_one_traced_before(usual):
    other = network(seed=1, temporal="transformer", spatial="attention", fusion="gate", layers=1)
    batch = random_batch()
    said = Runner(to_onnx(other), threads=1).run(batch)[0]
    np.testing.assert_allclose(said, answers(other, batch)[0], rtol=1e-4, atol=1e-4)
    assert np.abs(said - Runner(usual[1], threads=1).run(batch)[0]).max() > 1e-2


def test_the_same_network_gives_the_same_bytes(usual):
    assert to_onnx(usual[0]) == usual[1]


def test_export_changes_neither_the_network_nor_what_is_drawn_next(usual):
    made = usual[0]
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wanted = torch.rand(3)
        torch.manual_seed(0)
        to_onnx(made)
        assert torch.equal(torch.rand(3), wanted)
    assert not made.training and all(torch.equal(before[name], value) for name, value in made.state_dict().items())


def test_a_runner_goes_into_another_process_and_can_be_copied(usual):
    batch = random_batch()
    runner = Runner(usual[1], threads=1)
    for other in (pickle.loads(pickle.dumps(runner)), copy.deepcopy(runner)):
        for mine, theirs in zip(runner.run(batch), other.run(batch), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("damaged", [b"", b"not a network", "cut"])
def test_what_is_no_network_is_refused_in_words(usual, damaged):
    with pytest.raises(WeightsError, match="cannot be read"):
        Runner(usual[1][:1000] if damaged == "cut" else damaged, threads=1)


def test_what_is_exported_names_no_folder_of_the_machine_that_traced_it(usual):
    assert b".py" not in usual[1] and b"metadata" not in usual[1]

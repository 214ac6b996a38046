"""Which numbers move in fine-tuning, and that an adapted network becomes an ordinary one that says the same."""

import sys

import pytest
import torch

from nn.random_batches import answers, network, random_batch
from shelfcast.errors import MissingExtraError, SettingsError, UnknownNameError
from shelfcast.nn.adapt import adapt, merged, updated_matrices
from shelfcast.nn.losses import total_loss
from shelfcast.nn.network import parameters_of

pytestmark = pytest.mark.usefixtures("one_thread")
METHODS = ("frozen", "top", "lora", "full")


def needs_peft(method):
    if method == "lora":
        pytest.importorskip("peft", reason="needs the extra adapt")


def stepped(made, rate=0.05):
    """The network after a few steps on a batch of noise."""
    batch = random_batch().tensors()
    levels = torch.tensor(made.settings.levels)
    optimizer = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=rate)
    made.train()
    for _ in range(3):
        optimizer.zero_grad()
        total_loss("pinball", batch, made(*batch.inputs()), levels).backward()
        optimizer.step()
    return made.eval()


def moved_by(method, **settings):
    """Names of the numbers that differ from the network as it was, after a few steps."""
    before = {k: v.clone() for k, v in network(dropout=0.0, layers=3).state_dict().items()}
    after = merged(stepped(adapt(network(dropout=0.0, layers=3), method, **settings))).state_dict()
    assert after.keys() == before.keys()
    return {k for k in before if not torch.equal(before[k], after[k])}


def test_frozen_moves_the_head_alone():
    moved = moved_by("frozen")
    assert moved and all(name.startswith("head.") for name in moved)


def test_top_moves_the_head_the_last_layers_and_every_norm():
    one, two = moved_by("top"), moved_by("top", layers=2)
    assert {n for n in one if n.startswith("time.") and "norm" not in n} and one < two
    assert all(n.startswith(("head.", "time.2.", "mixers.2.", "fusions.2.")) or "norm" in n for n in one)
    assert any(n.startswith("time.0.") for n in one), "norms of the first layer"
    assert {n for n in two if n.startswith("time.1.") and "norm" not in n}


def test_lora_moves_matrices_of_attention_and_feed_forward_blocks_alone():
    needs_peft("lora")
    allowed = {f"{n}.weight" for n in updated_matrices(network(dropout=0.0, layers=3), 2)}
    moved = moved_by("lora", rank=2)
    assert moved and moved <= allowed
    assert {"time.0.across.hear.weight", "time.2.each.leave.weight", "mixers.0.ask.weight"} <= moved


def test_full_moves_every_layer():
    layers = {n.partition(".")[0] for n in moved_by("full")}
    assert layers == {"past", "future", "item", "place", "static", "mixers", "fusions", "time", "head"}


@pytest.mark.parametrize("method", METHODS)
def test_an_adapted_network_begins_as_what_it_was(method):
    needs_peft(method)
    same = zip(answers(network(dropout=0.0), random_batch(1)), answers(adapt(network(dropout=0.0), method), random_batch(1)),
               strict=True)
    assert all((one == other).all() for one, other in same)


@pytest.mark.parametrize("method", METHODS)
def test_merged_it_says_what_it_said(method):
    needs_peft(method)
    learned = stepped(adapt(network(dropout=0.0), method, rank=2))
    plain = merged(learned)
    assert type(plain) is type(learned) and plain.state_dict().keys() == network().state_dict().keys()
    assert not plain.training and parameters_of(plain) == parameters_of(network())
    for one, other in zip(answers(learned, random_batch(1)), answers(plain, random_batch(1)), strict=True):
        assert one == pytest.approx(other, abs=1e-5, rel=1e-5)
    was = answers(network(dropout=0.0), random_batch(1))[0]
    assert abs(answers(plain, random_batch(1))[0] - was).max() > 1e-3, "it has learned something"


def test_a_lower_rank_has_fewer_numbers():
    needs_peft("lora")
    few, many = (parameters_of(adapt(network(), "lora", rank=rank)) for rank in (3, 6))
    assert many == 2 * few > 0


def test_what_cannot_be_done_is_said():
    with pytest.raises(UnknownNameError, match=r"'tops'.*top"):
        adapt(network(), "tops")
    with pytest.raises(SettingsError, match="layers is 3; the network has 2"):
        adapt(network(), "top", layers=3)


def test_a_rank_wider_than_every_matrix_is_refused():
    needs_peft("lora")
    with pytest.raises(SettingsError, match=r"wider than the rank, 64"):
        adapt(network(), "lora", rank=64)


def test_without_peft_lora_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"shelfcast\[adapt\]"):
        adapt(network(), "lora")

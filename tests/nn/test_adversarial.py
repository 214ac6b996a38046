"""Attacked batches: a higher loss within the bound, and nothing moved that is not known or not asked for."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from nn.made_up import CONTEXT, tiny_batch  # noqa: E402
from nn.tiny_task import TinyNetwork, TinyTask  # noqa: E402
from shelfcast.errors import UnknownNameError  # noqa: E402
from shelfcast.nn.adversarial import attacked, movable  # noqa: E402

NETWORK, BATCH = TinyNetwork(dropout=0.0), tiny_batch(5, groups=20).tensors()


def loss(batch):
    return TinyTask().loss(NETWORK, batch)


@pytest.mark.parametrize("channels", [(), (2,)])
@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_an_attack_raises_the_loss_without_leaving_the_bound_or_touching_the_rest(kind, channels):
    found = attacked(BATCH, loss, kind=kind, size=0.1, channels=channels)
    moved = (found.x - BATCH.x).abs()
    assert loss(found) > 1.01 * loss(BATCH)
    assert moved.max() <= 0.1 + 1e-6 and not moved[~movable(BATCH, channels)].any()
    assert moved[movable(BATCH, channels)].gt(0).float().mean() > 0.9
    assert found.truth is BATCH.truth and not found.x.requires_grad


def test_only_observed_sales_of_places_that_are_there_may_be_moved():
    may = movable(BATCH)
    assert torch.equal(may[..., :CONTEXT, 0], BATCH.x[..., :CONTEXT, 1] > 0)
    assert not may[..., 1:].any() and not may[..., CONTEXT:, :].any() and not may[~BATCH.there].any()
    assert movable(BATCH, (1, 2))[BATCH.there][..., 2].all() and not movable(BATCH, (1, 2))[..., 1].any()


def test_more_steps_find_a_worse_batch_than_one():
    torch.manual_seed(0)
    one = loss(attacked(BATCH, loss, kind="pgd", size=0.3, steps=1))
    assert loss(attacked(BATCH, loss, kind="pgd", size=0.3, steps=10)) > one


def test_an_attack_makes_no_sale_negative_and_leaves_no_gradient_behind():
    found = attacked(BATCH, loss, kind="fgsm", size=5.0)
    assert found.x[..., 0].min() >= 0
    assert all(p.grad is None for p in NETWORK.parameters())


def test_returns_that_were_negative_may_stay_so():
    net = replace(BATCH, x=BATCH.x.clone())
    net.x[0, 0, 0, :2] = torch.tensor([-1.0, 1.0])
    assert attacked(net, loss, kind="fgsm", size=0.1).x[0, 0, 0, 0] >= -1.0


def test_an_unknown_attack_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'fgsm'"):
        attacked(BATCH, loss, kind="fgs", size=0.1)

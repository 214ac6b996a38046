"""Pruning takes units out and nothing else; a follower learns what its teacher says."""

import numpy as np
import pytest
import torch

from nn.random_batches import answers, network, random_batch
from shelfcast.errors import SettingsError
from shelfcast.names import LEVELS
from shelfcast.nn.compress import Following, apart, importance, pruned, unit_counts
from shelfcast.nn.losses import total_loss
from shelfcast.nn.network import Kept, NetworkSettings, SpaceTimeNetwork, parameters_of

pytestmark = pytest.mark.usefixtures("one_thread")


class Pinball:
    """A task of random batches."""

    def batch(self, step, part):
        return random_batch(100 + 10 * step + part)

    def loss(self, made, batch):
        return total_loss("pinball", batch, made(*batch.inputs()), torch.tensor(LEVELS))

    def validation(self):
        return [random_batch(7)]

    def fingerprint(self):
        return {"task": "random"}


def whole(seed=0, **settings):
    return network(seed, temporal="transformer", spatial="attention", fusion="gate", **({"width": 32, "heads": 4} | settings))


def worth_of(made):
    return importance(made, [random_batch(k) for k in range(3)], Pinball().loss)


def silenced(made, worth, unit):
    """The network with one unit of a block cut off by hand: what it says is multiplied by zero."""
    name, at = unit
    size = made.get_submodule(name).leave.in_features // len(worth[name])
    with torch.no_grad():
        made.get_submodule(name).leave.weight[:, at * size:(at + 1) * size] = 0.0
    return made


def test_a_pruned_network_says_what_the_whole_one_says_with_those_units_silenced():
    made = whole()
    worth = {name: np.arange(count, dtype=float) for name, count in unit_counts(made).items()}  # the first units are worth least
    smaller = pruned(made, worth, 0.3)
    for name, left in unit_counts(smaller).items():
        for at in range(len(worth[name]) - left):
            silenced(made, worth, (name, at))
    for padding in (0, 2):
        batch = random_batch(5, padding=padding)
        for found, wanted in zip(answers(smaller, batch), answers(made, batch), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_share_asked_for_is_gone_and_every_block_keeps_something():
    made = whole()
    smaller = pruned(made, worth_of(made), 0.5)
    assert 0.45 < parameters_of(smaller) / parameters_of(made) <= 0.5
    assert all(count >= 1 for count in unit_counts(smaller).values())
    assert all(hidden % 8 == 0 for hidden in (*smaller.settings.kept.hidden, *smaller.settings.kept.patches))


def test_what_is_pruned_can_be_pruned_again_and_kept_as_plain_values():
    once = pruned(whole(), worth_of(whole()), 0.2)
    twice = pruned(once, worth_of(once), 0.2)
    assert parameters_of(twice) <= 0.8 * parameters_of(once)
    again = SpaceTimeNetwork(NetworkSettings.from_json(twice.settings.as_json()))
    again.load_state_dict(twice.state_dict())
    np.testing.assert_array_equal(answers(again.eval(), random_batch())[0], answers(twice, random_batch())[0])


def test_a_unit_that_nobody_hears_is_worth_nothing_and_one_that_is_heard_is_worth_more():
    made = silenced(whole(), worth_of(whole()), ("time.0.across", 2))
    worth = worth_of(made)
    assert worth["time.0.across"][2] == 0.0 and (np.delete(worth["time.0.across"], 2) > 0).all()
    assert set(worth) == {"past", "future", "mixers.0", "mixers.1", "time.0.across", "time.0.each", "time.1.across", "time.1.each"}


def test_measuring_what_units_are_worth_leaves_the_network_as_it_was():
    made, before = whole(), answers(whole(), random_batch())[0]
    worth_of(made)
    np.testing.assert_array_equal(answers(made, random_batch())[0], before)
    assert all(parameter.grad is None for parameter in made.parameters())


def test_a_network_that_keeps_all_is_the_network_that_it_was_from_the_same_seed():
    made = whole()
    s = made.settings
    everything = Kept(patches=(64, 64), hidden=(64, 64), heads=(4, 4), mixers=(4, 4))
    same = whole(kept=everything)
    assert same.settings.kept == everything and s.kept is None
    for (name, one), (other, two) in zip(made.state_dict().items(), same.state_dict().items(), strict=True):
        assert name == other and torch.equal(one, two)


@pytest.mark.parametrize(("share", "told"), [(0.0, "above 0 and below 1"), (1.0, "above 0"), (0.97, "cannot be pruned")])
def test_a_share_that_cannot_be_had_is_refused_in_words(share, told):
    made = whole()
    with pytest.raises(SettingsError, match=told):
        pruned(made, worth_of(made), share)


def test_a_network_of_another_kind_is_not_pruned():
    made = network(temporal="gru", spatial="graph", fusion="gate")
    with pytest.raises(SettingsError, match="'gru'"):
        pruned(made, {}, 0.3)


def test_nothing_is_apart_from_itself_and_what_lies_further_is_further_apart():
    batch = random_batch(padding=1).tensors()
    said = torch.from_numpy(answers(whole(), random_batch(padding=1))[0])
    assert float(apart(said, said, batch)) == 0.0
    assert 0 < float(apart(said + 0.1, said, batch)) < float(apart(said + 0.3, said, batch))


def test_a_follower_comes_to_say_what_its_teacher_says():
    teacher, student = whole(0), whole(1, width=16, heads=2).train()
    task = Following(Pinball(), teacher, truth=0.0)
    batch = task.batch(0, 0).tensors()
    move = torch.optim.Adam(student.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        move.zero_grad()
        loss = task.loss(student, batch)
        loss.backward()
        move.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_follower_is_validated_by_the_truth_alone_and_its_teacher_tells_it_from_others():
    task, batch = Following(Pinball(), whole(0), truth=0.5), random_batch(7).tensors()
    student = whole(1)
    with torch.no_grad():
        assert float(task.loss(student, batch)) == float(Pinball().loss(student, batch))
    assert task.fingerprint() == Following(Pinball(), whole(0)).fingerprint() != Following(Pinball(), whole(2)).fingerprint()
    assert task.fingerprint()["task"] == "random"

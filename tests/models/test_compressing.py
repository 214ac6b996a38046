"""Compressing weights: what is measured, what lies in the folder, how it goes on when it was stopped."""

import json
from dataclasses import replace

import numpy as np
import pytest

from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.models import compressing
from shelfcast.models.compressing import CompressSettings, compress, loss_of, measure
from shelfcast.models.pretrained import CARD, GRAPH, TENSORS, read_weights
from shelfcast.models.pretraining import Size, partial_of, read_network
from shelfcast.models.worlds import Drawing, Worlds
from shelfcast.names import LEVELS
from shelfcast.nn import quantise
from weights.tiny_pretrained import FEW, few_worlds, write_tiny_pretrained

pytestmark = pytest.mark.usefixtures("few_and_small")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of weights."""
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_pretrained(folder, layers=1)
    return folder


@pytest.fixture
def few_and_small(monkeypatch):
    """Few worlds of a kind that is quick to draw, products of all sizes, a size of network that is quick to train."""
    monkeypatch.setattr(compressing, "validation_worlds", lambda drawing, _: [(b, "monthly") for b in few_worlds(drawing.seed, 2)])
    monkeypatch.setattr(Worlds, "validation", lambda self: few_worlds(0, 2))
    monkeypatch.setattr(compressing, "Drawing", lambda **asked: Drawing(**{**asked, **FEW}))
    monkeypatch.setattr(quantise, "_LEAST", 1_000)
    monkeypatch.setattr(compressing, "SIZES", {"less": Size(8, 1, 2)})
    monkeypatch.setattr(compressing, "_ROUNDS", 1)


def quick(**asked):
    return CompressSettings(**{"worlds": 1, "series": 12, "processes": 0, "rise": 0.5, **asked})


def test_what_is_in_eight_bits_forecasts_from_its_folder_and_says_what_it_is(weights, tmp_path):
    found = compress(weights, tmp_path / "out", quick(int8=True), progress=False)
    before, after = found.table
    card = json.loads((tmp_path / "out" / CARD).read_text(encoding="utf-8"))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [GRAPH, CARD]
    assert card["precision"] == "int8" and card["trained_on"] == "nothing"
    assert card["compressed"]["of"] == read_weights(weights).card["files"][GRAPH]
    assert after.size == len(read_weights(tmp_path / "out").onnx) < before.size
    assert (before.name, after.name) == ("before", "int8") and after.parameters == before.parameters
    assert after.loss == pytest.approx(loss_of(read_weights(tmp_path / "out").onnx, few_worlds(0, 2)))
    assert "Eight bits add" in found.told[0]


def test_eight_bits_cannot_be_compressed_again(weights, tmp_path):
    compress(weights, tmp_path / "out", quick(int8=True), progress=False)
    with pytest.raises(WeightsError, match="eight bits already"):
        compress(tmp_path / "out", tmp_path / "again", quick(int8=True), progress=False)


def test_pruned_weights_can_be_read_learned_from_and_are_fewer(weights, tmp_path):
    found = compress(weights, tmp_path / "out", quick(prune=0.3, steps=0), progress=False)
    card = read_weights(tmp_path / "out").card
    network = read_network(tmp_path / "out", card)
    assert network.settings.kept is not None and (tmp_path / "out" / TENSORS).is_file()
    assert card["parameters"] == found.table[-1].parameters <= 0.7 * found.table[0].parameters
    assert not partial_of(tmp_path / "out").exists() and not found.trained


@pytest.mark.slow
def test_a_compression_that_was_stopped_goes_on_where_it_was(weights, tmp_path):
    asked = quick(distil_into="less", steps=3)
    through = compress(weights, tmp_path / "through", asked, progress=False)
    stopped = compress(weights, tmp_path / "out", asked, minutes=1e-6, progress=False)
    assert not stopped.done and not (tmp_path / "out").exists() and stopped.folder == partial_of(tmp_path / "out")
    with pytest.raises(SettingsError, match="--resume"):
        compress(weights, tmp_path / "out", asked, progress=False)
    with pytest.raises(SettingsError, match="another steps"):
        compress(weights, tmp_path / "out", replace(asked, steps=4), resume=True, progress=False)
    resumed = compress(weights, tmp_path / "out", asked, resume=True, progress=False)
    assert resumed.done and not stopped.folder.exists() and resumed.trained["distilled"].steps == 3
    assert resumed.table[-1].loss == through.table[-1].loss
    assert (tmp_path / "out" / TENSORS).read_bytes() == (tmp_path / "through" / TENSORS).read_bytes()


@pytest.mark.slow
def test_after_pruning_what_is_left_learns_and_loses_less(weights, tmp_path):
    bare = compress(weights, tmp_path / "bare", quick(prune=0.4, steps=0), progress=False)
    taught = compress(weights, tmp_path / "taught", quick(prune=0.4, steps=40), progress=False)
    assert taught.trained["pruned"].steps == 40
    assert taught.table[-1].loss < bare.table[-1].loss and taught.table[-1].parameters == bare.table[-1].parameters


def test_truths_lie_below_quantiles_as_often_as_levels_say_also_where_all_are_zero():
    batch = few_worlds(0, 1)[0]
    levels = np.array(LEVELS)
    spread = np.linspace(0.0005, 0.9995, batch.truth.size).reshape(batch.truth.shape)
    told = np.broadcast_to(levels, (*batch.truth.shape, len(levels)))
    exact = compressing._below(told, replace(batch, truth=spread.astype(np.float32), lower=np.zeros_like(batch.lower)))
    nought = compressing._below(0.0 * told, replace(batch, truth=np.zeros_like(batch.truth), lower=np.zeros_like(batch.lower)))
    np.testing.assert_allclose(nought.mean(axis=0), np.array(compressing.AT) / levels[-1], atol=1e-6)
    assert exact.shape[1] == 3 and (np.diff(exact.mean(axis=0)) > 0).all()
    np.testing.assert_allclose(exact.mean(axis=0), compressing.AT, atol=0.1)


def test_two_networks_are_measured_on_the_same_and_the_first_is_as_fast_as_itself(weights):
    model = read_weights(weights).onnx
    one, two = measure({"before": (model, 10), "same": (model, 10)}, few_worlds(0, 1))
    assert one.faster == 1.0 and one.loss == two.loss and one.below == two.below and one.speed > 0


@pytest.mark.parametrize(("asked", "kind", "told"), [
    ({}, SettingsError, "Nothing is asked for"),
    ({"prune": 1.5}, SettingsError, "above 0 and below 1"),
    ({"distil_into": "lesser"}, UnknownNameError, "Did you mean 'less'"),
    ({"distil_into": "less", "steps": 0}, SettingsError, "learns nothing"),
    ({"int8": True, "measured": 0}, SettingsError, "at least 1"),
    ({"int8": True, "truth": 1.0}, SettingsError, "truth is 1")])
def test_what_cannot_be_asked_is_refused_in_words(asked, kind, told):
    with pytest.raises(kind, match=told):
        CompressSettings(**asked)


def test_a_folder_with_other_things_is_left_alone(weights, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SettingsError, match="holds other files"):
        compress(weights, tmp_path / "out", quick(int8=True), progress=False)
    assert (tmp_path / "out" / "thesis.txt").read_text(encoding="utf-8") == "years of work"

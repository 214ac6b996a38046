"""Pretraining: weights as a folder, whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from shelfcast.data.split import cut
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.models.compressing import in_whole_tokens
from shelfcast.models.pretrained import CARD, GRAPH, TENSORS, Pretrained, PretrainedSettings, read_weights
from shelfcast.models.pretraining import PretrainSettings, partial_of, pretrain, read_network
from shelfcast.models.worlds import Drawing, draw_batch
from shelfcast.nn.export import Runner
from shelfcast.world.prior import draw_world

QUICK = PretrainSettings(size="toy", steps=3, worlds=1, series=8, processes=0, regimes=("monthly",))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained") / "toy"
    made = pretrain(folder, QUICK, progress=False)
    assert made.done
    assert made.folder == folder
    return folder


def test_a_training_leaves_weights_a_card_and_a_history(weights: Path) -> None:
    card = json.loads((weights / CARD).read_text())
    assert {p.name for p in weights.iterdir()} == {CARD, GRAPH, TENSORS, "history.csv"}
    assert card["trained_on"].startswith("simulated sales only")
    assert card["pretraining"]["steps"] == card["steps"] == 3
    assert not partial_of(weights).exists()


def test_a_panel_is_forecast_with_them(weights: Path) -> None:
    world = draw_world(3, regime="monthly").panel
    panel = cut(world, world.cutoff - 4)
    made = Pretrained(PretrainedSettings(weights=str(weights), horizon=4)).fit(panel).predict(panel, horizon=4)
    assert np.isfinite(made.quantiles).all()


def test_both_files_hold_the_same_network(weights: Path) -> None:
    card = read_weights(weights)
    batch = in_whole_tokens(draw_batch(Drawing(series=8, regimes=("monthly",)), 9)[0])
    with torch.no_grad():
        ours = read_network(card.folder, card.card).eval()(*batch.tensors().inputs())[0].numpy()
    np.testing.assert_allclose(Runner(card.onnx, threads=1).run(batch)[0], ours, atol=2e-4, rtol=2e-3)


def test_a_training_that_paused_goes_on_to_the_same_weights(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "paused"
    assert not pretrain(folder, QUICK, minutes=1e-6, progress=False).done
    assert not folder.exists()
    with pytest.raises(SettingsError, match="--resume"):
        pretrain(folder, QUICK, progress=False)
    assert pretrain(folder, QUICK, resume=True, progress=False).done
    assert (folder / TENSORS).read_bytes() == (weights / TENSORS).read_bytes()


def test_a_training_that_was_begun_with_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    pretrain(folder, QUICK, minutes=1e-6, progress=False)
    with pytest.raises(WeightsError, match="rate"):
        pretrain(folder, PretrainSettings(**{**vars(QUICK), "rate": 0.5}), resume=True, progress=False)


def test_a_folder_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(Exception, match=r"mine|not"):
        pretrain(tmp_path, QUICK, progress=False)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_unknown_sizes_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="huge"):
        PretrainSettings(size="huge")
    with pytest.raises(SettingsError, match="steps is 0"):
        PretrainSettings(steps=0)
    with pytest.raises(SettingsError, match="rate is 2"):
        PretrainSettings(rate=2.0)

"""Pretraining: weights as a folder, whole or not at all."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shelfcast import workflow
from shelfcast.data.split import cut
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.models import pretrained, pretraining
from shelfcast.models.compressing import CompressSettings, in_whole_tokens
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
    assert "command" not in card, "called from Python there is none, and another program's arguments are not ours"


def test_who_may_read_one_file_of_the_weights_may_read_all(weights: Path) -> None:
    assert len({path.stat().st_mode for path in weights.iterdir()}) == 1


def test_a_training_that_has_ended_is_not_begun_again(weights: Path) -> None:
    """Also with other helpers: they change no weight."""
    before = {p.name: p.read_bytes() for p in weights.iterdir()}
    again = pretrain(weights, replace(QUICK, threads=2), resume=True, progress=False)
    assert again.done and again.already and again.trained.steps == 3 and again.folder == weights
    assert [row.step for row in again.trained.history] == [1, 2, 3]
    told: list[str] = []
    found = workflow.pretrain(weights, options=asdict(QUICK), resume=True, minutes=9, say=told.append)
    assert found.done and found.summary["already"] and "nothing is left to train" in told[0]
    assert {p.name: p.read_bytes() for p in weights.iterdir()} == before and not partial_of(weights).exists()


def test_weights_of_other_settings_are_not_taken_for_what_was_asked(weights: Path) -> None:
    with pytest.raises(SettingsError, match=r"were trained with steps 3, now 4\. Leave --resume out"):
        pretrain(weights, replace(QUICK, steps=4), resume=True, progress=False)
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
    with pytest.raises(SettingsError, match=r"begun with rate 0\.0008, now 0\.5"):
        pretrain(folder, replace(QUICK, rate=0.5), resume=True, progress=False)
    with pytest.raises(SettingsError, match="size toy, now tiny"):
        pretrain(folder, replace(QUICK, size="tiny"), resume=True, progress=False)
    (partial_of(folder) / "pretraining.json").unlink()  # as an earlier version left it
    with pytest.raises(SettingsError, match="rate"):
        pretrain(folder, replace(QUICK, rate=0.5), resume=True, progress=False)


def test_a_training_that_fails_before_it_kept_anything_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pretraining, "train", fail)
    with pytest.raises(MemoryError):
        pretrain(tmp_path / "new", QUICK, progress=False)
    assert not list(tmp_path.iterdir())


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


def test_what_this_machine_cannot_do_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for asked in (PretrainSettings, CompressSettings):
        also = {"int8": True} if asked is CompressSettings else {}
        with pytest.raises(SettingsError, match=r"device is 'gpu'; it must be cpu or cuda"):
            asked(**also, device="gpu")
        with pytest.raises(SettingsError, match=r"device is 'cuda', and PyTorch finds no GPU here\. Leave the device out"):
            asked(**also, device="cuda")
        with pytest.raises(UnknownNameError, match=r"'fp16'.*float32, bfloat16"):
            asked(**also, precision="fp16")
        with pytest.raises(SettingsError, match="distinct is 0"):
            asked(**also, distinct=0)
        assert asked(**also, device="cpu", precision="bfloat16").device == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert PretrainSettings(device="cuda:0").device == "cuda:0"
    with pytest.raises(SettingsError, match=r"'cuda:1', and the last GPU here is cuda:0"):
        PretrainSettings(device="cuda:1")


@pytest.mark.parametrize(("names", "said"), [((), "the box is empty.*Give a folder"), (("one", "two"), "in the box are one, two,")])
def test_weights_that_are_nowhere_are_refused_with_those_that_there_are(names: tuple[str, ...], said: str,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "boxed", lambda: names)
    with pytest.raises(WeightsError, match=said) as found:
        read_weights("tiny")
    assert "weights=tiny" not in str(found.value)

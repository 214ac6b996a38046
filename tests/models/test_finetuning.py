"""Fine-tuning: it learns from the past alone, is kept only where it is better, and ends as ordinary weights."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.models.finetuning import LEAST_GAIN, SHARES, AdaptSettings, finetune, has_room, windows_held_back, write_adapted
from shelfcast.models.lessons import Lessons, LessonSettings
from shelfcast.models.pretrained import CARD, TENSORS, Pretrained, PretrainedSettings
from shelfcast.models.pretraining import read_network
from shelfcast.names import LEVELS
from shelfcast.nn.batch import Batch
from shelfcast.nn.callbacks import CsvHistory
from weights.shop import shop
from weights.toy import toy_folder

HORIZON = 7
QUICK = {"steps": 12, "validate_every": 3, "series": 8, "context": 32, "rate": 0.02, "ema": 0.0}


def asked(**changes) -> AdaptSettings:
    return AdaptSettings(**{"weights": str(toy_folder()), **QUICK, **changes})


def lessons(panel, **changes) -> Lessons:
    settings = LessonSettings(**{"horizon": HORIZON, "windows": 2, "context": 32, "series": 8, **changes})
    return Lessons([(panel, settings)], patch=8, levels=LEVELS, about={})


def network():
    card = json.loads((toy_folder() / CARD).read_text())
    return read_network(toy_folder(), card)


def same(one: Batch, other: Batch, *, but=()) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name), equal_nan=True)
               for f in fields(Batch) if f.name not in but)


@pytest.fixture(scope="module")
def learned():
    threads = torch.get_num_threads()
    yield finetune([(shop(), HORIZON)], asked(method="full"), progress=False)
    torch.set_num_threads(threads)


def test_what_is_learned_from_does_not_move_when_what_is_held_back_changes():
    """Sales of the two windows at the end are multiplied by 50: no batch of the training may know."""
    with lessons(shop()) as one, lessons(shop(later=50.0, after=100 - 2 * HORIZON)) as other:
        assert all(same(one.batch(k, 0), other.batch(k, 0)) for k in range(4))
        first, second = one.validation(), other.validation()
        assert same(first[0], second[0], but=("truth",)) and not same(first[0], second[0]), "the first of them knows nothing either"


def test_a_window_held_back_is_read_as_a_forecast_of_it_would_be():
    """Its truth is what was sold, in the units of the forecast; nothing of it shows in what the network is told."""
    panel = shop()
    with lessons(panel, windows=1) as task:
        (batch,) = task.validation()
    sold = panel.dense(context=HORIZON, covariates=()).sales
    truth = batch.truth * batch.scale[..., None]
    assert np.sort(truth[batch.there].ravel()) == pytest.approx(np.sort(sold[:, -HORIZON:].ravel()), rel=1e-5)
    assert (batch.x[:, :, -HORIZON:, :2] == 0).all()


def test_zero_shot_loses_exactly_one():
    """Losses are told as shares of zero-shot's, so that panels count alike however they are measured."""
    with Lessons([(shop(), LessonSettings(horizon=7, windows=2, context=32)),
                  (shop(days=60, every=7, seed=3), LessonSettings(horizon=4, windows=1, context=32))],
                 patch=8, levels=LEVELS, about={}) as task:
        plain = network().eval()
        task.start_from(task.measure(plain))
        with torch.no_grad():
            losses = [float(task.loss(plain, b.tensors())) for b in task.validation()]
        assert np.mean(losses) == pytest.approx(1.0, rel=1e-5)
        assert task.batch(0, 0).x.shape[2] != task.batch(1, 0).x.shape[2], "panels take turns"


def test_what_is_learned_is_better_on_what_was_held_back(learned):
    assert learned.better and learned.after[0] < learned.before[0]
    assert learned.share in SHARES
    assert learned.ratio <= learned.training.best_loss * (1 + 1e-3), "the mixture is no worse than all of it"
    assert "full: " in learned.told and "of zero-shot's after" in learned.told


def test_its_weights_forecast_what_the_network_says(learned, tmp_path):
    write_adapted(tmp_path, learned)
    panel = shop()
    before, after = (Pretrained(PretrainedSettings(weights=str(w), context=32, horizon=HORIZON)).fit(panel).predict(
        panel, horizon=HORIZON) for w in (toy_folder(), tmp_path))
    assert abs(after.quantiles - before.quantiles).max() > 1e-2
    card = json.loads((tmp_path / CARD).read_text())
    base = json.loads((toy_folder() / CARD).read_text())["files"][TENSORS]
    told = card["finetuning"]
    assert told["kept"] == "fine-tuned" and told["base"] == base and told["sales"] == [panel.fingerprint()]
    assert told["settings"]["method"] == "full" and card["trained_on"].startswith("simulated sales only")
    again = read_network(tmp_path, card).state_dict()
    assert all(torch.equal(v, again[k]) for k, v in learned.network.state_dict().items()), "nothing is rounded"


def test_where_no_step_is_better_the_zero_shot_weights_are_kept_and_it_is_said(tmp_path):
    """At a rate at which weights are thrown about."""
    found = finetune([(shop(), HORIZON)], asked(method="full", rate=0.9, steps=6), progress=False)
    assert not found.better and found.ratio > 1 - LEAST_GAIN and "nothing was better than zero-shot" in found.told
    own = network().state_dict()
    assert all(torch.equal(v, own[k]) for k, v in found.network.state_dict().items())
    write_adapted(tmp_path, found)
    assert json.loads((tmp_path / CARD).read_text())["finetuning"]["kept"] == "zero-shot"


def test_low_rank_updates_end_as_an_ordinary_network(tmp_path):
    pytest.importorskip("peft", reason="needs the extra adapt")
    found = finetune([(shop(), HORIZON)], asked(method="lora", rank=2, rate=3e-3), progress=False)
    assert found.network.state_dict().keys() == network().state_dict().keys()
    assert found.moved < sum(p.numel() for p in found.network.parameters())
    write_adapted(tmp_path, found)
    panel = shop()
    Pretrained(PretrainedSettings(weights=str(tmp_path), context=32)).fit(panel).predict(panel, horizon=HORIZON)


def test_several_panels_are_learned_together():
    panels = [(shop(), HORIZON), (shop(days=60, every=7, seed=3), 4)]
    found = finetune(panels, asked(method="top"), progress=False)
    assert len(found.before) == len(found.after) == 2 and found.windows == (2, 2)
    assert found.fingerprints == tuple(p.fingerprint() for p, _ in panels)
    assert found.ratio == pytest.approx(np.mean(np.array(found.after) / found.before))


def test_interrupted_it_goes_on_and_ends_in_the_same_numbers(learned, tmp_path, monkeypatch):
    record, told = CsvHistory.record, []

    def slip(self, row):
        told.append(row)
        if len(told) == 3:
            raise KeyboardInterrupt
        record(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(CsvHistory, "record", slip)
        with pytest.raises(KeyboardInterrupt):
            finetune([(shop(), HORIZON)], asked(method="full"), folder=tmp_path, progress=False)
    again = finetune([(shop(), HORIZON)], asked(method="full"), folder=tmp_path, progress=False)
    assert again.training.steps == learned.training.steps
    want = learned.network.state_dict()
    assert all(torch.equal(v, want[k]) for k, v in again.network.state_dict().items())
    with pytest.raises(SettingsError, match=r"is of another training"):
        finetune([(shop(seed=1), HORIZON)], asked(method="full"), folder=tmp_path, progress=False)


def test_what_cannot_be_done_is_said(tmp_path):
    with pytest.raises(SettingsError, match=r"History has 25 days.*9 are held back.*shorter --horizon"):
        finetune([(shop(days=25), 9)], asked(windows=1), progress=False)
    with pytest.raises(UnknownNameError, match="'tops'"):
        asked(method="tops")
    with pytest.raises(SettingsError, match="rate is 2"):
        asked(rate=2.0)
    with pytest.raises(SettingsError, match="context is 2,000; the network looks at 1,024 periods at most"):
        asked(context=2000)
    with pytest.raises(WeightsError, match="no pretrained weights"):
        finetune([(shop(), HORIZON)], asked(weights=str(tmp_path / "none")), progress=False)
    for path in toy_folder().iterdir():
        if path.name != TENSORS:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match="forecast and not learn"):
        finetune([(shop(), HORIZON)], asked(weights=str(tmp_path)), progress=False)


def test_how_much_is_held_back_follows_the_history():
    assert [windows_held_back(shop(days=n), HORIZON) for n in (30, 60, 100)] == [1, 1, 2]
    assert has_room(shop(days=36), HORIZON, 3) and not has_room(shop(days=35), HORIZON, 3)
    assert replace(asked(), windows=3).windows == 3

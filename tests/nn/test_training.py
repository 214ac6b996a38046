"""The training loop: it learns, stops when it should, says what is wrong, and forgets nothing when killed."""

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nn.tiny_task import SpoiltTask, TinyNetwork, TinyTask  # noqa: E402
from shelfcast.errors import DataError, SettingsError, UnknownNameError, WeightsError  # noqa: E402
from shelfcast.nn.checkpoint import FILE, network_tensors  # noqa: E402
from shelfcast.nn.training import StopTraining, TrainingSettings, draw_seed, train  # noqa: E402

QUICK = TrainingSettings(steps=30, rate=0.01, validate_every=10, checkpoint_every=7)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def weights(network):
    return {name: t.detach().clone() for name, t in network_tensors(network).items()}


def stop_at(step):
    def act(now, part):
        if now == step:
            raise KeyboardInterrupt
    return act


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd"}, {"optimizer": "muon"}, {"schedule": "wsd", "warmup": 5},
                                     {"ema": 0.9}, {"accumulate": 3}, {"precision": "bfloat16"},
                                     {"adversarial": "fgsm"}, {"adversarial": "pgd"}])
def test_every_way_of_training_learns(changes):
    settings = replace(QUICK, steps=80, **changes)
    trained = train(TinyNetwork(), TinyTask(), settings)
    first = train(TinyNetwork(), TinyTask(), replace(settings, steps=1)).history[0].validation
    assert trained.best_loss < 0.5 * first
    assert trained.stopped == "all steps done" and trained.steps == 80


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    runs = [weights(train(TinyNetwork(), TinyTask(), replace(QUICK, seed=seed)).network) for seed in (0, 0, 1)]
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(TinyNetwork(), TinyTask(), QUICK)
    assert torch.equal(torch.rand(2), expected)


def test_the_result_is_the_best_validation_and_not_the_last():
    trained = train(TinyNetwork(), TinyTask(), replace(QUICK, rate=0.3, schedule="constant"))
    task, losses = TinyTask(), []
    with torch.no_grad():
        losses = [float(task.loss(trained.network, b.tensors())) for b in task.validation()]
    assert trained.best_loss == pytest.approx(np.mean(losses), rel=1e-6)
    assert trained.best_loss == min(row.validation for row in trained.history)


def test_without_validation_the_averaged_weights_are_the_result():
    plain = train(TinyNetwork(), TinyTask(validations=0), QUICK)
    averaged = train(TinyNetwork(), TinyTask(validations=0), replace(QUICK, ema=0.99))
    assert plain.best_step is None and plain.history[-1].validation is None
    assert not same(weights(plain.network), weights(averaged.network))


def test_training_stops_when_validation_no_longer_improves():
    class Hopeless(TinyTask):
        def loss(self, network, batch):
            return super().loss(network, batch) if network.training else network.leave.bias.sum() * 0 + 1

    trained = train(TinyNetwork(), Hopeless(), replace(QUICK, steps=100, patience=2))
    assert trained.stopped == "no better validation" and trained.steps == 30 and trained.best_step == 10


def test_patience_without_validation_is_refused_before_training():
    task = TinyTask(validations=0)
    with pytest.raises(SettingsError, match="no validation batches"):
        train(TinyNetwork(), task, replace(QUICK, patience=3))
    assert task.drawn == []


def test_a_callback_can_end_a_training_well(tmp_path):
    class Impatient:
        def start(self, settings, history):
            pass

        def record(self, row):
            raise StopTraining("time is up")

        def finish(self, stopped):
            self.told = stopped

    callback = Impatient()
    trained = train(TinyNetwork(), TinyTask(), QUICK, folder=tmp_path, callbacks=[callback])
    assert trained.stopped == callback.told == "time is up" and trained.steps == 10


def test_callbacks_are_told_the_end_of_a_training_that_fails():
    class Listening:
        told = None

        def start(self, settings, history):
            pass

        def record(self, row):
            raise KeyError("of its own")

        def finish(self, stopped):
            self.told = stopped

    callback = Listening()
    with pytest.raises(KeyError):
        train(TinyNetwork(), TinyTask(), QUICK, callbacks=[callback])
    assert callback.told == ""


def test_a_loss_that_is_no_number_names_the_step_and_the_rate(tmp_path):
    with pytest.raises(SettingsError, match=r"At step 12 the loss is inf .* at a rate of 0\.00.* Lower the rate.*checkpoint"):
        train(TinyNetwork(), SpoiltTask(12, truth=np.inf), QUICK, folder=tmp_path)


def test_inputs_that_are_no_numbers_are_blamed_on_the_data():
    with pytest.raises(DataError, match="Part 0 of the batch of step 12 holds values in 'x'"):
        train(TinyNetwork(), SpoiltTask(12, x=np.nan), QUICK)


def test_a_validation_that_is_no_number_names_its_batch():
    class Overflowing(TinyTask):
        def loss(self, network, batch):
            return super().loss(network, batch) * (1 if network.training else torch.inf)

    with pytest.raises(SettingsError, match="After step 10 the loss of validation batch 0 is inf"):
        train(TinyNetwork(), Overflowing(), QUICK)


def test_a_network_without_weights_to_train_is_refused():
    for network in (torch.nn.Identity(), TinyNetwork().requires_grad_(False)):
        with pytest.raises(SettingsError, match="nothing to train"):
            train(network, TinyTask(), QUICK)


def test_progress_is_reported_step_by_step_and_a_resumed_training_reports_what_is_left(tmp_path):
    class Counting:
        def __init__(self):
            self.told = []

        def start(self, what, total):
            self.told += [total]

        def advance(self, steps=1):
            self.told += [steps]

        def finish(self):
            self.told += ["end"]

    first, second = Counting(), Counting()
    with pytest.raises(KeyboardInterrupt):
        train(TinyNetwork(), TinyTask(act=stop_at(9)), QUICK, folder=tmp_path, progress=first)
    train(TinyNetwork(), TinyTask(), QUICK, folder=tmp_path, progress=second)
    assert first.told == [30, *[1] * 9, "end"] and second.told == [23, *[1] * 23, "end"]


@pytest.mark.parametrize(("asked", "shown"), [(None, False), (False, False), (True, True)])
def test_away_from_a_terminal_nothing_is_shown_unless_asked(asked, shown, capsys):
    train(TinyNetwork(), TinyTask(), replace(QUICK, steps=3), progress=asked)
    assert ("training" in capsys.readouterr().err) is shown


@pytest.mark.parametrize(("setting", "value"), [("optimizer", "adam"), ("schedule", "cosin"), ("precision", "float16"),
                                                ("adversarial", "fgs")])
def test_unknown_kinds_are_refused_with_the_nearest(setting, value):
    with pytest.raises(UnknownNameError, match=f"{value!r}"):
        TrainingSettings(**{setting: value})


@pytest.mark.parametrize(("setting", "value"), [("steps", 0), ("rate", 0.0), ("rate", float("nan")), ("ema", 1.0), ("patience", 0),
                                                ("warmup", -1), ("clip", 0.0)])
def test_settings_out_of_range_are_refused_with_the_value(setting, value):
    with pytest.raises(SettingsError, match=f"{setting} is {value}"):
        TrainingSettings(**{setting: value})


def test_a_training_interrupted_and_resumed_ends_as_one_that_was_not(tmp_path):
    settings = replace(QUICK, ema=0.9, accumulate=2)
    straight = train(TinyNetwork(), TinyTask(), settings)
    for step in (3, 9, 16, 29):
        with pytest.raises(KeyboardInterrupt):
            train(TinyNetwork(), TinyTask(act=stop_at(step)), settings, folder=tmp_path)
    task = TinyTask()
    resumed = train(TinyNetwork(), task, settings, folder=tmp_path)
    assert task.drawn[0] == (28, 0)
    assert same(weights(straight.network), weights(resumed.network))
    assert [replace(r, seconds=0) for r in straight.history] == [replace(r, seconds=0) for r in resumed.history]


def test_the_best_weights_and_the_patience_from_before_a_kill_are_not_forgotten(tmp_path):
    class Worsening(TinyTask):
        def loss(self, network, batch):
            return super().loss(network, batch) if network.training else network.norm.weight.sum() * 0 + self.drawn[-1][0]

    settings = replace(QUICK, steps=60, patience=3)
    straight = train(TinyNetwork(), Worsening(), settings)
    with pytest.raises(KeyboardInterrupt):
        train(TinyNetwork(), Worsening(act=stop_at(25)), settings, folder=tmp_path)
    resumed = train(TinyNetwork(), Worsening(), settings, folder=tmp_path)
    assert straight.best_step == resumed.best_step == 10 and straight.steps == resumed.steps == 40
    assert resumed.best_loss == 9 and same(weights(straight.network), weights(resumed.network))


def test_a_training_that_ended_is_taken_as_it_ended(tmp_path):
    first = train(TinyNetwork(), TinyTask(), QUICK, folder=tmp_path)
    task = TinyTask()
    again = train(TinyNetwork(seed=5), task, QUICK, folder=tmp_path)
    assert task.drawn == [] and same(weights(first.network), weights(again.network)) and first.history == again.history


def test_resuming_with_other_settings_or_another_task_says_what_differs(tmp_path):
    train(TinyNetwork(), TinyTask(), QUICK, folder=tmp_path)
    with pytest.raises(SettingsError, match=r"settings\.rate was 0\.01, now 0\.02.*begin anew"):
        train(TinyNetwork(), TinyTask(), replace(QUICK, rate=0.02), folder=tmp_path)
    with pytest.raises(SettingsError, match=r"task\.name was tiny, now large"):
        train(TinyNetwork(), TinyTask(name="large"), QUICK, folder=tmp_path)
    with pytest.raises(WeightsError, match=r"another network .*enter\.weight"):
        train(TinyNetwork(width=7), TinyTask(), QUICK, folder=tmp_path)
    train(TinyNetwork(), TinyTask(), replace(QUICK, checkpoint_every=3), folder=tmp_path)


def test_a_damaged_checkpoint_is_refused_and_never_run(tmp_path):
    train(TinyNetwork(), TinyTask(), QUICK, folder=tmp_path)
    data = (tmp_path / FILE).read_bytes()
    for damaged in (b"", b"\x80\x05]q\x00.", data[: len(data) // 2], data[:8] + b"[" + data[9:]):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(WeightsError, match="no checkpoint of a training, or it is damaged"):
            train(TinyNetwork(), TinyTask(), QUICK, folder=tmp_path)


def test_the_history_file_has_each_row_once_however_often_training_was_stopped(tmp_path):
    for step in (12, 21, 22):
        with pytest.raises(KeyboardInterrupt):
            train(TinyNetwork(), TinyTask(act=stop_at(step)), QUICK, folder=tmp_path)
    train(TinyNetwork(), TinyTask(), QUICK, folder=tmp_path)
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == [10, 20, 30]
    assert all(float(r["validation"]) > 0 for r in rows)


def test_seeds_of_parts_steps_and_trainings_are_all_different():
    seeds = {draw_seed(seed, step, part) for seed in range(5) for step in range(20) for part in range(5)}
    assert len(seeds) == 500 and all(0 <= s < 2**63 for s in seeds)


def test_a_training_killed_twenty_times_ends_in_the_same_weights_to_the_byte(tmp_path):
    """Each training is a process of its own, killed at a random step or moment, wherever it then is."""
    program = Path(__file__).with_name("killed_training.py")
    environment = os.environ | {"PYTHONPATH": str(program.parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(program), str(tmp_path), "20"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["kills", "20", "equal", "True"], done.stdout


@pytest.mark.parametrize(("says", "kind"), [("DefaultCPUAllocator: can't allocate memory", MemoryError),
                                            ("shapes do not match", RuntimeError)])
def test_memory_that_there_is_not_is_told_from_other_errors(says, kind):
    class Greedy(TinyTask):
        def loss(self, network, batch):
            raise RuntimeError(says)

    with pytest.raises(kind) as caught:
        train(TinyNetwork(), Greedy(), QUICK)
    assert ("smaller" in str(caught.value)) == (kind is MemoryError)

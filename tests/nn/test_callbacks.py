"""Trackers of experiments: each keeps every row once, however often a training was stopped, and works without a network."""

import sys
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from nn.tiny_task import TinyNetwork, TinyTask  # noqa: E402
from shelfcast.errors import MissingExtraError, UnknownNameError  # noqa: E402
from shelfcast.nn.callbacks import MLflow, TensorBoard, WeightsAndBiases  # noqa: E402
from shelfcast.nn.training import TrainingSettings, train  # noqa: E402

SETTINGS = TrainingSettings(steps=30, rate=0.01, validate_every=5, checkpoint_every=10)


def stopped_and_resumed(folder, make):
    """A training that stops after rows that its checkpoint does not know, and one that goes on; the rows of both."""
    def act(step, part):
        if step == 18:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TinyNetwork(), TinyTask(act=act), SETTINGS, folder=folder, callbacks=[make()])
    return train(TinyNetwork(), TinyTask(), SETTINGS, folder=folder, callbacks=[make()]).history


def test_tensorboard_shows_each_row_of_a_resumed_training_once(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    rows = stopped_and_resumed(tmp_path, lambda: TensorBoard(tmp_path / "events"))
    found = reader.EventAccumulator(str(tmp_path / "events")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("validation")] == [(r.step, pytest.approx(r.validation)) for r in rows]


def mlflow_rows(folder, uri=None):
    pytest.importorskip("mlflow")
    rows = stopped_and_resumed(folder, lambda: MLflow(folder, uri=uri))
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri or f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("shelfcast").experiment_id])
    found = client.get_metric_history(run.info.run_id, "validation")
    assert sorted((m.step, m.value) for m in found) == [(r.step, r.validation) for r in rows]
    assert run.data.params["rate"] == "0.01" and run.data.tags["stopped"] == "all steps done" and run.info.status == "FINISHED"


def test_mlflow_has_one_run_with_each_row_of_a_resumed_training_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow_rows(tmp_path, uri=(tmp_path / "runs").as_uri())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflow_keeps_its_runs_in_a_database_of_the_folder_unless_told_otherwise(tmp_path):
    mlflow_rows(tmp_path)


def test_weights_and_biases_writes_one_run_into_the_folder_without_a_network(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    told, init = [], wandb.init
    monkeypatch.setattr(wandb, "init", lambda **given: told.append(given) or init(**given))
    stopped_and_resumed(tmp_path, lambda: WeightsAndBiases(tmp_path))
    assert len({given["id"] for given in told}) == 1 and {given["mode"] for given in told} == {"offline"}
    files = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert files and all(f.stat().st_size for f in files) and max(f.stat().st_size for f in files) > 500


@pytest.mark.parametrize(("kind", "package"), [(TensorBoard, "torch.utils.tensorboard"), (MLflow, "mlflow.tracking"),
                                               (WeightsAndBiases, "wandb")])
def test_a_tracker_that_is_not_installed_says_how_to_install_it_before_training(kind, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'shelfcast\[track\]'"):
        kind(tmp_path)


def test_an_unknown_mode_of_weights_and_biases_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="Known: offline, online"):
        WeightsAndBiases(tmp_path, mode="ofline")


def test_a_training_that_fails_is_marked_as_failed(tmp_path):
    told = []

    class Listening:
        def start(self, settings, history):
            told.append(settings["rate"])

        def record(self, row):
            raise ValueError

        def finish(self, stopped):
            told.append(stopped)

    with pytest.raises(ValueError):
        train(TinyNetwork(), TinyTask(), replace(SETTINGS, rate=0.02), callbacks=[Listening()])
    assert told == [0.02, ""]

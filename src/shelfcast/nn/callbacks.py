"""Who is told how a training goes: a CSV file always; TensorBoard, MLflow and Weights & Biases where asked for.

All write into a folder and reach for no network unless told to. A training that is resumed tells some rows again, with the
same numbers, since it goes on from a checkpoint before them: each callback keeps one of them.
"""

import csv
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from shelfcast.errors import MissingExtraError, UnknownNameError
from shelfcast.files import whole_file

HISTORY = "history.csv"


@dataclass(frozen=True, kw_only=True)
class Row:
    """How a training stood after a step.

    Attributes
    ----------
    step : steps done
    loss : mean training loss of the steps since the row before
    validation : mean loss over the validation batches, with averaged weights; None without such batches
    rate : of the step
    gradient : norm of the step's gradient before clipping
    seconds : trained so far, over all resumptions
    """

    step: int
    loss: float
    validation: float | None
    rate: float
    gradient: float
    seconds: float


class Callback(Protocol):
    """Told of a training as it goes; may end it by raising `shelfcast.nn.training.StopTraining`."""

    def start(self, settings: Mapping[str, Any], history: Sequence[Row]) -> None:
        """A training starts, or goes on after the rows of `history`; what was told beyond them will be told again."""

    def record(self, row: Row) -> None:
        """A new row."""

    def finish(self, stopped: str) -> None:
        """It is over: why; "" after an error. Called once after every `start`."""


class CsvHistory:
    """Rows as a CSV file. On resuming, rows that the checkpoint does not know are dropped, since they come again."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def start(self, settings: Mapping[str, Any], history: Sequence[Row]) -> None:  # noqa: ARG002
        """Write the rows so far, whole."""
        with whole_file(self._path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([f.name for f in fields(Row)])
            writer.writerows(list(asdict(row).values()) for row in history)

    def record(self, row: Row) -> None:
        """Append a row."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(list(asdict(row).values()))

    def finish(self, stopped: str) -> None:
        """Nothing is open."""


class TensorBoard:
    """Event files for TensorBoard, in a folder that is made."""

    def __init__(self, folder: Path | str) -> None:
        self._folder, self._writer = Path(folder), _summary_writer()

    def start(self, settings: Mapping[str, Any], history: Sequence[Row]) -> None:
        """Open a file; what an earlier one holds beyond `history` is hidden."""
        self._open = self._writer(str(self._folder), purge_step=history[-1].step + 1 if history else 0)
        if not history:
            self._open.add_text("settings", "  \n".join(f"{k}: {v}" for k, v in settings.items()))

    def record(self, row: Row) -> None:
        """Add a point to each curve."""
        for name, value in _numbers(row).items():
            self._open.add_scalar(name, value, row.step)
        self._open.flush()

    def finish(self, stopped: str) -> None:  # noqa: ARG002
        """Close the file."""
        self._open.close()


class MLflow:
    """A run of MLflow: settings as parameters, rows as metrics.

    Parameters
    ----------
    folder : where `mlflow.db` lies and the run's name is kept, so that a resumed training goes on with its run
    experiment : under which the run is listed
    uri : of a tracking server or another database; None: the SQLite file in `folder`
    """

    def __init__(self, folder: Path | str, *, experiment: str = "shelfcast", uri: str | None = None) -> None:
        self._folder, self._experiment = Path(folder), experiment
        self._uri = uri or f"sqlite:///{self._folder.resolve() / 'mlflow.db'}"
        self._kind = _mlflow_client()

    def start(self, settings: Mapping[str, Any], history: Sequence[Row]) -> None:
        """Make a run, or go on with the folder's."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages beneath it, about one another
            self._client = self._kind(tracking_uri=self._uri)
        kept = self._folder / "mlflow-run.txt"
        self._told = 0
        if history and kept.exists():
            self._run = kept.read_text(encoding="utf-8")
            self._told = max((m.step for m in self._client.get_metric_history(self._run, "loss")), default=0)
            return
        found = self._client.get_experiment_by_name(self._experiment)
        made = found.experiment_id if found else self._client.create_experiment(
            self._experiment, artifact_location=(self._folder.resolve() / "mlflow-artifacts").as_uri())
        self._run = self._client.create_run(made).info.run_id
        with whole_file(kept) as partial:
            partial.write_text(self._run, encoding="utf-8")
        for name, value in settings.items():
            self._client.log_param(self._run, name, value)

    def record(self, row: Row) -> None:
        """Log a row, unless this run has it already."""
        if row.step > self._told:
            for name, value in _numbers(row).items():
                self._client.log_metric(self._run, name, value, step=row.step)

    def finish(self, stopped: str) -> None:
        """Close the run: finished, or failed."""
        if stopped:
            self._client.set_tag(self._run, "stopped", stopped)
        self._client.set_terminated(self._run, "FINISHED" if stopped else "FAILED")


class WeightsAndBiases:
    """A run of Weights & Biases, offline unless told otherwise: `wandb sync` sends it later.

    Parameters
    ----------
    folder : for its files; the run's name is kept there, so that a resumed training goes on with its run
    project : under which the run is listed
    mode : "offline" or "online"
    """

    def __init__(self, folder: Path | str, *, project: str = "shelfcast", mode: str = "offline") -> None:
        if mode not in ("offline", "online"):
            raise UnknownNameError("mode of Weights & Biases", mode, ("offline", "online"))
        self._folder, self._project, self._mode = Path(folder), project, mode
        self._package = _wandb()

    def start(self, settings: Mapping[str, Any], history: Sequence[Row]) -> None:
        """Make a run, or go on with the folder's."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._folder / "wandb-run.txt"
        if not history or not kept.exists():
            with whole_file(kept) as partial:
                partial.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
        # A step that the run knows already is dropped by the service when it is sent.
        self._run = self._package.init(
            project=self._project, dir=str(self._folder), mode=self._mode, id=kept.read_text(encoding="utf-8"), resume="allow",
            config=dict(settings), settings=self._package.Settings(silent=True, console="off", disable_git=True, disable_code=True))

    def record(self, row: Row) -> None:
        """Log a row."""
        self._run.log(_numbers(row), step=row.step)

    def finish(self, stopped: str) -> None:
        """Close the run: finished, or failed."""
        if stopped:
            self._run.summary["stopped"] = stopped
        self._run.finish(exit_code=0 if stopped else 1)


def _numbers(row: Row) -> dict[str, float]:
    """What a curve can be drawn of."""
    return {name: value for name, value in asdict(row).items() if name != "step" and value is not None}


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("Writing for TensorBoard", "track", "tensorboard") from error
    return SummaryWriter


def _mlflow_client() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages beneath it, about one another
            from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise MissingExtraError("Telling MLflow", "track", "mlflow-skinny") from error
    return MlflowClient


def _wandb() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError("Telling Weights & Biases", "track", "wandb") from error
    return wandb

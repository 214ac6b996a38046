"""Who is told how a training goes: a CSV file always; TensorBoard, MLflow and Weights & Biases where asked for."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

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

"""Compression as a thing that a user asks for: smaller, faster weights, and a table of what that costs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from shelfcast.errors import MissingExtraError, shorten_path
from shelfcast.models.pretrained import CARD, boxed
from shelfcast.models.registry import LEARNED
from shelfcast.operate.runs import MODEL
from shelfcast.progress import Progress
from shelfcast.workflow.preparing import Say, silent

_WITHIN: Final = ("", "weights", MODEL + "/" + LEARNED, LEARNED)  # a run of `finetune`, one of `forecast`, a saved model


@dataclass(frozen=True)
class CompressResult:
    """What came of a compression.

    Attributes
    ----------
    done : whether all is done and `folder` holds weights
    folder : of the weights, or of the checkpoints
    summary : plain values for people and programs; `table` has a row for the weights before, and one for each thing done
    """

    done: bool
    folder: Path
    summary: dict[str, Any]


def compress(weights: Path | str, folder: Path | str, *, options: Mapping[str, Any] | None = None, resume: bool = False,
             minutes: float | None = None, command: str | None = None, say: Say = silent,
             progress: Progress | bool | None = None) -> CompressResult:
    """Make weights of the model `pretrained` smaller and faster, and measure them before and after on the same simulated retailers.

    Parameters
    ----------
    weights : their name in the box, a folder of them, or a run folder or saved model that holds some
    folder : of the result, written whole or not at all; while something is trained, checkpoints lie beside it
    options : settings by name, see `models.compressing.CompressSettings`
    resume : go on with what was begun there
    minutes : of training, after which it pauses; the same call with `resume` goes on
    command : that asked for it, for the card

    Raises
    ------
    MissingExtraError
        If PyTorch or what changes ONNX networks is not installed.
    SettingsError
        If a setting is wrong, or something was begun there and `resume` is not set.
    WeightsError
        If there are no such weights, or they are in eight bits already.
    """
    try:
        from shelfcast.models.compressing import CompressSettings
        from shelfcast.models.compressing import compress as work
    except ImportError as error:
        raise MissingExtraError("Compressing", "train", error.name or "torch") from error
    settings = CompressSettings(**(options or {}))
    found = work(_weights_in(weights), Path(folder), settings, resume=resume, minutes=minutes, command=command, progress=progress)
    for sentence in found.told:
        say(sentence)
    if not found.done:
        say(f"What was learned is kept in {shorten_path(found.folder)!r}; the same command with --resume goes on from there.")
    return CompressResult(found.done, found.folder, {
        "verb": "compress", "done": found.done, "weights": str(weights), "settings": asdict(settings), "told": list(found.told),
        "table": [asdict(row) for row in found.table],
        "trainings": {name: {"steps": one.steps, "stopped": one.stopped} for name, one in found.trained.items()},
        "files": {"weights" if found.done else "checkpoints": str(found.folder)}})


def _weights_in(weights: Path | str) -> Path | str:
    """The folder of weights within a run folder or saved model; what holds none, and a name of the box, as they are."""
    if str(weights) in boxed():
        return weights
    return next((inside for part in _WITHIN if ((inside := Path(weights) / part) / CARD).is_file()), weights)

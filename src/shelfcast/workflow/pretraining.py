"""Pretraining as a thing that a user asks for: weights of one's own, on drawn retailers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shelfcast
from shelfcast.errors import MissingExtraError, shorten_path
from shelfcast.files import whole_file
from shelfcast.nn.records import Training
from shelfcast.operate.runs import code_hash
from shelfcast.progress import Progress
from shelfcast.show.training_page import headline
from shelfcast.show.training_page import write_training as write_page
from shelfcast.workflow.preparing import Say, silent

if TYPE_CHECKING:
    from shelfcast.models.pretraining import PretrainSettings

PAGE = "training.html"


@dataclass(frozen=True)
class PretrainResult:
    """What came of a pretraining.

    Attributes
    ----------
    done : whether all steps are made and `folder` holds weights
    folder : of the weights, or of the checkpoint
    summary : plain values for people and programs
    """

    done: bool
    folder: Path
    summary: dict[str, Any]


def pretrain(folder: Path | str, *, options: Mapping[str, Any] | None = None, resume: bool = False, minutes: float | None = None,
             command: str | None = None, say: Say = silent, progress: Progress | bool | None = None) -> PretrainResult:
    """Train a network on simulated retailers, and keep its weights as a folder for the model `pretrained`.

    Parameters
    ----------
    folder : of the weights, written whole or not at all; while the training lasts, a checkpoint lies beside it
    options : settings by name, see `models.pretraining.PretrainSettings`
    resume : go on with a training that was begun there; one that has ended is told as it ended
    minutes : after which it pauses; the same call with `resume` goes on
    command : that asked for it, for the card

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    SettingsError
        If a setting is wrong, a training was begun there and `resume` is not set, or it is and the training had other settings.
    """
    try:
        from shelfcast.models.pretraining import PretrainSettings
        from shelfcast.models.pretraining import pretrain as train
    except ImportError as error:
        raise MissingExtraError("Pretraining", "train", error.name or "torch") from error
    settings = PretrainSettings(**(options or {}))
    found = train(Path(folder), settings, resume=resume, minutes=minutes, command=command, progress=progress)
    history = found.trained.history
    told = Training(network=found.shape, parameters=found.parameters, steps=found.trained.steps, asked=settings.steps,
                    stopped=found.trained.stopped, best_step=None, best_loss=None,
                    seconds=history[-1].seconds if history else 0.0, history=history)
    page = found.folder / PAGE
    if found.already:
        say(f"The pretraining for {shorten_path(found.folder)!r} is done, with these settings; nothing is left to train.")
    else:
        _write_page(page, told, settings)
    if not found.done:
        say(f"Step {found.trained.steps:,} of {settings.steps:,} is kept in {shorten_path(found.folder)!r}; the same command with "
            f"--resume goes on from there.")
    files = {**({"page": str(page)} if page.is_file() else {}), "weights" if found.done else "checkpoint": str(found.folder)}
    return PretrainResult(found.done, found.folder, {"verb": "pretrain", "done": found.done, "already": found.already,
                                                     "told": headline(told), "settings": asdict(settings), **told.as_json(),
                                                     "files": files})


def _write_page(page: Path, told: Training, settings: "PretrainSettings") -> None:
    with whole_file(page) as out:
        write_page(out, told, title=f"pretraining of {settings.size}", settings=asdict(settings),
                   facts={"shelfcast": shelfcast.__version__, "hash of the code": code_hash()})

"""A long training that may be killed: what is needed to go on lies beside its run folder until that is written.

    RUN.partial/
      training.json        what was asked for last
      at-work.json         the process that trains there (see `operate.taken`)
      training-KEY/        checkpoint.safetensors   history.csv

A run folder whose model was trained also holds

    training.html        how the loss went, settings, which places lean on others
    history.csv          loss by step
    place_weights.csv    item, location, weight of the other places

The key is a hash of the panel, of the model's settings and of the package's sources: a training that was begun with others is not
taken up.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

import shelfcast
from shelfcast.errors import SettingsError, shorten, shorten_path
from shelfcast.files import check_folder, whole_file
from shelfcast.models.base import Forecaster, WeighsPlaces, resumes
from shelfcast.nn.callbacks import HISTORY
from shelfcast.nn.records import Training
from shelfcast.operate.runs import Manifest, code_hash, write_tables
from shelfcast.operate.taken import LOCK, refuse_taken, remove_taken, taken
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, stage
from shelfcast.show.training_page import headline
from shelfcast.show.training_page import write_training as write_page
from shelfcast.workflow.preparing import Say

_ASKED: Final = "training.json"  # marks a folder of trainings as ours
_WORK: Final = "another training for the same --run"
_OTHERS: Final = {"sales": "other sales", "code": "another state of shelfcast's own code"}  # what differs and is a hash


@dataclass(frozen=True)
class Kept:
    """Where a training goes on from when it is killed; nowhere where there is no run folder to be written."""

    folder: Path | None = None


def partial_folder(run: Path) -> Path:
    """What lies beside a run folder while its model is trained."""
    return run.with_name(f"{run.name}.partial")


def refuse_trained(run: Path) -> None:
    """Refuse a run folder whose neighbour is not ours, or in which another process trains; before the work starts."""
    _refuse_crew()
    check_folder(partial_folder(run), marks=[_ASKED, LOCK])
    refuse_taken(partial_folder(run), work=_WORK)


@contextmanager
def kept(run: Path | None, model: Forecaster) -> Iterator[Kept]:
    """Hold the folder beside `run` until the block ends; it is removed when the block ends well.

    Where the block fails, what would be needed to go on stays; where nothing is, the folder goes.
    """
    if run is None or not resumes(model):
        yield Kept()
        return
    folder = partial_folder(run)
    with taken(folder, work=_WORK):
        try:
            yield Kept(folder)
        except BaseException:
            if not any(folder.glob("training-*/*.safetensors")):
                remove_taken(folder)
            raise
        remove_taken(folder)


def fit_kept(model: Forecaster, panel: SalesPanel, place: Kept, *, say: Say, progress: Progress) -> None:
    """Fit a model; one that trains long goes on where it was when it was killed."""
    if not resumes(model):
        with stage(progress, "fitting", 1):
            model.fit(panel)
        return
    _refuse_crew()
    if place.folder is None:
        model.fit(panel, progress=progress)
        return
    asked = _asked(model, panel)
    folder = place.folder / f"training-{_key(asked)}"
    _tell_others(place.folder, folder, asked, say)
    with whole_file(place.folder / _ASKED) as out:
        out.write_text(json.dumps(asked, indent=2, default=str) + "\n", encoding="utf-8")
    folder.mkdir(exist_ok=True)
    begun = _steps(folder)
    if begun is not None:
        say(f"The training that was begun before goes on from step {begun[0]:,} of {begun[1]:,}.")
    try:
        model.fit(panel, folder=folder, progress=progress)
    except KeyboardInterrupt:
        if (now := _steps(folder)) is not None:
            say(f"The training up to step {now[0]:,} of {now[1]:,} is kept in {shorten_path(place.folder)!r}; the same command "
                f"goes on from there.")
        raise


def account_of_training(model: Forecaster) -> dict[str, Any] | None:
    """How a model was trained, as plain values for people and programs; None for one that trains no network."""
    training = training_of(model)
    return None if training is None else {"told": headline(training), **training.as_json()}


def training_of(model: Forecaster) -> Training | None:
    """How a model that was fitted in this process was trained; None for one that trains no network."""
    found = getattr(model, "training_", None)
    return found if isinstance(found, Training) else None


def write_training(folder: Path, model: Forecaster, panel: SalesPanel, manifest: Manifest, *, title: str) -> None:
    """Write into a run folder how its model was trained; nothing where no network was."""
    training = training_of(model)
    if training is None:
        return
    rows = pl.DataFrame([asdict(row) for row in training.history], infer_schema_length=None)
    rows.write_csv(folder / HISTORY)
    weights = model.place_weights(panel) if isinstance(model, WeighsPlaces) else None
    if weights is not None:
        write_tables(folder, {"place_weights": weights})
    facts = {"model": manifest.model, "shelfcast": shelfcast.__version__, "hash of the code": code_hash(),
             "seed": str(manifest.seed), "data fingerprint": manifest.fingerprint, "data until": manifest.cutoff,
             "frequency": manifest.frequency,
             "device": f"{manifest.device} ({manifest.why_device})",
             "seconds": ", ".join(f"{k} {v:.1f}" for k, v in manifest.seconds.items())}
    settings: Any = getattr(model, "settings", None)
    write_page(folder / "training.html", training, title=title, settings={} if settings is None else asdict(settings), facts=facts,
               weights=weights, panel=panel)


def stood_back(model: Forecaster) -> str:
    """Why a network was not trained and a simpler model answers; empty where it was."""
    return str(getattr(model, "reason_", "")) if resumes(model) else ""


def _refuse_crew() -> None:
    """Refuse to be one of several processes: each would read the sales anew and write the same run folder."""
    size = os.environ.get("WORLD_SIZE", "1")
    if size != "1":
        raise SettingsError(f"WORLD_SIZE={shorten(size)} says that this is one of several processes that train together, as "
                            f"torchrun starts them, and a shelfcast command is one alone. Run it without torchrun (or unset "
                            f"WORLD_SIZE); to share a training, call SpaceTime(...).fit(panel) in a Python program: see "
                            f"'Several processes' in docs/space-time.md.")


def _asked(model: Forecaster, panel: SalesPanel) -> dict[str, Any]:
    """All that decides what is trained."""
    settings: Any = getattr(model, "settings", None)
    asked = {"model": model.traits.name, "sales": panel.fingerprint(), "shelfcast": shelfcast.__version__, "code": code_hash(),
             "settings": {} if settings is None else asdict(settings)}
    return dict(json.loads(json.dumps(asked, default=str)))


def _key(asked: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def _tell_others(place: Path, folder: Path, asked: Mapping[str, Any], say: Say) -> None:
    """Say that what another command began is not taken up, and what differs."""
    if folder.is_dir() or not any(place.glob("training-*/*.safetensors")):
        return
    try:
        last = json.loads((place / _ASKED).read_text(encoding="utf-8"))
        before, now = ({**one, **one["settings"]} for one in (last, asked))
    except (OSError, ValueError, KeyError, TypeError):
        before, now = {}, {}
    differing = [_OTHERS.get(n, f"{n} was {shorten(before[n], 40)}, now {shorten(now.get(n), 40)}") for n in before
                 if n != "settings" and before[n] != now.get(n)]
    why = f" ({'; '.join(differing[:5])})" if differing else ""
    say(f"{shorten_path(place)!r} holds an unfinished training that was begun with something else{why}. This one starts from the "
        f"beginning; the other is dropped when this one has ended.")


def _steps(folder: Path) -> tuple[int, int] | None:
    """Steps that a training's checkpoint has done, and that were asked for; None where there is no checkpoint."""
    from shelfcast.nn import checkpoint  # brings PyTorch

    path = folder / checkpoint.FILE
    if not path.exists():
        return None
    found = checkpoint.from_bytes(path.read_bytes(), origin=path)
    return found.step, int(found.identity["settings.steps"])

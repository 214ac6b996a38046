"""Pretraining: a network of one of three sizes, trained on drawn retailers, kept as a folder of weights.

    FOLDER/
      network.onnx           what forecasts
      network.safetensors    the same numbers for PyTorch, in bfloat16
      weights.json           the card: shape, seed, command, what it was trained on, hashes of the other files
      history.csv            loss by step

While it trains, `FOLDER.partial` beside it holds the checkpoint, and what was asked for (pretraining.json).
"""

import csv
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn

import shelfcast
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError, shorten, shorten_path
from shelfcast.files import check_folder, whole_file, whole_folder
from shelfcast.models.in_context import MOST_AHEAD, MOST_CONTEXT
from shelfcast.models.pretrained import CARD, FORMAT, GRAPH, TENSORS, checked_file, read_weights
from shelfcast.models.worlds import Drawing, Worlds
from shelfcast.names import LEVELS
from shelfcast.nn import checkpoint as saved
from shelfcast.nn.blocks import GateFusion
from shelfcast.nn.callbacks import HISTORY, Callback, Row
from shelfcast.nn.export import to_onnx
from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork, parameters_of
from shelfcast.nn.training import PAUSED, PRECISIONS, Trained, TrainingSettings, train
from shelfcast.progress import Progress

PATCH: Final = 8
_CLOSED: Final = -4.0  # bias of the gates at the start: places are listened to once it has been learned what for
TRAINED_ON: Final = "simulated sales only (shelfcast.world.prior); no real series"
_ASKED: Final = "pretraining.json"  # marks a folder of a checkpoint as ours
_CHANGES_NOTHING: Final = ("processes", "threads", "device")  # settings with which a training may be gone on with otherwise


@dataclass(frozen=True)
class Size:
    """The shape of a network's encoders: numbers a token, layers, heads."""

    width: int
    layers: int
    heads: int


SIZES: Final[Mapping[str, Size]] = MappingProxyType({
    "toy": Size(48, 2, 4), "tiny": Size(128, 4, 4), "small": Size(288, 7, 8), "base": Size(448, 7, 8)})
"""About 0.2, 1, 8 and 19 million parameters; `toy` is for checks that training works at all."""


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """How a network is pretrained.

    Attributes
    ----------
    size : name of `SIZES`
    steps : of training, each on `worlds` retailers
    worlds, series : retailers of a step, and series of each, about
    rate : highest learning rate
    precision : "float32", or "bfloat16" for matrix products
    processes : that draw retailers ahead; 0: this one
    threads : of PyTorch
    seed : of the first weights
    drawn : seed of the retailers
    device : "cpu", "cuda", or None: a GPU where there is one
    regimes : kinds of retailers; all when empty
    distinct : retailers; after so many they come again. None: always new ones
    """

    size: str = "tiny"
    steps: int = 2_500
    worlds: int = 4
    series: int = 192
    rate: float = 8e-4
    precision: str = "float32"
    processes: int = 1
    threads: int = 1
    seed: int = 0
    drawn: int = 0
    device: str | None = None
    regimes: tuple[str, ...] = ()
    distinct: int | None = None

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UnknownNameError("size", self.size, SIZES)
        for name in ("steps", "worlds", "series", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("processes", "seed", "drawn"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must not be negative.")
        if not 0 < self.rate < 1:
            raise SettingsError(f"rate is {self.rate}; it must be above 0 and below 1.")
        check_device(self.device)
        check_precision(self.precision)
        Drawing(seed=self.drawn, series=self.series, patch=PATCH, regimes=self.regimes, distinct=self.distinct)


def check_device(device: str | None) -> None:
    """Refuse a device that is not known, or not here; None is fine.

    Raises
    ------
    SettingsError
        Says what to give.
    """
    kind, colon, number = (device or "cpu").partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise SettingsError(f"The device is {shorten(device)!r}; it must be cpu or cuda (a GPU). Left out, a GPU is taken where "
                            f"there is one.")
    if kind == "cpu":
        return
    if not torch.cuda.is_available():
        raise SettingsError(f"The device is {shorten(device)!r}, and PyTorch finds no GPU here. Leave the device out, or give "
                            f"cpu; for a GPU, install a PyTorch that was built for it.")
    if colon and int(number) >= torch.cuda.device_count():
        raise SettingsError(f"The device is {shorten(device)!r}, and the last GPU here is cuda:{torch.cuda.device_count() - 1}.")


def check_precision(precision: str) -> None:
    """Refuse a precision of matrix products in which nothing is trained here."""
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", str(precision), PRECISIONS)


@dataclass(frozen=True)
class Pretraining:
    """How a pretraining stands.

    Attributes
    ----------
    done : whether all steps are made and the folder is written
    trained : how it went
    parameters, shape : of the network
    folder : of the weights, or, where it is not done, of the checkpoint
    already : whether it was done before it was asked for, and nothing was trained
    """

    done: bool
    trained: Trained
    parameters: int
    shape: Mapping[str, Any]
    folder: Path
    already: bool = False


def partial_of(folder: Path) -> Path:
    """Where the checkpoint lies while weights are trained."""
    return folder.with_name(f"{folder.name}.partial")


def pretrain(folder: Path, settings: PretrainSettings = PretrainSettings(), *, resume: bool = False, minutes: float | None = None,
             command: str | None = None, callbacks: Sequence[Callback] = (),
             progress: Progress | bool | None = None) -> Pretraining:
    """Train a network on drawn retailers and write its weights, whole or not at all.

    Parameters
    ----------
    resume : go on with the training that was begun for this folder, and leave one that has ended as it is; without, one that was
        begun is refused, and weights that are there are replaced in the end
    minutes : after which a checkpoint is written and the function returns
    command : that asked for it, for the card

    Raises
    ------
    SettingsError
        If a training was begun there and `resume` is not set; with it, if what was begun or has ended there had other settings.
    """
    s, partial = settings, partial_of(folder)
    check_folder(folder, marks=[CARD])
    check_folder(partial, marks=[_ASKED, saved.FILE, HISTORY])
    begun = (partial / saved.FILE).is_file()
    if begun and not resume:
        raise SettingsError(f"A pretraining for {shorten_path(folder)!r} was begun and lies in {shorten_path(partial)!r}. Go on "
                            f"with it (--resume), or remove that folder.")
    if minutes is not None and not minutes > 0:
        raise SettingsError(f"minutes is {minutes}; it must be above 0.")
    if begun:
        _refuse_other(s, _asked_for(partial / _ASKED), f"The pretraining in {shorten_path(partial)!r} was begun with",
                      "Go on with the same settings, or remove that folder.")
    elif resume and (folder / CARD).is_file():
        return _ended(folder, s)
    partial.mkdir(parents=True, exist_ok=True)
    if not begun:
        with whole_file(partial / _ASKED) as out:
            out.write_text(json.dumps(asdict(s), indent=2) + "\n", encoding="utf-8")
    device = s.device or ("cuda" if torch.cuda.is_available() else "cpu")
    before = torch.get_num_threads()
    drawing = Drawing(seed=s.drawn, series=s.series, patch=PATCH, regimes=s.regimes, distinct=s.distinct)
    try:
        torch.set_num_threads(s.threads)
        with Worlds(drawing, parts=s.worlds, processes=s.processes) as task:
            network = new_network(s.size, task, s.seed).to(device)
            trained = train(network, task, _training(s), folder=partial, callbacks=callbacks, progress=progress,
                            pause_after=None if minutes is None else 60 * minutes)
    except BaseException:
        if not (partial / saved.FILE).is_file():  # nothing to go on with
            shutil.rmtree(partial)
        raise
    finally:
        torch.set_num_threads(before)
    count, shape = parameters_of(network), network.settings.as_json()
    if trained.stopped == PAUSED:
        return Pretraining(False, trained, count, shape, partial)
    about = {"size": s.size, "trained_on": TRAINED_ON, "pretraining": asdict(s), "steps": trained.steps,
             "seconds": trained.history[-1].seconds if trained.history else 0.0,
             "validation": trained.history[-1].validation if trained.history else None,
             **({"command": command} if command else {})}
    with whole_folder(folder) as out:
        write_weights(out, network.cpu(), about, history=(partial / HISTORY).read_bytes())
    shutil.rmtree(partial)
    return Pretraining(True, trained, count, shape, folder)


def _ended(folder: Path, settings: PretrainSettings) -> Pretraining:
    """The training that made the weights of a folder, as it went."""
    weights = read_weights(folder)
    card, told = weights.card, f"The weights in {shorten_path(folder)!r}"
    if "pretraining" not in card or "finetuning" in card or "compressed" in card:
        raise SettingsError(f"{told} are of no pretraining alone, so there is none to go on with. Leave --resume out to train anew "
                            f"and replace them, or give another folder.")
    _refuse_other(settings, card["pretraining"], f"{told} were trained with",
                  "Leave --resume out to train anew and replace them, or give another folder.")
    network = read_network(folder, card).eval()
    trained = Trained(network, _rows(checked_file(folder, card, HISTORY)), int(card["steps"]), "all steps done", None, None)
    return Pretraining(True, trained, parameters_of(network), network.settings.as_json(), folder, already=True)


def _asked_for(path: Path) -> Mapping[str, Any]:
    """Settings with which a training was begun; none where an earlier version did not note them, and the checkpoint must tell."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{shorten_path(path)!r} cannot be read. Remove its folder to train from the start.") from error


def _refuse_other(settings: PretrainSettings, found: Mapping[str, Any], told: str, advice: str) -> None:
    """Refuse settings that make other weights than those that were found; what is not found was as it is by itself."""
    if not found:
        return
    wanted = json.loads(json.dumps(asdict(settings)))  # a tuple is a list there
    usual = {f.name: f.default for f in fields(PretrainSettings)}
    usual["regimes"] = []
    differing = [f"{k} {shorten(was, 40)}, now {shorten(now, 40)}" for k, now in wanted.items()
                 if k not in _CHANGES_NOTHING and (was := found.get(k, usual[k])) != now]
    if differing:
        raise SettingsError(f"{told} {'; '.join(differing)}. {advice}")


def _rows(history: bytes) -> tuple[Row, ...]:
    """The rows that `CsvHistory` wrote."""
    read = csv.DictReader(history.decode().splitlines())
    return tuple(Row(step=int(row["step"]), loss=float(row["loss"]), rate=float(row["rate"]), gradient=float(row["gradient"]),
                     validation=float(row["validation"]) if row["validation"] else None, seconds=float(row["seconds"]))
                 for row in read)


def new_network(size: str, task: Worlds, seed: int = 0) -> SpaceTimeNetwork:
    """A network of a size, for batches such as the task's, its weights as they begin."""
    first, of = task.batch(0, 0), SIZES[size]
    shape = NetworkSettings(channels=first.x.shape[-1], statics=first.static.shape[-1], relations=first.links.shape[-1], items=1,
                            places=1, context=MOST_CONTEXT, horizon=MOST_AHEAD, patch=PATCH, width=of.width, layers=of.layers,
                            heads=of.heads, dropout=0.0, banded=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SpaceTimeNetwork(shape)
    for fusion in network.fusions.values():
        if isinstance(fusion, GateFusion):
            nn.init.constant_(fusion.gate.bias, _CLOSED)
    return network


def _training(s: PretrainSettings) -> TrainingSettings:
    return TrainingSettings(
        steps=s.steps, rate=s.rate, warmup=min(150, s.steps // 5), schedule="cosine", weight_decay=0.02, clip=1.0,
        ema=0.995 if s.steps >= 1_000 else 0.98, accumulate=s.worlds, precision=s.precision, keep_best=False,
        validate_every=max(1, min(100, s.steps // 10)), checkpoint_every=50, seed=s.seed)


def write_weights(folder: Path, network: SpaceTimeNetwork, about: Mapping[str, Any], *, history: bytes | None = None,
                  precision: torch.dtype = torch.bfloat16) -> None:
    """Write a network into an empty folder; its numbers are rounded to a precision, in both files alike."""
    from safetensors.torch import save

    rounded: dict[str, Tensor] = {name: value.detach().to(precision) for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in rounded.items()})
    network.eval()
    (folder / TENSORS).write_bytes(save({name: value.contiguous() for name, value in rounded.items()}))  # as others may read it
    (folder / GRAPH).write_bytes(to_onnx(network, any_length=True))
    if history is not None:
        (folder / HISTORY).write_bytes(history)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    card = {"format": FORMAT, "shelfcast": shelfcast.__version__, "parameters": parameters_of(network),
            "network": network.settings.as_json(), "levels": list(LEVELS), **about, "files": files}
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def read_network(folder: Path, card: Mapping[str, Any]) -> SpaceTimeNetwork:
    """The network of a folder of weights as PyTorch knows it, in float32.

    Raises
    ------
    WeightsError
        If the tensors are absent, damaged, or not what the card says.
    """
    from safetensors.torch import load

    tensors = load(checked_file(folder, card, TENSORS))
    network = SpaceTimeNetwork(NetworkSettings.from_json(dict(card["network"])))
    network.load_state_dict({name: value.float() for name, value in tensors.items()})
    return network

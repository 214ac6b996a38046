"""Pretraining: a network of one of three sizes, trained on drawn retailers, kept as a folder of weights.

    FOLDER/
      network.onnx           what forecasts
      network.safetensors    the same numbers for PyTorch, in bfloat16
      weights.json           the card: shape, seed, command, what it was trained on, hashes of the other files
      history.csv            loss by step

While it trains, `FOLDER.partial` beside it holds the checkpoint.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn

import shelfcast
from shelfcast.errors import SettingsError, UnknownNameError, shorten_path
from shelfcast.files import check_folder, whole_folder
from shelfcast.models.in_context import MOST_AHEAD, MOST_CONTEXT
from shelfcast.models.pretrained import CARD, FORMAT, GRAPH, TENSORS, checked_file
from shelfcast.models.worlds import Drawing, Worlds
from shelfcast.names import LEVELS
from shelfcast.nn import checkpoint as saved
from shelfcast.nn.blocks import GateFusion
from shelfcast.nn.callbacks import HISTORY, Callback
from shelfcast.nn.export import to_onnx
from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork, parameters_of
from shelfcast.nn.training import PAUSED, Trained, TrainingSettings, train
from shelfcast.progress import Progress

PATCH: Final = 8
_CLOSED: Final = -4.0  # bias of the gates at the start: places are listened to once it has been learned what for
TRAINED_ON: Final = "simulated sales only (shelfcast.world.prior); no real series"
@dataclass(frozen=True)
class Size:
    """The shape of a network's encoders: numbers a token, layers, heads."""

    width: int
    layers: int
    heads: int


SIZES: Final[Mapping[str, Size]] = MappingProxyType({
    "toy": Size(48, 2, 4), "tiny": Size(128, 4, 4), "small": Size(288, 7, 8), "base": Size(448, 7, 8)})
"""About 0.1, 1, 8 and 19 million parameters; `toy` is for checks that training works at all."""


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


@dataclass(frozen=True)
class Pretraining:
    """How a pretraining stands.

    Attributes
    ----------
    done : whether all steps are made and the folder is written
    trained : how it went
    parameters, shape : of the network
    folder : of the weights, or, where it is not done, of the checkpoint
    """

    done: bool
    trained: Trained
    parameters: int
    shape: Mapping[str, Any]
    folder: Path


def partial_of(folder: Path) -> Path:
    """Where the checkpoint lies while weights are trained."""
    return folder.with_name(f"{folder.name}.partial")


def pretrain(folder: Path, settings: PretrainSettings = PretrainSettings(), *, resume: bool = False, minutes: float | None = None,
             callbacks: Sequence[Callback] = (), progress: Progress | bool | None = None) -> Pretraining:
    """Train a network on drawn retailers and write its weights, whole or not at all.

    Parameters
    ----------
    resume : go on with the training that was begun for this folder; without, one that was begun is refused
    minutes : after which a checkpoint is written and the function returns

    Raises
    ------
    SettingsError
        If a training was begun there and `resume` is not set, or it was begun with other settings.
    """
    s, partial = settings, partial_of(folder)
    check_folder(folder, marks=[CARD])
    begun = (partial / saved.FILE).is_file()
    if begun and not resume:
        raise SettingsError(f"A pretraining for {shorten_path(folder)!r} was begun and lies in {shorten_path(partial)!r}. Go on "
                            f"with it (--resume), or remove that folder.")
    if minutes is not None and not minutes > 0:
        raise SettingsError(f"minutes is {minutes}; it must be above 0.")
    partial.mkdir(parents=True, exist_ok=True)
    device = s.device or ("cuda" if torch.cuda.is_available() else "cpu")
    before = torch.get_num_threads()
    drawing = Drawing(seed=s.drawn, series=s.series, patch=PATCH, regimes=s.regimes, distinct=s.distinct)
    try:
        torch.set_num_threads(s.threads)
        with Worlds(drawing, parts=s.worlds, processes=s.processes) as task:
            network = new_network(s.size, task, s.seed).to(device)
            trained = train(network, task, _training(s), folder=partial, callbacks=callbacks, progress=progress,
                            pause_after=None if minutes is None else 60 * minutes)
    finally:
        torch.set_num_threads(before)
    count, shape = parameters_of(network), network.settings.as_json()
    if trained.stopped == PAUSED:
        return Pretraining(False, trained, count, shape, partial)
    about = {"size": s.size, "trained_on": TRAINED_ON, "pretraining": asdict(s), "steps": trained.steps,
             "seconds": trained.history[-1].seconds if trained.history else 0.0,
             "validation": trained.history[-1].validation if trained.history else None,
             "command": " ".join(["shelfcast", *sys.argv[1:]])}
    with whole_folder(folder) as out:
        write_weights(out, network.cpu(), about, history=(partial / HISTORY).read_bytes())
    shutil.rmtree(partial)
    return Pretraining(True, trained, count, shape, folder)


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
    from safetensors.torch import save_file

    rounded: dict[str, Tensor] = {name: value.detach().to(precision) for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in rounded.items()})
    network.eval()
    save_file({name: value.contiguous() for name, value in rounded.items()}, folder / TENSORS)
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

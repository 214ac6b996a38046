"""Compression: weights that forecast nearly as well, smaller and faster, and what that costs, measured.

Up to three things are done, in this order:

    distil   a smaller network learns on drawn retailers what the large one says of them, beside the truth
    prune    units that matter least are taken out; what is left learns for a while to say what it said before
    int8     matrix products in whole numbers of eight bits, but where the loss forbids it

The result is a folder of weights as pretraining writes it (`models.pretraining`), without `network.safetensors` where it is in
eight bits: such a network can forecast, and learn no more. While it is made, `FOLDER.partial` holds the checkpoints of its
trainings. Before and after are measured on the same drawn retailers, from which nothing was learned.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

import shelfcast
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError, shorten_path
from shelfcast.files import check_folder, whole_file, whole_folder
from shelfcast.models.pretrained import CARD, FORMAT, GRAPH, TENSORS, Weights, read_weights
from shelfcast.models.pretraining import PATCH, SIZES, check_device, check_precision, partial_of, read_network, write_weights
from shelfcast.models.worlds import Drawing, Worlds, closed_form_loss, validation_worlds
from shelfcast.names import LEVELS
from shelfcast.nn import checkpoint as saved
from shelfcast.nn.batch import Batch
from shelfcast.nn.callbacks import HISTORY
from shelfcast.nn.compress import Following, importance, pruned
from shelfcast.nn.export import Runner, to_onnx
from shelfcast.nn.losses import total_loss
from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork, parameters_of
from shelfcast.nn.quantise import Quantised, quantise, ranges_of
from shelfcast.nn.training import PAUSED, Trained, TrainingSettings, train
from shelfcast.progress import Progress

ASKED: Final = "compress.json"  # marks a folder of checkpoints as ours
AT: Final = (0.1, 0.5, 0.9)  # levels at which calibration is told
_SHAPE: Final = "network.json"
_STEPS: Final = {"distilled": 3_000, "pruned": 400}
_RATES: Final = {"distilled": 2e-3, "pruned": 5e-4}
_ROUNDS: Final = 5  # of timing


@dataclass(frozen=True, kw_only=True)
class CompressSettings:
    """What is done to weights, and how.

    Attributes
    ----------
    int8 : put matrix products into eight bits
    prune : share of the parameters to take out, in (0, 1); None: none
    distil_into : size of the network that learns from this one, see `models.pretraining.SIZES`; None: none
    steps : of each training; 3,000 for distilling and 400 after pruning when None; 0: none after pruning
    rise : that eight bits may add to the loss, as a share of it; what would add more stays in float32
    truth : weight of the truth in what is learned, in [0, 1); the rest is what the network before says
    worlds, series : retailers of a step, and series of each, about
    measured : retailers on which before and after are measured
    rated : other retailers, on which units are rated and eight bits are chosen
    precision : of matrix products in training: "float32" or "bfloat16"
    processes : that draw retailers ahead; 0: this one
    threads : of PyTorch
    seed : of the first weights and of what is drawn in training
    drawn : of the retailers
    distinct : retailers to learn from, after which they come again; None: always new ones
    device : "cpu", "cuda", or None: a GPU where there is one
    """

    int8: bool = False
    prune: float | None = None
    distil_into: str | None = None
    steps: int | None = None
    rise: float = 0.002
    truth: float = 0.5
    worlds: int = 2
    series: int = 96
    measured: int = 30
    rated: int = 12
    precision: str = "float32"
    processes: int = 1
    threads: int = 1
    seed: int = 0
    drawn: int = 0
    distinct: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if not (self.int8 or self.prune is not None or self.distil_into):
            raise SettingsError("Nothing is asked for: give --int8, --prune SHARE or --distil-into SIZE, or several of them.")
        if self.distil_into and self.distil_into not in SIZES:
            raise UnknownNameError("size", self.distil_into, SIZES)
        if self.prune is not None and not 0 < self.prune < 1:
            raise SettingsError(f"The share to prune is {self.prune:g}; it must be above 0 and below 1, such as 0.3.")
        if self.distil_into and self.steps == 0:
            raise SettingsError("steps is 0, and without any a smaller network learns nothing. Leave --steps out, or give more.")
        for name, least in (("steps", 0), ("processes", 0), ("seed", 0), ("drawn", 0), ("worlds", 1), ("series", 1),
                            ("measured", 1), ("rated", 1), ("threads", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise SettingsError(f"{name} is {value}; it must be at least {least}.")
        if not 0 <= self.truth < 1 or not 0 <= self.rise < 1:
            raise SettingsError(f"truth is {self.truth:g} and rise is {self.rise:g}; both must be from 0 up to, not including, 1.")
        check_device(self.device)
        check_precision(self.precision)
        Drawing(seed=self.drawn, series=self.series, patch=PATCH, distinct=self.distinct)

    @property
    def trains(self) -> bool:
        """Whether anything is learned."""
        return bool(self.distil_into) or (self.prune is not None and self.steps != 0)


@dataclass(frozen=True)
class Measured:
    """What a network is worth.

    Attributes
    ----------
    name : what was done, "before" for nothing
    size : bytes of the file that forecasts
    parameters : numbers in it that were learned
    speed : forecasts (series) a second of one core
    faster : times as fast as before, the median over rounds in which all were timed in turn
    loss : pinball in units of the closed form's at three levels, as in training: only ratios between networks measured on the same
        retailers mean something, see `models.worlds.closed_form_loss`
    below : share of truths at or below the quantiles of `AT`, evenly spread at ties
    """

    name: str
    size: int
    parameters: int
    speed: float
    faster: float
    loss: float
    below: tuple[float, ...]


@dataclass(frozen=True)
class Compressed:
    """How a compression stands.

    Attributes
    ----------
    done : whether the folder is written
    folder : of the weights, or, where it is not done, of the checkpoints
    table : before, and after each thing that was done; empty where it is not done
    told : sentences about what was done
    trained : the trainings by name, as far as they went
    """

    done: bool
    folder: Path
    table: tuple[Measured, ...]
    told: tuple[str, ...]
    trained: Mapping[str, Trained]


def compress(weights: str | Path, folder: Path, settings: CompressSettings, *, resume: bool = False, minutes: float | None = None,
             command: str | None = None, progress: Progress | bool | None = None) -> Compressed:
    """Compress weights into a folder, which is written whole or not at all.

    Parameters
    ----------
    weights : their name in the box, or a folder of them
    resume : go on with what was begun for this folder; without, what was begun is refused
    minutes : of training, after which a checkpoint is written and the function returns
    command : that asked for it, for the card

    Raises
    ------
    WeightsError
        If there are no such weights, or they are in eight bits already, or can forecast alone and should learn or be pruned.
    SettingsError
        If the folder is that of the weights themselves, something was begun there and `resume` is not set, or it was begun with
        other settings.
    """
    work = _Work(read_weights(weights), folder, settings, command, progress)
    work.refuse(resume, minutes)
    before = torch.get_num_threads()
    s = settings
    try:
        torch.set_num_threads(s.threads)
        with Worlds(work.drawing, parts=s.worlds, processes=s.processes if s.trains else 0, validated=s.measured) as task:
            return work.go(task, None if minutes is None else time.monotonic() + 60 * minutes)
    finally:
        torch.set_num_threads(before)


class _Work:
    """One compression."""

    def __init__(self, weights: Weights, folder: Path, settings: CompressSettings, command: str | None,
                 progress: Progress | bool | None) -> None:
        self.weights, self.folder, self.settings, self.command, self.progress = weights, folder, settings, command, progress
        self.partial = partial_of(folder)
        self.drawing = Drawing(seed=settings.drawn, series=settings.series, patch=PATCH, distinct=settings.distinct)
        self.trained: dict[str, Trained] = {}
        self.told: list[str] = []
        self._rated: list[Batch] = []

    def refuse(self, resume: bool, minutes: float | None) -> None:
        """What cannot be done, before the work starts."""
        if self.weights.card.get("precision") == "int8":
            raise WeightsError(f"The weights in {shorten_path(self.weights.folder)!r} are in eight bits already, and such can "
                               f"neither learn nor be rounded again. Compress those that they were made of.")
        learns = self.settings.distil_into or self.settings.prune is not None
        if learns and not (self.weights.folder / TENSORS).is_file():
            raise WeightsError(f"The weights in {shorten_path(self.weights.folder)!r} have no {TENSORS}: they can be put into "
                               f"eight bits, and neither pruned nor distilled. Compress those that they were made of.")
        if minutes is not None and not minutes > 0:
            raise SettingsError(f"minutes is {minutes:g}; it must be above 0.")
        if self.folder.resolve() == self.weights.folder.resolve():
            raise SettingsError(f"{shorten_path(self.folder)!r} holds the weights that are to be compressed; give another folder "
                                f"for the result (--out).")
        check_folder(self.folder, marks=[CARD])
        check_folder(self.partial, marks=[ASKED])
        asked = {**asdict(self.settings), "of": self.weights.card["files"][GRAPH]}
        path = self.partial / ASKED
        if path.is_file():
            if not resume:
                raise SettingsError(f"A compression for {shorten_path(self.folder)!r} was begun and lies in "
                                    f"{shorten_path(self.partial)!r}. Go on with it (--resume), or remove that folder.")
            begun = json.loads(path.read_text(encoding="utf-8"))
            if begun != asked:
                other = ", ".join(sorted(k for k in {**begun, **asked} if begun.get(k) != asked.get(k)))
                raise SettingsError(f"The compression in {shorten_path(self.partial)!r} was begun with another {other}. Go on with "
                                    f"the same settings, or remove that folder.")
        elif self.settings.trains:
            self.partial.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as out:
                out.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")

    def go(self, task: Worlds, until: float | None) -> Compressed:
        """Do what is asked, one thing after another."""
        s, models = self.settings, {"before": (self.weights.onnx, int(self.weights.card["parameters"]))}
        network = read_network(self.weights.folder, self.weights.card) if s.distil_into or s.prune is not None else None
        makers: dict[str, Callable[[SpaceTimeNetwork], SpaceTimeNetwork]] = {}
        if s.distil_into:
            makers["distilled"] = self._student
        if s.prune is not None:
            makers["pruned"] = lambda teacher: self._smaller(teacher, task)
        for name, make in makers.items():
            assert network is not None
            network = self._made(name, make, network, task, until)
            if network is None:
                return Compressed(False, self.partial, (), tuple(self.told), self.trained)
            models[name] = to_onnx(network, any_length=True), parameters_of(network)
        last, parameters = models[next(reversed(models))]
        if s.int8:
            worlds = self._worlds()
            found = quantise(last, ranges_of(last, map(in_whole_tokens, worlds)), lambda model: loss_of(model, worlds), most=s.rise)
            self._tell_int8(found)
            models["int8"] = found.model, parameters
        table = measure(models, list(task.validation()))
        self._write(network, models[next(reversed(models))][0], table)
        return Compressed(True, self.folder, table, tuple(self.told), self.trained)

    def _made(self, name: str, make: Callable[[SpaceTimeNetwork], SpaceTimeNetwork], teacher: SpaceTimeNetwork, task: Worlds,
              until: float | None) -> SpaceTimeNetwork | None:
        """A smaller network that learned from its teacher; None where time was up."""
        s = self.settings
        steps = _STEPS[name] if s.steps is None else s.steps
        if not steps:
            return make(teacher).eval()
        place = self.partial / name
        place.mkdir(exist_ok=True)
        if (place / saved.FILE).is_file() and (place / _SHAPE).is_file():  # what is left of it must be what it was
            network = SpaceTimeNetwork(NetworkSettings.from_json(json.loads((place / _SHAPE).read_text(encoding="utf-8"))))
        else:
            network = make(teacher)
            with whole_file(place / _SHAPE) as out:
                out.write_text(json.dumps(network.settings.as_json()) + "\n", encoding="utf-8")
        device = s.device or ("cuda" if torch.cuda.is_available() else "cpu")
        training = TrainingSettings(
            steps=steps, rate=_RATES[name], warmup=min(150, steps // 5), schedule="wsd", weight_decay=0.02,
            ema=0.995 if steps >= 1_000 else 0.98, accumulate=s.worlds, precision=s.precision, keep_best=False,
            validate_every=max(1, min(100, steps // 4)), checkpoint_every=50, seed=s.seed)
        following = Following(task, teacher.to(device), truth=s.truth, unit=closed_form_loss)
        left = None if until is None else max(until - time.monotonic(), 1e-3)
        found = train(network.to(device), following, training, folder=place, progress=self.progress, pause_after=left)
        teacher.cpu()
        self.trained[name] = found
        if found.stopped == PAUSED:
            self.told.append(f"{name.capitalize()}: step {found.steps:,} of {steps:,}.")
            return None
        return network.cpu().eval()

    def _student(self, teacher: SpaceTimeNetwork) -> SpaceTimeNetwork:
        of = SIZES[str(self.settings.distil_into)]
        shape = replace(teacher.settings, width=of.width, layers=of.layers, heads=of.heads, kept=None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return SpaceTimeNetwork(shape)

    def _smaller(self, teacher: SpaceTimeNetwork, task: Worlds) -> SpaceTimeNetwork:
        worth = importance(teacher.eval(), self._worlds(), task.loss)
        return pruned(teacher, worth, float(self.settings.prune or 0.0))

    def _worlds(self) -> list[Batch]:
        """Retailers on which units are rated and eight bits are chosen: neither learned from nor measured on."""
        if not self._rated:
            drawing = replace(self.drawing, seed=self.settings.drawn + 1)  # what is measured on is drawn from 0
            self._rated = [batch for batch, _ in validation_worlds(drawing, self.settings.rated)]
        return self._rated

    def _tell_int8(self, found: Quantised) -> None:
        stay = f"; in float32 stay {', '.join(found.floats)}" if found.floats else ", in all parts of the network"
        self.told.append(f"Eight bits add {found.rise:+.2%} to the loss on {self.settings.rated} other retailers{stay}.")

    def _write(self, network: SpaceTimeNetwork | None, model: bytes, table: Sequence[Measured]) -> None:
        s, card = self.settings, self.weights.card
        about: dict[str, Any] = {
            **{k: v for k, v in card.items()
               if k not in ("files", "network", "parameters", "shelfcast", "format", "levels", "command")},
            "compressed": {"of": card["files"][GRAPH], **asdict(s), "told": self.told, "table": [asdict(row) for row in table]},
            **({"command": self.command} if self.command else {})}
        if s.distil_into:
            about["size"] = s.distil_into
        with whole_folder(self.folder) as out:
            if s.int8:
                (out / GRAPH).write_bytes(model)
                shape = card["network"] if network is None else network.settings.as_json()
                files = {GRAPH: hashlib.sha256(model).hexdigest()}
                whole = {"format": FORMAT, "shelfcast": shelfcast.__version__, "parameters": table[-1].parameters, "network": shape,
                         "levels": card["levels"], **about, "precision": "int8", "files": files}
                (out / CARD).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
            else:
                assert network is not None
                histories = [self.partial / name / HISTORY for name in self.trained]
                write_weights(out, network, about, history=histories[-1].read_bytes() if histories else None)
        if self.partial.is_dir():
            shutil.rmtree(self.partial)


# -- measuring --------------------------------------------------------------------------------------------------------


def loss_of(model: bytes, batches: Sequence[Batch]) -> float:
    """Mean loss of an ONNX network over batches, each in the units of training (`models.worlds.closed_form_loss`)."""
    runner = Runner(model, threads=1)
    return float(np.mean([_loss(runner.run(in_whole_tokens(batch))[0], batch) for batch in batches]))


def in_whole_tokens(batch: Batch) -> Batch:
    """A batch whose horizon is filled up with zeros to whole tokens, as an exported network wants it."""
    short = -batch.anchor.shape[2] % PATCH
    x = np.pad(batch.x, ((0, 0), (0, 0), (0, short), (0, 0)))
    return replace(batch, x=x, anchor=np.pad(batch.anchor, ((0, 0), (0, 0), (0, short))))


def measure(models: Mapping[str, tuple[bytes, int]], batches: Sequence[Batch]) -> tuple[Measured, ...]:
    """Measure ONNX networks, each with its number of parameters, on the same batches; the first is what others are held against.

    All are timed in turn, round after round, by the time of the processor, so that what else the machine does falls on all alike.
    """
    runners = {name: Runner(model, threads=1) for name, (model, _) in models.items()}
    losses: dict[str, list[float]] = {name: [] for name in models}
    below: dict[str, list[np.ndarray]] = {name: [] for name in models}
    asked = [in_whole_tokens(batch) for batch in batches]
    for batch, told in zip(batches, asked, strict=True):
        for name, runner in runners.items():  # also the first pass, which allocates
            quantiles = runner.run(told)[0][:, :, :batch.anchor.shape[2]]
            losses[name].append(_loss(quantiles, batch))
            below[name].append(_below(quantiles, batch))
    series = sum(int(batch.there.sum()) for batch in batches)
    seconds = np.zeros((_ROUNDS, len(models)))
    for k in range(_ROUNDS):
        for j, runner in enumerate(runners.values()):
            for told in asked:
                began = time.process_time()
                runner.run(told)
                seconds[k, j] += time.process_time() - began
    return tuple(Measured(name, len(model), parameters, float(np.median(series / seconds[:, j])),
                          float(np.median(seconds[:, 0] / seconds[:, j])), float(np.mean(losses[name])),
                          tuple(float(v) for v in np.concatenate(below[name]).mean(axis=0)))
                 for j, (name, (model, parameters)) in enumerate(models.items()))


def _loss(quantiles: np.ndarray, batch: Batch) -> float:
    nothing, told = torch.zeros(()), batch.tensors()
    said = torch.from_numpy(np.ascontiguousarray(quantiles[:, :, :batch.anchor.shape[2]]))
    found = total_loss("pinball", told, (said, nothing, nothing), torch.tensor(LEVELS, dtype=torch.float32))
    return float(found / closed_form_loss(told))


def _below(quantiles: np.ndarray, batch: Batch) -> np.ndarray:
    """(cells, len(AT)): whether the truth lies at or below the quantile of each level of `AT`.

    Where several quantiles are equal to the truth, as at 0, it is spread evenly over their levels.
    """
    counted = np.isfinite(batch.truth) & batch.there[..., None] & ~batch.lower & (batch.weight > 0)[..., None]
    truth, said = batch.truth[counted][:, None], np.maximum(quantiles[counted], 0.0)
    edges = np.r_[0.0, LEVELS]
    low, high = edges[(said < truth).sum(axis=1)], edges[(said <= truth).sum(axis=1)]
    tied = (high > low)[:, None]
    share = (np.array(AT) - low[:, None]) / np.where(tied, (high - low)[:, None], 1.0)
    return np.where(tied, np.clip(share, 0.0, 1.0), np.array(AT) > low[:, None])

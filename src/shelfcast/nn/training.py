"""One loop for everything that is trained here.

It takes a network, a task (batches and a loss) and settings. What it does in a step is a pure function of the state and of
(seed, step, part), so a training that was killed and resumed ends in the same weights as one never killed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from shelfcast.errors import DataError, SettingsError, UnknownNameError
from shelfcast.nn import checkpoint as saved
from shelfcast.nn.adversarial import ATTACKS, attacked
from shelfcast.nn.averaging import Average
from shelfcast.nn.batch import INPUTS, Batch
from shelfcast.nn.callbacks import HISTORY, Callback, CsvHistory, Row
from shelfcast.nn.distributed import Crew, joined
from shelfcast.nn.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, rate_factor, trained
from shelfcast.progress import Bar, Progress, Silent, for_terminal, stage

PRECISIONS = ("float32", "bfloat16")
PAUSED = "paused"
_SPEED_ONLY = ("checkpoint_every",)  # settings that change no weight: a training may be resumed with others
_VALIDATION = 2**40  # beyond any part: validation draws nothing that training draws


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a network is trained.

    Attributes
    ----------
    steps : updates of the weights, at most
    optimizer : "adamw", "sgd" or "muon"
    rate : highest learning rate
    momentum : of sgd and muon, in [0, 1)
    warmup : steps over which the rate rises
    schedule : of the rate after that: "constant", "cosine", "linear" or "wsd" (constant, then down over the last fifth)
    weight_decay : of matrices; not of norms, biases and embeddings
    clip : longest gradient, as its norm; None: no limit
    ema : decay of the averaged weights, in [0, 1); 0: no averaging
    accumulate : batch parts of a step, whose gradients are averaged
    precision : "float32", or "bfloat16" for matrix products (weights stay float32)
    patience : validations without a better one before training stops; None: never
    validate_every : steps between validations, and between rows of the history
    checkpoint_every : steps between checkpoints, where a folder is given
    keep_best : the weights of the best validation are the result, not the last
    seed : of what is drawn inside a step (dropout, attacks); batches are the task's
    adversarial : "none", "fgsm" or "pgd": half of the loss is that of an attacked batch
    adversarial_size : how far an input is moved at most, in units of the network's input
    adversarial_steps : of pgd
    adversarial_channels : of the input, moved beside sales
    """

    steps: int = 1000
    optimizer: str = "adamw"
    rate: float = 1e-3
    momentum: float = 0.95
    warmup: int = 0
    schedule: str = "cosine"
    weight_decay: float = 0.01
    clip: float | None = 1.0
    ema: float = 0.0
    accumulate: int = 1
    precision: str = "float32"
    patience: int | None = None
    validate_every: int = 100
    checkpoint_every: int = 100
    keep_best: bool = True
    seed: int = 0
    adversarial: str = "none"
    adversarial_size: float = 0.05
    adversarial_steps: int = 3
    adversarial_channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for what, name, known in (("optimizer", self.optimizer, OPTIMIZERS), ("schedule", self.schedule, SCHEDULES),
                                  ("precision", self.precision, PRECISIONS), ("attack", self.adversarial, ATTACKS)):
            if name not in known:
                raise UnknownNameError(what, name, known)
        for name in ("steps", "accumulate", "validate_every", "checkpoint_every", "adversarial_steps", "patience"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1.")
        for name in ("warmup", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must not be negative.")
        for name in ("rate", "clip", "adversarial_size"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise SettingsError(f"{name} is {value}; it must be above 0.")
        for name in ("momentum", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be from 0 up to, not including, 1.")


class Task(Protocol):
    """What is to be learned. Batches are pure functions: asked twice, the same comes."""

    def batch(self, step: int, part: int) -> Batch:
        """Part 0 .. accumulate - 1 of a step's batch; numpy or tensors."""

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over a batch of tensors, scalar."""

    def validation(self) -> Iterable[Batch]:
        """Always the same batches; none: no validation."""


@runtime_checkable
class Identified(Protocol):
    """A task that can say which it is, so that a checkpoint of another is refused."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Simple values that tell this task (data, sampler, loss) from others."""


class StopTraining(Exception):
    """Raised by a callback to end a training well, with the best weights so far; its text says why."""


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes
    ----------
    network : with the best weights, or the averaged last ones; in evaluation mode
    history : rows, oldest first
    steps : done
    stopped : why: "all steps done", "no better validation", or what a callback said
    best_step, best_loss : the best validation; None without any
    """

    network: nn.Module
    history: tuple[Row, ...]
    steps: int
    stopped: str
    best_step: int | None
    best_loss: float | None


def train(network: nn.Module, task: Task, settings: TrainingSettings, *, folder: Path | None = None,
          callbacks: Sequence[Callback] = (), progress: Progress | bool | None = None, pause_after: float | None = None) -> Trained:
    """Train a network where it is (its device), and load the best weights into it.

    Parameters
    ----------
    network : any module that the task's loss can call; its weights are changed
    folder : for `history.csv` and the checkpoint; a training found there goes on, one that ended there is taken as it ended
    progress : where progress goes; None: a bar on a terminal; True or False: a bar, or none
    pause_after : seconds after which a checkpoint is written and the training waits to be gone on with (`Trained.stopped` is then
        `PAUSED`); needs a folder

    Raises
    ------
    SettingsError
        If the loss is no longer finite, or the folder holds another training.
    DataError
        If a batch holds inputs that are not finite.
    MemoryError
        If there is not enough of it.
    """
    device = _device(network)
    with joined(device) as crew, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        run = _Run(network, task, settings, crew=crew, folder=folder)
        run.resume()
        told: list[Callback] = ([CsvHistory(folder / HISTORY)] if folder else []) + list(callbacks) if crew.leads else []
        with _told(told, run), _memory_told(), stage(_shown(progress, crew), "training", settings.steps - run.step) as bar:
            paused = run.go_on(told, bar, until=None if pause_after is None else time.monotonic() + pause_after)
    found = run.result()
    return replace(found, stopped=PAUSED) if paused else found


def draw_seed(seed: int, step: int, part: int) -> int:
    """The seed of what is drawn in a part of a step: unrelated to that of any other part, step or seed."""
    (state,) = np.random.SeedSequence([seed, step, part]).generate_state(1, np.uint64)
    return int(state) >> 1  # a whole number with a sign, as torch takes it


class _Run:
    """A training between its steps."""

    def __init__(self, network: nn.Module, task: Task, settings: TrainingSettings, *, crew: Crew, folder: Path | None) -> None:
        self.network, self.task, self.settings, self.crew, self.folder = network, task, settings, crew, folder
        self.device = _device(network)
        self.parameters = [p for _, p in trained(network)]
        self.optimizer = Optimizer(network, kind=settings.optimizer, rate=settings.rate, momentum=settings.momentum,
                                   weight_decay=settings.weight_decay)
        self.step, self.stopped, self.seconds = 0, "", 0.0
        self.history: list[Row] = []
        self.losses: list[float] = []  # since the last row
        self.gradient = 0.0
        self.best: dict[str, Tensor] = {}
        self.best_step: int | None = None
        self.best_loss: float | None = None
        self.misses = 0
        self._check()
        crew.same_start(list(saved.network_tensors(network).values()))
        self.average = Average(network, settings.ema)

    def _check(self) -> None:
        if not self.parameters:
            raise SettingsError("This network has nothing to train: no parameter of it requires a gradient.")
        norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
        if self.crew.size > 1 and any(isinstance(m, norms) for m in self.network.modules()):
            raise SettingsError("Batch norm learns from the batches that a process sees, so several processes would not train what "
                                "one does. Use layer norm, or train in one process.")
        if self.settings.accumulate < self.crew.size:
            raise SettingsError(f"{self.crew.size} processes share the {self.settings.accumulate} parts of a step, so some would "
                                f"have none. Set accumulate to a multiple of {self.crew.size}, or start fewer processes.")
        if self.settings.patience is not None and next(iter(self.task.validation()), None) is None:
            raise SettingsError(f"patience is {self.settings.patience}, but there are no validation batches to be patient about. "
                                f"Hold some out, or set patience to None.")

    # ---- the loop

    def go_on(self, told: Sequence[Callback], bar: Progress, *, until: float | None) -> bool:
        """Train until something says stop, or, on the monotonic clock, `until`; whether it was that."""
        self.network.train()
        while not self.stopped:
            if until is not None and time.monotonic() >= until and self.folder:
                self._save(self.folder / saved.FILE)
                return True
            begun = time.perf_counter()
            self._learn()
            self.step += 1
            ending = self.step == self.settings.steps
            row = self._row() if ending or self.step % self.settings.validate_every == 0 else None
            self.seconds += time.perf_counter() - begun
            if row is not None:
                self._tell(told, replace(row, seconds=round(self.seconds, 3)))
            if not self.stopped and ending:
                self.stopped = "all steps done"
            if self.folder and (self.stopped or self.step % self.settings.checkpoint_every == 0):
                self._save(self.folder / saved.FILE)
            bar.advance()
        return False

    def _learn(self) -> None:
        """One step: gradients of all parts, averaged over them, and one move along them."""
        for parameter in self.parameters:
            parameter.grad = None
        loss = torch.zeros((), device=self.device)
        for part in self.crew.share(self.settings.accumulate):
            loss += self._part(part) / self.settings.accumulate
        (loss,) = self.crew.add_gradients(self.parameters, loss[None])
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip if self.settings.clip is not None else float("inf"))
        self.losses.append(float(loss))
        self.gradient = float(norm)
        if not np.isfinite(self.losses[-1]) or not np.isfinite(self.gradient):
            self._explain()
        self.optimizer.step(self._factor())
        self.average.update(self.step + 1)

    def _part(self, part: int) -> Tensor:
        """Loss of one part; its gradient is added to the parameters'."""
        settings = self.settings
        batch = self.task.batch(self.step, part).tensors(str(self.device))
        loss = self._loss(batch, part)
        if settings.adversarial == "none":
            (loss / settings.accumulate).backward()
            return loss.detach()
        (loss / (2 * settings.accumulate)).backward()
        torch.manual_seed(draw_seed(settings.seed, self.step, part + settings.accumulate))  # of the attack's random start
        batch = attacked(batch, lambda b: self._loss(b, part), kind=settings.adversarial, size=settings.adversarial_size,
                         steps=settings.adversarial_steps, channels=settings.adversarial_channels)
        other = self._loss(batch, part)
        (other / (2 * settings.accumulate)).backward()
        return (loss.detach() + other.detach()) / 2

    def _loss(self, batch: Batch, part: int) -> Tensor:
        torch.manual_seed(draw_seed(self.settings.seed, self.step, part))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            return self.task.loss(self.network, batch)

    def _factor(self) -> float:
        s = self.settings
        return rate_factor(self.step, steps=s.steps, warmup=s.warmup, schedule=s.schedule)

    def _explain(self) -> None:
        """Say why the loss is no longer a number: the data, or the rate."""
        for part in range(self.settings.accumulate):
            batch = self.task.batch(self.step, part).tensors()
            for name in INPUTS:
                if not bool(torch.isfinite(getattr(batch, name)).all()):
                    raise DataError(f"Part {part} of the batch of step {self.step} holds values in {name!r} that are not finite. "
                                    f"Missing inputs are 0 with a mask beside them; mend what draws the batches.")
        last = f" The last checkpoint, from before, is in {str(self.folder)!r}." if self.folder and self.step else ""
        raise SettingsError(f"At step {self.step} the loss is {self.losses[-1]} and the gradient's norm {self.gradient}, at a rate "
                            f"of {self.settings.rate * self._factor():.3g}. Lower the rate (a third of it is a good try), lengthen "
                            f"the warm-up ({self.settings.warmup} steps) or clip gradients (clip is {self.settings.clip}).{last}")

    # ---- validation

    def _row(self) -> Row:
        validation = self._validate()
        rate = self.settings.rate * rate_factor(self.step - 1, steps=self.settings.steps, warmup=self.settings.warmup,
                                                schedule=self.settings.schedule)
        row = Row(step=self.step, loss=float(np.mean(self.losses)), validation=validation, rate=rate, gradient=self.gradient,
                  seconds=self.seconds)
        self.losses = []
        return row

    @torch.no_grad()
    def _validate(self) -> float | None:
        """Mean loss over the validation batches with averaged weights; keeps the best, counts misses."""
        losses: list[float] = []
        self.network.eval()
        with self.average.shown():
            for number, batch in enumerate(self.task.validation()):
                mine = number % self.crew.size == self.crew.rank
                losses.append(float(self._loss(batch.tensors(str(self.device)), _VALIDATION + number)) if mine else 0.0)
            self.network.train()
            if not losses:
                return None
            each = torch.tensor(losses, dtype=torch.float64, device=self.device)
            self.crew.add_up(each)
            found = float(each.mean())
            if not np.isfinite(found):
                wrong = int((~each.isfinite()).nonzero()[0])
                raise SettingsError(f"After step {self.step} the loss of validation batch {wrong} is {float(each[wrong])}, "
                                    f"although training went well. Look for unknown or endless values in it, or lower the rate.")
            if self.best_loss is None or found < self.best_loss:
                self.best_step, self.best_loss, self.misses = self.step, found, 0
                if self.settings.keep_best:
                    self.best = {name: t.detach().clone() for name, t in saved.network_tensors(self.network).items()}
            else:
                self.misses += 1
        return found

    def _tell(self, told: Sequence[Callback], row: Row) -> None:
        self.history.append(row)
        why = ""
        try:
            for callback in told:
                callback.record(row)
        except StopTraining as stop:
            why = str(stop) or "a callback stopped it"
        if self.settings.patience is not None and self.misses >= self.settings.patience:
            why = why or "no better validation"
        self.stopped = (self.crew.from_leader(why.encode() if self.crew.leads else None, self.device) or b"").decode()

    # ---- its state in a file

    def resume(self) -> None:
        """Go on where the folder's checkpoint stands, if there is one."""
        path = self.folder / saved.FILE if self.folder else None
        data = path.read_bytes() if path and self.crew.leads and path.exists() else None
        data = self.crew.from_leader(data, self.device)
        if data is None:
            return
        found = saved.from_bytes(data, origin=path)
        saved.check_identity(found.identity, self._identity(), origin=path)
        saved.load_network(self.network, found.part("network"), origin=path)
        self.optimizer.restore(found.part("optimizer"))
        self.average.restore(found.part("average"))
        self.best = {name: t.to(self.device) for name, t in found.part("best").items()}
        plain = found.plain
        self.step, self.stopped, self.seconds, self.gradient = found.step, plain["stopped"], plain["seconds"], plain["gradient"]
        self.history = [Row(**row) for row in plain["history"]]
        self.losses, self.misses = list(plain["losses"]), plain["misses"]
        self.best_step, self.best_loss = plain["best_step"], plain["best_loss"]

    def _save(self, path: Path) -> None:
        if not self.crew.leads:
            return
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": saved.network_tensors(self.network), "optimizer": self.optimizer.state(),
            "average": self.average.values, "best": self.best}
        tensors = {f"{part}/{name}": tensor for part, held in parts.items() for name, tensor in held.items()}
        plain = {"stopped": self.stopped, "seconds": self.seconds, "gradient": self.gradient, "losses": self.losses,
                 "misses": self.misses, "best_step": self.best_step, "best_loss": self.best_loss,
                 "history": [asdict(row) for row in self.history]}
        saved.save(saved.Checkpoint(self.step, self._identity(), tensors, plain), path)

    def _identity(self) -> dict[str, Any]:
        asked = {f"settings.{k}": v for k, v in asdict(self.settings).items() if k not in _SPEED_ONLY}
        task = self.task.fingerprint() if isinstance(self.task, Identified) else {}
        return {**asked, **{f"task.{k}": v for k, v in task.items()}}

    def result(self) -> Trained:
        """The network with the weights that count."""
        if self.best:
            saved.load_network(self.network, self.best, origin="the best validation")
        else:
            self.average.settle()
        self.network.eval()
        return Trained(self.network, tuple(self.history), self.step, self.stopped, self.best_step, self.best_loss)


@contextmanager
def _told(callbacks: Sequence[Callback], run: _Run) -> Iterator[None]:
    """Tell callbacks of the start, and of the end whatever happens."""
    with ExitStack() as stack:
        settings = asdict(run.settings)
        for callback in callbacks:
            callback.start(settings, tuple(run.history))
            stack.callback(_finish(callback, run))
        yield


@contextmanager
def _memory_told() -> Iterator[None]:
    """What PyTorch says of memory that it does not get is a plain RuntimeError on the CPU; callers tell it from others."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise MemoryError("A training needs more memory than there is: make the batches smaller (series), or the network."
                              ) from error
        raise


def _device(network: nn.Module) -> torch.device:
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def _shown(progress: Progress | bool | None, crew: Crew) -> Progress:
    """Where progress goes; of several processes only the first shows any."""
    if progress is False or not crew.leads:
        return Silent()
    if progress is None:
        return for_terminal()
    return Bar() if progress is True else progress


def _finish(callback: Callback, run: _Run) -> Callable[[], None]:
    return lambda: callback.finish(run.stopped)

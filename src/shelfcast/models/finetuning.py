"""Fine-tuning: a pretrained network learns from a customer's own sales, and is kept only where it forecasts them better.

The zero-shot network is scored first, on windows that are held back. Then those numbers move that the method moves (`nn.adapt`),
at a small rate, until no validation is better. What was learned is mixed with what was known in the share that validation likes
best (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). If no mixture is clearly better than zero-shot, the zero-shot
weights are the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Final, get_args

import numpy as np
import torch

from shelfcast.errors import SettingsError, UnknownNameError, WeightsError, shorten_path
from shelfcast.models.in_context import MOST_AHEAD, MOST_CONTEXT
from shelfcast.models.lessons import LEAST_PAST, Lessons, LessonSettings, length_of
from shelfcast.models.pretrained import TENSORS, Weights, read_weights
from shelfcast.models.pretraining import read_network, write_weights
from shelfcast.nn import adapt
from shelfcast.nn.callbacks import Callback
from shelfcast.nn.network import SpaceTimeNetwork, parameters_of
from shelfcast.nn.records import Training
from shelfcast.nn.training import Trained, TrainingSettings, train
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress

RATES: Final[Mapping[str, float]] = MappingProxyType({"frozen": 5e-4, "top": 2e-4, "lora": 3e-4, "full": 1e-4})
"""Highest learning rate of each method, where none is given."""
SHARES: Final = (0.25, 0.5, 0.75, 1.0)
"""Of what was learned, that are tried."""
LEAST_GAIN: Final = 0.005  # of validation loss: less does not carry over to windows that validation has not seen
MOST_WINDOWS: Final = 2  # that are held back for validation where nobody says
_SHARE_HELD_BACK: Final = 0.2  # of the history, at most, where nobody says


@dataclass(frozen=True, kw_only=True)
class AdaptSettings:
    """How a pretrained network learns from a customer's sales.

    Attributes
    ----------
    method : which numbers move, see `nn.adapt`: frozen, top, lora or full
    weights : name of weights in the box, or a folder of them
    steps : of training, at most
    rate : highest learning rate; that of the method in `RATES` when None
    rank : of the updates of `lora`
    layers : of time, counted from the last, that `top` moves
    windows : of the past that are held back for validation; 2, or 1 where the past is short, when None
    patience : validations without a better one before training stops
    validate_every : steps from one validation to the next
    series : of a batch, about
    shocks : deviation of noise that all places of a group share, in logs about; 0 for none
    mirrored : some windows are of the past run backwards, where history spans years
    weight_decay, ema : see `nn.training.TrainingSettings`
    context : periods of the past that the network looks at, 1,024 at most; by frequency when None
    seed : of all draws
    threads : of PyTorch
    country : two letters, for public holidays; none when None
    """

    method: adapt.Method = "top"
    weights: str = "tiny"
    steps: int = 300
    rate: float | None = None
    rank: int = 8
    layers: int = 1
    windows: int | None = None
    patience: int = 5
    validate_every: int = 20
    series: int = 96
    shocks: float = 0.0
    mirrored: bool = False
    weight_decay: float = 0.0
    ema: float = 0.95
    context: int | None = None
    seed: int = 0
    threads: int = 1
    country: str | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(adapt.Method):
            raise UnknownNameError("method of fine-tuning", str(self.method), get_args(adapt.Method))
        for name in ("steps", "rank", "layers", "windows", "patience", "validate_every", "series", "context", "threads"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1.")
        if self.context is not None and self.context > MOST_CONTEXT:
            raise SettingsError(f"context is {self.context:,}; the network looks at {MOST_CONTEXT:,} periods at most. Statistics "
                                f"reach further back by themselves.")
        if self.rate is not None and not 0 < self.rate < 1:
            raise SettingsError(f"rate is {self.rate}; it must be above 0 and below 1.")
        for name in ("shocks", "weight_decay", "seed"):
            if not 0 <= getattr(self, name) < inf:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be a number, and not negative.")
        if not 0 <= self.ema < 1:
            raise SettingsError(f"ema is {self.ema}; it must be from 0 up to, not including, 1.")


@dataclass(frozen=True)
class Adapted:
    """What came of a fine-tuning.

    Attributes
    ----------
    network : an ordinary one: with what was learned, or, where that was no better, as it was before
    better : whether what was learned beat zero-shot on the windows held back, in the mean over panels, by `LEAST_GAIN` at least
    share : of what was learned, in the mixture with what was known before, that was best there
    before, after : loss of each panel on its windows held back, zero-shot and with that mixture
    moved : how many numbers moved
    windows : held back of each panel
    training : how it went; its losses are shares of the zero-shot loss
    base : the weights that it began with
    fingerprints : of the panels
    settings : as they were asked for
    """

    network: SpaceTimeNetwork
    better: bool
    share: float
    before: tuple[float, ...]
    after: tuple[float, ...]
    moved: int
    windows: tuple[int, ...]
    training: Training
    base: Weights
    fingerprints: tuple[str, ...]
    settings: AdaptSettings

    @property
    def ratio(self) -> float:
        """Validation loss as a share of zero-shot's, in the mean over panels."""
        return float(np.mean(np.array(self.after) / np.array(self.before)))

    @property
    def told(self) -> str:
        """How it went, in a sentence."""
        windows = "the window" if sum(self.windows) == 1 else "the windows"
        if self.better:
            return (f"{self.settings.method}: {self.moved:,} numbers moved, and on {windows} held back the loss is "
                    f"{self.ratio:.4f} of zero-shot's after {self.training.best_step:,} steps ({self.share:.0%} of what was "
                    f"learned, the rest as it was).")
        return (f"{self.settings.method}: nothing was better than zero-shot by {LEAST_GAIN:.1%} on {windows} held back (the best "
                f"had {self.ratio:.4f} of its loss), so the zero-shot weights are kept as they are.")


def finetune(panels: Sequence[tuple[SalesPanel, int]], settings: AdaptSettings = AdaptSettings(), *, folder: Path | None = None,
             callbacks: Sequence[Callback] = (), progress: Progress | bool | None = None) -> Adapted:
    """Fine-tune a network on panels, each with the horizon that it will be asked for.

    Parameters
    ----------
    folder : for the history of the training and its checkpoint; a training found there goes on
    callbacks : told of the training as it goes
    progress : where progress goes; None: a bar on a terminal; True or False: a bar, or none

    Raises
    ------
    SettingsError
        If a history is too short to hold windows back, or the folder holds another training.
    WeightsError
        If the weights are absent, damaged, or only made for forecasting.
    """
    s = settings
    if not panels:
        raise SettingsError("Fine-tuning needs the sales of at least one panel.")
    base = read_weights(s.weights)
    refuse_unlearnable(base)
    plain = read_network(base.folder, base.card)
    counts = tuple(s.windows or windows_held_back(p, h) for p, h in panels)
    each = [(p, LessonSettings(horizon=h, windows=n, series=s.series, context=s.context, shocks=s.shocks, seed=s.seed,
                               mirrored=s.mirrored, country=s.country)) for (p, h), n in zip(panels, counts, strict=True)]
    about = {"base": base.card["files"][TENSORS], "adapt": asdict(replace(s, weights="", threads=1))}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(s.threads)
        with Lessons(each, patch=base.patch, levels=base.levels, about=about) as lessons:
            _refuse_other_channels(plain, lessons, base)
            before = lessons.measure(plain)
            lessons.start_from(before)
            network = adapt.adapt(read_network(base.folder, base.card), s.method, layers=s.layers, rank=s.rank, seed=s.seed)
            moved = parameters_of(network)
            trained = train(network, lessons, _training(s), folder=folder, callbacks=callbacks, progress=progress)
            learned = adapt.merged(network)
            tried = {share: lessons.measure(adapt.mixed(plain, learned, share)) for share in SHARES}
    finally:
        torch.set_num_threads(threads)
    share = min(SHARES, key=lambda s: float(np.mean(tried[s] / before)))
    after = tried[share]
    better = bool(np.mean(after / before) < 1.0 - LEAST_GAIN)
    network = adapt.mixed(plain, learned, share) if better else plain
    return Adapted(network, better, share, tuple(before.tolist()), tuple(after.tolist()), moved, counts,
                   _record(plain, moved, trained, s), base, tuple(p.fingerprint() for p, _ in panels), s)


def refuse_unlearnable(weights: Weights) -> None:
    """Refuse weights that are made for forecasting alone, such as those in eight bits.

    Raises
    ------
    WeightsError
        Says which to take.
    """
    if not (weights.folder / TENSORS).is_file():
        eight = ", for they are in eight bits" if weights.card.get("precision") == "int8" else ""
        raise WeightsError(f"The weights in {shorten_path(weights.folder)!r} have no {TENSORS}, so they can forecast and not "
                           f"learn{eight}. Take those that they were made of, or others that `shelfcast pretrain` wrote.")


def _refuse_other_channels(network: SpaceTimeNetwork, lessons: Lessons, base: Weights) -> None:
    told, s = lessons.validation()[0], network.settings
    if (told.x.shape[-1], told.static.shape[-1]) != (s.channels, s.statics):
        raise WeightsError(f"The weights in {shorten_path(base.folder)!r} read {s.channels} channels and {s.statics} numbers a "
                           f"series, and this version tells {told.x.shape[-1]} and {told.static.shape[-1]}: they are of another "
                           f"version. Take those that came with this one, or make some with `shelfcast pretrain`.")


def windows_held_back(panel: SalesPanel, horizon: int) -> int:
    """How many windows of a panel are held back for validation where nobody says."""
    return int(np.clip(_SHARE_HELD_BACK * length_of(panel) // min(horizon, MOST_AHEAD), 1, MOST_WINDOWS))


def has_room(panel: SalesPanel, horizon: int, windows: int) -> bool:
    """Whether so many windows can be held back, and enough is left to learn from."""
    return length_of(panel) > (LEAST_PAST + windows) * horizon


def write_adapted(folder: Path, adapted: Adapted, *, command: str | None = None) -> None:
    """Write the weights of a fine-tuning into an empty folder, for `Pretrained(PretrainedSettings(weights=FOLDER))`.

    They are not rounded: what few steps change is less than what rounding would.

    Parameters
    ----------
    command : that asked for it, for the card
    """
    card = adapted.base.card
    about = {
        "size": card.get("size"), "trained_on": card.get("trained_on"),
        "finetuning": {
            "kept": "fine-tuned" if adapted.better else "zero-shot", "settings": asdict(adapted.settings), "moved": adapted.moved,
            "base": card["files"][TENSORS], "base_finetuning": card.get("finetuning"), "sales": list(adapted.fingerprints),
            "before": list(adapted.before), "after": list(adapted.after), "windows": list(adapted.windows),
            "share": adapted.share, "best_step": adapted.training.best_step},
        **({"command": command} if command else {})}
    write_weights(folder, adapted.network, about, precision=torch.float32)


def _training(s: AdaptSettings) -> TrainingSettings:
    return TrainingSettings(steps=s.steps, rate=s.rate or RATES[s.method], warmup=min(20, s.steps // 5), schedule="cosine",
                            weight_decay=s.weight_decay, ema=s.ema, patience=s.patience, seed=s.seed, keep_best=True,
                            validate_every=min(s.validate_every, s.steps), checkpoint_every=min(s.validate_every, s.steps))


def _record(network: SpaceTimeNetwork, moved: int, trained: Trained, s: AdaptSettings) -> Training:
    return Training(network=network.settings.as_json(), parameters=moved, steps=trained.steps, asked=s.steps,
                    stopped=trained.stopped, best_step=trained.best_step, best_loss=trained.best_loss, history=trained.history,
                    seconds=trained.history[-1].seconds if trained.history else 0.0)

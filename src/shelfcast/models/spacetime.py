"""Spacetime: a neural network that learns time and space together, temporal(spatial(x)) fused by a gate.

It starts from the profile (level x weekday x flags x last year's shape) and learns what to change, for all periods of the
horizon and all quantiles in one pass, from the past of each place, of the other places of the same item, and from what is known
of the future. Trained by PyTorch, run by ONNX Runtime; a fitted model is a folder of safetensors, ONNX and plain settings.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, get_args, get_origin, get_type_hints

import numpy as np
import polars as pl

from shelfcast.errors import MissingExtraError, SettingsError, UnknownNameError, WeightsError
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Traits, require_future
from shelfcast.models.boosted_rows import draw_sample, pool_panel
from shelfcast.models.network_forecast import run_network
from shelfcast.models.profile import Profile, ProfileSettings, apply_coefficients, require_fitted
from shelfcast.names import LEVELS, LOCATION
from shelfcast.nn.augment import AugmentSettings
from shelfcast.nn.callbacks import Callback
from shelfcast.nn.channels import Layout, covariate_channels, learn_layout
from shelfcast.nn.export import Runner, to_onnx
from shelfcast.nn.records import Training
from shelfcast.nn.surroundings import Surroundings
from shelfcast.nn.windows import Windows
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress

if TYPE_CHECKING:
    from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork
    from shelfcast.nn.training import TrainingSettings

_FORMAT: Final = 1
_CONTEXT: Final = {"h": 336, "D": 196, "W": 64, "M": 36, "Q": 16, "Y": 8}
_PATCH: Final = {"h": 24, "D": 7, "W": 4, "M": 3, "Q": 2, "Y": 1}
MOST_AHEAD: Final = 128  # periods of a horizon that nobody asked for: a calendar may be known for years
_CHOICES: Final = {"temporal": "encoder of time", "spatial": "mixer of places", "fusion": "way of fusion",
                   "schedule": "schedule of the learning rate", "adversarial": "attack"}  # in words; the rest is called as it is
_LARGEST: Final = {"width": 4_096, "layers": 64, "steps": 100_000_000, "accumulate": 4_096}  # more is a slip of the finger
_ALTERATIONS: Final = ("jitter", "scaling", "masking", "blocks", "mixing", "warping", "hiding")
FEWEST_WINDOWS: Final = 200  # series times origins; below this a network finds nothing that holds


@dataclass(frozen=True, kw_only=True)
class SpaceTimeSettings:
    """How the network is built and trained.

    Attributes
    ----------
    temporal : encoder of time
    spatial : mixer of places
    fusion : how a place's own past and the message of the others are joined
    width, layers, heads : of the encoders
    patch, context : periods of a token, and of the past that is looked at; by frequency when None
    horizon : periods ahead; as far as known covariates reach (128 at most), or by frequency, when None
    steps : of training
    series : in a batch
    rate : highest learning rate
    optimizer, schedule, weight_decay, clip, ema, precision, accumulate : see `nn.training.TrainingSettings`
    loss : pinball, or what the mean is trained on beside it
    dropout : share of numbers dropped in training
    patience : validations without progress before training stops. The network then does not learn from the last horizon, which is
        kept for them (the profile, from which it starts, has seen it); with None it learns from all
    cold : share of series that are shown as if they were new, so that new places can be forecast
    adversarial : fgsm or pgd: half of the loss is of attacked batches
    shocks : deviation of noise that all places of a group share, in logs about; 0 for none. What happened to everybody in a
        period is a name of that period, by which a network learns the few years that it has seen by heart
    events : deviation, in logs, of made-up regional events laid over the sales that are learned from; 0 for none. See `nn.events`
    jitter, scaling, masking, blocks, mixing, warping, hiding : share of series altered so, see `nn.augment`; covariates are hidden
    seed, threads : of all draws; of PyTorch and ONNX Runtime, for results are the same only for the same number
    country : two letters, for public holidays; none when None
    """

    temporal: Literal["transformer", "lstm", "gru", "mlp", "conv"] = "transformer"
    spatial: Literal["attention", "graph", "conv", "none"] = "attention"
    fusion: Literal["gate", "concat", "attention"] = "gate"
    width: int = 64
    layers: int = 2
    heads: int = 4
    patch: int | None = None
    context: int | None = None
    horizon: int | None = None
    steps: int = 1_000
    series: int = 256
    rate: float = 2e-3
    optimizer: Literal["adamw", "sgd", "muon"] = "adamw"
    schedule: Literal["constant", "cosine", "linear", "wsd"] = "cosine"
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.99
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulate: int = 1
    loss: Literal["pinball", "mse", "poisson", "tweedie", "negative_binomial"] = "pinball"
    dropout: float = 0.1
    patience: int | None = None
    cold: float = 0.0
    adversarial: Literal["none", "fgsm", "pgd"] = "none"
    shocks: float = 0.2
    events: float = 0.0
    jitter: float = 0.0
    scaling: float = 0.0
    masking: float = 0.0
    blocks: float = 0.0
    mixing: float = 0.0
    warping: float = 0.0
    hiding: float = 0.0
    seed: int = 0
    threads: int = 1
    country: str | None = None

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise UnknownNameError(_CHOICES.get(name, name), str(getattr(self, name)), get_args(kind),
                                       advice=f"It is the setting {name!r}.")
        for name in ("width", "layers", "heads", "patch", "context", "horizon", "steps", "series", "accumulate", "patience",
                     "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1.")
        for name, most in _LARGEST.items():
            if getattr(self, name) > most:
                raise SettingsError(f"{name} is {getattr(self, name):,}; it may be {most:,} at most.")
        for name in ("rate", "clip"):
            if not 0 < getattr(self, name) < inf:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be a number above 0.")
        for name in ("weight_decay", "seed", "shocks", "events"):
            if not 0 <= getattr(self, name) < inf:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be a number, and not negative.")
        if self.width % (2 * self.heads):
            raise SettingsError(f"width is {self.width} and heads is {self.heads}; the width must be a multiple of twice the "
                                f"heads.")
        for name in _ALTERATIONS:
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be a share from 0 to 1.")
        for name in ("dropout", "cold", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be a share from 0 up to, not including, 1.")


class SpaceTime:
    """The space-time network on the profile. See the file's docstring."""

    traits = Traits(name="spacetime", summary="neural network over time and places on the profile, quantiles, known covariates",
                    uses_known=True, uses_past=True, uses_static=True, uses_places=True, series_apart=False,
                    extra="train", package="torch", resumes=True, threads_decide=True)
    _settings: ClassVar[Any] = SpaceTimeSettings

    def __init__(self, settings: SpaceTimeSettings = SpaceTimeSettings()) -> None:
        self.settings = settings

    def fit(self, panel: SalesPanel, *, folder: Path | None = None, progress: Progress | bool | None = None,
            callbacks: Sequence[Callback] = ()) -> Self:
        """Learn the profile, then train the network on what it leaves.

        Parameters
        ----------
        folder : for the history of the training and its checkpoint; a training found there goes on where it was killed
        progress : where progress goes; None: a bar where a person watches; True or False: a bar, or none
        callbacks : told of the training as it goes: `nn.callbacks.TensorBoard`, `MLflow`, `WeightsAndBiases`, or your own
        """
        try:
            import torch

            from shelfcast.nn.network import NetworkSettings, parameters_of
            from shelfcast.nn.task import ForecastTask
            from shelfcast.nn.training import train
        except ImportError as error:
            raise MissingExtraError("Training a network", "train", error.name or "torch") from error
        s, build = self._training_settings(), self._builder()
        ahead = s.horizon or min(panel.horizon_given(), MOST_AHEAD) or None
        sample = draw_sample(panel, horizon=ahead, most_series=3_000, seed=s.seed, country=s.country)
        base = ProfileSettings(seed=s.seed, horizon=s.horizon, country=s.country)
        self.profile_ = Profile(base).fit_sample(sample, net_of_returns=panel.net_of_returns)
        self.net_of_returns_ = panel.net_of_returns
        held_back = sample.horizon if s.patience is not None else 0
        origins = sample.block.sales.shape[1] - 1 - held_back - int(sample.scheme.rhythm.halves[1])
        have = max(origins, 0) * len(panel)
        self.runner_: Runner | None = None
        self.training_: Training | None
        self.reason_, self.training_ = "", None
        if have < FEWEST_WINDOWS:
            self.reason_ = (f"history gives {have:,} past forecasts to learn from and a network needs {FEWEST_WINDOWS:,}; the "
                            f"profile forecasts instead")
            return self
        reach, unit = sample.block.sales.shape[1], panel.frequency.unit
        context = min(s.context or _CONTEXT[unit], reach)
        self.layout_ = learn_layout(sample.block, sample.scheme, context=context, horizon=sample.horizon)
        around = Surroundings.of(panel, sample.pooled, scheme=sample.scheme, layout=self.layout_, expect=self._expect,
                                 names=sample.pooled.keys)
        self.names_, self.geography_ = around.names, around.geography
        with (Windows(panel, around, reach=reach, seed=s.seed, cold=s.cold, held_back=held_back, series=s.series,
                      events=s.events) as windows, torch.random.fork_rng(devices=[]), _threads(s.threads)):
            first = windows.batch(0)
            shape = NetworkSettings(
                channels=first.x.shape[-1], statics=first.static.shape[-1], relations=first.links.shape[-1],
                items=self.names_["item"].height + 1, places=self.names_[LOCATION].height + 1, context=context,
                horizon=sample.horizon, patch=min(s.patch or _PATCH[unit], context), width=s.width, layers=s.layers, heads=s.heads,
                temporal=s.temporal, spatial=s.spatial, fusion=s.fusion, dropout=s.dropout, negative=panel.net_of_returns)
            torch.manual_seed(s.seed)
            network = build(shape)
            shape = network.settings
            task = ForecastTask(windows, loss=s.loss, levels=shape.levels, parts=s.accumulate, augment=_augment(s), seed=s.seed,
                                covariates=covariate_channels(sample.scheme, self.layout_),
                                about={"panel": panel.fingerprint(), "settings": asdict(self.settings)})
            trained = train(network, task, _training(s), folder=folder, progress=progress, callbacks=callbacks)
        self.training_ = Training(
            network=shape.as_json(), parameters=parameters_of(network), steps=trained.steps, asked=s.steps,
            stopped=trained.stopped, best_step=trained.best_step, best_loss=trained.best_loss,
            seconds=trained.history[-1].seconds if trained.history else 0.0, history=trained.history)
        self.shape_ = shape.as_json()
        self.levels_ = shape.levels
        network = network.settled()
        self.weights_ = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
        self.onnx_ = to_onnx(network)
        self.runner_ = Runner(self.onnx_, threads=s.threads)
        return self

    def _training_settings(self) -> SpaceTimeSettings:
        """How the network is built and trained."""
        return self.settings

    def _builder(self) -> "Callable[[NetworkSettings], SpaceTimeNetwork]":
        """What builds the network once its shape is known; what that needs is looked for now, before anything is learned."""
        from shelfcast.nn.network import SpaceTimeNetwork

        return SpaceTimeNetwork

    def _expect(self, flat: np.ndarray, terms: np.ndarray) -> np.ndarray:
        return apply_coefficients(flat, terms, self.profile_.coefficients_)

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series of the panel. Beyond the horizon of training the mean correction of the last season is kept."""
        require_fitted(self, "runner_")
        checked = check_levels(levels)
        require_future(panel, check_horizon(horizon))
        if self.runner_ is None:
            return self.profile_.predict(panel, horizon=horizon, levels=levels)
        quantiles, mean, _ = self._forecast(panel, horizon, checked)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked, quantiles, mean)

    def place_weights(self, panel: SalesPanel) -> pl.DataFrame:
        """How much weight the other places had in each series' forecast: table of item, location, weight (0 to 1)."""
        require_fitted(self, "runner_")
        weight = np.zeros(len(panel)) if self.runner_ is None else self._forecast(panel, self.layout_.horizon, (0.5,))[2]
        return panel.series.select("item", "location").with_columns(pl.Series("weight", weight))

    def _forecast(self, panel: SalesPanel, horizon: int, levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scheme, layout = self.profile_.scheme_, self.layout_
        pooled = pool_panel(panel, scheme)
        around = Surroundings.of(panel, pooled, scheme=scheme, layout=layout, expect=self._expect, names=self.names_,
                                 like=self.geography_)
        assert self.runner_ is not None
        return run_network(self.runner_, panel, around, horizon=horizon, have=self.levels_, levels=levels,
                           negative=self.net_of_returns_)

    def save(self, folder: Path) -> None:
        """Write weights, network, profile and settings into a folder."""
        require_fitted(self, "runner_")
        from safetensors.numpy import save_file

        self.profile_.save(folder)
        about: dict[str, Any] = {"format": _FORMAT, "settings": asdict(self.settings), "net_of_returns": self.net_of_returns_,
                                 "reason": self.reason_, "network": None}
        if self.runner_ is not None:
            save_file({k: np.ascontiguousarray(v) for k, v in self.weights_.items()}, folder / "network.safetensors")
            (folder / "network.onnx").write_bytes(self.onnx_)
            about["network"] = {"shape": self.shape_, "layout": self.layout_.as_json(), "levels": self.levels_,
                                "geography": self.geography_}
        (folder / f"{self.traits.name}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            about = json.loads((folder / f"{cls.traits.name}.json").read_text(encoding="utf-8"))
            if about["format"] != _FORMAT:
                raise WeightsError(f"The network in {str(folder)!r} was written by another version of shelfcast; fit it again.")
            # Settings say how it was trained. Those that this version does not have change nothing of what it forecasts.
            known = {f.name for f in fields(cls._settings)}
            model = cls(cls._settings(**{k: v for k, v in about["settings"].items() if k in known}))
            model.profile_ = Profile.load(folder)
            model.net_of_returns_, model.reason_, model.runner_ = about["net_of_returns"], about["reason"], None
            model.training_ = None  # what is told of it lies in the run folder
            if about["network"] is None:
                return model
            net = about["network"]
            model.names_ = model.profile_.pooled_.keys
            model.layout_ = Layout.from_json(net["layout"])
            model.shape_, model.levels_ = net["shape"], tuple(net["levels"])
            model.geography_ = net["geography"]
            model.weights_ = load_file(folder / "network.safetensors")
            model.onnx_ = (folder / "network.onnx").read_bytes()
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise WeightsError(f"{str(folder)!r} holds no network that can be read; fit it and save it again.") from error
        model.runner_ = Runner(model.onnx_, threads=model.settings.threads)
        return model


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads of PyTorch inside, as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _training(s: SpaceTimeSettings) -> "TrainingSettings":
    """How the network is trained."""
    from shelfcast.nn.training import TrainingSettings

    return TrainingSettings(
        steps=s.steps, optimizer=s.optimizer, rate=s.rate, warmup=min(100, s.steps // 10), schedule=s.schedule,
        weight_decay=s.weight_decay, clip=s.clip, ema=s.ema, accumulate=s.accumulate, precision=s.precision, patience=s.patience,
        seed=s.seed, adversarial=s.adversarial, validate_every=max(1, min(100, s.steps // 10)),
        checkpoint_every=max(1, min(100, s.steps // 20)))


def _augment(s: SpaceTimeSettings) -> AugmentSettings:
    """How batches are altered."""
    off = {"shocks": 0.0} if s.shocks == 0 else {"shocks": 1.0, "shocks_size": s.shocks}
    return AugmentSettings(jitter=s.jitter, scaling=s.scaling, masking=s.masking, blocks=s.blocks, mixing=s.mixing,
                           warping=s.warping, channels=s.hiding, **off)

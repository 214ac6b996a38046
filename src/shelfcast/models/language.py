"""Language: the space-time network with a text model (BERT, GPT-2, MiniLM ...) as its encoder of time.

Channels, patches, places, head, losses and loop of training are those of `spacetime`; the one difference is what stands between
patches and quantiles, see `nn.language`. The text model stays as it is (frozen), gets low-rank additions (lora) or is trained whole
(full). What language weights add can be seen beside `random:`, the same architecture without them; docs/backbones.md has the
figures.

A fitted model needs neither the hub nor transformers any more: ONNX Runtime forecasts, and low-rank additions are added to the
weights. A folder holds the whole network, the text model in it, as safetensors and ONNX.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from shelfcast.errors import MissingExtraError, SettingsError, UnknownNameError
from shelfcast.models.base import Traits
from shelfcast.models.spacetime import SpaceTime, SpaceTimeSettings

if TYPE_CHECKING:
    from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork

_RATES: Final = {"frozen": 2e-3, "lora": 2e-3, "full": 1e-4}  # a whole text model forgets what it knows at a higher one


@dataclass(frozen=True, kw_only=True)
class LanguageSettings:
    """Which text model, how it is tuned, and how the network around it is trained.

    Attributes
    ----------
    weights : a folder with config.json and model.safetensors, or a name on the hub such as sentence-transformers/all-MiniLM-L6-v2,
        which is then fetched; with `random:` before it the same architecture with weights that are drawn
    tune : what of the text model is trained: nothing (frozen), low-rank additions to its attention (lora), everything (full)
    lora_rank : of those additions
    head : what reads its hidden states: a perceptron token by token, or a gated recurrent unit along them
    layers : how many of its layers are used, the first ones; all when None
    spatial : mixer of places
    fusion : how a place's own past and the message of the others are joined
    patch, context : periods of a token, and of the past that is looked at; by frequency when None
    horizon : periods ahead; as far as known covariates reach (128 at most), or by frequency, when None
    steps : of training
    series : in a batch
    rate : highest learning rate; by `tune` when None
    weight_decay, ema, precision, accumulate : see `nn.training.TrainingSettings`
    loss : pinball, or what the mean is trained on beside it
    dropout : share of numbers dropped in training, in the text model as well
    patience : validations without progress before training stops; None: never. See `spacetime`
    cold : share of series that are shown as if they were new, so that new places can be forecast
    shocks : deviation of noise that all places of a group share, in logs about; 0 for none
    seed, threads : of all draws; of PyTorch and ONNX Runtime, for results are the same only for the same number
    country : two letters, for public holidays; none when None
    """

    weights: str | None = None
    tune: Literal["frozen", "lora", "full"] = "frozen"
    lora_rank: int = 8
    head: Literal["mlp", "gru"] = "mlp"
    layers: int | None = None
    spatial: Literal["attention", "graph", "conv", "none"] = "attention"
    fusion: Literal["gate", "concat", "attention"] = "gate"
    patch: int | None = None
    context: int | None = None
    horizon: int | None = None
    steps: int = 500
    series: int = 64
    rate: float | None = None
    weight_decay: float = 0.05
    ema: float = 0.99
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulate: int = 1
    loss: Literal["pinball", "mse", "poisson", "tweedie", "negative_binomial"] = "pinball"
    dropout: float = 0.1
    patience: int | None = None
    cold: float = 0.0
    shocks: float = 0.2
    seed: int = 0
    threads: int = 1
    country: str | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and not self.weights.removeprefix("random:").strip():
            raise SettingsError(f"weights is {self.weights!r}; give a folder, or a name on the hub such as {_EXAMPLE}.")
        for name, known in (("tune", ("frozen", "lora", "full")), ("head", ("mlp", "gru"))):
            if getattr(self, name) not in known:
                raise UnknownNameError(name, str(getattr(self, name)), known, advice=f"It is the setting {name!r}.")
        for name in ("lora_rank", "layers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1.")
        self.around()  # which checks the rest

    def around(self) -> SpaceTimeSettings:
        """The settings of everything around the text model, as `spacetime` knows them."""
        shared = {f.name for f in fields(SpaceTimeSettings)} - {"layers", "rate"}
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name in shared}
        return SpaceTimeSettings(**given, layers=1, rate=_RATES[self.tune] if self.rate is None else self.rate)


_EXAMPLE: Final = "sentence-transformers/all-MiniLM-L6-v2"


class Language(SpaceTime):
    """The space-time network with a text model as its encoder of time. See the file's docstring."""

    traits = Traits(name="language", summary="text model (BERT, GPT-2, MiniLM) under the network's patches, frozen or with LoRA",
                    uses_known=True, uses_past=True, uses_static=True, uses_places=True, series_apart=False,
                    extra="language", package="transformers", resumes=True, threads_decide=True)
    _settings: ClassVar[Any] = LanguageSettings

    def __init__(self, settings: LanguageSettings = LanguageSettings()) -> None:
        self.settings: Any = settings

    def _training_settings(self) -> SpaceTimeSettings:
        around: SpaceTimeSettings = self.settings.around()
        return around

    def _builder(self) -> "Callable[[NetworkSettings], SpaceTimeNetwork]":
        s: LanguageSettings = self.settings
        if s.weights is None:
            raise SettingsError(f"The model language comes without a text model. Give a folder that holds config.json and "
                                f"model.safetensors, or a name on the hub that may be fetched: weights={_EXAMPLE}.")
        try:
            from shelfcast.nn.language import LanguageNetwork, LanguageShape, read_backbone
        except ImportError as error:
            if isinstance(error, MissingExtraError):
                raise
            raise MissingExtraError("A text model", "language", error.name or "transformers") from error
        backbone = read_backbone(s.weights, layers=s.layers)

        def build(shape: "NetworkSettings") -> "SpaceTimeNetwork":
            own = {"width": backbone.width, "heads": backbone.heads}
            network = LanguageNetwork(LanguageShape(**{**vars(shape), **own}, backbone=backbone.config, reader=s.head))
            network.begin(backbone, tune=s.tune, rank=s.lora_rank)
            return network

        return build

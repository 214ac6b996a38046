"""A text model as the encoder of time: BERT, GPT-2, MiniLM and their like of `transformers`, between our patches and our quantiles.

Patches of numbers go in where the embeddings of words would (`inputs_embeds`), and a head reads the hidden states that come out,
as in Zhou et al. 2023 ("One fits all: power general time series analysis by pretrained LM"). All else is the space-time network.
Word embeddings and what only text needs are left out, so neither is trained nor saved.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from shelfcast.errors import MissingExtraError, SettingsError, WeightsError, shorten
from shelfcast.nn.blocks import FeedForward, time_layer
from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork

try:
    import transformers
except ImportError as error:
    raise MissingExtraError("A text model", "language", error.name or "transformers") from error

Tune = Literal["frozen", "lora", "full"]
Head = Literal["mlp", "gru"]
RANDOM: Final = "random:"
"""Before a folder or name: the same architecture, with weights that are drawn."""
_MOST_BYTES: Final = 1_900_000_000  # an ONNX file holds 2 GB


@dataclass(frozen=True)
class Backbone:
    """A text model as it was read.

    Attributes
    ----------
    config : its configuration as JSON, with the layers that are used
    width, heads : of its hidden states and attention
    positions : tokens that it can hold
    spread : standard deviation of its word embeddings: numbers that go in are brought to it
    tensors : its weights by name; None: to be drawn
    """

    config: str
    width: int
    heads: int
    positions: int
    spread: float
    tensors: Mapping[str, Tensor] | None


def read_backbone(weights: str, *, layers: int | None = None) -> Backbone:
    """Read a text model from a folder or the hub. Only safetensors are read: other formats may run code.

    Parameters
    ----------
    weights : a folder, or a name on the hub; with `random:` before it only the architecture is read
    layers : how many of its layers are used, the first ones; all when None

    Raises
    ------
    WeightsError
        If it cannot be had, is no text model, or comes in a format that may run code.
    SettingsError
        If it has fewer layers than are asked for.
    """
    name = weights.removeprefix(RANDOM)
    with _quietly(), torch.random.fork_rng(devices=[]):
        config = _opened(name, lambda local: transformers.AutoConfig.from_pretrained(
            name, trust_remote_code=False, local_files_only=local))
        if getattr(config, "is_encoder_decoder", False):
            raise WeightsError(f"{shorten(name)!r} is a model of type {config.model_type!r}, which reads one text and writes "
                               f"another. Give one that reads a single text, such as BERT, MiniLM or GPT-2.")
        have = int(config.num_hidden_layers)
        if layers is not None and layers > have:
            raise SettingsError(f"layers is {layers}, and {shorten(name)!r} has {have}. Ask for {have} at most.")
        config.num_hidden_layers = layers or have
        config.use_cache = False
        spread, tensors = float(getattr(config, "initializer_range", 0.02)), None
        if not weights.startswith(RANDOM):
            _refuse_pickles(Path(name))
            model, told = _opened(name, lambda local: transformers.AutoModel.from_pretrained(
                name, config=config, use_safetensors=True, trust_remote_code=False, local_files_only=local,
                dtype=torch.float32, output_loading_info=True))
            spread = float(model.get_input_embeddings().weight.std())
            absent = sorted(n for n in told["missing_keys"] if not n.startswith("pooler"))
            if absent:
                raise WeightsError(f"The weights of {shorten(name)!r} lack {len(absent)} tensors that its config.json asks for, "
                                   f"the first {absent[0]!r}. They belong to another model; get both files from one place.")
            tensors = _bare(model).state_dict()
    return Backbone(config.to_json_string(use_diff=False), int(config.hidden_size), int(config.num_attention_heads),
                    int(getattr(config, "max_position_embeddings", None) or 512), spread, tensors)


@dataclass(frozen=True, kw_only=True)
class LanguageShape(NetworkSettings):
    """The shape of a network whose encoder of time is a text model. `width` is that of the text model, `layers` is 1.

    Attributes
    ----------
    backbone : configuration of the text model, as JSON
    reader : what reads its hidden states: a perceptron token by token, or a gated recurrent unit along them
    """

    backbone: str
    reader: Head = "mlp"


class LanguageNetwork(SpaceTimeNetwork):
    """The space-time network with a text model as its encoder of time."""

    settings: LanguageShape

    def _time(self) -> nn.ModuleList:
        return nn.ModuleList([TextEncoder(self.settings)])

    @torch.no_grad()
    def begin(self, backbone: Backbone, *, tune: Tune, rank: int) -> None:
        """Take a text model's weights, where there are any, and say which of them are trained.

        Parameters
        ----------
        tune : none of them (frozen), low-rank additions to its attention (lora: Hu et al. 2021), or all of them (full)
        rank : of those additions
        """
        encoder = self.time[0]
        assert isinstance(encoder, TextEncoder)
        if backbone.tensors is not None:
            encoder.backbone.load_state_dict(backbone.tensors)
        encoder.enter.weight.fill_(backbone.spread)
        if tune != "full":
            encoder.backbone.requires_grad_(False)
        if tune == "lora":
            encoder.backbone = _with_lora(encoder.backbone, rank)

    def settled(self) -> "LanguageNetwork":
        """The same network with the low-rank additions added to the weights; forecasts stay, to rounding."""
        encoder = self.time[0]
        assert isinstance(encoder, TextEncoder)
        if hasattr(encoder.backbone, "merge_and_unload"):
            encoder.backbone = encoder.backbone.merge_and_unload()
        return self


class TextEncoder(nn.Module):
    """Tokens through a text model, then through a head. Nothing leads around the text model."""

    def __init__(self, s: LanguageShape) -> None:
        super().__init__()
        values = json.loads(s.backbone)
        with _quietly():
            config = transformers.AutoConfig.for_model(**values)
            self.backbone: Any = _bare(transformers.AutoModel.from_config(config))
        for module in self.backbone.modules():
            if isinstance(module, nn.Dropout):
                module.p = s.dropout  # one setting for the whole network
        size = 4 * sum(t.numel() for t in self.backbone.state_dict().values())
        if size > _MOST_BYTES:
            raise SettingsError(f"The text model has {size / 1e9:.1f} GB of weights, and a network that forecasts holds 2 GB at "
                                f"most. Use fewer of its layers (layers), or a smaller one.")
        if sum(s.tokens) > int(getattr(config, "max_position_embeddings", None) or 512):
            raise SettingsError(f"A context of {s.context} and a horizon of {s.horizon} in patches of {s.patch} are "
                                f"{sum(s.tokens)} tokens, and the text model holds {config.max_position_embeddings}. Set a larger "
                                f"patch.")
        self.enter = nn.LayerNorm(s.width)
        self.reader: nn.Module = FeedForward(s.width, s.dropout) if s.reader == "mlp" else time_layer(
            "gru", width=s.width, heads=s.heads, tokens=sum(s.tokens), depth=0, dropout=s.dropout)
        self._along = s.reader == "gru"

    def forward(self, h: Tensor, keep: int) -> Tensor:
        """(N, L, D) to (N, K, D)."""
        hidden = self.backbone(inputs_embeds=self.enter(h)).last_hidden_state
        out: Tensor = self.reader(hidden, keep) if self._along else self.reader(hidden[:, -keep:])
        return out


def _bare(model: Any) -> Any:
    """A text model without what only text needs: word embeddings, and what sums up a sentence."""
    model.set_input_embeddings(nn.Identity())
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


def _with_lora(backbone: Any, rank: int) -> Any:
    """The backbone with trainable low-rank matrices beside the attention's, or, of an unknown kind, beside all its matrices."""
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("Training with tune=lora", "language", error.name or "peft") from error
    with _quietly():
        known = peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
        targets = None if backbone.config.model_type in known else "all-linear"
        return peft.get_peft_model(backbone, peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))


def _opened(name: str, read: Any) -> Any:
    """What `read` finds, in a folder, else among what was fetched from the hub before, else on the hub."""
    try:
        if Path(name).is_dir():
            return read(True)
        if name.count("/") > 1 or name.startswith((".", "/", "~")) or "\\" in name:
            raise WeightsError(f"There is no folder {shorten(name)!r}. Give a folder with config.json and model.safetensors, or "
                               f"the name of a text model on the hub.")
        try:
            return read(True)
        except OSError:
            return read(False)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, SafetensorError) as error:
        if Path(name).is_dir():
            raise WeightsError(f"The folder {shorten(name)!r} holds no text model that can be read ({shorten(error, 200)}). It "
                               f"needs a config.json and a model.safetensors that belong together.") from error
        raise WeightsError(f"The text model {shorten(name)!r} is no folder and cannot be fetched from the hub "
                           f"({shorten(error, 120)}). Without a network: get it elsewhere with `hf download {shorten(name)} "
                           f"--local-dir FOLDER`, bring the folder here and give it: weights=FOLDER.") from error


def _refuse_pickles(folder: Path) -> None:
    """Say what to do about a folder whose weights can only be read by running what is in them."""
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickles = sorted(p.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack") for p in folder.glob(kind))
        if pickles:
            raise WeightsError(
                f"The folder {shorten(folder)!r} holds its weights only as {pickles[0]}, a format that may run code when it is "
                f"read, so it is not. Get the same model with model.safetensors; or, if you trust who made it, convert it "
                f"yourself: AutoModel.from_pretrained(FOLDER, use_safetensors=False).save_pretrained(NEW_FOLDER).")


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what transformers and peft tell their own users: bars, reports of weights left out, and what will change in them."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()

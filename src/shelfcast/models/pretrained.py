"""Pretrained: one network for every retailer, its weights in the box, learned on simulated retailers alone.

A new customer's panel is read in closed form (`models.in_context`): levels, effects of weekdays and of known covariates, last
year's shape, what siblings and neighbours did. A space-time network that has seen many thousands of made-up retailers says how much
of this to believe, and how sure to be: all quantiles of the whole horizon in one pass. No gradient step is made, no network is
asked, no GPU is needed; forecasts run on ONNX Runtime.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from shelfcast.errors import SettingsError, WeightsError, shorten, shorten_path
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Traits, require_future
from shelfcast.models.in_context import AHEAD, CONTEXT, MOST_CONTEXT, InContext, undo_sold_out
from shelfcast.models.network_forecast import run_network
from shelfcast.models.profile import Profile, require_fitted
from shelfcast.names import LEVELS
from shelfcast.nn.export import Runner
from shelfcast.nn.universal import CHANNELS, Universal
from shelfcast.panel import SalesPanel

FORMAT: Final = 1
CARD: Final = "weights.json"
GRAPH: Final = "network.onnx"
TENSORS: Final = "network.safetensors"


@dataclass(frozen=True, kw_only=True)
class PretrainedSettings:
    """Which weights, and how they are asked.

    Attributes
    ----------
    weights : name of weights in the box, or a folder that `shelfcast pretrain`, `finetune` or `compress` wrote
    context : periods of the past that the network looks at, 1,024 at most; by frequency when None. Statistics reach further back
    horizon : periods ahead that statistics are learned for; as far as known covariates reach when None
    series : asked at once, about
    seed : of the draw of past forecasts from which the profile's few coefficients are learned
    threads : of ONNX Runtime
    country : two letters, for public holidays; none when None
    """

    weights: str = "tiny"
    context: int | None = None
    horizon: int | None = None
    series: int = 128
    seed: int = 0
    threads: int = 1
    country: str | None = None

    def __post_init__(self) -> None:
        for name in ("context", "horizon", "series", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1.")
        if self.context is not None and self.context > MOST_CONTEXT:
            raise SettingsError(f"context is {self.context:,}; the network looks at {MOST_CONTEXT:,} periods at most. Statistics "
                                f"reach further back by themselves.")
        if self.seed < 0:
            raise SettingsError(f"seed is {self.seed}; it must not be negative.")


@dataclass(frozen=True)
class Weights:
    """A pretrained network as it lies in a folder.

    Attributes
    ----------
    card : what it is, what it was trained on, hashes
    onnx : the network for ONNX Runtime
    folder : where it lies
    """

    card: dict[str, Any]
    onnx: bytes
    folder: Path

    @property
    def levels(self) -> tuple[float, ...]:
        """Probabilities of its quantiles."""
        return tuple(self.card["levels"])

    @property
    def patch(self) -> int:
        """Periods of a token."""
        return int(self.card["network"]["patch"])


def boxed() -> tuple[str, ...]:
    """Names of the weights that come with the package."""
    return tuple(sorted(p.name for p in _box().iterdir() if (p / CARD).is_file())) if _box().is_dir() else ()


def read_weights(name: str | Path) -> Weights:
    """Weights of the box by their name, or of a folder; hashes are checked.

    Raises
    ------
    WeightsError
        If there are none of that name, or a file is absent, damaged or changed.
    """
    folder = _box() / str(name) if str(name) in boxed() else Path(name)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        written = card["format"]
        _ = (card["levels"], card["network"]["patch"], card["files"][GRAPH])
    except (OSError, ValueError, KeyError, TypeError) as error:
        inside = f"in the box are {', '.join(boxed())}" if boxed() else "the box is empty"
        raise WeightsError(f"There are no pretrained weights {shorten_path(name)!r}: {inside}, and a folder of weights would hold "
                           f"{CARD} and {GRAPH}. Give {'a name of the box or ' if boxed() else ''}a folder that `shelfcast "
                           f"pretrain`, `finetune` or `compress` wrote.") from error
    if card["network"].get("channels") != CHANNELS:
        raise WeightsError(f"The weights in {shorten_path(folder)!r} read {card['network'].get('channels')} channels, and this "
                           f"version tells {CHANNELS}: they are of another one. Take those that came with it, or make some with "
                           f"`shelfcast pretrain`.")
    if written != FORMAT:
        raise WeightsError(f"The weights in {shorten_path(folder)!r} are of format {shorten(written)}, and this version reads "
                           f"format {FORMAT}; take those that came with it.")
    return Weights(card, checked_file(folder, card, GRAPH), folder)


def checked_file(folder: Path, card: Mapping[str, Any], name: str) -> bytes:
    """A file of a folder of weights, as its card says that it was written.

    Raises
    ------
    WeightsError
        If it is absent or differs.
    """
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights in {shorten_path(folder)!r} lack their file {name!r}; take them again from where they "
                           f"came.") from error
    if hashlib.sha256(data).hexdigest() != card["files"].get(name):
        raise WeightsError(f"The file {name!r} of the weights in {shorten_path(folder)!r} is not what was written: it is damaged "
                           f"or was changed. Take it again from where it came.")
    return data


def _box() -> Path:
    return Path(str(resources.files("shelfcast.models") / "weights"))


class Pretrained:
    """The pretrained network, zero-shot. See the file's docstring."""

    traits = Traits(name="pretrained", summary="pretrained network, in the box: zero-shot quantiles, known covariates, places",
                    uses_known=True, uses_past=True, uses_places=True, series_apart=False, threads_decide=True)

    def __init__(self, settings: PretrainedSettings = PretrainedSettings()) -> None:
        self.settings = settings

    def fit(self, panel: SalesPanel) -> Self:
        """Read the statistics of a panel's past; nothing is trained."""
        s = self.settings
        self._take(read_weights(s.weights))
        context = s.context or CONTEXT[panel.frequency.unit]
        whole = min(-(-context // self.weights_.patch) * self.weights_.patch, MOST_CONTEXT)
        self.context_ = InContext.of(panel, context=whole, horizon=s.horizon, seed=s.seed, country=s.country)
        return self

    def _take(self, weights: Weights) -> None:
        self.weights_ = weights
        self.runner_ = Runner(weights.onnx, threads=self.settings.threads)

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series of the panel: up to 128 periods in one pass, further by rolling, as if the means had been sold."""
        require_fitted(self, "context_")
        checked = check_levels(levels)
        require_future(panel, check_horizon(horizon))
        quantiles, mean, _ = self._forecast(panel, horizon, checked)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked, quantiles, mean)

    def place_weights(self, panel: SalesPanel) -> pl.DataFrame:
        """How much weight the other places had in each series' forecast: table of item, location, weight (0 to 1)."""
        require_fitted(self, "context_")
        weight = self._forecast(panel, self.weights_.patch, (0.5,))[2]
        return panel.series.select("item", "location").with_columns(pl.Series("weight", weight))

    def _forecast(self, panel: SalesPanel, horizon: int, levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        patch = self.weights_.patch
        ahead = -(-min(horizon, AHEAD[panel.frequency.unit]) // patch) * patch
        panel = undo_sold_out(panel)
        around = self.context_.around(panel, horizon=ahead)
        profile = self.context_.profile
        net = profile.net_of_returns_
        quantiles, means, gate = run_network(
            self.runner_, panel, around, horizon=horizon, have=self.weights_.levels, levels=levels, negative=net,
            series=self.settings.series, rolls=True, mean="quantiles" if net else "network")
        if net:  # what comes back more than it sells, no drawn retailer has: the closed form forecasts it
            plain = profile.predict(panel, horizon=horizon, levels=levels)
            below = plain.mean.mean(axis=1) <= 0
            quantiles[below], means[below] = plain.quantiles[below], plain.mean[below]
        return quantiles, means, gate

    def save(self, folder: Path) -> None:
        """Write statistics, network and settings into a folder; it holds all that is needed to forecast."""
        require_fitted(self, "context_")
        self.context_.profile.save(folder)
        (folder / GRAPH).write_bytes(self.weights_.onnx)
        (folder / CARD).write_text(json.dumps(self.weights_.card, indent=2) + "\n", encoding="utf-8")
        about = {"format": FORMAT, "settings": asdict(self.settings), "layout": self.context_.layout.as_json()}
        (folder / "pretrained.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / "pretrained.json").read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise WeightsError(f"The model in {str(folder)!r} was written by another version of shelfcast; fit it again.")
            known = {f.name for f in fields(PretrainedSettings)}
            model = cls(PretrainedSettings(**{k: v for k, v in about["settings"].items() if k in known}))
            layout = Universal.from_json(about["layout"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{str(folder)!r} holds no pretrained model that can be read; fit it and save it again.") from error
        model._take(read_weights(folder))
        model.context_ = InContext(Profile.load(folder), layout)
        return model

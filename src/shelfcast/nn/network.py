"""The space-time network: forecast = temporal(spatial(x)), fused by a gate, all quantiles of the whole horizon in one pass."""

from dataclasses import asdict, dataclass
from typing import Final, Literal, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shelfcast.errors import UnknownNameError
from shelfcast.names import LEVELS
from shelfcast.nn.batch import (
    ABOVE_CHANNEL,
    AGO_CHANNEL,
    AGO_KNOWN_CHANNEL,
    BELOW_CHANNEL,
    EXPECTED_CHANNEL,
    MIDDLE_CHANNEL,
    OBSERVED_CHANNEL,
    SALES_CHANNEL,
)
from shelfcast.nn.blocks import FUSIONS, USUAL_SPREAD, PatchEmbedding, QuantileHead, place_mixer, time_layer

Temporal = Literal["transformer", "lstm", "gru", "mlp", "conv"]
Spatial = Literal["attention", "graph", "conv", "none"]
Fusion = Literal["gate", "concat", "attention"]
_NARROWEST, _WIDEST = 0.02, 3.0  # of the distance between the quantiles 0.1 and 0.9 in asinh space
_HIDE_NAMES: Final = 0.2  # share of training windows in which an item's or a place's name is hidden


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is left of a network that was pruned, see `nn.compress`.

    Attributes
    ----------
    patches : hidden units of the embeddings of the past and of the future
    hidden : hidden units after each layer of time
    heads : of each layer of time
    mixers : heads of each mixer of places
    """

    patches: tuple[int, int]
    hidden: tuple[int, ...]
    heads: tuple[int, ...]
    mixers: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("patches", "hidden", "heads", "mixers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The shape of a network.

    Attributes
    ----------
    channels, statics, relations : what a batch brings, see `Batch`
    items, places : identities, the unknown one (0) included
    context, horizon : periods; at most so many of them where a network reads windows of any length
    patch : periods of a token
    width, layers, heads : of the encoders
    temporal, spatial, fusion : which encoder of time, mixer of places, and fusion of both
    dropout : share of numbers dropped in training
    levels : probabilities of the quantiles, rising, 0.5 among them
    negative : sales may be below zero, net of returns
    banded : channels tell how past errors lay; the median starts where theirs lay, and quantiles as far from each other
    kept : of a transformer that mixes places by attention, or not at all: what pruning left of it; None for all
    """

    channels: int
    statics: int
    relations: int
    items: int
    places: int
    context: int
    horizon: int
    patch: int
    width: int = 64
    layers: int = 2
    heads: int = 4
    temporal: Temporal = "transformer"
    spatial: Spatial = "attention"
    fusion: Fusion = "gate"
    dropout: float = 0.1
    levels: tuple[float, ...] = LEVELS
    negative: bool = False
    banded: bool = False
    kept: Kept | None = None

    def __post_init__(self) -> None:
        for name, known in (("temporal", Temporal), ("spatial", Spatial), ("fusion", Fusion)):
            if getattr(self, name) not in get_args(known):
                raise UnknownNameError(name, str(getattr(self, name)), get_args(known))
        object.__setattr__(self, "levels", tuple(self.levels))

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of the context and of the horizon."""
        return self.tokens_of(self.context), self.tokens_of(self.horizon)

    def tokens_of(self, periods: int) -> int:
        """Tokens that so many periods make."""
        return -(-periods // self.patch)

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Self:
        """From plain values."""
        kept = values.get("kept")
        return cls(**{**values, "kept": None if kept is None else Kept(**kept)})  # type: ignore[arg-type]


class SpaceTimeNetwork(nn.Module):
    """Patches of each place's past and known future, mixed over places, then over time; see `Batch` for what goes in.

    Places are mixed before the first layer of time and, where there are several, before the last: what travels from place to
    place is heard of where it comes from, then followed through time.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        s = self.settings = settings
        shared = 0 if s.spatial == "none" else 1  # a channel of what all places of a group have in common
        before, after = s.kept.patches if s.kept else (None, None)
        self.past = PatchEmbedding(s.patch, s.channels + 1 + 2 * shared, s.width, s.dropout, before)
        self.future = PatchEmbedding(s.patch, s.channels + shared, s.width, s.dropout, after)
        self.item = nn.Embedding(s.items, s.width)
        self.place = nn.Embedding(s.places, s.width)
        nn.init.normal_(self.item.weight, std=0.02)
        nn.init.normal_(self.place.weight, std=0.02)
        self.static = nn.Linear(s.statics, s.width)
        mixed_before = sorted({0, s.layers - 1} if s.spatial != "none" else set())
        self.mixers = nn.ModuleDict({str(i): place_mixer(s.spatial, width=s.width, heads=s.heads, relations=s.relations,
                                                         dropout=s.dropout, kept=s.kept.mixers[k] if s.kept else None)
                                     for k, i in enumerate(mixed_before)})
        self.fusions = nn.ModuleDict({key: FUSIONS[s.fusion](s.width) for key in self.mixers})
        self.time = self._time()
        self.head = QuantileHead(s.width, s.patch, s.levels, least=-float("inf") if s.negative else 0.0)

    def settled(self) -> "SpaceTimeNetwork":
        """The network as it forecasts once it is trained: its weights are named as those of `type(self)(self.settings)`."""
        return self

    def _time(self) -> nn.ModuleList:
        """The encoder of time, a module a layer: (N, L, D) and K to the last K tokens (N, K, D)."""
        s = self.settings
        return nn.ModuleList(time_layer(s.temporal, width=s.width, heads=s.heads, tokens=sum(s.tokens), depth=i, dropout=s.dropout,
                                        kept=s.kept.heads[i] if s.kept else None, hidden=s.kept.hidden[i] if s.kept else None)
                             for i in range(s.layers))

    def forward(self, x: Tensor, anchor: Tensor, static: Tensor, item: Tensor, place: Tensor, links: Tensor,
                there: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Read a batch's `inputs()`.

        Returns
        -------
        quantiles (G, P, H, Q), rising, and mean (G, P, H), dispersion (G, P, H), all in units of the scale, not yet kept at or
        above zero; and gates (G, P), how much weight the other places had
        """
        s = self.settings
        groups, places = there.shape
        others = (there.sum(dim=1) > 1)[:, None, None, None]  # one that is alone hears nobody
        horizon = anchor.shape[2]
        context = x.shape[2] - horizon
        before, after = s.tokens_of(context), s.tokens_of(horizon)
        flat = x.reshape(groups * places, context + horizon, s.channels)
        seen = flat[:, :context]
        left = (seen[..., SALES_CHANNEL] - seen[..., EXPECTED_CHANNEL]) * seen[..., OBSERVED_CHANNEL]
        more, ahead = [left], [flat[:, context:]]
        if s.spatial != "none":
            ago = _common(flat[..., AGO_CHANNEL], flat[..., AGO_KNOWN_CHANNEL], there)
            more += [_common(left, seen[..., OBSERVED_CHANNEL], there), ago[:, :context]]
            ahead.append(ago[:, context:, None])
        past = F.pad(torch.cat([seen, torch.stack(more, dim=-1)], dim=-1), (0, 0, before * s.patch - context, 0))
        around = F.pad(anchor.reshape(groups * places, horizon), (0, after * s.patch - horizon))
        future = F.pad(torch.cat(ahead, dim=-1), (0, 0, 0, after * s.patch - horizon))
        if self.training:
            item = item * (torch.rand(item.shape, device=item.device) >= _HIDE_NAMES)
            place = place * (torch.rand(place.shape, device=place.device) >= _HIDE_NAMES)
        who = (self.item(item)[:, None] + self.place(place) + self.static(static)).reshape(groups * places, 1, s.width)
        h = torch.cat([self.past(past), self.future(future)], dim=1) + who
        gates = []
        for i, layer in enumerate(self.time):
            if str(i) in self.mixers:
                own = h.reshape(groups, places, before + after, s.width)
                fused, weight = self.fusions[str(i)](own, self.mixers[str(i)](own, links, there) * others)
                gates.append((weight * others[..., 0]).mean(dim=2))
                h = fused.reshape(groups * places, before + after, s.width)
            h = layer(h, before + after if i < s.layers - 1 else after)
        width = None
        if s.banded:
            width = self._width(flat[:, context:], after * s.patch)
            around = around + F.pad(flat[:, context:, MIDDLE_CHANNEL], (0, after * s.patch - horizon))
        quantiles, mean, dispersion = self.head(h, around, width)
        gate = torch.stack(gates).mean(dim=0) if gates else torch.zeros_like(anchor[..., 0])
        shape = (groups, places, after * s.patch)
        return (quantiles.reshape(*shape, -1)[:, :, :horizon], mean.reshape(shape)[:, :, :horizon],
                dispersion.reshape(shape)[:, :, :horizon], gate)


    def _width(self, ahead: Tensor, periods: int) -> Tensor:
        """(N, periods): how far past errors spread, in units of the head's usual spread."""
        spread = (ahead[..., ABOVE_CHANNEL] - ahead[..., BELOW_CHANNEL]).clamp(min=_NARROWEST, max=_WIDEST) / USUAL_SPREAD
        return F.pad(spread, (0, periods - spread.shape[1]), value=1.0)


def _common(left: Tensor, observed: Tensor, there: Tensor) -> Tensor:
    """(G x P, T): what is left over in the mean of a group's places (G, P), the same for each of them; 0 where none is observed.

    Beside it a place's own deviation shows at once: of today, what travels from place to place and does not come everywhere; of a
    year ago, what was an event of this place and not the season.
    """
    groups, places = there.shape
    known = (observed * there.reshape(-1, 1)).reshape(groups, places, -1)
    mean = (left.reshape(groups, places, -1) * known).sum(dim=1) / known.sum(dim=1).clamp(min=1.0)
    return mean[:, None].expand(groups, places, mean.shape[-1]).reshape(groups * places, mean.shape[-1])


def parameters_of(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)

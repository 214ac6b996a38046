"""Blocks of the space-time network: encoders of time, mixers of places, fusion of the two, and the head of quantiles.

Axes: G groups, P places, L tokens (patches of the context, then of the horizon), D width. Encoders of time see (N, L, D) with
N = G x P, and give the last K tokens, (N, K, D): of the last layer only those of the horizon are read, and what nobody reads is
not worked out. Mixers of places see (G, P, L, D) and never look from one group into another, nor at padding.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_USUAL = 0.4  # standard deviation of a forecast in asinh space before anything is learned
USUAL_SPREAD = NormalDist(0.0, _USUAL).inv_cdf(0.9) - NormalDist(0.0, _USUAL).inv_cdf(0.1)
MOST = 9.0  # of a forecast in asinh space: some 4,000 times the scale


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): gated, position by position; `hidden` units inside, twice the width unless said."""

    def __init__(self, width: int, dropout: float, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or 2 * width
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, 2 * hidden)
        self.leave = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """(..., D) to (..., D), with the way around it."""
        hidden = self.leave.in_features
        value, gate = self.enter(self.norm(h)).split([hidden, hidden], dim=-1)  # `chunk` becomes a sequence in ONNX: copied twice
        return h + self.dropout(self.leave(value * F.silu(gate)))


class PatchEmbedding(nn.Module):
    """Patches of consecutive periods as tokens: a residual perceptron over all channels of the patch (Das et al. 2024).

    Its `hidden` units are twice the width unless said.
    """

    def __init__(self, patch: int, channels: int, width: int, dropout: float, hidden: int | None = None) -> None:
        super().__init__()
        self.patch, hidden = patch, hidden or 2 * width
        self.enter = nn.Linear(patch * channels, hidden)
        self.leave = nn.Linear(hidden, width)
        self.around = nn.Linear(patch * channels, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L x patch, C) to (N, L, D)."""
        n, periods, channels = x.shape
        patches = x.reshape(n, periods // self.patch, self.patch * channels)
        return self.around(patches) + self.dropout(self.leave(F.silu(self.enter(patches))))


# -- time -------------------------------------------------------------------------------------------------------------


class TimeAttention(nn.Module):
    """Attention over tokens with rotary positions (Su et al. 2021) and normalised queries and keys (Henry et al. 2020).

    The width is shared out among `heads`; `kept` of them are there, all unless said.
    """

    def __init__(self, width: int, heads: int, tokens: int, dropout: float, kept: int | None = None) -> None:
        super().__init__()
        self.heads, self.size, self.drop = kept or heads, width // heads, dropout
        inner = self.heads * self.size if kept else width
        self.norm = nn.LayerNorm(width)
        self.ask = nn.Linear(width, inner, bias=False)
        self.hear = nn.Linear(width, 2 * inner, bias=False)
        self.query_norm, self.key_norm = nn.LayerNorm(self.size), nn.LayerNorm(self.size)
        self.leave = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)
        angle = torch.arange(tokens)[:, None] / 1000.0 ** (torch.arange(0, self.size, 2)[None, :] / self.size)
        self.cosine: Tensor
        self.sine: Tensor
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)

    def _turned(self, h: Tensor, first: int) -> Tensor:
        even, odd, end = h[..., 0::2], h[..., 1::2], first + h.shape[2]
        cosine, sine = self.cosine[first:end], self.sine[first:end]
        return torch.cat([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)

    def forward(self, h: Tensor, keep: int) -> Tensor:
        """(N, L, D) to (N, K, D)."""
        n, tokens, _ = h.shape
        first = tokens - keep
        normal, own = self.norm(h), h[:, first:]
        query = self.ask(normal[:, first:]).reshape(n, keep, self.heads, self.size).transpose(1, 2)
        key, value = self.hear(normal).reshape(n, tokens, 2, self.heads, self.size).permute(2, 0, 3, 1, 4)
        query, key = self._turned(self.query_norm(query), first), self._turned(self.key_norm(key), 0)
        seen = F.scaled_dot_product_attention(query, key, value, dropout_p=self.drop if self.training else 0.0)
        return own + self.dropout(self.leave(seen.transpose(1, 2).reshape(n, keep, self.heads * self.size)))


class Recurrent(nn.Module):
    """A long short-term memory (Hochreiter and Schmidhuber 1997) or a gated recurrent unit (Cho et al. 2014) over tokens.

    It runs through the context into the horizon, so that a token of the horizon has read all before it.
    """

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.cells = kind(width, width, batch_first=True)
        self.leave = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, keep: int) -> Tensor:
        """(N, L, D) to (N, K, D)."""
        seen, _ = self.cells(self.norm(h))
        return h[:, -keep:] + self.dropout(self.leave(seen[:, -keep:]))


class TokenMixer(nn.Module):
    """A perceptron across tokens, the same for each of the width's numbers (Tolstikhin et al. 2021; Chen et al. 2023)."""

    def __init__(self, width: int, tokens: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(tokens, 2 * tokens)
        self.leave = nn.Linear(2 * tokens, tokens)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, keep: int) -> Tensor:
        """(N, L, D) to (N, K, D)."""
        hidden = F.silu(self.enter(self.norm(h).transpose(1, 2)))
        mixed = F.linear(hidden, self.leave.weight[-keep:], self.leave.bias[-keep:])
        return h[:, -keep:] + self.dropout(mixed.transpose(1, 2))


class DilatedConvolution(nn.Module):
    """A gated convolution over tokens whose reach doubles from layer to layer (van den Oord et al. 2016)."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolve = nn.Conv1d(width, 2 * width, kernel_size=3, padding=dilation, dilation=dilation)
        self.leave = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, keep: int) -> Tensor:
        """(N, L, D) to (N, K, D)."""
        value, gate = self.convolve(self.norm(h).transpose(1, 2))[..., -keep:].chunk(2, dim=1)
        return h[:, -keep:] + self.dropout(self.leave((value * gate.sigmoid()).transpose(1, 2)))


class TimeLayer(nn.Module):
    """One layer of a temporal encoder: the look across tokens, then token by token."""

    def __init__(self, across: nn.Module, each: nn.Module) -> None:
        super().__init__()
        self.across, self.each = across, each

    def forward(self, h: Tensor, keep: int) -> Tensor:
        """(N, L, D) to (N, K, D)."""
        out: Tensor = self.each(self.across(h, keep))
        return out


def time_layer(kind: str, *, width: int, heads: int, tokens: int, depth: int, dropout: float, kept: int | None = None,
               hidden: int | None = None) -> TimeLayer:
    """A layer of a temporal encoder, `tokens` in and as many or fewer out; `kept` heads and `hidden` units, all unless said."""
    makers: dict[str, Callable[[], nn.Module]] = {
        "transformer": lambda: TimeAttention(width, heads, tokens, dropout, kept),
        "lstm": lambda: Recurrent(nn.LSTM, width, dropout),
        "gru": lambda: Recurrent(nn.GRU, width, dropout),
        "mlp": lambda: TokenMixer(width, tokens, dropout),
        "conv": lambda: DilatedConvolution(width, 2**depth, dropout),
    }
    return TimeLayer(makers[kind](), FeedForward(width, dropout, hidden))


# -- space ------------------------------------------------------------------------------------------------------------


class PlaceAttention(nn.Module):
    """Attention over the other places of a group at the same token; relations between places are added to its scores.

    Each head weighs the relations (nearness, likeness ...) in its own way, as ALiBi does with distance in text (Press et al. 2022).
    The width is shared out among `heads`; `kept` of them are there, all unless said.
    """

    def __init__(self, width: int, heads: int, relations: int, dropout: float, kept: int | None = None) -> None:
        super().__init__()
        self.heads, self.size = kept or heads, width // heads
        inner = self.heads * self.size if kept else width
        self.norm = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * inner, bias=False)
        self.query_norm, self.key_norm = nn.LayerNorm(self.size), nn.LayerNorm(self.size)
        self.relate = nn.Linear(relations, self.heads)
        self.leave = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, links: Tensor, there: Tensor) -> Tensor:
        """(G, P, L, D), (G, P, P, R), (G, P) to what the other places say, (G, P, L, D)."""
        groups, places, tokens, _ = h.shape
        asked = self.ask(self.norm(h)).reshape(groups, places, tokens, 3, self.heads, self.size).permute(3, 0, 2, 4, 1, 5)
        flat = (groups, tokens * self.heads, places, self.size)
        query, key, value = self.query_norm(asked[0]).reshape(flat), self.key_norm(asked[1]).reshape(flat), asked[2].reshape(flat)
        bias = self.relate(links).permute(0, 3, 1, 2) + _hidden(there)[:, None]
        bias = bias[:, None].expand(groups, tokens, self.heads, places, places).reshape(groups, tokens * self.heads, places, places)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        seen = seen.reshape(groups, tokens, self.heads, places, self.size)
        return self.dropout(self.leave(seen.permute(0, 3, 1, 2, 4).reshape(groups, places, tokens, self.heads * self.size)))


class PlaceGraph(nn.Module):
    """Graph convolution over two neighbourhoods: the given relations, and one learned from what the places are.

    After Graph WaveNet (Wu et al. 2019), but the learned adjacency comes from the places' states, not from a table of their
    names, so that it holds for places never seen.
    """

    def __init__(self, width: int, relations: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.relate = nn.Linear(relations, 1)
        self.sharpness = nn.Parameter(torch.ones(()))
        self.source, self.target = nn.Linear(width, 16), nn.Linear(width, 16)
        self.given, self.learned = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, links: Tensor, there: Tensor) -> Tensor:
        """(G, P, L, D), (G, P, P, R), (G, P) to what the other places say, (G, P, L, D)."""
        normal = self.norm(h)
        state = normal.mean(dim=2)
        hidden = _hidden(there)
        given = (4 * self.sharpness * self.relate(links)[..., 0] + hidden).softmax(dim=-1)
        learned = (self.target(state) @ self.source(state).transpose(1, 2) / 4 + hidden).softmax(dim=-1)
        groups, places, tokens, width = h.shape
        flat = normal.reshape(groups, places, tokens * width)
        near = (given @ flat).reshape(groups, places, tokens, width)
        alike = (learned @ flat).reshape(groups, places, tokens, width)
        return self.dropout(self.given(near) + self.learned(alike))


class PlaceConvolution(nn.Module):
    """Convolution over places in the order of their group, which is that of a space-filling curve: neighbours are mostly near."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolve = nn.Conv1d(width, width, kernel_size=7, padding=3, groups=width)
        self.leave = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, links: Tensor, there: Tensor) -> Tensor:  # noqa: ARG002 -- the order says who is near whom
        """(G, P, L, D), (G, P, P, R), (G, P) to what the places along the curve say, (G, P, L, D)."""
        groups, places, tokens, width = h.shape
        seen = self.norm(h) * there[:, :, None, None]
        along = seen.permute(0, 2, 3, 1).reshape(groups * tokens, width, places)
        mixed = self.convolve(along).reshape(groups, tokens, width, places).permute(0, 3, 1, 2)
        return self.dropout(self.leave(mixed))


def _hidden(there: Tensor) -> Tensor:
    """(G, P, P) to add to scores: others that are padding, and a place itself, are not looked at.

    A place that is alone looks at itself, since scores need somewhere to go; what it then hears is nothing new.
    """
    places = there.shape[1]
    itself = torch.eye(places, dtype=torch.bool, device=there.device)
    others = there[:, None, :] & ~itself
    alone = ~others.any(dim=-1, keepdim=True)
    seen = others | (alone & itself)
    return torch.where(seen, 0.0, -1e4)


def place_mixer(kind: str, *, width: int, heads: int, relations: int, dropout: float, kept: int | None = None) -> nn.Module:
    """A mixer of places: (G, P, L, D), (G, P, P, R), (G, P) to the message of the others, (G, P, L, D); `kept` heads, all unless
    said."""
    makers: dict[str, Callable[[], nn.Module]] = {
        "attention": lambda: PlaceAttention(width, heads, relations, dropout, kept),
        "graph": lambda: PlaceGraph(width, relations, dropout),
        "conv": lambda: PlaceConvolution(width, dropout),
    }
    return makers[kind]()


# -- fusion of a place's own tokens with the message of the others ---------------------------------------------------


class GateFusion(nn.Module):
    """own + gamma x message, gamma in (0, 1) learned from both (Arevalo et al. 2017, gated units)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width, 1)
        nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, own: Tensor, message: Tensor) -> tuple[Tensor, Tensor]:
        """(..., D) twice to the fused (..., D) and the weight of the message (...)."""
        gamma = self.gate(torch.cat([own, message], dim=-1)).sigmoid()
        return own + gamma * message, gamma[..., 0]


class ConcatFusion(nn.Module):
    """A linear map of both side by side; the weight that it gives to the message is its share of the sum's length."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.message = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, own: Tensor, message: Tensor) -> tuple[Tensor, Tensor]:
        """(..., D) twice to the fused (..., D) and the weight of the message (...)."""
        mine, theirs = self.own(own), self.message(message)
        long, short = theirs.norm(dim=-1), (own + mine).norm(dim=-1)
        return own + mine + theirs, long / (long + short + 1e-6)


class CrossFusion(nn.Module):
    """Cross-attention: the place's own token asks, itself and the message answer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, own: Tensor, message: Tensor) -> tuple[Tensor, Tensor]:
        """(..., D) twice to the fused (..., D) and the weight of the message (...)."""
        both = torch.stack([self.norm(own), message], dim=-2)
        score = (self.key(both) * self.query(self.norm(own))[..., None, :]).sum(dim=-1) / math.sqrt(own.shape[-1])
        weight = score.softmax(dim=-1)
        return own + (weight[..., None] * self.value(both)).sum(dim=-2), weight[..., 1]


FUSIONS: dict[str, Callable[[int], nn.Module]] = {"gate": GateFusion, "concat": ConcatFusion, "attention": CrossFusion}


# -- quantiles --------------------------------------------------------------------------------------------------------


class QuantileHead(nn.Module):
    """Monotone, non-negative quantiles of every period of a patch, around an anchor.

    In asinh space the median is the anchor plus a shift, and each further level lies a positive gap away from the one before.
    The mean is that of the quantiles' distribution times a correction, which losses of the mean train.
    """

    def __init__(self, width: int, patch: int, levels: tuple[float, ...], *, least: float) -> None:
        super().__init__()
        self.patch, self.count, self.least = patch, len(levels), least
        self.middle = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, patch * (self.count + 2))  # shift, gaps, correction of the mean, dispersion
        nn.init.zeros_(self.leave.bias)
        nn.init.normal_(self.leave.weight, std=1e-3)
        with torch.no_grad():  # the pinball loss alone trains neither of these, and what is not trained should say nothing
            self.leave.weight.view(patch, self.count + 2, width)[:, self.count:] = 0.0
        self.share: Tensor
        self.usual: Tensor
        self.register_buffer("share", torch.tensor(_shares(levels)), persistent=False)
        self.register_buffer("usual", torch.tensor(_usual_gaps(levels)), persistent=False)

    def forward(self, h: Tensor, anchor: Tensor, width: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(N, L, D), (N, L x patch) to quantiles (N, L x patch, Q), mean and dispersion (N, L x patch), in units of scale.

        `width` (N, L x patch) stretches shifts and gaps.
        """
        n, tokens, _ = h.shape
        said = self.leave(self.norm(h)).float().reshape(n, tokens * self.patch, self.count + 2)
        shift, gaps = said[..., 0], F.softplus(said[..., 1:self.count] + self.usual)
        if width is not None:
            shift, gaps = shift * width, gaps * width[..., None]
        middle = anchor + shift
        below, above = gaps[..., :self.middle], gaps[..., self.middle:]
        down = middle[..., None] - below.flip(-1).cumsum(-1).flip(-1)
        up = middle[..., None] + above.cumsum(-1)
        inside = torch.cat([down, middle[..., None], up], dim=-1).clamp(-MOST, MOST)
        quantiles = inside.sinh()
        mean = (quantiles.clamp(min=self.least) * self.share).sum(-1) * said[..., -2].clamp(-2, 2).exp()
        return quantiles, mean, F.softplus(said[..., -1] + 1.0) + 1e-2


def _shares(levels: tuple[float, ...]) -> list[float]:
    """Weight of each quantile in the mean: the probability that lies nearest to it."""
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(levels)), 1.0]
    return [b - a for a, b in pairwise(edges)]


def _usual_gaps(levels: tuple[float, ...]) -> list[float]:
    """What softplus turns into the gaps of a normal distribution with a standard deviation of `_USUAL`."""
    normal = NormalDist(0.0, _USUAL)
    gaps = [normal.inv_cdf(b) - normal.inv_cdf(a) for a, b in pairwise(levels)]
    return [math.log(math.expm1(g)) for g in gaps]

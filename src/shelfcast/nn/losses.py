"""What a network is trained on: pinball with lower bounds, and losses of the mean.

All take forecasts and truth in units of a series' scale, a mask of what counts and a weight a series, and give one number: the
weighted mean over cells. Sold-out periods hold a lower bound of demand: quantiles below it are wrong, those above are not.
"""

from collections.abc import Callable
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from shelfcast.errors import UnknownNameError
from shelfcast.nn.batch import Batch

Loss = Literal["pinball", "mse", "poisson", "tweedie", "negative_binomial"]
TWEEDIE_POWER: Final = 1.5  # between Poisson (1) and gamma (2): mass at zero, skewed above
_MOST: Final = 15.0  # scales; larger sales would rule the loss
_LEAST: Final = 1e-3


def total_loss(kind: Loss, batch: Batch, said: tuple[Tensor, ...], levels: Tensor) -> Tensor:
    """The loss of a network's answer: pinball of its quantiles, and, unless `kind` is pinball, that of its mean beside it.

    Parameters
    ----------
    said : quantiles (G, P, H, Q), mean (G, P, H), dispersion (G, P, H), gates
    """
    if kind not in get_args(Loss):
        raise UnknownNameError("loss", kind, get_args(Loss))
    quantiles, mean, dispersion = said[0], said[1], said[2]
    known = torch.isfinite(batch.truth) & batch.there[..., None]
    truth = torch.where(known, batch.truth, torch.zeros_like(batch.truth)).clamp(-_MOST, _MOST)
    weight = known * batch.weight[..., None]
    mass = weight.sum().clamp(min=1e-6)
    found = (pinball(quantiles, truth, batch.lower, levels) * weight).sum() / mass
    if kind == "pinball":
        return found
    exact = weight * ~batch.lower  # a mean says nothing about a bound
    return found + (MEANS[kind](mean, truth, dispersion) * exact).sum() / mass


def pinball(quantiles: Tensor, truth: Tensor, lower: Tensor, levels: Tensor) -> Tensor:
    """(G, P, H): twice the mean pinball loss over levels, half in scales and half in asinh of them, censored where `lower`.

    In scales it is the loss that forecasts are judged by; in asinh space single peaks do not drown the rest. Where the truth is
    a lower bound only forecasts below it cost something (Powell 1986, censored quantile regression).
    """
    def cost(said: Tensor, true: Tensor) -> Tensor:
        short = true[..., None] - said
        over = torch.where(lower[..., None], torch.zeros_like(short), (levels - 1) * short)
        return 2 * torch.maximum(levels * short, over).mean(-1)

    return 0.5 * cost(quantiles, truth) + 0.5 * cost(quantiles.asinh(), truth.asinh())


def squared(mean: Tensor, truth: Tensor, dispersion: Tensor) -> Tensor:  # noqa: ARG001 -- all losses of the mean look alike
    """Squared error."""
    return (mean - truth) ** 2


def poisson(mean: Tensor, truth: Tensor, dispersion: Tensor) -> Tensor:  # noqa: ARG001
    """Poisson deviance, halved."""
    m, y = mean.clamp(min=_LEAST), truth.clamp(min=0)
    return m - y * m.log() - (y - torch.xlogy(y, y))


def tweedie(mean: Tensor, truth: Tensor, dispersion: Tensor) -> Tensor:  # noqa: ARG001
    """Tweedie deviance of power 1.5, halved (Jorgensen 1987)."""
    m, y, p = mean.clamp(min=_LEAST), truth.clamp(min=0), TWEEDIE_POWER
    return y.pow(2 - p) / ((1 - p) * (2 - p)) - y * m.pow(1 - p) / (1 - p) + m.pow(2 - p) / (2 - p)


def negative_binomial(mean: Tensor, truth: Tensor, dispersion: Tensor) -> Tensor:
    """Negative log-likelihood of a negative binomial with mean m and variance m + m^2 / r, r the learned dispersion.

    Counts are in units of scale, so this is the continuous extension through gamma functions, as in DeepAR (Salinas et al. 2020).
    """
    m, y, r = mean.clamp(min=_LEAST), truth.clamp(min=0), dispersion
    likelihood = (torch.lgamma(y + r) - torch.lgamma(r) - torch.lgamma(y + 1) + r * (r / (r + m)).log()
                  + y * (m / (r + m)).log())
    return -likelihood


MEANS: Final[dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "mse": squared, "poisson": poisson, "tweedie": tweedie, "negative_binomial": negative_binomial}



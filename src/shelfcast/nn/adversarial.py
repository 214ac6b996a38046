"""Batches moved, within a small bound, to where the network does worst: training on them makes it less easily misled.

Only what was observed is moved: sales of the context and, where asked for, further channels. Never the truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from shelfcast.errors import UnknownNameError
from shelfcast.nn.batch import OBSERVED_CHANNEL, SALES_CHANNEL, Batch

ATTACKS = ("none", "fgsm", "pgd")
_STEP = 2.5  # a step of PGD is 2.5 size / steps, so that it can cross the whole bound: Madry et al. (2018), section 5


def attacked(batch: Batch, loss: Callable[[Batch], Tensor], *, kind: str, size: float, steps: int = 3,
             channels: Sequence[int] = ()) -> Batch:
    """A batch whose loss is higher, with no input further than `size` from what it was.

    Parameters
    ----------
    batch : of tensors
    loss : of a batch, scalar; differentiable in `batch.x`
    kind : "fgsm": one step of `size` along the gradient's sign (Goodfellow et al. 2015, equation 1); "pgd": from a random
        point within the bound, `steps` smaller ones, each brought back into it (Madry et al. 2018, equation 2)
    size : in units of `x`: of sales, asinh(sales / scale); 0.1 is about a tenth of large sales
    channels : of `x`, moved beside sales, over context and horizon

    Returns
    -------
    Batch with another `x`; sales that were not negative stay so
    """
    if kind not in ATTACKS[1:]:
        raise UnknownNameError("attack", kind, ATTACKS[1:])
    start = batch.x.detach()
    bound = size * movable(batch, channels).to(start.dtype)
    x, step = start, size
    if kind == "pgd":
        step = _STEP * size / steps
        x = _within(start + bound * (2 * torch.rand_like(start) - 1), start, bound)
    for _ in range(steps if kind == "pgd" else 1):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(replace(batch, x=x)), x)
        x = _within(x.detach() + step * gradient.sign(), start, bound)
    return replace(batch, x=x.detach())


def movable(batch: Batch, channels: Sequence[int] = ()) -> Tensor:
    """Which inputs may be moved, bool (G, P, T + H, C): observed sales of the context; `channels` of places that are there."""
    x = batch.x
    context = x.shape[2] - batch.truth.shape[-1]
    may = torch.zeros_like(x, dtype=torch.bool)
    for channel in channels:
        may[..., channel] = True
    may[..., SALES_CHANNEL] = x[..., OBSERVED_CHANNEL] > 0
    may[:, :, context:, SALES_CHANNEL] = False
    may[..., OBSERVED_CHANNEL] = False  # what was observed is no matter of degree
    return may & batch.there[:, :, None, None]


def _within(x: Tensor, start: Tensor, bound: Tensor) -> Tensor:
    """Nearest point within the bound, and where sales do not turn negative."""
    x = torch.minimum(torch.maximum(x, start - bound), start + bound)
    sales = torch.maximum(x[..., SALES_CHANNEL], start[..., SALES_CHANNEL].clamp(max=0.0))
    return torch.cat([sales[..., None], x[..., SALES_CHANNEL + 1 :]], dim=-1)

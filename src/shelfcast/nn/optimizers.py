"""Optimisers and the rate at which they learn.

AdamW, SGD with momentum, or Muon with AdamW for what is no hidden matrix; what a step's rate is, as pure functions of the step.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from shelfcast.errors import MissingExtraError, UnknownNameError, WeightsError

OPTIMIZERS = ("adamw", "sgd", "muon")
SCHEDULES = ("constant", "cosine", "linear", "wsd")
COOL_DOWN = 0.2  # share of the steps in which "wsd" comes down; Hägele et al. (2024) find 10 to 20 % enough


def rate_factor(step: int, *, steps: int, warmup: int, schedule: str) -> float:
    """The share of the highest rate that step `step` (counted from 0) learns with.

    It rises linearly over `warmup` steps. Then it stays (constant), falls to zero along half a cosine (Loshchilov and
    Hutter 2017) or a line, or stays and falls over the last fifth as 1 - sqrt (wsd: Hägele et al. 2024, "Scaling laws and
    compute-optimal training beyond fixed training durations").

    Examples
    --------
    >>> [round(rate_factor(s, steps=10, warmup=2, schedule="linear"), 3) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    if step < warmup:
        return (step + 1) / warmup
    gone = (step - warmup) / max(1, steps - warmup)
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * min(gone, 1.0)))
    if schedule == "linear":
        return max(0.0, 1.0 - gone)
    if schedule == "wsd":
        falling = (gone - (1.0 - COOL_DOWN)) / COOL_DOWN
        return 1.0 if falling <= 0.0 else max(0.0, 1.0 - math.sqrt(falling))
    raise UnknownNameError("schedule", schedule, SCHEDULES)


def decays(network: nn.Module) -> dict[str, bool]:
    """Which trained parameters weight decay pulls towards zero: matrices and kernels; not norms, biases and embeddings.

    A norm's gain belongs near one and an identity that is rarely seen would be forgotten.
    """
    tables = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    return {name: p.ndim >= 2 and id(p) not in tables for name, p in trained(network)}


def trained(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that are trained, by name; one that two layers share comes once."""
    return ((name, p) for name, p in network.named_parameters() if p.requires_grad)


class Optimizer:
    """One or two optimisers of PyTorch as one, whose state can be taken out by the names of the parameters.

    Parameters
    ----------
    network : its parameters with `requires_grad`
    kind : "adamw" (Loshchilov and Hutter 2019), "sgd" with momentum, or "muon" (Jordan et al. 2024) for matrices between
        layers, with AdamW for embeddings, norms, biases and kernels
    rate : highest rate; Muon's updates are scaled to the size of AdamW's, so that one rate serves both
    momentum : of SGD and Muon
    weight_decay : per step and rate; of SGD an L2 penalty
    """

    def __init__(self, network: nn.Module, *, kind: str, rate: float, momentum: float, weight_decay: float) -> None:
        if kind not in OPTIMIZERS:
            raise UnknownNameError("optimizer", kind, OPTIMIZERS)
        self._rate = rate
        self._named = dict(trained(network))
        decayed = decays(network)
        matrices = [n for n, p in self._named.items() if kind == "muon" and p.ndim == 2 and decayed[n]]
        rest = [n for n in self._named if n not in set(matrices)]
        groups = [{"params": [self._named[n] for n in rest if decayed[n] is with_decay], "weight_decay": weight_decay * with_decay}
                  for with_decay in (True, False)]
        groups = [g for g in groups if g["params"]]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(_muon([self._named[n] for n in matrices], rate, momentum, weight_decay))
        if groups and kind == "sgd":
            self._parts.append(torch.optim.SGD(groups, lr=rate, momentum=momentum))
        elif groups:
            self._parts.append(torch.optim.AdamW(groups, lr=rate, fused=True))  # on a CPU too: 0.6 ms instead of 2.9 for 76 tensors

    def step(self, factor: float) -> None:
        """Move the parameters along their gradients, at `factor` times the highest rate."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self._rate * factor
            part.step()

    def state(self) -> dict[str, Tensor]:
        """What the optimiser remembers: tensors named "parameter/what". A parameter without memory is absent."""
        return {f"{name}/{what}": _as_tensor(value)
                for name, memory in self._memories() for what, value in memory.items() if value is not None}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        owner = {id(p): part for part in self._parts for group in part.param_groups for p in group["params"]}
        for key, value in state.items():
            name, _, what = key.rpartition("/")
            if name not in self._named:
                raise WeightsError(f"The checkpoint's optimiser remembers {name!r}, which this network does not train. "
                                   f"Make the network with the settings it was trained with.")
            parameter = self._named[name]
            owner[id(parameter)].state[parameter][what] = value.to(parameter.device).clone()

    def _memories(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, parameter in self._named.items():
            for part in self._parts:
                if parameter in part.state:
                    yield name, part.state[parameter]


def _as_tensor(value: Any) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else torch.tensor(value)


def _muon(matrices: list[nn.Parameter], rate: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):  # since 2.9
        raise MissingExtraError("The optimiser 'muon'", "train", "torch>=2.9")
    return torch.optim.Muon(matrices, lr=rate, momentum=momentum, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

"""An average of the weights over the last steps, which forecasts better than the weights of the last step alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponentially decaying average of a network's trained weights (Polyak and Juditsky 1992).

    After t steps it decays by min(decay, (1 + t) / (10 + t)), so that the random weights at the start are soon forgotten.
    With a decay of 0 it is the network itself and costs nothing.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._live = {name: p for name, p in network.named_parameters() if p.requires_grad} if decay else {}
        self._decay = decay
        self.values: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Take the network's weights after `steps_done` steps into the average."""
        if self._live:
            share = 1.0 - min(self._decay, (1 + steps_done) / (10 + steps_done))
            for name, parameter in self._live.items():
                self.values[name].lerp_(parameter, share)

    @torch.no_grad()
    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Take back what was saved of `values`."""
        for name in self._live:
            self.values[name].copy_(values[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside, the network has the averaged weights; afterwards its own again, to the bit."""
        own = {name: p.detach().clone() for name, p in self._live.items()}
        try:
            self._load(self.values)
            yield
        finally:
            self._load(own)

    def settle(self) -> None:
        """Give the network the averaged weights for good."""
        self._load(self.values)

    @torch.no_grad()
    def _load(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(values[name])

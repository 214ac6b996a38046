"""What a training leaves to be told: how it went, how long it took, how large the network is. Needs no PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shelfcast.nn.callbacks import Row


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network was trained.

    Attributes
    ----------
    network : its shape, as plain values
    parameters : numbers that were learned
    steps, asked : updates of the weights that were made, and that were asked for at most
    stopped : why it ended
    best_step, best_loss : the best validation, whose weights were kept; None without any
    seconds : trained, over all resumptions
    history : rows, oldest first
    """

    network: Mapping[str, Any]
    parameters: int
    steps: int
    asked: int
    stopped: str
    best_step: int | None
    best_loss: float | None
    seconds: float
    history: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a manifest: first and last loss stand for the history, which is a file of its own."""
        told = {k: v for k, v in vars(self).items() if k != "history"}
        ends = {"first_loss": self.history[0].loss, "last_loss": self.history[-1].loss} if self.history else {}
        return {**told, "network": dict(self.network), **ends}

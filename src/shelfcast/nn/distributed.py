"""Several processes that train one network: each takes its share of a step's batch parts, and gradients are averaged.

The parts of a step are drawn from (seed, step, part) whoever draws them, so any number of processes trains on the same
batches; sums in another order are all that differs.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from shelfcast.errors import SettingsError


@dataclass(frozen=True)
class Crew:
    """The processes that train together, as one of them sees it.

    Attributes
    ----------
    rank : which one this is; 0 leads: it alone writes files and tells callbacks
    size : how many there are
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and tells callbacks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Which of `count` things this process does."""
        return range(self.rank, count, self.size)

    def add_up(self, values: Tensor) -> None:
        """Replace values by their sum over the processes, the same to the bit in each."""
        if self.size > 1:
            distributed.all_reduce(values)

    def add_gradients(self, parameters: Sequence[nn.Parameter], extra: Tensor) -> Tensor:
        """Replace gradients by their sums over the processes; return the sum of `extra`, a few numbers sent along.

        A parameter without gradient in every process has none afterwards: an optimiser passes over it, as in one process.
        """
        if self.size == 1:
            return extra
        has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=extra.device)
        flat = torch.cat([extra.float(), has, *[_gradient(p).flatten().float() for p in parameters]])
        self.add_up(flat)
        given, offset = flat[len(extra) : len(extra) + len(has)].tolist(), len(extra) + len(has)
        for parameter, count in zip(parameters, given, strict=True):
            values = flat[offset : offset + parameter.numel()].view_as(parameter).to(parameter.dtype)
            parameter.grad = values if count else None
            offset += parameter.numel()
        return flat[: len(extra)]

    def from_leader(self, data: bytes | None, device: torch.device) -> bytes | None:
        """What process 0 gives, in every process; the others give None."""
        if self.size == 1:
            return data
        length = torch.tensor([-1 if data is None else len(data)], device=device)
        distributed.broadcast(length, 0)
        if length.item() < 0:
            return None
        if length.item() == 0:
            return b""
        given = bytearray(int(length.item())) if data is None else bytearray(data)
        held = torch.frombuffer(given, dtype=torch.uint8).to(device)
        distributed.broadcast(held, 0)
        return held.cpu().numpy().tobytes()

    def same_start(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the weights of process 0."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.data, 0)


@contextmanager
def joined(device: torch.device) -> Iterator[Crew]:
    """The crew of this process: those that a program already joined, those that torchrun started, or it alone."""
    if not distributed.is_available():
        yield Crew()
        return
    if distributed.is_initialized():
        yield Crew(distributed.get_rank(), distributed.get_world_size())
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Crew()
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise SettingsError(f"WORLD_SIZE={os.environ['WORLD_SIZE']} says that several processes train together, but "
                            f"{', '.join(missing)} is not set. Start them with torchrun, or unset WORLD_SIZE.")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Crew(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

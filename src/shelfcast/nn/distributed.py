"""Several processes that train one network: each takes its share of a step's batch parts, and gradients are averaged.

The parts of a step are drawn from (seed, step, part) whoever draws them, so any number of processes trains on the same
batches; sums in another order are all that differs. Processes are started by torchrun, or by Ray over a cluster:

    torchrun --nproc-per-node 4 program.py          # whose call of `train` then shares its work
    train_with_ray(function, processes=4)           # the same, for a function that calls `train`
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from shelfcast.errors import MissingExtraError, SettingsError


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
    """The crew of this process: those that a program already joined, those that torchrun started, or it alone.

    Parameters
    ----------
    device : of the network; with several GPUs a program puts its network on `cuda:` and the number in LOCAL_RANK first
    """
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


def train_with_ray(function: Callable[[], Any], *, processes: int, address: str | None = None) -> list[Any]:
    """Call a function in several processes of a Ray cluster, which then train together as torchrun's do.

    Parameters
    ----------
    function : calls `train` in each process; the folder it gives is written to by the first process alone
    processes : one CPU each
    address : of a running cluster; None: the one this program is connected to, else a local one that ends with the call

    Returns
    -------
    What the function returned in each process, the first's first

    Raises
    ------
    SettingsError
        If the cluster has fewer CPUs than processes are asked for.
    MissingExtraError
        If Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("Training over a cluster", "cluster", "ray") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    workers: list[Any] = []
    try:
        held = int(ray.cluster_resources().get("CPU", 0))
        if held < processes:
            raise SettingsError(f"The cluster has {held} CPUs, so {processes} processes cannot train at once on it. "
                                f"Ask for {held} at most, or connect to a larger one.")
        workers = [ray.remote(_Worker).options(num_cpus=1).remote() for _ in range(processes)]
        host, port = ray.get(workers[0].meeting_point.remote())
        return list(ray.get([w.call.remote(function, rank, processes, host, port) for rank, w in enumerate(workers)]))
    finally:
        for worker in workers:
            ray.kill(worker)
        if ours:
            ray.shutdown()


class _Worker:
    """One of Ray's processes, told who it is in the way torchrun tells its own."""

    def meeting_point(self) -> tuple[str, int]:
        """Address of this process's machine, and a port that is free there."""
        import ray

        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), probe.getsockname()[1]

    def call(self, function: Callable[[], Any], rank: int, processes: int, host: str, port: int) -> Any:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(processes), LOCAL_RANK="0", MASTER_ADDR=host, MASTER_PORT=str(port))
        return function()


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

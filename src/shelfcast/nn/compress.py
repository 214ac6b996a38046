"""Smaller networks: units that matter least are taken out, and one network learns to say what another says.

Pruning takes out whole units (hidden units by eights, heads of attention), so that what is left is a dense network of less width:
single weights set to zero make nothing faster, for a processor multiplies by them all the same.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from shelfcast.errors import SettingsError
from shelfcast.nn.batch import Batch
from shelfcast.nn.blocks import FeedForward, PatchEmbedding, PlaceAttention, TimeAttention
from shelfcast.nn.network import Kept, SpaceTimeNetwork, parameters_of
from shelfcast.nn.training import Identified, Task

_EIGHT: Final = 8  # hidden units are taken out by eights, the width in which processors reckon
_MOST: Final = 15.0  # scales, as in the loss of training
# Which axis of which weights runs over a block's units, and how many times over: values, then gates; queries, then keys.
_CUTS: Final[Mapping[type[nn.Module], tuple[tuple[str, int, int], ...]]] = {
    PatchEmbedding: (("enter.weight", 0, 1), ("enter.bias", 0, 1), ("leave.weight", 1, 1)),
    FeedForward: (("enter.weight", 0, 2), ("enter.bias", 0, 2), ("leave.weight", 1, 1)),
    TimeAttention: (("ask.weight", 0, 1), ("hear.weight", 0, 2), ("leave.weight", 1, 1)),
    PlaceAttention: (("ask.weight", 0, 3), ("relate.weight", 0, 1), ("relate.bias", 0, 1), ("leave.weight", 1, 1)),
}
Loss = Callable[[nn.Module, Batch], Tensor]


# -- pruning ----------------------------------------------------------------------------------------------------------


def unit_counts(network: SpaceTimeNetwork) -> dict[str, int]:
    """{block: units that it has}: heads of attention, hidden units of the rest."""
    return {name: block.heads if isinstance(block, TimeAttention | PlaceAttention) else block.leave.in_features
            for name, block in network.named_modules() if type(block) in _CUTS}


def importance(network: SpaceTimeNetwork, batches: Iterable[Batch], loss: Loss) -> dict[str, np.ndarray]:
    """How much the loss would move if a unit were taken out, to first order: {block: (units,)}.

    The mean over batches of |dL/dm|, m a factor of 1 on what the unit says (Michel et al. 2019, equation 2, for heads; Molchanov et
    al. 2019 for hidden units).
    """
    counts, blocks = unit_counts(network), dict(network.named_modules())
    masks = {name: torch.ones(count, requires_grad=True) for name, count in counts.items()}
    found, seen = {name: np.zeros(count) for name, count in counts.items()}, 0

    def masked(name: str) -> Callable[..., tuple[Tensor]]:
        def change(module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:  # noqa: ARG001 -- as a hook is called
            said = given[0]
            return (said * masks[name].repeat_interleave(said.shape[-1] // counts[name]),)

        return change

    hooks = [blocks[name].leave.register_forward_pre_hook(masked(name)) for name in counts]
    try:
        for batch in batches:
            steep = torch.autograd.grad(loss(network, batch.tensors()), list(masks.values()), allow_unused=True)
            for name, one in zip(masks, steep, strict=True):
                found[name] += 0.0 if one is None else one.abs().numpy()
            seen += 1
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise SettingsError("There are no batches to measure by what a unit is worth.")
    return {name: total / seen for name, total in found.items()}


def pruned(network: SpaceTimeNetwork, worth: Mapping[str, np.ndarray], share: float) -> SpaceTimeNetwork:
    """A smaller network without the units that are worth least for their parameters, until a share of all parameters is gone.

    Every block keeps one head, or eight hidden units.

    Parameters
    ----------
    worth : of `importance`
    share : of parameters to take out, in (0, 1)

    Raises
    ------
    SettingsError
        If the network is of a kind that is not pruned, or so much cannot be taken out.
    """
    s = network.settings
    if type(network) is not SpaceTimeNetwork or s.temporal != "transformer" or s.spatial not in ("attention", "none"):
        raise SettingsError(f"A network of time {s.temporal!r} and places {s.spatial!r} cannot be pruned; one of 'transformer' and "
                            f"'attention' can.")
    if not 0 < share < 1:
        raise SettingsError(f"The share to prune is {share:g}; it must be above 0 and below 1, such as 0.3.")
    counts, blocks, state = unit_counts(network), dict(network.named_modules()), network.state_dict()
    steps: list[tuple[float, int, str, np.ndarray]] = []  # worth for its parameters, parameters, block, units
    for name, count in counts.items():
        each = sum(state[f"{name}.{cut}"].numel() for cut, _, _ in _CUTS[type(blocks[name])]) // count
        order = np.argsort(worth[name], kind="stable")
        by = 1 if isinstance(blocks[name], TimeAttention | PlaceAttention) else _EIGHT
        for start in range(0, count - by, by):
            units = order[start:start + by]
            steps.append((float(worth[name][units].sum()) / (each * len(units)), each * len(units), name, units))
    whole, gone = parameters_of(network), 0
    most = sum(step[1] for step in steps)
    if most < share * whole:
        raise SettingsError(f"Of {whole:,} parameters {share:.0%} cannot be pruned: {most / whole:.0%} are all that can, while "
                            f"every block keeps something. Prune less, or distil into a smaller size.")
    left = {name: np.ones(count, dtype=bool) for name, count in counts.items()}
    for _, parameters, name, units in sorted(steps, key=lambda step: step[0]):  # stable: those of a block stay in order
        if gone >= share * whole:
            break
        left[name][units] = False
        gone += parameters
    return _narrowed(network, {name: np.flatnonzero(keep) for name, keep in left.items()})


def _narrowed(network: SpaceTimeNetwork, units: Mapping[str, np.ndarray]) -> SpaceTimeNetwork:
    """The network with these units of its blocks alone."""
    counts, blocks, s = unit_counts(network), dict(network.named_modules()), network.settings
    kept = Kept(patches=(len(units["past"]), len(units["future"])),
                hidden=tuple(len(units[f"time.{i}.each"]) for i in range(s.layers)),
                heads=tuple(len(units[f"time.{i}.across"]) for i in range(s.layers)),
                mixers=tuple(len(units[f"mixers.{i}"]) for i in network.mixers))
    state = dict(network.state_dict())
    for name, some in units.items():
        for cut, axis, copies in _CUTS[type(blocks[name])]:
            values = state[f"{name}.{cut}"]
            shape = (*values.shape[:axis], copies, counts[name], -1, *values.shape[axis + 1:])
            chosen = values.reshape(shape).index_select(axis + 1, torch.from_numpy(some))
            state[f"{name}.{cut}"] = chosen.reshape(*values.shape[:axis], -1, *values.shape[axis + 1:]).clone()
    with torch.random.fork_rng(devices=[]):
        smaller = SpaceTimeNetwork(replace(s, kept=kept))
    smaller.load_state_dict(state)
    return smaller.train(network.training)


# -- following a teacher ----------------------------------------------------------------------------------------------


class Following:
    """A task (see `nn.training.Task`): the batches of another, from which a network learns both the truth and what a teacher says.

    A teacher says of each series how sure one can be; the truth says it of one draw alone (Hinton et al. 2015).

    Parameters
    ----------
    teacher : left as it is
    truth : weight of the other task's own loss, from 0 up to, not including, 1; the rest is the distance to the teacher's
        quantiles. Validation is by the other task's loss alone
    unit : of a batch, in which its distances are told, as the other task's loss may be; None for scales
    """

    def __init__(self, task: Task, teacher: SpaceTimeNetwork, *, truth: float = 0.5,
                 unit: Callable[[Batch], Tensor] | None = None) -> None:
        self._task, self._teacher, self._truth, self._unit = task, teacher.eval(), truth, unit

    def batch(self, step: int, part: int) -> Batch:
        """That of the other task."""
        return self._task.batch(step, part)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over a batch of tensors."""
        if not network.training:
            return self._task.loss(network, batch)
        with torch.no_grad():
            taught = self._teacher(*batch.inputs())[0]
            unit = 1.0 if self._unit is None else self._unit(batch)
        said = Once(network, batch)
        loss = (1 - self._truth) * apart(said.answer[0], taught, batch) / unit
        return loss + self._truth * self._task.loss(said, batch) if self._truth else loss

    def validation(self) -> Iterable[Batch]:
        """That of the other task."""
        return self._task.validation()

    def fingerprint(self) -> Mapping[str, Any]:
        """The other task's, and the teacher's numbers."""
        known = hashlib.sha256()
        for name, value in sorted(self._teacher.state_dict().items()):
            known.update(name.encode())
            known.update(value.detach().cpu().contiguous().numpy().tobytes())
        own = self._task.fingerprint() if isinstance(self._task, Identified) else {}
        return {**own, "teacher": known.hexdigest(), "truth": self._truth}


class Once(nn.Module):
    """A network that has answered a batch already: two losses read one answer."""

    def __init__(self, network: nn.Module, batch: Batch) -> None:
        super().__init__()
        self.answer: tuple[Tensor, ...] = network(*batch.inputs())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002 -- they are known
        """The answer."""
        return self.answer


def apart(said: Tensor, taught: Tensor, batch: Batch) -> Tensor:
    """Mean distance between two networks' quantiles (G, P, H, Q), half in scales and half in asinh of them, weighted by series.

    As for the pinball loss (`nn.losses`), in scales forecasts are judged; in asinh space single peaks do not drown the rest. Where
    the truth is not known the teacher is.
    """
    weight = batch.weight * batch.there
    near = (said.clamp(-_MOST, _MOST) - taught.clamp(-_MOST, _MOST)).abs() + (said.asinh() - taught.asinh()).abs()
    return (near.mean(dim=(-1, -2)) * weight).sum() / (2 * weight.sum()).clamp(min=1e-6)

"""Which numbers of a trained network move when it learns a new task, and how it becomes an ordinary network again.

    frozen   the head alone, on features that stay as they were
    top      the head, the last layers of time with the mixers of places before them, and every norm
    lora     low-rank updates of the attention and feed-forward matrices (Hu et al. 2022), by peft; merged in the end
    full     everything

A head starts from the numbers of the old one: what was learned on thousands of retailers is worth more than a clean start.
"""

import re
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn

from shelfcast.errors import MissingExtraError, SettingsError, UnknownNameError
from shelfcast.nn.blocks import FeedForward, PlaceAttention, TimeAttention
from shelfcast.nn.network import SpaceTimeNetwork

Method = Literal["frozen", "top", "lora", "full"]
_UPDATED: Final = (TimeAttention, PlaceAttention, FeedForward)  # whose matrices get low-rank updates


def adapt(network: SpaceTimeNetwork, method: Method, *, layers: int = 1, rank: int = 8, seed: int = 0) -> SpaceTimeNetwork:
    """Let those numbers of a network move that a method moves, and no others; the network itself is changed.

    Parameters
    ----------
    layers : of time, counted from the last, that `top` moves
    rank : of the updates of `lora`
    seed : of the first numbers of `lora`

    Raises
    ------
    MissingExtraError
        If `lora` is asked for and peft is not installed.
    """
    if method not in get_args(Method):
        raise UnknownNameError("method of fine-tuning", str(method), get_args(Method))
    for parameter in network.parameters():
        parameter.requires_grad_(method == "full")
    if method == "lora":
        _add_updates(network, rank=rank, seed=seed)
    elif method in ("frozen", "top"):
        for part in _moving(network, method, layers):
            for parameter in part.parameters():
                parameter.requires_grad_(True)
    return network


def _moving(network: SpaceTimeNetwork, method: Method, layers: int) -> list[nn.Module]:
    """The parts of a network that `frozen` or `top` moves."""
    found: list[nn.Module] = [network.head]
    if method == "frozen":
        return found
    depth = len(network.time)
    if not 1 <= layers <= depth:
        raise SettingsError(f"layers is {layers}; the network has {depth} of them, so from 1 to {depth} can be moved.")
    last = range(depth - layers, depth)
    found += [network.time[i] for i in last]
    found += [held[str(i)] for held in (network.mixers, network.fusions) for i in last if str(i) in held]
    return found + [m for m in network.modules() if isinstance(m, nn.LayerNorm)]


def updated_matrices(network: nn.Module, rank: int = 1) -> list[str]:
    """Names of the linear layers of attention and feed-forward blocks for which an update of a rank is a smaller one."""
    blocks = [(name, m) for name, m in network.named_modules() if isinstance(m, _UPDATED)]
    return [f"{block}.{name}" for block, m in blocks for name, part in m.named_children()
            if isinstance(part, nn.Linear) and min(part.in_features, part.out_features) > rank]


def _add_updates(network: nn.Module, *, rank: int, seed: int) -> None:
    """Put low-rank updates, at first of zero effect, beside the matrices of attention and feed-forward blocks."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("Fine-tuning by low-rank updates (lora)", "adapt", error.name or "peft") from error
    names = updated_matrices(network, rank)
    if not names:
        raise SettingsError(f"The network has no matrix of attention or feed-forward blocks that is wider than the rank, {rank}. "
                            f"Choose a smaller rank, or another method: frozen, top or full.")
    wanted = "|".join(re.escape(name) for name in names)  # as a pattern, whole names; a list would also match their ends
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=wanted, bias="none"), network)


@torch.no_grad()
def merged(network: SpaceTimeNetwork) -> SpaceTimeNetwork:
    """An ordinary network that says what an adapted one says: updates are added to the matrices that they belong to.

    The adapted network is left as it is.
    """
    plain = type(network)(network.settings)
    plain.load_state_dict(merged_state(network))
    plain.train(network.training)
    return plain


@torch.no_grad()
def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The numbers of an adapted network under the names of an ordinary one."""
    updates: dict[str, Any] = {name: m for name, m in network.named_modules() if hasattr(m, "base_layer")}
    found: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        owner = next((o for o in updates if name.startswith(f"{o}.")), None)
        if owner is None:
            found[name] = value.detach().clone()
            continue
        rest = name.removeprefix(f"{owner}.")
        if not rest.startswith("base_layer."):
            continue  # a factor of the update
        number = value.detach().clone()
        if rest == "base_layer.weight":
            number += sum(updates[owner].get_delta_weight(active) for active in updates[owner].active_adapters)
        found[f"{owner}.{rest.removeprefix('base_layer.')}"] = number
    return found


@torch.no_grad()
def mixed(one: SpaceTimeNetwork, other: SpaceTimeNetwork, share: float) -> SpaceTimeNetwork:
    """A network between two of the same settings, number by number: `share` of the other."""
    found = type(one)(one.settings)
    values = other.state_dict()
    found.load_state_dict({name: torch.lerp(value, values[name], share) for name, value in one.state_dict().items()})
    found.eval()
    return found

"""The state of a training in one file, from which it goes on as if it had never stopped.

Tensors by name in the safetensors format, everything else as JSON in its header: reading it runs no code, and one file
appears whole or not at all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shelfcast.errors import MissingExtraError, SettingsError, WeightsError, shorten, shorten_path
from shelfcast.files import whole_file

FILE = "checkpoint.safetensors"
FORMAT = 1  # of what stands in the file; raised when an older program could misread it
_KEY = "shelfcast"  # the header's one entry: safetensors does not keep the order of several


@dataclass(frozen=True)
class Checkpoint:
    """What a training knows between two steps.

    Attributes
    ----------
    step : steps that are done
    identity : what the training was asked to do, "settings.rate" and so on; another training may not take this up
    tensors : by name: "network/...", "optimizer/...", "average/...", "best/..."
    plain : values that JSON keeps exactly: history, the best loss so far, how often it was missed
    """

    step: int
    identity: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    plain: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part: "network", "optimizer", "average", "best"."""
        return {k.removeprefix(name + "/"): v for k, v in self.tensors.items() if k.startswith(name + "/")}


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """A checkpoint in the safetensors format."""
    header = {"format": FORMAT, "step": checkpoint.step, "identity": dict(checkpoint.identity), "plain": dict(checkpoint.plain)}
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    return _safetensors().save(tensors, metadata={_KEY: json.dumps(header)})


def from_bytes(data: bytes, *, origin: object) -> Checkpoint:
    """What `to_bytes` wrote; `origin` is where it came from, for messages.

    Raises
    ------
    WeightsError
        If it is damaged or of another kind.
    """
    try:
        tensors = _safetensors().load(data)
        length = int.from_bytes(data[:8], "little")  # the header's length, as the format says
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        found = Checkpoint(int(header["step"]), dict(header["identity"]), tensors, dict(header["plain"]))
    except Exception as error:  # the reader's errors have no base of their own
        raise WeightsError(f"{shorten_path(origin)!r} is no checkpoint of a training, or it is damaged ({shorten(error)}). "
                           f"Remove it to train from the start.") from error
    if header["format"] != FORMAT:
        raise WeightsError(f"{shorten_path(origin)!r} has the format {shorten(header['format'])}, this version reads {FORMAT}. "
                           f"Go on with the version that wrote it, or remove it to train from the start.")
    return found


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    data = to_bytes(checkpoint)
    with whole_file(path) as partial:
        partial.write_bytes(data)


def check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], *, origin: object) -> None:
    """Refuse to go on with a training that was asked for something else.

    Raises
    ------
    SettingsError
        Names each thing that differs, with both values.
    """
    wanted = json.loads(json.dumps(dict(wanted)))  # as the file keeps it: a tuple is a list there
    differing = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    if differing:
        listed = "; ".join(f"{shorten(n, 40)} was {shorten(found.get(n, 'absent'), 40)}, now {shorten(wanted.get(n, 'absent'), 40)}"
                           for n in differing[:5])
        more = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise SettingsError(f"{shorten_path(origin)!r} is of another training: {listed}{more}. "
                            f"Train with what it was begun with, or into another folder, or remove the file to begin anew.")


def network_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers by name; those that two layers share once."""
    kept = network.state_dict().keys()  # without buffers that are not persistent
    return {**dict(network.named_parameters()), **{n: b for n, b in network.named_buffers() if n in kept}}


@torch.no_grad()
def load_network(network: nn.Module, tensors: Mapping[str, Tensor], *, origin: object) -> None:
    """Set weights and buffers by name.

    Raises
    ------
    WeightsError
        If a name or a shape is not the network's.
    """
    own = network_tensors(network)
    wrong = [f"{n}: {_shape(tensors.get(n))} there, {_shape(own.get(n))} here"
             for n in sorted({*own, *tensors}) if _shape(own.get(n)) != _shape(tensors.get(n))]
    if wrong:
        raise WeightsError(f"The weights in {shorten_path(origin)!r} are of another network ({len(wrong)} differ): "
                           f"{shorten('; '.join(wrong[:3]), 300)}. Make the network with the settings it was trained with.")
    for name, value in own.items():
        value.copy_(tensors[name])


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtraError("A checkpoint", "train", "safetensors") from error
    return safetensors.torch

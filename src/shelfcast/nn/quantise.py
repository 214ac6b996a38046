"""Matrix products in whole numbers of eight bits: an exported network in a quarter of its bytes.

The weights of a product are rounded once, block by block of what comes in, each block with a scale of its own; what comes in is
rounded as it comes, row by row. So a series' forecast never depends on what else is in its batch, as it would were one scale
taken for a whole batch. Products that cost the forecast more than is allowed stay in float32; which these are is measured.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shelfcast.errors import MissingExtraError

if TYPE_CHECKING:
    from onnx import ModelProto

_LEAST: Final = 8_192  # weights of a product; smaller ones take longer to round than to multiply
_BLOCK: Final = 32  # numbers of an input that share a scale
_INT8_COMPUTE: Final = 4  # ONNX Runtime's level of accuracy that multiplies whole numbers


@dataclass(frozen=True)
class Quantised:
    """A network in eight bits.

    Attributes
    ----------
    model : for ONNX Runtime
    blocks : parts of the network whose products are in eight bits
    floats : parts whose products stay in float32
    rise : of the loss by all that is in eight bits, as a share of it
    rises : {part: rise by it alone}, where parts had to be told apart
    """

    model: bytes
    blocks: tuple[str, ...]
    floats: tuple[str, ...]
    rise: float
    rises: dict[str, float]


def quantise(model: bytes, loss: Callable[[bytes], float], *, most: float) -> Quantised:
    """Put as much of a network into eight bits as its loss allows.

    Where all of it costs too much, each part is tried alone, and the costliest go back to float32 one after another.

    Parameters
    ----------
    loss : of an ONNX network, above 0; always on the same batches
    most : that the loss may rise, as a share of it
    """
    parts = parts_of(model)
    begun, chosen = loss(model), dict.fromkeys(parts)
    rises: dict[str, float] = {}

    def tried(names: Collection[str]) -> tuple[bytes, float]:
        made = in_eight_bits(model, names)
        return made, loss(made) / begun - 1

    made, rise = tried(chosen)
    if rise > most:
        rises = {name: tried([name])[1] for name in parts}
        for name in sorted(parts, key=lambda n: -rises[n]):
            del chosen[name]
            made, rise = tried(chosen) if chosen else (model, 0.0)
            if rise <= most:
                break
    return Quantised(made, tuple(chosen), tuple(n for n in parts if n not in chosen), rise, rises)


def parts_of(model: bytes) -> tuple[str, ...]:
    """Parts of an exported network that hold products worth rounding, in the order of the graph, such as `time.0.each`."""
    _, products = _with_plain_weights(model)
    return tuple(dict.fromkeys(_part(weight) for weight in products.values()))


def in_eight_bits(model: bytes, parts: Collection[str]) -> bytes:
    """The network with the products of some parts in eight bits.

    Raises
    ------
    MissingExtraError
        If the packages that change ONNX networks are not installed.
    """
    try:
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    except ImportError as error:
        raise MissingExtraError("Putting a network into eight bits", "train", error.name or "onnx") from error
    plain, products = _with_plain_weights(model)
    chosen = [node for node, weight in products.items() if _part(weight) in parts]
    if not chosen:
        return model
    log = logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer")
    level = log.level
    try:
        log.setLevel(logging.ERROR)
        work = MatMulNBitsQuantizer(plain, bits=8, block_size=_BLOCK, is_symmetric=True, accuracy_level=_INT8_COMPUTE,
                                    nodes_to_include=chosen)
        work.process()
    finally:
        log.setLevel(level)
    return bytes(work.model.model.SerializeToString())


def _part(weight: str) -> str:
    """`time.0.each` of `time.0.each.enter.weight`; `static` of `static.weight`."""
    return ".".join(weight.split(".")[:-2]) or weight.split(".")[0]


def _with_plain_weights(model: bytes) -> "tuple[ModelProto, dict[str, str]]":
    """The network with weights as they are multiplied, no longer transposed in the graph, and {product: its weights' name}."""
    try:
        import onnx
        from onnx.numpy_helper import from_array, to_array
    except ImportError as error:
        raise MissingExtraError("Putting a network into eight bits", "train", error.name or "onnx") from error
    found: Any = onnx.load_from_string(model)
    graph = found.graph
    held = {one.name: one for one in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    products = {}
    for node in graph.node:
        turned = made_by.get(node.input[1]) if node.op_type == "MatMul" else None
        if turned is None or turned.op_type != "Transpose" or turned.input[0] not in held:
            continue
        weight = held[turned.input[0]]
        if weight.dims[0] * weight.dims[1] >= _LEAST:
            graph.initializer.append(from_array(to_array(weight).T.copy(), f"{weight.name}.T"))
            node.input[1] = f"{weight.name}.T"
            products[node.name] = weight.name
    _drop_unread(graph)
    return found, products


def _drop_unread(graph: Any) -> None:
    """Take out of a graph what nothing reads any more."""
    while True:
        read = {name for node in graph.node for name in node.input} | {out.name for out in graph.output}
        dead = [node for node in graph.node if not read.intersection(node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for one in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(one)

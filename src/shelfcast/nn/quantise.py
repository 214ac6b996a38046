"""Matrix products in whole numbers of eight bits: an exported network in a quarter of its bytes.

The weights of a product are rounded once, each column with a scale of its own. What comes in is rounded on one scale for good, as
wide as what came in on drawn retailers: were the scale taken from each batch, as dynamic quantisation does, a series' forecast
would depend on what else is in its batch. Products that cost the forecast more than is allowed stay in float32; which these are is
measured.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shelfcast.errors import MissingExtraError
from shelfcast.nn.batch import INPUTS, Batch

if TYPE_CHECKING:
    from onnx import ModelProto

_LEAST: Final = 8_192  # weights of a product; smaller ones take longer to round than to multiply
_OUTSIDE: Final = 1e-4  # share of what came in that may lie outside the scale, on each side
_TOP: Final = 63  # of a weight: with more, processors without VNNI overflow where they add two products in sixteen bits
_OWN: Final = "com.microsoft"  # whose operators ONNX Runtime has beside the standard
Ranges = Mapping[str, tuple[float, float]]
"""{weights of a product: least and most of what comes in}."""


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


def quantise(model: bytes, ranges: Ranges, loss: Callable[[bytes], float], *, most: float) -> Quantised:
    """Put as much of a network into eight bits as its loss allows.

    Where all of it costs too much, each part is tried alone, and the costliest go back to float32 one after another.

    Parameters
    ----------
    ranges : of `ranges_of`
    loss : of an ONNX network, above 0; always on the same batches
    most : that the loss may rise, as a share of it
    """
    parts = parts_of(model)
    begun, chosen = loss(model), dict.fromkeys(parts)
    rises: dict[str, float] = {}

    def tried(names: Collection[str]) -> tuple[bytes, float]:
        made = in_eight_bits(model, ranges, names)
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


def ranges_of(model: bytes, batches: Iterable[Batch]) -> Ranges:
    """What comes into each product of a network, from least to most over batches, the outermost of each batch left aside."""
    import onnxruntime
    from onnx import TensorProto, helper

    plain, products = _with_plain_weights(model)
    entering = dict.fromkeys(node.input[0] for node in plain.graph.node if node.name in products)
    del plain.graph.output[:]
    plain.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in entering)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(plain.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}
    found = dict.fromkeys(entering, (0.0, 0.0))
    for batch in batches:
        given = {name: value for name, value in zip(INPUTS, batch.inputs(), strict=True) if name in wanted}
        for name, values in zip(entering, session.run(list(entering), given), strict=True):
            low, high = np.quantile(values, (_OUTSIDE, 1 - _OUTSIDE))
            found[name] = (min(found[name][0], float(low)), max(found[name][1], float(high)))
    return {products[node.name]: found[node.input[0]] for node in plain.graph.node if node.name in products}


def in_eight_bits(model: bytes, ranges: Ranges, parts: Collection[str]) -> bytes:
    """The network with the products of some parts in eight bits.

    x w is (x8 - z) w8 times the scales of both, x8 in 0 to 255 with z for 0, w8 in -63 to 63 (Jacob et al. 2018, section 2).

    Raises
    ------
    MissingExtraError
        If the packages that change ONNX networks are not installed.
    """
    plain, products = _with_plain_weights(model)
    from onnx import helper
    from onnx.numpy_helper import from_array, to_array

    graph = plain.graph
    held = {one.name: one for one in graph.initializer}
    rounded: set[str] = set()
    nodes: list[Any] = []
    for node in graph.node:
        weight = products.get(node.name)
        if weight is None or _part(weight) not in parts:
            nodes.append(node)
            continue
        values = to_array(held[node.input[1]])  # (K, N)
        scale = np.maximum(np.abs(values).max(axis=0), 1e-12).astype(np.float32) / np.float32(_TOP)
        graph.initializer.extend([from_array(np.rint(values / scale).astype(np.int8), f"{weight}.whole"),
                                  from_array(scale, f"{weight}.scale")])
        came = node.input[0]
        if came not in rounded:  # two products may read the same
            rounded.add(came)
            low, high = ranges[weight]
            step = max(high - low, 1e-12) / 255
            graph.initializer.extend([from_array(np.array(step, np.float32), f"{came}.scale"),
                                      from_array(np.array(np.clip(np.rint(-low / step), 0, 255), np.uint8), f"{came}.zero")])
            nodes.append(helper.make_node("QuantizeLinear", [came, f"{came}.scale", f"{came}.zero"], [f"{came}.whole"]))
        nodes.append(helper.make_node("MatMulIntegerToFloat", [f"{came}.whole", f"{weight}.whole", f"{came}.scale",
                                                               f"{weight}.scale", f"{came}.zero"], list(node.output),
                                      name=node.name, domain=_OWN))
    if not rounded:
        return model
    del graph.node[:]
    graph.node.extend(nodes)
    if all(one.domain != _OWN for one in plain.opset_import):
        plain.opset_import.append(helper.make_opsetid(_OWN, 1))
    _drop_unread(graph)
    return bytes(plain.SerializeToString())


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

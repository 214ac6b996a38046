"""From a trained network to ONNX, and running it: ONNX Runtime alone forecasts, PyTorch is not needed for it.

Groups and places may be of any number; context, horizon and channels are the network's.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shelfcast.errors import MissingExtraError, WeightsError
from shelfcast.nn.batch import INPUTS, Batch

if TYPE_CHECKING:
    from shelfcast.nn.network import NetworkSettings, SpaceTimeNetwork

OUTPUTS: Final = ("out_quantiles", "out_mean", "out_dispersion", "out_gate")  # names that no step inside has
_KEPT: Final = 16_000_000  # numbers of a network whose graph is kept for the next of its settings
_AXES: Final = {"x": 2, "anchor": 2, "static": 2, "item": 1, "place": 2, "links": 3, "there": 2}  # leading axes of any length


def to_onnx(network: "SpaceTimeNetwork", *, any_length: bool = False) -> bytes:
    """The network in evaluation mode as an ONNX model; inputs are those of a `Batch`, outputs as in `OUTPUTS`.

    The graph is that of the network's settings alone: it is traced once for each, and the weights are put into it.

    Parameters
    ----------
    any_length : context and horizon may be of any length up to those of the settings, and of whole tokens

    Raises
    ------
    MissingExtraError
        If the packages that translate PyTorch are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 -- what torch translates with; asked for here so that its absence is told in our words
        from onnx.numpy_helper import from_array
    except ImportError as error:
        raise MissingExtraError("Exporting a network", "train", error.name or "onnx") from error
    # A large graph would fill the cache's memory. (A class can be hashed, whatever the type checker thinks.)
    graph = _graph if sum(p.numel() for p in network.parameters()) <= _KEPT else _graph.__wrapped__
    model = onnx.load_from_string(graph(type(network), network.settings, any_length))  # type: ignore[arg-type]
    weights = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    for held in model.graph.initializer:
        if held.name in weights:
            held.CopyFrom(from_array(weights.pop(held.name), held.name))
    if weights:
        raise AssertionError(f"The exported graph lacks {sorted(weights)}; forecasts would not be the trained network's.")
    return bytes(model.SerializeToString())


@lru_cache(maxsize=8)
def _graph(kind: Callable[["NetworkSettings"], Any], settings: "NetworkSettings", any_length: bool = False) -> bytes:
    """A network of this kind and these settings, its weights as they begin, as an ONNX model."""
    import torch

    s = settings
    groups, places = 2, 3  # any; the axes are free
    whole = s.context + s.horizon
    example = (torch.zeros(groups, places, whole, s.channels), torch.zeros(groups, places, s.horizon),
               torch.zeros(groups, places, s.statics), torch.zeros(groups, dtype=torch.long),
               torch.zeros(groups, places, dtype=torch.long), torch.zeros(groups, places, places, s.relations),
               torch.ones(groups, places, dtype=torch.bool))
    free = torch.export.Dim.DYNAMIC
    axes = _AXES | ({"x": 3, "anchor": 3} if any_length else {})
    shapes = tuple(dict.fromkeys(range(axes[name]), free) for name in INPUTS)
    log = logging.getLogger("torch.onnx")
    level = log.level
    try:
        log.setLevel(logging.ERROR)
        with (TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()),
              torch.random.fork_rng(devices=[]), torch.no_grad()):
            warnings.simplefilter("ignore")
            path = Path(folder) / "network.onnx"
            # Not optimised: folded constants would no longer be the weights by name. ONNX Runtime folds them on loading.
            torch.onnx.export(kind(s).eval(), example, str(path), dynamo=True, dynamic_shapes=shapes,
                              input_names=list(INPUTS), output_names=list(OUTPUTS), external_data=False, verbose=False,
                              optimize=False)
            return _bare(path.read_bytes())
    finally:
        log.setLevel(level)


def _bare(model: bytes) -> bytes:
    """The graph without notes on the code that it was traced from: they are most of its bytes, and name this machine's folders."""
    import onnx

    found = onnx.load_from_string(model)
    graph = found.graph
    for noted in (found, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        noted.ClearField("metadata_props")
    return bytes(found.SerializeToString())


class Runner:
    """An ONNX network that can be run.

    Parameters
    ----------
    model : what `to_onnx` gave
    threads : of ONNX Runtime
    """

    def __init__(self, model: bytes, *, threads: int) -> None:
        self.__setstate__((model, threads))

    def __getstate__(self) -> tuple[bytes, int]:
        return self._made_of

    def __setstate__(self, made_of: tuple[bytes, int]) -> None:
        """From the model and the number of threads: a session of ONNX Runtime itself cannot go into another process."""
        import onnxruntime

        self._made_of = model, threads = made_of
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no class that is public
            raise WeightsError("The network cannot be read by ONNX Runtime; it is damaged, or made by a much newer version. "
                               "Fit the model again and save it.") from error
        self._wanted = {i.name for i in self._session.get_inputs()}  # inputs that nothing depends on are left out

    def run(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantiles (G, P, H, Q), mean (G, P, H), in units of scale, and gate (G, P) of a batch of numpy arrays."""
        given = {name: value for name, value in zip(INPUTS, batch.inputs(), strict=True) if name in self._wanted}
        quantiles, mean, gate = self._session.run([OUTPUTS[0], OUTPUTS[1], OUTPUTS[3]], given)
        return quantiles, mean, gate

"""PatchTST, NHITS and the Temporal Fusion Transformer on equal terms with another network: its parameters, context and seconds.

Batches hold as many windows as ours do. The rate falls along a cosine, as ours does, which helps these networks in few steps.
"""

import sys
from pathlib import Path

import torch
from neuralforecast.common._base_model import BaseModel
from neuralforecast.models import NHITS, TFT, PatchTST
from run import deciles, fitted, network, numbers

sys.path.append(str(Path(__file__).resolve().parent.parent))
from equal import Asked, Fitted, run_equal
from exchange import Window

WINDOWS = 256  # in a batch, from 64 series
PATCH = {"D": 14, "W": 8, "M": 6}  # of PatchTST, every half of it a token: its default of 16 leaves two tokens of some past
RATES = {"patchtst": 1e-3, "nhits": 1e-3, "tft": 2e-3}
HEADS = 4
SIZES = {"patchtst": range(8, 513, HEADS), "nhits": range(8, 1025, 2), "tft": range(4, 257, 2)}


def shape(kind: str, size: int, freq: str) -> dict[str, object]:
    """The settings that make a network as wide as `size`; the rest as the library has it."""
    if kind == "nhits":
        return {"mlp_units": 3 * [[size, size]]}
    if kind == "tft":
        return {"hidden_size": size, "n_head": HEADS if size % HEADS == 0 else HEADS // 2}  # sizes lie close enough by halves
    patch = PATCH[freq[0]]
    return {"hidden_size": size, "linear_hidden_size": 2 * size, "n_heads": HEADS, "patch_len": patch, "stride": patch // 2}


def parameters_of(model: BaseModel) -> int:
    """How many numbers a network learns."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def fit(window: Window, kind: str, asked: Asked) -> Fitted:
    """Train a network whose parameters are nearest to those asked for."""
    if asked.parameters is None or asked.context is None or asked.words:
        raise SystemExit("Say --parameters and --context, those of the network that this one is to equal, and no --set.")
    look, wanted = asked.context, asked.parameters
    tables = numbers(window)

    def made(size: int) -> BaseModel:
        return network(kind, window, (tables.known, tables.fixed), look=look, batch_size=64, windows_batch_size=WINDOWS,
                       inference_windows_batch_size=512, max_steps=asked.steps, learning_rate=RATES[kind],
                       lr_scheduler=torch.optim.lr_scheduler.CosineAnnealingLR, lr_scheduler_kwargs={"T_max": asked.steps},
                       **shape(kind, size, window.about.freq))

    sizes = SIZES[kind]
    low, high = 0, len(sizes) - 1
    while high - low > 1:  # parameters rise with the size
        middle = (low + high) // 2
        low, high = (middle, high) if parameters_of(made(sizes[middle])) <= wanted else (low, middle)
    model = min((made(sizes[low]), made(sizes[high])), key=lambda m: abs(parameters_of(m) - wanted))
    engine = fitted(model, tables, window)
    return Fitted(parameters_of(model), look, lambda: deciles(engine, tables))


if __name__ == "__main__":
    run_equal({kind: (of, lambda w, a, kind=kind: fit(w, kind, a)) for kind, of in
               (("patchtst", PatchTST), ("nhits", NHITS), ("tft", TFT))}, windows=lambda given: len(given[0]["insample_y"]))

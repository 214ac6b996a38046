"""Networks on equal terms: one thread, a budget of training for all, windows counted as they pass through the optimiser.

    python PEER/networks.py WINDOW FORECAST --model NAME --seconds 60 [--parameters N] [--context T] [--set NAME=VALUE,...]

Writes the forecast, and beside it FORECAST with .json: what was trained, how much, how fast. Needs PyTorch, pandas, pyarrow.

A window here is one series at one origin: `context` periods of past, with the whole horizon as the target. All seconds are of the
processor, over all threads of the process: wall time tells little on a machine that others use. Seconds of training are those of
the whole fit: tables laid out, what a network stands on, every step, export. Windows a second are those of the steps alone.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import torch
from exchange import Window, read_window, write_forecast
from torch import nn

FIRST = 5  # steps of a first fit, which imports what is imported late and tells about what a step costs
TRIAL = 0.15  # share of the seconds asked for that a second fit may take, which tells it well, and what is beside the steps
MOST = 20  # steps of that
WARM = 2  # steps that are not counted for the speed: the first ones allocate


@dataclass(frozen=True)
class Asked:
    """What a network may be: updates of its weights, parameters (None: its own choice), periods of context (None: likewise),
    and settings of its own, `name=value` by commas."""

    steps: int
    parameters: int | None
    context: int | None
    words: str = ""


@dataclass(frozen=True)
class Fitted:
    """A trained network: parameters, periods of context, and the function that forecasts with it."""

    parameters: int
    context: int
    forecast: Callable[[], pd.DataFrame]


class Steps:
    """Windows and processor seconds at each training step of a kind of network, while used as a context.

    Parameters
    ----------
    kind : class of the network
    windows : from the arguments of its forward to how many windows they hold
    """

    def __init__(self, kind: type[nn.Module], windows: Callable[[tuple[Any, ...]], int]) -> None:
        self._kind, self._windows = kind, windows
        self.at: list[float] = []
        self.counts: list[int] = []

    def __enter__(self) -> Self:
        self._handle = nn.modules.module.register_module_forward_pre_hook(self._count)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handle.remove()

    def _count(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, self._kind) and module.training:
            self.at.append(time.process_time())
            self.counts.append(self._windows(arguments))

    @property
    def a_step(self) -> float:
        """Seconds of a step, from one forward to the next."""
        return (self.at[-1] - self.at[WARM]) / (len(self.at) - 1 - WARM)

    @property
    def a_second(self) -> float:
        """Windows a second."""
        return sum(self.counts[WARM:-1]) / (self.at[-1] - self.at[WARM])


def run_equal(models: dict[str, tuple[type[nn.Module], Callable[[Window, Asked], Fitted]]],
              windows: Callable[[tuple[Any, ...]], int]) -> None:
    """The command line of every `networks.py`: short fits for what a step costs, then one that spends the seconds asked for.

    Parameters
    ----------
    models : for each name, the class of its network, and a function that fits it
    windows : from the arguments of a network's forward to how many windows they hold
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("window", type=Path)
    parser.add_argument("forecast", type=Path)
    parser.add_argument("--model", required=True, choices=list(models))
    parser.add_argument("--seconds", type=float, required=True, help="of the processor, for the whole fit")
    parser.add_argument("--parameters", type=int)
    parser.add_argument("--context", type=int)
    parser.add_argument("--set", default="", dest="words", metavar="NAME=VALUE,...")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    window = read_window(arguments.window)
    kind, fit = models[arguments.model]

    def fit_for(steps: int) -> tuple[Steps, float, Fitted]:
        with Steps(kind, windows) as counted:
            begun = time.process_time()
            fitted = fit(window, Asked(steps, arguments.parameters, arguments.context, arguments.words))
            return counted, time.process_time() - begun, fitted

    first, _, _ = fit_for(FIRST)
    trial, spent, _ = fit_for(max(FIRST, min(MOST, int(TRIAL * arguments.seconds / first.a_step))))
    beside = spent - trial.a_step * len(trial.at)
    done, seconds, fitted = fit_for(max(FIRST, int((arguments.seconds - beside) / trial.a_step)))
    write_forecast(arguments.forecast, window, fitted.forecast())
    told = {"parameters": fitted.parameters, "context": fitted.context, "steps": len(done.at), "windows": sum(done.counts),
            "seconds": round(seconds, 1), "windows_per_second": round(done.a_second, 1)}
    arguments.forecast.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


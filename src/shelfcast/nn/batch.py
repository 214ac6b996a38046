"""What a network is shown and asked: one batch of windows, as numpy arrays or as tensors.

Axes, in this order: G groups (an item at an origin), P places of the group, T context, H horizon, C channels, S static numbers,
R relations between places. Groups with fewer places are padded; `there` says which are real.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

SALES_CHANNEL = 0  # of `x`: asinh(sales / scale), 0 where not observed and over the horizon
OBSERVED_CHANNEL = 1  # 1 where sales are observed
EXPECTED_CHANNEL = 2  # asinh(expected / scale) of each period, past and future
AGO_CHANNEL = 3  # what was left over a year ago: asinh of sales less asinh of what was expected then
AGO_KNOWN_CHANNEL = 4  # 1 where that is known
BELOW_CHANNEL, MIDDLE_CHANNEL, ABOVE_CHANNEL = 7, 8, 9
"""In universal channels: how far the quantiles 0.1, 0.5 and 0.9 of past errors lie from the anchor, in asinh space."""
INPUTS = ("x", "anchor", "static", "item", "place", "links", "there")
"""What a network reads; the rest is for the loss and for scaling back."""


@dataclass(frozen=True)
class Batch:
    """A batch of windows. All arrays are numpy, or all are tensors of one device.

    Attributes
    ----------
    x : float32 (G, P, T + H, C), what is known of each period as of the origin: scaled sales, their mask, covariates, calendar
    anchor : float32 (G, P, H), asinh(expected / scale): the point from which the network forecasts
    static : float32 (G, P, S), attributes and coordinates, standardised
    item : int64 (G,), identity; 0 where never seen in training
    place : int64 (G, P), identity; 0 where never seen in training
    links : float32 (G, P, P, R), how near and how alike two places are; 0 where nothing is known
    there : bool (G, P), False for padding
    scale : float32 (G, P), units in which sales are measured
    weight : float32 (G, P), of a series in the loss; 0 for padding
    truth : float32 (G, P, H), sales / scale; nan where not known (of a forecast: everywhere)
    lower : bool (G, P, H), truth is a lower bound: the period was sold out
    """

    x: Any
    anchor: Any
    static: Any
    item: Any
    place: Any
    links: Any
    there: Any
    scale: Any
    weight: Any
    truth: Any
    lower: Any

    def tensors(self, device: str = "cpu") -> Self:
        """The same batch as tensors on a device; no copy where it is there already."""
        import torch

        def moved(value: Any) -> Any:
            return (torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value).to(device)

        return replace(self, **{f.name: moved(getattr(self, f.name)) for f in fields(self)})

    def inputs(self) -> tuple[Any, ...]:
        """What a network reads, in the order of `INPUTS`."""
        return tuple(getattr(self, name) for name in INPUTS)

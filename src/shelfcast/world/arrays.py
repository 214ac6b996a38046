"""The few things in which numpy and torch differ, so that the world's mechanics are written once.

An array is a numpy array or a torch tensor; a function asks its input which it is. Nothing here imports torch.
"""

import sys
from typing import Any

import numpy as np

from shelfcast.errors import SettingsError, shorten

Array = Any
"""A numpy array or a torch tensor; shapes are in the docstrings."""


def namespace(x: Array) -> Any:
    """The module whose functions work on `x`: numpy, or torch.

    >>> namespace(np.zeros(2)).__name__
    'numpy'
    """
    if isinstance(x, np.ndarray):
        return np
    if type(x).__module__.partition(".")[0] == "torch":
        return sys.modules["torch"]
    raise SettingsError(f"The simulated retailer works on numpy arrays and torch tensors, not on {shorten(type(x))}.")


def like(values: Any, x: Array) -> Array:
    """`values` (numbers on the host) as an array of the kind, type and device of `x`."""
    if isinstance(x, np.ndarray):
        return np.asarray(values, dtype=x.dtype)
    return namespace(x).as_tensor(values, dtype=x.dtype, device=x.device)


def index_like(values: Any, x: Array) -> Array:
    """Whole numbers that index arrays of the kind of `x`."""
    if isinstance(x, np.ndarray):
        return np.asarray(values, dtype=np.int64)
    xp = namespace(x)
    return xp.as_tensor(values, dtype=xp.int64, device=x.device)


def whole(x: Array) -> Array:
    """The whole part of numbers, as integers that can index."""
    return x.astype(np.int64) if isinstance(x, np.ndarray) else x.long()


def number(condition: Array, x: Array) -> Array:
    """True and false as 1.0 and 0.0 of the type of `x`."""
    return condition.astype(x.dtype) if isinstance(condition, np.ndarray) else condition.to(x.dtype)


def along(x: Array, index: Array) -> Array:
    """`x[n, index[n, t]]` for every n and t: (N, E) and (N, T) give (N, T)."""
    return np.take_along_axis(x, index, axis=1) if isinstance(x, np.ndarray) else x.gather(1, index)


def days_of(x: Array, count: int) -> Array:
    """The day numbers 0 to count - 1, shape (count,), of the kind of `x`."""
    return like(np.arange(count, dtype=np.float64), x)


def later(x: Array, days: int) -> Array:
    """A series moved so many days into the future, zeros in front: (N, T) to (N, T)."""
    if days == 0:
        return x
    xp = namespace(x)
    return xp.concatenate([xp.zeros_like(x[:, :days]), x[:, :-days]], axis=1)


def decaying_sum(x: Array, decay: Array) -> Array:
    """What is left of all the past: s[t] = decay * s[t - 1] + x[t].

    Done by doubling (Hillis and Steele 1986), log2(T) steps over all series instead of T steps.

    Parameters
    ----------
    x : (N, T)
    decay : (N,), in [0, 1)

    >>> decaying_sum(np.array([[1.0, 0.0, 0.0, 2.0]]), np.array([0.5])).tolist()
    [[1.0, 0.5, 0.25, 2.125]]
    """
    total, power, shift = x, decay[:, None], 1
    while shift < x.shape[1]:
        total = total + power * later(total, shift)
        power, shift = power * power, 2 * shift
    return total

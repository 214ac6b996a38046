"""Regional shocks: something happens at a place, reaches its neighbours later and weaker, and dies away."""

import numpy as np

from shelfcast.features.globe import EARTH
from shelfcast.world.arrays import Array, days_of, namespace


def distance(latitude: Array, longitude: Array) -> Array:
    """Kilometres between all places along the globe (haversine formula): (P,), (P,) degrees to (P, P).

    `features.globe` measures with numpy alone; a world may be made of tensors.
    """
    xp = namespace(latitude)
    lat, lon = latitude * (np.pi / 180.0), longitude * (np.pi / 180.0)
    half = (xp.sin((lat[:, None] - lat[None, :]) / 2) ** 2
            + xp.cos(lat)[:, None] * xp.cos(lat)[None, :] * xp.sin((lon[:, None] - lon[None, :]) / 2) ** 2)
    return 2 * EARTH * xp.arcsin(xp.sqrt(xp.clip(half, 0.0, 1.0)))


def travelling_shocks(away: Array, days: int, *, start: Array, size: Array, speed: Array, life: Array,
                      reach: float, rise: float) -> Array:
    """What each shock does to log demand at each place and day.

    x = t - start - away / speed;  effect = size * exp(-away / reach) * (1 - exp(-x / rise)) * exp(-x / life) for x > 0

    Parameters
    ----------
    away : (S, P), kilometres from the place where the shock starts
    days : length of the result
    start : (S,), day number; size : (S,), log; speed : (S,), kilometres a day; life : (S,), days
    reach : kilometres; rise : days

    Returns
    -------
    (S, P, days), log
    """
    xp = namespace(away)
    since = days_of(away, days)[None, None, :] - (start[:, None] + away / speed[:, None])[:, :, None]
    felt = xp.clip(since, 0.0, None)
    course = (1.0 - xp.exp(-felt / rise)) * xp.exp(-felt / life[:, None, None])
    return (size[:, None] * xp.exp(-away / reach))[:, :, None] * course

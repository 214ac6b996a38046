"""Temperature at places: seasons, regions, and a persistence that a forecast can use."""

import numpy as np

from shelfcast.world.arrays import Array, decaying_sum, like, namespace
from shelfcast.world.blueprint import Weather

_COLDEST = 2 * np.pi * 15 / 365.25  # the middle of January


def temperature(settings: Weather, latitude: Array, angle: Array, *, region: Array, regional: Array,
                local: Array) -> tuple[Array, Array]:
    """What is normal, and the departure from it, degrees Celsius.

    normal[p, t] = mean + per_latitude * (latitude[p] - 40) - swing * cos(angle[t] - coldest)
    departure[p, t] = a[r(p), t] + b[p, t],  a[t] = phi * a[t - 1] + sd * sqrt(1 - phi^2) * e[t],  b likewise

    Parameters
    ----------
    latitude : (P,), degrees
    angle : (T,), radians since the first of January
    region : (P,), position of each place's region
    regional, local : (R, T) and (P, T), standard normal

    Returns
    -------
    normal, departure : (P, T) each
    """
    xp = namespace(latitude)
    mean = settings.mean + settings.per_latitude * (latitude - 40.0)
    normal = mean[:, None] - settings.swing * xp.cos(angle - _COLDEST)[None, :]
    departure = (settings.anomaly * autoregression(regional, settings.persistence)[region]
                 + settings.local * autoregression(local, settings.persistence))
    return normal, departure


def foreseen(normal: Array, departure: Array, *, persistence: float, known_until: int) -> Array:
    """Temperature as a retailer has it: measured up to a day, from then on the best forecast made that day.

    forecast[p, t + h] = normal[p, t + h] + persistence^h * departure[p, t]

    Parameters
    ----------
    known_until : position of the last measured day
    """
    xp = namespace(normal)
    ahead = normal.shape[1] - known_until - 1
    fade = like(persistence ** np.arange(1, ahead + 1, dtype=np.float64), normal)
    last = departure[:, known_until:known_until + 1]
    return normal + xp.concatenate([departure[:, :known_until + 1], last * fade[None, :]], axis=1)


def autoregression(noise: Array, persistence: float) -> Array:
    """A stationary AR(1) of unit variance from standard normal numbers: (N, T) to (N, T).

    s[t] = phi * s[t - 1] + sqrt(1 - phi^2) * e[t], begun at s[0] = e[0].
    """
    xp = namespace(noise)
    scale = (1.0 - persistence**2) ** 0.5
    scaled = xp.concatenate([noise[:, :1], scale * noise[:, 1:]], axis=1)
    return decaying_sum(scaled, xp.zeros_like(noise[:, 0]) + persistence)

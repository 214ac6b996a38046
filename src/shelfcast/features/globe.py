"""Points on the globe: distances, nearest neighbours, hexagons, and an ordering in which neighbours stay together.

Pure functions on arrays of spots, float (P, 2): latitude and longitude in degrees, nan where not known. Distances are
kilometres on a sphere, at most 0.6 % from those on the ellipsoid.
"""

from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from shelfcast.errors import DataError, MissingExtraError, SettingsError, shorten

EARTH: Final = 6371.0  # km, mean radius
FINEST: Final = 15  # resolution of H3
_BITS: Final = 16  # a side of the Hilbert square has 2^16 cells: 80 m where places spread over 5,000 km
NOBODY: Final = -1  # index of a neighbour that is not there


def known(spots: np.ndarray) -> np.ndarray:
    """bool (...,): both coordinates are there.

    Raises
    ------
    DataError
        If a coordinate is not on the globe.
    """
    spots = np.asarray(spots, dtype=float)
    if spots.ndim < 1 or spots.shape[-1] != 2:
        raise DataError(f"Spots are pairs of latitude and longitude, (..., 2); got an array of shape {spots.shape}.")
    for axis, (name, most) in enumerate((("latitude", 90), ("longitude", 180))):
        off = (np.abs(spots[..., axis]) > most).reshape(-1)
        if off.any():
            value = spots[..., axis].reshape(-1)[off][0]
            raise DataError(f"{int(off.sum()):,} of {off.size:,} places have a {name} beyond {most} degrees; the first, at "
                            f"position {int(np.argmax(off)):,}, is {value:g}. Look whether latitude and longitude are exchanged, "
                            f"or leave them empty.")
    return np.isfinite(spots).all(axis=-1)


def great_circle(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Kilometres along the globe (haversine formula; Sinnott, Sky and Telescope 68, 1984).

    sin^2(d / 2R) = sin^2(dlat / 2) + cos(lat1) cos(lat2) sin^2(dlon / 2)

    Parameters
    ----------
    here, there : float (..., 2), degrees; broadcast against each other

    Returns
    -------
    float (...,), km; nan where a coordinate is not known

    Examples
    --------
    Des Moines to Cedar Rapids, and every pair of a table of spots:

    >>> spots = np.array([[41.5868, -93.6250], [41.9779, -91.6656]])
    >>> great_circle(spots[:, None], spots[None, :]).round()
    array([[  0., 168.],
           [168.,   0.]])
    """
    known(here), known(there)
    (lat1, lon1), (lat2, lon2) = (np.moveaxis(np.radians(np.asarray(s, dtype=float)), -1, 0) for s in (here, there))
    half = np.sin((lat1 - lat2) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon1 - lon2) / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))


def directions(spots: np.ndarray) -> np.ndarray:
    """float (..., 3): unit vectors from the middle of the globe; the straight line between two of them grows with distance."""
    lat, lon = np.moveaxis(np.radians(np.asarray(spots, dtype=float)), -1, 0)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def nearest(spots: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Each spot's nearest neighbours, without a table of all pairs.

    Parameters
    ----------
    spots : float (P, 2), degrees
    most : neighbours wanted, K

    Returns
    -------
    int64 (P, K), positions of the neighbours, the nearest first, never the spot itself; -1 where there are no more
    float (P, K), km; inf where there are no more

    Examples
    --------
    >>> nearest(np.array([[0.0, 179.9], [0.0, -179.9], [0.0, 170.0], [np.nan, 1.0]]), 1)[0].ravel()
    array([ 1,  0,  0, -1])
    """
    if most < 1:
        raise SettingsError(f"{most} neighbours cannot be looked for: ask for at least 1.")
    there = np.flatnonzero(known(spots))
    index = np.full((len(spots), most), NOBODY, dtype=np.int64)
    km = np.full((len(spots), most), np.inf)
    some = min(most, len(there) - 1)
    if some >= 1:
        points = directions(spots[there])
        chord, found = cKDTree(points).query(points, k=some + 1)
        # A spot is its own nearest neighbour, but not always the first of several at the same address.
        others = np.argsort(found == np.arange(len(there))[:, None], axis=1, kind="stable")[:, :some]
        index[there, :some] = there[np.take_along_axis(found, others, axis=1)]
        km[there, :some] = 2 * EARTH * np.arcsin(np.clip(np.take_along_axis(chord, others, axis=1) / 2, 0.0, 1.0))
    return index, km


def hexagons(spots: np.ndarray, resolution: int) -> np.ndarray:
    """uint64 (P,): the H3 cell in which each spot lies; 0 where not known.

    Parameters
    ----------
    spots : float (P, 2), degrees
    resolution : 0 (cells 1,280 km across) to 15 (0.6 m); 5 is 10 km, about a city

    Raises
    ------
    MissingExtraError
        If the package h3 is not installed.
    """
    if not 0 <= resolution <= FINEST:
        raise SettingsError(f"{shorten(resolution)} is no resolution of H3: it goes from 0 (a continent) to {FINEST} (a chair).")
    try:
        from h3.api import basic_int
    except ImportError as error:
        raise MissingExtraError("Cells on the globe", "space", "h3") from error
    cells = np.zeros(len(spots), dtype=np.uint64)
    there = known(spots)
    # h3 takes one spot a call; a place is asked about once, whatever the number of series.
    cells[there] = [basic_int.latlng_to_cell(lat, lon, resolution) for lat, lon in spots[there].tolist()]
    return cells


def hilbert(spots: np.ndarray) -> np.ndarray:
    """int64 (P,): how far along a Hilbert curve over the spots' region each lies; -1 where not known.

    Spots that follow each other on the curve are near each other (Hilbert, 1891; the loop is that of Lam and Shapiro, 1994).
    Longitudes are cut where there is the widest gap without spots, so the date line cuts nobody's region.
    """
    out = np.full(len(spots), NOBODY, dtype=np.int64)
    there = known(spots)
    if not there.any():
        return out
    lat, lon = spots[there].T
    low, high = lat.min(), lat.max()
    east = _from_widest_gap(lon) * np.cos(np.radians((low + high) / 2))
    side = max(high - low, east.max(), 1e-9)
    x, y = (np.minimum((v / side * 2**_BITS).astype(np.int64), 2**_BITS - 1) for v in (east, lat - low))
    out[there] = _along(x, y)
    return out


def _from_widest_gap(longitude: np.ndarray) -> np.ndarray:
    """Degrees eastward of the first spot after the widest gap."""
    turned = np.unique(np.mod(longitude, 360.0))
    gaps = np.diff(turned, append=turned[0] + 360.0)
    start = turned[(int(np.argmax(gaps)) + 1) % len(turned)]
    return np.mod(np.mod(longitude, 360.0) - start, 360.0)


def _along(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Position on the Hilbert curve of cells (x, y) of a square with 2^16 cells a side."""
    x, y, along = x.copy(), y.copy(), np.zeros(len(x), dtype=np.int64)
    for bit in range(_BITS - 1, -1, -1):
        side = 1 << bit
        right, up = (x & side) > 0, (y & side) > 0
        along += side * side * ((3 * right) ^ up)
        x, y = x & (side - 1), y & (side - 1)
        flip = right & ~up
        x, y = np.where(flip, side - 1 - x, x), np.where(flip, side - 1 - y, y)
        x, y = np.where(up, x, y), np.where(up, y, x)
    return along

"""Places: where each is, which region it belongs to, who is near whom, and which places are looked at together.

Built from a panel's locations and attributes. A place whose coordinates are not known, or cannot be real, keeps its region and
its likeness to others, and is near nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import polars as pl

from shelfcast.data.coordinates import real
from shelfcast.errors import DataError, SettingsError, UnknownNameError, shorten
from shelfcast.features.globe import NOBODY, great_circle, hexagons, hilbert, known, nearest
from shelfcast.features.likeness import PULL, residual_correlation
from shelfcast.names import LATITUDE, LOCATION, LONGITUDE, WITHDRAWN
from shelfcast.panel import SalesPanel

RELATIONS: Final = ("near", "alike", "same region")
"""Channels of `links`."""

SAME_BUILDING: Final = 0.05  # km
_AROUND: Final = 16  # neighbours whose level is looked at
_REGION_SHARE: Final = 0.1  # of a place of the region, beside one at the door
NEIGHBOUR: Final = 4  # the neighbour whose usual distance is the unit of nearness: the next place on each side


@dataclass(frozen=True, eq=False)
class Places:
    """The places of a panel. P places, sorted by name.

    Attributes
    ----------
    location : column of length P, each name once, sorted
    spots : float (P, 2), latitude and longitude in degrees; both nan where one is not known or cannot be real
    region : int64 (P,), position in `regions`; -1 where not known
    regions : names of the regions, sorted
    scale : km over which nearness falls to 1/e
    attribute : whose values the regions are; None where there are none, or they are cells
    """

    location: pl.Series
    spots: np.ndarray
    region: np.ndarray
    regions: tuple[str, ...]
    scale: float
    attribute: str | None = None

    @classmethod
    def of(cls, panel: SalesPanel, *, region: str | None = None, cells: int | None = None, scale: float | None = None) -> Self:
        """The places at which a panel's series are sold.

        Parameters
        ----------
        panel : places without a row in `panel.places` have no coordinates and no region
        region : attribute of places whose values are the regions; None takes the one that `regional_attribute` finds
        cells : resolution of H3 cells that are the regions instead
        scale : km over which nearness falls to 1/e, when a model has learned with it; None takes the usual distance (median)
            to the fourth neighbour

        Raises
        ------
        DataError
            If a coordinate is no number, or a place is in the table twice.
        """
        if region is not None and cells is not None:
            raise SettingsError(f"Regions are the values of an attribute ({shorten(region)}) or cells ({cells}), not both.")
        table = _table(panel)
        spots = _spots(table)
        chosen = None
        if cells is not None:
            codes = hexagons(spots, cells)
            texts = pl.Series([f"{c:x}" if c else None for c in codes.tolist()], dtype=pl.String)
        else:
            chosen = region if region is not None else regional_attribute(panel)
            if chosen is not None and chosen not in table.columns[1:]:
                raise UnknownNameError("attribute of places", chosen, table.columns[1:])
            texts = table[chosen].cast(pl.String) if chosen is not None else pl.Series([None] * table.height, dtype=pl.String)
        regions = tuple(texts.drop_nulls().unique().sort())
        code = dict(zip(regions, range(len(regions)), strict=True))
        found = texts.replace_strict(code, default=NOBODY, return_dtype=pl.Int64) if regions else pl.repeat(NOBODY, table.height,
                                                                                                          eager=True)
        return cls(table[LOCATION], spots, found.to_numpy().astype(np.int64), regions,
                   usual_gap(spots) if scale is None else scale, chosen)

    def __len__(self) -> int:
        return len(self.location)

    def spots_at(self, which: np.ndarray) -> np.ndarray:
        """float (..., 2), latitude and longitude of places at positions (...,); nan for -1, which stands for none."""
        return np.vstack([self.spots, [[np.nan, np.nan]]])[which]

    @property
    def located(self) -> np.ndarray:
        """bool (P,): the coordinates are known."""
        return known(self.spots)

    def codes(self, locations: pl.Series) -> np.ndarray:
        """int64 (N,): position of each location; -1 where it is none of these places."""
        own = pl.DataFrame({LOCATION: self.location}).with_row_index("code")
        asked = locations.cast(self.location.dtype, strict=False).alias(LOCATION).to_frame()
        found = asked.join(own, on=LOCATION, how="left", maintain_order="left")["code"]
        return found.cast(pl.Int64).fill_null(NOBODY).to_numpy()

    def order(self) -> np.ndarray:
        """int64 (P,): positions of the places so that those near each other follow each other.

        Along a Hilbert curve; then the places without coordinates, by region (unknown ones last) and name.
        """
        along = hilbert(self.spots)
        lost = along == NOBODY
        region = np.where(self.region == NOBODY, len(self.regions), self.region)
        return np.lexsort((np.arange(len(self)), np.where(lost, region, along), lost))


def blocks(order: np.ndarray, most: int) -> list[np.ndarray]:
    """Runs of an ordering, of nearly equal length and at most `most` places each.

    >>> blocks(np.array([3, 0, 2, 1, 4]), 2)
    [array([3, 0]), array([2, 1]), array([4])]
    """
    if most < 1:
        raise SettingsError(f"A block holds at least 1 place; got {most}.")
    return np.array_split(order, max(1, -(-len(order) // most)))


def links(places: Places, which: np.ndarray, *, residuals: np.ndarray | None = None, upto: np.ndarray | int | None = None,
          pull: float = PULL) -> np.ndarray:
    """How places are related to each other, for several sets of places at once.

    near         exp(-km / scale), 0 where a coordinate is not known
    alike        correlation of what is their own (see `likeness`), shrunk by the number of common periods
    same region  1 where both lie in the same region, else 0

    Parameters
    ----------
    places : P places
    which : int (..., K), positions of places; -1 for none
    residuals : float (P + 1, T), a row a place in the order of `places`, and a last row of zeros for -1; None: nothing is known.
        `rows_of` makes them
    upto : columns of the residuals that are read, from the first on: a number, or int (...,), one for each set, such as those
        up to its origin; all when None
    pull : common periods that the guess "not alike" is worth; `likeness.usual_pull` learns it

    Returns
    -------
    float32 (..., K, K, 3), channels as in `RELATIONS`: finite, symmetric, 1 on the diagonal; otherwise 0 where nothing is known
    """
    which = np.asarray(which)
    if which.size and not -1 <= which.min() <= which.max() < len(places):
        raise SettingsError(f"Places are asked for by positions from 0 to {len(places) - 1:,}, or -1; got {which.min()} to "
                            f"{which.max()}.")
    if residuals is not None and len(residuals) != len(places) + 1:
        raise SettingsError(f"Residuals have a row for each of {len(places):,} places and a last one of zeros; got "
                            f"{len(residuals):,} rows.")
    out = np.zeros((*which.shape, which.shape[-1], len(RELATIONS)), dtype=np.float32)
    spots = places.spots_at(which)
    out[..., 0] = np.nan_to_num(np.exp(-great_circle(spots[..., :, None, :], spots[..., None, :, :]) / places.scale), nan=0.0)
    if residuals is not None:
        own = residuals[which]
        if upto is not None:
            own = np.where(np.arange(own.shape[-1]) < np.asarray(upto)[..., None, None], own, 0)
        found = residual_correlation(own, pull=pull)
        out[..., 1] = (found + np.swapaxes(found, -1, -2)) / 2
    region = np.append(places.region, NOBODY)[which]
    out[..., 2] = (region[..., :, None] == region[..., None, :]) & (region != NOBODY)[..., :, None]
    at = np.arange(which.shape[-1])
    out[..., at, at, :] = 1.0
    return out


def level_around(places: Places, levels: np.ndarray) -> np.ndarray:
    """What places around sell, for a place whose own level is not known: mean of others' levels, by nearness and region.

    The sixteen nearest count exp(-km / scale) each, the rest of the region a tenth each, and one place's worth says: as usual.

    Parameters
    ----------
    levels : float (P,), log level of each place relative to the usual one; nan where not known

    Returns
    -------
    float (P,), a place's own level left out; 0 where nothing is known
    """
    known = np.isfinite(levels)
    value = np.where(known, levels, 0.0)
    index, km = nearest(places.spots, min(_AROUND, max(len(places) - 1, 1)))
    weight = np.where(index >= 0, np.exp(-np.where(np.isfinite(km), km, 0.0) / places.scale), 0.0) * known[index]
    total, mass = (weight * value[index]).sum(axis=1), weight.sum(axis=1)
    region = np.where(places.region == NOBODY, len(places.regions), places.region)
    sums = np.bincount(region, weights=value, minlength=len(places.regions) + 1)
    counts = np.bincount(region, weights=known.astype(float), minlength=len(places.regions) + 1)
    inside = (places.region != NOBODY).astype(float)
    total += _REGION_SHARE * inside * (sums[region] - value)
    mass += _REGION_SHARE * inside * (counts[region] - known)
    return total / (mass + 1.0)


def usual_gap(spots: np.ndarray) -> float:
    """Kilometres: the usual distance (median) to the fourth neighbour, the unit of nearness.

    Places that have four others in the same building are left out; 1 where nobody is left.
    """
    km = nearest(spots, NEIGHBOUR)[1]
    reach = np.where(np.isfinite(km), km, -np.inf).max(axis=1)  # fewer than five places: the last there is
    apart = reach[reach > SAME_BUILDING]
    return float(np.median(apart)) if len(apart) else 1.0


def regional_attribute(panel: SalesPanel) -> str | None:
    """The text attribute of places that looks most like a region, or None.

    Its values repeat, and their number is nearest (as a ratio) to the square root of the number of places, so that both the
    regions and the places within one are several.
    """
    held = _table(panel)
    best, name = np.inf, None
    for column, dtype in held.schema.items():
        if column in (LOCATION, LATITUDE, LONGITUDE, WITHDRAWN) or dtype not in (pl.String, pl.Categorical, pl.Enum):
            continue
        values = held[column].drop_nulls()
        count = values.n_unique()
        if 2 <= count <= len(values) / 2:
            off = abs(np.log(count / np.sqrt(held.height)))
            best, name = (off, column) if off < best else (best, name)
    return name


def _table(panel: SalesPanel) -> pl.DataFrame:
    """The locations of the series, sorted, with the attributes that are known of them; the first column is `location`."""
    names = panel.series.select(LOCATION).unique().sort(LOCATION)
    if panel.places is None:
        return names
    keyed = panel.places.with_columns(pl.col(LOCATION).cast(names.schema[LOCATION], strict=False))
    table = names.join(keyed, on=LOCATION, how="left", maintain_order="left")
    if table.height != names.height:
        twice = table.filter(table[LOCATION].is_duplicated())[LOCATION][0]
        raise DataError(f"The table of places has location {shorten(twice)} more than once. Keep one row for each.")
    return table


def _spots(table: pl.DataFrame) -> np.ndarray:
    """float (P, 2), degrees; a pair of which one is not known or cannot be real is nan, nan."""
    if LATITUDE not in table.columns or LONGITUDE not in table.columns:
        return np.full((table.height, 2), np.nan)
    found = []
    for name in (LATITUDE, LONGITUDE):
        values = table[name].cast(pl.Float64, strict=False)
        lost = table.filter(values.is_null() & table[name].is_not_null())
        if lost.height:
            raise DataError(f"{lost.height:,} places have a {name} that is no number; the first: location "
                            f"{shorten(lost[LOCATION][0])}, {shorten(lost[name][0])!r}. Write degrees, such as 41.5868.")
        found.append(values.fill_null(np.nan).to_numpy())
    spots = np.stack(found, axis=1)
    return np.where(real(spots[:, 0], spots[:, 1])[:, None], spots, np.nan)


def rows_of(places: Places, found: np.ndarray, locations: Sequence[object] | pl.Series) -> np.ndarray:
    """Residuals by place, as `links` takes them, from residuals by row of an index.

    Parameters
    ----------
    places : P places
    found : float (G + 1, T), as `likeness.residuals` makes them
    locations : (G,), the location of each row of the index but the last: `pooled.keys[LOCATION][LOCATION]`

    Returns
    -------
    float (P + 1, T); a place that the index does not have is 0 throughout, and so is the last row
    """
    at = places.codes(locations if isinstance(locations, pl.Series) else pl.Series(locations))
    out = np.zeros((len(places) + 1, found.shape[1]), dtype=found.dtype)
    there = at != NOBODY
    out[at[there]] = found[:-1][there]
    return out

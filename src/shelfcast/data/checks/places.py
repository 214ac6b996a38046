"""Kinds of finding about attribute tables and coordinates: places without sales, sales without places, places in the sea."""

from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.checks.view import View
from shelfcast.data.coordinates import real
from shelfcast.data.findings import SHOWN, Found, Place, kind
from shelfcast.names import ITEM, LATITUDE, LOCATION, LONGITUDE

FAR: Final = 10.0  # times the usual distance (median) from the middle of all places
LEAST: Final = 300.0  # km: nearer is never called outside
_KM_PER_DEGREE: Final = 111.2


def _coordinates(view: View) -> tuple[pl.DataFrame, np.ndarray, np.ndarray] | None:
    """The places with both coordinates, and these as numbers, degrees."""
    assert view.panel is not None
    table = view.panel.places
    if table is None or LATITUDE not in table.columns or LONGITUDE not in table.columns:
        return None
    table = table.with_columns(pl.col(c).cast(pl.Float64, strict=False) for c in (LATITUDE, LONGITUDE)).drop_nulls(
        [LATITUDE, LONGITUDE]
    )
    table = table.filter(pl.col(LATITUDE).is_finite() & pl.col(LONGITUDE).is_finite())
    return (table, table[LATITUDE].to_numpy(), table[LONGITUDE].to_numpy()) if table.height else None


def _usual(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, float]:
    """km of each place from the middle (the medians), and the distance beyond which it is outside."""
    middle = np.median(latitude), np.median(longitude)
    east = (longitude - middle[1]) * np.cos(np.radians(middle[0]))
    distance = np.hypot(latitude - middle[0], east) * _KM_PER_DEGREE
    return distance, max(LEAST, FAR * float(np.median(distance)))


def _at(table: pl.DataFrame, which: np.ndarray) -> list[Place]:
    rows = table[np.flatnonzero(which)[:SHOWN]]
    return [Place(location=r[LOCATION], value=f"{r[LATITUDE]:.4f}, {r[LONGITUDE]:.4f}") for r in rows.iter_rows(named=True)]


@kind(
    "impossible_coordinates",
    "WARNING",
    looks_at="places",
    says="places have coordinates that do not exist or are 0, 0",
    unit="places",
    why="Zero and zero is a spot in the Atlantic: the coordinates are not known.",
    does="they count as not known; leave them empty in the source",
)
def impossible_coordinates(view: View) -> Found | None:
    """Beyond 90 or 180 degrees, or exactly 0, 0."""
    found = _coordinates(view)
    if found is None:
        return None
    table, latitude, longitude = found
    bad = ~real(latitude, longitude)
    return Found(int(bad.sum()), table.height, _at(table, bad)) if bad.any() else None


@kind(
    "swapped_coordinates",
    "WARNING",
    looks_at="places",
    says="places would lie among the others if latitude and longitude were exchanged",
    unit="places",
    why="They were filled in the wrong way round.",
    does="nothing; exchange them in the source",
)
def swapped_coordinates(view: View) -> Found | None:
    """Outside as given, inside when exchanged."""
    found = _coordinates(view)
    if found is None:
        return None
    table, latitude, longitude = found
    distance, limit = _usual(latitude, longitude)
    east = (latitude - np.median(longitude)) * np.cos(np.radians(np.median(latitude)))
    exchanged = np.hypot(longitude - np.median(latitude), east) * _KM_PER_DEGREE
    bad = (distance > limit) & (exchanged <= limit)
    return Found(int(bad.sum()), table.height, _at(table, bad)) if bad.any() else None


@kind(
    "places_outside",
    "WARNING",
    looks_at="places",
    says="places lie far outside the region of all others",
    unit="places",
    why="A wrong sign or a misread address; neighbours and weather would be taken from there.",
    does="nothing; look at them",
)
def places_outside(view: View) -> Found | None:
    """Over ten times the median distance from the middle, and over 300 km; not when exchanging mends it."""
    found = _coordinates(view)
    if found is None:
        return None
    table, latitude, longitude = found
    distance, limit = _usual(latitude, longitude)
    east = (latitude - np.median(longitude)) * np.cos(np.radians(np.median(latitude)))
    exchanged = np.hypot(longitude - np.median(latitude), east) * _KM_PER_DEGREE
    bad = real(latitude, longitude) & (distance > limit) & (exchanged > limit)
    return Found(int(bad.sum()), table.height, _at(table, bad)) if bad.any() else None


@kind(
    "places_without_coordinates",
    "NOTE",
    looks_at="places",
    says="places have no coordinates",
    unit="places",
    why="They have no neighbours to learn from and are not on the map.",
    does="nothing",
)
def places_without_coordinates(view: View) -> Found | None:
    """A latitude or longitude is empty."""
    assert view.panel is not None
    table = view.panel.places
    if table is None or LATITUDE not in table.columns or LONGITUDE not in table.columns:
        return None
    lone = table.filter(pl.col(LATITUDE).is_null() | pl.col(LONGITUDE).is_null())
    return Found(lone.height, table.height, [Place(location=v) for v in lone[LOCATION].head(SHOWN)]) if lone.height else None


@kind(
    "places_without_sales",
    "NOTE",
    looks_at="places",
    says="places in the table of places have no sales",
    unit="places",
    why="Not opened yet, closed long ago, or written in another way than in the sales.",
    does="they get no forecast",
)
def places_without_sales(view: View) -> Found | None:
    """In the table, not in the sales."""
    return _only_in_table(view, LOCATION)


@kind(
    "sales_without_place",
    "WARNING",
    looks_at="places",
    says="locations with sales are not in the table of places",
    unit="places",
    why="Their attributes and coordinates are not known.",
    does="the attributes stay unknown",
)
def sales_without_place(view: View) -> Found | None:
    """In the sales, not in the table."""
    return _only_in_sales(view, LOCATION)


@kind(
    "items_without_sales",
    "NOTE",
    looks_at="places",
    says="items in the table of items have no sales",
    unit="items",
    why="Not listed yet, or written in another way than in the sales.",
    does="they get no forecast",
)
def items_without_sales(view: View) -> Found | None:
    """In the table, not in the sales."""
    return _only_in_table(view, ITEM)


@kind(
    "items_without_attributes",
    "NOTE",
    looks_at="places",
    says="items with sales are not in the table of items",
    unit="items",
    why="A new item without attributes cannot borrow from items like it.",
    does="the attributes stay unknown",
)
def items_without_attributes(view: View) -> Found | None:
    """In the sales, not in the table."""
    return _only_in_sales(view, ITEM)


def _table(view: View, key: str) -> pl.DataFrame | None:
    assert view.panel is not None
    return view.panel.items if key == ITEM else view.panel.places


def _only_in_table(view: View, key: str) -> Found | None:
    table = _table(view, key)
    if table is None:
        return None
    assert view.panel is not None
    lone = (
        table.select(key)
        .unique(maintain_order=True)
        .join(view.panel.series.select(key).unique(), on=key, how="anti", maintain_order="left")
    )
    return Found(lone.height, table.height, _keys(lone, key)) if lone.height else None


def _only_in_sales(view: View, key: str) -> Found | None:
    table = _table(view, key)
    if table is None:
        return None
    assert view.panel is not None
    sold = view.panel.series.select(key).unique(maintain_order=True)
    lone = sold.join(table.select(key), on=key, how="anti", maintain_order="left")
    return Found(lone.height, sold.height, _keys(lone, key)) if lone.height else None


def _keys(frame: pl.DataFrame, key: str) -> list[Place]:
    return [Place(item=v if key == ITEM else None, location=v if key == LOCATION else None) for v in frame[key].head(SHOWN)]

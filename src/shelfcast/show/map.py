"""Places on a map that needs no tile server: a graticule, a scale, and one point a place.

Equirectangular projection: longitudes are shrunk by the cosine of the middle latitude, which keeps shapes right where the
region is small against the globe (Snyder, Map Projections, 1987, section 12).
"""

import math
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
import polars as pl

from shelfcast.features.globe import EARTH
from shelfcast.show import numerals
from shelfcast.show.charts import nice_ticks

WIDE: Final = 1000
TALLEST, FLATTEST = 760, 360
MARGIN: Final = 40
MOST_POINTS: Final = 1500  # more only hide each other and make the file heavy
CLASSES: Final = (-0.25, -0.1, -0.02, 0.02, 0.1, 0.25)  # borders between the seven colours of change


@dataclass(frozen=True)
class PlaceMap:
    """A drawn map: the SVG, how many places it shows, how many lie far outside, and whether colours mean change."""

    svg: str
    shown: int
    outside: int
    compared: bool


def place_map(places: pl.DataFrame, *, unit: str, identity: str = "map") -> PlaceMap:
    """Points sized by what is expected and coloured by its change against before.

    Parameters
    ----------
    places : table of PLACES_SCHEMA, the largest first; the change is from `before` to `alike`
    unit : what is counted, plural
    """
    inside = places.filter(_near(places["latitude"]) & _near(places["longitude"]))
    shown = inside.head(MOST_POINTS)
    latitude, longitude = shown["latitude"].to_numpy(), shown["longitude"].to_numpy()
    shrink = math.cos(math.radians(float(latitude.min() + latitude.max()) / 2))
    across = max(float(np.ptp(longitude)) * shrink, 0.02)
    high = max(float(np.ptp(latitude)), 0.02)
    tall = min(max((WIDE - 2 * MARGIN) * high / across + 2 * MARGIN, FLATTEST), TALLEST)
    scale = min((WIDE - 2 * MARGIN) / across, (tall - 2 * MARGIN) / high)  # units per degree of latitude
    middle = (float(longitude.min() + longitude.max()) / 2, float(latitude.min() + latitude.max()) / 2)

    def x(degrees: float) -> float:
        return WIDE / 2 + (degrees - middle[0]) * shrink * scale

    def y(degrees: float) -> float:
        return tall / 2 - (degrees - middle[1]) * scale

    compared = bool((shown["before"].fill_null(0.0) > 0).any())
    biggest = max(float(shown["next"].max() or 0.0), 1e-9)  # type: ignore[arg-type]
    radius = float(np.clip(150 / math.sqrt(shown.height), 5, 22))
    points = []
    for row in shown.iter_rows(named=True):
        share = row["alike"] / row["before"] - 1 if row["before"] else float("nan")
        size = max(2.0, radius * math.sqrt(max(row["next"], 0.0) / biggest))
        told = f"{row['name']}: {numerals.quantity(row['next'])} {unit}" + (f", {numerals.change(share)}" if share == share else
                                                                           f", {row['mark']}" if row["mark"] else "")
        at = f'cx="{x(row["longitude"]):.1f}" cy="{y(row["latitude"]):.1f}"'
        points.append(f'<circle class="g{_class(share)}" {at} r="{size:.1f}">'
                      f"<title>{escape(numerals.plain(told))}</title></circle>")
    title = f"Map of {shown.height:,} places: size is what is expected, colour is its change"
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" class="chart map" role="img" aria-labelledby="{identity}-title" '
           f'viewBox="0 0 {WIDE} {tall:.0f}" width="100%"><title id="{identity}-title">{title}</title>'
           f"{_graticule(x, y, tall)}{''.join(points)}{_scale(scale, tall)}</svg>")
    return PlaceMap(svg=svg, shown=shown.height, outside=places.height - inside.height, compared=compared)


def _near(values: pl.Series) -> pl.Series:
    """True where a coordinate lies within ten middle-half widths of the middle: one wrong sign must not shrink a country."""
    low, mid, high = (float(values.quantile(q) or 0.0) for q in (0.25, 0.5, 0.75))
    reach = 10 * max(high - low, 0.5)
    return (values - mid).abs() <= reach


def _class(share: float) -> int:
    """0 (strong fall) to 6 (strong growth); 3 where there is nothing to compare with."""
    return sum(share > border for border in CLASSES) if share == share else 3


def _graticule(x: object, y: object, tall: float) -> str:
    """Thin lines of equal latitude and longitude, labelled at the edges."""
    parts = []
    west, east = _inverse(x, 0.0), _inverse(x, WIDE)
    south, north = _inverse(y, tall), _inverse(y, 0.0)
    for lon in nice_ticks(west, east, 6):
        if west < lon < east:
            px = x(lon)  # type: ignore[operator]
            parts.append(f'<line class="grid" x1="{px:.1f}" x2="{px:.1f}" y1="0" y2="{tall:.0f}"/>'
                         f'<text class="tick" x="{px + 4:.1f}" y="{tall - 6:.0f}">{_degrees(lon, "E", "W")}</text>')
    for lat in nice_ticks(south, north, 4):
        if south < lat < north:
            py = y(lat)  # type: ignore[operator]
            parts.append(f'<line class="grid" x1="0" x2="{WIDE}" y1="{py:.1f}" y2="{py:.1f}"/>'
                         f'<text class="tick" x="4" y="{py - 4:.1f}">{_degrees(lat, "N", "S")}</text>')
    return "".join(parts)


def _inverse(project: object, pixel: float) -> float:
    """Degrees at a pixel, of a projection that is linear."""
    at0, at1 = project(0.0), project(1.0)  # type: ignore[operator]
    return float((pixel - at0) / (at1 - at0))


def _degrees(value: float, positive: str, negative: str) -> str:
    return f"{abs(value):g}°{'' if value == 0 else positive if value > 0 else negative}"


def _scale(units_per_degree: float, tall: float) -> str:
    """A bar of a round number of kilometres."""
    per_km = units_per_degree / (2 * math.pi * EARTH / 360)
    length = nice_ticks(0, 200 / per_km, 1)[1]
    length = length if length * per_km <= 320 else length / 2
    x0, y0 = WIDE - 20 - length * per_km, tall - 24
    return (f'<g class="scale"><path d="M{x0:.1f} {y0 - 5:.0f}v5H{WIDE - 20}v-5"/><text class="tick" text-anchor="end" '
            f'x="{WIDE - 20}" y="{y0 - 10:.0f}">{length:g} km</text></g>')

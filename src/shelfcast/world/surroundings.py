"""Where the places of a drawn world lie, what is said of them, what travels between them, and covariates that say nothing."""

from collections.abc import Mapping

import numpy as np

from shelfcast.names import LATITUDE, LONGITUDE
from shelfcast.world.ledger import Covariate
from shelfcast.world.patterns import memory
from shelfcast.world.shocks import distance, travelling_shocks

_NOTHING = ("fuel_price", "index", "lottery_draw", "rate", "temperature_elsewhere", "marker", "reading", "wave")


def draw_spots(rng: np.random.Generator, places: int, regions: int,
               region_of: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Coordinates of the places, degrees, around regional centres; and other facts, some of which say nothing."""
    corner = np.array([rng.uniform(-40.0, 58.0), rng.uniform(-120.0, 140.0)])
    extent = rng.uniform(0.5, 10.0)
    centres = corner + extent * rng.random((regions, 2))
    spots = centres[region_of] + extent * rng.uniform(0.01, 0.1) * rng.standard_normal((places, 2))
    spots = np.round(np.clip(spots, -60.0, 60.0) if extent > 100 else spots, 5)
    facts: dict[str, np.ndarray] = {}
    if rng.random() < 0.5:
        facts["region"] = np.array([f"R{r + 1:02d}" for r in region_of])
    if rng.random() < 0.5:
        facts["type"] = np.array(list("abcd"))[rng.integers(0, int(rng.integers(2, 5)), places)]
    if rng.random() < 0.4:
        facts["size"] = np.round(np.exp(rng.normal(7.0, 0.6, places)))
    if rng.random() < 0.3:
        facts["competition_distance"] = np.round(np.exp(rng.normal(7.0, 1.2, places)), -1)
    return {LATITUDE: np.clip(spots[:, 0], -89.0, 89.0), LONGITUDE: spots[:, 1]}, facts


def nearby_shocks(rng: np.random.Generator, spots: Mapping[str, np.ndarray], days: int) -> np.ndarray:
    """(P, T), effects of events that start at a place, travel to its neighbours and die away; see `world.shocks`."""
    count = int(rng.integers(2, 9))
    away = distance(spots[LATITUDE], spots[LONGITUDE])[rng.integers(0, len(spots[LATITUDE]), count)]
    return travelling_shocks(
        away, days, start=rng.uniform(-30.0, days, count), size=rng.normal(0.0, rng.uniform(0.05, 0.35), count),
        speed=rng.uniform(8.0, 60.0, count), life=rng.uniform(10.0, 90.0, count), reach=float(rng.uniform(60.0, 500.0)),
        rise=4.0).sum(axis=0)


def irrelevant(rng: np.random.Generator, places: int, steps: int) -> dict[str, Covariate]:
    """One to four known covariates that have nothing to do with sales: flags, wandering numbers, by place or for all."""
    out: dict[str, Covariate] = {}
    for name in rng.choice(_NOTHING, int(rng.choice([1, 1, 2, 3, 4])), replace=False):
        rows = places if rng.random() < 0.5 else 1
        form = rng.random()
        if form < 0.4:
            values = (rng.random((rows, steps)) < rng.uniform(0.02, 0.5)).astype(np.float64)
        elif form < 0.8:
            wander = memory(rng, (rows, steps), float(rng.choice([0.5, 0.9, 0.99, 0.999])))
            values = np.round(np.exp(rng.uniform(0.0, 4.0)) * (3.0 + rng.uniform(0.1, 1.0) * wander), 3)
        else:
            block = int(rng.integers(5, 40))  # on for weeks, off for weeks
            on = rng.random((rows, steps // block + 1)) < rng.uniform(0.1, 0.5)
            values = np.repeat(on, block, axis=1)[:, :steps].astype(np.float64)
        out[str(name)] = values if rows > 1 or places == 1 else values[0]
    return out

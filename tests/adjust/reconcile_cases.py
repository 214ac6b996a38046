"""Small hierarchies with base forecasts that do not add up."""

import numpy as np
import polars as pl

from shelfcast.data.hierarchy import BOTTOM, Hierarchy
from shelfcast.forecast import Forecast
from shelfcast.periods import Frequency

LEVELS = (0.1, 0.5, 0.9)


def hierarchy(items=4, places=3):
    """Items in two categories and places in two regions, all crosses."""
    item_table = pl.DataFrame({"item": [f"i{k:03d}" for k in range(items)], "category": [f"c{k % 2}" for k in range(items)]})
    place_table = pl.DataFrame({"location": [f"p{k:03d}" for k in range(places)],
                                "region": [f"r{k * 2 // places}" for k in range(places)]})
    series = item_table.select("item").join(place_table.select("location"), how="cross").sort("item", "location")
    return Hierarchy.of(series, items=item_table, places=place_table, item_levels=["category", "item"],
                        place_levels=["region", "location"])


def forecast(level, mean, spread=0.5):
    """Quantiles at a share of the mean below and above."""
    mean = np.asarray(mean, dtype=float)
    quantiles = mean[:, :, None] + np.abs(mean)[:, :, None] * np.array([-spread, 0.0, spread])
    return Forecast(level.series, Frequency("D"), 100, LEVELS, quantiles, mean)


def case(seed=0, horizon=3, periods=30, items=4, places=3, noise=0.3):
    """A hierarchy, base forecasts of all its levels and past errors of all, drawn by a seed; items sell differently much."""
    rng = np.random.default_rng(seed)
    h = hierarchy(items, places)
    size = rng.gamma(2.0, 5.0, size=(len(h.series), 1))
    truth = h.sum_up(size * rng.uniform(0.8, 1.2, size=(len(h.series), horizon)))
    together = rng.normal(size=(1, periods))
    past = h.sum_up(size * (rng.normal(size=(len(h.series), periods)) + together)) * noise
    past[: -len(h.series)] *= 0.6  # sums are forecast better than the sum of their parts
    base = truth * (1 + noise * rng.normal(size=truth.shape) / 3)
    rows = h.rows()
    upper = {one.name: forecast(one, base[rows[one.name]]) for one in h.levels}
    errors = {name: past[rows[name]] for name in [*h.names, BOTTOM]}
    return h, forecast(h.bottom, base[rows[BOTTOM]]), upper, errors

"""A distribution moved to another mean keeps a sensible shape."""

import numpy as np
import polars as pl

from shelfcast.adjust.moving import Shapes, moved_to
from shelfcast.forecast import Forecast
from shelfcast.periods import Frequency

LEVELS = (0.1, 0.5, 0.9)


def forecast(rows, means):
    """One period of each series."""
    series = pl.DataFrame({"item": [f"i{k}" for k in range(len(rows))], "location": ["A"] * len(rows)})
    quantiles, mean = np.array(rows, dtype=float), np.array(means, dtype=float)
    return Forecast(series, Frequency("D"), 0, LEVELS, quantiles[:, None, :], mean[:, None])


SHOP = forecast([[0, 0, 1], [6, 9, 13], [0, 0, 0]], [0.4, 9.0, 0.0])


def to(*means, of=SHOP):
    return moved_to(of, np.array(means, dtype=float)[:, None]).quantiles[:, 0]


def test_near_its_mean_a_series_keeps_its_own_relative_spread_and_its_noughts():
    assert np.allclose(to(0.6, 12.0, 0.0), [[0, 0, 1.5], [8, 12, 13 * 12 / 9], [0, 0, 0]])


def test_a_slow_seller_moved_far_up_looks_like_what_sells_that_much():
    assert np.allclose(to(9.0, 9.0, 9.0), [[6, 9, 13]] * 3)


def test_a_fast_seller_moved_far_down_may_still_sell():
    found = to(0.4, 0.2, 0.0)
    assert np.allclose(found[1], [0, 0, 0.5]) and found[1, -1] > 0


def test_only_a_mean_of_nought_is_surely_nought():
    assert (to(0.0, 1e-6, 0.0)[[0, 2]] == 0).all() and to(0.0, 1e-6, 0.0)[1, -1] > 0


def test_net_of_returns_a_series_without_like_is_shifted():
    returned = forecast([[-4, -2, 0]], [-2])
    assert np.allclose(to(3.0, of=returned), [[1, 3, 5]]) and np.allclose(to(-2.0, of=returned), [[-4, -2, 0]])


def test_shapes_of_batches_add_up():
    halves = Shapes.of(SHOP.select([0])) + Shapes.of(SHOP.select([1, 2]))
    assert np.allclose(halves.sums, Shapes.of(SHOP).sums)

"""Prices against the series' own past."""

import numpy as np

from shelfcast.features.price import against_own_past, as_of_origin


def test_a_discount_is_told_as_a_share_of_the_usual_price():
    price = np.array([[10.0] * 20 + [8.0, 8.0, 10.0]])
    found = against_own_past(price, 19, np.array([20, 21, 22]), limit=22, recent=10, long=20)
    assert found["/recent"].tolist() == [[0.8, 0.8, 1.0]] and found["/before"].tolist() == [[0.8, 1.0, 1.25]]


def test_nobody_looks_past_the_end_of_the_horizon():
    price = np.array([[1.0, 1.0, 1.0, 5.0]])
    found = against_own_past(price, 1, np.array([2]), limit=2, recent=2, long=2)
    assert np.isnan(found["/after"]).all()


def test_a_past_covariate_is_read_at_the_origin_alone():
    visits = np.array([[10.0, 10.0, 20.0, 999.0]])
    found = as_of_origin(visits, 2, recent=1, long=3)
    assert np.isclose(found["/last"][0, 0], 1.5)

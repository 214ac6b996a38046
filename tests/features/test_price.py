"""Prices against the series' own past."""

import numpy as np

from shelfcast.features.price import against_own_past, as_of_origin


def test_a_discount_is_told_as_a_share_of_the_usual_price():
    price = np.array([[10.0] * 20 + [8.0, 8.0, 10.0]])
    found = against_own_past(price, 19, np.array([20, 21, 22]), beside=(price[:, 19:22], price[:, 19:22]), recent=10, long=20)
    assert found["/recent"].tolist() == [[0.8, 0.8, 1.0]] and found["/before"].tolist() == [[0.8, 1.0, 1.25]]


def test_what_comes_after_is_told_against_the_period_itself_and_unknown_where_it_is():
    price = np.array([[10.0, 10.0, 10.0, 5.0]])
    after = np.array([[5.0, np.nan]])
    found = against_own_past(price, 1, np.array([2, 3]), beside=(price[:, 1:3], after), recent=2, long=2)
    assert found["/after"][0, 0] == 0.5 and np.isnan(found["/after"][0, 1])


def test_a_past_covariate_is_read_at_the_origin_alone():
    visits = np.array([[10.0, 10.0, 20.0, 999.0]])
    found = as_of_origin(visits, 2, recent=1, long=3)
    assert np.isclose(found["/last"][0, 0], 1.5)

"""Quantiles of many rows at once, as numpy gives them one row at a time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.models.empirical import GRID, at_levels, expected_above, pooled_quantiles, row_quantiles

LEVELS = np.array([0.01, 0.1, 0.5, 0.75, 0.99])


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.lists(st.just(float("nan")) | st.floats(-1e6, 1e6), min_size=1, max_size=12), min_size=1, max_size=4))
def test_each_row_has_the_quantiles_that_numpy_gives_it(rows):
    width = max(map(len, rows))
    values = np.array([row + [np.nan] * (width - len(row)) for row in rows])
    found = row_quantiles(values, LEVELS)
    for row, quantiles in zip(values, found, strict=True):
        known = row[np.isfinite(row)]
        expected = np.quantile(known, LEVELS) if len(known) else np.full(len(LEVELS), np.nan)
        np.testing.assert_allclose(quantiles, expected, rtol=1e-9, atol=1e-6)


def test_rows_of_no_width_have_no_quantiles():
    assert np.isnan(row_quantiles(np.empty((2, 0)), LEVELS)).all()


def test_a_pooled_distribution_is_read_at_any_level_and_holds_at_its_ends():
    pooled = pooled_quantiles(np.linspace(0, 1, 1001))
    np.testing.assert_allclose(at_levels(pooled, LEVELS), LEVELS, atol=1e-9)
    assert at_levels(pooled, np.array([0.0001]))[0] == pooled[0] and len(pooled) == len(GRID)
    assert (pooled_quantiles(np.array([np.nan])) == 0).all()


def test_the_expected_value_above_zero_counts_what_is_cut_off_as_zero():
    errors = np.array([[-3.0, -1.0, 1.0, 3.0]])
    assert expected_above(np.array([[2.0]]), errors, 0.0)[0, 0] == (0 + 1 + 3 + 5) / 4
    assert expected_above(np.array([[2.0]]), errors, -np.inf)[0, 0] == 2

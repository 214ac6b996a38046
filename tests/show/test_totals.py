"""Bands of totals: between the sums of what is independent and what misses together, and a dependence that is measured."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from shelfcast.show.content import Dependence
from shelfcast.show.gather import gather
from shelfcast.show.totals import LEAST_OVER_TIME, deviation, measure_dependence, over_horizon, shrinkage, total_quantiles
from show.show_cases import ABOUT, make_forecast, make_panel

LEVELS = (0.01, 0.1, 0.5, 0.9, 0.99)


def drawn(correlation: float, *, series: int = 60, periods: int = 3000, seed: int = 3) -> np.ndarray:
    """Sales whose shocks correlate between series by a known number and not over time."""
    rng = np.random.default_rng(seed)
    shared, own = rng.standard_normal((1, periods)), rng.standard_normal((series, periods))
    return 100 + 10 * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.7])
def test_a_known_correlation_between_series_is_found_again(correlation):
    found = measure_dependence(drawn(correlation), season=7, horizon=14)
    assert found.series == pytest.approx(correlation, abs=0.03)
    assert found.time == LEAST_OVER_TIME
    assert "60 series" in found.how


def test_errors_that_persist_are_found_over_time():
    rng = np.random.default_rng(4)
    level = np.zeros(6000)
    for t in range(1, len(level)):
        level[t] = 0.98 * level[t - 1] + rng.standard_normal()
    assert measure_dependence(100 + level[None, :], season=365, horizon=7).time > 0.8


def test_a_short_history_is_taken_to_miss_all_together():
    found = measure_dependence(np.ones((3, 10)), season=7, horizon=7)
    assert (found.series, found.time) == (1.0, 1.0)
    assert "too short" in found.how


def test_gaps_do_not_stop_the_measuring():
    sales = drawn(0.3)
    sales[np.random.default_rng(0).random(sales.shape) < 0.1] = np.nan
    assert 0.1 < measure_dependence(sales, season=7, horizon=14).series < 0.4


def test_the_shrinkage_lies_between_independence_and_unison():
    sigma = np.array([1.0, 2.0, 3.0])
    spread, squares = np.array([sigma.sum()]), np.array([(sigma**2).sum()])
    factors = [float(shrinkage(spread, squares, rho)[0]) for rho in (0.0, 0.3, 0.6, 1.0)]
    assert factors[0] == pytest.approx(np.sqrt(squares[0]) / spread[0])
    assert factors[-1] == 1.0
    assert all(a < b for a, b in pairwise(factors))
    assert shrinkage(np.zeros(1), np.zeros(1), 0.5)[0] == 1.0


def test_the_variance_of_a_correlated_sum_is_met():
    sigma, rho = np.array([1.0, 2.0, 5.0]), 0.4
    covariance = rho * np.outer(sigma, sigma) + (1 - rho) * np.diag(sigma**2)
    factor = shrinkage(np.array([sigma.sum()]), np.array([(sigma**2).sum()]), rho)[0]
    assert factor * sigma.sum() == pytest.approx(np.sqrt(covariance.sum()))


def test_quantiles_of_totals_keep_their_order_also_when_the_mean_is_beyond_them():
    quantiles = np.array([[1.0, 2.0, 4.0, 9.0, 10.0]])
    out = total_quantiles(np.array([20.0]), quantiles, np.array([0.5]))
    assert (np.diff(out) > 0).all()


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_the_horizons_band_is_at_most_the_sum_of_its_periods_bands(rho):
    quantiles = np.array([[80.0, 90.0, 100.0, 110.0, 120.0]] * 9)
    total, whole = over_horizon(np.full(9, 100.0), quantiles, rho)
    width = whole[-1] - whole[0]
    assert total == 900.0
    assert (np.diff(whole) > 0).all()
    assert 40 * 3 - 1e-9 <= width <= 40 * 9 + 1e-9  # sqrt(9) periods if independent, 9 in unison


def test_the_deviation_of_a_known_distribution_is_met():
    levels = tuple(np.round(np.arange(0.005, 1, 0.01), 3))
    row = pl.DataFrame({"mean": [0.5]} | {f"q{q:g}": [q] for q in levels})
    assert row.select(deviation(levels)).item() == pytest.approx(np.sqrt(1 / 12), rel=1e-3)


@pytest.mark.parametrize("rho", [0.0, 0.4, 1.0])
def test_the_bands_on_the_page_lie_between_independence_and_unison(rho):
    panel = make_panel()
    forecast = make_forecast(panel)
    content = gather(panel, forecast, ABOUT, dependence=Dependence(series=rho, time=rho, how="given"))
    shown = content.total.forecast
    width = (shown["q0.9"] - shown["q0.1"]).to_numpy()
    each = forecast.at(0.9) - forecast.at(0.1)
    assert (width <= each.sum(axis=0) + 1e-9).all()
    # The sum of what is independent nears a bell, whose 80 % is a little narrower for the same deviation than these parts' is.
    assert (width >= 0.95 * np.sqrt((each**2).sum(axis=0))).all()
    values = shown.select(pl.selectors.starts_with("q")).to_numpy()
    assert (np.diff(values, axis=1) >= 0).all()
    assert content.low < content.expected < content.high

"""Forecasts of parts and of sums that add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjust.reconcile_cases import case, forecast
from oracle.slow_reconcile import project
from shelfcast.adjust.projection import error_variances, shrunk_weights
from shelfcast.adjust.reconcile import FLOOR, METHODS, reconcile
from shelfcast.errors import DataError, SettingsError, UnknownNameError


@given(st.sampled_from(METHODS), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_means_of_all_levels_add_up_and_nothing_is_below_nought(method, seed):
    h, bottom, upper, errors = case(seed)
    found = reconcile(bottom, h, upper=upper, method=method, errors=errors, members=20)
    assert set(found.upper) == set(h.names) and found.coherence <= 1e-9
    for level, sums in h.sums(found.bottom.mean):
        means = found.bottom.mean if level.name == "bottom" else found.upper[level.name].mean
        assert np.allclose(means, sums, rtol=0, atol=1e-6)
    assert (found.bottom.mean >= 0).all() and (found.bottom.quantiles >= 0).all()


@pytest.mark.parametrize("method", ["ols", "wls", "mint"])
def test_means_are_those_of_the_dense_formula(method):
    h, bottom, upper, errors = case()
    past = np.concatenate([errors[name] for name in [*h.names, "bottom"]])
    covariance = {"ols": np.eye(len(h)), "wls": np.diag(error_variances(past)), "mint": shrunk_weights(past).dense()}[method]
    base = np.concatenate([*(upper[name].mean for name in h.names), bottom.mean])
    found = reconcile(bottom, h, upper=upper, method=method, errors=errors, non_negative=False)
    assert np.allclose(h.sum_up(found.bottom.mean), project(h.matrix().toarray(), covariance, base), atol=1e-8)


def test_without_errors_a_sum_weighs_by_the_number_of_its_series():
    h, bottom, upper, _ = case()
    base = np.concatenate([*(upper[name].mean for name in h.names), bottom.mean])
    summing = h.matrix().toarray()
    found = reconcile(bottom, h, upper=upper, method="wls", non_negative=False)
    assert np.allclose(h.sum_up(found.bottom.mean), project(summing, np.diag(summing.sum(axis=1)), base), atol=1e-8)


def test_bottom_up_is_the_sum_and_leaves_the_bottom_as_it_is():
    h, bottom, upper, _ = case()
    found = reconcile(bottom, h, upper=upper, method="bottom_up")
    assert np.array_equal(found.bottom.mean, bottom.mean) and np.allclose(found.bottom.quantiles, bottom.quantiles)
    assert np.allclose(found.upper["category"].mean, h["category"].sums(bottom.mean))


@pytest.mark.parametrize("method", METHODS)
def test_forecasts_that_add_up_already_stay(method):
    h, bottom, _, errors = case()
    upper = {one.name: forecast(one, one.sums(bottom.mean)) for one in h.levels}
    found = reconcile(bottom, h, upper=upper, method=method, errors=errors)
    assert np.allclose(found.bottom.mean, bottom.mean, atol=1e-8)


def test_top_down_keeps_the_total_and_hands_it_down_by_the_forecasts_of_each_level():
    h, bottom, upper, _ = case()
    found = reconcile(bottom, h, upper={"total": upper["total"], "category": upper["category"]}, method="top_down")
    total, parts = upper["total"].mean, upper["category"].mean
    assert np.allclose(found.upper["total"].mean, total)
    assert np.allclose(found.upper["category"].mean, total * parts / parts.sum(axis=0))
    own = h["category"].sums(bottom.mean)[h["category"].codes]
    assert np.allclose(found.bottom.mean, found.upper["category"].mean[h["category"].codes] * bottom.mean / own)
    assert "total > category > bottom" in found.told[0]


def test_levels_without_a_forecast_of_their_own_have_no_say_and_are_summed():
    h, bottom, upper, errors = case()
    found = reconcile(bottom, h, upper={"region": upper["region"]}, method="mint", errors=errors)
    past = np.concatenate([errors["region"], errors["bottom"]])
    summing = h.only(["region"]).matrix().toarray()
    base = np.concatenate([upper["region"].mean, bottom.mean])
    assert np.allclose(found.bottom.mean, project(summing, shrunk_weights(past).dense(), base)[2:], atol=1e-8)
    assert np.allclose(found.upper["item"].mean, h["item"].sums(found.bottom.mean))


@given(st.integers(0, 1000), st.sampled_from(["wls", "mint"]))
@settings(max_examples=25, deadline=None)
def test_a_total_far_below_its_parts_makes_no_series_surely_nought_and_is_still_met(seed, method):
    h, bottom, _, errors = case(seed)
    total = forecast(h["total"], bottom.mean.sum(axis=0, keepdims=True) * 1.2 * FLOOR)
    sure = {**errors, "total": errors["total"] * 1e-3}
    found = reconcile(bottom, h, upper={"total": total}, method=method, errors=sure)
    assert (found.bottom.mean >= FLOOR * bottom.mean).all() and found.coherence <= 1e-9
    assert (found.bottom.at(0.9) > 0).all()
    assert np.allclose(found.upper["total"].mean, total.mean, rtol=0.05)


def test_what_is_closed_stays_closed_when_the_sums_want_more():
    h, bottom, upper, errors = case()
    quantiles, mean = bottom.quantiles.copy(), bottom.mean.copy()
    quantiles[2, 1], mean[2, 1] = 0.0, 0.0
    shut = type(bottom)(bottom.series, bottom.frequency, bottom.cutoff, bottom.levels, quantiles, mean)
    more = {name: forecast(h[name], one.mean * 1.5) for name, one in upper.items()}
    found = reconcile(shut, h, upper=more, method="mint", errors=errors)
    assert found.bottom.mean[2, 1] == 0 and (found.bottom.quantiles[2, 1] == 0).all()
    assert found.bottom.mean[2, 0] > bottom.mean[2, 0]


def test_sales_net_of_returns_may_stay_below_nought():
    h, bottom, upper, errors = case()
    below = forecast(h["total"], -np.abs(upper["total"].mean))
    found = reconcile(bottom, h, upper={"total": below}, method="wls", errors=errors, non_negative=False)
    assert (found.bottom.mean < 0).any()


def test_sums_of_series_that_err_together_spread_more_than_of_those_that_do_not():
    h, bottom, *_ = case(periods=60)
    together = np.repeat(np.random.default_rng(0).normal(size=(1, 60)), len(h.series), axis=0)
    apart = np.random.default_rng(1).normal(size=(len(h.series), 60))
    width = {}
    for name, past in (("together", together), ("apart", apart), ("unknown", None)):
        found = reconcile(bottom, h, method="bottom_up", errors=None if past is None else {"bottom": past})
        total = found.upper["total"]
        assert np.allclose(total.mean, bottom.mean.sum(axis=0)) and (np.diff(total.quantiles, axis=2) >= 0).all()
        width[name] = float((total.at(0.9) - total.at(0.1)).mean())
    comonotone = float((bottom.at(0.9) - bottom.at(0.1)).sum(axis=0).mean())
    assert width["together"] == pytest.approx(comonotone, rel=0.15)
    assert width["apart"] == pytest.approx(width["unknown"], rel=0.25) and width["apart"] < 0.6 * width["together"]


def test_a_sum_that_was_forecast_on_its_own_keeps_its_own_spread_around_the_reconciled_mean():
    h, bottom, upper, errors = case()
    found = reconcile(bottom, h, upper={"category": upper["category"]}, method="mint", errors=errors)
    mean = found.upper["category"].mean
    assert np.allclose(found.upper["category"].quantiles, mean[:, :, None] * np.array([0.5, 1.0, 1.5]))
    assert "Quantiles of the sums by total, region, location" in found.told[-1]


def test_the_same_seed_gives_the_same_quantiles():
    h, bottom, *_ = case()
    one, same, other = (reconcile(bottom, h, method="bottom_up", seed=s).upper["item"].quantiles for s in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_what_is_missing_or_does_not_fit_is_said():
    h, bottom, upper, errors = case()
    with pytest.raises(UnknownNameError, match="Did you mean 'mint'"):
        reconcile(bottom, h, upper=upper, method="mnt")
    with pytest.raises(SettingsError, match="those of total, category, region, location, item are not given"):
        reconcile(bottom, h, upper=upper, method="mint", errors={"bottom": errors["bottom"]})
    with pytest.raises(SettingsError, match="no forecast of a sum is given"):
        reconcile(bottom, h, method="ols")
    with pytest.raises(DataError, match="has 2 series, which are not the 1"):
        reconcile(bottom, h, upper={"total": upper["category"]}, method="ols")
    later = type(bottom)(h["total"].series, bottom.frequency, 101, bottom.levels, upper["total"].quantiles, upper["total"].mean)
    with pytest.raises(DataError, match="Forecast the same periods"):
        reconcile(bottom, h, upper={"total": later}, method="ols")
    with pytest.raises(DataError, match="Errors of the level 'total' need 1 rows"):
        reconcile(bottom, h, upper=upper, method="wls", errors={"total": errors["item"]})

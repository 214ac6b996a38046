"""Effects of known covariates: planted ones are found, slow ones and lonely ones are left alone, scale does not matter."""

import numpy as np
import pytest

from shelfcast.features.drivers import MONTH, driven, learn_drivers, signals
from shelfcast.periods import Frequency

DAYS = Frequency.parse("D")
N, T = 60, 400


def world(seed=0, **effects):
    """Sales of N series over T days: a level each, noise, and the log effects of covariates."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(3, 1, (N, 1)))
    log = sum(effects.values(), np.zeros((N, T)))
    return rng.poisson(level * 5 * np.exp(log)).astype(float)


def learned(sales, known, *, flags=(), numbers=(), closed=None):
    given = signals(known, closed, DAYS, np.arange(T))
    return learn_drivers(given, sales, np.zeros((N, T), dtype=np.int32), size=1, flags=flags, numbers=numbers, unit="D"), given


def effect(terms, source, name, form):
    return sum(t.coefficient for t in terms if (t.source, t.name, t.form) == (source, name, form))


def test_a_price_cut_shows_its_elasticity_whatever_the_price_is_measured_in():
    rng = np.random.default_rng(1)
    price = np.where(rng.random((N, T)) < 0.1, 0.8, 1.0) * np.exp(rng.normal(2, 1, (N, 1)))
    sales = world(price=-2.0 * np.log(price / price.mean(axis=1, keepdims=True)))
    terms, _ = learned(sales, {"price": price}, numbers=["price"])
    assert effect(terms, "covariate", "price", "log") == pytest.approx(-2.0, abs=0.15)
    cents, _ = learned(sales, {"price": 100 * price}, numbers=["price"])
    assert effect(cents, "covariate", "price", "log") == pytest.approx(effect(terms, "covariate", "price", "log"), rel=1e-6)


def test_a_flag_acts_on_its_day_and_on_the_day_after():
    rng = np.random.default_rng(2)
    flag = (rng.random((N, T)) < 0.1).astype(float)
    after = np.concatenate([np.zeros((N, 1)), flag[:, :-1]], axis=1)
    terms, _ = learned(world(flag=0.5 * flag, dip=-0.3 * after), {"promo": flag}, flags=["promo"])
    assert effect(terms, "covariate", "promo", "value") == pytest.approx(0.5, abs=0.05)
    assert effect(terms, "covariate", "promo", "before") == pytest.approx(-0.3, abs=0.05)  # the value one day before


def test_the_day_before_a_closed_one_sells_more():
    rng = np.random.default_rng(3)
    shut = np.repeat(rng.random((1, T)) < 0.05, N, axis=0)
    ahead = np.concatenate([shut[:, 1:], np.zeros((N, 1), dtype=bool)], axis=1)
    sales = np.where(shut, np.nan, world(eve=0.4 * ahead))
    terms, _ = learned(sales, {}, closed=shut)
    assert effect(terms, "closed", "", "after") == pytest.approx(0.4, abs=0.08)


def test_wages_at_the_end_of_the_month_are_found_as_waves():
    given = signals({}, None, DAYS, np.arange(T))
    terms, _ = learned(world(wage=np.broadcast_to(0.2 * given[MONTH, "cos 1"], (N, T))), {})
    assert effect(terms, MONTH, "cos 1", "value") == pytest.approx(0.2, abs=0.03)
    assert abs(effect(terms, MONTH, "sin 2", "value")) < 0.03


def test_noise_that_has_no_effect_gets_hardly_any():
    rng = np.random.default_rng(4)
    same_for_all = np.repeat(rng.normal(size=(1, T)), N, axis=0)  # one draw a day: 400 draws, not 24,000
    shocks = np.repeat(0.2 * np.random.default_rng(5).normal(size=(1, T)), N, axis=0)
    terms, _ = learned(world(shock=shocks), {"x": same_for_all}, numbers=["x"])
    assert abs(effect(terms, "covariate", "x", "value")) < 0.02


def test_what_moves_slowly_is_the_seasons_business():
    temperature = np.repeat(20 + 10 * np.sin(2 * np.pi * np.arange(T) / 365)[None, :], N, axis=0)
    terms, _ = learned(world(warm=0.03 * (temperature - 20)), {"temperature": temperature}, numbers=["temperature"])
    assert not [t for t in terms if t.name == "temperature"]


def test_the_future_is_measured_against_the_past_alone_and_what_is_unknown_has_no_effect():
    rng = np.random.default_rng(6)
    price = np.exp(rng.normal(0, 0.2, (N, T)))
    terms, _ = learned(world(price=-1.5 * np.log(price)), {"price": price}, numbers=["price"])
    longer = np.concatenate([price, np.full((N, 3), np.nan)], axis=1)
    longer[:, T] = 0.5 * price.mean()
    before = driven(terms, signals({"price": price}, None, DAYS, np.arange(T)), (N, T), history=T)
    after = driven(terms, signals({"price": longer}, None, DAYS, np.arange(T + 3)), (N, T + 3), history=T)
    np.testing.assert_array_equal(after[:, :T], before)
    assert (after[:, T] > 0.5).all()
    waves = driven(tuple(t for t in terms if t.source == MONTH), signals({}, None, DAYS, np.arange(T + 3)), (N, T + 3), history=T)
    np.testing.assert_allclose(after[:, T + 1:], waves[:, T + 1:], atol=1e-6)


def test_too_little_history_drives_nothing():
    sales = np.full((N, T), np.nan)
    sales[0, :20] = 3.0
    assert learned(sales, {"x": np.ones((N, T))}, numbers=["x"])[0] == ()


def test_absurd_values_do_not_break_it():
    rng = np.random.default_rng(7)
    price = np.exp(rng.normal(0, 0.2, (N, T)))
    price[3, 5], price[4, 6], price[5, 7] = 1e308, 1e-300, np.inf
    terms, given = learned(world(price=np.zeros((N, T))), {"price": price}, numbers=["price"])
    assert np.isfinite(driven(terms, given, (N, T), history=T)).all()

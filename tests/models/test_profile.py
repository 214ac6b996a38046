"""The profile: what it says of series whose truth is known."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import SettingsError, WeightsError
from shelfcast.models.profile import Profile, ProfileSettings
from shelfcast.panel import SalesPanel


def chain(*, days: int = 200, ahead: int = 14, series: int = 6, level: float = 20.0, seed: int = 0) -> SalesPanel:
    """Daily sales with double Saturdays, promotions that sell half as much again, Sundays closed."""
    rng = np.random.default_rng(seed)
    parts = []
    when = [date(2023, 1, 2) + timedelta(days=t) for t in range(days + ahead)]
    weekday = np.arange(days + ahead) % 7
    for i in range(series):
        promo = (rng.random(days + ahead) < 0.3).astype(float)
        opened = (weekday != 6).astype(float)
        mean = level * (i + 1) * np.where(weekday == 5, 2.0, 1.0) * (1 + 0.5 * promo)
        parts.append(pl.DataFrame({"item": f"i{i}", "location": "here", "date": when, "promo": promo, "open": opened,
                                   "sales": rng.poisson(mean) * opened}))
    return SalesPanel.from_frame(pl.concat(parts), freq="D", known=["promo", "open"], closed_when="open",
                                 cutoff=when[days - 1])


def test_saturdays_and_promotions_are_forecast_as_such_and_closed_days_as_nothing():
    panel = chain()
    forecast = Profile().fit(panel).predict(panel, horizon=14)
    future = panel.dense(horizon=14).known
    promo, opened = future["promo"][:, -14:], future["open"][:, -14:]
    weekday = np.array([d.weekday() for d in forecast.dates])
    expected = 20.0 * np.arange(1, 7)[:, None] * np.where(weekday == 5, 2.0, 1.0) * (1 + 0.5 * promo) * opened
    assert (forecast.quantiles[opened == 0] == 0).all() and (forecast.mean[opened == 0] == 0).all()
    assert np.allclose(forecast.mean[opened == 1], expected[opened == 1], rtol=0.25)
    assert np.abs(forecast.mean.sum() / expected.sum() - 1) < 0.05


def test_slow_series_get_quantiles_of_zero_as_often_as_they_sell_nothing():
    panel = chain(days=400, level=0.05, series=8, ahead=28)
    forecast = Profile().fit(panel).predict(panel, horizon=28)
    opened = panel.dense(horizon=28).known["open"][:, -28:] == 1
    assert (forecast.at(0.5)[0][opened[0]] == 0).all() and (forecast.at(0.99)[0][opened[0]] >= 1).all()
    assert 0.02 < forecast.mean[0][opened[0]].mean() < 0.12


@pytest.mark.parametrize("days", [1, 2, 8])
def test_a_few_days_of_history_are_enough_for_a_forecast(days):
    panel = chain(days=days)
    forecast = Profile().fit(panel).predict(panel, horizon=14)
    assert np.isfinite(forecast.quantiles).all() and forecast.mean.sum() > 0


def days_of(sales: np.ndarray) -> SalesPanel:
    """Daily panel of sales (N, T), from a Monday on."""
    when = [date(2024, 1, 1) + timedelta(days=t) for t in range(sales.shape[1])]
    return SalesPanel.from_frame(pl.concat([pl.DataFrame({"item": f"i{n}", "location": "here", "date": when, "sales": row})
                                            for n, row in enumerate(sales)]), freq="D")


@pytest.mark.parametrize("days", range(1, 9))
@pytest.mark.parametrize("series", [1, 2, 10])
def test_in_the_first_week_every_day_ahead_is_forecast_about_as_high_as_those_seen(days, series):
    calm = np.random.default_rng(days).normal(10, 1, (series, days))
    panel = days_of(calm)
    forecast = Profile().fit(panel).predict(panel, horizon=14)
    assert (forecast.mean > 5).all() and (forecast.mean < 20).all()
    assert (forecast.at(0.5) > 5).all() and (forecast.at(0.5) < 20).all()


@pytest.mark.parametrize("days", range(1, 9))
@pytest.mark.parametrize("levels", [[10.0], [4.0, 9.0], [10.0] * 10])
def test_what_has_sold_the_same_every_day_of_its_first_week_is_forecast_to_go_on(days, levels):
    panel = days_of(np.repeat(np.array(levels)[:, None], days, axis=1))
    forecast = Profile().fit(panel).predict(panel, horizon=14)
    assert np.allclose(forecast.mean, np.array(levels)[:, None], rtol=0.2)
    assert np.allclose(forecast.at(0.5), np.array(levels)[:, None], rtol=0.2)


def test_levels_and_growth_are_not_learned_from_days_that_nobody_could_have_foreseen():
    # Saturday and Sunday, the first of their kind, sell five times as much: that is no reason to expect more on Mondays.
    panel = days_of(np.tile([10.0, 10, 10, 10, 10, 50, 50], (10, 1)))
    model = Profile().fit(panel)
    assert model.coefficients_[0] == 0.0


def test_a_new_item_gets_what_is_usual_for_its_place():
    panel = chain()
    model = Profile().fit(panel)
    when = [date(2023, 7, 5) + timedelta(days=t) for t in range(30)]
    sales = [None] * 15 + [3.0] + [None] * 14
    rows = pl.DataFrame({"item": "new", "location": "here", "date": when, "sales": sales, "promo": 0.0, "open": 1.0})
    young = SalesPanel.from_frame(rows, freq="D", known=["promo", "open"], closed_when="open", cutoff=date(2023, 7, 20))
    forecast = model.predict(young, horizon=14)
    assert 3 < forecast.mean.mean() < 80


def test_what_is_loaded_says_what_was_saved(tmp_path):
    panel = chain()
    model = Profile(ProfileSettings(seed=3)).fit(panel)
    model.save(tmp_path)
    again = Profile.load(tmp_path)
    assert again.settings == model.settings
    assert np.array_equal(again.predict(panel, horizon=5).quantiles, model.predict(panel, horizon=5).quantiles)


def test_a_folder_without_a_profile_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="holds no profile"):
        Profile.load(tmp_path)


def test_settings_out_of_bounds_are_refused_with_their_value():
    with pytest.raises(SettingsError, match="max_rows is 0"):
        ProfileSettings(max_rows=0)


def test_nine_of_ten_days_fall_below_the_ninth_decile():
    panel = chain(days=340, ahead=28, series=30)
    fitted = Profile().fit(panel).predict(panel, horizon=28)
    rng = np.random.default_rng(9)
    dense = panel.dense(horizon=28)
    promo, opened = dense.known["promo"][:, -28:], dense.known["open"][:, -28:] == 1
    order = [int(i[1:]) for i in panel.series["item"]]
    weekday = np.array([d.weekday() for d in fitted.dates])
    mean = 20.0 * (np.array(order)[:, None] + 1) * np.where(weekday == 5, 2.0, 1.0) * (1 + 0.5 * promo)
    truth = rng.poisson(mean)
    below = (truth <= fitted.at(0.9))[opened].mean()
    assert 0.85 < below < 0.97

"""The exam that every registered model sits, now and later: one row in the registry, and it is examined.

Nothing here knows how a model works. A model that needs a package which is absent is skipped with the reason.
"""

from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shelfcast.data.split import cut, windows
from shelfcast.errors import DataError, SettingsError, ShelfcastError
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import scored_part
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster, Traits
from shelfcast.models.registry import load_model, make_model, missing_package, model_names, model_traits, save_model
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency
from weights.tiny import tiny_weights

HORIZON = 9
DAYS = 330  # enough past for every learner to learn, rather than stand back
FIRST = date(2024, 1, 1)
CUTOFF = FIRST + timedelta(days=DAYS - 1)
TOMORROW = CUTOFF + timedelta(days=1)
CHEAP: dict[str, dict[str, object]] = {"ets": {"context": 42}, "boosted": {"effort": "fast", "threads": 1},
                                          "spacetime": {"steps": 4, "width": 16, "heads": 2, "layers": 1}}
"""Settings that make a slow learner quick; they may not change what the exam asks."""


SLOW = ("language",)
"""Sits with the slow tests: it is `spacetime` with another encoder of time, and every new shape of it is traced again."""


def quick(name: str) -> dict[str, object]:
    """Those, and tiny weights for a model that comes without any."""
    return {**CHEAP.get(name, {}), **tiny_weights(name)}


def chain(*, days: int = DAYS, ahead: int = HORIZON, seed: int = 0) -> pl.DataFrame:
    """3 items in 3 places, daily: weekday rhythm, promotions that double sales, Sundays closed, weather of the past."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, item in enumerate(("bread", "milk", "tea")):
        for j, place in enumerate(("Bergen", "Oslo", "Paris")):
            when = [FIRST + timedelta(days=t) for t in range(days + ahead)]
            promo = (rng.random(len(when)) < 0.2).astype(float)
            opens = np.array([0.0 if d.weekday() == 6 else 1.0 for d in when])
            rhythm = np.array([1.0, 0.8, 0.9, 1.0, 1.4, 1.8, 0.0])[[d.weekday() for d in when]]
            sales = rng.poisson(5 * (i + 1) * (j + 1) * rhythm * (1 + promo)) * opens
            parts.append(pl.DataFrame({"item": item, "location": place, "date": when, "sales": sales.astype(float),
                                       "promo": promo, "open": opens, "weather": rng.normal(15, 5, len(when))}))
    return pl.concat(parts)


def daily(frame: pl.DataFrame | None = None, **rest: object) -> SalesPanel:
    """The chain as a panel whose last `HORIZON` days are the future: covariates of all kinds, and closed Sundays."""
    frame = chain() if frame is None else frame
    items = pl.DataFrame({"item": ["bread", "milk", "tea"], "shelf": ["bakery", "dairy", None]})
    panel = SalesPanel.from_frame(frame, known=["promo", "open"], past=["weather"], freq="D", closed_when="open",
                                  cutoff=frame["date"].max() - timedelta(days=HORIZON), items=items, **rest)
    return replace(panel, covariates={**panel.covariates, "shelf": "static"})


def plain(series: dict[str, list[float | None]], *, freq: str = "D", **rest: object) -> SalesPanel:
    """A panel without covariates; all series end together; None is a gap."""
    rows = []
    for item, values in series.items():
        last = {"D": 20000, "W": 2800, "M": 24290}[freq]  # periods of 2024, about
        rows.append(pl.DataFrame({"item": item, "location": "here", "n": range(last - len(values) + 1, last + 1), "sales": values},
                                 schema_overrides={"sales": pl.Float64}))
    table = pl.concat(rows).drop_nulls("sales")
    dates = Frequency.parse(freq).date_of(pl.col("n"))
    return SalesPanel.from_frame(table.with_columns(dates.alias("date")).drop("n"), freq=freq, **rest)


def counts(rng: np.random.Generator, mean: float, length: int) -> list[float | None]:
    return [float(v) for v in rng.poisson(mean, length)]


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in model_names()])
def name(request: pytest.FixtureRequest) -> str:
    package = missing_package(request.param)
    if package is not None:
        pytest.skip(f"the model {request.param} needs the package {package}, which is not installed")
    return str(request.param)


@cache
def panel() -> SalesPanel:
    return daily()


@cache
def fitted(name: str) -> Forecaster:
    return make_model(name, quick(name)).fit(panel())


@cache
def usual(name: str) -> Forecast:
    """What the fitted model forecasts for the panel: the answer that others are compared with."""
    return fitted(name).predict(panel(), horizon=HORIZON)


def learn(name: str, on: SalesPanel) -> Forecaster:
    return make_model(name, quick(name)).fit(on)


# -- what every forecast is -------------------------------------------------------------------------------------------


def test_a_forecast_has_a_row_for_each_series_and_a_column_for_each_period_ahead(name):
    forecast = usual(name)
    assert forecast.series.select("item", "location").equals(panel().series.select("item", "location"))
    assert forecast.quantiles.shape == (9, HORIZON, len(LEVELS)) and forecast.levels == LEVELS
    assert forecast.cutoff == panel().cutoff and forecast.dates[0] == TOMORROW


def test_quantiles_rise_are_finite_and_never_negative(name):
    forecast = usual(name)
    assert np.isfinite(forecast.quantiles).all() and np.isfinite(forecast.mean).all()
    assert (np.diff(forecast.quantiles, axis=2) >= 0).all() and (forecast.quantiles >= 0).all() and (forecast.mean >= 0).all()


def test_the_mean_lies_among_the_quantiles(name):
    forecast = usual(name)
    assert (forecast.mean >= forecast.at(0.01) - 1e-9).all() and (forecast.mean <= forecast.at(0.99) * 1.2 + 1).all()


def test_levels_and_horizon_are_what_was_asked_for(name):
    forecast = fitted(name).predict(panel(), horizon=3, levels=(0.25, 0.5, 0.975))
    assert forecast.levels == (0.25, 0.5, 0.975) and forecast.quantiles.shape == (9, 3, 3)


def test_a_level_means_the_same_whatever_levels_are_asked_beside_it(name):
    alone = fitted(name).predict(panel(), horizon=HORIZON, levels=(0.5,))
    np.testing.assert_allclose(alone.at(0.5), usual(name).at(0.5), rtol=1e-6, atol=1e-6)


def test_the_same_seed_gives_the_same_answer(name):
    again = learn(name, panel()).predict(panel(), horizon=HORIZON)
    np.testing.assert_array_equal(again.quantiles, usual(name).quantiles)
    np.testing.assert_array_equal(again.mean, usual(name).mean)


def test_closed_periods_are_exactly_zero(name):
    forecast = usual(name)
    sundays = np.array([d.weekday() == 6 for d in forecast.dates])
    assert sundays.any() and (forecast.quantiles[:, sundays] == 0).all() and (forecast.mean[:, sundays] == 0).all()
    assert (forecast.mean[:, ~sundays] > 0).all()


def test_busy_and_quiet_series_are_told_apart(name):
    mean = usual(name).mean.sum(axis=1)
    assert mean[8] > 3 * mean[0]  # tea in Paris sells nine times as much as bread in Bergen


# -- what a model leaves alone ----------------------------------------------------------------------------------------


def test_the_panel_is_not_changed_by_learning_or_forecasting(name):
    mine = daily()
    before = mine.fingerprint()
    learn(name, mine).predict(mine, horizon=HORIZON)
    assert mine.fingerprint() == before


def test_a_model_whose_series_stand_apart_forecasts_a_slice_as_it_does_within_the_whole(name):
    model = fitted(name)
    if not model.traits.series_apart:
        pytest.skip("its traits say that series depend on each other")
    whole, part = usual(name), model.predict(panel().select([1, 4, 5]), horizon=HORIZON)
    np.testing.assert_allclose(part.quantiles, whole.select([1, 4, 5]).quantiles, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(part.mean, whole.select([1, 4, 5]).mean, rtol=1e-9, atol=1e-9)


def test_a_sample_of_series_is_scored_as_the_same_series_are_when_all_of_them_are_scored(name):
    window = next(windows(panel(), horizon=HORIZON))
    sample = scored_part(window, max_series=4, seed=1)
    some, all_of_them = (measure(one, fitted(name), levels=LEVELS).losses for one in (sample, window))
    same = all_of_them.join(some, on=["item", "location"], how="semi")
    assert some.height == 4 and all_of_them.height == 9
    assert_frame_equal(some, same, rel_tol=1e-9, abs_tol=1e-9)


def test_a_saved_model_forecasts_the_same_once_loaded(name, tmp_path):
    model = fitted(name)
    save_model(model, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    forecast = loaded.predict(panel(), horizon=HORIZON)
    np.testing.assert_array_equal(forecast.quantiles, usual(name).quantiles)
    np.testing.assert_array_equal(forecast.mean, usual(name).mean)
    assert loaded.traits == model.traits


def test_forecasting_does_not_teach(name):
    model = fitted(name)
    before = usual(name)
    model.predict(cut(panel(), panel().cutoff - 30).select([0]), horizon=2)
    np.testing.assert_array_equal(model.predict(panel(), horizon=HORIZON).quantiles, before.quantiles)


# -- what a model can bear --------------------------------------------------------------------------------------------


def test_a_series_it_never_saw_still_gets_a_forecast(name):
    others = chain(seed=5).with_columns(pl.col("item") + "-new", pl.col("location") + "-new")
    forecast = fitted(name).predict(daily(others), horizon=HORIZON)
    assert len(forecast) == 9 and forecast.mean.sum() > 0


def test_a_later_cutoff_than_it_learned_from_moves_the_dates(name):
    earlier = cut(panel(), panel().cutoff - 14)
    forecast = learn(name, earlier).predict(panel(), horizon=HORIZON)
    assert forecast.dates[0] == TOMORROW


def test_dates_that_shift_by_a_year_of_weeks_shift_the_forecast(name):
    moved = daily(chain().with_columns(pl.col("date") + timedelta(days=364)))
    forecast = learn(name, moved).predict(moved, horizon=HORIZON)
    assert forecast.dates[0] == TOMORROW + timedelta(days=364)
    if not make_model(name).traits.uses_known:  # who knows the calendar may well forecast another year's holidays
        np.testing.assert_allclose(forecast.mean, usual(name).mean, rtol=1e-9)


def test_what_always_sold_alike_is_forecast_to_sell_alike(name):
    steady = plain({k: [v] * 120 for k, v in (("a", 5.0), ("b", 20.0), ("c", 300.0))})
    forecast = learn(name, steady).predict(steady, horizon=7)
    wanted = np.array([5.0, 20.0, 300.0])[:, None]
    np.testing.assert_allclose(forecast.at(0.5), np.broadcast_to(wanted, (3, 7)), rtol=0.1)
    np.testing.assert_allclose(forecast.mean, np.broadcast_to(wanted, (3, 7)), rtol=0.1)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_history_of_one_two_or_three_periods_is_enough_to_say_something(name, length):
    young = plain({"a": [4.0] * length, "b": [0.0, 9.0, 3.0][:length], "c": [7.0] * length})
    forecast = learn(name, young).predict(young, horizon=5)
    assert np.isfinite(forecast.quantiles).all() and (forecast.mean >= 0).all() and forecast.mean.max() < 100


def test_a_newcomer_among_old_series_gets_a_forecast(name):
    rng = np.random.default_rng(1)
    mixed = plain({"new": [6.0, 8.0], "old": counts(rng, 8, 100), "older": counts(rng, 3, 150)})
    forecast = learn(name, mixed).predict(mixed, horizon=7)
    assert 0 < forecast.mean[0].mean() < 60


def test_what_never_sold_is_not_expected_to_sell(name):
    rng = np.random.default_rng(2)
    dead = plain({"dead": [0.0] * 100, "live": counts(rng, 8, 100)})
    forecast = learn(name, dead).predict(dead, horizon=7)
    assert forecast.at(0.5)[0].max() <= 0.5 and forecast.mean[0].max() <= 2
    nothing = plain({"a": [0.0] * 60, "b": [0.0] * 60})
    assert learn(name, nothing).predict(nothing, horizon=7).mean.max() <= 0.5


@pytest.mark.parametrize("absent", ["missing", "zero"])
def test_gaps_in_a_series_are_borne(name, absent):
    rng = np.random.default_rng(3)
    values = {k: [float(v) if rng.random() > 0.3 else None for v in rng.poisson(9, 120)] for k in "abc"}
    gappy = plain(values, absent=absent)
    forecast = learn(name, gappy).predict(gappy, horizon=7)
    expected = 9 if absent == "missing" else 6.3
    assert abs(forecast.mean.mean() - expected) < 0.5 * expected


def test_a_series_that_stopped_long_ago_gets_a_forecast(name):
    rng = np.random.default_rng(4)
    stopped = plain({"live": counts(rng, 9, 150), "stopped": [*counts(rng, 9, 90), *[None] * 60]})
    forecast = learn(name, stopped).predict(stopped, horizon=7)
    assert np.isfinite(forecast.quantiles).all()


def test_sales_net_of_returns_may_be_negative_and_are_forecast(name):
    rng = np.random.default_rng(5)
    returns = plain({k: list(rng.normal(m, 4, 120)) for k, m in (("a", 1.0), ("b", -2.0))}, net_of_returns=True)
    forecast = learn(name, returns).predict(returns, horizon=7)
    assert forecast.at(0.01).min() < 0 and np.isfinite(forecast.quantiles).all()


@pytest.mark.parametrize(("freq", "length"), [("W", 130), ("M", 40)])
def test_weeks_and_months_are_forecast_like_days(name, freq, length):
    rng = np.random.default_rng(6)
    slow = plain({k: counts(rng, 20, length - n) for n, k in enumerate("abcd")}, freq=freq)
    forecast = learn(name, slow).predict(slow, horizon=6)
    assert len(set(forecast.dates)) == 6 and 8 < forecast.mean.mean() < 40


def test_an_unknown_value_of_a_known_covariate_is_borne(name):
    promo = pl.when(pl.int_range(pl.len()) % 5 > 0).then(pl.col("promo"))
    holes = daily(chain().with_columns(promo.alias("promo")))
    for model in (fitted(name), learn(name, holes)):
        assert np.isfinite(model.predict(holes, horizon=HORIZON).quantiles).all()


def test_a_known_covariate_without_a_row_ahead_is_refused_with_item_location_and_date(name):
    frame = chain()
    last = frame["date"].max()
    lacking = daily(frame).rows.filter(~((pl.col("series") == 5) & (pl.col("period") == pl.col("period").max())))
    short = replace(daily(frame), rows=lacking)
    if not make_model(name).traits.uses_known:
        assert len(fitted(name).predict(short, horizon=HORIZON)) == 9
        return
    with pytest.raises(DataError, match=f"item milk, location Paris, {last}"):
        fitted(name).predict(short, horizon=HORIZON)


# -- traits tell the truth --------------------------------------------------------------------------------------------


def test_a_model_that_must_learn_first_says_so_and_one_that_need_not_does_not(name):
    model = make_model(name)
    if model.traits.needs_fit:
        with pytest.raises(ShelfcastError, match="fit"):
            model.predict(panel(), horizon=2)
    else:
        assert len(model.predict(panel(), horizon=2)) == 9


def test_traits_say_whether_known_covariates_enter(name):
    turned = daily(chain().with_columns(pl.when(pl.col("date") > CUTOFF).then(1 - pl.col("promo"))
                                        .otherwise(pl.col("promo")).alias("promo")))
    model = fitted(name)
    changed = not np.allclose(model.predict(turned, horizon=HORIZON).mean, usual(name).mean)
    assert changed == model.traits.uses_known


@pytest.mark.parametrize("kind", ["past", "static"])
def test_what_traits_say_is_not_used_has_no_influence(name, kind):
    if kind == "past":
        other, used = daily(chain().with_columns(pl.col("weather") * -3)), make_model(name).traits.uses_past
    else:
        used = make_model(name).traits.uses_static
        other = replace(panel(), items=panel().items.with_columns(pl.col("shelf").reverse()))
    if not used:
        np.testing.assert_array_equal(learn(name, other).predict(other, horizon=HORIZON).mean,
                                      usual(name).mean)


def test_traits_bear_the_name_under_which_the_model_is_registered(name):
    traits = make_model(name).traits
    assert isinstance(traits, Traits) and traits.name == name and traits.summary
    assert traits in model_traits()


def test_a_horizon_of_nothing_is_refused(name):
    with pytest.raises(SettingsError, match="horizon"):
        fitted(name).predict(panel(), horizon=0)

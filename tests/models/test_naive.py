"""Seasonal naive: what it repeats, and how sure it is of that."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.errors import SettingsError, WeightsError
from shelfcast.forecast import Forecast
from shelfcast.models.naive import NaiveSettings, SeasonalNaive
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency


def panel_of(*series: list[float | None], freq: str = "D", opens: list[float] | None = None, **rest) -> SalesPanel:
    """Series that end together; `opens` covers their days and what comes after."""
    rows = []
    for i, values in enumerate(series):
        for t, x in enumerate(values):
            rows.append({"item": f"{i:03}", "location": "x", "period": 20000 - len(values) + t + 1, "sales": x,
                         "open": None if opens is None else opens[t]})
        for t in range(len(values), 0 if opens is None else len(opens)):
            later = 20000 - len(values) + t + 1
            rows.append({"item": f"{i:03}", "location": "x", "period": later, "sales": None, "open": opens[t]})
    table = pl.DataFrame(rows, schema={"item": pl.String, "location": pl.String, "period": pl.Int32, "sales": pl.Float64,
                                       "open": pl.Float64})
    kinds = {} if opens is None else {"covariates": {"open": "known"}, "closed_when": "open"}
    return SalesPanel.from_periods(table, Frequency.parse(freq), cutoff=20000, **kinds, **rest)


def forecast(panel: SalesPanel, horizon: int, **setting) -> Forecast:
    return SeasonalNaive(NaiveSettings(**setting)).fit(panel).predict(panel, horizon=horizon)


def middle(panel: SalesPanel, horizon: int, **setting) -> list[float]:
    return forecast(panel, horizon, **setting).at(0.5)[0].tolist()


def test_the_median_is_what_was_sold_a_season_ago():
    week = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert middle(panel_of([0.0, *week]), 9) == [*week, 1.0, 2.0]


def test_a_series_younger_than_a_season_repeats_its_last_value():
    assert middle(panel_of([1.0, 5.0, 3.0]), 4) == [3.0] * 4


def test_a_gap_in_the_last_season_is_filled_from_the_season_before():
    values = [10.0, 11, 12, 13, 14, 15, 16, 20, None, 22, 23, 24, 25, None]
    assert middle(panel_of(values), 7) == [20, 11, 22, 23, 24, 25, 16]


def test_a_phase_never_seen_takes_the_last_value():
    values = [10.0, None, 12, 13, 14, 15, 16, 20, None, 22, 23, 24, 25, 26]
    assert middle(panel_of(values), 2) == [20, 26]


def test_a_season_may_be_chosen():
    assert middle(panel_of([1.0, 2, 3, 4, 5, 6, 7, 8, 9]), 3, season=1) == [9, 9, 9]
    assert middle(panel_of([1.0, 2, 3, 4, 5, 6, 7, 8, 9]), 3, season=2) == [8, 9, 8]


def test_weeks_repeat_the_year_and_months_too():
    weeks = [float(w) for w in range(60)]
    assert middle(panel_of(weeks, freq="W"), 2) == [8.0, 9.0]
    assert middle(panel_of(weeks[:51], freq="W"), 2) == [50.0, 50.0]
    assert middle(panel_of(weeks[:12], freq="M"), 2) == [0.0, 1.0]


def test_closed_days_are_neither_repeated_nor_forecast():
    opens = [1.0, 1, 1, 1, 1, 1, 0] * 3
    opens[9] = 0.0  # a holiday in the last week of history
    values = [10.0, 11, 12, 13, 14, 15, 0, 20, 21, 0, 23, 24, 25, 0]
    result = forecast(panel_of(values, opens=opens), 7)
    assert result.at(0.5)[0].tolist() == [20, 21, 12, 23, 24, 25, 0]
    assert (result.quantiles[0, 6] == 0).all() and result.mean[0, 6] == 0


def test_a_shop_of_unknown_hours_is_taken_to_be_open():
    panel = panel_of([3.0] * 14, opens=[1.0] * 14 + [float("nan")] * 7)
    assert forecast(panel, 7).at(0.5)[0].tolist() == [3.0] * 7


def test_a_wilder_past_makes_a_wider_forecast_and_a_still_one_none():
    rng = np.random.default_rng(0)
    calm, wild = 50 + rng.normal(0, 1, 140), 50 + rng.normal(0, 12, 140)
    result = forecast(panel_of(list(calm), list(wild), [50.0] * 140), 7)
    width = (result.at(0.9) - result.at(0.1)).mean(axis=1)
    assert 1 < width[0] < 8 < width[1] < 60 and width[2] == 0


def test_quantiles_hold_about_the_share_of_the_future_that_they_should():
    rng = np.random.default_rng(1)
    weekly = 20 + 10 * np.sin(np.arange(210) * 2 * np.pi / 7)
    sales = rng.poisson(np.tile(weekly, (300, 1))).astype(float)
    result = forecast(panel_of(*sales[:, :196].tolist()), 14)
    for level in (0.1, 0.5, 0.9):
        assert np.mean(sales[:, 196:] <= result.at(level)) == pytest.approx(level, abs=0.05)


def test_a_young_series_is_as_unsure_as_its_elders_were():
    rng = np.random.default_rng(2)
    elders = [list(rng.poisson(20, 140).astype(float)) for _ in range(20)]
    panel = panel_of([20.0], *elders)
    result = forecast(panel, 7)
    width = (result.at(0.9) - result.at(0.1)).mean(axis=1)
    assert 0.4 < width[0] / width[1:].mean() < 2.5


def test_the_mean_is_the_expected_value_where_quantiles_are_cut_at_zero():
    rng = np.random.default_rng(3)
    now_and_then = (rng.random((40, 210)) < 0.2) * rng.poisson(6, (40, 210)).astype(float)
    result = forecast(panel_of(*now_and_then.tolist()), 7)
    assert (result.mean >= result.at(0.5) - 1e-9).mean() > 0.6
    assert (result.quantiles >= 0).all() and result.mean.min() >= 0


def test_net_of_returns_quantiles_may_be_negative():
    rng = np.random.default_rng(4)
    values = list(rng.normal(0, 5, 140))
    assert forecast(panel_of(values, net_of_returns=True), 7).at(0.05).min() < 0
    assert forecast(panel_of(values), 7).quantiles.min() == 0


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_history_gets_an_orderly_forecast(data):
    value = st.one_of(st.none(), st.integers(0, 1000).map(float))
    series = data.draw(st.lists(st.lists(value, min_size=1, max_size=30), min_size=1, max_size=4))
    panel = panel_of(*series, absent=data.draw(st.sampled_from(["zero", "missing"])))
    result = forecast(panel, data.draw(st.integers(1, 20)))
    highest = max((x for s in series for x in s if x is not None), default=0.0)
    assert (result.quantiles >= 0).all() and result.at(0.5).max() <= highest


def test_the_pool_is_an_even_sample_of_many_series():
    rng = np.random.default_rng(5)
    panel = panel_of(*(list(rng.poisson(9, 60).astype(float)) for _ in range(50)))
    few, all_of_them = (SeasonalNaive(NaiveSettings(max_series=n)).fit(panel) for n in (10, 50))
    np.testing.assert_allclose(few.errors_, all_of_them.errors_, atol=0.8)


def test_it_must_learn_before_it_forecasts():
    with pytest.raises(SettingsError, match="call fit"):
        SeasonalNaive().predict(panel_of([1.0]), horizon=1)


@pytest.mark.parametrize("wrong", [{"season": 0}, {"season": 1.5}, {"max_series": 0}])
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        NaiveSettings(**wrong)


def test_a_damaged_file_is_no_model(tmp_path):
    for text in (None, "{", '{"settings": {"season": 0}}', '{"settings": {"sseason": 7}}'):
        if text is not None:
            (tmp_path / "naive.json").write_text(text)
        with pytest.raises(WeightsError, match="holds no naive model"):
            SeasonalNaive.load(tmp_path)

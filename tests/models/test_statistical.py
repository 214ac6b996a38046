"""The classical models: which is chosen, what they make of gaps and closed days, and that they find what is there."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import MissingExtraError, SettingsError, WeightsError
from shelfcast.forecast import Forecast
from shelfcast.models import statistical
from shelfcast.models.statistical import Statistical, StatisticalSettings, fill_between
from shelfcast.panel import SalesPanel

pytest.importorskip("statsforecast")


def panel_of(*series: np.ndarray, freq: str = "D", closed: bool = False, ahead: int = 14, **rest) -> SalesPanel:
    step = timedelta(days={"D": 1, "W": 7}[freq])
    rows = []
    for i, values in enumerate(series):
        for t in range(len(values) + ahead):
            day = date(2022, 1, 3) + t * step
            rows.append({"item": f"{i:03}", "location": "x", "date": day, "open": float(day.weekday() < 6),
                         "sales": float(values[t]) if t < len(values) and not np.isnan(values[t]) else None})
    table = pl.DataFrame(rows, schema_overrides={"sales": pl.Float64})
    cutoff = date(2022, 1, 3) + (max(map(len, series)) - 1) * step
    return SalesPanel.from_frame(table, freq=freq, known=["open"], closed_when="open" if closed else None, cutoff=cutoff, **rest)


def forecast(panel: SalesPanel, horizon: int = 14, **setting) -> Forecast:
    return Statistical(StatisticalSettings(**setting)).fit(panel).predict(panel, horizon=horizon)


def week(days: int, rng: np.random.Generator, noise: float = 1.0) -> np.ndarray:
    return np.tile([20.0, 22, 25, 30, 45, 60, 10], days // 7 + 1)[:days] + rng.normal(0, noise, days)


@pytest.mark.parametrize("method", ["auto_ets", "theta"])
def test_a_weekly_rhythm_is_found_and_continued(method):
    rng = np.random.default_rng(0)
    result = forecast(panel_of(week(98, rng)), method=method)
    np.testing.assert_allclose(result.at(0.5)[0], week(112, rng, 0)[98:], atol=4)


@pytest.mark.parametrize("method", ["auto_ets", "theta"])
def test_a_rhythm_is_found_through_gaps_and_closed_days(method):
    rng = np.random.default_rng(1)
    sales = week(98, rng)
    sales[rng.random(98) < 0.1] = np.nan
    sales[6::7] = 0  # Sundays, closed
    result = forecast(panel_of(sales, closed=True), method=method)
    truth = week(112, rng, 0)[98:]
    opens = np.arange(98, 112) % 7 != 6
    np.testing.assert_allclose(result.at(0.5)[0, opens], truth[opens], atol=8)
    assert (result.quantiles[0, ~opens] == 0).all()


@pytest.mark.parametrize("method", ["croston", "tsb", "adida"])
def test_demand_now_and_then_is_forecast_at_its_rate_and_zeros_keep_their_share(method):
    rng = np.random.default_rng(2)
    sales = (rng.random((30, 400)) < 0.25) * 4.0
    result = forecast(panel_of(*sales[:, :386]), method=method)
    assert result.mean.mean() == pytest.approx(1.0, rel=0.2)
    assert (result.at(0.6) == 0).mean() > 0.9 and result.at(0.95).mean() > 2


def test_what_stopped_selling_is_forgotten_by_tsb():
    sales = np.concatenate([np.tile([0.0, 6.0], 50), np.zeros(100)])
    assert forecast(panel_of(sales), method="tsb").mean[0, 0] < 0.2


def test_the_demand_class_chooses_the_method():
    rng = np.random.default_rng(3)
    model = Statistical()
    panel = panel_of(week(98, rng), (rng.random(98) < 0.3) * 3.0, week(20, rng))
    assert model._methods(panel).tolist() == ["theta", "tsb", "theta"]
    assert set(Statistical(StatisticalSettings(method="adida"))._methods(panel)) == {"adida"}


def test_quantiles_widen_over_the_horizon_where_the_level_wanders():
    rng = np.random.default_rng(4)
    result = forecast(panel_of(*(200 + rng.normal(0, 3, (10, 150)).cumsum(axis=1))), method="auto_ets")
    width = (result.at(0.9) - result.at(0.1)).mean(axis=0)
    assert width[-1] > 2 * width[0] > 2


def test_quantiles_hold_about_the_share_of_the_future_that_they_should():
    rng = np.random.default_rng(5)
    sales = np.stack([week(168, rng, 5) for _ in range(60)])
    result = forecast(panel_of(*sales[:, :154]))
    for level in (0.1, 0.5, 0.9):
        assert np.mean(sales[:, 154:] <= result.at(level)) == pytest.approx(level, abs=0.07)


def test_too_short_a_series_gets_the_seasonal_naive_forecast():
    rng = np.random.default_rng(6)
    panel = panel_of(np.array([np.nan] * 93 + [4.0] * 5), week(98, rng))
    model = Statistical().fit(panel)
    naive = model.naive_.predict(panel, horizon=7)
    found = model.predict(panel, horizon=7)
    np.testing.assert_array_equal(found.quantiles[0], naive.quantiles[0])
    assert not np.array_equal(found.quantiles[1], naive.quantiles[1])


def test_a_fit_gone_astray_leaves_its_series_to_the_naive_forecast(monkeypatch):
    run = statistical._run

    def astray(model, values, horizon, jobs, *, fitted):
        points, past = run(model, values, horizon, jobs, fitted=fitted)
        points[0] *= 1e6
        return points, past

    rng = np.random.default_rng(8)
    panel = panel_of(week(98, rng), week(98, rng))
    calm = forecast(panel, method="theta")
    monkeypatch.setattr(statistical, "_run", astray)
    found = forecast(panel, method="theta")
    naive = Statistical().fit(panel).naive_.predict(panel, horizon=14)
    np.testing.assert_array_equal(found.quantiles[0], naive.quantiles[0])
    np.testing.assert_array_equal(found.quantiles[1], calm.quantiles[1])


def test_more_processes_change_no_number():
    rng = np.random.default_rng(7)
    panel = panel_of(*(week(70, rng) for _ in range(4)))
    one, two = (forecast(panel, method="theta", jobs=j) for j in (1, 2))
    np.testing.assert_array_equal(one.quantiles, two.quantiles)


def test_gaps_are_filled_by_a_line_and_the_start_stays_missing():
    values = np.array([[np.nan, 2, np.nan, np.nan, 8, np.nan], [1, np.nan, 3, 4, 5, 6], [np.nan] * 6])
    np.testing.assert_allclose(fill_between(values), [[np.nan, 2, 4, 6, 8, 8], [1, 2, 3, 4, 5, 6], [np.nan] * 6])


def test_without_the_package_the_line_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "statsforecast", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'shelfcast\[statistical\]'"):
        statistical._models()


@pytest.mark.parametrize("wrong", [{"method": "arima"}, {"smooth": "tsb"}, {"sparse": "theta"}, {"context": 3}, {"jobs": 0}])
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        StatisticalSettings(**wrong)


def test_a_damaged_file_is_no_model(tmp_path):
    for text in (None, "[]", '{"settings": {"method": "arima"}}'):
        if text is not None:
            (tmp_path / "statistical.json").write_text(text)
        with pytest.raises(WeightsError, match="holds no statistical model"):
            Statistical.load(tmp_path)

"""Measures that came with the backtest: CRPS, intervals, WRMSSE, stability; against second implementations and by hand."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from oracle.m5_levels import m5_hierarchy
from oracle.slow_wrmsse import slow_wrmsse
from shelfcast.data.split import windows
from shelfcast.evaluate import metrics
from shelfcast.evaluate.backtest import measure
from shelfcast.models.registry import make_model
from shelfcast.panel import SalesPanel

DECILES = tuple(k / 10 for k in range(1, 10))


def shop(*, seed: int = 0, days: int = 90) -> SalesPanel:
    """Twelve M5-like series, four items in three stores of two states, with prices; one begins late."""
    rng = np.random.default_rng(seed)
    rows = []
    for item in ("FOODS_1_001", "FOODS_2_001", "HOBBIES_1_001", "HOBBIES_1_002"):
        for store in ("CA_1", "CA_2", "TX_1"):
            late = 30 if (item, store) == ("FOODS_1_001", "CA_1") else 0
            sold, price = rng.poisson(3, days), rng.uniform(1, 9)
            rows += [{"item": item, "location": store, "date": date(2024, 1, 1) + timedelta(days=d), "sales": float(sold[d]),
                      "price": price * (1 + 0.1 * (d % 9 == 0))} for d in range(late, days)]
    table = pl.DataFrame(rows)
    items = table.select("item", pl.col("item").str.head(-4).alias("department"),
                         pl.col("item").str.split("_").list.first().alias("category")).unique().sort("item")
    places = pl.DataFrame({"location": ["CA_1", "CA_2", "TX_1"], "state": ["CA", "CA", "TX"]})
    return SalesPanel.from_frame(table, freq="D", known=["price"], items=items, places=places)


def test_wrmsse_is_what_the_m5_guide_says():
    panel = shop()
    (window,) = windows(panel, horizon=14)
    forecast = make_model("naive").fit(window.past).predict(window.past, horizon=14, levels=DECILES)
    actual, dense = window.truth(), window.past.dense()
    past, prices = np.nan_to_num(dense.sales), np.nan_to_num(dense.known["price"])
    attributes = panel.series.join(panel.items, on="item", how="left").join(panel.places, on="location", how="left")
    expected = slow_wrmsse(attributes.rename({"location": "store"}), actual, forecast.mean, past, prices)
    money = (past[:, -28:] * prices[:, -28:]).sum(axis=1)
    hierarchy = m5_hierarchy(panel.series)
    levels = [level.codes for level in (*hierarchy.levels, hierarchy.bottom)]
    assert len(levels) == 12
    assert metrics.wrmsse(actual, forecast.mean, past, money=money, levels=levels) == pytest.approx(expected, rel=1e-12)
    assert metrics.wrmsse(actual, actual, past, money=money, levels=levels) == 0


def test_a_backtest_finds_the_wrmsse_of_the_levels_that_the_attributes_give():
    """Here no two levels group alike, but `item x store`, which is the bottom: the twelve of M5 are found by themselves."""
    panel = shop()
    (window,) = windows(panel, horizon=14)
    fitted = make_model("naive").fit(window.past)
    scores = measure(window, fitted, levels=DECILES).scores
    forecast = fitted.predict(window.past, horizon=14, levels=DECILES)
    by_level = scores.filter(pl.col("kind") == "level")
    assert set(by_level["group"]) == {"total", "category", "department", "item", "state", "location", "bottom"} | {
        f"{i} x {p}" for i in ("category", "department", "item") for p in ("state", "location")} - {"item x location"}
    dense = window.past.dense()
    prices = np.nan_to_num(dense.known["price"])
    attributes = panel.series.join(panel.items, on="item", how="left").join(panel.places, on="location", how="left")
    names = attributes.rename({"location": "store"})
    expected = slow_wrmsse(names, window.truth(), forecast.mean, np.nan_to_num(dense.sales), prices)
    found = scores.filter((pl.col("kind") == "all") & (pl.col("metric") == "WRMSSE"))["value"].item()
    assert found == pytest.approx(expected, rel=1e-12)
    total = by_level.filter((pl.col("group") == "total") & (pl.col("metric") == "RMSE"))["value"].item()
    assert total == pytest.approx(metrics.rmse(window.truth().sum(axis=0)[None], forecast.mean.sum(axis=0)[None]))


def test_crps_from_many_quantiles_is_that_of_the_samples_they_came_from():
    rng = np.random.default_rng(1)
    samples, actual = rng.gamma(2, 5, (3, 4, 2_000)), rng.gamma(2, 5, (3, 4))
    levels = (np.arange(999) + 0.5) / 999
    quantiles = np.quantile(samples, levels, axis=2).transpose(1, 2, 0)
    assert metrics.crps(actual, quantiles, levels) == pytest.approx(metrics.crps_sample(actual, samples), rel=2e-3)
    assert metrics.crps(actual, quantiles, levels) == pytest.approx(2 * metrics.pinball(actual, quantiles, levels).mean())


def test_crps_of_samples_is_its_definition_term_by_term():
    rng = np.random.default_rng(2)
    samples, actual = rng.normal(0, 3, (2, 2, 25)), rng.normal(0, 3, (2, 2))
    each = [np.mean([abs(x - actual[i, j]) for x in samples[i, j]])
            - 0.5 * np.mean([abs(a - b) for a in samples[i, j] for b in samples[i, j]]) for i in range(2) for j in range(2)]
    assert metrics.crps_sample(actual, samples) == pytest.approx(np.mean(each))


def test_crps_of_a_normal_forecast_is_the_textbook_number():
    """Gneiting and Raftery 2007: for a standard normal and an actual of 0 it is (sqrt(2) - 1) / sqrt(pi)."""
    samples = np.random.default_rng(3).standard_normal((1, 1, 400_000))
    assert metrics.crps_sample(np.zeros((1, 1)), samples) == pytest.approx((2**0.5 - 1) / np.pi**0.5, rel=5e-3)


def test_measures_of_intervals_by_hand():
    actual = np.array([[5.0, 12.0, np.nan, -1.0]])
    lower, upper = np.zeros((1, 4)), np.full((1, 4), 10.0)
    assert metrics.interval_coverage(actual, lower, upper) == pytest.approx(1 / 3)
    assert metrics.interval_width(actual, lower, upper) == 10
    assert metrics.interval_score(actual, lower, upper, share=0.8) == pytest.approx(10 + (0 + 2 * 10 + 1 * 10) / 3)


def test_the_interval_score_is_the_pinball_loss_of_its_two_ends():
    """Winkler = 2 (pinball of the lower + pinball of the upper end) / (1 - share), which scores are published by."""
    rng = np.random.default_rng(4)
    actual, ends = rng.gamma(2, 5, (5, 6)), np.sort(rng.gamma(2, 5, (5, 6, 2)), axis=2)
    losses = metrics.pinball(actual, ends, np.array([0.1, 0.9]))
    found = metrics.interval_score(actual, ends[:, :, 0], ends[:, :, 1], share=0.8)
    assert found == pytest.approx(2 * losses.sum() / 0.2)


def test_intervals_and_crps_agree_with_utilsforecast():
    losses = pytest.importorskip("utilsforecast.losses")
    rng = np.random.default_rng(6)
    actual, quantiles = rng.gamma(2, 5, (4, 14)), np.sort(rng.gamma(2, 5, (4, 14, 9)), axis=2)
    table = pl.DataFrame({"unique_id": np.repeat(np.arange(4), 14), "ds": np.tile(np.arange(14), 4), "y": actual.ravel()})
    table = table.with_columns(pl.Series(f"q{i}", quantiles[:, :, i].ravel()) for i in range(9))
    table = table.with_columns(pl.col("q0").alias("f-lo-80"), pl.col("q8").alias("f-hi-80"))
    covered = losses.coverage(table, ["f"], 80).sort("unique_id")["f"].to_numpy()
    winkler = losses.winkler_score(table, ["f"], 80).sort("unique_id")["f"].to_numpy()
    scaled = losses.scaled_crps(table, {"f": [f"q{i}" for i in range(9)]}, np.array(DECILES)).sort("unique_id")["f"].to_numpy()
    for i in range(4):
        y, low, high = actual[[i]], quantiles[[i], :, 0], quantiles[[i], :, 8]
        assert metrics.interval_coverage(y, low, high) == pytest.approx(covered[i])
        assert metrics.interval_score(y, low, high, share=0.8) == pytest.approx(winkler[i])
        assert metrics.wql(y, quantiles[[i]], np.array(DECILES)) == pytest.approx(scaled[i])


def test_stability_is_the_spread_over_windows():
    assert metrics.stability(np.array([1.0, 2.0, 3.0, np.nan])) == 1.0
    assert np.isnan(metrics.stability(np.array([1.0])))


def test_weights_of_levels_share_out_all_probabilities():
    assert metrics.level_weights([0.5]).tolist() == [1.0]
    np.testing.assert_allclose(metrics.level_weights([0.01, 0.5, 0.99]).sum(), 1)
    np.testing.assert_allclose(metrics.level_weights((np.arange(10) + 0.5) / 10), 0.1)


def test_scores_of_a_window_are_what_the_plain_measures_say():
    (window,) = windows(shop(), horizon=14)
    fitted = make_model("naive").fit(window.past)
    levels = (0.01, *DECILES, 0.99)
    measured = measure(window, fitted, levels=levels)
    scores = measured.scores
    found = dict(scores.filter(pl.col("kind") == "all").select("metric", "value").iter_rows())
    forecast, actual = fitted.predict(window.past, horizon=14, levels=levels), window.truth()
    past, ends = window.past.dense().sales, (forecast.at(0.01), forecast.at(0.99))
    expected = {"MSE": metrics.mse(actual, forecast.mean), "RMSE": metrics.rmse(actual, forecast.mean),
                "MAE": metrics.mae(actual, forecast.at(0.5)), "sMAPE": metrics.smape(actual, forecast.at(0.5)),
                "RMSSE": metrics.rmsse(actual, forecast.mean, metrics.seasonal_square(past, 1)),
                "CRPS": metrics.crps(actual, forecast.quantiles, np.array(levels)),
                "coverage 0.01-0.99": metrics.interval_coverage(actual, *ends),
                "width 0.01-0.99": metrics.interval_width(actual, *ends),
                "Winkler 0.01-0.99": metrics.interval_score(actual, *ends, share=0.98),
                "pinball q0.9": metrics.pinball(actual, forecast.quantiles, np.array(levels))[-2],
                "coverage q0.9": metrics.coverage(actual, forecast.quantiles)[-2]}
    assert {k: found[k] for k in expected} == pytest.approx(expected)
    roots = measured.losses.select((pl.col("square") / pl.col("cells") / pl.col("square_scale")).sqrt().mean()).item()
    assert roots == pytest.approx(expected["RMSSE"])  # so that the table of losses can give it


def test_young_series_are_measured_apart():
    (window,) = windows(shop(days=80), horizon=14)
    scores = measure(window, make_model("naive").fit(window.past), levels=DECILES).scores
    ages = dict(scores.filter((pl.col("kind") == "age") & (pl.col("metric") == "WAPE")).select("group", "series").iter_rows())
    assert ages == {"old": 12}
    (window,) = windows(shop(days=70), horizon=14)  # the late one is 26 days old, less than two horizons
    scores = measure(window, make_model("naive").fit(window.past), levels=DECILES).scores
    ages = dict(scores.filter((pl.col("kind") == "age") & (pl.col("metric") == "WAPE")).select("group", "series").iter_rows())
    assert ages == {"new": 1, "old": 11}

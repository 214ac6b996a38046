"""Scores of sums: their quantiles by how series moved together, or those of their own forecasts."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

from shelfcast.data.hierarchy import Hierarchy
from shelfcast.data.split import windows
from shelfcast.evaluate import metrics
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.sum_bands import changes, correlation, shrinkage, spreads, sum_quantiles, total_quantiles
from shelfcast.forecast import Forecast
from shelfcast.models.base import Traits
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

DAYS, HORIZON, DEVIATION = 400, 40, 10.0


class Bell:
    """Knows the truth but for the noise: 100 units and its deviation."""

    traits = Traits(name="bell", summary="A bell around 100.")

    def fit(self, panel: SalesPanel) -> "Bell":
        return self

    def predict(self, panel, *, horizon, levels=LEVELS):
        mean = np.full((len(panel), horizon), 100.0)
        quantiles = mean[:, :, None] + DEVIATION * ndtri(np.array(levels))
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, levels, quantiles, mean)


def chain(correlated: float, *, series: int = 16, seed: int = 1) -> SalesPanel:
    """Series around 100 whose noise correlates by a known number; two items."""
    rng = np.random.default_rng(seed)
    shared, own = rng.normal(size=(1, DAYS)), rng.normal(size=(series, DAYS))
    sales = 100 + DEVIATION * (np.sqrt(correlated) * shared + np.sqrt(1 - correlated) * own)
    rows = [pl.DataFrame({"item": f"item {i % 2}", "location": f"place {i:02d}", "sales": sales[i],
                          "date": [date(2023, 1, 1) + timedelta(days=d) for d in range(DAYS)]}) for i in range(series)]
    return SalesPanel.from_frame(pl.concat(rows), freq="D")


def level_scores(panel: SalesPanel, **given) -> dict[str, dict[str, float]]:
    (window,) = windows(panel, horizon=HORIZON)
    found = measure(window, Bell(), levels=LEVELS, **given).scores.filter(pl.col("kind") == "level")
    return {group: dict(part.select("metric", "value").iter_rows()) for (group,), part in found.group_by("group")}


@pytest.mark.parametrize("correlated", [0.0, 0.3, 1.0])
def test_a_total_lies_inside_its_interval_as_often_as_it_should_however_series_move_together(correlated):
    found = np.array([[level_scores(chain(correlated, seed=seed))["total"][f"coverage {between}"]
                       for between in ("0.1-0.9", "0.01-0.99")] for seed in range(4)]).mean(axis=0)
    assert found == pytest.approx([0.8, 0.98], abs=0.07)


def test_scores_of_sums_do_not_depend_on_how_series_are_sliced(monkeypatch):
    table = chain(0.3).to_frame()
    late = (pl.col("location") >= "place 08") & (pl.col("date") < date(2023, 9, 1))
    items = pl.when(pl.col("location") < "place 08").then(pl.lit("old")).otherwise(pl.lit("young"))
    panel = SalesPanel.from_frame(table.filter(~late).with_columns(item=items), freq="D")  # eight old ones, then eight young ones
    whole = level_scores(panel)
    monkeypatch.setattr("shelfcast.evaluate.backtest.CHUNK", 8)
    sliced = level_scores(panel)
    assert set(whole) == {"total", "item", "bottom"}
    for level, found in whole.items():
        assert sliced[level] == pytest.approx(found)


def test_days_when_all_are_closed_do_not_shrink_the_scale_of_a_sum():
    rng = np.random.default_rng(3)
    days = [date(2023, 1, 1) + timedelta(days=d) for d in range(DAYS)]
    table = pl.concat([pl.DataFrame({"item": item, "location": "x", "date": days, "sales": rng.poisson(100, DAYS).astype(float)})
                       for item in ("jam", "tea")])
    opened = (pl.col("date").dt.weekday() != 7).cast(pl.Int64)
    table = table.with_columns(open=opened, sales=pl.col("sales") * opened)
    found = level_scores(SalesPanel.from_frame(table, freq="D", known=["open"], closed_when="open"))["total"]
    sums = table.group_by("date", maintain_order=True).agg(pl.col("sales").sum(), pl.col("open").max())
    sums = sums.select(pl.when(pl.col("open") == 1).then("sales"))["sales"].cast(pl.Float64).fill_null(np.nan).to_numpy()[None]
    past, actual = sums[:, :-HORIZON], sums[:, -HORIZON:]
    point = np.full((1, HORIZON), 200.0)
    assert found["MASE"] == pytest.approx(metrics.mase(actual, point, metrics.seasonal_error(past, 7)))
    assert found["RMSSE"] == pytest.approx(metrics.rmsse(actual, point, metrics.seasonal_square(past, 1)))


def test_sums_have_the_measures_that_series_have():
    panel = chain(0.3)
    (window,) = windows(panel, horizon=HORIZON)
    series = measure(window, Bell(), levels=LEVELS).scores.filter(pl.col("kind") == "all")
    found = level_scores(panel)
    assert set(found) == {"total", "item", "bottom"}
    assert set(found["item"]) == set(series["metric"]) and found["item"]["SQL"] > 0


def test_forecasts_of_sums_are_scored_as_they_are():
    panel = chain(0.3)
    (window,) = windows(panel, horizon=HORIZON)
    hierarchy = Hierarchy.of(window.past.series, item_levels=["item"])
    node = Forecast(hierarchy["item"].series, panel.frequency, window.past.cutoff, LEVELS,
                    np.full((2, HORIZON, len(LEVELS)), 800.0) + 30 * ndtri(np.array(LEVELS)), np.full((2, HORIZON), 800.0))
    found = level_scores(panel, hierarchy=hierarchy, upper={"item": node})["item"]
    truth = hierarchy["item"].sums(window.truth())
    deciles = [LEVELS.index(k / 10) for k in range(1, 10)]
    assert found["WQL"] == pytest.approx(metrics.wql(truth, node.quantiles[:, :, deciles], np.array(LEVELS)[deciles]))
    assert found["coverage 0.1-0.9"] == pytest.approx(((node.at(0.1) <= truth) & (truth <= node.at(0.9))).mean())


def test_one_series_keeps_its_band_and_independent_ones_share_theirs():
    mean, quantiles = np.array([[100.0]] * 4), np.array([[80.0, 100.0, 120.0]] * 4)[:, None, :]
    spread = spreads(mean, quantiles, (0.1, 0.5, 0.9))
    assert spread[0, 0] == pytest.approx(20 * np.sqrt(0.6))
    alone = total_quantiles(mean[:1].sum(axis=0), quantiles[:1].sum(axis=0), shrinkage(spread[0], spread[0] ** 2, 0.0))
    four = total_quantiles(mean.sum(axis=0), quantiles.sum(axis=0), shrinkage(spread.sum(axis=0), (spread**2).sum(axis=0), 0.0))
    assert alone[0].tolist() == [80, 100, 120] and four[0].tolist() == [360, 400, 440]


def test_a_total_of_many_slow_sellers_can_fall_as_far_as_it_can_rise():
    rng, n = np.random.default_rng(2), 400
    levels = np.array(LEVELS)
    parts = np.quantile(rng.poisson(0.4, 100_000), levels)  # nought up to the 0.6 quantile
    mean, quantiles = np.full((n, 1), 0.4), np.tile(parts, (n, 1, 1))
    spread = spreads(mean, quantiles, LEVELS)
    (found,) = sum_quantiles(mean.sum(axis=0), quantiles.sum(axis=0), LEVELS, spread=spread.sum(axis=0),
                             squares=(spread**2).sum(axis=0), rho=0.0)
    expected = np.quantile(rng.poisson(0.4 * n, 100_000), levels)
    assert np.abs(found - expected).max() < 0.1 * (expected[-1] - expected[0])


def test_what_is_not_known_has_not_changed_and_tells_no_correlation():
    sales = np.array([[1.0, 2.0, np.nan, 4.0]])
    assert changes(sales, 1).tolist() == [[1.0, 0.0, 0.0]] and changes(sales, 9).shape == (1, 0)
    assert correlation(5.0, 5.0, 5.0) == 1.0  # one series alone

"""Measures, against a second implementation, against the public benchmark's scoring, and by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.evaluate import metrics

LEVELS = np.arange(1, 10) / 10
SEASON = 7


@pytest.fixture(scope="module")
def case() -> dict[str, np.ndarray]:
    """Four series: 60 periods of past, 14 ahead, forecasts that are wrong, no gaps."""
    rng = np.random.default_rng(0)
    past, actual = rng.gamma(2, 10, (4, 60)), rng.gamma(2, 10, (4, 14))
    return {"past": past, "actual": actual, "point": actual + rng.normal(0, 5, actual.shape),
            "quantiles": np.sort(rng.gamma(2, 10, (4, 14, 9)), axis=2)}


def tables(case: dict[str, np.ndarray]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The case as the tables of utilsforecast: the future with forecasts, and the past."""
    def long(values: np.ndarray, start: int) -> pl.DataFrame:
        n, t = values.shape
        return pl.DataFrame({"unique_id": np.repeat(np.arange(n), t), "ds": np.tile(start + np.arange(t), n), "y": values.ravel()})
    future = long(case["actual"], 60).with_columns(pl.Series("f", case["point"].ravel()))
    future = future.with_columns(pl.Series(f"q{i}", case["quantiles"][:, :, i].ravel()) for i in range(9))
    return future, long(case["past"], 0)


@pytest.mark.parametrize(("ours", "theirs"), [("mae", "mae"), ("mse", "mse"), ("rmse", "rmse"), ("wape", "nd"), ("smape", "smape")])
def test_measures_of_points_agree_with_utilsforecast(case, ours, theirs):
    losses = pytest.importorskip("utilsforecast.losses")
    future, _ = tables(case)
    expected = getattr(losses, theirs)(future, ["f"]).sort("unique_id")["f"].to_numpy()
    factor = 2 if ours == "smape" else 1  # theirs is half of what the M competitions report
    found = [getattr(metrics, ours)(case["actual"][[i]], case["point"][[i]]) for i in range(4)]
    np.testing.assert_allclose(found, factor * expected)


def test_scaled_measures_agree_with_utilsforecast(case):
    losses = pytest.importorskip("utilsforecast.losses")
    future, past = tables(case)
    scale = metrics.seasonal_error(case["past"], SEASON)
    for one, expected in (
        (lambda i: metrics.mase(case["actual"][[i]], case["point"][[i]], scale[[i]]), losses.mase(future, ["f"], SEASON, past)),
        (lambda i: metrics.rmsse(case["actual"][[i]], case["point"][[i]], metrics.seasonal_square(case["past"], SEASON)[[i]]),
         losses.rmsse(future, ["f"], SEASON, past)),
        (lambda i: metrics.sql(case["actual"][[i]], case["quantiles"][[i]], LEVELS, scale=scale[[i]]) / 2,
         losses.scaled_mqloss(future, {"f": [f"q{i}" for i in range(9)]}, LEVELS, SEASON, past)),
    ):
        np.testing.assert_allclose([one(i) for i in range(4)], expected.sort("unique_id")["f"].to_numpy())


def test_measures_of_quantiles_agree_with_utilsforecast(case):
    losses = pytest.importorskip("utilsforecast.losses")
    future, _ = tables(case)
    for i, q in enumerate(LEVELS):
        np.testing.assert_allclose(metrics.pinball(case["actual"], case["quantiles"], LEVELS)[i],
                                   losses.quantile_loss(future, {"f": f"q{i}"}, q=q)["f"].mean())
        np.testing.assert_allclose(metrics.coverage(case["actual"], case["quantiles"])[i],
                                   losses.calibration(future, {"f": f"q{i}"})["f"].mean())


def load_benchmark() -> object:
    path = Path(__file__).resolve().parents[2].parent / "shared" / "bench" / "fev_tasks.py"
    if not path.is_file():
        pytest.skip("needs the public benchmark's scoring, which is not beside the repository")
    pytest.importorskip("pandas")
    spec = importlib.util.spec_from_file_location("fev_tasks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("gaps", [False, True])
def test_measures_agree_with_the_public_benchmark(case, gaps):
    bench = load_benchmark()
    actual, past = case["actual"].copy(), case["past"].copy()
    if gaps:
        actual[0, 3:6], past[1, ::5], past[2] = np.nan, np.nan, 4.0  # series 2 has no naive error, so no scale
    expected = bench.score(dict(enumerate(past)), dict(enumerate(actual)), dict(enumerate(case["quantiles"])), SEASON)
    scale, median = metrics.seasonal_error(past, SEASON), case["quantiles"][:, :, 4]
    found = {"SQL": metrics.sql(actual, case["quantiles"], LEVELS, scale=scale),
             "WQL": metrics.wql(actual, case["quantiles"], LEVELS),
             "WAPE": metrics.wape(actual, median), "MASE": metrics.mase(actual, median, scale)}
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=1e-12), name


def test_measures_by_hand():
    actual, point = np.array([[10.0, 0.0, np.nan]]), np.array([[8.0, 1.0, 99.0]])
    assert metrics.mae(actual, point) == 1.5 and metrics.mse(actual, point) == 2.5 and metrics.rmse(actual, point) == 2.5**0.5
    assert metrics.wape(actual, point) == pytest.approx(0.3) and metrics.bias(actual, point) == pytest.approx(-0.1)
    assert metrics.smape(actual, point) == pytest.approx((4 / 18 + 2) / 2)
    assert metrics.seasonal_error(np.array([[1.0, 2.0, 4.0, np.nan, 5.0]]), 1)[0] == 1.5
    np.testing.assert_allclose(metrics.pinball(np.array([[10.0]]), np.array([[[8.0, 14.0]]]), np.array([0.1, 0.9])), [0.2, 0.4])


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(0, 1e6), min_size=2, max_size=20), hidden=st.integers(0, 19))
def test_an_unknown_period_changes_nothing_whatever_is_forecast_there(values, hidden):
    actual = np.array([values])
    actual[0, hidden % len(values)] = np.nan
    one, two = np.full_like(actual, 3.0), np.full_like(actual, 3.0)
    two[0, hidden % len(values)] = 1e9
    for measure in (metrics.mae, metrics.mse, metrics.wape, metrics.smape, metrics.bias):
        np.testing.assert_equal(measure(actual, one), measure(actual, two))


@settings(max_examples=60, deadline=None)
@given(level=st.sampled_from([0.1, 0.5, 0.9]), values=st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=40))
def test_the_sample_quantile_has_the_least_pinball_loss(level, values):
    actual = np.array([values])
    best = np.quantile(values, level, method="inverted_cdf")
    losses = [metrics.pinball(actual, np.full((1, len(values), 1), q), np.array([level]))[0] for q in (best, *values)]
    assert losses[0] <= min(losses) + 1e-9


def test_a_perfect_forecast_loses_nothing(case):
    actual = case["actual"]
    quantiles = np.repeat(actual[:, :, None], 9, axis=2)
    scale = metrics.seasonal_error(case["past"], SEASON)
    assert metrics.wql(actual, quantiles, LEVELS) == 0 == metrics.sql(actual, quantiles, LEVELS, scale=scale)
    assert metrics.mase(actual, actual, scale) == metrics.rmsse(actual, actual, scale) == metrics.bias(actual, actual) == 0


def test_where_nothing_is_known_nothing_is_measured():
    nothing = np.full((2, 3), np.nan)
    for measure in (metrics.mae, metrics.mse, metrics.rmse, metrics.wape, metrics.smape, metrics.bias):
        assert np.isnan(measure(nothing, np.ones((2, 3))))
    assert np.isnan(metrics.wape(np.zeros((1, 2)), np.ones((1, 2))))  # nothing was sold: no share of it
    assert np.isnan(metrics.seasonal_error(np.ones((1, 5)), 7)).all()
    assert np.isnan(metrics.mase(np.ones((1, 2)), np.ones((1, 2)), np.zeros(1)))

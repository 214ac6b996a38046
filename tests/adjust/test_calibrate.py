"""80 % means 80 %: planted errors of spread are mended, true forecasts and certain zeros are left alone."""

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri
from scipy.stats import nbinom

from shelfcast.adjust.calibrate import Calibration, Scored, calibrate, learn_calibration, normal_scores, stretch_bounds
from shelfcast.data.classes import CLASSES
from shelfcast.errors import DataError, WeightsError
from shelfcast.forecast import Forecast
from shelfcast.names import LEVELS
from shelfcast.periods import Frequency

H = 12
N = 400


def forecast(quantiles: np.ndarray, mean: np.ndarray) -> Forecast:
    series = pl.DataFrame({"item": [f"i{k:04d}" for k in range(len(mean))], "location": "here"})
    return Forecast(series, Frequency.parse("D"), 100, LEVELS, quantiles, mean)


def bells(seed: int, *, factor: np.ndarray | float, classes: np.ndarray | None = None, shock: float = 0.0) -> Scored:
    """Normal truths around 100; the forecast's spread is `factor` (by class) times the true one; a shock moves all at once."""
    rng = np.random.default_rng(seed)
    classes = np.zeros(N, dtype=int) if classes is None else classes
    truth = 100 + 10 * rng.standard_normal((len(classes), H)) + shock * rng.standard_normal()
    said = 10 * (np.full(len(classes), factor) if np.ndim(factor) == 0 else np.asarray(factor)[classes])
    quantiles = 100 + said[:, None, None] * np.ones((1, H, 1)) * ndtri(np.array(LEVELS))
    return Scored(forecast(quantiles, np.full((len(classes), H), 100.0)), truth, classes)


def inside(one: Scored, said: Forecast, low: float = 0.1, high: float = 0.9) -> float:
    return float(((said.at(low) <= one.truth) & (one.truth <= said.at(high))).mean())


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.6])
def test_intervals_that_are_too_narrow_or_too_wide_are_mended_where_windows_are_alike(factor):
    learned = learn_calibration([bells(k, factor=factor) for k in range(3)], shrink_windows=0.0)
    new = bells(99, factor=factor)
    assert abs(inside(new, new.forecast) - 0.8) > 0.1
    # 4,800 new cells have a standard error of 0.006, and as much lies in what was learned
    assert inside(new, calibrate(new.forecast, learned, new.classes)) == pytest.approx(0.8, abs=0.02)
    assert inside(new, calibrate(new.forecast, learned, new.classes), 0.01, 0.99) == pytest.approx(0.98, abs=0.01)


def test_coverage_holds_on_average_where_cells_are_few():
    """Exchangeable cells: split conformal covers 80 % or a little more, averaged over what was drawn."""
    rows = np.zeros(20, dtype=int)  # 240 cells
    found = []
    for k in range(60):
        learned = learn_calibration([bells(k, factor=0.5, classes=rows)], shrink_windows=0.0, shrink_series=1e9, stretches=1)
        new = bells(1000 + k, factor=0.5, classes=rows)
        found.append(inside(new, calibrate(new.forecast, learned, new.classes)))
    assert 0.79 < np.mean(found) < 0.83


def test_few_windows_are_believed_in_part():
    one, three = (learn_calibration([bells(k, factor=0.5) for k in range(n)]) for n in (1, 3))
    new = bells(99, factor=0.5)
    before, first, third = (inside(new, calibrate(new.forecast, c, new.classes)) for c in (Calibration.none(), one, three))
    assert before < first < third < 0.8


def test_true_forecasts_stay_as_they_are():
    learned = learn_calibration([bells(k, factor=1.0) for k in range(3)])
    assert np.abs(learned.factors - 1).max() < 0.06


def test_a_class_that_is_wrong_in_its_own_way_is_mended_in_its_own_way():
    classes = np.repeat([0, 3], 1500)
    factor = np.array([1.0, 1.0, 1.0, 0.4, 1.0])
    learned = learn_calibration([bells(k, factor=factor, classes=classes) for k in range(3)], shrink_windows=0.0)
    new = bells(99, factor=factor, classes=classes)
    mended = calibrate(new.forecast, learned, classes)
    for which in (slice(0, 1500), slice(1500, 3000)):
        part = Scored(mended.select(which), new.truth[which], classes[which])
        assert inside(part, part.forecast) == pytest.approx(0.8, abs=0.04)


def test_a_shock_that_moves_all_series_widens_and_does_not_move_the_median():
    shocked = [bells(k, factor=1.0, shock=20.0) for k in range(3)]
    learned = learn_calibration(shocked)
    new = bells(99, factor=1.0)
    mended = calibrate(new.forecast, learned, new.classes)
    np.testing.assert_allclose(mended.at(0.5), new.forecast.at(0.5))
    assert (mended.at(0.9) > new.forecast.at(0.9)).all() and (mended.at(0.1) < new.forecast.at(0.1)).all()


def counts(seed: int) -> Scored:
    """Slow series whose forecast is exactly the distribution that they are drawn from: seven tenths are zeros."""
    rng = np.random.default_rng(seed)
    truth = rng.negative_binomial(0.5, 0.5, (N, H)).astype(float)
    quantiles = np.broadcast_to(nbinom.ppf(np.array(LEVELS), 0.5, 0.5), (N, H, len(LEVELS))).copy()
    return Scored(forecast(quantiles, np.full((N, H), 0.5)), truth, np.full(N, 3))


def test_zeros_that_are_likely_are_not_taken_for_a_lack_or_an_excess_of_coverage():
    new = counts(99)
    mended = calibrate(new.forecast, learn_calibration([counts(k) for k in range(3)]), new.classes)
    assert (mended.at(0.5) == 0).all()
    assert mended.at(0.9).mean() == pytest.approx(new.forecast.at(0.9).mean(), rel=0.25)


def test_scores_of_true_forecasts_are_normal_on_atoms_too():
    one = counts(7)
    score = normal_scores(one.truth.reshape(-1), one.forecast.quantiles.reshape(-1, len(LEVELS)), LEVELS)
    assert np.mean(score) == pytest.approx(0.0, abs=0.1) and np.std(score) == pytest.approx(1.0, abs=0.12)


def test_a_forecast_without_spread_has_no_score_and_stays_sure():
    sure = forecast(np.zeros((2, H, len(LEVELS))), np.zeros((2, H)))
    assert np.isnan(normal_scores(np.array([0.0]), np.zeros((1, len(LEVELS))), LEVELS)).all()
    learned = learn_calibration([bells(k, factor=0.5) for k in range(3)])
    assert (calibrate(sure, learned, np.zeros(2, dtype=int)).quantiles == 0).all()


def test_calibrated_quantiles_rise_and_stay_at_or_above_nought():
    rng = np.random.default_rng(3)
    quantiles = np.sort(rng.gamma(0.5, 3.0, (N, H, len(LEVELS))), axis=2)
    learned = learn_calibration([bells(k, factor=0.4) for k in range(3)])
    asked = (0.001, 0.25, 0.5, 0.975)
    mended = calibrate(forecast(quantiles, quantiles.mean(axis=2)), learned, rng.integers(0, 5, N), levels=asked)
    assert mended.levels == asked
    assert (np.diff(mended.quantiles, axis=2) >= 0).all() and (mended.quantiles >= 0).all()


def test_a_tail_that_leaps_is_not_read_at_the_leap():
    """A member whose outermost quantiles are a thousand times too far: the inner ones move by what the spread lacked, squared."""
    learned = learn_calibration([bells(k, factor=0.8) for k in range(3)])
    asked = float(learned.factors.max())
    assert 1.1 < asked < 1.3
    quantiles = bells(9, factor=1.0).forecast.quantiles.copy()
    quantiles[:, :, [LEVELS.index(q) for q in (0.95, 0.99)]] *= 1000.0
    mended = calibrate(forecast(quantiles, quantiles[:, :, LEVELS.index(0.5)]), learned, np.zeros(N, dtype=int))
    assert (mended.at(0.9) - 100).max() <= 12.82 * asked**2
    assert mended.at(0.99).max() <= 100 + (quantiles.max() - 100) * asked**2


def test_nought_is_not_widened():
    quantiles = np.zeros((N, H, len(LEVELS)))
    quantiles[:, :, LEVELS.index(0.95):] = 5.0  # sold at most once in ten days
    learned = learn_calibration([bells(k, factor=0.5) for k in range(3)])
    mended = calibrate(forecast(quantiles, quantiles.mean(axis=2)), learned, np.zeros(N, dtype=int))
    assert (mended.at(0.9) == 0).all() and (mended.at(0.95) >= 5).all()


def test_no_calibration_changes_nothing():
    new = bells(5, factor=0.7)
    np.testing.assert_allclose(calibrate(new.forecast, Calibration.none(), new.classes).quantiles, new.forecast.quantiles)


def test_without_evidence_nothing_changes():
    learned = learn_calibration([])
    assert learned.windows == 0 and (learned.factors == 1).all()
    tiny = bells(1, factor=0.5, classes=np.zeros(3, dtype=int))
    np.testing.assert_allclose(learn_calibration([tiny]).factors, 1.0)


def test_a_calibration_comes_back_from_its_file(tmp_path):
    learned = learn_calibration([bells(k, factor=0.6) for k in range(2)])
    learned.save(tmp_path)
    back = Calibration.load(tmp_path)
    assert back.groups == CLASSES and back.bounds == learned.bounds and (back.deviates == learned.deviates).all()
    (tmp_path / "calibration.npz").write_bytes(b"no archive")
    with pytest.raises(WeightsError, match="calibration"):
        Calibration.load(tmp_path)


def test_a_forecast_without_the_median_is_refused():
    with pytest.raises(DataError, match="median"):
        normal_scores(np.array([1.0]), np.array([[0.0, 2.0]]), (0.1, 0.9))


def test_stretches_are_short_near_the_cutoff():
    assert stretch_bounds(48, 3) == (4, 13) and stretch_bounds(1, 3) == ()

"""The rhythm of a season: found where it repeats, not where it is noise, and honest about what it costs."""

import numpy as np
import pytest

from shelfcast.models.seasonal import by_period, seasonal_index, without_season
from shelfcast.models.statistical import fill_between

WEEK = np.array([1.0, 0.8, 0.9, 1.0, 1.4, 1.6, 0.3])


def found(values: np.ndarray, season: int = 7) -> tuple[np.ndarray, np.ndarray]:
    return seasonal_index(values, fill_between(values), season)


def test_a_rhythm_without_noise_is_found_whole():
    index, optimism = found(np.tile(WEEK * 50, (1, 10)))
    np.testing.assert_allclose(index[0], WEEK / WEEK.mean(), rtol=1e-9)
    assert optimism[0] == pytest.approx(np.sqrt(1.1 / 0.9))


def test_the_first_column_is_the_phase_after_the_last_period():
    values = np.tile(WEEK * 50, 10)[None, :-2]  # ends on the fifth day
    index, _ = found(values)
    assert np.argmax(index[0]) == 0 and np.argmin(index[0]) == 1
    np.testing.assert_allclose(by_period(index, 9, ahead=True)[0, 7:], index[0, :2])
    np.testing.assert_allclose(by_period(index, 3)[0], index[0, 4:])


def test_noise_is_not_taken_for_a_rhythm():
    rng = np.random.default_rng(0)
    noise, rhythm = rng.poisson(20, (200, 70)).astype(float), rng.poisson(20 * np.tile(WEEK, 10), (200, 70)).astype(float)
    assert np.abs(found(noise)[0] - 1).mean() < 0.05
    assert np.abs(found(rhythm)[0] - WEEK).mean() < 0.06


def test_gaps_zeros_and_a_rising_level_do_no_harm():
    rng = np.random.default_rng(1)
    values = np.tile(WEEK, 20)[None, :] * np.linspace(20, 80, 140)
    values[0, rng.random(140) < 0.15] = np.nan
    values[0, 6::7] = 0.0  # a day that never sells
    index, _ = found(values)
    assert index[0, 6] == 0
    np.testing.assert_allclose(index[0, :6] / index[0, :6].mean(), WEEK[:6] / WEEK[:6].mean(), atol=0.08)


@pytest.mark.parametrize("values", [np.ones((1, 13)), np.full((1, 40), np.nan), np.zeros((1, 40)), -np.ones((1, 40))])
def test_less_than_two_seasons_or_no_level_above_zero_has_no_rhythm(values):
    index, optimism = found(values)
    assert (index == 1).all() and (optimism == 1).all()


def test_errors_ahead_are_as_much_larger_than_behind_as_is_said():
    rng = np.random.default_rng(2)
    season, seasons = 52, 2
    truth = 100 * (1 + 0.4 * np.sin(np.arange(season) * 2 * np.pi / season))
    values = np.tile(truth, (200, seasons + 1)) + rng.normal(0, 8, (200, season * (seasons + 1)))
    past, future = values[:, :-season], values[:, -season:]
    index, optimism = found(past, season)
    level = past.mean(axis=1, keepdims=True)
    behind = (past - level * by_period(index, past.shape[1])).std()
    ahead = (future - level * by_period(index, season, ahead=True)).std()
    assert ahead / behind == pytest.approx(optimism.mean(), rel=0.15) and optimism.mean() > 1.5


def test_a_phase_that_hardly_sells_says_nothing_of_the_level():
    found_level = without_season(np.array([[10.0, 1.0, 0.0]]), np.array([[2.0, 0.05, 0.0]]))
    np.testing.assert_array_equal(found_level, [[5.0, np.nan, np.nan]])

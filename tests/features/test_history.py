"""What a series' own past says: windows, effects, levels, habits."""

import numpy as np

from shelfcast.features.history import Rhythm, Sums, cell_sums, habits, levels, relative_to_local_level, shrunk_effects
from shelfcast.periods import Frequency

RHYTHM = Rhythm.of(Frequency.parse("D"))


def test_window_sums_are_plain_sums_and_gaps_count_as_nothing():
    sums = Sums(np.array([[1.0, np.nan, 3.0, 4.0]]))
    assert sums.window(np.array([0, 1, -5]), np.array([2, 1, 99])).tolist() == [[4.0, 0.0, 8.0]]


def test_a_saturday_that_sells_double_is_seen_as_double():
    cells = np.broadcast_to(np.arange(140) % 7, (1, 140))
    sales = np.where(cells == 5, 20.0, 10.0)
    sums = cell_sums(relative_to_local_level(sales, 28), cells, 7, usual_noise=0.0)
    effects = shrunk_effects(sums, np.ones(7))
    assert np.allclose(effects[0, 5] / effects[0, 0], 2.0, rtol=0.02)


def test_a_noisy_series_with_little_history_keeps_to_the_prior():
    rng = np.random.default_rng(0)
    sales = rng.poisson(0.3, (1, 14)).astype(float)
    cells = np.broadcast_to(np.arange(14) % 7, (1, 14))
    prior = np.linspace(0.5, 1.5, 7)
    effects = shrunk_effects(cell_sums(relative_to_local_level(sales, 28), cells, 7, usual_noise=3.0), prior)
    assert np.abs(effects - prior).max() < 0.1


def test_weekdays_never_seen_keep_to_the_prior_even_where_nothing_varies():
    sums = cell_sums(np.ones((1, 3)), np.arange(3)[None, :], 7, usual_noise=0.0)
    assert np.allclose(shrunk_effects(sums, np.full(7, 1.5)), [[1, 1, 1, 1.5, 1.5, 1.5, 1.5]])


def test_levels_of_a_constant_series_are_the_constant():
    sales = np.full((1, 500), 7.0)
    found = levels(sales, np.ones((1, 500)), RHYTHM, noise=np.zeros(1), fallback=np.array([100.0]))
    assert np.allclose([found.short, found.middle, found.long], 7.0, rtol=0.2)
    assert np.allclose(found.middle_year_ago, 7.0, rtol=0.05)


def test_a_series_without_history_stands_on_what_is_expected_of_it():
    nothing = np.full((1, 30), np.nan)
    found = levels(nothing, np.ones((1, 30)), RHYTHM, noise=np.ones(1), fallback=np.array([12.0]))
    assert found.long[0] == 12.0 and np.isnan(found.middle_year_ago[0])


def test_habits_tell_zeros_from_gaps_and_returns():
    sales = np.array([[np.nan, 0.0, 4.0, -1.0, 0.0, 6.0, np.nan, 0.0]])
    found = habits(sales, RHYTHM, np.array([2.0]))
    assert found.zeros_long[0] == 3 / 6 and found.count[0] == 6 and found.idle[0] == 2 and found.age[0] == 7
    assert np.isclose(found.size[0], (4 + 6 + 2) / 3)

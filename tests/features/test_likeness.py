"""Which places are alike."""

import numpy as np
import pytest

from shelfcast.errors import SettingsError
from shelfcast.features.likeness import (
    LEAST_COMMON,
    MOST_PULL,
    alike_edges,
    near_edges,
    residual_correlation,
    residuals,
    usual_pull,
)


def index_of(own: np.ndarray, *, together: np.ndarray | None = None) -> np.ndarray:
    """An index as `pool` makes it from log deviations (G, T): the last row is all together; nan is not known."""
    together = np.ones(own.shape[1]) if together is None else together
    return np.vstack([np.where(np.isnan(own), 1.0, np.exp(own)) * together, together]).astype(np.float32)


def regional(places: int = 12, periods: int = 160, *, seed: int = 0) -> np.ndarray:
    """Log deviations: the first half of the places share one course, the others another."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(2, periods)), places // 2, axis=0)
    return 0.1 * shared + 0.1 * rng.normal(size=(places, periods))


def test_places_that_share_shocks_are_alike_and_others_are_not():
    found = residual_correlation(residuals(index_of(regional()), half=13), pull=30)[:12, :12]
    within, between = found[:6, :6][~np.eye(6, dtype=bool)], found[:6, 6:]
    assert within.min() > 0.2 and abs(between).max() < 0.25 and within.mean() > 0.35


def test_the_future_of_the_index_changes_nothing():
    index = index_of(regional())
    altered = index.copy()
    altered[:, 100:] *= np.random.default_rng(1).uniform(0, 50, altered[:, 100:].shape)
    altered[:, 130:] = np.nan
    assert (residuals(index, upto=100, half=13) == residuals(altered, upto=100, half=13)).all()
    assert not (residuals(index, half=13) == residuals(altered, half=13)).all()


def test_what_happens_to_all_places_makes_none_alike():
    rng = np.random.default_rng(2)
    everyone = np.exp(np.cumsum(rng.normal(size=160)) / 5)
    own = 0.1 * rng.normal(size=(12, 160))
    found = residual_correlation(residuals(index_of(own, together=everyone), half=13), pull=0)[:12, :12]
    assert abs(found[~np.eye(12, dtype=bool)]).max() < 0.3


def test_growth_that_two_places_share_makes_them_hardly_alike():
    rng = np.random.default_rng(3)
    own = 0.1 * rng.normal(size=(2, 160)) + np.linspace(-0.35, 0.35, 160)
    assert np.corrcoef(own)[0, 1] > 0.7
    assert abs(residual_correlation(residuals(index_of(own), half=6), pull=0)[0, 1]) < 0.25


def test_a_column_is_made_of_itself_and_those_before_it():
    index = index_of(regional())
    assert (residuals(index, upto=90, half=13) == residuals(index, half=13)[:, :90]).all()


def test_one_strike_on_the_same_day_does_not_make_two_shops_alike():
    own = 0.1 * np.random.default_rng(4).normal(size=(2, 160))
    own[:, 80] = -6
    assert residual_correlation(residuals(index_of(own), half=13), pull=0)[0, 1] < 0.3


def test_likeness_grows_with_the_periods_that_both_know():
    own = np.tile(0.1 * np.random.default_rng(5).normal(size=160), (4, 1))
    own[1, :100] = np.nan
    own[2, : 160 - LEAST_COMMON + 1] = np.nan
    rows = residuals(index_of(own), half=13)
    found = residual_correlation(rows, pull=30)
    assert found[0, 3] > found[0, 1] > 0.5 and found[0, 2] == 0
    common = (rows[0] != 0).sum()
    assert 150 < common < 160 and found[0, 3] == pytest.approx(common / (common + 30), abs=1e-3)


def test_a_place_never_seen_is_like_nobody():
    found = residuals(index_of(regional()), half=13)
    assert (found[-1] == 0).all() and (residual_correlation(found)[-1] == 0).all()


def test_likeness_is_finite_where_an_index_is_nought_or_not_known():
    index = index_of(regional())
    index[0], index[1], index[:, 5], index[2, 7] = 0.0, np.nan, np.nan, np.inf
    found = residual_correlation(residuals(index, half=13))
    assert np.isfinite(found).all() and (found[0] == 0).all() and (found[1] == 0).all()
    assert (residuals(np.ones((3, 1), dtype=np.float32), half=13) == 0).all()


def test_correlation_is_that_of_numpy_where_everything_is_known():
    rows = np.random.default_rng(6).normal(size=(5, 200)).astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    assert np.allclose(residual_correlation(rows, pull=0.0), np.corrcoef(rows), atol=1e-5)


def test_several_sets_of_places_at_once_are_each_as_alone():
    rows = residuals(index_of(regional()), half=13)
    which = np.array([[0, 3, 7], [5, 12, 1]])
    together = residual_correlation(rows[which])
    assert np.allclose(together[1], residual_correlation(rows[which[1]]), atol=1e-6)


def test_edges_of_likeness_join_those_that_are_alike_in_both_directions_once():
    rows = residuals(index_of(regional()), half=13)[:12]
    index, weight = alike_edges(rows, least=0.3, most=3, pull=30)
    assert ((index[0] < 6) == (index[1] < 6)).all() and (index[0] != index[1]).all() and (weight >= 0.3).all()
    pairs = list(map(tuple, index.T.tolist()))
    assert len(set(pairs)) == len(pairs) and {(b, a) for a, b in pairs} == set(pairs)
    whole = residual_correlation(rows, pull=30)
    assert np.allclose(weight, whole[index[0], index[1]], atol=1e-6)


def test_edges_of_nearness_join_neighbours_and_leave_out_who_is_nowhere():
    spots = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 3.0], [np.nan, 1.0]])
    index, weight = near_edges(spots, 1, scale=100.0)
    assert index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert weight[0] == pytest.approx(np.exp(-1.11195), rel=1e-4) and weight[0] == weight[1] > weight[2]


def test_graphs_of_one_place_or_none_have_no_edges():
    for count in (0, 1):
        assert near_edges(np.zeros((count, 2)), 3, scale=1.0)[0].shape == (2, 0)
        assert alike_edges(np.zeros((count, 9), dtype=np.float32), least=0.5, most=3)[0].shape == (2, 0)


@pytest.mark.parametrize("ask", [{"least": 0.0, "most": 3}, {"least": 1.0, "most": 3}, {"least": 0.5, "most": 0}])
def test_graphs_that_cannot_be_are_refused(ask):
    with pytest.raises(SettingsError, match="between 0 and 1"):
        alike_edges(np.ones((3, 9), dtype=np.float32), **ask)


def test_drift_over_no_time_is_refused():
    with pytest.raises(SettingsError, match="more than 0 periods"):
        residuals(np.ones((2, 5)), half=0)


def test_four_thousand_places_are_joined_without_a_table_of_all_pairs():
    rows = np.random.default_rng(7).normal(size=(4_000, 40)).astype(np.float32)
    rows[2000:] = rows[:2000]
    index, weight = alike_edges(rows, least=0.5, most=1, pull=10)
    twin = (np.arange(4_000) + 2000) % 4_000
    assert (index[1][np.isin(index[0], np.arange(100))] == twin[:100]).all() and weight.min() > 0.5


def test_little_is_believed_of_likeness_that_is_noise_and_much_of_one_that_comes_again():
    noise = residuals(index_of(0.1 * np.random.default_rng(8).normal(size=(60, 160))), half=13)
    assert usual_pull(noise) > 1000
    assert usual_pull(residuals(index_of(regional(60)), half=13)) < 40


def test_the_pull_makes_the_first_half_say_what_the_second_will():
    rows = residuals(index_of(regional(40)), half=13)[:40]
    pull, early, late = usual_pull(rows), rows[:, :80], rows[:, 80:]
    told = np.triu(residual_correlation(early, pull=pull), 1)
    came = np.triu(residual_correlation(late, pull=0), 1)
    assert (told * came).sum() / (told * told).sum() == pytest.approx(1, abs=0.02)


def test_likeness_that_turned_round_is_not_believed():
    own = regional(12)
    own[6:9, 80:] *= -1
    own[:3, 80:] *= -1
    assert usual_pull(residuals(index_of(own), half=13)) > 200


@pytest.mark.parametrize("rows", [np.zeros((5, 40)), np.ones((1, 40)), np.zeros((0, 40)), np.ones((4, 1)), np.zeros((3, 0))])
def test_where_nothing_can_be_compared_nobody_is_alike(rows):
    assert usual_pull(rows.astype(np.float32)) == MOST_PULL


def test_thousands_of_places_are_compared_in_bounded_memory():
    rows = np.random.default_rng(9).normal(size=(50_000, 40)).astype(np.float32)
    assert usual_pull(rows) > 300

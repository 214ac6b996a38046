"""The algebra of reconciliation beside the textbook's dense formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjust.reconcile_cases import case, hierarchy
from oracle.slow_reconcile import dense_weights, project, shrinkage_of
from shelfcast.adjust import projection
from shelfcast.adjust.projection import Projection, Weights, conjugate_gradients, error_variances, shrunk_weights
from shelfcast.errors import DataError

sizes = st.tuples(st.integers(2, 5), st.integers(2, 5))


def stacked(h, errors):
    return np.concatenate([errors[name] for name in [*h.names, "bottom"]])


def projection_for(h, weights):
    return Projection.of(h.upper_matrix(), [len(one) for one in h.levels], weights)


def reconciled(h, weights, base):
    k = len(h) - len(h.series)
    bottom = base[k:] + projection_for(h, weights).moves(base[:k] - h.upper_matrix() @ base[k:])
    return h.sum_up(bottom)


@pytest.mark.parametrize("border, pieces, solver", [(2_500, 3e7, "dense"), (10, 3e7, "eliminated"), (0, 3e7, "eliminated"),
                                                    (10, 0.0, "gradients")])
def test_every_solver_gives_the_dense_formula_of_the_paper(monkeypatch, border, pieces, solver):
    monkeypatch.setattr(projection, "_BORDER", border)
    monkeypatch.setattr(projection, "_PIECES", pieces)
    h, _, _, errors = case(items=7, places=5)
    weights = shrunk_weights(stacked(h, errors))
    assert projection_for(h, weights).solver == solver and 0 < weights.shrinkage < 1
    base = np.random.default_rng(1).gamma(2.0, size=(len(h), 4))
    expected = project(h.matrix().toarray(), weights.dense(), base)
    assert np.allclose(reconciled(h, weights, base), expected, rtol=0, atol=1e-8)


@given(sizes, st.integers(0, 1000), st.integers(3, 40))
@settings(max_examples=25, deadline=None)
def test_shrunk_covariance_is_the_one_summed_pair_by_pair(size, seed, periods):
    h, _, _, errors = case(seed, periods=periods, items=size[0], places=size[1])
    past = stacked(h, errors) + np.random.default_rng(seed).normal(size=(len(h), periods))
    weights = shrunk_weights(past)
    expected = max(shrinkage_of(past), 1e-3)
    assert weights.shrinkage == pytest.approx(expected, rel=1e-9)
    assert np.allclose(weights.dense(), dense_weights(past, expected), rtol=1e-9, atol=1e-12)


def test_errors_that_are_not_known_shrink_nothing_but_what_they_would_have_said():
    h, _, _, errors = case()
    past = stacked(h, errors)
    past[3, 5:9] = np.nan
    weights = shrunk_weights(past)
    assert np.allclose(weights.dense(), dense_weights(past, weights.shrinkage))
    assert error_variances(past)[3] == pytest.approx(np.nanmean(past[3] ** 2))


def test_a_forecast_that_never_erred_can_still_be_moved_a_little():
    past = np.random.default_rng(0).normal(size=(5, 20))
    past[2] = 0.0
    weights = shrunk_weights(past)
    assert 0 < weights.dense()[2, 2] < 1e-5
    with pytest.raises(DataError, match="No past error is known"):
        error_variances(np.full((3, 4), np.nan))


@given(sizes, st.integers(0, 1000), st.sampled_from(["ols", "diagonal", "shrunk"]))
@settings(max_examples=40, deadline=None)
def test_what_adds_up_stays_and_what_does_not_adds_up_after(size, seed, kind):
    """S G S = S: unbiased base forecasts stay unbiased (Wickramasuriya et al. 2019, section 2.3)."""
    h, bottom, _, errors = case(seed, items=size[0], places=size[1])
    past = stacked(h, errors)
    weights = {"ols": Weights(np.ones(len(h))), "diagonal": Weights(error_variances(past)), "shrunk": shrunk_weights(past)}[kind]
    coherent = h.sum_up(bottom.mean)
    assert np.allclose(reconciled(h, weights, coherent), coherent, rtol=0, atol=1e-8)
    everything = reconciled(h, weights, np.eye(len(h)))  # S G
    assert np.allclose(everything @ h.matrix().toarray(), h.matrix().toarray(), atol=1e-8)


def test_series_that_are_held_stay_and_the_others_take_the_whole_of_the_gap():
    h, _, _, errors = case()
    k, weights = len(h) - len(h.series), shrunk_weights(stacked(h, errors))
    found = projection_for(h, weights)
    gaps = np.random.default_rng(2).normal(size=(k, 3))
    free = np.ones((len(h.series), 3), dtype=bool)
    assert np.allclose(found.moves_among(gaps, free), found.moves(gaps), atol=1e-6)
    free[[0, 4], 1] = False
    moves = found.moves_among(gaps, free)
    assert (moves[[0, 4], 1] == 0).all()
    # The same by the dense formula, where the held series have no variance.
    w = weights.dense()
    w[:, [k, k + 4]] = 0.0
    w[[k, k + 4]] = 0.0
    c = np.hstack([np.eye(k), -h.upper_matrix().toarray()])
    expected = -(w @ c.T @ np.linalg.solve(c @ w @ c.T, gaps[:, 1]))[k:]
    assert np.allclose(moves[:, 1], expected, atol=1e-5)
    assert np.allclose(moves[:, [0, 2]], found.moves(gaps)[:, [0, 2]], atol=1e-6)


def test_gradients_stop_where_the_answer_is():
    matrix = np.diag([1.0, 2.0, 30.0]) + 0.1
    right = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    x = conjugate_gradients(lambda v: matrix @ v, right, lambda r: r, tolerance=1e-12, most=50)
    assert np.allclose(matrix @ x, right) and (x[:, 1] == 0).all()


def test_thousands_of_crossing_nodes_are_solved_without_a_dense_matrix_of_their_size():
    h = hierarchy(items=1_300, places=4)  # items and items by region do not fit the dense block
    rng = np.random.default_rng(0)
    weights = shrunk_weights(rng.normal(size=(len(h), 12)) + rng.normal(size=(1, 12)))
    found = projection_for(h, weights)
    assert found.solver == "eliminated"
    gaps = rng.normal(size=(h.upper_matrix().shape[0], 2))
    x = found.multipliers(gaps)
    k = len(gaps)
    own, shared = weights.own, weights.shared
    spread = own[k:, None] * (found.upper.T @ x)
    v = shared[:k] - found.upper @ shared[k:]
    assert np.allclose(own[:k, None] * x + found.upper @ spread + v @ (v.T @ x), gaps, atol=1e-8)

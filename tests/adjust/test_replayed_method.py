"""The way to reconcile that did best in the past is kept."""

import numpy as np
import pytest

from adjust.reconcile_cases import hierarchy
from shelfcast.adjust.replayed_method import Replayed, agreeing, best_method
from shelfcast.data.hierarchy import BOTTOM

STEPS, WINDOWS = 5, 4


def past(*, top=0.05, bottom=0.5, bias=0.0, seed=0):
    """Windows in which sums erred by a share `top`, series by `bottom`, and sums were `bias` too high."""
    rng = np.random.default_rng(seed)
    h = hierarchy()
    truth = h.sum_up(rng.gamma(2.0, 5.0, size=(12, 1)) * rng.uniform(0.8, 1.2, size=(12, STEPS * WINDOWS)))
    share = np.full((len(truth), 1), top)
    share[-12:] = bottom
    mean = truth * np.exp(share * rng.normal(size=truth.shape))
    mean[:-12] *= 1 + bias
    return h, {name: Replayed(mean[rows], (truth - mean)[rows]) for name, rows in h.rows().items()}


def test_sums_that_were_right_have_a_say():
    h, windows = past()
    tried = best_method(windows, h, windows=WINDOWS)
    assert tried.method != "bottom_up" and tried.scores[tried.method] < tried.scores["bottom_up"] == 1
    assert tried.by_level[tried.method]["total"] < tried.by_level["bottom_up"]["total"]
    assert f"{tried.method} is kept" in tried.told


def test_sums_that_were_far_too_high_have_none():
    h, windows = past(bottom=0.02, bias=1.0)
    assert best_method(windows, h, windows=WINDOWS, candidates=("bottom_up", "top_down", "wls")).method == "bottom_up"


def test_mint_is_not_judged_by_what_it_learned_from():
    h, windows = past()
    known = best_method(windows, h, windows=WINDOWS, candidates=("bottom_up", "mint")).scores["mint"]
    one = {name: Replayed(w.mean[:, :STEPS], w.error[:, :STEPS]) for name, w in windows.items()}
    assert "mint" not in best_method(one, h, windows=1).scores and known < 1


def test_a_past_too_short_keeps_sums_of_the_parts():
    h, _ = past()
    assert best_method({}, h, windows=0).method == "bottom_up"


def test_series_that_had_not_begun_and_unknown_sales_are_no_errors():
    h, windows = past()
    late = windows[BOTTOM]
    mean, error = late.mean.copy(), late.error.copy()
    mean[3, :STEPS] = error[3, :STEPS] = error[5, 7] = np.nan
    tried = best_method({**windows, BOTTOM: Replayed(mean, error)}, h, windows=WINDOWS)
    assert np.isfinite(list(tried.scores.values())).all() and tried.by_level["bottom_up"]["bottom"] == pytest.approx(0.4, abs=0.2)


def test_sums_are_measured_by_the_series_that_were_forecast():
    h, windows = past()
    late = windows[BOTTOM]
    mean, error = late.mean.copy(), late.error.copy()
    mean[3, :STEPS] = error[3, :STEPS] = error[5, 7] = np.nan
    found = agreeing({**windows, BOTTOM: Replayed(mean, error)}, h)["total"]
    truth = found.mean + found.error
    sold = (late.mean + late.error).sum(axis=0)
    assert np.allclose(truth[0, :STEPS], sold[:STEPS] - (late.mean + late.error)[3, :STEPS])
    assert truth[0, 7] == pytest.approx(sold[7] - late.error[5, 7]) and np.allclose(truth[0, 8:], sold[8:])

"""Intervals hold the truth as often as they say, mirror each other, and agree with independent implementations."""

import numpy as np
import pytest
from scipy import stats

from shelfcast.errors import DataError, SettingsError
from shelfcast.evaluate.resampling import (
    Part,
    Resampling,
    diebold_mariano,
    difference,
    holm,
    interval_of,
    log_ratio,
    paired_skill,
    part_of,
    resample,
    share_above_half,
    skill_of,
)


def losses(windows: int, series: int, *, seed: int = 0, skill: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """(W, N) losses of two models: b's are a's times what series and windows add."""
    random = np.random.default_rng(seed)
    b = random.gamma(2.0, size=(windows, series)) + 0.5
    noise = 1 + 0.1 * random.standard_normal(series) + 0.05 * random.standard_normal((windows, 1))
    return (1 - skill) * b * noise.clip(0.2), b


def difference_of(a: np.ndarray, b: np.ndarray, settings: Resampling, **rest):
    part = part_of(np.stack([a, b]), np.ones_like(a), **rest)
    units = a.shape[1] if "clusters" not in rest else int(rest["clusters"].max()) + 1
    return interval_of(resample([part], units=units, settings=settings)[0], difference(0, 1), settings)


def test_the_same_losses_twice_differ_by_exactly_nothing():
    a, _ = losses(5, 400)
    found = paired_skill(a, a.copy())
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert not found.leaves_zero_out


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_b_against_a_mirrors_a_against_b(method):
    a, b = losses(5, 60)
    settings = Resampling(replicates=999, method=method)
    one, other = difference_of(a, b, settings), difference_of(b, a, settings)
    assert one.value == -other.value
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), rel=1e-9)
    part = part_of(np.stack([a, b]), np.ones_like(a))
    found = resample([part], units=60, settings=settings)[0]
    ahead, behind = interval_of(found, log_ratio(0, 1), settings), interval_of(found, log_ratio(1, 0), settings)
    assert (ahead.low, ahead.high) == pytest.approx((-behind.high, -behind.low), rel=1e-9)


@pytest.mark.parametrize(("method", "named"), [("percentile", "percentile"), ("bca", "BCa")])
def test_one_window_agrees_with_scipy(method, named):
    random = np.random.default_rng(3)
    a, b = random.gamma(1.0, size=(1, 80)), random.gamma(1.2, size=(1, 80))
    found = difference_of(a, b, Resampling(replicates=20_000, method=method, few=False))
    oracle = stats.bootstrap((a[0] - b[0],), np.mean, n_resamples=20_000, method=named, rng=np.random.default_rng(4))
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval), abs=0.012)


def test_bca_of_a_ratio_agrees_with_scipy():
    random = np.random.default_rng(5)
    a, b = random.gamma(0.7, size=(1, 50)), random.gamma(1.0, size=(1, 50))
    settings = Resampling(replicates=20_000, method="bca", few=False)
    part = part_of(np.stack([a, b]), np.ones_like(a))
    found = skill_of(resample([part], units=50, settings=settings)[0], 0, 1, settings)
    oracle = stats.bootstrap((a[0], b[0]), lambda x, y, axis: 1 - x.mean(axis=axis) / y.mean(axis=axis), paired=True,
                             n_resamples=20_000, method="BCa", vectorized=True, rng=np.random.default_rng(6))
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval), abs=0.03)


def test_one_series_over_many_windows_gives_students_interval():
    """Nothing but windows can be drawn, and their mean has a known answer."""
    random = np.random.default_rng(7)
    a = random.standard_normal((12, 1)) + 0.5
    found = difference_of(a, np.zeros_like(a), Resampling(replicates=20_000))
    oracle = stats.ttest_1samp(a[:, 0], 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.08)
    assert found.windows_drawn


def test_two_windows_are_not_drawn_and_three_are():
    a, b = losses(3, 50)
    assert not paired_skill(a[:2], b[:2]).windows_drawn
    assert paired_skill(a, b).windows_drawn


def test_series_that_miss_together_give_a_wider_interval_when_drawn_together():
    random = np.random.default_rng(8)
    places = np.repeat(np.arange(20), 30)
    a = 1 + 0.3 * random.standard_normal(20)[places][None] + 0.05 * random.standard_normal((1, 600))
    b = np.full_like(a, 1.0)
    alone, together = paired_skill(a, b), paired_skill(a, b, clusters=places)
    assert alone.value == pytest.approx(together.value)
    assert together.units == 20
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_a_cluster_of_each_series_is_each_series():
    a, b = losses(4, 90)
    assert paired_skill(a, b, clusters=np.arange(90)) == paired_skill(a, b)


def test_windows_drawn_in_blocks_widen_what_neighbours_share():
    shared = np.repeat([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], 4)[:, None] + np.zeros((24, 5))
    one, blocks = (difference_of(shared, np.zeros_like(shared), Resampling(block=k, few=False)) for k in (1, 4))
    assert blocks.high - blocks.low > 1.3 * (one.high - one.low)


def test_losses_not_measured_in_both_are_left_out_and_weights_count():
    a, b = np.array([[1.0, 5.0, np.nan]]), np.array([[2.0, 5.0, 1.0]])
    assert paired_skill(a, b).value == pytest.approx(1 - 6 / 7)
    assert paired_skill(a, b, weights=np.array([1.0, 0.0, 1.0])).value == pytest.approx(0.5)


def test_a_window_counts_as_much_as_another_however_many_series_it_has():
    a, b = np.array([[1.0, 1.0, 1.0], [3.0, np.nan, np.nan]]), np.full((2, 3), 2.0)
    assert paired_skill(a, b).value == pytest.approx(1 - 4 / 4)


def test_effective_units_fall_when_one_series_has_nearly_all_the_loss():
    b = np.ones((1, 100))
    even = paired_skill(0.9 * b, b)
    b = b.copy()
    b[0, 0] = 1e6
    assert even.effective == pytest.approx(100)
    assert paired_skill(0.9 * b, b).effective == pytest.approx(1, abs=0.01)


def test_slices_of_replicates_change_no_number(monkeypatch):
    a, b = losses(4, 70)
    whole = paired_skill(a, b)
    monkeypatch.setattr("shelfcast.evaluate.resampling._SLICE", 700)
    again = paired_skill(a, b)
    assert (again.low, again.high) == pytest.approx((whole.low, whole.high))


def cover(windows: int, series: int, repetitions: int, *, by_series: float, by_window: float, noise: float) -> float:
    """Share of intervals that hold the true difference, 0, when series and windows are both drawn from a larger world."""
    random = np.random.default_rng(11)
    held = 0
    for seed in range(repetitions):
        apart = (by_series * random.standard_normal(series) + by_window * random.standard_normal((windows, 1))
                 + noise * random.standard_normal((windows, series)))
        found = difference_of(10 + apart, np.full_like(apart, 10.0), Resampling(replicates=400, seed=seed))
        held += found.low <= 0 <= found.high
    return held / repetitions


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    assert 0.88 <= cover(6, 60, 120, by_series=1.0, by_window=0.2, noise=1.0) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("by_series", "by_window", "noise"),
                         [(1.0, 1.0, 0.1), (3.0, 0.02, 1.0), (1.0, 0.1, 1.0), (0.1, 0.01, 3.0)])
@pytest.mark.parametrize("windows", [3, 5, 10, 30])
def test_intervals_hold_the_truth_at_least_as_often_as_they_say(windows, by_series, by_window, noise):
    share = cover(windows, 100, 600, by_series=by_series, by_window=by_window, noise=noise)
    assert share >= 0.92  # 0.95 less more than three standard errors of 600 repetitions


def test_without_widening_five_windows_promise_too_much():
    random = np.random.default_rng(12)
    held = {True: 0, False: 0}
    for seed in range(150):
        apart = random.standard_normal((5, 1)) + np.zeros((5, 20))
        for few in held:
            found = difference_of(10 + apart, np.full_like(apart, 10.0), Resampling(replicates=300, seed=seed, few=few))
            held[few] += found.low <= 0 <= found.high
    assert held[False] / 150 < 0.88 < held[True] / 150


def test_diebold_mariano_matches_the_formula_written_out():
    d = np.random.default_rng(9).standard_normal(30) + 0.3
    one = diebold_mariano(d)
    direct = stats.ttest_1samp(d, 0.0)
    # With h = 1 the corrected statistic is Student's: sqrt((T - 1) / T) turns the biased variance into the unbiased one.
    assert (one.statistic, one.p) == pytest.approx((direct.statistic, direct.pvalue))
    t, h = len(d), 3
    gamma = [np.sum((d[k:] - d.mean()) * (d[: t - k] - d.mean())) / t for k in range(h)]
    plain = d.mean() / np.sqrt((gamma[0] + 2 * gamma[1] + 2 * gamma[2]) / t)
    corrected = plain * np.sqrt((t + 1 - 2 * h + h * (h - 1) / t) / t)
    assert diebold_mariano(d, horizon=h).statistic == pytest.approx(corrected)
    assert diebold_mariano(d, horizon=h).p == pytest.approx(2 * stats.t.sf(abs(corrected), t - 1))


def test_diebold_mariano_says_nothing_of_two_moments_or_of_no_difference():
    assert np.isnan(diebold_mariano(np.array([1.0, 2.0])).p)
    assert np.isnan(diebold_mariano(np.zeros(10)).p)


def test_holm_is_that_of_the_book():
    p = np.array([0.01, 0.04, 0.03, 0.005, np.nan])
    assert holm(p)[:4].tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(holm(p)[4])


def test_shapes_settings_and_parts_that_say_nothing_are_refused():
    with pytest.raises(SettingsError, match=r"both need the shape"):
        paired_skill(np.ones((2, 3)), np.ones((2, 4)))
    for wrong in ({"replicates": 5}, {"confidence": 1.5}, {"block": 0}, {"method": "normal"}):
        with pytest.raises(SettingsError):
            Resampling(**wrong)
    with pytest.raises(DataError, match="nothing to compare"):
        resample([Part(np.arange(2), np.zeros((2, 3, 1)))], units=2, settings=Resampling())


@pytest.mark.parametrize(("won", "series"), [(0, 20), (7, 20), (20, 20), (1, 3), (480, 1000)])
def test_a_share_of_wins_has_wilsons_interval_as_scipy_gives_it(won, series):
    found = share_above_half(np.arange(series) < won)
    oracle = stats.binomtest(won, series).proportion_ci(0.95, method="wilson")
    assert (0.5 + found.low, 0.5 + found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert found.leaves_zero_out == (found.p < 0.05)


def test_wins_that_come_by_whole_places_count_as_few_and_those_spread_evenly_as_many():
    places = np.repeat(np.arange(10), 50)
    together, even = share_above_half(places < 4, clusters=places), share_above_half(np.arange(500) % 5 < 2, clusters=places)
    assert together.value == even.value == pytest.approx(-0.1)
    assert together.effective == pytest.approx(10) and even.effective == pytest.approx(500)
    assert together.high - together.low > 5 * (even.high - even.low)
    assert share_above_half(np.ones(500), clusters=places).effective == pytest.approx(10)


@pytest.mark.slow
def test_thirty_thousand_series_over_ten_windows_take_little_memory():
    import tracemalloc

    a, b = losses(10, 30_000)
    tracemalloc.start()
    found = paired_skill(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.leaves_zero_out
    assert peak < 400e6

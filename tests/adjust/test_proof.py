"""The proof of a combination is made where its weights and calibration had not learned."""

import numpy as np
import polars as pl
from scipy.special import ndtri

from shelfcast.adjust.combine import Weights
from shelfcast.adjust.proof import left_out, weigh
from shelfcast.adjust.trial import Trial
from shelfcast.forecast import Forecast
from shelfcast.names import LEVELS
from shelfcast.periods import Frequency

H, N = 8, 60


def trial(seed: int, *, good: str, spread: float = 5.0) -> Trial:
    """Two members, one of which is right about this window and the other far off."""
    rng = np.random.default_rng(seed)
    truth = 100 + 5 * rng.standard_normal((N, H))
    series = pl.DataFrame({"item": [f"i{k:02d}" for k in range(N)], "location": "here"})
    said = {}
    for name in ("one", "other"):
        middle = np.full((N, H), 100.0 if name == good else 140.0)
        quantiles = middle[:, :, None] + spread * ndtri(np.array(LEVELS))
        said[name] = Forecast(series, Frequency.parse("D"), 100, LEVELS, quantiles, middle)
    return Trial(said, truth, np.full(N, 10.0), np.zeros(N, dtype=int))


def test_a_window_whose_best_member_is_bad_elsewhere_is_forecast_by_what_was_good_elsewhere():
    trials = [trial(0, good="one"), trial(1, good="one"), trial(2, good="other")]
    proof = left_out(trials, base=None, believed=Weights.alone("one"))
    assert abs(proof[2].at(0.5) - 140).max() < 5  # "one" was good in the other windows, and is far off here


def test_what_came_in_a_window_moves_nothing_in_its_own_proof():
    trials = [trial(k, good="one") for k in range(3)]
    moved = Trial(trials[1].forecasts, trials[1].truth + 500, trials[1].scale, trials[1].classes)
    before, after = (left_out(t, base="one", believed=Weights.alone("one")) for t in (trials, [trials[0], moved, trials[2]]))
    np.testing.assert_array_equal(before[1].quantiles, after[1].quantiles)
    assert (before[0].quantiles != after[0].quantiles).any()


def test_a_single_window_is_judged_by_what_was_believed_before_it():
    one = trial(0, good="one", spread=2.0)
    weights, calibration = weigh([one], base="one")
    assert weights.of("one").min() > 0.9 and calibration.windows == 1
    proof = left_out([one], base="one", believed=Weights.believed({"one": 0.5, "other": 0.5}))[0]
    np.testing.assert_allclose(proof.at(0.5), 120.0)
    np.testing.assert_allclose(proof.at(0.9) - proof.at(0.1), one.forecasts["one"].at(0.9) - one.forecasts["one"].at(0.1))

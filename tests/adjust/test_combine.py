"""Weights of models: earned on trials, by class, and never at the price of order among quantiles."""

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

from shelfcast.adjust.combine import Weights, combine, learn_weights
from shelfcast.adjust.trial import Trial
from shelfcast.data.classes import CLASSES
from shelfcast.errors import DataError, SettingsError, UnknownNameError, WeightsError
from shelfcast.evaluate.metrics import sql
from shelfcast.evaluate.scores import DECILES
from shelfcast.forecast import Forecast
from shelfcast.names import LEVELS
from shelfcast.periods import Frequency

H = 8
DAY = Frequency.parse("D")


def bell(middle: np.ndarray, spread: float) -> Forecast:
    """A normal forecast around `middle` (N, H)."""
    series = pl.DataFrame({"item": [f"i{k:04d}" for k in range(len(middle))], "location": "here"})
    quantiles = np.maximum(middle[:, :, None] + spread * ndtri(np.array(LEVELS)), 0.0)
    return Forecast(series, DAY, 100, LEVELS, quantiles, middle)


def trial(seed: int, *, classes: np.ndarray, errors: dict[str, np.ndarray]) -> Trial:
    """Members whose medians miss the truth by their own independent errors, of a size by class."""
    rng = np.random.default_rng(seed)
    truth = 100 + 10 * rng.standard_normal((len(classes), H))
    said = {name: bell(truth + size[classes][:, None] * rng.standard_normal(truth.shape), 5.0) for name, size in errors.items()}
    return Trial(said, truth, np.full(len(classes), 10.0), classes)


def loss(forecast: Forecast, one: Trial) -> float:
    at = [forecast.levels.index(q) for q in DECILES]
    return sql(one.truth, forecast.quantiles[:, :, at], np.array(DECILES), scale=one.scale)


def of_all(size: float) -> np.ndarray:
    return np.full(len(CLASSES), size)


@pytest.mark.parametrize("method", ["gradient", "greedy"])
def test_the_combination_is_no_worse_than_its_best_member_where_it_was_chosen(method):
    errors = {"one": of_all(5.0), "other": of_all(6.0), "bad": of_all(30.0)}
    one = trial(0, classes=np.zeros(300, dtype=int), errors=errors)
    mixed = combine(one.forecasts, learn_weights([one], method=method), one.classes)
    best = min(loss(f, one) for f in one.forecasts.values())
    assert loss(mixed, one) < 0.9 * best  # two independent errors average out
    assert learn_weights([one], method=method).of("bad").max() < 0.1


def test_each_class_gets_the_member_that_is_good_at_it():
    errors = {"for smooth": of_all(20.0), "for lumpy": of_all(20.0)}
    errors["for smooth"][0] = errors["for lumpy"][3] = 1.0
    classes = np.repeat([0, 3], 2000)
    weights = learn_weights([trial(1, classes=classes, errors=errors)])
    assert weights.of("for smooth")[0] > 0.85 and weights.of("for lumpy")[3] > 0.85


def test_a_class_of_few_series_takes_the_weights_of_all():
    errors = {"usual": of_all(2.0), "odd": of_all(20.0)}
    errors["usual"][3], errors["odd"][3] = 20.0, 2.0
    few = learn_weights([trial(2, classes=np.repeat([0, 3], [1000, 4]), errors=errors)])
    many = learn_weights([trial(2, classes=np.repeat([0, 3], [1000, 900]), errors=errors)])
    assert few.of("usual")[3] > 0.8 and many.of("usual")[3] < 0.4


def test_a_small_gain_in_one_window_does_not_shake_the_belief_in_the_base():
    errors = {"base": of_all(5.0), "twin": of_all(5.0)}
    one = trial(3, classes=np.zeros(300, dtype=int), errors=errors)
    same = Trial({"base": one.forecasts["base"], "twin": one.forecasts["base"]}, one.truth, one.scale, one.classes)
    assert learn_weights([same], base="base").of("base").min() > 0.99


def test_another_member_that_is_clearly_better_is_believed_instead_of_the_base():
    errors = {"base": of_all(20.0), "naive": of_all(2.0)}
    weights = learn_weights([trial(4, classes=np.zeros(300, dtype=int), errors=errors)], base="base")
    assert weights.of("naive").min() > 0.95


def test_quantiles_of_a_combination_rise_and_stay_at_or_above_nought():
    rng = np.random.default_rng(5)
    said = {name: bell(np.abs(rng.normal(3, 3, (50, H))), 4.0) for name in ("one", "other", "third")}
    matrix = rng.dirichlet(np.ones(3), len(CLASSES))
    mixed = combine(said, Weights(("one", "other", "third"), CLASSES, matrix), rng.integers(0, 5, 50))
    assert (np.diff(mixed.quantiles, axis=2) >= 0).all() and (mixed.quantiles >= 0).all()


def test_a_combination_averages_the_quantiles_at_each_level():
    said = {"low": bell(np.full((1, H), 10.0), 1.0), "high": bell(np.full((1, H), 20.0), 3.0)}
    weights = Weights(("low", "high"), ("all",), np.array([[0.25, 0.75]]))
    np.testing.assert_allclose(combine(said, weights, np.array([0])).quantiles, bell(np.full((1, H), 17.5), 2.5).quantiles)


def test_weights_come_back_from_their_file():
    weights = learn_weights([trial(6, classes=np.zeros(50, dtype=int), errors={"one": of_all(5.0), "other": of_all(6.0)})])
    back = Weights.from_json(weights.as_json())
    assert back.members == weights.members and (back.matrix == weights.matrix).all()
    with pytest.raises(WeightsError, match="no weights"):
        Weights.from_json({"members": ["one"]})


def test_weights_that_do_not_sum_to_one_are_refused():
    with pytest.raises(SettingsError, match="sum to 1"):
        Weights(("one", "other"), ("all",), np.array([[0.5, 0.6]]))


def test_a_member_that_counts_and_is_absent_is_named():
    with pytest.raises(DataError, match="'one'"):
        combine({}, Weights.alone("one"), np.array([0]))


def test_a_base_that_is_no_member_is_refused_with_a_guess():
    one = trial(7, classes=np.zeros(20, dtype=int), errors={"boosted": of_all(1.0)})
    other = Trial({**one.forecasts, "naive": one.forecasts["boosted"]}, one.truth, one.scale, one.classes)
    with pytest.raises(UnknownNameError, match="boosted"):
        learn_weights([other], base="bosted")


def test_a_series_with_a_scale_of_nearly_nought_does_not_choose_for_all():
    errors = {"good": of_all(2.0), "bad": of_all(20.0)}
    one = trial(8, classes=np.zeros(300, dtype=int), errors=errors)
    swapped = {n: np.array(f.quantiles) for n, f in one.forecasts.items()}
    for name, other in (("good", "bad"), ("bad", "good")):
        swapped[name][0] = one.forecasts[other].quantiles[0]
    scale = one.scale.copy()
    scale[0] = 1e-6
    said = {n: Forecast(f.series, DAY, 100, LEVELS, swapped[n], f.mean) for n, f in one.forecasts.items()}
    assert learn_weights([Trial(said, one.truth, scale, one.classes)]).of("good").min() > 0.8

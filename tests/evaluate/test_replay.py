"""A window of the past forecast again: a model that looks at all series sees all of them, whichever are scored."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import windows
from shelfcast.evaluate.replay import forecast_window, replay, scored_part
from shelfcast.forecast import Forecast
from shelfcast.models.base import Traits
from shelfcast.panel import SalesPanel

LEVELS = (0.1, 0.5, 0.9)


class Crowd:
    """Forecasts of every series what all series that it is shown sold on average in the last four weeks."""

    traits = Traits(name="crowd", summary="The mean of everybody.", needs_fit=False, series_apart=False)

    def __init__(self):
        self.shown = []

    def fit(self, panel):
        return self

    def predict(self, panel, *, horizon, levels=LEVELS):
        self.shown.append(len(panel))
        own = np.nanmean(panel.dense(context=28).sales, axis=1)
        mean = np.repeat((own.mean() + own / 100)[:, None], horizon, axis=1)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, tuple(levels),
                        mean[:, :, None] + np.array(levels), mean)


def chain(*, ragged=False):
    """Eleven series, each with a level of its own; ragged: every third ends five days before the others."""
    draw = np.random.default_rng(3)
    rows = [{"item": f"item {i:02d}", "location": "Oslo", "date": date(2024, 1, 1) + timedelta(days=d),
             "sales": float(draw.poisson(3 * (i + 1)))}
            for i in range(11) for d in range(60 - (5 if ragged and i % 3 == 0 else 0))]
    return SalesPanel.from_frame(pl.DataFrame(rows), freq="D")


def told(window, *, chunk=4):
    """{item: (actual, mean, quantiles)} of a replay, and how many series each slice held."""
    model, found, sizes = Crowd(), {}, []
    for part in replay(window, model, levels=LEVELS, chunk=chunk):
        sizes.append(len(part.window.past))
        found |= dict(zip(part.series["item"], zip(part.actual, part.mean, part.quantiles, strict=True), strict=True))
        kept = pl.concat(one.to_frame() for one in part.forecasts).sort("item", "date")
        np.testing.assert_array_equal(kept["mean"].to_numpy(), part.mean.reshape(-1))
    return found, sizes, model


@pytest.mark.parametrize("ragged", [False, True])
def test_a_sample_is_forecast_among_all_series_and_scored_beside_its_own_truth(ragged):
    window = next(windows(chain(ragged=ragged), horizon=7, own_ends=ragged))
    sample = scored_part(window, max_series=6, seed=0)
    some, sizes, model = told(sample)
    whole, _, _ = told(window)
    assert len(some) == 6 and len(whole) == 11 and sizes == [4, 2]
    assert sum(model.shown) == 11 and len(model.shown) == 1 + ragged  # once from each cutoff, and everybody
    for item, values in some.items():
        for one, other in zip(values, whole[item], strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_sample_of_a_sample_and_a_slice_of_one_still_stand_among_all():
    window = next(windows(chain(), horizon=7))
    twice = window.sample([1, 2, 5, 8]).sample([1, 3])
    assert twice.standing().tolist() == [2, 8] and twice.among is window
    assert twice.select([1]).standing().tolist() == [8] and window.standing().tolist() == list(range(11))


def test_series_of_a_cutoff_that_none_of_the_sample_has_are_not_forecast():
    window = next(windows(chain(ragged=True), horizon=7, own_ends=True))
    early = np.flatnonzero(window.cutoffs == window.cutoffs.min())
    model = Crowd()
    ((here, forecasts),) = forecast_window(window.sample(early), model, levels=LEVELS)
    assert model.shown == [4] and here == slice(0, 4) and len(forecasts) == 1

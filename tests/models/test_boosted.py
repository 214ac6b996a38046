"""The booster: better than its base where there is something to learn, the profile where there is not."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import cut, windows
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.features.table import BASE_TERMS
from shelfcast.models import boosted
from shelfcast.models.boosted import Boosted, BoostedSettings
from shelfcast.models.profile import Profile
from shelfcast.panel import SalesPanel

QUICK = BoostedSettings(effort="fast", max_rows=6_000, threads=1)


def chain(*, days: int = 420, series: int = 24, ahead: int = 14) -> SalesPanel:
    """Steady and slow series; sales swell by half in the days before payday, which only the day of the month tells."""
    rng = np.random.default_rng(4)
    when = [date(2023, 1, 2) + timedelta(days=t) for t in range(days + ahead)]
    payday = np.array([1.5 if d.day >= 26 else 1.0 for d in when])
    parts = []
    for i in range(series):
        level = 0.2 if i % 4 == 0 else 30.0 * (1 + i % 3)
        promo = (rng.random(days + ahead) < 0.2).astype(float)
        parts.append(pl.DataFrame({"item": f"i{i:02d}", "location": "here", "date": when, "promo": promo,
                                   "sales": rng.poisson(level * payday * (1 + promo)).astype(float)}))
    return SalesPanel.from_frame(pl.concat(parts), freq="D", known=["promo"])


@pytest.fixture(scope="module")
def learned() -> tuple[SalesPanel, Boosted]:
    window = next(iter(windows(chain(), horizon=28)))
    return window.past, Boosted(QUICK).fit(window.past)


def test_what_only_the_day_of_the_month_tells_is_learned(learned):
    past, model = learned
    truth = next(iter(windows(chain(), horizon=28))).truth()
    steady = np.nanmean(truth, axis=1) > 5
    error = {name: np.abs(truth - m.predict(past, horizon=28).at(0.5))[steady].mean()
             for name, m in (("boosted", model), ("profile", Profile().fit(past)))}
    assert error["boosted"] < 0.95 * error["profile"]


def test_both_kinds_of_demand_are_learned_apart(learned):
    _, model = learned
    assert model.boosting_ and set(model.trees_) == {"steady", "steady square", "spread", "slow"}


def test_slow_series_keep_their_zeros(learned):
    past, model = learned
    forecast = model.predict(past, horizon=28)
    slow = np.array([int(i[1:]) % 4 == 0 for i in past.series["item"]])
    assert (forecast.at(0.3)[slow] == 0).all() and (forecast.at(0.3)[~slow] > 0).all()


def test_a_surprise_of_one_year_is_not_taken_for_a_season(monkeypatch):
    """Everything sold two fifths more in the second spring, for once; with time run backwards, too, trees expect less of that."""
    rng = np.random.default_rng(3)
    weeks, ahead = np.arange(104), np.arange(104, 130)
    usual = 1 + 0.3 * np.sin(2 * np.pi * np.concatenate([weeks, ahead]) / 52)
    level = 200.0 * (1 + np.arange(15) % 3)
    surprise = np.where((weeks >= 64) & (weeks < 77), 1.4, 1.0)
    when = [date(2020, 1, 6) + timedelta(weeks=int(t)) for t in weeks]
    past = SalesPanel.from_frame(pl.concat([
        pl.DataFrame({"item": f"i{i:02d}", "location": "x", "date": when, "sales": rng.poisson(level[i] * surprise * usual[:104])})
        for i in range(15)]), freq="W")

    def error() -> float:
        found = Boosted(replace(QUICK, horizon=26)).fit(past).predict(past, horizon=26).at(0.5)
        return float(np.abs(np.log(found / (level[:, None] * usual[104:])))[:, 12:25].mean())

    both = error()
    monkeypatch.setattr(boosted, "MIRRORED", 0.0)
    assert both < 0.6 * error()


@pytest.mark.parametrize(("coefficient", "share"), [(0.5, 0.25), (0.0, 0.0), (-0.3, 0.0), (1.4, 1.0)])
def test_what_a_series_alone_did_a_year_ago_counts_by_as_much_as_that_repeats(coefficient, share):
    model = Boosted(QUICK)
    model.profile_ = Profile()
    model.profile_.coefficients_ = np.zeros(len(BASE_TERMS) + 2)
    model.profile_.coefficients_[1 + BASE_TERMS.index("own year ago")] = coefficient
    correction, base, last_year, scale = (np.array(v) for v in ([0.1, 0.1], [10.0, 10.0], [14.0, np.nan], [10.0, 10.0]))
    found = model._with_last_year(correction, base, last_year, scale)
    np.testing.assert_allclose(found, [(1 - share) * 0.1 + share * 0.4, 0.1])  # where last year is not known the trees speak alone


def test_a_slice_is_forecast_as_in_the_whole(learned):
    past, model = learned
    whole, part = model.predict(past, horizon=9), model.predict(past.select([2, 4, 11]), horizon=9)
    assert np.array_equal(whole.quantiles[[2, 4, 11]], part.quantiles)


def test_the_same_seed_gives_the_same_answer(learned):
    past, model = learned
    again = Boosted(QUICK).fit(past)
    assert np.array_equal(again.predict(past, horizon=9).quantiles, model.predict(past, horizon=9).quantiles)


def test_what_is_loaded_says_what_was_saved(learned, tmp_path):
    past, model = learned
    model.save(tmp_path)
    again = Boosted.load(tmp_path)
    assert again.settings == model.settings
    assert np.array_equal(again.predict(past, horizon=9).quantiles, model.predict(past, horizon=9).quantiles)


def test_with_too_little_history_the_profile_answers_and_says_so():
    young = cut(chain(series=5), "2023-01-12")
    model = Boosted(QUICK).fit(young)
    assert not model.boosting_ and "the profile forecasts instead" in model.reason_
    assert np.isfinite(model.predict(young, horizon=7).quantiles).all()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="holds no boosted model"):
        Boosted.load(tmp_path)


def test_before_fit_there_is_nothing_to_say():
    with pytest.raises(SettingsError, match="fit"):
        Boosted().predict(chain(series=2), horizon=3)


def test_a_misspelt_effort_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'full'"):
        BoostedSettings(effort="ful")


@pytest.mark.data
@pytest.mark.slow
def test_rossmann_in_its_last_window_is_forecast_within_nine_percent(public_data):
    sales = pl.read_parquet(public_data / "rossmann/train.parquet").rename({"Store": "location", "Date": "date", "Sales": "sales"})
    panel = SalesPanel.from_frame(sales, freq="D", known=["Open", "Promo", "SchoolHoliday", "state_closed_day"], closed_when="Open")
    window = next(iter(windows(panel, horizon=48)))
    forecast = Boosted(BoostedSettings(effort="fast")).fit(window.past).predict(window.past, horizon=48)
    truth = window.truth()
    assert np.nansum(np.abs(truth - forecast.at(0.5))) / np.nansum(truth) < 0.09

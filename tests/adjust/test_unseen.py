"""A season that history has never shown is not forecast as surely as one that it has."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

from shelfcast.adjust import unseen as room
from shelfcast.adjust.unseen import Unseen, first_seen, touches_season, unseen_share
from shelfcast.forecast import Forecast
from shelfcast.names import LEVELS
from shelfcast.periods import Frequency

DAY, WEEK, MONTH = (Frequency.parse(f) for f in "DWM")
UNSEEN = Unseen(first=0, above=0.3, below=0.2)


def bell(frequency: Frequency, cutoff: date, horizon: int, *, spread: float = 10.0) -> Forecast:
    quantiles = 100 + spread * np.ones((1, horizon, 1)) * ndtri(np.array(LEVELS))
    series = pl.DataFrame({"item": ["tea"], "location": ["here"]})
    return Forecast(series, frequency, frequency.number(cutoff), LEVELS, quantiles, np.full((1, horizon), 100.0))


def begun(frequency: Frequency, first: date) -> Unseen:
    return Unseen(first=frequency.number(first), above=0.3, below=0.2)


def widen_unseen(forecast: Forecast, unseen: Unseen, *, floor: float = 0.0) -> Forecast:
    """As widened where each series is as old as its panel."""
    return room.widen_unseen(forecast, unseen, starts=np.full(len(forecast), unseen.first), floor=floor)


def test_the_weeks_of_the_first_christmas_are_wider_than_the_weeks_around_them():
    forecast = bell(WEEK, date(2023, 11, 6), 12)
    widened = widen_unseen(forecast, begun(WEEK, date(2023, 2, 6)))
    width = (widened.at(0.9) - widened.at(0.1))[0]
    christmas = np.array([touches_season(WEEK, forecast.cutoff + 1 + k) for k in range(12)])
    assert 5 <= christmas.sum() <= 7
    assert width[christmas].min() > 2 * width[~christmas].max()


def test_the_second_christmas_is_left_alone():
    forecast = bell(WEEK, date(2023, 11, 6), 12)
    assert widen_unseen(forecast, begun(WEEK, date(2022, 10, 3))) is forecast


def test_only_periods_whose_place_in_the_year_is_new_are_wider():
    since = begun(DAY, date(2022, 12, 8))
    share = unseen_share(DAY, DAY.number(date(2023, 11, 25)), 20, since, starts=np.array([since.first]))[0]
    new = share[:, 1] > 0
    # 26 to 30 November are no season; 1 to 6 December are new; from 8 December on last year is known
    assert not new[:5].any() and new[5:11].all() and not new[13:].any()


def test_a_season_is_unseen_where_neither_the_series_nor_its_panel_has_seen_it():
    old, new = (WEEK.number(d) for d in (date(2021, 1, 4), date(2023, 2, 6)))
    december = (WEEK, WEEK.number(date(2023, 12, 4)), 2)
    among_new = unseen_share(*december, Unseen(first=first_seen(np.array([old, *[new] * 19]))), starts=np.array([old, new]))
    assert not among_new[0].any() and among_new[1].all()
    among_old = unseen_share(*december, Unseen(first=first_seen(np.array([new, *[old] * 19]))), starts=np.array([old, new]))
    assert not among_old.any()


def test_the_median_stays_and_more_is_allowed_above_than_below():
    forecast = bell(MONTH, date(2023, 11, 1), 1)
    widened = widen_unseen(forecast, begun(MONTH, date(2023, 1, 1)))
    assert widened.at(0.5)[0, 0] == 100
    # distances add as squares: 10 z and 30 z above, 10 z and 20 z below
    assert widened.at(0.9)[0, 0] - 100 == pytest.approx(ndtri(0.9) * np.hypot(10, 30))
    assert 100 - widened.at(0.1)[0, 0] == pytest.approx(ndtri(0.9) * np.hypot(10, 20))


def test_wider_quantiles_rise_and_do_not_fall_below_nought():
    widened = widen_unseen(bell(DAY, date(2023, 12, 1), 30, spread=80.0), begun(DAY, date(2023, 3, 1)), floor=0.0)
    assert (widened.quantiles >= 0).all() and (np.diff(widened.quantiles, axis=2) >= 0).all()


def test_a_closed_day_stays_at_nought():
    forecast = bell(DAY, date(2023, 12, 24), 3)
    quantiles = forecast.quantiles.copy()
    quantiles[:, 0] = 0.0
    shut = Forecast(forecast.series, DAY, forecast.cutoff, LEVELS, quantiles, forecast.mean)
    assert (widen_unseen(shut, begun(DAY, date(2023, 3, 1))).quantiles[:, 0] == 0).all()


@pytest.mark.parametrize(("text", "day", "special"), [
    ("D", date(2023, 11, 30), False), ("D", date(2023, 12, 24), True), ("D", date(2024, 1, 6), True),
    ("D", date(2024, 1, 7), False), ("W", date(2023, 11, 27), True), ("W", date(2023, 11, 20), False),
    ("M", date(2023, 12, 1), True), ("M", date(2024, 1, 1), False), ("Q", date(2023, 10, 1), True), ("Y", date(2023, 1, 1), False)])
def test_the_special_season_reaches_from_december_to_epiphany(text, day, special):
    frequency = Frequency.parse(text)
    assert touches_season(frequency, frequency.number(day)) is special


def test_what_was_seen_comes_back_from_its_file():
    assert Unseen.from_json(UNSEEN.as_json()) == UNSEEN

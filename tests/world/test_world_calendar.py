"""The calendar of the made-up country."""

from datetime import date

import numpy as np
import pytest

from shelfcast.world.calendar import FEASTS, calendar, easter, feasts_of


@pytest.mark.parametrize("day", [  # tables of the churches; earliest and latest possible dates among them
    date(1818, 3, 22), date(1943, 4, 25), date(2000, 4, 23), date(2008, 3, 23), date(2019, 4, 21), date(2021, 4, 4),
    date(2022, 4, 17), date(2023, 4, 9), date(2024, 3, 31), date(2025, 4, 20), date(2026, 4, 5), date(2038, 4, 25)])
def test_easter_falls_where_the_tables_say(day):
    assert easter(day.year) == day


def test_feasts_of_2024_fall_on_their_days():
    days = dict(zip((f.name for f in FEASTS), feasts_of(2024), strict=True))
    assert days["Good Friday"] == date(2024, 3, 29)
    assert days["Ascension"] == date(2024, 5, 9)
    assert days["Whit Monday"] == date(2024, 5, 20)
    assert days["Mothers Day"] == date(2024, 5, 12)
    assert days["Black Friday"] == date(2024, 11, 29)


def test_shops_shut_on_holidays_but_not_for_shopping_events():
    days = calendar(date(2024, 1, 1), 366)
    shut = {FEASTS[k].name for k in days.feast[days.closed]}
    assert "Christmas" in shut and "Easter Monday" in shut
    assert not shut & {"Black Friday", "Valentine", "Halloween", "Mothers Day"}


def test_a_feast_is_felt_before_the_year_that_it_falls_in():
    near = calendar(date(2023, 12, 20), 10).near_feast[[f.name for f in FEASTS].index("New Year")]
    assert near[-1] > near[0] > 0


def test_paydays_are_the_last_working_days_of_months():
    days = calendar(date(2024, 6, 1), 61)  # 30 June 2024 is a Sunday, the Friday before it the 28th
    assert days.since_payday[date(2024, 6, 28).toordinal() - date(2024, 6, 1).toordinal()] == 0
    assert days.since_payday[0] == 1  # 31 May 2024 was a Friday
    assert np.flatnonzero(days.since_payday == 0).tolist() == [27, 60]


def test_weekdays_are_those_of_the_calendar():
    assert calendar(date(2024, 2, 28), 3).weekday.tolist() == [2, 3, 4]


def test_a_history_of_ten_years_has_numbers_everywhere():
    near = calendar(date(2015, 1, 1), 3_660).near_feast
    assert np.isfinite(near).all() and near.shape[1] == 3_660

"""The calendar: positions, feasts, and which day of last year a day is like."""

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import SettingsError
from shelfcast.features.calendar import calendar_features, easter, start_days, year_after, year_ago
from shelfcast.periods import Frequency

DAY, WEEK, MONTH = Frequency.parse("D"), Frequency.parse("W-FRI"), Frequency.parse("M")


def day(text: str) -> np.ndarray:
    return np.array([np.datetime64(text).astype("datetime64[D]").astype(np.int64)])


def as_text(days: np.ndarray) -> str:
    return str(days.astype("datetime64[D]")[0])


@pytest.mark.parametrize(("year", "sunday"), [(2000, "2000-04-23"), (2008, "2008-03-23"), (2011, "2011-04-24"),
                                              (2024, "2024-03-31")])
def test_easter_falls_where_the_almanac_says(year, sunday):
    assert as_text(easter(np.array([year]))) == sunday


@pytest.mark.parametrize("text", ["h", "D", "W-FRI", "M", "Q", "Y"])
def test_period_dates_agree_with_the_panels_own(text):
    frequency = Frequency.parse(text)
    numbers = frequency.number("2015-06-13") + np.arange(3)
    expected = frequency.dates(numbers).cast(pl.Date).to_numpy().astype("datetime64[D]").astype(np.int64)
    assert (start_days(frequency, numbers) == expected).all()


@pytest.mark.parametrize(("now", "then"), [
    ("2015-07-15", "2014-07-16"),  # a plain Wednesday
    ("2015-04-05", "2014-04-20"),  # Easter Sunday
    ("2015-05-10", "2014-05-11"),  # Mother's Day
    ("2015-11-27", "2014-11-28"),  # Black Friday
    ("2016-12-24", "2015-12-24"),  # Christmas Eve keeps its date, leap year or not
    ("2017-01-01", "2016-01-01"),
    ("2018-01-02", "2017-01-02"),
    ("2018-01-03", "2017-01-04"),  # from here on the weekday counts again
])
def test_a_day_is_like_its_feast_or_weekday_of_last_year(now, then):
    assert as_text(year_ago(DAY, day(now))) == then


def test_weeks_around_easter_look_back_to_weeks_around_easter():
    easter_week = np.array([WEEK.number("2011-04-22")])
    assert WEEK.date(int(year_ago(WEEK, easter_week)[0])).isoformat() == "2010-04-02"


@pytest.mark.parametrize("text", ["2014-07-16", "2014-04-20", "2014-05-11", "2014-11-28", "2015-12-24", "2016-01-01", "2016-12-31"])
def test_the_year_after_leads_back_to_where_it_started(text):
    assert as_text(year_ago(DAY, year_after(DAY, day(text)))) == text


def test_weeks_around_easter_look_ahead_to_weeks_around_easter():
    easter_week = np.array([WEEK.number("2010-04-02")])
    assert WEEK.date(int(year_after(WEEK, easter_week)[0])).isoformat() == "2011-04-22"


def test_months_look_ahead_twelve():
    assert (year_after(MONTH, np.array([24278])) == 24290).all()


def test_months_look_back_twelve():
    assert (year_ago(MONTH, np.array([24290])) == 24278).all()


def test_without_two_years_the_position_in_the_year_is_not_told():
    told = calendar_features(DAY, day("2015-04-05"))
    untold = calendar_features(DAY, day("2015-04-05"), year=False)
    assert told["day_of_year"][0] == 95 and told["days_from_easter"][0] == 0 and told["days_to_month_end"][0] == 25
    assert set(untold) == {"day_of_month", "days_to_month_end", "weekday"}


def test_public_holidays_come_from_the_country():
    pytest.importorskip("holidays")
    found = calendar_features(DAY, day("2015-10-02"), country="DE")
    assert found["days_to_holiday"][0] == 1  # German Unity Day


def test_an_unknown_country_is_refused_by_name():
    pytest.importorskip("holidays")
    with pytest.raises(SettingsError, match="'XX'"):
        calendar_features(DAY, day("2015-10-02"), country="XX")

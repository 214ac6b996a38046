"""Period numbers: dates there and back, and the frequency that a set of dates shows."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.errors import SettingsError
from shelfcast.periods import Frequency, infer_frequency, parse_day

FREQUENCIES = ["D", "W", "W-TUE", "W-FRI", "W-SUN", "M", "Q", "Y"]


@settings(max_examples=60, deadline=None)
@given(text=st.sampled_from(FREQUENCIES), day=st.dates(date(1900, 1, 1), date(2150, 1, 1)))
def test_a_number_leads_back_to_the_first_day_of_the_period_that_holds_the_day(text, day):
    frequency = Frequency.parse(text)
    number = frequency.number(day)
    start = frequency.date(number)
    assert start <= day < frequency.date(number + 1)
    assert frequency.number(start) == number


@settings(max_examples=60, deadline=None)
@given(moment=st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)))
def test_hours_are_numbered_on_both_sides_of_1970(moment):
    hourly = Frequency.parse("h")
    assert hourly.date(hourly.number(moment)) == moment.replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("text", [*FREQUENCIES, "h"])
def test_periods_follow_each_other_by_one(text):
    frequency = Frequency.parse(text)
    numbers = frequency.number(date(2020, 1, 1)) + np.arange(30)
    found = frequency.dates(numbers)
    assert found.n_unique() == 30 and found.is_sorted()
    np.testing.assert_array_equal(pl.DataFrame({"d": found}).select(frequency.number_of(pl.col("d"))).to_series(), numbers)


@pytest.mark.parametrize(("text", "weekday"), [("W", 0), ("W-MON", 0), ("W-FRI", 4), ("W-SUN", 6)])
def test_a_week_carries_its_anchor_weekday(text, weekday):
    assert Frequency.parse(text).date(2800).weekday() == weekday


@pytest.mark.parametrize(("spelling", "meant"), [("MS", "M"), ("weekly", "W-MON"), ("1D", "D"), ("w-fri", "W-FRI"), ("H", "h"),
                                                 (" Q ", "Q"), ("YE", "Y"), ("B", "D")])
def test_common_spellings_are_understood(spelling, meant):
    assert str(Frequency.parse(spelling)) == meant


@pytest.mark.parametrize("text", ["", "fortnight", "W-XYZ", "M-MON", "D-", "x" * 10_000])
def test_an_unknown_frequency_is_an_error_that_lists_the_known_ones(text):
    if text == "D-":
        assert Frequency.parse(text) == Frequency("D")
        return
    with pytest.raises(SettingsError, match="Known: h") as caught:
        Frequency.parse(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("unit", "anchor"), [("X", 0), ("D", 2), ("W", 7)])
def test_a_frequency_that_cannot_be_is_refused(unit, anchor):
    with pytest.raises(SettingsError, match="No frequency"):
        Frequency(unit, anchor)


def every(step: int, count: int = 8, start: date = date(2024, 1, 5)) -> pl.Series:
    return pl.Series([start + timedelta(days=step * i) for i in range(count)])


@pytest.mark.parametrize(("dates", "meant"), [
    (every(1), "D"), (every(7), "W-FRI"), (every(14), "W-FRI"), (every(2), "D"), (every(1, count=1), "D"),
    (pl.Series([date(2024, m, 1) for m in (1, 2, 3, 5)]), "M"),
    (pl.Series([date(2024, 1, 31), date(2024, 2, 29), date(2024, 4, 30)]), "M"),
    (pl.Series([date(2023, m, 1) for m in (1, 4, 7, 10)]), "Q"),
    (pl.Series([date(y, 1, 1) for y in (2020, 2021, 2022)]), "Y"),
    (pl.Series([datetime(2024, 1, 1, h) for h in range(5)]), "h"),
    (pl.Series([datetime(2024, 1, d, 0) for d in range(1, 6)]), "D"),
    (pl.Series([datetime(2024, 1, 1, 9, 13), datetime(2024, 1, 2, 17, 2), datetime(2024, 1, 4)]), "D"),
    (pl.Series([None, date(2024, 1, 1), date(2024, 1, 1)]), "D"),
])
def test_the_frequency_shows_in_the_dates(dates, meant):
    assert str(infer_frequency(dates)) == meant


def test_words_for_people():
    assert (Frequency.parse("W").word, Frequency.parse("M").noun, Frequency.parse("D").season) == ("weekly", "month", 7)
    assert repr(Frequency.parse("W-FRI")) == "Frequency.parse('W-FRI')"
    assert Frequency.parse("D").per_year == pytest.approx(365.25)


@pytest.mark.parametrize("text", ["13.06.2015", "2015-13-01", "yesterday", ""])
def test_a_day_is_written_year_month_day(text):
    with pytest.raises(SettingsError, match="Write it as year-month-day"):
        parse_day(text)

"""Universal channels: every panel told alike."""

import numpy as np
import pytest

from shelfcast.nn.universal import FLAGS, NUMBERS, UNITS, Universal, calendar_channels
from shelfcast.periods import Frequency


@pytest.mark.parametrize("unit", ["h", "D", "W", "M", "Q", "Y"])
def test_every_frequency_is_told_in_as_many_channels(unit: str) -> None:
    frequency = Frequency.parse(unit)
    periods = frequency.number("2024-01-01") + np.arange(30)
    told = calendar_channels(frequency, periods)
    assert told.shape == (18, 30)
    assert np.isfinite(told).all()


def test_a_day_is_told_its_weekday_and_a_month_is_not() -> None:
    days, months = Frequency.parse("D"), Frequency.parse("M")
    week = calendar_channels(days, days.number("2024-01-01") + np.arange(7))[:7]
    assert np.array_equal(week, np.eye(7))  # 1 January 2024 was a Monday
    assert not calendar_channels(months, months.number("2024-01-01") + np.arange(12))[:7].any()


def test_christmas_is_felt_before_it_comes_and_not_after() -> None:
    frequency = Frequency.parse("D")
    near = calendar_channels(frequency, frequency.number("2024-12-01") + np.arange(31))[15]
    assert np.argmax(near) == 24  # the 25th
    assert (np.diff(near[:25]) > 0).all()
    assert near[25:].max() == 0


def test_the_week_before_christmas_is_nearer_to_it_than_the_one_before_that() -> None:
    frequency = Frequency.parse("W")
    near = calendar_channels(frequency, frequency.number("2024-12-02") + np.arange(4))[15]
    assert near[0] < near[1] < near[2]


def test_a_layout_survives_json() -> None:
    layout = Universal(64, 16, flags=(("promo", None), ("holiday", 2)))
    assert Universal.from_json(layout.as_json()) == layout


def test_slots_and_units_are_what_weights_were_trained_with() -> None:
    assert (FLAGS, NUMBERS, UNITS) == (4, 3, ("h", "D", "W", "M"))

"""Texts become the dates and numbers that their writers meant."""

from datetime import date, datetime

import polars as pl
import pytest

from shelfcast.data.columns.parsing import date_style, number_style, parse_date, parse_day_text, parse_number
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError


def _dates(*texts, order=None):
    frame = pl.LazyFrame({"when": list(texts)})
    style = date_style(frame, "when", order=order)
    return frame.select(parse_date("when", style)).collect()["when"].to_list(), style


def _numbers(*texts, decimal=None):
    frame = pl.LazyFrame({"n": list(texts)})
    style = number_style(frame, ["n"], decimal=decimal)
    return frame.select(parse_number("n", style)).collect()["n"].to_list(), style


@pytest.mark.parametrize("text", [
    "2015-06-13", "2015/06/13", "20150613", "13.06.2015", "13/6/2015", "13-Jun-2015", "13 June 2015", "Jun 13, 2015",
    "June 13th 2015",
    "13. Juni 2015", "2015年6月13日", "Saturday, 13 June 2015", "13-06-15", "2015-W24-6", "13 juin 2015",
])
def test_one_day_is_written_in_many_ways(text):
    assert parse_day_text(text, "dmy") == date(2015, 6, 13)


@pytest.mark.parametrize(("text", "day"), [
    ("2015-06", (2015, 6, 1)), ("06/2015", (2015, 6, 1)), ("2015Q2", (2015, 4, 1)), ("2015", (2015, 1, 1)),
    ("2015-W24", (2015, 6, 8)),
    ("Jun 2015", (2015, 6, 1)), ("1434153600", (2015, 6, 13)),
])
def test_a_period_is_its_first_day(text, day):
    assert parse_day_text(text, None) == date(*day)


@pytest.mark.parametrize("text", ["2015-02-30", "31.04.2015", "soon", "1e300", "99999999", "13/13/2015", "2015-6-13-1",
                                  "0000-01-01"])
def test_what_is_no_day_is_none(text):
    assert parse_day_text(text, "dmy") is None


def test_a_day_above_twelve_decides_the_order():
    assert _dates("03/04/2015", "13/04/2015")[0] == [date(2015, 4, 3), date(2015, 4, 13)]
    assert _dates("03/04/2015", "04/13/2015")[0] == [date(2015, 3, 4), date(2015, 4, 13)]


def test_even_spacing_decides_the_order_and_is_told():
    months = [f"{m:02d}/01/{y}" for y in (2014, 2015) for m in range(1, 13)]
    dates, style = _dates(*months)
    assert dates[1] == date(2014, 2, 1) and "month first, which spaces them evenly" in style.told[0] and "when:dmy" in style.told[0]


def test_dates_that_read_both_ways_are_an_error_with_the_flag_to_write():
    with pytest.raises(DataError, match=r"alike.*--columns date=when:dmy or --columns date=when:mdy"):
        _dates(*[f"{d:02d}/01/2015" for d in range(1, 13)])
    assert _dates("03/04/2015", "04/04/2015", order="mdy")[0] == [date(2015, 3, 4), date(2015, 4, 4)]


def test_times_of_day_are_kept_and_zones_dropped():
    dates, style = _dates("2015-06-13T08:26:01+02:00", "2015-06-13 17:05", "6/14/2015 5:05 PM", "2015-06-15")
    assert dates == [datetime(2015, 6, 13, 8, 26, 1), datetime(2015, 6, 13, 17, 5), datetime(2015, 6, 14, 17, 5),
                     datetime(2015, 6, 15)]
    assert any("carry a zone" in s for s in style.told)


def test_midnights_make_days():
    assert _dates("2015-06-13 00:00:00", "2015-06-14 00:00:00")[0] == [date(2015, 6, 13), date(2015, 6, 14)]


@pytest.mark.parametrize(("texts", "numbers"), [
    (("1", "2.5", "-3", "1e3"), (1, 2.5, -3, 1000)),
    (("1.234,50", "0,5", "12"), (1234.5, 0.5, 12)),
    (("1,234.50", "0.5", "12"), (1234.5, 0.5, 12)),
    (("1 234,5", "7"), (1234.5, 7)),
    (("1'234.50", "7"), (1234.5, 7)),
    (("$1,200.00", "($30.00)", "5-"), (1200, -30, -5)),
    (("12,50 €", "EUR 3,10"), (12.5, 3.1)),
    (("1.234.567", "12,5"), (1234567, 12.5)),
    (("1,234", "999"), (1234, 999)),
    (("1,234", "1500"), (1.234, 1500)),
    (("¥1,200.5", "3元"), (1200.5, 3)),
])
def test_numbers_are_read_as_they_were_meant(texts, numbers):
    assert _numbers(*texts)[0] == pytest.approx(list(numbers))


def test_a_comma_that_may_be_either_is_an_error_with_the_flag_to_write():
    with pytest.raises(DataError, match=r"--columns sales=n:comma for decimals"):
        _numbers("1,234", "2,345")
    assert _numbers("1,234", "2,345", decimal=",")[0] == [1.234, 2.345]


def test_what_is_no_number_is_null_and_infinity_is_left_for_check():
    numbers, _ = _numbers("1", "sold out", "inf", "n/a", "12abc", "1,2,3")
    assert numbers[1] is None and numbers[2] == float("inf") and numbers[3:] == [None, None, None]


def test_no_number_at_all_is_the_wrong_column():
    with pytest.raises(DataError, match="No value of the column 'sales' is a number; the first: 'plenty'"):
        read_sales(pl.DataFrame({"date": ["2024-01-01"] * 2, "sales": ["plenty", "few"]}))


@pytest.mark.parametrize(("numbers", "first"), [((20150613, 20150614), date(2015, 6, 13)), ((2014, 2015), date(2014, 1, 1)),
                                                ((1434184800, 1434271200), datetime(2015, 6, 13, 8, 40))])
def test_numbers_can_be_dates(numbers, first):
    assert read_sales(pl.DataFrame({"date": numbers, "sales": [1, 2]})).frame.collect()["date"][0] == first


def test_week_numbers_are_no_dates():
    with pytest.raises(DataError, match="holds the numbers 1 to 2, which are no dates"):
        read_sales(pl.DataFrame({"week": [1, 2], "sales": [1, 2]}))

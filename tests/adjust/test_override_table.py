"""The table of overrides: how it may be written, and what it refuses."""

from datetime import date, datetime

import polars as pl
import pytest

from adjust.override_cases import ITEMS, PLACES, one, overrides, small
from shelfcast.adjust.override_table import read_overrides
from shelfcast.errors import DataError, SourceError, UnknownNameError
from shelfcast.periods import Frequency


def test_a_spreadsheet_with_other_words_decimal_commas_and_empty_cells_is_read(tmp_path):
    (tmp_path / "o.csv").write_text("SKU;Store;From;To;Kind;Units;Planner;Written;Reason\n"
                                    "apple;;13.3.2024;15.3.2024;Factor;1,25;ann;1.3.2024 09:30;leaflet\n"
                                    " bread ;*;14.3.2024;;value;12;bob;2.3.2024;\"fair, in town\"\n", encoding="utf-8")
    table = read_overrides(tmp_path / "o.csv").table
    assert table.select("item", "location", "kind", "amount", "who").rows() == [("apple", None, "factor", 1.25, "ann"),
                                                                              ("bread", None, "value", 12.0, "bob")]
    assert table["last"].dt.date().to_list() == [date(2024, 3, 15), date(2024, 3, 14)], "an empty end is the day of the start"
    assert table["when"][0] == datetime(2024, 3, 1, 9, 30) and table["id"].to_list() == ["#1", "#2"]


def test_one_date_is_a_first_and_a_last_one_and_numbers_name_items_as_people_write_them():
    frame = pl.DataFrame({"item": [7.0, None], "date": [date(2024, 3, 5)] * 2, "kind": "lock", "amount": [1, 2], "who": "ann",
                          "when": [datetime(2024, 3, 1)] * 2, "why": "contract"})
    table = read_overrides(frame).table
    assert table["item"].to_list() == ["7", None] and (table["first"] == table["last"]).all()


def test_what_a_run_keeps_can_be_read_again(tmp_path):
    kept = overrides(one("value", 3, item="apple", id="a"), one("add", -2, category="food"))
    kept.table.write_csv(tmp_path / "o.csv")
    assert read_overrides(tmp_path / "o.csv").table.equals(kept.table)


def test_a_column_that_is_no_word_of_ours_is_an_attribute_unless_it_is_empty():
    assert overrides(one("value", 3, category="food", region=None)).attributes == ("category",)


@pytest.mark.parametrize(("change", "words"), [
    ({"kind": "facter"}, r"No kind of override is called 'facter'\. Did you mean 'factor'\?.*Row 2"),
    ({"kind": " "}, r"No kind of override is called ''.*Known: value, factor, add, lock"),
    ({"amount": None}, r"Row 2 of the given polars frame, item bread, has no number as its amount"),
    ({"amount": float("inf")}, r"has no number as its amount"),
    ({"amount": -1.0}, r"has the negative amount -1\. Only kind add may be negative"),
    ({"kind": "factor", "amount": 120.0}, r"multiplies by 120\. A factor of 1\.2 means 20 % more"),
    ({"amount": 2e12}, r"has the amount 2e\+12\. Check the number"),
    ({"last": date(2024, 3, 1)}, r"ends on 2024-03-01, before it begins on 2024-03-05\. Exchange"),
    ({"first": None}, r"Row 2 of .*, item bread, has no date under first"),
    ({"when": None}, r"has no date under when"),
    ({"who": "  "}, r"does not say who wrote it"), ({"why": None}, r"does not say why"),
    ({"id": "a"}, r"has the id a, which another row has too"),
])
def test_a_row_that_cannot_be_meant_is_named(change, words):
    with pytest.raises((DataError, UnknownNameError), match=words):
        overrides(one("value", 3, item="apple", id="a"), {**one("value", 3, item="bread", id="b"), **change})


@pytest.mark.parametrize("column", ["first", "kind", "amount", "who", "when", "why"])
def test_a_column_that_every_override_needs_is_asked_for_by_name(column):
    gone = {column} | ({"last"} if column == "first" else set())
    with pytest.raises(DataError, match=rf"has no column '{column}'.*it has item, location"):
        read_overrides(pl.DataFrame([{k: v for k, v in one("value", 3).items() if k not in gone}]))


def test_dates_that_may_be_read_in_two_ways_are_not_guessed(tmp_path):
    (tmp_path / "o.csv").write_text("item,first,kind,amount,who,when,why\napple,03/04/2024,value,3,ann,2024-03-01,leaflet\n")
    with pytest.raises(DataError, match=r"dates in the column 'first'.*Write them as 2015-06-13"):
        read_overrides(tmp_path / "o.csv")
    with pytest.raises((SourceError, DataError), match=r"absent\.csv"):
        read_overrides(tmp_path / "absent.csv")


@pytest.mark.parametrize(("row", "words"), [
    ({"item": "aple"}, r"No item is called 'aple'\. Did you mean 'apple'\?.*row 2"),
    ({"location": "nort"}, r"No location is called 'nort'\. Did you mean 'north'\?"),
    ({"category": "foot"}, r"No category is called 'foot'\. Did you mean 'food'\?"),
    ({"colour": "red"}, r"No attribute of items or places is called 'colour'.*Known: region, category"),
])
def test_a_name_that_nothing_has_is_an_error_with_the_nearest(row, words):
    with pytest.raises(UnknownNameError, match=words):
        overrides(one("value", 3, item="bread"), one("value", 3, **row)).check_names(small().series, items=ITEMS, places=PLACES)


@pytest.mark.parametrize(("freq", "cutoff", "seen"), [
    ("D", date(2024, 3, 4), datetime(2024, 3, 4, 23, 59)), ("M", date(2024, 3, 1), datetime(2024, 3, 31, 23, 59)),
    ("W-SUN", date(2024, 3, 3), datetime(2024, 3, 3, 23, 59)),
])
def test_what_was_written_before_history_ended_is_known_and_nothing_after(freq, cutoff, seen):
    frequency = Frequency.parse(freq)
    late = datetime(seen.year, seen.month, seen.day) + (datetime(2024, 3, 2) - datetime(2024, 3, 1))
    given = overrides(one("value", 1, when=seen, who="in time"), one("value", 1, when=late, who="too late"))
    assert given.known_at(frequency, frequency.number(cutoff)).table["who"].to_list() == ["in time"]

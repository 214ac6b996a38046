"""Numbers and sentences as a planner reads them, and the map."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import date
from itertools import pairwise

import polars as pl
import pytest

from shelfcast.show import charts, numerals, story
from shelfcast.show.content import ACCURACY_SCHEMA, PLACES_SCHEMA, ReportContent, Stretch
from shelfcast.show.gather import gather
from shelfcast.show.map import place_map
from show.show_cases import ABOUT, make_forecast, make_panel


@pytest.fixture(scope="module")
def content() -> ReportContent:
    panel = make_panel()
    return gather(panel, make_forecast(panel), ABOUT)


def stretch(units: float, *, series: int = 4, alike: float = 0.0, alike_next: float = 0.0) -> Stretch:
    return Stretch(name="the last 6 days", first=date(2024, 1, 1), last=date(2024, 1, 6), units=units, series=series, of=4,
                   alike_units=alike, alike_next=alike_next)


@pytest.mark.parametrize(("expected", "then", "says"), [
    (110.0, 100.0, "10.0\u202f% more than in the last 6 days"), (90.0, 100.0, "10.0\u202f% fewer than in the last 6 days"),
    (100.2, 100.0, "about as many as in the last 6 days"), (5000.0, 1.0, "over ten times the last 6 days"),
    (5.0, 0.0, "after nothing in the last 6 days")])
def test_a_change_is_said_in_words_of_its_size(expected, then, says):
    assert story.against(expected, stretch(then)) == says


def test_series_that_came_or_went_make_the_comparison_like_for_like():
    young = stretch(100.0, series=2, alike=80.0, alike_next=88.0)
    assert story.against(500.0, young) == "like for like 10.0\u202f% more than in the last 6 days"
    assert story.alike_note(young).startswith("2 of 4 series have no record of at least half of the last 6 days; like for like")


def test_a_forecast_worse_than_the_naive_one_is_told_first(content):
    scores = pl.DataFrame([("all", "all", "ours", "wape", 0.3, 4), ("all", "all", "naive", "wape", 0.2, 4)],
                          schema=ACCURACY_SCHEMA, orient="row")
    found = story.attention(replace(content, accuracy=scores))
    assert found[0].severity == "warning"
    assert "less accurate than the naive one (30.0\u202f% against 20.0\u202f% of sales)" in found[0].sentence


def test_no_more_than_eight_things_need_attention(content):
    many = pl.DataFrame({"severity": ["WARNING"] * 20, "kind": ["a"] * 20, "sentence": ["b"] * 20, "first": [None] * 20,
                         "money": [float(i) for i in range(20)]}, schema_overrides={"first": pl.String})
    found = story.attention(replace(content, findings=many))
    assert len(found) == 8
    assert found[0].sentence == "b; 19 in money at stake"


def test_a_headline_without_anything_to_compare_ends_after_the_number(content):
    told = story.headline(replace(content, stretches=(), expected=4_123_456.0))
    assert told.endswith("we expect 4.12 million units.")


@pytest.mark.parametrize("text", ["plain", "שלום", "e\u0301", "नमस्\u200dते", "a\u00a0b"])
def test_letters_of_all_scripts_stay_as_they_are(text):
    assert numerals.plain(text) == text


@pytest.mark.parametrize(("text", "told"), [("a\tb\nc", "a b c"), ("\u202eabc", "abc"), ("\ud800x", "x"), ("\x00\x1b\x9bz", "z"),
                                            ("\ufffe\uffff!", "!"), ("\u2028", " ")])
def test_what_commands_a_program_is_left_out(text, told):
    assert numerals.plain(text) == told


def test_a_percent_sign_never_stands_alone_on_a_line():
    assert numerals.percent(0.5) == "50.0\u202f%"


@pytest.mark.parametrize(("low", "high"), [(0.0, 9.3), (-5.0, 3.0), (0.0, 1e12), (0.0, 1e-6), (3.0, 3.0)])
def test_ticks_are_round_rise_evenly_and_enclose_the_data(low, high):
    ticks = charts.nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 7
    steps = {round((b - a) / (ticks[1] - ticks[0]), 6) for a, b in pairwise(ticks)}
    assert steps == {1.0}


def places(rows: list[tuple]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=PLACES_SCHEMA, orient="row")


def test_the_map_colours_only_what_can_be_compared_and_leaves_out_the_far():
    told = place_map(places([("a", 52.0, 7.0, 10.0, 10.0, 5.0, None), ("b", 51.0, 8.0, 9.0, None, None, "new"),
                             ("c", 50.0, 7.5, 9.0, 6.0, 9.0, None), ("sea", -52.0, 7.0, 1.0, 1.0, 1.0, None)]), unit="units")
    assert (told.shown, told.outside, told.compared) == (3, 1, True)
    ElementTree.fromstring(told.svg)
    assert "a: 10 units, +100\u202f%" in told.svg
    assert "b: 9 units, new" in told.svg
    assert 'class="g0"' in told.svg  # the fall by a third
    assert 'class="g3"' in told.svg  # the new one: no colour of change
    assert "km</text>" in told.svg


@pytest.mark.parametrize("where", [(0.0, 0.0), (90.0, 180.0), (-90.0, -180.0)])
def test_one_place_alone_can_be_drawn_anywhere(where):
    told = place_map(places([("a", *where, 10.0, None, None, None)]), unit="units")
    ElementTree.fromstring(told.svg)
    assert told.shown == 1

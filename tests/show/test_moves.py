"""What grows and falls: compared like for like, named, and never a shop that was merely shut."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from shelfcast.panel import CovariateTable, SalesPanel
from shelfcast.show.gather import gather
from shelfcast.show.labels import key_labels, series_labels
from shelfcast.show.report import render
from show.show_cases import ABOUT, make_forecast, make_panel

FIRST, DAYS, HORIZON = date(2022, 1, 3), 800, 28
DATES = [FIRST + timedelta(days=i) for i in range(DAYS)]
YEAR_AGO = (DAYS - 364, DAYS - 364 + HORIZON)  # positions of the same 28 days last year


def shops(rows_of: dict[str, list[int]], *, absent: str = "missing", closed: dict[str, range] | None = None,
          own_table: bool = False) -> SalesPanel:
    """Shops that sell 10 a day on the given days, and more of late."""
    rows = [(shop, DATES[i], 0.0 if closed and i in closed.get(shop, ()) else 10.0 + (i > DAYS - 60), 0.0 if closed and i in
             closed.get(shop, ()) else 1.0) for shop, days in rows_of.items() for i in days]
    table = pl.DataFrame(rows, schema=["location", "date", "sales", "open"], orient="row")
    if own_table:
        panel = SalesPanel.from_frame(table.drop("open"), freq="D", absent=absent)
        hours = table.select("location", panel.frequency.number_of(pl.col("date")).alias("period"), "open")
        return replace(panel, tables=(CovariateTable(hours),), covariates={"open": "known"}, closed_when="open")
    known = {"known": ["open"], "closed_when": "open"} if closed else {}
    return SalesPanel.from_frame(table, freq="D", absent=absent, **known)


def told(panel: SalesPanel) -> dict[str, str]:
    """{shop: growing, falling, new or back}, as the report says."""
    content = gather(panel, make_forecast(panel, HORIZON), ABOUT)
    return {r["name"]: r["mark"] or ("grows" if r["next"] > r["before"] else "falls")
            for r in content.locations.iter_rows(named=True)}


ALWAYS, SHUT = list(range(DAYS)), range(YEAR_AGO[0] - 60, YEAR_AGO[0] + 20)


def test_a_shop_without_records_in_the_earlier_stretch_is_back_and_does_not_grow():
    assert told(shops({"a": ALWAYS, "b": ALWAYS, "rebuilt": [i for i in ALWAYS if i not in SHUT]})) == {
        "a": "grows", "b": "grows", "rebuilt": "back"}


@pytest.mark.parametrize("absent", ["missing", "zero"])
@pytest.mark.parametrize("own_table", [False, True])
def test_a_shop_that_was_recorded_as_closed_is_back(absent, own_table):
    panel = shops({"a": ALWAYS, "b": ALWAYS, "rebuilt": ALWAYS}, absent=absent, closed={"rebuilt": SHUT}, own_table=own_table)
    assert told(panel) == {"a": "grows", "b": "grows", "rebuilt": "back"}


@pytest.mark.parametrize("absent", ["missing", "zero"])
def test_a_shop_that_opened_later_is_new(absent):
    panel = shops({"a": ALWAYS, "b": ALWAYS, "young": list(range(DAYS - 100, DAYS))}, absent=absent)
    assert told(panel) == {"a": "grows", "b": "grows", "young": "new"}


def test_a_shop_closed_for_less_than_half_is_still_compared():
    some = range(YEAR_AGO[0], YEAR_AGO[0] + 10)
    assert told(shops({"a": ALWAYS, "b": [i for i in ALWAYS if i not in some]})) == {"a": "grows", "b": "grows"}


def test_a_shop_that_writes_down_every_third_day_is_compared_with_itself():
    assert told(shops({"a": ALWAYS, "seldom": ALWAYS[::3]}))["seldom"] == "grows"


def test_what_sold_nothing_then_although_it_was_there_is_compared():
    sparse = [i for i in ALWAYS if not YEAR_AGO[0] <= i < YEAR_AGO[1]]
    assert told(shops({"a": ALWAYS, "quiet": sparse}, absent="zero"))["quiet"] == "grows"


def test_the_totals_are_compared_over_the_same_series():
    panel = shops({"a": ALWAYS, "b": ALWAYS, "rebuilt": [i for i in ALWAYS if i not in SHUT]})
    forecast = make_forecast(panel, HORIZON)
    stretch = gather(panel, forecast, ABOUT).stretches[0]
    assert (stretch.series, stretch.of) == (2, 3)
    assert stretch.alike_units == pytest.approx(2 * 10 * HORIZON)
    assert stretch.alike_next == pytest.approx(forecast.mean[:2].sum())
    assert stretch.units == pytest.approx(2 * 10 * HORIZON + 10 * 8)


def test_the_page_lists_what_is_back_apart_from_what_grows():
    panel = shops({"a": ALWAYS, "b": ALWAYS, "rebuilt": [i for i in ALWAYS if i not in SHUT]})
    page = render(gather(panel, make_forecast(panel, HORIZON), ABOUT))
    assert "Places that are new or back, and not compared" in page
    assert "1 of 3 series has no record of at least half of the same 28 days last year" in page
    assert "Places that grow most" in page


def test_a_shop_that_is_back_is_not_chosen_for_growing():
    panel = shops({"a": ALWAYS, "b": ALWAYS, "rebuilt": [i for i in ALWAYS if i not in SHUT]})
    chosen = gather(panel, make_forecast(panel, HORIZON), ABOUT, most_series=6).chosen
    assert {fan.name for fan in chosen} == {"a", "b", "rebuilt"}
    assert "grows most" not in {fan.why for fan in chosen if fan.name == "rebuilt"}


def test_labels_are_keys_with_the_names_that_attributes_give():
    panel = replace(make_panel(items=[1, 2]), items=pl.DataFrame({"item": [1, 2], "description": ["Rye bread", " "]}))
    assert key_labels(panel, "item", panel.series["item"].unique().sort()) == ["1 Rye bread", "2"]
    assert series_labels(panel, panel.series.head(1)) == ["1 Rye bread · north"]
    assert series_labels(panel, pl.DataFrame({"item": ["all"], "location": ["all"]})) == ["everything"]


def test_a_name_like_the_key_is_not_said_twice():
    panel = replace(make_panel(), items=pl.DataFrame({"item": ["tea", "rye"], "name": ["tea", None]}))
    assert key_labels(panel, "item", pl.Series(["tea", "rye", "unknown"])) == ["tea", "rye", "unknown"]

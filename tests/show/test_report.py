"""The report as a page: complete, true to the tables, harmless, deterministic."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import DataError, SettingsError
from shelfcast.panel import SalesPanel
from shelfcast.show.content import ACCURACY_SCHEMA, FINDINGS_SCHEMA
from shelfcast.show.gather import gather
from shelfcast.show.report import render, write_report
from show.show_cases import ABOUT, Page, make_forecast, make_panel, number

NASTY = ["<script>alert(1)</script>", "\"quoted' & co", "=HYPERLINK(\"http://evil.example\")", "bell\x07 and \x1b[31mred\x00",
         "\u202egnp.exe\u2066", "שלום עולם", "&lt;b&gt;", "]]><svg onload=alert(1)>", "{{ 7*7 }}", "a" * 10_000]
PLACES = pl.DataFrame({"location": ["north", "south"], "latitude": [52.0, 48.0], "longitude": [7.0, 11.0], "name": ["Kiel", None]})
FINDINGS = pl.DataFrame([("NOTE", "a", 3, 9, "rows", "3 rows are odd", None, None, "nothing"),
                         ("WARNING", "b", 4, 9, "rows", "4 rows are late", "row 7", 1234567.0, "drops them"),
                         ("ERROR", "c", 11312, 20000, "rows", "11,312 rows are missing", "row 3, item tea", None, "nothing")],
                        schema=FINDINGS_SCHEMA, orient="row")
ACCURACY = pl.DataFrame([(kind, group, model, metric, value, 2) for kind, groups in (("all", ["all"]), ("class", ["smooth"]),
                                                                                      ("location", ["south", "north"]))
                         for group in groups for model, value in (("ours", 0.1234), ("naive", 0.2))
                         for metric in ("wape", "bias", "mase", "sql", "coverage")], schema=ACCURACY_SCHEMA, orient="row")
WITHDRAWN = pl.DataFrame({"item": ["old", "older"], "location": ["north", "north"], "last_sale": [date(2022, 2, 1), None],
                          "reason": ["nothing sold for 300 days", "nothing sold since it began"]})


def page_of(panel: SalesPanel, horizon: int = 6, **rest) -> str:
    return render(gather(panel, make_forecast(panel, horizon), ABOUT, **rest))


def full_page() -> str:
    panel = make_panel(places=PLACES, extra={"price": pl.lit(2.0)}, past=["price"])
    return page_of(panel, findings=FINDINGS, accuracy=ACCURACY, withdrawn=WITHDRAWN)


@pytest.mark.parametrize("freq", ["D", "W", "M"])
def test_the_expected_total_and_its_table_are_those_of_the_forecast(freq):
    panel = make_panel(freq)
    forecast = make_forecast(panel)
    page = Page(render(gather(panel, forecast, ABOUT)))
    table = next(rows for caption, rows in page.tables.items() if caption.startswith("All 4 series"))
    ahead = [row for row in table if row[2]][1:]
    assert [number(row[2]) for row in ahead] == pytest.approx(forecast.mean.sum(axis=0), abs=0.5)
    assert f"{forecast.mean.sum():,.0f}" in page.all_text()
    assert [row[0] for row in ahead] == [f"{d:%Y-%m-%d}" for d in forecast.dates]


def test_the_table_of_a_series_holds_its_forecast_and_its_history():
    panel = make_panel()
    forecast = make_forecast(panel)
    low, mean, high = forecast.at(0.1)[0], forecast.mean[0], forecast.at(0.9)[0]
    page = Page(render(gather(panel, forecast, ABOUT)))
    who = " · ".join(panel.series.row(0)[:2])
    table = next(rows for caption, rows in page.tables.items() if caption.startswith(who))
    ahead = [[number(c) for c in row[2:5]] for row in table[1:] if row[2]]
    assert np.array(ahead) == pytest.approx(np.stack([mean, low, high], axis=1), abs=0.05)
    sold = [number(row[1]) for row in table[1:] if row[1]]
    assert sold == panel.dense().sales[0, -len(sold):].tolist()


def test_the_accuracy_table_holds_the_measures_by_readable_groups_and_the_largest_place_first():
    page = Page(full_page())
    assert page.tables["Overall"][1][3:5] == ["12.3\u202f%", "20.0\u202f%"]
    places = page.tables["By place, the largest first"]
    panel = make_panel()
    totals = make_forecast(panel).mean.sum(axis=1)
    largest = pl.DataFrame({"location": panel.series["location"], "u": totals}).group_by("location").sum().sort("u")["location"][-1]
    assert places[1][0].startswith(largest)
    assert page.tables["By kind of demand"][1][0].startswith("smooth: sells")


def test_one_series_without_anything_else_still_makes_a_page():
    panel = make_panel(items=["all"], locations=["all"])
    text = Page(page_of(panel)).all_text()
    assert "No findings" in text
    assert "Not tried on the past" in text
    assert "There is nothing to compare" in text
    assert "No series was judged withdrawn" in text


def test_a_history_too_short_for_any_comparison_still_makes_a_page():
    panel = SalesPanel.from_frame(pl.DataFrame({"date": [date(2024, 1, 1), date(2024, 1, 2)], "sales": [1.0, 2.0]}), freq="D")
    assert "we expect" in page_of(panel, 6)


def test_money_at_stake_and_prices_are_told_and_errors_come_first():
    page = Page(full_page())
    text = page.all_text()
    expected = 2 * make_forecast(make_panel()).mean.sum()
    assert f"{expected:,.0f}" in text
    needs = [t for tag, _, t in page.texts if tag == "a" and "rows are" in t]
    assert needs == ["11,312 rows are missing; first: row 3, item tea",
                     "4 rows are late; 1,234,567 in money at stake; first: row 7"]


def test_withdrawn_series_are_counted_with_their_reasons():
    text = Page(full_page()).all_text()
    assert "2 series are judged withdrawn" in text
    assert "nothing sold since it began" in text
    assert "old · north" in text


def test_items_and_places_show_their_names_beside_their_keys():
    items = pl.DataFrame({"item": ["tea", "rye"], "name": ["Green tea", "Rye bread"]})
    page = Page(page_of(replace(make_panel(places=PLACES), items=items)))
    text = page.all_text()
    assert "rye Rye bread · north Kiel" in text
    assert any("north Kiel" in row[0] for row in page.tables["Largest places, units"])


def test_names_that_hold_markup_or_commands_are_harmless():
    items = pl.DataFrame({"item": NASTY, "name": list(reversed(NASTY))})
    panel = replace(make_panel(items=NASTY, locations=["north"], places=PLACES), items=items)
    about = replace(ABOUT, title=NASTY[0], source=NASTY[4] + NASTY[3], unit=NASTY[7], why=NASTY[8],
                    manifest=((NASTY[0], NASTY[1]),))
    findings = FINDINGS.with_columns(pl.lit(NASTY[0]).alias("sentence"), pl.lit(NASTY[4]).alias("first"))
    text = render(gather(panel, make_forecast(panel), about, findings=findings))
    assert text.count("<script>") == text.count("</script>") == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    assert "a" * 60 not in text
    page = Page(text)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in page.all_text()
    assert "שלום עולם" in page.all_text()
    assert len(text) < 1_500_000
    for svg in drawings(text):
        ElementTree.fromstring(svg)


def drawings(text: str) -> list[str]:
    """The outermost SVGs of a page."""
    out, depth, start = [], 0, 0
    for mark in re.finditer(r"<svg\b|</svg>", text):
        if mark[0] == "<svg":
            start = mark.start() if depth == 0 else start
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                out.append(text[start:mark.end()])
    assert depth == 0
    return out


def test_every_drawing_is_well_formed_and_named():
    svgs = drawings(full_page())
    assert len(svgs) > 10
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        spoken = [e for e in root.iter() if e.tag.endswith("}title") and e.get("id")]
        assert spoken
        assert spoken[0].text
        assert spoken[0].get("id") in root.get("aria-labelledby").split()


def test_identities_are_used_once_and_every_fan_has_its_table():
    text = full_page()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    wanted = [value for tag, name, value in page.attributes if name == "data-table"]
    assert len(wanted) == 5
    assert set(wanted) <= set(page.ids)


def test_nothing_is_loaded_from_anywhere_and_the_policy_fits_what_is_inlined():
    text = full_page()
    page = Page(text)
    for tag, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "data", "poster", "style"), (tag, name)
        assert name not in ("href", "xlink:href") or value.startswith("#")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and value.startswith("default-src 'none'"))
    for tag in ("style", "script"):
        inlined = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        known = base64.b64encode(hashlib.sha256(inlined.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{known}'" in policy


def test_three_thousand_series_make_a_page_below_a_megabyte_and_a_half():
    panel = make_panel("W", items=[f"I{i:04d}" for i in range(60)], locations=[f"L{i:02d}" for i in range(50)])
    text = page_of(panel, 13)
    assert "3,000" in text
    assert len(text.encode()) < 1_500_000


def test_the_same_input_gives_the_same_page():
    assert full_page() == full_page()


def test_the_file_is_written_whole_or_not_at_all(tmp_path):
    content = gather(make_panel(), make_forecast(make_panel()), ABOUT)
    target = tmp_path / "report.html"
    write_report(target, content)
    before = target.read_text(encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_report(target, replace(content, facts=(("label", _Odd("\ud800")),)))
    assert target.read_text(encoding="utf-8") == before == render(content)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


class _Odd:
    """Not a text, so it escapes the cleaning of texts, and cannot be encoded."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def test_a_forecast_without_columns_rows_or_levels_is_an_error_that_says_so():
    panel = make_panel()
    table = make_forecast(panel).to_frame()
    with pytest.raises(DataError, match="lacks mean"):
        gather(panel, table.drop("mean"), ABOUT)
    with pytest.raises(DataError, match="no rows"):
        gather(panel, table.head(0), ABOUT)
    with pytest.raises(SettingsError, match="two levels around the middle"):
        gather(panel, table.select("item", "location", "date", "mean", "q0.5"), ABOUT)
    with pytest.raises(DataError, match="not in the panel"):
        gather(panel.select([0]), table, ABOUT)


def test_a_lazy_table_and_a_forecast_give_the_same_page():
    panel = make_panel()
    forecast = make_forecast(panel)
    assert render(gather(panel, forecast, ABOUT)) == render(gather(panel, forecast.to_frame().lazy(), ABOUT))

"""Findings and backtests in the shape that the report shows."""

from datetime import date

import pytest

from shelfcast.data.findings import Finding, Findings, Place
from shelfcast.evaluate.backtest import backtest
from shelfcast.models.registry import make_model
from shelfcast.show.content import ACCURACY_SCHEMA, FINDINGS_SCHEMA
from shelfcast.show.evidence import accuracy_table, findings_table
from shelfcast.show.gather import gather
from shelfcast.show.report import render
from shelfcast.show.story import overall
from show.show_cases import ABOUT, make_forecast, make_panel


def test_findings_come_with_sentence_place_and_money_the_gravest_first():
    place = Place(row=3, item="tea", date=date(2024, 1, 2))
    note = Finding("odd", "NOTE", "rows repeat an item", 1, 9, "rows", "because", "adds them up")
    error = Finding("gone", "ERROR", "rows are missing", 11312, 20000, "rows", "because", "nothing", (place,), 12.5)
    table = findings_table(Findings((note, error)))
    assert dict(table.schema) == FINDINGS_SCHEMA
    assert table["severity"].to_list() == ["ERROR", "NOTE"]
    assert table["sentence"].to_list() == ["11,312 rows are missing", "1 row repeats an item"]
    assert table["first"].to_list() == ["row 3, item tea, 2024-01-02", None]
    assert table["money"].to_list() == [12.5, None]


def test_no_findings_and_no_backtest_are_empty_tables():
    assert dict(findings_table(Findings(())).schema) == FINDINGS_SCHEMA
    assert accuracy_table(None).height == 0


def test_a_backtest_is_shown_with_its_own_numbers():
    panel = make_panel("W")
    scores = backtest(make_model("naive"), panel, horizon=6, rival=make_model("naive"))
    table = accuracy_table(scores)
    assert dict(table.schema) == ACCURACY_SCHEMA
    assert overall(table, "wape") == pytest.approx((scores.headline()["WAPE"]["model"],) * 2)
    assert set(table["kind"]) == {"all", "class", "location"}
    assert set(table["model"]) == {"ours", "naive"}
    content = gather(panel, make_forecast(panel), ABOUT, accuracy=table)
    assert content.scored_places == 2
    assert f"{100 * scores.headline()['WAPE']['model']:.1f}\u202f%" in render(content)


def test_of_many_places_the_largest_are_shown_and_the_rest_are_counted():
    panel = make_panel("W", items=["tea"], locations=[f"L{i:02d}" for i in range(40)])
    content = gather(panel, make_forecast(panel), ABOUT,
                     accuracy=accuracy_table(backtest(make_model("naive"), panel, horizon=6, rival=make_model("naive"))))
    assert content.scored_places == 40
    assert "By place, the largest first: the 30 largest of 40" in render(content)

"""The page of a comparison: true to its tables, harmless whatever models are called, complete without forecasts."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import polars as pl
import pytest

from doors.measured_runs import LEVELS, write_run
from shelfcast import workflow
from shelfcast.settings import CompareSettings
from shelfcast.show import comparison_charts as charts
from shelfcast.show.comparison import render_comparison
from shelfcast.show.comparison_charts import Whisker
from show.show_cases import Page


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> workflow.ComparisonResult:
    run = write_run(tmp_path_factory.mktemp("runs") / "run", {"good": 0.1, "naive": 0.5, "middling": 0.3})
    return workflow.compare(CompareSettings(runs=(run,), replicates=300))


@pytest.fixture(scope="module")
def page(found) -> Page:
    return Page(render_comparison(found.comparison, reliability=found.reliability, runs=["run"]))


def test_the_claim_and_every_model_are_on_the_page(found, page):
    assert found.summary["verdict"] in page.all_text()
    table = next(rows for caption, rows in page.tables.items() if caption.startswith("SQL, the best first"))
    assert [row[0] for row in table[1:]] == ["good", "middling", "naive"]
    assert [row[2] for row in table[1:]] == [f"{r['score']:.4f}" for r in found.summary["ranking"]]


def test_tables_of_groups_hold_the_numbers_of_the_comparison(found, page):
    for kind, caption in (("location", "By place"), ("item", "By item"), ("item:category", "By item:category")):
        rows = [g for g in found.summary["groups"] if g["kind"] == kind]
        table = page.tables[caption][1:]
        assert [row[0] for row in table] == [g["group"] for g in rows]
        assert [row[5] for row in table] == [f"{g['a']:.4f}" for g in rows]
        assert [row[8] for row in table] == [g["verdict"] for g in rows]


def test_the_table_of_reliability_holds_each_level(found, page):
    table = page.tables["Share of truths below each quantile, and below or at it"][1:]
    assert [float(row[0]) for row in table] == LEVELS
    covered = [100 * r["covered"] for r in found.summary["reliability"]["good"]]
    assert [float(row[2].replace("\u202f%", "")) for row in table] == pytest.approx(covered, abs=0.051)


def test_series_won_are_counted_once_each(found, page):
    rows = page.tables["Series won, by kind of demand"][1:]
    assert sum(int(row[1]) for row in rows) == found.summary["series"]
    for row in rows:
        assert int(row[1]) == sum(int(cell) for cell in row[2:5])


def test_drawings_are_whole_named_once_and_nothing_is_loaded(found, page):
    drawings = re.findall(r"<svg xmlns.*?</svg>(?!</svg>)", page.source, re.S)
    assert len(drawings) > 20
    assert len(page.ids) == len(set(page.ids))
    assert not [v for tag, name, v in page.attributes if name in ("src", "href") and not v.startswith("#")]
    assert "nan" not in page.source.lower().replace("nano", "")


def test_the_policy_names_the_style_and_the_script_and_nothing_is_styled_in_line(page):
    for tag in ("style", "script"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", page.source, re.S)
        assert inside
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.source
    assert not [name for _, name, _ in page.attributes if name == "style" or name.startswith("on")]


def test_names_from_the_data_command_nothing(tmp_path):
    nasty = "<script>alert(1)<&script>"
    run = write_run(tmp_path / "run", {nasty: 0.1, "b\u202e\x1b[31m": 0.5}, forecasts=False)
    found = workflow.compare(CompareSettings(runs=(run,), replicates=200))
    page = Page(render_comparison(found.comparison, reliability={}, runs=["{{ 7*7 }}", "\"quoted' &"]))
    assert page.source.count("<script>") == 1
    assert "alert(1)" in page.all_text()
    assert "{{ 7*7 }}" in page.all_text()
    assert "\x1b" not in page.source and "\u202e" not in page.source


def test_without_forecasts_one_window_and_a_measure_without_skill_there_is_still_a_page(tmp_path):
    run = write_run(tmp_path / "run", {"good": 0.1, "bad": 0.5}, windows=1, forecasts=False)
    for metric in ("SQL", "bias"):
        target = tmp_path / "page.html"
        workflow.compare(CompareSettings(runs=(run,), replicates=200, metric=metric, report=target))
        text = Page(target.read_text(encoding="utf-8")).all_text()
        assert "1 window cannot be drawn with replacement" in text
        assert "Do the quantiles hold" not in text
        assert ("Where it wins" in text) and ("kept no forecasts" in text)


def drawing(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def by_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [e for e in root.iter() if name in (e.get("class") or "").split()]


def test_a_row_of_the_forest_puts_the_interval_where_its_numbers_are():
    root = drawing(charts.interval_bar(Whisker("tea & co", 0.1, 0.05, 0.2), (-0.1, 0.3), identity="x"))
    line, dot, zero = by_class(root, "whisker")[0], by_class(root, "dot")[0], by_class(root, "nought")[0]
    assert [float(line.get(k).rstrip("%")) for k in ("x1", "x2")] == pytest.approx([37.5, 75.0])
    assert float(dot.get("cx").rstrip("%")) == pytest.approx(50.0)
    assert float(zero.get("x1").rstrip("%")) == pytest.approx(25.0)
    assert "up" in line.get("class")


@pytest.mark.parametrize(("low", "high", "sense"),
                         [(0.1, 0.2, "up"), (-0.2, -0.1, "down"), (-0.1, 0.1, "level"), (None, None, "level")])
def test_colour_says_where_the_interval_lies(low, high, sense):
    assert Whisker("a", 0.0, low, high).sense == sense


def test_bars_of_the_histogram_are_as_high_as_their_counts():
    ratios = np.array([-3.0, -0.5, -0.5, 0.5, 9.0])
    text, counts = charts.ratio_histogram(ratios, ["a", "a", "b", "b", "b"], ["a", "b"], identity="h", title="t")
    assert [sum(c) for c in counts] == [2, 3]
    assert (counts[0][0], counts[1][-1]) == (1, 1)
    heights = [float(e.get("height")) for e in drawing(text).iter() if (e.get("class") or "") in ("k0", "k1")]
    assert len(heights) == 5
    assert max(heights) == pytest.approx(min(heights))


def test_a_calibrated_level_crosses_zero_and_a_missed_one_does_not():
    shares = (np.array([0.05, 0.4]), np.array([0.2, 0.45]))
    root = drawing(charts.reliability_chart([0.1, 0.5], [shares, shares], identity="r", title="t"))
    zero = float(by_class(root, "zero")[0].get("y1"))
    held, missed = by_class(root, "ours")
    top, bottom = float(held.get("y")), float(held.get("y")) + float(held.get("height"))
    assert top < zero < bottom
    assert float(missed.get("y")) > zero


def test_a_chart_of_many_steps_labels_only_some_and_clips_what_is_beyond_the_scale():
    whiskers = [Whisker(str(i), 0.1, -9.0, 0.2) for i in range(60)]
    root = drawing(charts.whisker_chart(whiskers, identity="w", title="t", height=220))
    assert len(by_class(root, "date")) <= 14
    assert all(0 <= float(e.get("y2")) <= 220 for e in by_class(root, "whisker"))
    assert pl.Series([e.get("x1") for e in by_class(root, "whisker")]).n_unique() == 60

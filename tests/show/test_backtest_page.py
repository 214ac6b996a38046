"""The page of a backtest: says who won, holds each chart's numbers as a table, and obeys nothing that the data say."""

import re

import numpy as np
import polars as pl
import pytest

from shelfcast.evaluate.summary import Summary, summarise
from shelfcast.show.backtest_charts import line_chart
from shelfcast.show.backtest_page import render_backtest

EVIL = "</script><b>tea\u202e"


def scores(*, better: str = "ours") -> pl.DataFrame:
    """Two models, two windows, each measure by a few groups; the better one has half of the error."""
    rows = []
    for window, cutoff in enumerate(("2024-01-07", "2024-01-14")):
        for model in ("ours", "naive"):
            size = (1.0 if model == better else 2.0) * (1 + 0.1 * window)
            for kind, groups in {"all": ["all"], "class": ["smooth", "lumpy"], "age": ["new", "old"], "step": ["1", "2", "3"],
                                 "level": ["total"], "location": [EVIL, "Oslo"], "item:category": ["tea"]}.items():
                for group in groups:
                    rows += [(window, cutoff, model, kind, group, 4, metric, value) for metric, value in
                             (("SQL", size), ("WAPE", size / 5), ("bias", 0.01 * size), ("coverage q0.1", 0.1 * size),
                              ("coverage q0.9", 0.9))]
    names = ["window", "cutoff", "model", "kind", "group", "series", "metric", "value"]
    return pl.DataFrame(rows, schema=names, orient="row")


def summary(table: pl.DataFrame) -> Summary:
    return summarise(table, metrics=("SQL", "WAPE", "bias"), baseline="naive")


def page(table: pl.DataFrame) -> str:
    return render_backtest(table, summary(table), facts={"seed": "0"}, title="till.csv", notes=["Said."])


@pytest.mark.parametrize(("better", "lead"), [("ours", 0.5), ("naive", 0.5)])
def test_the_summary_says_who_won_and_by_how_much(better, lead):
    found = summary(scores(better=better))
    won = found.won()
    assert won["model"] == better and won["lead"] == pytest.approx(lead) and won["windows_won"][better] == 2
    rows = {(r["model"], r["metric"]): r for r in found.table.iter_rows(named=True)}
    assert rows["ours", "SQL"]["skill"] == pytest.approx(0.5 if better == "ours" else -1.0)
    assert rows["ours", "bias"]["skill"] is None and rows["ours", "SQL"]["spread"] > 0 and rows["naive", "SQL"]["skill"] == 0


def test_a_measure_that_should_be_nought_is_won_by_who_comes_nearest():
    table = scores().with_columns(pl.when((pl.col("metric") == "bias") & (pl.col("model") == "ours")).then(-0.5)
                                  .otherwise("value").alias("value"))
    assert summarise(table, metrics=("bias",), baseline="naive").won()["model"] == "naive"


def test_the_page_says_it_and_holds_the_numbers_of_each_chart():
    text = page(scores())
    assert "ours has the best SQL: 1.05" in text and "50.0\u202f% ahead of naive" in text and "best in 2 of 2 windows" in text
    for section in ("windows", "steps", "reliable", "groups", "made"):
        assert f'id="{section}"' in text
    assert text.count('class="chart lines"') == 3
    for cutoff in ("2024-01-07", "2024-01-14"):
        assert f'<th scope="row">{cutoff}' in text
    assert "By category of items" in text and "Added up: forecasts of sums: SQL" in text


def test_names_from_the_data_command_nothing():
    text = page(scores())
    assert "<b>tea" not in text and "\u202e" not in text and text.count("<script") == 1 and "Content-Security-Policy" in text
    assert not re.search(r'(?:src|href)="(?!#)', text)


def test_a_line_lifts_its_pen_where_nothing_is_known():
    drawn = line_chart({"ours": np.array([1.0, np.nan, 2.0, 3.0])}, ["a", "b", "c", "d"], identity="x", title="T")
    path = re.search(r'class="line l0" d="([^"]+)"', drawn)
    assert path is not None and path[1].count("M") == 2 and path[1].count("L") == 1 and drawn.count("<circle") == 3
    assert "nan" not in line_chart({"ours": np.full(3, np.nan)}, ["a", "b", "c"], identity="x", title="T")

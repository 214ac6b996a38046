"""Tables of Nixtla and AutoGluon that we wrote ourselves come back as the items and places that they were."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales
from shelfcast.panel import SalesPanel

MONDAY = date(2024, 1, 1)
LAST = MONDAY + timedelta(days=13)


def panel(items=("bread", "tea"), locations=("Oslo", "Rome"), *, future: int = 0) -> SalesPanel:
    """Two weeks of every item at every place, with a promotion."""
    rows = [
        (item, place, MONDAY + timedelta(days=t), None if t > 13 else 3.0 + (t * (i + 2)) % 7, (t + i) % 3 == 0)
        for i, item in enumerate(items)
        for place in locations
        for t in range(14 + future)
    ]
    frame = pl.DataFrame(rows, schema=["item", "location", "date", "sales", "promo"], orient="row")
    return SalesPanel.from_frame(frame.with_columns(pl.col("promo").cast(pl.Float64)), known=["promo"], freq="D", cutoff=LAST)


def read_back(source, **rest) -> pl.DataFrame:
    """The long table that reading and cleaning make of it."""
    return clean_sales(read_sales(source, known=["promo"], **rest)).panel.to_frame()


_NAME = st.text(st.characters(categories=["L"], max_codepoint=0x24F), min_size=1, max_size=5).map(str.lower)
_KEYS = st.one_of(*(st.lists(key, min_size=1, max_size=3, unique=True) for key in (_NAME, st.integers(0, 999))))


@settings(max_examples=30, deadline=None)
@given(items=_KEYS, locations=_KEYS)
def test_a_panel_comes_back_from_nixtlas_table(items, locations):
    whole = panel(items, locations)
    assert_frame_equal(read_back(whole.to_nixtla()), whole.to_frame())


def test_a_panel_comes_back_from_autogluons_table_with_or_without_row_labels():
    pytest.importorskip("pandas")
    whole = panel((7, 11))
    table = whole.to_autogluon()
    labelled = table.set_index(["item_id", "timestamp"])
    assert_frame_equal(read_back(table), whole.to_frame())
    assert_frame_equal(read_back(labelled), whole.to_frame())
    assert list(labelled.columns) == ["target", "promo"]
    told = read_sales(labelled).told
    assert "The row labels of the given pandas frame became columns: item_id, timestamp." in told


def test_a_panel_comes_back_from_nixtlas_table_in_a_text_file(tmp_path):
    whole = panel((7, 11))
    whole.to_nixtla().write_csv(tmp_path / "nixtla.csv")
    assert_frame_equal(read_back(tmp_path / "nixtla.csv"), whole.to_frame())


def test_what_was_split_is_told_with_the_way_to_keep_it_whole():
    table = panel().to_nixtla()
    lines = read_sales(table)
    assert lines.columns["item"] == "unique_id before /" and lines.columns["location"] == "unique_id after /"
    assert any(t.startswith("Every unique_id has one /") and t.endswith("--columns item=unique_id") for t in lines.told)
    assert lines.left_out == ()
    kept = read_sales(table, columns={"item": "unique_id"})
    assert kept.frame.collect()["item"].unique().sort().to_list() == ["bread/Oslo", "bread/Rome", "tea/Oslo", "tea/Rome"]
    assert "location" not in kept.columns


@pytest.mark.parametrize("other", ["Norway", "Norway/Oslo/1", "/Oslo", "Oslo/"])
def test_ids_that_are_no_pairs_stay_whole(other):
    table = panel().to_nixtla()
    odd = table.head(14).with_columns(pl.lit(other).alias("unique_id"))
    lines = read_sales(pl.concat([table, odd]))
    assert lines.columns["item"] == "unique_id" and "location" not in lines.columns
    assert other in lines.frame.collect()["item"].to_list()


def test_the_future_table_of_split_ids_is_split_too():
    whole = panel(future=5)
    history = whole.to_nixtla().drop("promo")
    joined = (pl.col("item") + "/" + pl.col("location")).alias("unique_id")
    future = whole.to_frame().select(joined, pl.col("date").alias("ds"), "promo")
    back = clean_sales(read_sales(history, covariates=[future], known=["promo"])).panel
    assert back.series.equals(whole.series) and back.given("promo", 5).all()


def test_a_named_row_label_of_any_pandas_frame_is_a_column():
    pd = pytest.importorskip("pandas")
    days = pd.date_range("2024-01-01", periods=3, name="day")
    lines = read_sales(pd.DataFrame({"units": [1, 2, 3]}, index=days))
    assert lines.columns == {"date": "day", "sales": "units"}
    nameless = read_sales(pd.DataFrame({"day": days, "units": [1, 2, 3]}, index=[5, 6, 7]))
    assert nameless.frame.collect()["sales"].to_list() == [1.0, 2.0, 3.0] and nameless.left_out == ()

"""The quirks of data sets of which no file lies beside the project."""

from datetime import date

import polars as pl
import pytest

from shelfcast.data.read import read_sales
from shelfcast.errors import DataError


def test_m5_days_in_columns_become_rows():
    wide = pl.DataFrame({"id": ["a_CA_1_evaluation", "b_CA_1_evaluation"], "item_id": ["a", "b"], "dept_id": ["x", "x"],
                         "cat_id": ["y", "y"], "store_id": ["CA_1"] * 2, "state_id": ["CA"] * 2, "d_1": [1, 2], "d_2": [3, 4]})
    lines = read_sales(wide)
    assert lines.dialect == "m5 wide" and lines.shape == "series"
    rows = lines.frame.select("item", "location", "date", "sales").collect().sort("item", "date").rows()
    assert rows[:2] == [("a", "CA_1", date(2011, 1, 29), 1.0), ("a", "CA_1", date(2011, 1, 30), 3.0)]


def test_m5_days_in_columns_of_a_text_file(tmp_path):
    (tmp_path / "sales_train.csv").write_text("id,item_id,store_id,d_1,d_2\na_1,a,CA_1,1,2\nb_1,b,CA_1,3,4\n")
    frame = read_sales(tmp_path / "sales_train.csv").frame.collect()
    assert frame["sales"].sum() == 10 and frame.height == 4


def test_gluonts_lists_become_rows_and_need_a_frequency():
    frame = pl.DataFrame({"item_id": ["a", "b"], "start": ["2024-01-01 00:00:00", "2024-01-08"], "target": [[1.0, 2.0], [3.0]]})
    assert read_sales(frame, freq="D").frame.select("item", "date", "sales").collect().rows() == [
        ("a", date(2024, 1, 1), 1.0), ("a", date(2024, 1, 2), 2.0), ("b", date(2024, 1, 8), 3.0)]
    with pytest.raises(DataError, match="--freq D"):
        read_sales(frame)


def test_a_cancelling_invoice_begins_with_c():
    frame = pl.DataFrame({"Invoice": ["489434", "C489435", "A563185"], "StockCode": ["a"] * 3, "Quantity": [1, -1, 1],
                          "InvoiceDate": ["2009-12-01 07:45:00"] * 3, "Price": ["2.1", "2.1", "0"]})
    lines = read_sales(frame)
    assert lines.frame.collect()["cancelled"].to_list() == [False, True, False]
    assert lines.shape == "transactions" and lines.columns["price"] == "Price"


def test_nixtla_future_and_static_tables_join_by_series():
    sales = pl.DataFrame({"unique_id": ["a"], "ds": [date(2024, 1, 1)], "y": [1.0]})
    rain = pl.DataFrame({"unique_id": ["a"], "ds": [date(2024, 1, 2)], "rain": [2.0]})
    lines = read_sales(sales, covariates=[rain], known=["rain"],
                       static=pl.DataFrame({"unique_id": ["a"], "family": ["tea"]}))
    assert lines.tables[0].frame.collect_schema().names() == ["item", "date", "rain"] and lines.items.rows() == [("a", "tea")]

"""Online Retail, one and two: what is no product, what is in both halves, what things are called."""

from datetime import date, datetime

import polars as pl
import pytest

from shelfcast.data.check import check_sales
from shelfcast.data.clean import CleanSettings, clean_sales
from shelfcast.data.read import read_sales

SCHEMA = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"]


def invoice_lines(*rows):
    """Invoice, stock code, description, quantity, time."""
    return pl.DataFrame([(*row, 2.5, 17850, "United Kingdom") for row in rows], schema=SCHEMA, orient="row")


FIRST = invoice_lines(
    ("489434", "85048", "CHRISTMAS LIGHTS", 12, datetime(2009, 12, 1, 7, 45)),
    ("489435", "POST", "POSTAGE", 3, datetime(2009, 12, 1, 7, 46)),
    ("489436", "85048", "damaged", -5, datetime(2009, 12, 2, 9, 0)),
    ("536365", "85048", "CHRISTMAS LIGHTS", 6, datetime(2010, 12, 1, 8, 26)),
    ("537434", "gift_0001_20", "Dotcomgiftshop Gift Voucher £20.00", 1, datetime(2010, 12, 9, 20, 1)),
)
SECOND = invoice_lines(
    ("536365", "85048", "CHRISTMAS LIGHTS", 6, datetime(2010, 12, 1, 8, 26)),
    ("537434", "gift_0001_20", "Dotcomgiftshop Gift Voucher £20.00", 1, datetime(2010, 12, 9, 20, 1)),
    ("C538000", "85048", "CHRISTMAS LIGHTS", -6, datetime(2010, 12, 10, 9, 0)),
    ("538001", "BANK CHARGES", "Bank Charges", 1, datetime(2010, 12, 10, 10, 0)),
    ("538002", "85048", "CHRISTMAS LIGHTS", 4, datetime(2010, 12, 11, 10, 0)),
)


def workbook(path):
    """Both halves as sheets, as the repository gives them."""
    xlsxwriter = pytest.importorskip("xlsxwriter")
    with xlsxwriter.Workbook(path) as book:
        FIRST.write_excel(book, worksheet="Year 2009-2010")
        SECOND.write_excel(book, worksheet="Year 2010-2011")
    return path


def test_postage_fees_and_vouchers_are_left_out_and_counted():
    lines = read_sales(FIRST.vstack(SECOND)[5:])
    cleaned = clean_sales(lines, settings=CleanSettings(cancelled=False))
    assert cleaned.panel.series["item"].to_list() == ["85048"] and set(cleaned.rejected["reason"]) == {"no products"}
    assert cleaned.changes.filter(pl.col("rule") == "services")["rows"].to_list() == [2]
    assert check_sales(lines).named("no_products").count == 2
    kept = clean_sales(lines, settings=CleanSettings(services="keep")).panel.series["item"].to_list()
    assert kept == ["85048", "BANK CHARGES", "gift_0001_20"]


def test_days_that_both_halves_hold_are_read_once():
    frame = read_sales(FIRST.vstack(SECOND)).frame.collect()
    assert frame.height == 8 and frame.filter(pl.col("date").dt.date() == date(2010, 12, 1)).height == 1
    assert read_sales(FIRST).frame.collect().height == 5  # one half alone


def test_lines_in_another_order_lose_nothing():
    assert read_sales(FIRST.vstack(SECOND).sort("InvoiceDate", descending=True)).frame.collect().height == 10


def test_both_sheets_of_the_workbook_are_read(tmp_path):
    lines = read_sales(workbook(tmp_path / "online_retail_II.xlsx"))
    assert lines.frame.collect().height == 8
    assert any("2 of the 2 sheets" in s for s in lines.told) and not any("the first, " in s for s in lines.told)


def test_the_folder_gives_each_code_its_usual_description(tmp_path):
    workbook(tmp_path / "online_retail_II.xlsx")
    items = read_sales(tmp_path).items
    assert dict(items.rows())["85048"] == "CHRISTMAS LIGHTS"


@pytest.mark.data
def test_the_real_folder_knows_what_is_no_product(public_data):
    lines = read_sales(public_data / "online_retail")
    counted = lines.frame.group_by("item").agg(pl.col("service").first(), pl.len()).filter("service").collect()
    assert counted.height == 16 and counted["len"].sum() == 2_946
    assert dict(lines.items.rows())["85123A"] == "WHITE HANGING HEART T-LIGHT HOLDER"

"""Dominick's: movement files by category, and the orange juice of bayesm."""

from datetime import date
from math import log

import polars as pl
import pytest

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales

HEAD = "STORE,UPC,WEEK,MOVE,QTY,PRICE,SALE,PROFIT,OK\n"
BEER = HEAD + "2,1820000008,91,8,1,3.69,,25.0,1\n2,1820000008,92,20,2,6.00,B,20.0,1\n2,1820000008,93,0,1,0,,0,1\n" \
              "2,1820000008,94,77,1,9.99,,9,0\n"
CHEESE = HEAD + "5,2100061526,91,11,1,2.19,S,30.1,1\n"
UPC = "COM_CODE,UPC,DESCRIP,SIZE,CASE,NITEM\n27,1820000008,BUDWEISER BEER,6/12O,4,1\n27,1820000009,OTHER BEER,6/12O,4,1\n"
DEMO = "MMID,NAME,CITY,ZIP,LAT,LONG,STORE,AGE9,INCOME\n1,DOMINICKS 2,RIVER FOREST,60305,419081,878134,2,0.11,10.5\n" \
       "2,DOMINICKS 5,PARK RIDGE,60068,420392,878425,5,0.10,10.9\n3,,,,,,,,\n"


def test_categories_are_read_together_with_the_price_of_one_piece(written):
    lines = read_sales(written({"wber.csv": BEER, "wche.csv": CHEESE, "upcber.csv": UPC, "demo.csv": DEMO}))
    rows = lines.frame.select("item", "location", "date", "sales", "price", "promo").collect().rows()
    assert rows[0] == (1820000008, 2, date(1991, 6, 6), 8.0, 3.69, 0.0)
    assert rows[1][3:] == (20.0, 3.0, 1.0) and rows[2][3:5] == (0.0, None)
    assert rows[4][:2] == (2100061526, 5) and rows[4][5] == 1.0
    assert lines.items["DESCRIP"].to_list() == ["BUDWEISER BEER", "OTHER BEER"]
    assert lines.places.height == 2 and "LAT" not in [c.upper() for c in lines.places.columns]


def test_rows_that_the_archive_calls_suspect_are_not_known(written):
    panel = clean_sales(read_sales(written({"wber.csv": BEER}))).panel
    assert panel.dense().sales.tolist() == [[8.0, 20.0, 0.0]] and str(panel.frequency) == "W-THU"


def test_the_orange_juice_of_three_brands_is_a_file_by_itself(written):
    text = "store,brand,week,logmove,feat,price,AGE60\n" + "".join(
        f"2,{b},{w},{log(64 * k)},{int(k == 2)},{k}.5,0.2\n" for b, k in (("tropicana", 1), ("minute.maid", 2)) for w in (40, 41))
    lines = read_sales(written({"oj.csv": text}) / "oj.csv")
    rows = lines.frame.select("item", "date", "sales", "price", "promo").collect().rows()
    assert rows[0] == ("tropicana", date(1990, 6, 14), 64.0, 1.5, 0.0) and rows[2][2:] == (128.0, 2.5, 1.0)


@pytest.mark.data
def test_the_orange_juice_folder_takes_deals_and_demographics(public_data):
    lines = read_sales(public_data / "dominicks_oj")
    assert lines.covariates == {"deal": "past", "price": "past", "promo": "past"} and lines.places.height == 83
    assert lines.frame.select(pl.len()).collect().item() == 106_139

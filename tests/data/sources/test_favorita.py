"""Favorita's folders: promotions and holidays reach past the last sale, and holidays are those of the store's own town."""

from datetime import date

import polars as pl
import pytest

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales

STORES = ("store_nbr,city,state,type,cluster\n1,Quito,Pichincha,D,13\n2,Manta,Manabi,B,6\n")
OIL = "date,dcoilwtico\n2017-08-10,48.5\n2017-08-11,48.8\n2017-08-14,47.6\n2017-08-18,48.6\n"
HOLIDAYS = """date,type,locale,locale_name,description,transferred
2016-04-17,Event,National,Ecuador,Terremoto Manabi+1,False
2017-08-10,Holiday,National,Ecuador,Primer Grito de Independencia,True
2017-08-11,Transfer,National,Ecuador,Traslado Primer Grito de Independencia,False
2017-08-14,Event,National,Ecuador,Black Friday,False
2017-08-15,Holiday,Local,Manta,Fundacion de Manta,False
2017-08-16,Holiday,Regional,Pichincha,Provincializacion Pichincha,False
2017-08-19,Work Day,National,Ecuador,Recupero Puente Navidad,False
2017-08-20,Holiday,Local,Loja,Independencia de Loja,False
"""
VISITS = "date,store_nbr,transactions\n2017-08-14,1,1500\n2017-08-15,2,900\n"
TRAIN = """id,date,store_nbr,item_nbr,unit_sales,onpromotion
0,2017-08-12,1,103665,7.0,False
1,2017-08-13,1,103665,-1.0,False
2,2017-08-15,1,103665,2.5,True
3,2017-08-12,2,105574,3.0,
4,2017-08-14,2,105574,4.0,False
"""
TEST = ("id,date,store_nbr,item_nbr,onpromotion\n5,2017-08-16,1,103665,True\n6,2017-08-17,1,103665,False\n"
        "7,2017-08-16,2,105574,False\n8,2017-08-17,2,105574,True\n")
ITEMS = "item_nbr,family,class,perishable\n103665,BREAD/BAKERY,2712,1\n105574,GROCERY I,1045,0\n105575,GROCERY I,1045,0\n"
ALL = {"train.csv": TRAIN, "test.csv": TEST, "items.csv": ITEMS, "stores.csv": STORES, "oil.csv": OIL,
       "holidays_events.csv": HOLIDAYS, "transactions.csv": VISITS, "sample_submission.csv": "id,unit_sales\n5,0\n"}


def table_with(lines, column):
    """The table beside the sales that has a column."""
    return next(t.frame for t in lines.tables if column in t.frame.collect_schema()).collect()


def test_the_folder_is_told_in_one_sentence_and_everything_is_joined(written):
    lines = read_sales(written(ALL))
    assert lines.dialect == "favorita" and lines.shape == "transactions"
    assert lines.told[0].endswith(" is recognised as Corporación Favorita Grocery Sales "
                             "Forecasting: train.csv holds the sales, test.csv, items.csv, stores.csv, oil.csv, "
                             "holidays_events.csv and transactions.csv are joined to them.")
    assert "Not used of the folder: sample_submission.csv." in lines.told
    assert lines.covariates["promo"] == lines.covariates["holiday_local"] == "known"
    assert lines.covariates["dcoilwtico"] == lines.covariates["transactions"] == "past"
    assert lines.items.columns == ["item", "family", "class", "perishable"] and lines.places.height == 2


def test_promotions_after_the_last_sale_come_from_the_test_file(written):
    panel = clean_sales(read_sales(written(ALL), freq="D")).panel
    dense = panel.dense(horizon=2, covariates=["promo"])
    assert panel.horizon_given() >= 2 and dense.known["promo"][:, -2:].tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_days_without_a_row_sold_nothing_and_returns_are_set_apart(written):
    panel = clean_sales(read_sales(written(ALL), freq="D")).panel
    assert panel.dense().sales.tolist() == [[7.0, 0.0, 0.0, 2.5], [3.0, 0.0, 4.0, 0.0]]


def test_a_holiday_is_of_the_nation_the_state_or_the_town_and_a_transferred_one_is_an_ordinary_day(written):
    days = table_with(read_sales(written(ALL)), "holiday_name")
    at = {(r["location"], r["date"].day): r for r in days.filter(pl.col("date") >= date(2017, 8, 1)).iter_rows(named=True)}
    assert at[1, 10]["holiday_national"] == 0 and at[1, 11]["holiday_national"] == at[2, 11]["holiday_national"] == 1
    assert at[1, 11]["holiday_name"] == "Primer Grito de Independencia" and at[1, 12]["holiday_name"] == "none"
    assert (at[1, 15]["holiday_local"], at[2, 15]["holiday_local"]) == (0, 1)
    assert (at[1, 16]["holiday_regional"], at[2, 16]["holiday_regional"]) == (1, 0)
    assert at[1, 14]["event"] == "Black Friday" and at[1, 14]["holiday_national"] == 0
    assert at[1, 19]["work_day"] == 1 and at[1, 19]["holiday_national"] == 0
    assert at[1, 20]["holiday_name"] == at[2, 20]["holiday_name"] == "none"  # of a town without a store


def test_nobody_knew_the_earthquake_ahead(written):
    days = table_with(read_sales(written(ALL)), "event")
    assert not days["event"].str.contains("Terremoto").any()


def test_the_price_of_oil_stands_over_days_without_trading_and_is_known_only_if_the_user_says_so(written):
    folder = written(ALL)
    oil = table_with(read_sales(folder), "dcoilwtico").sort("date")
    assert oil["dcoilwtico"].to_list() == [48.5, 48.8, 48.8, 48.8, 47.6, 47.6, 47.6, 47.6, 48.6]
    assert read_sales(folder, known=["dcoilwtico"]).covariates["dcoilwtico"] == "known"


def test_the_later_competition_is_by_family_and_counts_promotions(written):
    train = "id,date,store_nbr,family,sales,onpromotion\n0,2017-08-14,1,EGGS,5.0,3\n1,2017-08-15,1,EGGS,0.0,0\n"
    test = "id,date,store_nbr,family,onpromotion\n2,2017-08-16,1,EGGS,4\n"
    files = {**ALL, "train.csv": train, "test.csv": test}
    del files["items.csv"]
    lines = read_sales(written(files))
    assert lines.dialect == "favorita families" and lines.columns["item"] == "family"
    panel = clean_sales(lines).panel
    assert panel.dense(horizon=1, covariates=["promo"]).known["promo"].tolist() == [[3.0, 0.0, 4.0]]


def test_files_named_one_by_one_give_the_nations_holidays_and_the_same_attributes(written):
    folder = written(ALL)
    lines = read_sales(folder / "train.csv", covariates=[folder / "holidays_events.csv", folder / "test.csv"],
                       known=["holiday_national", "onpromotion"], static=[folder / "items.csv", folder / "stores.csv"])
    days = table_with(lines, "holiday_national")
    assert days.filter(pl.col("holiday_national") == 1)["date"].to_list() == [date(2017, 8, 11)]
    assert lines.items.height == 3 and lines.places.columns == ["location", "city", "state", "type", "cluster"]
    assert any("give the whole folder" in s for s in lines.told)


@pytest.mark.parametrize("gone", ["test.csv", "stores.csv", "oil.csv"])
def test_a_file_that_is_missing_is_named_with_where_it_is_found(written, gone):
    files = {n: t for n, t in ALL.items() if n != gone}
    told = next(s for s in read_sales(written(files)).told if s.startswith("Not in the folder"))
    assert gone in told and "the Kaggle competition" in told

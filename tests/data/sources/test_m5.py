"""M5's folder: days in columns, prices by Walmart's weeks, food stamps of the store's own state."""

from datetime import date

import pytest

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError

CALENDAR = """date,wm_yr_wk,weekday,wday,month,year,d,event_name_1,event_type_1,event_name_2,event_type_2,snap_CA,snap_TX,snap_WI
2011-01-29,11101,Saturday,1,1,2011,d_1,,,,,0,0,0
2011-01-30,11101,Sunday,2,1,2011,d_2,,,,,0,0,0
2011-01-31,11101,Monday,3,1,2011,d_3,SuperBowl,Sporting,,,1,0,0
2011-02-01,11101,Tuesday,4,2,2011,d_4,,,,,1,1,0
2011-02-02,11101,Wednesday,5,2,2011,d_5,,,,,0,1,0
"""
PRICES = ("store_id,item_id,wm_yr_wk,sell_price\nCA_1,FOODS_1_001,11101,2.5\nTX_1,FOODS_1_001,11101,2.25\n"
          "CA_1,HOBBIES_2_009,11101,9\n")
EVALUATION = """id,item_id,dept_id,cat_id,store_id,state_id,d_1,d_2,d_3
FOODS_1_001_CA_1_evaluation,FOODS_1_001,FOODS_1,FOODS,CA_1,CA,3,0,1
FOODS_1_001_TX_1_evaluation,FOODS_1_001,FOODS_1,FOODS,TX_1,TX,0,2,0
"""
VALIDATION = "\n".join(line.rsplit(",", 1)[0] for line in EVALUATION.splitlines()) + "\n"
ALL = {"calendar.csv": CALENDAR, "sell_prices.csv": PRICES, "sales_train_evaluation.csv": EVALUATION,
       "sales_train_validation.csv": VALIDATION}


def test_the_longer_file_is_read_with_prices_and_events_past_the_last_sale(written):
    lines = read_sales(written(ALL))
    assert lines.covariates == {"event_name_1": "known", "event_type_1": "known", "event_name_2": "known", "event_type_2": "known",
                                "snap": "known", "price": "known"}
    panel = clean_sales(lines).panel
    dense = panel.dense(horizon=2, covariates=["snap", "price", "event_name_1"])
    assert dense.known["snap"].tolist() == [[0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert dense.known["price"].tolist() == [[2.5] * 5, [2.25] * 5]
    assert panel.items.row(0) == ("FOODS_1_001", "FOODS_1", "FOODS") and panel.places.rows() == [("CA_1", "CA"), ("TX_1", "TX")]


def test_zeros_before_the_first_sale_say_that_an_item_was_not_there_yet(written):
    frame = read_sales(written(ALL)).frame.select("location", "date", "sales").collect().sort("location", "date")
    assert frame.filter(frame["location"] == "TX_1").rows() == [("TX_1", date(2011, 1, 30), 2.0), ("TX_1", date(2011, 1, 31), 0.0)]
    assert frame.height == 5


def test_the_shorter_file_is_taken_where_it_is_alone(written):
    files = {n: t for n, t in ALL.items() if n != "sales_train_evaluation.csv"}
    lines = read_sales(written(files))
    assert lines.told[0].split(": ")[1].startswith("sales_train_validation.csv holds the sales")
    assert lines.frame.collect().height == 3


def test_what_the_user_names_goes_before_the_folder(written):
    folder = written(ALL)
    lines = read_sales(folder, past=["sell_price"], known=["snap_TX"])
    assert lines.covariates["price"] == "past" and lines.covariates["snap_TX"] == "known"
    renamed = read_sales(folder, columns={"item": "dept_id"})
    assert renamed.columns["item"] == "dept_id" and "price" not in renamed.covariates and renamed.items is None
    assert any(s.startswith("sell_prices.csv is left out") for s in renamed.told)


def test_without_the_sales_the_folder_says_which_file_is_missing(written):
    with pytest.raises(DataError, match=r"sales_train_evaluation\.csv.*is missing\. It is one of the files of the Kaggle"):
        read_sales(written({"calendar.csv": CALENDAR, "sell_prices.csv": PRICES}))


@pytest.mark.data
def test_the_real_sample_is_recognised_though_its_sales_file_has_another_name(public_data):
    lines = read_sales(public_data / "m5")
    assert lines.covariates["snap"] == lines.covariates["price"] == "known"
    assert set(lines.items["dept_id"]) == {"FOODS_1", "FOODS_2", "FOODS_3", "HOBBIES_1", "HOBBIES_2", "HOUSEHOLD_1", "HOUSEHOLD_2"}
    assert sorted(set(lines.places["state_id"])) == ["CA", "TX", "WI"]

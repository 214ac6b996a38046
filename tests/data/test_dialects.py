"""Columns are recognised by the names that people and libraries give them."""

from datetime import date, datetime

import polars as pl
import pytest

from shelfcast.data.read import read_sales
from shelfcast.errors import DataError, SettingsError, UnknownNameError

DAY = date(2024, 3, 1)


def _one(**columns):
    return pl.DataFrame({name: [value] for name, value in columns.items()})


@pytest.mark.parametrize(("columns", "roles"), [
    ({"store_nbr": 1, "SKU": "a", "Order Date": DAY, "Units Sold": 3}, ("SKU", "store_nbr", "Order Date", "Units Sold")),
    ({"Filiale": 1, "Artikelnummer": "a", "Datum": DAY, "Menge": 3}, ("Artikelnummer", "Filiale", "Datum", "Menge")),
    ({"门店": 1, "商品编码": "a", "日期": DAY, "销量": 3}, ("商品编码", "门店", "日期", "销量")),
    ({"date": DAY, "store_nbr": 1, "item_nbr": 2, "unit_sales": 3.0}, ("item_nbr", "store_nbr", "date", "unit_sales")),
    ({"date": DAY, "store_nbr": 1, "family": "EGGS", "sales": 3.0}, ("family", "store_nbr", "date", "sales")),
    ({"unique_id": "a", "ds": DAY, "y": 3.0}, ("unique_id", None, "ds", "y")),
    ({"item_id": "a", "timestamp": DAY, "target": 3.0}, ("item_id", None, "timestamp", "target")),
    ({"id": "x", "item_id": "a", "store_id": "CA_1", "date": DAY, "sales": 3}, ("item_id", "store_id", "date", "sales")),
])
def test_common_names_and_dialects_are_recognised(columns, roles):
    found = read_sales(_one(**columns)).columns
    assert tuple(found.get(r) for r in ("item", "location", "date", "sales")) == roles


def test_the_choice_is_told():
    assert "By their names, in the given polars frame: item from sku, date from day, sales from qty." in read_sales(
        _one(sku="a", day=DAY, qty=1)).told


@pytest.mark.parametrize(("columns", "flag"), [
    ({"date": DAY, "sales": 10.5, "quantity": 2}, "--columns sales=quantity"),
    ({"order_date": DAY, "sales_date": DAY, "sales": 1}, "--columns date=order_date"),
    ({"date": DAY, "sku": "a", "product_id": "b", "sales": 1}, "--columns item=sku"),
])
def test_two_candidates_are_an_error_with_the_flag_to_write(columns, flag):
    with pytest.raises(DataError, match="could be the") as caught:
        read_sales(_one(**columns))
    assert flag in str(caught.value)


def test_what_the_user_names_settles_it():
    lines = read_sales(_one(date=DAY, sales=10.5, quantity=2), columns={"sales": "quantity"})
    assert lines.columns["sales"] == "quantity" and lines.left_out == ("sales",)


def test_wrong_roles_and_columns_are_refused_with_a_suggestion():
    frame = _one(store=1, date=DAY, sales=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'location'"):
        read_sales(frame, columns={"locaton": "store"})
    with pytest.raises(UnknownNameError, match="Did you mean 'store'"):
        read_sales(frame, columns={"location": "Store"})
    with pytest.raises(UnknownNameError, match="Write role=column"):
        read_sales(frame, columns={"store": "location"})
    with pytest.raises(SettingsError, match="named for both"):
        read_sales(frame, columns={"location": "store", "item": "store"})


def test_a_covariate_that_is_nowhere_says_where_was_looked(tmp_path):
    _one(date=DAY, rain=1.0).write_parquet(tmp_path / "weather.parquet")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'rain'.*Looked in the given polars frame and weather\.parquet"):
        read_sales(_one(date=DAY, sales=1), covariates=[tmp_path / "weather.parquet"], known=["rian"])


def test_prices_are_past_unless_named_known():
    frame = _one(date=DAY, sales=1, Price=2.0)
    assert read_sales(frame).covariates == {"price": "past"}
    assert read_sales(frame, known=["Price"]).covariates == {"price": "known"}
    assert read_sales(frame, known=["price"]).covariates == {"price": "known"}


def test_repeated_keys_or_invoices_or_times_make_transactions():
    many = pl.DataFrame({"item": ["a"] * 10, "date": [DAY] * 10, "sales": [1] * 10})
    assert read_sales(many).shape == "transactions"
    slip = pl.DataFrame({"item": ["a"] * 31, "date": [date(2024, 3, d) for d in [*range(1, 31), 30]], "sales": [1] * 31})
    assert read_sales(slip).shape == "series"  # one day sent twice is a mistake, not a habit
    assert read_sales(_one(item="a", date=DAY, sales=1, receipt_id=7)).shape == "transactions"
    assert read_sales(_one(item="a", date=datetime(2024, 3, 1, 9, 17), sales=1)).shape == "transactions"
    assert read_sales(_one(item="a", date=datetime(2024, 3, 1, 9), sales=1)).shape == "series"


def test_keys_of_other_tables_take_the_types_of_the_sales(tmp_path):
    pl.DataFrame({"STORE": ["1", "2"], "size": [10, 20]}).write_csv(tmp_path / "stores.csv")
    sales = pl.DataFrame({"store": pl.Series([1, 2], dtype=pl.Int32), "date": [DAY] * 2, "sales": [1, 2]})
    places = read_sales(sales, static=tmp_path / "stores.csv").places
    assert places.schema == {"location": pl.Int32, "size": pl.Float64}


def test_coordinates_and_attributes_of_places_are_put_together():
    sales = pl.DataFrame({"shop": [1, 2], "date": [DAY] * 2, "sales": [1, 2]})
    lines = read_sales(sales, static=pl.DataFrame({"shop": [1, 2], "type": ["a", "b"]}),
                       places=pl.DataFrame({"Shop": [2, 1], "lat": [50.0, 51.0], "lng": [8.0, 9.0]}))
    assert lines.places.sort("location").rows() == [(1, 51.0, 9.0, "a"), (2, 50.0, 8.0, "b")]
    assert lines.places.columns == ["location", "latitude", "longitude", "type"]


@pytest.mark.parametrize(("key", "north", "east"), [
    ("store_nbr", "store_lat", "store_lon"), ("Store Number", "GPS Latitude", "GPS Longitude"),
    ("Filiale", "Breitengrad", "Längengrad"), ("门店编号", "纬度", "经度"), ("location", "y", "x"),
])
def test_coordinates_are_recognised_however_a_table_of_stores_calls_them(key, north, east, tmp_path):
    sales = pl.DataFrame({"shop": ["a", "b"], "date": [DAY] * 2, "sales": [1, 2]})
    pl.DataFrame({key: ["b", "a"], north: [50.5, 51.0], east: [8.0, 9.0]}).write_csv(tmp_path / "stores.csv")
    lines = read_sales(sales, places=tmp_path / "stores.csv")
    assert lines.places.sort("location").rows() == [("a", 51.0, 9.0), ("b", 50.5, 8.0)]
    assert any(f"latitude from {north}, longitude from {east}" in said for said in lines.told)


def test_a_table_of_places_none_of_which_sells_is_refused():
    sales = pl.DataFrame({"shop": ["a", "b"], "date": [DAY] * 2, "sales": [1, 2]})
    with pytest.raises(DataError, match=r"No location of .* is in the sales: it has X1, X2, the sales have a, b"):
        read_sales(sales, places=pl.DataFrame({"shop": ["X1", "X2"], "lat": [1.0, 2.0], "lon": [3.0, 4.0]}))


def test_attributes_that_repeat_a_key_name_it():
    with pytest.raises(DataError, match="more than one row for the item a "):
        read_sales(_one(item="a", date=DAY, sales=1), static=pl.DataFrame({"item": ["a", "a"], "family": ["x", "y"]}))


def test_a_table_for_other_places_is_refused():
    with pytest.raises(DataError, match="No location of the given polars frame is in the sales: it has 101"):
        read_sales(_one(store=1, date=DAY, sales=1), covariates=[_one(store=101, date=DAY, rain=1.0)], known=["rain"])


def test_keys_of_a_text_file_are_numbers_only_where_nothing_is_lost(tmp_path):
    (tmp_path / "sales.csv").write_text("store,item,date,sales\n1,007,2024-03-01,3\n2,8,2024-03-01,4\n")
    frame = read_sales(tmp_path / "sales.csv").frame.collect()
    assert frame["location"].to_list() == [1, 2] and frame["item"].to_list() == ["007", "8"]


def test_aware_times_become_wall_times():
    frame = pl.DataFrame({"date": pl.Series([datetime(2024, 3, 1, 12)]).dt.replace_time_zone("Asia/Tokyo"), "sales": [1]})
    lines = read_sales(frame)
    assert lines.frame.collect()["date"][0] == datetime(2024, 3, 1, 12) and any("Asia/Tokyo" in s for s in lines.told)


def test_yes_and_no_are_a_promotion_and_names_of_promotions_are_not(tmp_path):
    (tmp_path / "a.csv").write_text("date,sales,onpromotion\n2024-03-01,1,True\n2024-03-02,2,False\n")
    (tmp_path / "b.csv").write_text("date,sales,promo\n2024-03-01,1,BOGO\n2024-03-02,2,\n")
    assert read_sales(tmp_path / "a.csv").frame.collect()["promo"].to_list() == [1.0, 0.0]
    lines = read_sales(tmp_path / "b.csv")
    assert "promo" not in lines.columns and lines.left_out == ("promo",)
    assert "promo holds words, so it is not taken for the promo." in lines.told


def test_a_covariate_that_has_a_word_of_ours_is_called_by_it():
    lines = read_sales(_one(date=DAY, sales=1, OnPromotion=1), known=["OnPromotion"])
    assert lines.covariates == {"promo": "known"} and "OnPromotion is called promo from here on." in lines.told


def test_a_blank_line_is_no_sale_and_row_numbers_still_count_it(tmp_path):
    (tmp_path / "sales.csv").write_text("date,sales\n2024-03-01,1\n\n2024-03-03,3\n\n\n")
    lines = read_sales(tmp_path / "sales.csv")
    assert lines.frame.select("row", "sales").collect().rows() == [(0, 1.0), (2, 3.0)] and lines.first_line == 2

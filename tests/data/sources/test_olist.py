"""Olist's folder: order lines become sales of the customer's state."""

from datetime import datetime

import pytest

from shelfcast.data.read import read_sales
from shelfcast.errors import DataError

ALL = {
    "olist_orders_dataset.csv": "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at\n"
                                "o1,c1,delivered,2017-10-02 10:56:33,2017-10-02 11:07:15\n"
                                "o2,c2,canceled,2017-10-03 09:00:00,\no3,c3,shipped,2017-10-04 12:00:00,2017-10-04 12:10:00\n",
    "olist_order_items_dataset.csv": "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value\n"
                                     "o1,1,p1,s1,2017-10-06 11:07:15,29.99,8.72\no1,2,p1,s1,2017-10-06 11:07:15,29.99,8.72\n"
                                     "o2,1,p1,s1,2017-10-06 11:07:15,29.99,8.72\no3,1,p2,s1,2017-10-08 11:07:15,118.7,22.76\n",
    "olist_customers_dataset.csv": "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state\n"
                                   "c1,u1,03149,sao paulo,SP\nc2,u2,47813,barreiras,BA\nc3,u3,75265,vianopolis,GO\n",
    "olist_products_dataset.csv": "product_id,product_category_name,product_name_lenght,product_weight_g\n"
                                  "p1,utilidades_domesticas,40,500\np2,,29,400\n",
    "olist_sellers_dataset.csv": "seller_id,seller_zip_code_prefix,seller_city,seller_state\ns1,09350,maua,SP\n",
    "olist_geolocation_dataset.csv":
        "geolocation_zip_code_prefix,geolocation_lat,geolocation_lng,geolocation_city,geolocation_state\n"
        "01037,-23.5,-46.6,sao paulo,SP\n01046,45.1,7.7,sao paulo,SP\n75265,-16.7,-48.5,vianopolis,GO\n",
    "product_category_name_translation.csv":
        "product_category_name,product_category_name_english\nutilidades_domesticas,housewares\n",
}


def test_each_order_line_is_one_piece_in_the_state_of_the_customer(written):
    lines = read_sales(written(ALL))
    rows = lines.frame.select("item", "location", "date", "sales", "price").collect().sort("date").rows()
    assert rows == [("p1", "SP", datetime(2017, 10, 2, 10, 56, 33), 1.0, 29.99)] * 2 + [
        ("p2", "GO", datetime(2017, 10, 4, 12), 1.0, 118.7)]
    assert lines.shape == "transactions"
    items = {r["item"]: r for r in lines.items.iter_rows(named=True)}
    assert items["p1"]["product_category_name_english"] == "housewares"
    assert sorted(lines.places.rows()) == [("GO", -16.7, -48.5), ("SP", -23.5, -46.6)]  # not the point in Italy


def test_categories_and_the_sellers_state_can_be_asked_for(written):
    lines = read_sales(written(ALL), columns={"item": "product_category_name", "location": "seller_state"})
    frame = lines.frame.select("item", "location").collect()
    assert set(frame.rows()) == {("utilidades_domesticas", "SP"), ("none", "SP")}
    assert lines.items is None and lines.places is None
    assert sum("is left out: it is joined by" in s for s in lines.told) == 2


@pytest.mark.parametrize("gone", ["olist_orders_dataset.csv", "olist_customers_dataset.csv"])
def test_a_file_without_which_nothing_can_be_read_is_named(written, gone):
    with pytest.raises(DataError, match=rf"{gone} .* is missing\. It is one of the files of the Kaggle data set"):
        read_sales(written({n: t for n, t in ALL.items() if n != gone}))


def test_a_file_by_itself_says_what_it_lacks(written):
    folder = written(ALL)
    with pytest.raises(DataError, match=r"do not say when they were ordered\. Give the folder"):
        read_sales(folder / "olist_order_items_dataset.csv")
    with pytest.raises(DataError, match="do not say what was ordered"):
        read_sales(folder / "olist_orders_dataset.csv")

"""Instacart has no dates, and the refusal says why and what can be done."""

import pytest

from shelfcast.data.read import read_sales
from shelfcast.errors import DataError

ALL = {"orders.csv": "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order\n"
                     "1,1,prior,1,2,8,\n",
       "order_products__prior.csv": "order_id,product_id,add_to_cart_order,reordered\n1,196,1,0\n",
       "products.csv": "product_id,product_name,aisle_id,department_id\n196,Soda,77,7\n",
       "aisles.csv": "aisle_id,aisle\n77,soft drinks\n",
       "departments.csv": "department_id,department\n7,beverages\n"}


def test_the_folder_is_refused_with_the_reason(written):
    with pytest.raises(DataError, match=r"recognised as Instacart Market Basket Analysis\. Its orders have no dates"):
        read_sales(written(ALL))


@pytest.mark.parametrize("name", ["orders.csv", "order_products__prior.csv"])
def test_a_file_by_itself_is_refused_too(written, name):
    with pytest.raises(DataError, match="no dates, only days_since_prior_order"):
        read_sales(written(ALL) / name)


def test_dates_that_the_user_has_joined_are_taken(written):
    text = "order_id,product_id,add_to_cart_order,reordered,day,pieces\n1,196,1,0,2017-01-02,1\n2,196,1,1,2017-01-03,2\n"
    lines = read_sales(written({"mine.csv": text}) / "mine.csv", columns={"date": "day", "sales": "pieces", "item": "product_id"})
    assert lines.frame.collect()["sales"].to_list() == [1.0, 2.0]

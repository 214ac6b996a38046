"""The Complete Journey's folder: baskets, products, and promotions of what was sold."""

import pytest

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales

BASKETS = """household_id,store_id,basket_id,product_id,quantity,sales_value,week,transaction_timestamp
1,337,31,1000050,2,3.0,2,1483455600
1,337,32,1000050,1,1.5,2,1483542000
2,337,33,1000092,4,2.0,2,1483628400
"""
PRODUCTS = """product_id,manufacturer_id,department,brand,product_category,product_type,package_size
1000050,7,GROCERY,National,SOUP,CHICKEN,12 OZ
1000092,8,DRUG,Private,SOAP,BAR,
"""
PROMOTIONS = """product_id,store_id,display_location,mailer_location,week
1000050,337,3,0,2
1000050,999,0,A,2
5,337,0,A,2
"""


@pytest.mark.parametrize("ending", ["", "_sample"])
def test_products_and_promotions_are_joined_to_the_baskets(written, ending):
    lines = read_sales(written({f"transactions{ending}.csv": BASKETS, f"promotions{ending}.csv": PROMOTIONS,
                                "products.csv": PRODUCTS, "coupons.csv": "coupon_upc,product_id,campaign_id\n1,5,26\n"}))
    assert "The Complete Journey" in lines.told[0] and "Not used of the folder: coupons.csv." in lines.told
    assert lines.covariates["display_location"] == "past"
    panel = clean_sales(lines).panel
    assert panel.absent == "zero" and panel.dense(covariates=[]).sales[0].tolist() == [2, 1, 0]
    assert panel.items["department"].to_list() == ["GROCERY", "DRUG"]
    promotions = lines.tables[0].frame.collect()
    assert promotions.height == 7 and promotions["location"].cast(str).unique().to_list() == ["337"]

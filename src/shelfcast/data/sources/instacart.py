"""Instacart: baskets of 206,209 users (2017), without dates: refused, with the reason.

An order says its number, weekday and hour, and how many days after the user's order before it was made (30 for 30 or more). So one
user's orders can be laid out from his own day 0, but not against another's: there is no day on which two users can be added up, and
no quantity, price or shop.
"""

from typing import Final

from shelfcast.data.sources.bundle import Bundle, File
from shelfcast.data.sources.dialect import Dialect

_WHY: Final = (
    "Its orders have no dates, only days_since_prior_order: days within one user's own orders, cut at 30. Orders of different "
    "users cannot be put on one calendar, so there are no sales by day, and nothing to forecast by item and place. Baskets and "
    "reorders can be studied with it, forecasts cannot be made. If you have dates of your own, join them and name the columns: "
    "--columns date=...,item=product_id,sales=...")
ORDERS = Dialect(name="instacart", title="Instacart orders",
                 signature=("order_id", "user_id", "order_dow", "days_since_prior_order"),
                 refuse=f"This is Instacart's orders.csv. {_WHY}")
LINES = Dialect(name="instacart", title="Instacart order lines",
                signature=("order_id", "product_id", "add_to_cart_order", "reordered"),
                refuse=f"These are Instacart's order lines. {_WHY}")

BUNDLE = Bundle(
    name="instacart",
    title="Instacart Market Basket Analysis",
    origin="the Kaggle competition 'Instacart Market Basket Analysis'",
    sales="orders.csv",
    dialects=(ORDERS,),
    files=(
        File(name="orders.csv", holds="orders of users: number, weekday, hour, days since the order before", needed=True),
        File(name="order_products__prior.csv", holds="products of earlier orders", telling=True),
        File(name="order_products__train.csv", holds="products of the last orders", telling=True),
        File(name="products.csv", holds="names, aisle and department of products"),
        File(name="aisles.csv", holds="names of aisles", telling=True),
        File(name="departments.csv", holds="names of departments"),
    ),
    refuse=_WHY,
    notes=("It cannot be read as sales, and says so. " + _WHY,),
    example="shelfcast check instacart/",
)

"""Olist: orders of Brazilian web shops, 2016 to 2018 (Kaggle). Sales are order lines; a place is the customer's state.

A line is one piece of one product. Cancelled orders are left out: what was not delivered was paid back. Most products are sold once
or twice; their category is the item that can be forecast (`--columns item=product_category_name`).
"""

from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_number, as_text, plain_names
from shelfcast.data.sources.dialect import Dialect

_ORDERS: Final = "olist_orders_dataset.csv"
_ITEMS: Final = "olist_order_items_dataset.csv"
_PRODUCTS: Final = "olist_products_dataset.csv"
_CUSTOMERS: Final = "olist_customers_dataset.csv"
_SELLERS: Final = "olist_sellers_dataset.csv"
_WHERE: Final = "olist_geolocation_dataset.csv"
_ENGLISH: Final = "product_category_name_translation.csv"
_CATEGORY: Final = "product_category_name"
_BRAZIL: Final = ((-34.0, 5.5), (-74.0, -34.0))  # degrees; the file has points in other continents

_FOLDER: Final = ("Give the folder with olist_orders_dataset.csv, olist_order_items_dataset.csv and olist_customers_dataset.csv: "
                  "they are joined.")
LINES = Dialect(
    name="olist",
    title="Olist order lines",
    signature=("order_purchase_timestamp", "product_id", "customer_state", "units"),
    roles={"item": "product_id", "location": "customer_state", "date": "order_purchase_timestamp", "sales": "units",
           "price": "price"},
    shape="transactions",
    notes=("Each order line is one piece; its place is the customer's state. For the seller's: --columns location=seller_state. "
           "Most products are sold once or twice; for their categories: --columns item=product_category_name",
           "Olist's last orders, from September 2018 on, are few: the data end there. --cutoff 2018-08-28 leaves them out."),
)
ORDER_ITEMS = Dialect(name="olist items", title="Olist order lines",
                      signature=("order_id", "order_item_id", "product_id", "seller_id"),
                      also=lambda names: "order_purchase_timestamp" not in names,
                      refuse=f"Olist's order lines do not say when they were ordered. {_FOLDER}")
ORDERS = Dialect(name="olist orders", title="Olist orders", signature=("order_id", "customer_id", "order_purchase_timestamp"),
                 also=lambda names: "product_id" not in names, refuse=f"Olist's orders do not say what was ordered. {_FOLDER}")


def _lines(frames: Frames) -> pl.LazyFrame:
    """Order lines with the time of the order and the states of customer and seller."""
    orders, items = plain_names(frames[_ORDERS]), plain_names(frames[_ITEMS])
    customers = plain_names(frames[_CUSTOMERS]).select("customer_id", "customer_state")
    kept = orders.filter(as_text("order_status") != "canceled").select("order_id", "customer_id", "order_purchase_timestamp")
    lines = items.select("order_id", "product_id", "seller_id", "price", "freight_value").join(kept, on="order_id", how="inner")
    lines = lines.join(customers, on="customer_id", how="left").drop("customer_id")
    if _SELLERS in frames:
        lines = lines.join(plain_names(frames[_SELLERS]).select("seller_id", "seller_state"), on="seller_id", how="left")
    if _PRODUCTS in frames:
        lines = lines.join(plain_names(frames[_PRODUCTS]).select("product_id", _CATEGORY), on="product_id", how="left")
        lines = lines.with_columns(pl.col(_CATEGORY).fill_null("none"))
    return lines.with_columns(pl.lit(1.0).alias("units"))


def _products(frames: Frames) -> pl.LazyFrame:
    """Products, their category in English too."""
    products = plain_names(frames[_PRODUCTS])
    if _ENGLISH not in frames:
        return products
    return products.join(plain_names(frames[_ENGLISH]).select(_CATEGORY, "product_category_name_english"), on=_CATEGORY, how="left")


def _states(frames: Frames) -> pl.LazyFrame:
    """The middle of the points of each state, without those outside Brazil."""
    where = plain_names(frames[_WHERE])
    latitude, longitude = as_number("geolocation_lat"), as_number("geolocation_lng")
    inside = latitude.is_between(*_BRAZIL[0]) & longitude.is_between(*_BRAZIL[1])
    return where.filter(inside).group_by(pl.col("geolocation_state").alias("customer_state")).agg(
        latitude.median().alias("latitude"), longitude.median().alias("longitude")).sort("customer_state")


BUNDLE = Bundle(
    name="olist",
    title="Brazilian E-Commerce by Olist",
    origin="the Kaggle data set 'Brazilian E-Commerce Public Dataset by Olist'",
    sales=_ITEMS,
    dialects=(LINES,),
    raw=(ORDER_ITEMS,),
    make=_lines,
    files=(
        File(name=_ITEMS, holds="order lines with product, seller and price", needed=True, telling=True),
        File(name=_ORDERS, holds="when each order was made, and what became of it", needed=True, telling=True),
        File(name=_CUSTOMERS, holds="the state of each customer", needed=True, telling=True),
        File(name=_PRODUCTS, holds="category and measures of each product", telling=True),
        File(name=_SELLERS, holds="the state of each seller", telling=True),
        File(name=_WHERE, holds="points of postal codes", telling=True),
        File(name=_ENGLISH, holds="categories in English", telling=True),
        File(name="olist_order_payments_dataset.csv", holds="how orders were paid"),
        File(name="olist_order_reviews_dataset.csv", holds="what customers wrote"),
    ),
    pieces=(
        Piece(use="attributes", of=(_PRODUCTS, _ENGLISH), needs=(_PRODUCTS,), says="attributes of products", keys=("item",),
              make=_products),
        Piece(use="places", of=(_WHERE,), says="the middle of each state", keys=("location",), make=_states),
    ),
    notes=(
        "Sales are counted by the time of purchase; each order line is one piece.",
        "The place is the customer's state, where the demand is. The seller's: `--columns location=seller_state`.",
        "Orders with the status canceled are left out.",
        "Of 32,951 products most are sold once or twice: forecast categories with `--columns item=product_category_name`.",
        "The first orders (2016) and the last (from September 2018 on) are few, because the data begin and end there.",
        "Points outside Brazil are passed over; a state lies at the median of its postal codes.",
    ),
    example="shelfcast forecast olist/ --columns item=product_category_name --freq W --cutoff 2018-08-28 --horizon 4",
)

"""Iowa liquor: order lines of licensed stores, as the state publishes them, or as lines of whole numbers (money in cents).

The state's export writes dates as month/day/year, money with or without $, and where a store is as `POINT (longitude latitude)`
or at the end of its address. Names of stores and items change over the years; so do categories.
"""

from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, attributes_of, column, plain_names, point
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency


def _unit_price(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    """Dollars a bottle; null where no bottle was ordered."""
    bottles = pl.col(names["bottles"]).cast(pl.Float64, strict=False)
    dollars = pl.col(names["sale_cents"]).cast(pl.Float64, strict=False) / 100
    return frame.with_columns(pl.when(bottles != 0).then(dollars / bottles).alias("price"))


LINES = Dialect(
    name="iowa",
    title="Iowa liquor order lines",
    signature=("date", "store", "item", "bottles", "sale_cents"),
    also=lambda names: "price" not in names,
    roles={"location": "store", "item": "item", "date": "date", "sales": "bottles", "price": "price"},
    shape="transactions",
    adapt=_unit_price,
    notes=("The price is sale_cents / 100 / bottles.",),
)
STATE = Dialect(
    name="iowa state",
    title="Iowa liquor sales as the state publishes them",
    signature=("store number", "item number", "bottles sold", "date"),
    roles={"location": "store number", "item": "item number", "date": "date", "sales": "bottles sold",
           "price": "state bottle retail"},
    shape="transactions",
    styles={"date": "mdy"},
)
API = Dialect(
    name="iowa state",
    title="Iowa liquor sales under the names of the state's interface",
    signature=("invoice_line_no", "store", "itemno", "sale_bottles", "date"),
    roles={"location": "store", "item": "itemno", "date": "date", "sales": "sale_bottles", "price": "state_bottle_retail"},
    shape="transactions",
    styles={"date": "mdy"},
)
PRODUCTS = Dialect(name="iowa products", title="Iowa liquor products", signature=("item_number", "item_description", "vendor"),
                   roles={"item": "item_number"})
STATE_PRODUCTS = Dialect(name="iowa products", title="Iowa liquor products",
                         signature=("item number", "item description", "bottle volume (ml)"),
                         also=lambda names: "bottles sold" not in names, roles={"item": "item number"})

_SALES: Final = "Iowa_Liquor_Sales.csv"
_STORES: Final = "Iowa_Liquor_Stores.csv"
_ITEM: Final = ("item description", "category name", "vendor name", "pack", "bottle volume (ml)",  # as exported
                "im_desc", "category_name", "vendor_name", "bottle_volume_ml")  # as the interface says
_STORE: Final = ("store name", "city", "zip code", "county", "name", "zipcode")


def _state_names(frame: pl.LazyFrame) -> dict[str, str]:
    """{what it is: lower-case column}, for either way in which the state writes."""
    low = [c.strip().lower() for c in frame.collect_schema().names()]
    return {"item": "item number" if "item number" in low else "itemno" if "itemno" in low else "item",
            "store": "store number" if "store number" in low else "store",
            "where": "store location" if "store location" in low else "store_location"}


def _items(frames: Frames) -> pl.LazyFrame | None:
    """What the lines say about items."""
    sales = frames[_SALES]
    return attributes_of(sales, _state_names(sales)["item"], _ITEM)


def _stores(frames: Frames) -> pl.LazyFrame | None:
    """What the lines say about stores."""
    sales = frames[_SALES]
    return attributes_of(sales, _state_names(sales)["store"], _STORE)


def _where(frames: Frames) -> pl.LazyFrame | None:
    """Where stores are: the columns lat and lon of the file of stores, or points of that file or of the lines."""
    stores = frames.get(_STORES)
    if stores is not None:
        low = plain_names(stores).collect_schema().names()
        if {"lat", "lon"} <= set(low) or {"latitude", "longitude"} <= set(low):
            return stores
        points = [c for c in low if c in ("store address", "store location", "georeferenced column")]
        if points:
            latitude, longitude = point(pl.col(column(stores, points[0])).cast(pl.String))
            return stores.with_columns(latitude.alias("latitude"), longitude.alias("longitude")).unique(
                subset=column(stores, "store"), keep="last", maintain_order=True)
    sales = frames[_SALES]
    names = _state_names(sales)
    if names["where"] not in plain_names(sales).collect_schema().names():
        return None
    store = column(sales, names["store"])
    latitude, longitude = point(pl.col(column(sales, names["where"])))
    pairs = sales.select(store, column(sales, names["where"])).unique()
    return pairs.select(store, latitude.alias("latitude"), longitude.alias("longitude")).drop_nulls().group_by(store).agg(
        pl.col("latitude", "longitude").median()).sort(store)


BUNDLE = Bundle(
    name="iowa",
    title="Iowa liquor sales",
    origin="the State of Iowa's open data",
    sales=_SALES,
    dialects=(STATE, API, LINES),
    files=(
        File(name=_SALES, holds="order lines; its name may go on (_20240101), and there may be one for each year",
             also=("iowa_liquor_sales*", "iowa-liquor-sales*", "sales_lines_*"), needed=True, many=True),
        File(name=_STORES, holds="stores with their location", also=("iowa_liquor_stores*", "iowa-liquor-stores*", "stores")),
        File(name="Iowa_Liquor_Products.csv", holds="items", also=("iowa_liquor_products*", "iowa-liquor-products*", "products")),
    ),
    pieces=(
        Piece(use="attributes", of=(_SALES,), says="what the lines say about items", keys=("item",), make=_items),
        Piece(use="attributes", of=(_SALES,), says="what the lines say about stores", keys=("location",), make=_stores),
        Piece(use="places", of=(_STORES, _SALES), needs=(_SALES,), says="where stores are", keys=("location",), make=_where),
        Piece(use="attributes", of=("Iowa_Liquor_Products.csv",), says="attributes of items", keys=("item",)),
    ),
    notes=(
        "Dates are month/day/year, also when a short extract could be read either way. Money may carry a $.",
        "Both ways of writing the columns are known: `Item Number`, `Bottles Sold` of the export, `itemno`, `sale_bottles` of the "
        "interface. The price is `State Bottle Retail`, dollars a bottle.",
        "Orders are wholesale: what stores bought, mostly Monday to Friday. Lines below zero are returns.",
        "Names, packs and categories of items and stores change over the years; of several the last in the alphabet is kept.",
        "Coordinates come from the file of stores, or from `Store Location` in the lines, `POINT (lon lat)` or `(lat, lon)`.",
    ),
    example="shelfcast check iowa/ --freq W",
)

"""Iowa liquor: order lines of licensed stores, as the state publishes them, or as lines of whole numbers (money in cents)."""

import polars as pl

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
)
PRODUCTS = Dialect(name="iowa products", title="Iowa liquor products", signature=("item_number", "item_description", "vendor"),
                   roles={"item": "item_number"})

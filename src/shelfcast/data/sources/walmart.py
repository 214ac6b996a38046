"""Walmart: weekly sales of 45 stores by department (Kaggle, 2014). Weeks carry their Friday; negative weeks are returns."""

from shelfcast.data.sources.dialect import Dialect

SALES = Dialect(
    name="walmart",
    title="Walmart store sales",
    signature=("store", "dept", "date", "weekly_sales"),
    roles={"location": "store", "item": "dept", "date": "date", "sales": "weekly_sales"},
    shape="series",
)
FEATURES = Dialect(name="walmart features", title="Walmart features", signature=("store", "date", "fuel_price", "cpi"),
                   roles={"location": "store", "date": "date"})
STORES = Dialect(name="walmart stores", title="Walmart stores", signature=("store", "type", "size"), roles={"location": "store"})

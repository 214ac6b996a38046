"""Rossmann: daily sales of 1,115 drugstores (Kaggle, 2015). Money, not units; one row a store and day, closed days too."""

from shelfcast.data.sources.dialect import Dialect

SALES = Dialect(
    name="rossmann",
    title="Rossmann store sales",
    signature=("store", "date", "sales", "open", "promo"),
    roles={"location": "store", "date": "date", "sales": "sales", "promo": "promo"},
    shape="series",
)
STORES = Dialect(name="rossmann stores", title="Rossmann stores", signature=("store", "storetype", "assortment"),
                 roles={"location": "store"})

"""Favorita: daily sales of Ecuadorian supermarkets, by item (Kaggle, 2017) or by family of items (Kaggle, 2021)."""

from shelfcast.data.sources.dialect import Dialect

ITEMS = Dialect(
    name="favorita",
    title="Favorita grocery sales",
    signature=("date", "store_nbr", "item_nbr", "unit_sales"),
    roles={"location": "store_nbr", "item": "item_nbr", "date": "date", "sales": "unit_sales", "promo": "onpromotion"},
    shape="series",
)
FAMILIES = Dialect(
    name="favorita families",
    title="Favorita store sales by family",
    signature=("date", "store_nbr", "family", "sales"),
    roles={"location": "store_nbr", "item": "family", "date": "date", "sales": "sales", "promo": "onpromotion"},
    shape="series",
)
STORES = Dialect(name="favorita stores", title="Favorita stores", signature=("store_nbr", "city", "cluster"),
                 roles={"location": "store_nbr"})

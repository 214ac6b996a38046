"""Store item demand: daily sales of 50 items in 10 stores (Kaggle, 2018)."""

from shelfcast.data.sources.dialect import Dialect

SALES = Dialect(name="store item", title="Store item demand", signature=("date", "store", "item", "sales"),
                also=lambda names: len(names) == 4, roles={"location": "store", "item": "item", "date": "date", "sales": "sales"},
                shape="series")

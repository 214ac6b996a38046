"""Nixtla's libraries: `unique_id` is the series, `ds` the date, `y` the value."""

from shelfcast.data.sources.dialect import Dialect

SALES = Dialect(name="nixtla", title="Nixtla's columns", signature=("unique_id", "ds", "y"),
                roles={"item": "unique_id", "date": "ds", "sales": "y"}, shape="series", joined="unique_id",
                notes=("unique_id names a series: it became the item.",))
FUTURE = Dialect(name="nixtla future", title="Nixtla's columns", signature=("unique_id", "ds"),
                 roles={"item": "unique_id", "date": "ds"}, joined="unique_id")
STATIC = Dialect(name="nixtla static", title="Nixtla's columns", signature=("unique_id",), roles={"item": "unique_id"},
                 joined="unique_id")

"""AutoGluon's time series: `item_id` is the series, `timestamp` the date, `target` the value. GluonTS's long form is the same."""

from shelfcast.data.sources.dialect import Dialect

SALES = Dialect(name="autogluon", title="AutoGluon's columns", signature=("item_id", "timestamp", "target"),
                roles={"item": "item_id", "date": "timestamp", "sales": "target"}, shape="series", joined="item_id",
                notes=("item_id names a series: it became the item.",))
FUTURE = Dialect(name="autogluon future", title="AutoGluon's columns", signature=("item_id", "timestamp"),
                 roles={"item": "item_id", "date": "timestamp"}, joined="item_id")

"""`--hierarchy` by the source's own names: the column that is read as the item is the level of items."""

from datetime import date, timedelta

import polars as pl
import pytest

from shelfcast import workflow
from shelfcast.errors import UnknownNameError
from shelfcast.settings import ForecastSettings


def asked(folder, *names):
    rows = [{"Brand": b, "shop": s, "day": date(2024, 1, 1) + timedelta(days=d), "units": 5 + d % 7 + len(b)}
            for b in ("jam", "honey") for s in ("A", "B") for d in range(35)]
    pl.DataFrame(rows).write_csv(folder / "sales.csv")
    columns = {"item": "Brand", "location": "shop", "date": "day", "sales": "units"}
    return ForecastSettings(sales=folder / "sales.csv", columns=columns, model="naive", horizon=3, backtest=False, hierarchy=names,
                            reconcile="bottom_up")


def test_the_column_read_as_item_or_location_names_its_level(tmp_path):
    levels = workflow.forecast(asked(tmp_path, "brand", "item", "shop")).summary["levels"]["levels"]
    assert levels == {"total": 1, "item": 2, "location": 2}


def test_a_column_that_is_neither_is_still_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="units"):
        workflow.forecast(asked(tmp_path, "units"))

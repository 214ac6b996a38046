"""Every public data set reads as its documentation says, without being told."""

import time
from datetime import date, datetime

import polars as pl
import polars.testing
import pytest

from shelfcast.data.read import read_sales

pytestmark = pytest.mark.data


def _told(lines, words):
    return any(words in sentence for sentence in lines.told)


def test_rossmann_reads_with_the_flags_of_the_manual(public_data):
    folder = public_data / "rossmann"
    lines = read_sales(folder / "train.parquet", columns={"location": "Store", "date": "Date", "sales": "Sales"},
                       known=["Open", "Promo", "SchoolHoliday", "state_closed_day"], static=folder / "store.parquet")
    assert lines.shape == "series" and lines.dialect == "rossmann"
    assert lines.columns == {"location": "Store", "date": "Date", "sales": "Sales", "promo": "Promo"}
    assert lines.covariates == {"Open": "known", "promo": "known", "SchoolHoliday": "known", "state_closed_day": "known"}
    assert lines.frame.collect_schema()["location"] == pl.Int64
    assert lines.places.height == 1_115 and lines.places.columns[:2] == ["location", "StoreType"] and lines.items is None
    assert "Customers" in lines.left_out and _told(lines, "No item column")
    assert lines.frame.select(pl.col("sales").sum()).collect().item() == pl.scan_parquet(folder / "train.parquet").select(
        pl.col("Sales").cast(pl.Int64).sum()).collect().item()


def test_walmart_takes_a_covariate_from_both_files(public_data):
    folder = public_data / "walmart"
    columns = {"location": "Store", "item": "Dept", "date": "Date", "sales": "Weekly_Sales"}
    lines = read_sales(folder / "train.parquet", columns=columns, covariates=[folder / "features.parquet"],
                       known=["IsHoliday", "Temperature"])
    assert lines.covariates == {"IsHoliday": "known", "Temperature": "known"}
    assert lines.frame.collect_schema().names() == ["row", "item", "location", "date", "sales", "IsHoliday"]
    (table,) = lines.tables
    assert table.frame.collect_schema().names() == ["location", "date", "IsHoliday", "Temperature"]
    assert table.frame.select(pl.len()).collect().item() == 8_190
    assert _told(lines, "Covariates of features.parquet, joined by location and date")


def test_twenty_three_million_iowa_lines_open_at_once_and_keep_their_types(public_data):
    folder = public_data / "iowa_liquor"
    start = time.perf_counter()
    lines = read_sales(str(folder / "sales_lines_*.parquet"), freq="W", places=folder / "stores.parquet",
                       columns={"location": "store", "item": "item", "date": "date", "sales": "bottles"})
    assert time.perf_counter() - start < 2
    schema = lines.frame.collect_schema()
    assert (schema["item"], schema["location"], schema["date"]) == (pl.Int32, pl.Int32, pl.Date)
    assert lines.shape == "transactions" and lines.files == 10 and str(lines.freq) == "W-MON"
    assert lines.places.columns[:3] == ["location", "latitude", "longitude"] and "__index_level_0__" not in lines.places.columns
    assert lines.frame.select(pl.len()).collect(engine="streaming").item() == 22_972_250


def test_online_retail_knows_its_cancellations(public_data):
    lines = read_sales(public_data / "online_retail" / "transactions.parquet")
    assert lines.columns == {"item": "StockCode", "date": "InvoiceDate", "sales": "Quantity", "price": "UnitPrice"}
    assert lines.shape == "transactions" and lines.covariates == {"price": "past"} and _told(lines, "cancellations")
    counted = lines.frame.select(pl.len(), pl.col("cancelled").sum()).collect().row(0)
    assert counted == (541_909, 9_288)


def test_m5_reads_with_its_calendar_and_its_weekly_prices(public_data):
    folder = public_data / "m5"
    lines = read_sales(folder / "daily_sales_sample.parquet", known=["snap_CA", "event_name_1", "sell_price"],
                       covariates=[folder / "calendar.parquet", folder / "sell_prices.parquet"])
    assert lines.dialect == "m5" and lines.covariates == {"snap_CA": "known", "event_name_1": "known", "price": "known"}
    calendar, prices = (t.frame for t in lines.tables)
    assert calendar.collect_schema()["date"] == pl.Date and calendar.collect_schema().names() == ["date", "snap_CA", "event_name_1"]
    assert prices.collect_schema().names() == ["item", "location", "date", "price"]
    one = prices.filter(pl.col("item") == "FOODS_1_002", pl.col("location") == "CA_1").collect()
    raw = pl.read_parquet(folder / "sell_prices.parquet").filter(pl.col("item_id") == "FOODS_1_002", pl.col("store_id") == "CA_1")
    weeks = pl.read_parquet(folder / "calendar.parquet").select(pl.col("date").str.to_date(), "wm_yr_wk")
    assert one.height == raw.height * 7
    expected = weeks.join(raw, on="wm_yr_wk").sort("date")["sell_price"].to_list()
    assert one.sort("date")["price"].to_list()[: len(expected)] == expected


def test_store_item_is_a_plain_series(public_data):
    lines = read_sales(public_data / "store_item" / "train.parquet")
    assert lines.columns == {"item": "item", "location": "store", "date": "date", "sales": "sales"}
    assert lines.shape == "series" and lines.left_out == ()


def test_dominicks_weeks_become_dates_and_logarithms_units(public_data):
    folder = public_data / "dominicks_oj"
    lines = read_sales(folder / "sales.parquet", static=folder / "store_demographics.parquet")
    first = lines.frame.head(1).collect().row(0, named=True)
    assert (first["date"], first["sales"]) == (date(1990, 6, 14), 8256.0)  # week 40; exp(9.018695)
    assert list(lines.columns.items())[:4] == [("item", "brand"), ("location", "store"), ("date", "date"), ("sales", "units")]
    assert lines.places.height == 83
    raw = pl.read_parquet(folder / "sales.parquet")
    row = raw.with_row_index().filter(pl.col("brand") == 5).row(0, named=True)
    assert lines.frame.filter(pl.col("row") == row["index"]).collect()["price"][0] == row["price5"]


def test_stallion_takes_the_price_that_was_paid(public_data):
    lines = read_sales(public_data / "stallion" / "stallion.parquet", known=["easter_day"], past=["discount"])
    assert lines.columns == {"item": "sku", "location": "agency", "date": "date", "sales": "volume", "price": "price_actual"}
    assert lines.covariates == {"easter_day": "known", "discount": "past", "price": "past"}
    assert lines.frame.collect_schema()["item"] == pl.String


def test_complete_journey_seconds_become_eastern_time(public_data):
    folder = public_data / "complete_journey"
    lines = read_sales(folder / "transactions_sample.parquet", known=["mailer_location"], static=folder / "products.parquet",
                       covariates=[folder / "promotions_sample.parquet"])
    assert lines.shape == "transactions" and lines.items.height == 92_331
    raw = pl.read_parquet(folder / "transactions_sample.parquet").with_row_index("row")
    weeks = lines.frame.collect().join(raw.select("row", "week"), on="row").group_by("week").agg(pl.col("date").min()).sort("week")
    assert weeks["date"].min() >= datetime(2017, 1, 1)
    assert (weeks["date"].dt.date() >= pl.date_range(date(2016, 12, 26), date(2017, 12, 25), "7d", eager=True)).all()
    promotions = lines.tables[0].frame.head(7).collect()
    assert promotions["date"].dt.weekday().to_list() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("name", [
    "rossmann/train", "walmart/train", "iowa_liquor/sales_lines_2020", "online_retail/transactions", "m5/daily_sales_sample",
    "store_item/train", "dominicks_oj/sales", "stallion/stallion", "complete_journey/transactions_sample",
])
def test_a_text_copy_reads_to_the_same_values(public_data, tmp_path, name):
    sample = pl.scan_parquet(public_data / f"{name}.parquet").gather_every(17).head(3_000).collect()
    sample.write_csv(tmp_path / "copy.csv")
    typed, text = read_sales(sample), read_sales(tmp_path / "copy.csv")
    assert (typed.columns, typed.shape, typed.dialect) == (text.columns, text.shape, text.dialect)
    names = [c for c in typed.frame.collect_schema().names() if c not in ("item", "location", "date")]
    one, other = typed.frame.collect(), text.frame.collect()
    pl.testing.assert_frame_equal(one.select(names), other.select(names), abs_tol=1e-6)
    assert one["date"].cast(pl.Datetime("us")).to_list() == other["date"].cast(pl.Datetime("us")).to_list()
    for key in {"item", "location"} & set(one.columns):
        assert one[key].cast(pl.String).to_list() == other[key].cast(pl.String).to_list()

"""Reading, checking and cleaning of the public data sets: what is known about them is found, and nothing crashes."""

from datetime import date

import polars as pl
import pytest

from shelfcast.data.check import check_sales
from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales
from shelfcast.names import SALES

pytestmark = pytest.mark.data


def test_the_messy_web_shop_ends_well_and_its_two_giant_orders_are_gone(public_data):
    lines = read_sales(public_data / "online_retail" / "transactions.parquet")
    findings = check_sales(lines)
    assert not findings.has_errors
    assert {"cancelled_lines", "returns", "zero_prices", "negative_prices", "differing_names", "times_of_day", "outliers"} <= {
        f.name for f in findings
    }
    assert findings.named("cancelled_lines").count == 9288
    assert findings.named("returns").count == 10_624 - 9288 and findings.named("returns").money is None
    copies = findings.named("equal_lines")
    assert copies.count == 5268 and copies.severity == "NOTE" and copies.places[0].row == 518
    cleaned = clean_sales(lines)
    assert cleaned.panel.rows[SALES].max() < 74_000  # 80,995 and 74,215 pieces were ordered and cancelled within minutes
    assert (cleaned.panel.rows[SALES] >= 0).all()


def test_the_last_week_of_the_web_shop_is_partial(public_data):
    lines = read_sales(public_data / "online_retail" / "transactions.parquet", freq="W")
    panel = clean_sales(lines).panel
    assert panel.frequency.date(panel.cutoff) == date(2011, 11, 28)
    assert check_sales(lines).named("partial_periods").count == 2


def test_two_articles_that_began_in_the_last_nine_days_are_named(public_data):
    cleaned = clean_sales(read_sales(public_data / "online_retail" / "transactions.parquet", freq="M"))
    told = cleaned.changes.filter((pl.col("rule") == "partial") & (pl.col("units") == 0)).row(0, named=True)
    assert len(cleaned.panel) == 3943 - told["series"] == 3941  # 15 stock codes are no products
    assert "item 23843 at location all; item 90214U at location all" in told["what"]


ROSSMANN = {"location": "Store", "date": "Date", "sales": "Sales"}


def test_rossmann_says_with_open_when_a_shop_is_closed(public_data):
    lines = read_sales(
        public_data / "rossmann" / "train.parquet",
        columns=ROSSMANN,
        known=["Open", "Promo", "SchoolHoliday", "state_closed_day"],
        static=public_data / "rossmann" / "store.parquet",
    )
    findings = check_sales(lines, horizon=48, cutoff=date(2015, 6, 13))
    assert not findings.has_errors
    assert findings.named("gaps").count == 180 * 184
    panel = clean_sales(lines, cutoff=date(2015, 6, 13)).panel
    assert panel.closed_when == "Open" and len(panel) == 1115 and panel.horizon_given() == 48
    assert check_sales(lines, horizon=49, cutoff=date(2015, 6, 13)).named("missing_future").severity == "ERROR"


def test_the_customers_of_a_day_are_not_known_the_day_before(public_data):
    lines = read_sales(public_data / "rossmann" / "train.parquet", columns=ROSSMANN, known=["Open", "Customers"])
    findings = check_sales(lines, cutoff=date(2015, 6, 13))
    assert findings.named("leaking_covariates").places[0].value.startswith("Customers")
    assert findings.named("results_declared_known").count == 1


def test_walmart_weeks_keep_their_friday_and_the_features_reach_past_the_sales(public_data):
    lines = read_sales(
        public_data / "walmart" / "train.parquet",
        covariates=[public_data / "walmart" / "features.parquet"],
        columns={"location": "Store", "item": "Dept", "date": "Date", "sales": "Weekly_Sales"},
        known=["IsHoliday", "Temperature"],
    )
    findings = check_sales(lines, horizon=13)
    assert not findings.has_errors and findings.named("returns").count == 1285
    panel = clean_sales(lines).panel
    assert str(panel.frequency) == "W-FRI" and panel.horizon_given() == 39 and len(panel) == 3331


def test_the_clean_set_has_no_findings(public_data):
    assert len(check_sales(read_sales(public_data / "store_item" / "train.parquet"))) == 0


def test_monthly_beer_is_monthly(public_data):
    columns = {"item": "sku", "location": "agency", "sales": "volume", "date": "date"}
    cleaned = clean_sales(read_sales(public_data / "stallion" / "stallion.parquet", columns=columns))
    assert cleaned.panel.frequency.word == "monthly" and cleaned.panel.rows.height == 21_000
    assert cleaned.panel.rows["price"].min() > 0


@pytest.mark.slow
def test_daily_m5_is_read_checked_and_cleaned(public_data):
    lines = read_sales(public_data / "m5" / "daily_sales_sample.parquet")
    assert not check_sales(lines).has_errors
    panel = clean_sales(lines).panel
    assert len(panel) == 2196 and panel.rows.height == 3_371_585


@pytest.mark.slow
def test_iowa_is_read_checked_and_cleaned_within_eight_gigabytes(public_data):
    import resource

    lines = read_sales(
        f"{public_data}/iowa_liquor/sales_lines_*.parquet",
        freq="W",
        places=public_data / "iowa_liquor" / "stores.parquet",
        columns={"location": "store", "item": "item", "date": "date", "sales": "bottles"},
    )
    findings = check_sales(lines, horizon=8)
    assert not findings.has_errors and findings.named("withdrawn_series").count > 700_000
    panel = clean_sales(lines).panel
    assert 1_350_000 < len(panel) < 1_360_000
    assert panel.rows[SALES].sum() == pytest.approx(
        pl.scan_parquet(f"{public_data}/iowa_liquor/sales_lines_*.parquet")
        .filter(pl.col("date") >= date(2012, 1, 9))
        .select(pl.col("bottles").sum())
        .collect()
        .item()
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 8e6

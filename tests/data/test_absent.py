"""What a period without a row means: said by the user, by the source, by the table itself, or not clear."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.check import check_sales
from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales
from shelfcast.errors import UnknownNameError
from shelfcast.names import DATE, SALES

DAYS, ITEMS = 200, 10


def sold(rate=0.3):
    """Every item on every day, zeros and all: Poisson, so that at 0.3 a day three days of four sell nothing."""
    units = np.random.default_rng(5).poisson(rate, (ITEMS, DAYS)).astype(float)
    units[:, [0, -1]] = 1.0
    days = [date(2024, 1, 1) + timedelta(days=t) for t in range(DAYS)]
    return pl.DataFrame({"item": np.repeat([f"i{i}" for i in range(ITEMS)], DAYS), "date": days * ITEMS, "sales": units.ravel()})


def kept(table, which):
    """Strong sellers of which only some days were kept: bool of item and day."""
    return table.filter(pl.Series(which(np.arange(DAYS * ITEMS) // DAYS, np.arange(DAYS * ITEMS) % DAYS)))


def of(table, **asked):
    return clean_sales(read_sales(table, **asked))


def test_a_sparse_table_that_never_says_0_means_nothing_sold_by_an_absent_row():
    whole, sparse = of(sold()), of(sold().filter(pl.col(SALES) > 0))
    assert whole.panel.absent == "missing" and not whole.told
    assert sparse.panel.absent == "zero" and "--absent missing" in sparse.told[0]
    assert (sparse.panel.dense().sales == whole.panel.dense().sales).all()


def test_weeks_of_a_sparse_daily_table_are_whole_whatever_days_have_a_row():
    whole, sparse = of(sold(), freq="W"), of(sold().filter(pl.col(SALES) > 0), freq="W")
    assert sparse.panel.absent == "zero"
    assert (sparse.panel.dense().sales == whole.panel.dense().sales[:, :sparse.panel.dense().sales.shape[1]]).all()


def test_what_the_user_says_goes_before_what_the_table_shows():
    sparse = sold().filter(pl.col(SALES) > 0)
    said = of(sparse, absent="missing")
    assert said.panel.absent == "missing" and not said.told and np.isnan(said.panel.dense().sales).any()
    assert of(sold(), absent="zero").panel.absent == "zero"
    receipts = pl.concat([sparse] * 2)
    assert of(receipts).panel.absent == "zero" and of(receipts, absent="missing").panel.absent == "missing"
    with pytest.raises(UnknownNameError, match="zero"):
        read_sales(sparse, absent="zeros")


@pytest.mark.parametrize("why, table", [
    ("zeros occur", pl.concat([sold().filter(pl.col(SALES) > 0), sold().filter(pl.col(SALES) == 0).head(3)])),
    ("months are lost", kept(sold(40.0), lambda item, day: (day // 30 + item) % 3 == 0)),
    ("each shop reports once a week", kept(sold(40.0), lambda item, day: day % 7 == item % 7)),
    ("a third is lost", kept(sold(40.0), lambda item, day: (day * 7 + item * 3) % 3 > 0)),
])
def test_gaps_whose_meaning_is_not_clear_stay_unknown_and_are_warned_of(why, table):
    cleaned = of(table)
    assert cleaned.panel.absent == "missing", why
    assert "--absent zero" in cleaned.told[0]
    found = check_sales(read_sales(table)).named("gaps")
    assert found.severity == "WARNING" and "--absent zero" in found.does


def test_checking_says_what_was_inferred_and_is_silent_about_what_was_said():
    sparse = sold().filter(pl.col(SALES) > 0)
    found = check_sales(read_sales(sparse)).named("gaps")
    assert found.severity == "NOTE" and "count as nothing sold" in found.headline and "--absent missing" in found.does
    assert check_sales(read_sales(sparse, absent="zero")).named("gaps") is None
    assert check_sales(read_sales(sparse, absent="missing")).named("gaps").severity == "NOTE"


def test_a_table_with_its_zeros_and_few_gaps_is_left_as_recorded():
    few = sold().filter(pl.Series(np.random.default_rng(1).random(DAYS * ITEMS) > 0.1))
    cleaned = of(few)
    assert cleaned.panel.absent == "missing" and not cleaned.told
    assert check_sales(read_sales(few)).named("gaps").severity == "NOTE"


def test_a_small_table_says_too_little_to_infer_anything():
    assert of(sold().filter(pl.col(SALES) > 0).head(40)).panel.absent == "missing"


def test_restaurants_without_a_row_were_closed_as_their_source_says():
    visits = sold().filter(pl.col(SALES) > 0).rename({"item": "air_store_id", DATE: "visit_date", SALES: "visitors"})
    cleaned = of(visits)
    assert cleaned.panel.absent == "missing" and not cleaned.told


@pytest.mark.parametrize("name", ["dominicks_oj", "stallion/stallion.parquet"])
def test_public_tables_with_few_gaps_keep_their_meaning(public_data, name):
    cleaned = of(str(public_data / name))
    assert cleaned.panel.absent == "missing" and not cleaned.told

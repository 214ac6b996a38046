"""Withdrawn or still sold, by each series' own rhythm."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from shelfcast.data.clean import clean_sales
from shelfcast.data.lifecycle import judge
from shelfcast.data.lines import SalesLines
from shelfcast.data.split import cut
from shelfcast.names import DATE, ITEM, LOCATION, SALES
from shelfcast.panel import PERIOD, SERIES, SalesPanel
from shelfcast.periods import Frequency

WEEK = Frequency.parse("W")


def weekly(parts: dict[str, list[int]], *, weeks: int = 200, absent: str = "zero") -> SalesPanel:
    """A panel of series that sell one unit in the given weeks; a first series sells always."""
    rows = [("0", w) for w in range(weeks)] + [(name, w) for name, ws in parts.items() for w in ws]
    frame = pl.DataFrame(rows, schema=[ITEM, PERIOD], orient="row").with_columns(
        WEEK.date_of(pl.col(PERIOD) + 2800).alias(DATE), pl.lit(1.0).alias(SALES)
    )
    return SalesPanel.from_frame(frame.drop(PERIOD), freq="W", absent=absent)


def verdict(panel: SalesPanel) -> dict[str, bool]:
    """{item: still sold}."""
    judged = judge(panel)
    return dict(zip(judged[ITEM], judged["sold"], strict=True))


def test_a_weekly_seller_is_withdrawn_after_half_a_year_of_silence():
    sold = verdict(weekly({"lately": list(range(180)), "long ago": list(range(170))}))
    assert sold == {"0": True, "lately": True, "long ago": False}


def test_a_rare_seller_may_be_silent_for_longer():
    sold = verdict(weekly({"rare": list(range(0, 165, 15)), "weekly": list(range(150))}))
    assert sold["rare"] and not sold["weekly"]


def test_what_sells_each_december_is_not_withdrawn_in_autumn():
    assert verdict(weekly({"lights": [w for w in range(160) if w % 52 < 5]}))["lights"]


def test_nothing_is_kept_for_longer_than_two_years():
    assert not verdict(weekly({"rarest": [0, 90]}))["rarest"]


def test_a_single_sale_counts_for_half_a_year():
    sold = verdict(weekly({"new": [190], "old": [100]}))
    assert sold["new"] and not sold["old"]


def test_the_reason_says_since_when_and_what_was_usual():
    gone = judge(weekly({"gone": list(range(0, 100, 2))})).filter(~pl.col("sold")).row(0, named=True)
    assert gone["last_sale"] == WEEK.date(2898)
    assert gone["reason"] == "nothing sold for 101 weeks; before, a sale every 2.0 weeks"
    assert judge(weekly({}))["reason"].to_list() == [""]


def test_a_shop_that_is_said_to_be_closed_is_not_silent():
    days = pl.date_range(date(2024, 1, 1), date(2024, 12, 31), eager=True)
    flag = [int(i < 100 or loc == "b") for loc in "ab" for i in range(len(days))]
    frame = pl.DataFrame({LOCATION: ["a"] * len(days) + ["b"] * len(days), DATE: [*days, *days], "Open": flag}).with_columns(
        (pl.col("Open") * 5.0).alias(SALES)
    )
    panel = clean_sales(SalesLines(frame.lazy(), "hand", covariates={"Open": "known"})).panel
    assert panel.closed_when == "Open"
    assert judge(panel)["sold"].all()


def test_rows_without_sales_are_not_silence():
    days = pl.date_range(date(2024, 1, 1), date(2024, 12, 31), eager=True)
    frame = pl.DataFrame({ITEM: ["a"] * len(days) + ["b"] * len(days), DATE: [*days, *days]}).with_columns(
        pl.when((pl.col(ITEM) == "b") | (pl.col(DATE) < date(2024, 3, 1))).then(5.0).alias(SALES)
    )
    assert judge(SalesPanel.from_frame(frame))["sold"].all()


def test_judging_matches_a_slow_twin_that_looks_at_one_series_at_a_time():
    random = np.random.default_rng(4)
    parts = {str(k): sorted(random.choice(200, size=random.integers(1, 30), replace=False).tolist()) for k in range(1, 200)}
    panel = weekly(parts)
    sold = verdict(panel)
    for name, weeks in parts.items():
        gaps = np.diff(weeks)
        usual = gaps.mean() if len(gaps) else 0.0
        limit = min(max(4 * usual, 1.2 * (gaps.max() if len(gaps) else 0), WEEK.per_year / 2), 2 * WEEK.per_year)
        assert sold[name] == (199 - weeks[-1] <= limit), name


@pytest.mark.data
def test_shops_that_reopened_after_refurbishment_are_still_sold(public_data):
    frame = pl.scan_parquet(public_data / "rossmann" / "train.parquet")
    frame = frame.select(date="Date", location="Store", sales=pl.col("Sales").cast(pl.Float64))
    panel = clean_sales(SalesLines(frame, "rossmann")).panel
    assert judge(panel)["sold"].all()


@pytest.mark.data
def test_what_walmart_departments_judged_withdrawn_sell_later_is_next_to_nothing(public_data):
    frame = pl.scan_parquet(public_data / "walmart" / "train.parquet")
    panel = clean_sales(SalesLines(frame.select(date="Date", location="Store", item="Dept", sales="Weekly_Sales"), "walmart")).panel
    past = cut(panel, panel.cutoff - 13)
    gone = judge(past).filter(~pl.col("sold")).select(ITEM, LOCATION)
    assert 80 < gone.height < 200
    codes = panel.series.with_row_index(SERIES).join(gone, on=[ITEM, LOCATION], how="semi")[SERIES].to_list()
    later = panel.rows.filter(pl.col(PERIOD) > past.cutoff)
    assert later.filter(pl.col(SERIES).is_in(codes))[SALES].sum() < 0.0005 * later[SALES].sum()


def test_a_withdrawal_in_the_table_of_items_counts_from_its_day_on():
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 3, 31), eager=True)
    table = pl.concat([pl.DataFrame({"item": i, "location": "A", "date": days, "sales": 2.0}) for i in ("gone", "later", "stays")])
    items = pl.DataFrame({"item": ["gone", "later", "stays"], "withdrawn": [date(2024, 3, 20), date(2024, 5, 1), None]})
    judged = judge(SalesPanel.from_frame(table, items=items))
    assert judged["sold"].to_list() == [False, True, True]
    assert "2024-03-20" in judged["reason"][0]

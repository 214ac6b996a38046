"""The panel of a level: what a group sold together."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.hierarchy import Hierarchy
from shelfcast.data.split import cut
from shelfcast.data.sums import sum_panel
from shelfcast.errors import DataError
from shelfcast.panel import PERIOD, CovariateTable, SalesPanel

DAY = date(2024, 1, 1)
ITEMS = pl.DataFrame({"item": ["jam", "tea"], "category": ["food", "food"], "weight": [1.0, 3.0], "brand": ["x", "y"]})
PLACES = pl.DataFrame({"location": ["A", "B", "C"], "region": ["north", "north", "south"], "latitude": [50.0, 52.0, None]})


def table(days=4, future=2):
    """jam at A and B, tea at A and C; sales 1, 10, 100, 1000 a day; B is closed on the last day."""
    rows = []
    for item, location, sold in [("jam", "A", 1.0), ("jam", "B", 10.0), ("tea", "A", 100.0), ("tea", "C", 1000.0)]:
        for d in range(days + future):
            shut = location == "B" and d == days - 1
            rows.append({"item": item, "location": location, "date": DAY + timedelta(days=d),
                         "sales": (None if shut else sold) if d < days else None, "open": not shut, "price": sold / 2,
                         "event": "fair" if d == 1 else None, "mood": location, "stock": 7.0})
    return pl.DataFrame(rows)


def panel(rows=None, **rest):
    return SalesPanel.from_frame(table() if rows is None else rows, freq="D", known=["open", "price", "event", "mood", "stock"],
                                 items=ITEMS, places=PLACES, closed_when="open", cutoff=DAY + timedelta(days=3), **rest)


def hierarchy(of):
    return Hierarchy.of(of.series, items=of.items, places=of.places, item_levels=["category", "item"], place_levels=["region"],
                        keep_equal=True)


def test_sales_are_summed_over_the_series_of_each_node():
    p = panel()
    summed = sum_panel(p, hierarchy(p), "region")
    assert summed.series.select("item", "location").rows() == [("all", "north"), ("all", "south")]
    assert summed.dense().sales.tolist() == [[111.0, 111.0, 111.0, 101.0], [1000.0] * 4]  # a closed shop sold nothing
    assert sum_panel(p, hierarchy(p), "item").dense().sales[:, 0].tolist() == [11.0, 1100.0]


def test_flags_become_shares_prices_means_and_a_group_is_closed_only_where_all_are():
    p = panel()
    dense = sum_panel(p, hierarchy(p), "region").dense(horizon=2)
    assert dense.known["open"][0].tolist() == pytest.approx([1, 1, 1, 2 / 3, 1, 1])
    assert dense.known["price"][:, 0].tolist() == pytest.approx([111 / 2 / 3, 500])
    assert dense.known["stock"][:, 0].tolist() == [21, 7]
    apart = table().with_columns(open=pl.col("open") & (pl.col("location") == "C"))
    closed = panel(apart)
    assert sum_panel(closed, hierarchy(closed), "region").dense().known["open"].tolist() == [[0.0] * 4, [1.0] * 4]


def test_texts_stay_where_all_members_agree():
    p = panel()
    rows = sum_panel(p, hierarchy(p), "total").rows
    assert rows["event"].to_list() == [None, "fair", None, None, None, None] and rows["mood"].null_count() == 6
    south = sum_panel(p, hierarchy(p), "region")
    assert south.rows.filter(pl.col("series") == 1)["mood"].unique().to_list() == ["C"]


def test_a_sum_is_known_while_half_of_the_running_series_are():
    rows = table().filter(~((pl.col("item") == "tea") & (pl.col("date") == DAY + timedelta(days=2))))  # no row: nobody knows
    rows = rows.filter(~((pl.col("location") == "A") & (pl.col("item") == "jam") & (pl.col("date") <= DAY + timedelta(days=1))))
    p = panel(rows, absent="missing")
    total = sum_panel(p, hierarchy(p), "total").dense().sales[0]
    assert total.tolist() == [1110.0, 1110.0, 11.0, 1101.0]  # two of four are known on the third day; jam at A had not begun
    few = panel(rows.filter(~((pl.col("location") == "B") & (pl.col("date") == DAY + timedelta(days=2)))), absent="missing")
    assert np.isnan(sum_panel(few, hierarchy(few), "total").dense().sales[0, 2])


def test_where_absent_means_none_sold_gaps_are_noughts():
    rows = table().filter(~((pl.col("item") == "tea") & (pl.col("date") == DAY + timedelta(days=2))))
    p = panel(rows, absent="zero")
    assert sum_panel(p, hierarchy(p), "total").dense().sales[0].tolist() == [1111.0, 1111.0, 11.0, 1101.0]


def test_covariates_with_keys_of_their_own_are_averaged_over_the_keys_of_the_group():
    p = panel()
    first = p.cutoff - 3
    weather = pl.DataFrame({"location": ["A", "B", "C"], PERIOD: pl.Series([first] * 3, dtype=pl.Int32), "rain": [3.0, 6.0, 9.0]})
    fairs = pl.DataFrame({PERIOD: pl.Series([first], dtype=pl.Int32), "fair": [1.0]})
    p = SalesPanel(p.rows, p.series, p.frequency, p.cutoff, covariates={"rain": "known", "fair": "known"},
                   tables=(CovariateTable(weather), CovariateTable(fairs)), places=PLACES)
    h = Hierarchy.of(p.series, places=PLACES, place_levels=["region"])
    dense = sum_panel(p, h, "region").dense()
    assert dense.known["rain"][:, 0].tolist() == [4.0, 9.0]  # A counts twice: it has two of the three series
    assert dense.known["fair"][:, 0].tolist() == [1.0, 1.0]


def test_attributes_are_averaged_or_kept_where_all_agree():
    p = panel()
    food = sum_panel(p, hierarchy(p), "category")
    assert food.items.to_dicts() == [{"item": "food", "category": "food", "weight": 2.0}]
    assert sum_panel(p, hierarchy(p), "region").places.to_dicts() == [
        {"location": "north", "region": "north", "latitude": 51.0}, {"location": "south", "region": "south", "latitude": None}]


def test_later_sales_do_not_change_the_sums_before_a_cutoff():
    p = panel()
    early = p.cutoff - 2
    h = hierarchy(cut(p, early))
    changed = pl.when(pl.col("date") > DAY + timedelta(days=1)).then(pl.col("sales") * 9).otherwise("sales")
    late = table().with_columns(sales=changed)
    one, other = (sum_panel(cut(q, early), h, "region").dense(horizon=2) for q in (p, panel(late)))
    assert np.array_equal(one.sales, other.sales)
    assert all(np.array_equal(one.known[n], other.known[n], equal_nan=True) for n in one.known)


def test_a_hierarchy_over_other_series_is_refused():
    p = panel()
    with pytest.raises(DataError, match="which are not the 3 of the panel"):
        sum_panel(p.select([0, 1, 2]), hierarchy(p), "total")

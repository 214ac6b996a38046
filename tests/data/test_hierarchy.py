"""Levels over series: what adds up to what."""

import numpy as np
import polars as pl
import pytest

from oracle.m5_levels import m5_hierarchy
from shelfcast.data.hierarchy import BOTTOM, UNKNOWN, Hierarchy
from shelfcast.errors import DataError, SettingsError, UnknownNameError

ITEMS = pl.DataFrame({"item": ["jam", "tea", "rum"], "category": ["sweet", "drink", "drink"]})
PLACES = pl.DataFrame({"location": ["A", "B", "C"], "region": ["north", "north", "south"]})
SERIES = ITEMS.select("item").join(PLACES.select("location"), how="cross").sort("item", "location")


def chain(**changes):
    return Hierarchy.of(SERIES, items=ITEMS, places=PLACES, **{"item_levels": ["category", "item"],
                                                               "place_levels": ["region", "location"], **changes})


def test_every_item_level_is_crossed_with_every_place_level_and_the_finest_cross_is_the_bottom():
    sizes = {one.name: len(one) for one in (*chain().levels, chain().bottom)}
    assert sizes == {"total": 1, "category": 2, "region": 2, "item": 3, "location": 3, "category x region": 4,
                     "category x location": 6, "item x region": 6, BOTTOM: 9}
    assert chain(cross=False).names == ["total", "category", "region", "item", "location"]


def test_sums_of_every_level_equal_those_that_a_table_gives():
    sold = np.random.default_rng(1).poisson(5, size=(9, 4)).astype(float)
    table = SERIES.join(ITEMS, on="item").join(PLACES, on="location").sort("item", "location")
    for level, sums in chain().sums(sold):
        for node, row in zip(level.series.iter_rows(named=True), sums, strict=True):
            member = np.ones(9, dtype=bool)
            for axis, key in ((level.item_axis, "item"), (level.place_axis, "location")):
                if axis is not None:
                    member &= (table[axis] == node[key]).to_numpy()
            assert sums.shape[1] == 4 and np.array_equal(row, sold[member].sum(axis=0)), (level.name, node)


def test_the_summing_matrix_and_the_sums_by_level_agree_also_for_samples():
    h, values = chain(), np.random.default_rng(2).normal(size=(9, 3, 5))
    summed = h.sum_up(values)
    assert summed.shape == (len(h), 3, 5)
    assert np.allclose(summed, np.tensordot(h.matrix().toarray(), values, axes=1))
    assert np.allclose(summed[h.rows()["item x region"]], h["item x region"].sums(values))


def test_an_item_without_a_category_belongs_to_a_group_of_its_own_and_this_is_told():
    items = pl.DataFrame({"item": ["jam", "tea"], "category": ["sweet", None]})  # nothing at all is said of rum
    h = Hierarchy.of(SERIES, items=items, item_levels=["category"])
    assert h["category"].series["item"].to_list() == ["sweet", UNKNOWN]
    assert h["category"].sums(np.ones(9)).tolist() == [3, 6]
    assert h.told[0].startswith("2 items without a category form a group of their own, 'unknown'")


def test_a_level_that_groups_like_another_or_groups_nothing_is_left_out_unless_asked_for():
    items = ITEMS.with_columns(brand=pl.col("category").replace_strict({"sweet": "x", "drink": "y"}), code=pl.col("item"))
    h = Hierarchy.of(SERIES, items=items, item_levels=["category", "brand"])
    assert h.names == ["total", "category"] and "groups just as 'category'" in h.told[0]
    alone = SERIES.filter(pl.col("location") == "A")
    assert Hierarchy.of(alone, item_levels=["item"]).names == ["total"]
    assert Hierarchy.of(alone, item_levels=["item"], keep_equal=True).names == ["total", "item"]


def test_names_of_groups_may_be_numbers_in_the_data():
    series = pl.DataFrame({"item": [1, 1, 2], "location": [10, 20, 10]})
    h = Hierarchy.of(series, places=pl.DataFrame({"location": [10, 20], "region": [7, 7]}), item_levels=["item"],
                     place_levels=["region"], keep_equal=True)
    assert h["item"].series.rows() == [(1, "all"), (2, "all")]
    assert h["region"].series.rows() == [("all", "7")]


def test_m5_has_its_twelve_levels():
    stores = ["CA_1", "CA_2", "TX_1"]
    items = ["HOBBIES_1_001", "HOBBIES_2_001", "FOODS_1_001", "FOODS_1_002"]
    series = pl.DataFrame({"item": items}).join(pl.DataFrame({"location": stores}), how="cross").sort("item", "location")
    h = m5_hierarchy(series)
    assert {one.name: len(one) for one in (*h.levels, h.bottom)} == {
        "total": 1, "state": 2, "location": 3, "category": 2, "department": 3, "category x state": 4, "category x location": 6,
        "department x state": 6, "department x location": 9, "item": 4, "item x state": 8, "bottom": 12}


def test_what_is_wrong_with_a_declaration_is_said():
    with pytest.raises(UnknownNameError, match="Did you mean 'category'"):
        Hierarchy.of(SERIES, items=ITEMS, item_levels=["catgory"])
    with pytest.raises(DataError, match="rows that repeat an id"):
        Hierarchy.of(SERIES, items=pl.concat([ITEMS, ITEMS]), item_levels=["category"])
    with pytest.raises(SettingsError, match="have one name"):
        Hierarchy.of(SERIES, items=ITEMS.rename({"category": "group"}), places=PLACES.rename({"region": "group"}),
                     item_levels=["group"], place_levels=["group"])
    with pytest.raises(DataError, match="sums 9 series; got values of 3"):
        chain().sum_up(np.ones(3))

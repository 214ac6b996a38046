"""Where places are, and who is near whom."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.errors import DataError, SettingsError, UnknownNameError
from shelfcast.features.globe import great_circle
from shelfcast.features.places import RELATIONS, Places, blocks, level_around, links, regional_attribute, rows_of, usual_gap
from shelfcast.panel import SalesPanel

NAN = float("nan")


def panel_of(places: pl.DataFrame | None, names: list[str] | None = None) -> SalesPanel:
    names = names or (places["location"].to_list() if places is not None else [])
    days = [date(2024, 1, 1), date(2024, 1, 2)]
    rows = pl.DataFrame({"location": [n for n in names for _ in days], "date": days * len(names), "sales": 1.0})
    return SalesPanel.from_frame(rows, freq="D", places=places)


def table(**rows: tuple) -> pl.DataFrame:
    """Rows name=(latitude, longitude, region)."""
    return pl.DataFrame([(k, *v) for k, v in rows.items()], orient="row",
                        schema={"location": pl.String, "latitude": pl.Float64, "longitude": pl.Float64, "region": pl.String})


TOWNS = table(des_moines=(41.587, -93.625, "mid"), ankeny=(41.730, -93.606, "mid"), ames=(42.031, -93.612, "mid"),
              davenport=(41.524, -90.578, "east"), dubuque=(42.501, -90.665, "east"), web=(None, None, None))


def test_places_are_sorted_by_name_whatever_the_tables_order():
    places = Places.of(panel_of(TOWNS.reverse()))
    assert places.location.to_list() == sorted(TOWNS["location"])
    assert places.spots[places.codes(pl.Series(["ankeny"]))[0]].tolist() == [41.730, -93.606]
    assert places.located.sum() == 5


def test_a_place_that_is_not_in_the_panel_has_no_code():
    assert Places.of(panel_of(TOWNS)).codes(pl.Series(["ames", "paris", None])).tolist() == [0, -1, -1]


def test_places_are_found_by_number_where_they_are_numbers():
    places = Places.of(panel_of(None, ["7", "11"]))
    assert places.codes(pl.Series([11, 12])).tolist() == [0, -1]


@pytest.mark.parametrize("spot", [(95.0, 10.0), (40.0, 267.0), (0.0, 0.0), (41.0, None), (None, -93.0), (41.0, NAN)])
def test_a_place_whose_coordinates_cannot_be_is_a_place_without_coordinates(spot):
    places = Places.of(panel_of(table(a=(*spot, "x"), b=(41.0, -93.0, "x"))), region="region")
    assert places.located.tolist() == [False, True]
    assert np.isnan(places.spots[0]).all() and places.region.tolist() == [0, 0]


def test_coordinates_that_are_words_are_an_error_that_names_the_place():
    bad = pl.DataFrame({"location": ["a", "b"], "latitude": ["41.5", "north"], "longitude": ["1", "2"]})
    with pytest.raises(DataError, match=r"location b, 'north'"):
        Places.of(panel_of(bad))


def test_coordinates_that_are_numbers_in_text_are_read():
    assert Places.of(panel_of(pl.DataFrame({"location": ["a"], "latitude": ["41.5"], "longitude": ["-93"]}))).spots.tolist() == [
        [41.5, -93.0]]


def test_a_place_twice_in_the_table_is_an_error():
    with pytest.raises(DataError, match="location ames more than once"):
        Places.of(panel_of(pl.concat([TOWNS, TOWNS.filter(pl.col("location") == "ames")]), TOWNS["location"].to_list()))


def test_a_panel_without_places_still_has_places():
    places = Places.of(panel_of(None, ["a", "b", "c"]))
    assert len(places) == 3 and not places.located.any() and (places.region == -1).all() and places.scale == 1.0
    found = links(places, np.arange(3))
    assert (found == np.eye(3)[:, :, None]).all()


def test_the_region_is_the_attribute_that_was_asked_for():
    attributes = TOWNS.with_columns(pl.Series("chain", ["A", "A", "B", "B", "A", "B"]))
    assert Places.of(panel_of(attributes), region="chain").regions == ("A", "B")
    assert Places.of(panel_of(TOWNS)).attribute == "region" and Places.of(panel_of(None, ["a"])).attribute is None
    with pytest.raises(UnknownNameError, match="Did you mean 'region'"):
        Places.of(panel_of(attributes), region="regio")
    with pytest.raises(UnknownNameError, match="no attribute of places"):
        Places.of(panel_of(None, ["a"]), region="region")


def test_numbers_can_be_regions():
    places = Places.of(panel_of(TOWNS.with_columns(pl.Series("district", [1, 1, 2, 2, None, 1]))), region="district")
    assert places.regions == ("1", "2") and places.region[places.codes(pl.Series(["dubuque"]))[0]] == -1


def test_what_looks_like_a_region_repeats_and_is_neither_all_nor_each():
    places = pl.DataFrame({"location": [f"s{i:02d}" for i in range(36)], "country": "US", "name": [f"shop {i}" for i in range(36)],
                           "state": [f"state {i % 7}" for i in range(36)], "kind": [f"kind {i % 2}" for i in range(36)]})
    assert regional_attribute(panel_of(places)) == "state"
    assert regional_attribute(panel_of(places.select("location", "country", "name"))) is None


def test_cells_of_the_globe_can_be_regions():
    pytest.importorskip("h3")
    places = Places.of(panel_of(TOWNS), cells=4)
    region = dict(zip(places.location, places.region, strict=True))
    assert region["web"] == -1 and region["des_moines"] != region["davenport"]
    with pytest.raises(SettingsError, match="not both"):
        Places.of(panel_of(TOWNS), cells=4, region="region")


def test_the_unit_of_nearness_is_the_usual_way_to_the_fourth_neighbour():
    row = np.column_stack([np.zeros(101), np.arange(101) * 0.1])
    assert usual_gap(row) == pytest.approx(2 * float(great_circle(row[0], row[1])), rel=1e-6)


def test_shops_at_one_address_do_not_make_the_unit_of_nearness_nought():
    assert usual_gap(np.array([[41.0, -93.0]] * 9)) == 1.0
    assert usual_gap(np.array([[41.0, -93.0]] * 9 + [[42.0, -93.0]])) == pytest.approx(111.19, rel=1e-3)
    assert usual_gap(np.zeros((0, 2))) == 1.0


def test_order_puts_neighbours_together_and_places_without_coordinates_last_by_region_and_name():
    lost = table(z=(None, None, "east"), y=(None, None, "mid"), a=(None, None, None), x=(None, 5.0, "mid"))
    places = Places.of(panel_of(pl.concat([TOWNS.filter(pl.col("location") != "web"), lost])))
    names = [places.location[int(i)] for i in places.order()]
    assert names[5:] == ["z", "x", "y", "a"]
    assert {*names[:3]} in ({"des_moines", "ankeny", "ames"}, {"davenport", "dubuque", names[2]})


def test_blocks_hold_each_place_once_and_at_most_so_many():
    rng = np.random.default_rng(0)
    places = pl.DataFrame({"location": [f"{i:04d}" for i in range(1000)], "latitude": rng.uniform(40, 43, 1000),
                           "longitude": rng.uniform(-96, -90, 1000)})
    found = Places.of(panel_of(places))
    cut = blocks(found.order(), 64)
    assert sorted(np.concatenate(cut).tolist()) == list(range(1000)) and max(map(len, cut)) <= 64
    inside = np.median([np.median(great_circle(found.spots[b][:, None], found.spots[b][None])) for b in cut])
    assert inside < 0.5 * np.median(great_circle(found.spots[:, None], found.spots[None]))
    with pytest.raises(SettingsError, match="at least 1 place"):
        blocks(found.order(), 0)


def related(which: np.ndarray) -> np.ndarray:
    places = Places.of(panel_of(TOWNS))
    own = np.random.default_rng(0).normal(size=(len(places) + 1, 100)).astype(np.float32)
    own[-1] = 0
    own[1] = own[0]
    return links(places, which, residuals=own)


def test_relations_are_finite_symmetric_and_one_with_oneself():
    found = related(np.arange(6))
    assert found.shape == (6, 6, len(RELATIONS)) and found.dtype == np.float32
    assert np.isfinite(found).all() and (found == found.transpose(1, 0, 2)).all()
    assert (found[np.arange(6), np.arange(6)] == 1).all() and found.min() >= -1 and found.max() <= 1


def test_near_towns_are_nearer_and_share_a_region():
    found, names = related(np.arange(6)), sorted(TOWNS["location"])
    des_moines, ankeny, davenport, web = (names.index(n) for n in ("des_moines", "ankeny", "davenport", "web"))
    assert found[des_moines, ankeny, 0] > found[des_moines, davenport, 0] > 0
    assert found[des_moines, ankeny, 2] == 1 and found[des_moines, davenport, 2] == 0
    assert (np.delete(found[web], web, axis=0)[:, [0, 2]] == 0).all()
    assert found[0, 1, 1] == pytest.approx(100 / 400)


def test_relations_of_some_places_are_those_among_all_of_them():
    which = np.array([[3, 0, -1], [5, 1, 4]])
    found, whole = related(which), related(np.arange(6))
    assert found.shape == (2, 3, 3, 3)
    assert np.allclose(found[1], whole[np.ix_(which[1], which[1])], atol=1e-6)
    assert (found[0, 2, :2] == 0).all() and (found[0, 2, 2] == 1).all()


def test_relations_as_of_an_origin_do_not_know_what_came_after_it():
    places, which = Places.of(panel_of(TOWNS)), np.array([[0, 1, 2], [0, 1, 2]])
    own = np.random.default_rng(0).normal(size=(7, 100)).astype(np.float32)
    altered = own.copy()
    altered[:, 60:] = 9.0
    a, b = (links(places, which, residuals=r, upto=np.array([60, 80])) for r in (own, altered))
    assert (a[0] == b[0]).all() and not (a[1] == b[1]).all()
    assert np.allclose(a[0], links(places, which[0], residuals=own[:, :60]), atol=1e-6)
    assert (links(places, which[0], residuals=own, upto=-3)[..., 1] == np.eye(3)).all()


def test_a_position_that_is_no_place_is_refused():
    with pytest.raises(SettingsError, match="0 to 5"):
        related(np.array([6]))
    with pytest.raises(SettingsError, match="6 places"):
        links(Places.of(panel_of(TOWNS)), np.arange(2), residuals=np.zeros((6, 9), dtype=np.float32))


def test_nearness_learned_with_one_unit_is_kept_when_places_are_added():
    places = Places.of(panel_of(TOWNS))
    again = Places.of(panel_of(TOWNS.head(3)), scale=places.scale)
    assert links(again, np.arange(2))[0, 1, 0] == links(places, np.array([0, 1]))[0, 1, 0]


def test_residuals_go_to_their_place_by_name_and_new_places_have_none():
    places = Places.of(panel_of(None, ["b", "c", "new"]))
    found = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [0.0, 0.0]])
    assert rows_of(places, found, ["c", "gone", "b"]).tolist() == [[5, 6], [1, 2], [0, 0], [0, 0]]


SPOT = st.tuples(st.one_of(st.none(), st.sampled_from([0.0, 90.0, -90.0]), st.floats(-100, 100)),
                 st.one_of(st.none(), st.sampled_from([0.0, 180.0, -180.0]), st.floats(-200, 200)),
                 st.sampled_from([None, "a", "b"]))


@settings(deadline=None, max_examples=60)
@given(spots=st.lists(SPOT, min_size=1, max_size=9), seed=st.integers(0, 99))
def test_whatever_a_table_of_places_holds_relations_are_finite_and_order_keeps_everybody(spots, seed):
    places = Places.of(panel_of(table(**{f"p{i}": spot for i, spot in enumerate(spots)})), region="region")
    own = np.random.default_rng(seed).normal(size=(len(places) + 1, 30)).astype(np.float32)
    found = links(places, np.arange(len(places)), residuals=own)
    assert np.isfinite(found).all() and (found == found.transpose(1, 0, 2)).all() and (np.einsum("iir->ir", found) == 1).all()
    assert found.min() >= -1 and found.max() <= 1 and 0 < places.scale < 20_016
    assert sorted(places.order().tolist()) == list(range(len(places)))


def test_a_table_of_places_with_numbers_as_text_meets_sales_with_numbers():
    rows = pl.DataFrame({"location": [7, 7], "date": [date(2024, 1, 1), date(2024, 1, 2)], "sales": 1.0})
    places = pl.DataFrame({"location": ["7"], "latitude": [41.0], "longitude": [-93.0]})
    assert Places.of(SalesPanel.from_frame(rows, freq="D", places=places)).located.all()


def test_a_place_without_sales_is_thought_to_sell_as_those_around_it_do():
    spots = np.array([[60.0, 10.0], [60.0, 10.01], [60.01, 10.0], [50.0, 2.0], [50.0, 2.01], [np.nan, np.nan]])
    names = pl.Series(["a", "b", "c", "d", "e", "f"])
    places = Places(names, spots, np.array([0, 0, 0, 1, 1, 1]), ("north", "south"), 5.0)
    levels = np.array([np.nan, 1.0, 1.0, -1.0, -1.0, np.nan])
    around = level_around(places, levels)
    assert around[0] > 0.5 and around[3] < -0.2  # its neighbours', drawn towards the usual by one place's worth
    assert -0.2 < around[5] < 0  # nobody near: a little of its region
    changed = level_around(places, np.where(np.arange(6) == 1, 7.0, levels))
    assert changed[1] == around[1] and changed[0] > around[0]  # a place's own level is left out
    assert np.array_equal(level_around(places, np.full(6, np.nan)), np.zeros(6))

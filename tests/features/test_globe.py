"""Points on the globe."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from shelfcast.errors import DataError, MissingExtraError, SettingsError
from shelfcast.features.globe import EARTH, directions, great_circle, hexagons, hilbert, nearest

LONDON, PARIS, NEW_YORK, SYDNEY, AUCKLAND = (51.5074, -0.1278), (48.8566, 2.3522), (40.7128, -74.0060), (-33.8688, 151.2093), (
    -36.8485, 174.7633)


def scattered(count: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)])


@pytest.mark.parametrize(("here", "there", "km"), [(LONDON, PARIS, 343.6), (LONDON, NEW_YORK, 5570.2), (SYDNEY, AUCKLAND, 2155.9),
                                                   (LONDON, SYDNEY, 16993.9)])
def test_cities_are_as_far_apart_as_is_known(here, there, km):
    assert great_circle(np.array(here), np.array(there)) == pytest.approx(km, rel=0.002)


def test_the_poles_are_half_the_globe_apart_and_have_every_longitude():
    north, south, other_north = np.array([90.0, 0.0]), np.array([-90.0, 120.0]), np.array([90.0, 77.0])
    assert great_circle(north, south) == pytest.approx(np.pi * EARTH)
    assert great_circle(north, other_north) == pytest.approx(0, abs=1e-6)


def test_a_step_over_the_date_line_is_short():
    assert great_circle(np.array([0.0, 179.9]), np.array([0.0, -179.9])) == pytest.approx(np.radians(0.2) * EARTH)


def test_distance_to_an_unknown_place_is_not_known():
    assert np.isnan(great_circle(np.array([51.0, np.nan]), np.array(PARIS)))


@pytest.mark.parametrize(("spot", "says"), [((95.0, 10.0), "latitude beyond 90"), ((40.0, 267.0), "longitude beyond 180"),
                                            ((np.inf, 0.0), "latitude beyond 90")])
def test_a_coordinate_off_the_globe_is_named(spot, says):
    with pytest.raises(DataError, match=says):
        great_circle(np.array([LONDON, spot]), np.array(PARIS))


def test_spots_that_are_no_pairs_are_refused():
    with pytest.raises(DataError, match=r"shape \(4, 3\)"):
        nearest(np.zeros((4, 3)), 1)


def test_nearest_neighbours_are_those_of_the_table_of_all_distances():
    spots = scattered(300)
    index, km = nearest(spots, 5)
    table = great_circle(spots[:, None], spots[None])
    np.fill_diagonal(table, np.inf)
    assert (index == np.argsort(table, axis=1)[:, :5]).all()
    assert np.allclose(km, np.sort(table, axis=1)[:, :5], atol=1e-6)


def test_shops_at_one_address_are_neighbours_of_each_other_and_never_of_themselves():
    spots = np.array([LONDON] * 7 + [PARIS])
    index, km = nearest(spots, 3)
    assert (index != np.arange(8)[:, None]).all()
    assert np.allclose(km[:7], 0) and (index[:7] < 7).all()
    assert all(len(set(row)) == 3 for row in index.tolist())


def test_who_has_fewer_neighbours_than_asked_has_nobody_in_the_rest():
    index, km = nearest(np.array([LONDON, PARIS, (np.nan, 3.0)]), 3)
    assert index.tolist() == [[1, -1, -1], [0, -1, -1], [-1, -1, -1]]
    assert np.isinf(km[2]).all() and np.isinf(km[0, 1:]).all()
    assert (nearest(np.full((2, 2), np.nan), 1)[0] == -1).all()


def test_neighbours_that_are_none_are_refused():
    with pytest.raises(SettingsError, match="at least 1"):
        nearest(scattered(5), 0)


def test_the_straight_line_through_the_globe_gives_the_way_along_it():
    here, there = np.array(LONDON), np.array(SYDNEY)
    line = np.linalg.norm(directions(here) - directions(there))
    assert 2 * EARTH * np.arcsin(line / 2) == pytest.approx(float(great_circle(here, there)))


def test_the_curve_visits_every_cell_of_a_square_and_goes_to_a_neighbour_each_time():
    side = np.linspace(0, 1, 32)
    spots = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    along = hilbert(spots)
    assert len(set(along.tolist())) == len(spots)
    walk = np.round(spots[np.argsort(along)] * 31).astype(int)
    assert all(np.abs(a - b).sum() == 1 for a, b in pairwise(walk))


def test_neighbours_on_the_curve_are_near():
    spots = scattered(2000)
    walk = spots[np.argsort(hilbert(spots))]
    assert np.median(great_circle(walk[1:], walk[:-1])) < 0.06 * np.median(great_circle(spots[1:], spots[:-1]))


def test_islands_on_both_sides_of_the_date_line_stay_together_on_the_curve():
    fiji_west, fiji_east = [(-17.8, lon) for lon in (177.4, 178.4, 179.3)], [(-17.8, lon) for lon in (-179.9, -179.3)]
    along = hilbert(np.array(fiji_west + fiji_east))
    assert np.argsort(along).tolist() in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])


def test_places_without_coordinates_are_not_on_the_curve():
    assert hilbert(np.array([(np.nan, np.nan), LONDON, (51.0, np.nan)])).tolist()[::2] == [-1, -1]
    assert (hilbert(np.full((2, 2), np.nan)) == -1).all()


def test_one_address_is_one_point_of_the_curve():
    assert len(set(hilbert(np.array([LONDON] * 4)).tolist())) == 1


def test_near_shops_share_a_cell_and_far_ones_do_not():
    pytest.importorskip("h3")
    spots = np.array([LONDON, (51.5080, -0.1280), PARIS, (np.nan, 0.0)])
    cells = hexagons(spots, 5)
    assert cells[0] == cells[1] != cells[2] and cells[3] == 0
    assert len({hexagons(spots[:1], r)[0] for r in (0, 3, 7, 15)}) == 4


def test_a_resolution_that_h3_does_not_have_is_refused():
    with pytest.raises(SettingsError, match="16 is no resolution"):
        hexagons(np.array([LONDON]), 16)


def test_cells_without_h3_say_what_to_install(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "h3"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "h3", None)
    with pytest.raises(MissingExtraError, match=r"shelfcast\[space\]"):
        hexagons(np.array([LONDON]), 5)


def test_a_hundred_thousand_places_have_neighbours_without_a_table_of_all_pairs():
    index, km = nearest(scattered(100_000), 4)
    assert index.shape == (100_000, 4) and (np.diff(km, axis=1) >= 0).all()

"""Made-up events: felt sooner and more where they start, by everybody where nobody knows where places are."""

import numpy as np
import polars as pl
import pytest

from shelfcast.features.places import Places
from shelfcast.nn.events import made_up_events


def in_a_row(places=12, gap=0.5):
    """Places along a road, some 50 kilometres apart."""
    spots = np.column_stack([50 + gap * np.arange(places), np.full(places, 10.0)])
    return Places(pl.Series("location", [f"p{k:02d}" for k in range(places)]), spots, np.full(places, -1), (), 50.0, None)


def nowhere(places=5):
    names = pl.Series("location", [f"p{k}" for k in range(places)])
    return Places(names, np.full((places, 2), np.nan), np.full(places, -1), (), 1.0, None)


def drawn(places, seed=0, *, periods=5_000, size=0.3, which=None):
    which = np.arange(len(places)) if which is None else which
    return made_up_events(places, which, periods, per_year=52.0, size=size, draw=np.random.default_rng(seed))


def test_near_places_feel_events_more_alike_than_far_ones():
    alike = np.corrcoef(drawn(in_a_row()))
    near, middle, far = (np.diagonal(alike, k).mean() for k in (1, 4, 10))
    assert near > middle + 0.05 > far + 0.1 and near < 0.999


def test_an_event_reaches_neighbours_later():
    field = drawn(in_a_row(), periods=20_000)

    def after(lag):
        return np.corrcoef(field[0, 60:-60], field[8, 60 + lag:len(field[8]) - 60 + lag])[0, 1]

    # Events start at either end alike: what is heard far away is heard of earlier or later, both more than at once.
    assert max(after(3), after(-3)) > 0 and after(0) > after(40) and after(0) > after(-40)


def test_events_die_away_and_come_in_either_direction():
    field = drawn(in_a_row(), periods=20_000)
    one = field[5] - field[5].mean()
    assert abs(field.mean()) < 0.05
    assert (one[:-1] * one[1:]).mean() > 0.8 * one.var() > 8 * abs((one[:-104] * one[104:]).mean())


def test_where_nobody_knows_where_places_are_events_happen_to_all_of_them():
    field = drawn(nowhere())
    assert field.std() > 0.02
    np.testing.assert_allclose(field, np.broadcast_to(field[:1], field.shape))


def test_size_is_in_logs_and_draws_come_again_from_their_seed():
    np.testing.assert_allclose(drawn(in_a_row(), size=0.6), 2 * drawn(in_a_row(), size=0.3))
    assert np.abs(drawn(in_a_row(), 1) - drawn(in_a_row(), 0)).max() > 0.01


@pytest.mark.parametrize("which", [np.array([], dtype=int), np.array([-1, 0, 3]), np.array([2])])
def test_any_places_can_be_asked_for(which):
    field = drawn(in_a_row(), periods=80, which=which)
    assert field.shape == (len(which), 80) and np.isfinite(field).all()

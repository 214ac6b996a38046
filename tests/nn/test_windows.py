"""The sampler: batches that are a pure function of their number, whole panels, bounded memory, and a validation kept apart."""

from dataclasses import fields, replace
from threading import enumerate as threads

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn.small_chain import chain, surroundings
from shelfcast.nn import windows as sampler
from shelfcast.nn.surroundings import Surroundings
from shelfcast.nn.windows import Windows, alike_in_size, groups_of, shelves_of
from shelfcast.panel import SERIES

HORIZON = 7


@pytest.fixture(scope="module")
def shop():
    """A chain, what windows of it are made with, and how far its history reaches."""
    panel = chain(items=5, places=4)
    return panel, *surroundings(panel)


@pytest.fixture
def make(shop, monkeypatch):
    """Windows over several shelves, closed after use; `what` replaces arguments."""
    made = []
    monkeypatch.setattr(sampler, "LEARNED_CELLS", 8 * shop[2])  # two items of four places a shelf

    def windows(*, panel=shop[0], around=shop[1], **what):
        made.append(Windows(panel, around, **({"reach": shop[2], "seed": 3, "cold": 0.3, "series": 10} | what)))
        return made[-1]

    yield windows
    for one in made:
        one.close()


def same(one, other):
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name), equal_nan=getattr(one, f.name).dtype.kind == "f")
               for f in fields(one))


# -- batches by number ------------------------------------------------------------------------------------------------


def test_a_batch_is_a_pure_function_of_its_number(make):
    one = make()
    whole = [one.batch(k) for k in range(2 * one.a_round + 3)]
    backwards = make()
    for k in reversed(range(len(whole))):
        assert same(backwards.batch(k), whole[k]), k
    assert same(make().batch(one.a_round + 1), whole[one.a_round + 1])
    assert not any(same(whole[k], whole[k + one.a_round]) for k in range(one.a_round))


def test_another_seed_draws_others(make):
    assert not same(make().batch(0), make(seed=4).batch(0))


def test_batches_are_finite_and_of_one_item_a_row(make):
    one = make()
    for k in range(one.a_round):
        batch = one.batch(k)
        for name in ("x", "anchor", "static", "links", "scale", "weight"):
            assert np.isfinite(getattr(batch, name)).all(), name
        assert batch.there.any(axis=0).all() and (batch.weight[~batch.there] == 0).all() and (batch.place[~batch.there] == 0).all()
        assert batch.x.shape[:2] == batch.there.shape == batch.place.shape and batch.item.shape == batch.there.shape[:1]
        assert np.isfinite(batch.truth).any()


def test_a_round_shows_every_series_from_as_many_origins(make):
    one = make(cold=0.0)
    seen = {}
    for k in range(one.a_round):
        batch = one.batch(k)
        for g, p in np.argwhere(batch.there):
            seen[batch.item[g], batch.place[g, p]] = seen.get((batch.item[g], batch.place[g, p]), 0) + 1
    assert len(seen) == 20 and set(seen.values()) == {sampler.ORIGINS_A_VISIT}


def test_series_shown_as_new_have_neither_name_nor_sales(make):
    one = make(cold=0.5)
    batches = [one.batch(k) for k in range(one.a_round)]
    new = np.concatenate([(b.place == 0)[b.there] for b in batches])
    assert 0.3 < new.mean() < 0.7
    for batch in batches:
        hidden = batch.there & (batch.place == 0)
        assert (batch.x[hidden][:, :, :2] == 0).all() and (batch.weight[hidden] > 0).all()


def test_no_more_than_two_visits_are_held_and_each_is_made_once(make, monkeypatch):
    laid_out = []
    block_of = Surroundings.block_of
    monkeypatch.setattr(Surroundings, "block_of", lambda *a, **k: laid_out.append(len(a[1])) or block_of(*a, **k))
    one = make()
    for k in range(one.a_round):
        one.batch(k)
        assert len(one._visits) <= 2
    one.close()
    assert sorted(laid_out[:3]) == [4, 8, 8] and len(laid_out) <= 4  # three shelves, and the one prepared ahead


def test_what_goes_wrong_in_the_background_is_raised_where_the_batch_is_asked_for(make, monkeypatch):
    one = make()

    def broken(self, panel, **rest):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(Surroundings, "block_of", broken)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the disk is full"):
            one.batch(0)


def test_nothing_runs_on_once_windows_are_closed(make):
    before = {t.ident for t in threads()}
    one = make()
    one.batch(0)
    assert {t.ident for t in threads()} - before
    one.close()
    assert not {t.ident for t in threads() if t.is_alive()} - before


# -- the past, the cutoff, and what is held back ----------------------------------------------------------------------


def shaken(panel, after, factor=50.0):
    """The panel with other sales after a period; what is pooled over it is left as it was, see the test."""
    later = pl.col("period") > after
    return replace(panel, rows=panel.rows.with_columns(pl.when(later).then(pl.col("sales") * factor + 7).otherwise(pl.col("sales"))
                                                       .alias("sales")))


def test_training_never_reads_sales_that_are_held_back(shop, make):
    panel = shop[0]
    other = shaken(panel, panel.cutoff - HORIZON)
    assert not other.rows.equals(panel.rows) and SERIES in other.rows.columns
    one, two = make(held_back=HORIZON), make(panel=other, held_back=HORIZON)
    for k in range(one.a_round):
        assert same(one.batch(k), two.batch(k)), k
    assert not same(next(iter(one.validation())), next(iter(two.validation())))
    assert not all(same(a, b) for a, b in ((make().batch(k), make(panel=other).batch(k)) for k in range(3)))


def test_validation_is_the_last_horizon_always_the_same_and_empty_where_nothing_is_held_back(shop, make):
    panel, around, _ = shop
    assert list(make().validation()) == []
    one = make(held_back=HORIZON)
    first, again = list(one.validation()), list(one.validation())
    assert first and all(same(a, b) for a, b in zip(first, again, strict=True))
    names = around.pooled.keys["location"]["location"].to_list()
    items = around.pooled.keys["item"]["item"].to_list()
    sales = panel.dense().sales[:, -HORIZON:]
    row = {key: i for i, key in enumerate(panel.series.select("item", "location").iter_rows())}
    for batch in first:
        for g, p in np.argwhere(batch.there):
            came = sales[row[items[batch.item[g] - 1], names[batch.place[g, p] - 1]]]
            found = batch.truth[g, p] * batch.scale[g, p]
            known = np.isfinite(found)
            assert known.sum() >= 5
            np.testing.assert_allclose(found[known], came[known], rtol=1e-4, atol=1e-4)


def test_origins_lie_before_the_last_column_and_more_of_them_lately(make):
    one = make()
    draw = np.random.default_rng(0)
    drawn = np.concatenate([one._origins(119, draw) for _ in range(500)])
    assert drawn.min() >= 0 and drawn.max() <= 118
    assert (drawn >= 80).mean() > (drawn < 50).mean()


# -- shelves and groups -----------------------------------------------------------------------------------------------

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(sizes=SIZES, most=st.integers(1, 30), other=st.integers(1, 30), seed=st.integers(0, 99))
def test_shelves_hold_every_series_once_and_the_same_groups_whatever_fits_on_one(sizes, most, other, seed):
    item = np.repeat(np.arange(len(sizes)), sizes)
    rank = np.random.default_rng(seed).permutation(len(item))
    found = []
    for fits in (most, other):
        shelves = shelves_of(item, rank, most=fits, most_places=4)
        assert sorted(np.concatenate([s.rows for s in shelves]).tolist()) == list(range(len(item)))
        assert all((np.diff(s.rows) > 0).all() and (len(s.rows) <= fits or len(s.groups) == 1) for s in shelves)
        found.append([tuple(s.rows[row[row >= 0]].tolist()) for s in shelves for row in s.groups])
    assert found[0] == found[1] == [tuple(row[row >= 0].tolist()) for row in groups_of(item, rank, 4)]


@settings(max_examples=200, deadline=None)
@given(sizes=SIZES, most=st.integers(1, 10), seed=st.integers(0, 99))
def test_groups_hold_every_series_once_of_one_item_each_in_the_order_of_places(sizes, most, seed):
    item = np.repeat(np.arange(len(sizes)), sizes)
    rank = np.random.default_rng(seed).permutation(len(item))
    groups = groups_of(item, rank, most)
    assert sorted(groups[groups >= 0].tolist()) == list(range(len(item))) and groups.shape[1] <= most
    for row in groups:
        real = row[row >= 0]
        assert len(real) and (row[len(real):] == -1).all() and len(set(item[real])) == 1 and (np.diff(rank[real]) > 0).all()
    for i, size in enumerate(sizes):
        parts = [int((row >= 0).sum()) for row in groups if item[row[0]] == i]
        assert len(parts) == -(-size // most)


def test_several_hundred_places_of_an_item_are_cut_into_near_ones_and_one_place_stands_alone():
    item = np.repeat([0, 1], [300, 1])
    groups = groups_of(item, np.arange(301), 64)
    assert groups.shape == (6, 60) and (groups[-1] >= 0).sum() == 1
    assert (groups[:5] >= 0).all()


def test_batches_are_of_groups_alike_in_size_and_of_about_as_many_series_as_asked_for():
    """One item in 64 places and a thousand in one place each: the one does not make the batches of the others small."""
    groups = groups_of(np.repeat(np.arange(1001), [64, *[1] * 1000]), np.arange(1064), 64)
    buckets = alike_in_size(groups, 256)
    assert sorted(np.concatenate([rows for rows, _ in buckets]).tolist()) == list(range(1001))
    assert {len(rows): size for rows, size in buckets} == {1000: 256, 1: 4}


def test_made_up_events_move_all_sales_of_a_place_and_item_and_are_drawn_again_from_the_number(make):
    plain, eventful = make(), make(events=0.5)
    block, who = plain._laid_out(0)
    assert plain._eventful(block, who, np.random.default_rng(0)) is block
    moved = eventful._eventful(block, who, np.random.default_rng(0))
    sold = block.sales > 0
    effect = np.log(moved.sales[sold] / block.sales[sold])
    assert 0.02 < effect.std() < 1.0
    np.testing.assert_array_equal(moved.sales[block.sales == 0], 0)
    assert same(eventful.batch(1), make(events=0.5).batch(1)) and not same(eventful.batch(1), plain.batch(1))


def test_windows_are_closed_by_whatever_goes_wrong_while_they_are_used(make):
    windows = make()
    with pytest.raises(KeyError), windows:
        windows.batch(0)
        raise KeyError
    assert windows._closing and not windows._visits

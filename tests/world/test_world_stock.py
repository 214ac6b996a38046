"""Shelves: orders come, customers buy what is there, and what is not there is not sold."""

from dataclasses import replace

import numpy as np
import pytest

from shelfcast.world.blueprint import ChainSettings, Stocking, without
from shelfcast.world.chain import live
from shelfcast.world.draws import draw
from shelfcast.world.retailer import sizes_of
from shelfcast.world.stock import Supply, planned_multiple, run_shelves

STOCKING = Stocking()
WORLD = ChainSettings(seed=4, places=6, items=24, days=500, horizon=20)


def alive_in(settings):
    return live(settings, draw(sizes_of(settings), settings.seed))


@pytest.fixture(scope="module")
def life():
    return alive_in(WORLD)


def shelves(demand, *, rate, pack=1.0, lead=2.0, safety=1.0, failed=None, settings=STOCKING):
    demand = np.atleast_2d(np.asarray(demand, dtype=float))
    n = len(demand)
    supply = Supply(first=np.zeros(n), last=np.full(n, 1e9), rate=np.full(n, rate), lead=np.full(n, lead),
                    pack=np.full(n, pack), safety=np.full(n, safety), turn=np.zeros(n))
    return run_shelves(settings, demand, supply=supply, is_open=np.ones_like(demand), planned=np.ones_like(demand),
                       failed=np.zeros_like(demand) if failed is None else failed)


def test_nobody_buys_more_than_was_asked_for_or_was_there(life):
    sold, demand = life.shelf.sold, life.demand[:, :WORLD.days]
    assert (sold <= demand).all()
    assert (life.shelf.stock >= 0).all()
    short = sold < demand
    assert short.any()
    assert not life.shelf.stock[short].any()


def test_units_are_conserved_and_arrive_in_whole_cases(life):
    stock, sold = life.shelf.stock, life.shelf.sold
    before = np.concatenate([np.zeros_like(stock[:, :1]), stock[:, :-1]], axis=1)
    arrivals = stock - before + sold
    assert arrivals.min() >= 0
    pack = life.retailer.pack[life.retailer.item_of][:, None]
    assert np.abs(arrivals / pack - np.round(arrivals / pack)).max() < 1e-9
    assert arrivals.sum() == sold.sum() + stock[:, -1].sum()


def test_what_is_ordered_today_comes_after_the_lead_time():
    demand = np.zeros(40)
    demand[10] = 8.0
    shelf = shelves(demand, rate=1.0, lead=3.0)
    stock = shelf.stock[0]
    jumps = np.flatnonzero(np.diff(stock) > 0) + 1
    assert jumps[0] == 10 + 3


def test_an_order_that_never_comes_leaves_the_shelf_empty():
    demand = np.full(60, 5.0)
    fine = shelves(demand, rate=5.0)
    failing = shelves(demand, rate=5.0, failed=np.ones((1, 60)))
    assert fine.sold.sum() > 0.95 * demand.sum()
    assert failing.sold.sum() < 0.5 * demand.sum()
    assert not failing.stock[0, 30:].any()


def test_available_is_the_share_of_the_day_before_the_shelf_was_empty(life):
    there = life.shelf.available
    assert there.min() >= 0 and there.max() == 1
    sold_out = life.demand[:, :WORLD.days] > life.shelf.sold
    assert (there[sold_out] < 1).all()
    assert (there[life.shelf.stock > 0] == 1).all()
    shelf = shelves([[100.0]], rate=1.0, settings=Stocking(lead=(2, 2)))
    assert shelf.available[0, 0] == pytest.approx(shelf.sold[0, 0] / 101.0)


def test_what_is_due_after_the_last_day_is_what_was_ordered_and_not_yet_here(life):
    shelf = shelves(np.full(50, 5.0), rate=5.0, lead=4.0)
    assert shelf.due.shape == (1, Stocking().lead[1])
    assert not shelf.due[0, 4:].any()
    assert life.shelf.due.sum() > 0


def test_switched_off_everything_asked_for_is_sold():
    free = alive_in(without(WORLD, "stocking"))
    np.testing.assert_array_equal(free.shelf.sold, free.demand[:, :WORLD.days])
    assert np.isnan(free.shelf.stock).all()
    assert (free.shelf.available == 1).all()


def test_more_safety_stock_means_fewer_empty_shelves():
    lost = []
    for safety in (0.0, 1.1, 4.0):
        world = replace(WORLD, stocking=replace(WORLD.stocking, safety=safety))
        lived = alive_in(world)
        lost.append((lived.demand[:, :WORLD.days] - lived.shelf.sold).sum())
    assert lost[0] > lost[1] > lost[2] > 0


def test_stock_does_not_change_what_customers_want(life):
    np.testing.assert_array_equal(alive_in(without(WORLD, "stocking")).demand, life.demand)


def test_a_shop_that_knows_of_its_offer_orders_more_before_it():
    effect = np.zeros((1, 30))
    effect[0, 10:17] = 1.0
    planned = planned_multiple(Stocking(), effect, np.array([3.0]))
    assert planned[0, 4] == 1.0
    assert planned[0, 9] > planned[0, 6] > 1.0
    assert planned[0, 11] == pytest.approx(np.exp(0.75))
    assert planned[0, 20] == pytest.approx(1.0)

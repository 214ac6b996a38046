"""The truth's tables agree with the sales, and with what a regression finds in them."""

from dataclasses import fields

import numpy as np
import polars as pl
import pytest

from shelfcast.names import AVAILABLE, DATE, ITEM, LOCATION, PRICE, PROMO, SALES
from shelfcast.world.blueprint import ChainSettings, Prices, without
from shelfcast.world.chain import demo_chain
from shelfcast.world.shocks import distance

KEYS = [ITEM, LOCATION, DATE]
WORLD = ChainSettings(seed=4, places=6, items=24, days=600, horizon=30)


@pytest.fixture(scope="module")
def chain():
    return demo_chain(WORLD)


@pytest.fixture(scope="module")
def both(chain):
    return chain.history.join(chain.truth.days, on=KEYS)


def test_what_was_sold_is_what_the_sales_say(both, chain):
    assert both.height == chain.history.height
    assert (both[SALES] == both["sold"]).all()


def test_sold_and_lost_make_up_what_was_asked_for(both):
    assert (both["sold"] + both["lost"] == both["demand"]).all()
    assert both["lost"].min() == 0


def test_days_on_which_a_shelf_ran_empty_are_the_ones_that_lost_sales(both):
    out = both.filter(pl.col("stock_out"))
    assert out.height > 100
    assert (out["demand"] > out[SALES]).all()
    assert (out[AVAILABLE] < 1).all()
    assert (both.filter(~pl.col("stock_out"))["lost"] == 0).all()


def test_rows_that_were_not_reported_are_not_in_the_sales(chain):
    past = chain.truth.days.filter(pl.col(DATE) <= chain.cutoff)
    silent = past.filter(~pl.col("reported"))
    assert silent.height > 0
    assert silent.join(chain.sales, on=KEYS).is_empty()
    assert past.height == silent.height + chain.history.height


def test_demand_is_on_average_what_was_expected(chain):
    days = chain.truth.days
    usual = days["demand"] - days["bulk"]
    assert usual.sum() == pytest.approx(days["mu"].sum(), rel=0.02)


def test_expected_demand_is_the_level_times_its_named_effects(chain):
    world = without(WORLD, "life")
    truth = demo_chain(world).truth
    effects = [c for c in truth.days.columns if c not in (
        *KEYS, "mu", "demand", "bulk", "sold", "lost", "stock_out", "reported")]
    days = truth.days.join(truth.series.select(ITEM, LOCATION, "level"), on=[ITEM, LOCATION]).filter(pl.col("mu") > 0)
    logs = days.select(pl.sum_horizontal("level", *effects)).to_series().to_numpy()
    np.testing.assert_allclose(logs, np.log(days["mu"].to_numpy()), atol=1e-6)


def test_a_regression_on_expected_demand_finds_the_elasticity():
    """log mu = level + elasticity * log price + a trend, where nothing else moves."""
    settings = without(ChainSettings(seed=4, places=3, items=12, days=600, horizon=10), "life", "week", "year", "holidays",
                       "payday", "weather", "promotions", "rivalry", "shocks", "growth")
    chain = demo_chain(settings)
    rows = chain.sales.join(chain.truth.days.select(*KEYS, "mu"), on=KEYS).filter(pl.col("mu") > 0)
    for (item, place), one in rows.group_by(ITEM, LOCATION):
        price = np.log(one[PRICE].to_numpy())
        if np.ptp(price) < 0.02:
            continue
        days = (one[DATE] - settings.first).dt.total_days().to_numpy()
        design = np.stack([np.ones(len(days)), price, days], axis=1)
        found = np.linalg.lstsq(design, np.log(one["mu"].to_numpy()), rcond=None)[0]
        true = chain.truth.series.filter((pl.col(ITEM) == item) & (pl.col(LOCATION) == place))["elasticity"].item()
        assert found[1] == pytest.approx(true, rel=1e-4)
        assert found[2] == pytest.approx(-true * Prices().rise * Prices().steps / (settings.days + settings.horizon), rel=1e-3)


def test_offers_sell_more_even_after_empty_shelves(both):
    rates = (both.filter(pl.col("open") == 1).group_by(ITEM, LOCATION)
             .agg(pl.col(SALES).filter(pl.col(PROMO) == 1).mean().alias("offer"),
                  pl.col(SALES).filter(pl.col(PROMO) == 0).mean().alias("usual")).filter(pl.col("usual") > 1))
    assert 1.3 < (rates["offer"] / rates["usual"]).median() < 4


def test_shocks_reach_nearer_places_earlier(chain):
    km = distance(chain.places["latitude"].to_numpy(), chain.places["longitude"].to_numpy())
    place = {name: i for i, name in enumerate(chain.places[LOCATION])}
    checked = 0
    for shock in chain.truth.shocks.filter(pl.col("start") > WORLD.first).iter_rows(named=True):
        felt = (chain.truth.shock_days.filter(pl.col("shock") == shock["shock"]).group_by(LOCATION)
                .agg(pl.col(DATE).min().alias("first"), pl.col("effect").abs().max()))
        for name, first in felt.select(LOCATION, "first").iter_rows():
            travel = km[place[shock["origin"]], place[name]] / shock["speed"]
            assert (first - shock["start"]).days >= travel
            assert (first - shock["start"]).days <= travel + 5 or first == chain.sales[DATE].max()
            checked += 1
    assert checked > 10


def test_a_truth_table_is_empty_of_nonsense(chain):
    for f in fields(chain.truth):
        table = getattr(chain.truth, f.name)
        assert table.height > 0
        for column in table:
            if column.dtype.is_float():
                assert column.is_finite().all(), (f.name, column.name)


def test_what_is_due_comes_after_history_and_within_the_longest_lead_time(chain):
    ahead = (chain.truth.due[DATE] - chain.cutoff).dt.total_days()
    assert 1 <= ahead.min() <= ahead.max() <= WORLD.stocking.lead[1]
    assert chain.truth.due["units"].min() > 0


def test_cross_elasticities_are_positive_and_weaker_than_an_items_own(chain):
    rivals = chain.truth.rivals.filter(pl.col("share") > 0)
    assert rivals["cross_elasticity"].min() > 0
    own = chain.truth.series["elasticity"]
    assert own.max() < 0
    assert rivals["cross_elasticity"].mean() < -own.mean()


def test_the_future_is_the_days_after_the_last_sale(chain):
    assert chain.future[DATE].min() > chain.cutoff
    assert chain.future[DATE].n_unique() == WORLD.horizon
    assert chain.future["mu"].sum() > 0

"""The prior over retailers: what is drawn is a world that a user could have, and every mechanism does what it says."""

import functools

import numpy as np
import pytest

from shelfcast.errors import SettingsError, UnknownNameError
from shelfcast.names import AVAILABLE, PROMO, SALES, STOCK
from shelfcast.panel import PERIOD
from shelfcast.world.dice import Dice
from shelfcast.world.prior import REGIMES, draw_world

SEEDS = range(3)
TELLING = ("sales_alone", "hidden_covariates")  # what of a world its user has
PLAIN = (*TELLING, "unit_changes", "gaps_as_zeros", "weekly_view", "monthly_view")


@functools.cache
def world(seed, regime, *without):
    return draw_world(seed, regime=regime, without=without)


@functools.cache
def plain_seed(regime, mechanism):
    """The first seed whose plain world of the regime has a mechanism."""
    return next(s for s in range(60) if mechanism in world(s, regime, *PLAIN).mechanisms)


@pytest.mark.parametrize("regime", REGIMES)
def test_a_drawn_world_is_a_panel_that_a_user_could_have(regime):
    for seed in SEEDS:
        drawn = world(seed, regime)
        dense = drawn.panel.dense()
        assert drawn.regime == regime
        assert 50 <= len(drawn.panel) <= 400
        assert drawn.truth.shape == dense.sales.shape
        assert drawn.first == dense.first
        assert drawn.panel.rows[PERIOD].max() <= drawn.panel.cutoff
        assert drawn.panel.horizon_given() == 0
        assert drawn.panel.rows[SALES].is_finite().all()
        assert not np.isinf(drawn.truth).any()
        assert np.isfinite(drawn.truth).mean() > 0.2
        keys = list(zip(*drawn.panel.series.select("item", "location").get_columns(), strict=True))
        assert keys == sorted(keys)
        codes = drawn.panel.rows.select("series", PERIOD)
        assert codes.equals(codes.sort("series", PERIOD)) and not codes.is_duplicated().any()


@pytest.mark.parametrize("regime", REGIMES)
def test_a_world_is_a_function_of_its_seed(regime):
    again = draw_world(2, regime=regime)
    assert again.panel.fingerprint() == world(2, regime).panel.fingerprint() != world(3, regime).panel.fingerprint()
    assert np.array_equal(again.truth, world(2, regime).truth, equal_nan=True)


def test_regimes_are_drawn_by_their_weights():
    names, weights = list(REGIMES), np.array(list(REGIMES.values()))
    assert weights.sum() == pytest.approx(1.0)
    drawn = [draw_world(s).regime for s in range(12)]
    assert len(set(drawn)) >= 4 and set(drawn) <= set(names)


def test_an_unknown_regime_is_named():
    with pytest.raises(UnknownNameError, match=r"'grocer'.*grocery"):
        draw_world(1, regime="grocer")
    with pytest.raises(SettingsError, match="-1"):
        draw_world(-1)


def test_truth_is_what_was_sold_unless_the_panel_tells_of_empty_shelves():
    for regime in REGIMES:
        for seed in SEEDS:
            drawn = world(seed, regime)
            sales = drawn.panel.dense().sales
            both = np.isfinite(sales) & np.isfinite(drawn.truth)
            if {AVAILABLE, STOCK} & set(drawn.panel.covariates):
                assert (drawn.truth >= sales - 1e-9)[both].all()
            else:
                assert np.allclose(drawn.truth[both], sales[both])


def test_an_empty_shelf_hides_demand_and_only_there():
    seed = next(s for s in range(60) if AVAILABLE in world(s, "grocery", *PLAIN).panel.covariates)
    drawn = world(seed, "grocery", *PLAIN)
    dense = drawn.panel.dense()
    known = np.isfinite(drawn.truth)
    lost = known & (drawn.truth > dense.sales)
    assert lost.any()
    assert (drawn.truth >= dense.sales)[known].all()
    assert (dense.past[AVAILABLE][lost] < 1).all()
    untold = world(seed, "grocery", *PLAIN, "availability_told")
    assert np.array_equal(untold.truth[known], dense.sales[known])


def test_closed_days_are_no_truth_where_they_are_told_and_zeros_where_not():
    for seed in range(20):
        drawn = world(seed, "stores", "unit_changes", "gaps_as_zeros")
        if drawn.panel.closed_when:
            closed = drawn.panel.dense().known["open"] == 0
            assert closed.any() and np.isnan(drawn.truth[closed]).all()
        elif "closed_sundays" in drawn.mechanisms:
            assert (drawn.truth == 0).any()
            return
    pytest.fail("no world hid its opening days")


@pytest.mark.parametrize("regime", REGIMES)
def test_a_mechanism_is_there_and_gone_when_switched_off(regime):
    """Each that comes up in the first worlds is switched off once: the books change, and it is not among the mechanisms."""
    seen, idle = set(), []
    for seed in SEEDS:
        drawn = world(seed, regime, *TELLING)
        for mechanism in set(drawn.mechanisms) - seen:
            seen.add(mechanism)
            off = draw_world(seed, regime=regime, without=(*TELLING, mechanism))
            assert mechanism not in off.mechanisms
            if off.panel.fingerprint() == drawn.panel.fingerprint() and np.array_equal(off.truth, drawn.truth, equal_nan=True):
                idle.append((mechanism, seed))
    assert len(seen) > 4
    assert not idle


@pytest.mark.parametrize("mechanism", TELLING)
def test_what_the_user_is_not_told_leaves_the_sales_as_they_were(mechanism):
    seed = next(s for s in range(60) if mechanism in world(s, "brands").mechanisms)
    drawn, told = world(seed, "brands"), world(seed, "brands", *TELLING)
    assert set(drawn.panel.covariates) < set(told.panel.covariates)
    assert np.array_equal(drawn.truth, told.truth, equal_nan=True)


@pytest.mark.parametrize("regime", ["stores", "departments", "brands", "monthly"])
def test_irrelevant_covariates_move_no_sale(regime):
    seed = plain_seed(regime, "irrelevant")
    drawn, off = world(seed, regime, *PLAIN), world(seed, regime, *PLAIN, "irrelevant")
    assert set(off.panel.covariates) < set(drawn.panel.covariates)
    assert np.array_equal(drawn.truth, off.truth, equal_nan=True)


def test_promotions_sell_more_on_their_days_alone_and_not_alike_everywhere():
    uplifts = []
    for seed in range(10):
        drawn, off = world(seed, "stores", *PLAIN, "dips"), world(seed, "stores", *PLAIN, "dips", "promotions")
        if PROMO in drawn.panel.covariates and np.nanmedian(off.truth) > 2000:
            with np.errstate(divide="ignore", invalid="ignore"):
                moved = np.log(drawn.truth / off.truth)
            promo, told = drawn.panel.dense().known[PROMO] == 1, np.isfinite(moved) & (off.truth > 1000)
            assert np.abs(moved[~promo & told]).max() < 2e-3  # rounding to whole money
            active = promo & told
            uplifts.append(np.where(active, moved, 0.0).sum(axis=1)[active.any(axis=1)] / active.sum(axis=1)[active.any(axis=1)])
    assert len(uplifts) >= 3
    assert np.mean([u.mean() > 0.03 for u in uplifts]) > 0.7
    assert np.mean([u.std() for u in uplifts]) > 0.03
    nothing = [np.mean(np.abs(u) < 1e-3) for u in uplifts]
    assert max(nothing) > 0.1 and min(nothing) < 0.05  # in some chains a part of the shops sees nothing of it


def test_rivals_lose_when_a_brand_is_on_offer():
    seed = plain_seed("brands", "rivalry")
    drawn, off = world(seed, "brands", *PLAIN), world(seed, "brands", *PLAIN, "rivalry")
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.log(drawn.truth / off.truth)
    lost = np.isfinite(moved) & (moved < -0.05)
    assert lost.mean() > 0.01


def test_totals_of_whole_shops_have_little_noise():
    """A first try's prior had far noisier totals than real shops have, and its forecasts were too wide."""
    spreads = []
    for seed in range(6):
        bare = world(seed, "stores", *world(seed, "stores").mechanisms)
        logs = np.log(np.where(bare.truth > 100, bare.truth, np.nan))
        spreads.append(np.nanmedian(np.nanstd(logs, axis=1)))
    assert 0.02 < np.median(spreads) < 0.13
    assert max(spreads) < 0.25


def test_two_in_five_grocers_sell_less_than_one_a_day():
    means = [np.nanmean(world(s, "grocery", *PLAIN, "sums_over_items", "sums_over_places", "stocking", "availability_told").truth)
             for s in range(12)]
    assert 0.15 < np.mean(np.array(means) < 1.0) < 0.75


def test_dice_switch_off_one_thing_and_leave_the_others():
    dice, off = Dice(5), Dice(5, without=("weather",))
    assert [dice.on(m, 0.6) for m in "abcdef"] == [off.on(m, 0.6) for m in "abcdef"]
    assert dice.on("weather", 1.0) and not off.on("weather", 1.0)
    assert dice.stream("x").random() == off.stream("x").random() != off.stream("y").random()

"""From expected demand to units: means, spreads, empty days, packs bought whole."""

import numpy as np
import pytest

from shelfcast.world.blueprint import Counts, Outliers
from shelfcast.world.demand import bulk_purchases, customers, decaying_sum, pantry_dip, rival_effect

DAYS = 40_000


def units(expected, *, on=True, dispersion=6.0, empty=0.0, lump=1.0, seed=0):
    rng = np.random.default_rng(seed)
    rate = np.full((1, DAYS), float(expected))
    return customers(Counts(on=on), rate, dispersion=np.array([dispersion]), empty=np.array([empty]), lump=np.array([lump]),
                     crowd=rng.standard_normal(rate.shape), crowd_root=rng.random(rate.shape), count=rng.random(rate.shape),
                     count_many=rng.standard_normal(rate.shape), nobody=rng.random(rate.shape))[0]


@pytest.mark.parametrize("expected", [0.05, 0.7, 5.0, 11.9, 12.1, 80.0])
def test_customers_ask_on_average_for_what_is_expected(expected):
    spread = np.sqrt(expected + expected**2 / 6.0)
    assert units(expected).mean() == pytest.approx(expected, abs=4 * spread / np.sqrt(DAYS) + 0.002 * expected)


@pytest.mark.parametrize(("expected", "dispersion"), [(2.0, 1.0), (5.0, 6.0), (30.0, 3.0)])
def test_counts_spread_as_the_negative_binomial_says(expected, dispersion):
    assert units(expected, dispersion=dispersion).var() == pytest.approx(expected + expected**2 / dispersion, rel=0.08)


@pytest.mark.parametrize("expected", [0.5, 8.0, 40.0])
def test_switched_off_counts_are_poisson(expected):
    assert units(expected, on=False).var() == pytest.approx(expected, rel=0.05)


def test_empty_days_are_empty_and_the_mean_stays():
    sold = units(4.0, empty=0.6)
    assert (sold == 0).mean() > 0.6
    assert sold.mean() == pytest.approx(4.0, rel=0.05)


def test_items_bought_several_at_a_time_sell_in_whole_lots():
    sold = units(3.0, lump=4.0)
    assert not (sold % 4).any()
    assert sold.mean() == pytest.approx(3.0, rel=0.05)


def test_nobody_asks_for_what_is_not_sold():
    assert not units(0.0).any()


def test_units_are_whole_and_never_negative():
    for sold in (units(0.3), units(50.0, dispersion=0.5)):
        assert (sold >= 0).all()
        assert (sold == np.floor(sold)).all()


def test_a_bulk_purchase_is_a_multiple_of_the_usual_day_and_only_of_what_is_sold():
    expected, chance, size = np.array([[10.0, 10.0, 0.0]]), np.array([[0.0, 0.5, 0.0]]), np.full((1, 3), 0.5)
    assert bulk_purchases(Outliers(), expected, chance=chance, size=size).tolist() == [[99.0, 0.0, 0.0]]
    assert not bulk_purchases(Outliers(on=False), expected, chance=chance, size=size).any()


def test_the_sum_that_decays_agrees_with_a_loop_over_days():
    x, decay = np.random.default_rng(1).standard_normal((3, 50)), np.array([0.0, 0.5, 0.97])
    slow = np.zeros_like(x)
    for t in range(50):
        slow[:, t] = (decay * slow[:, t - 1] if t else 0) + x[:, t]
    np.testing.assert_allclose(decaying_sum(x, decay), slow, atol=1e-12)


def test_the_hole_after_an_offer_gives_back_a_share_of_it():
    effect = np.zeros((1, 200))
    effect[0, 10:17] = 0.5
    dip = pantry_dip(effect, active=(effect > 0) * 1.0, share=np.array([0.4]), days=9.0)
    assert dip[0, 17] == dip.min() < 0
    assert not dip[0, :17].any()
    assert abs(dip[0, 199]) < 1e-8
    # What is left of the pantry on the last day of the offer empties in the days after it: a geometric series.
    assert -dip.sum() == pytest.approx(0.4 * 0.5 * sum(np.exp(-k / 9.0) for k in range(7)), rel=1e-6)


def test_rivals_lose_only_within_their_group():
    effect = rival_effect(np.array([[1.0], [0.0], [0.0], [0.0]]), group_of=np.array([0, 0, 0, 1]), groups=2,
                          weight=np.array([2.0, 1.0, 1.0, 5.0]), exposure=np.array([0.3, 0.3, 0.6, 0.9]))
    np.testing.assert_allclose(effect[:, 0], [0.0, -0.3 * 2 / 3, -0.6 * 2 / 3, 0.0], atol=1e-12)

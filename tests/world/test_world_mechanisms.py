"""Each mechanism of the simulated retailer is there, and gone when it is switched off."""

from dataclasses import replace

import numpy as np
import pytest

from shelfcast.world.blueprint import MECHANISMS, ChainSettings, Gaps, Growth, LifeCycle, Outliers, without
from shelfcast.world.calendar import FEASTS
from shelfcast.world.chain import demo_chain, live
from shelfcast.world.demand import life_cycle
from shelfcast.world.draws import Draws, draw
from shelfcast.world.retailer import sizes_of
from shelfcast.world.shocks import distance, travelling_shocks
from shelfcast.world.weather import temperature

WORLD = ChainSettings(seed=4, places=6, items=24, days=800, horizon=30, growth=Growth(opens=0.4))


def alive_in(settings):
    return live(settings, draw(sizes_of(settings), settings.seed))


@pytest.fixture(scope="module")
def life():
    return alive_in(WORLD)


@pytest.fixture(scope="module")
def life_without():
    lived = {}
    return lambda *names: lived.setdefault(names, alive_in(without(WORLD, *names)))


def feast(name):
    return [f.name for f in FEASTS].index(name)


def size_of(name, life):
    """How much of a mechanism is in a life: a number that is zero without it."""
    r, s = life.retailer, WORLD
    open_on_feasts = life.is_open[:, life.days.closed].sum()
    selling = (life.alive * life.is_open[r.place_of] > 0)[:, :s.days]
    measures = {
        "level": lambda: np.log(np.exp(r.level) / np.array([d.level for d in s.departments])[r.category_of[r.item_of]]).std(),
        "life": lambda: (r.launched > 0).sum() + (r.withdrawn < s.days).sum(),
        "week": lambda: np.abs(life.effects["week"]).max() + r.sunday_closed.sum(),
        "year": lambda: np.abs(life.effects["year"]).max(),
        "holidays": lambda: np.abs(life.effects["holidays"]).max() + (0 if open_on_feasts else 1),
        "payday": lambda: np.abs(life.effects["payday"]).max(),
        "weather": lambda: np.abs(life.effects["weather"]).max(),
        "prices": lambda: np.abs(life.effects["price"]).max() + (life.regular.max(1) - life.regular.min(1)).max(),
        "promotions": lambda: (np.abs(life.effects["promotion"]).max() + np.abs(life.effects["dip"]).max()
                               + life.offers.active.sum() + np.abs(life.regular - life.price).max()),
        "rivalry": lambda: np.abs(life.effects["rivalry"]).max(),
        "shocks": lambda: np.abs(life.effects["shocks"]).max() + np.abs(life.shocks).max(),
        "growth": lambda: np.abs(life.effects["growth"]).max() + (r.opened > 0).sum(),
        "counts": lambda: (r.empty > 0).sum() + (r.lump > 1).sum(),
        "outliers": lambda: life.outliers.sum(),
        "gaps": lambda: (life.reported == 0).sum(),
        "stocking": lambda: (life.demand[:, :s.days] > life.shelf.sold)[selling].sum(),
    }
    return float(measures[name]())


@pytest.mark.parametrize("name", [m for m in MECHANISMS if m != "irrelevant"])
def test_a_mechanism_is_there_and_gone_when_switched_off(name, life, life_without):
    assert size_of(name, life) > 0.01
    assert size_of(name, life_without(name)) < 1e-9


@pytest.mark.parametrize("name", ["week", "year", "holidays", "payday", "weather", "shocks", "outliers", "gaps"])
def test_switching_a_mechanism_off_leaves_the_rest_of_the_world_as_it_was(name, life, life_without):
    other = life_without(name)
    for effect, values in life.effects.items():
        if effect != name:
            np.testing.assert_allclose(other.effects[effect], values, atol=1e-12)


def test_nothing_sells_before_its_launch_nor_after_its_last_day(life):
    r, day = life.retailer, np.arange(life.mu.shape[1])
    outside = (day < r.launched[r.item_of][:, None]) | (day > r.withdrawn[r.item_of][:, None])
    assert outside.any()
    assert not life.demand[outside].any()
    assert not life.mu[outside].any()


def test_a_new_item_grows_into_the_shelf_and_an_old_one_fades():
    share = life_cycle(LifeCycle(novelty=0.0), np.arange(400.0), launched=np.array([100.0, -1.0]),
                       withdrawn=np.array([999.0, 300.0]))
    assert share[0, 99] == 0 and share[0, 100] < 0.1 and share[0, 399] > 0.99
    assert (np.diff(share[0, 100:]) > 0).all()
    assert share[1, 0] == 1 and share[1, 300] == pytest.approx(0.3) and share[1, 301] == 0
    assert (np.diff(share[1, 225:301]) < 0).all()


def test_a_novelty_sells_more_at_first_than_later():
    share = life_cycle(LifeCycle(ramp=1.0), np.arange(300.0), launched=np.array([0.0]), withdrawn=np.array([999.0]))[0]
    assert share[5] > 1.2 > 1.01 > share[299]


def test_the_week_has_a_profile_and_shops_that_shut_on_sundays_sell_nothing_then(life):
    sunday = life.days.weekday == 6
    shut = life.retailer.sunday_closed[life.retailer.place_of] > 0
    assert 0 < shut.mean() < 1
    assert not life.demand[shut][:, sunday].any()
    assert life.demand[~shut][:, sunday].any()
    by_day = [life.effects["week"][:, life.days.weekday == d].mean() for d in range(7)]
    assert by_day[5] == max(by_day)


def test_the_garden_sells_in_spring_and_drinks_in_summer(life):
    item = life.retailer.item_of
    month = np.array([(life.days.first + np.timedelta64(t, "D").astype(object)).month for t in range(life.mu.shape[1])])
    for category, high, low in ((5, 5, 11), (2, 7, 1)):
        year = life.effects["year"][life.retailer.category_of[item] == category]
        assert year[:, month == high].mean() > year[:, month == low].mean() + 0.2


def test_people_buy_ahead_of_christmas_and_less_after_it(life):
    at = int(np.flatnonzero(life.days.feast == feast("Christmas"))[0])
    snacks = life.effects["holidays"][life.retailer.category_of[life.retailer.item_of] == 3][0]
    assert snacks[at - 2] > snacks[at - 9] > snacks[at - 15] > 0
    assert snacks[at + 4] < 0
    assert not life.is_open[:, at].any()


def test_easter_moves_and_takes_its_effect_along(life):
    at = np.flatnonzero(life.days.feast == feast("Easter"))
    assert len({(life.days.first + np.timedelta64(int(t), "D").astype(object)).strftime("%m-%d") for t in at}) == len(at) >= 2
    dairy = life.effects["holidays"][life.retailer.category_of[life.retailer.item_of] == 1][0]
    assert all(dairy[t - 3] > dairy[t - 20] for t in at)


def test_money_is_spent_right_after_payday(life):
    effect = life.effects["payday"][np.argmax(np.abs(life.effects["payday"]).max(1))]
    since = life.days.since_payday
    assert effect[since == 0].mean() > effect[since == 7].mean() > effect[since == 20].mean()


def test_warm_days_sell_drinks_and_cold_ones_do_not(life):
    r = life.retailer
    drinks = np.flatnonzero(r.category_of[r.item_of] == 2)
    normal = np.corrcoef(life.effects["weather"][drinks[0]], life.temperature[r.place_of[drinks[0]]])[0, 1]
    assert normal > 0.2
    assert (r.warmth[r.category_of == 2] > 0).all()


def test_weather_persists_and_neighbours_share_it(life):
    rng = np.random.default_rng(0)
    angle = np.zeros(4000)
    _, away = temperature(WORLD.weather, np.array([50.0, 50.0, 50.0]), angle, region=np.array([0, 0, 1]),
                          regional=rng.standard_normal((2, 4000)), local=rng.standard_normal((3, 4000)))
    assert np.corrcoef(away[0, 1:], away[0, :-1])[0, 1] == pytest.approx(WORLD.weather.persistence, abs=0.03)
    assert np.corrcoef(away)[0, 1] > 0.85 > 0.15 > abs(np.corrcoef(away)[0, 2])


def test_the_foreseen_temperature_is_the_true_one_until_the_last_day_of_history(life):
    last = WORLD.days - 1
    np.testing.assert_allclose(life.foreseen[:, :last + 1], life.temperature[:, :last + 1])
    assert np.abs(life.foreseen[:, last + 1:] - life.temperature[:, last + 1:]).max() > 1


def test_regular_prices_stand_still_between_a_few_steps(life):
    steps = (np.diff(life.regular, axis=1) != 0).sum(1)
    assert 0 < steps.max() <= WORLD.prices.steps


def other_steps(settings, item):
    """The same chance, but one item's price rises by other steps."""
    draws = draw(sizes_of(settings), settings.seed)
    steps = draws["step_size"].copy()
    steps[item] += 2.0
    return Draws(draws.sizes, {**draws.values, "step_size": steps})


def test_a_dearer_item_sells_less_by_its_elasticity_and_its_rivals_more_by_the_cross_elasticity():
    settings = without(WORLD, "promotions")
    before, item = alive_in(settings), 7
    after = live(settings, other_steps(settings, item))
    r = before.retailer
    day = WORLD.days - 1
    change = np.log(after.price / before.price)[:, day]
    sells = np.log(np.where(after.mu > 0, after.mu, 1) / np.where(before.mu > 0, before.mu, 1))[:, day]
    on = (before.mu[:, day] > 0)
    own = on & (r.item_of == item)
    assert own.any() and (change[own] > 0.05).all()
    np.testing.assert_allclose(sells[own] / change[own], r.elasticity[own], rtol=1e-9)
    rivals = on & (r.category_of[r.item_of] == r.category_of[item]) & (r.item_of != item)
    for n in np.flatnonzero(rivals):
        at = r.place_of[n] * WORLD.items + item
        cross = -r.rival[n] * before.share[n, item] * r.elasticity[at] * before.alive[at, day]
        assert sells[n] == pytest.approx(cross * change[at], abs=1e-9)
    strangers = on & (r.category_of[r.item_of] != r.category_of[item])
    assert np.abs(sells[strangers]).max() < 1e-12


def test_offers_lift_expected_demand_and_leave_a_hole_behind(life):
    offer, dip = life.effects["promotion"], life.effects["dip"]
    on = life.offers.active > 0
    assert 0.05 < on.mean() < 0.25
    assert (offer[on] > 0).mean() > 0.99 and np.abs(offer[~on]).max() < 1e-12
    assert not dip[on].any() and dip[~on].min() < -0.05
    ends = np.argwhere(on[:, :-8] & ~on[:, 1:-7])
    n, t = ends.T
    free = np.array([not on[a, b + 1:b + 8].any() for a, b in ends])
    first, later = dip[n, t + 1][free], dip[n, t + 7][free]
    assert (first < 0).mean() > 0.99
    assert first.mean() < 1.5 * later.mean() < 0


def test_an_offer_wears_out_while_it_lasts(life):
    n = int(np.argmax(life.offers.active.sum(1)))
    progress, effect = life.offers.progress[n], life.effects["promotion"][n]
    start = np.flatnonzero((life.offers.active[n] > 0) & (progress == 0))[0]
    assert life.offers.active[n, start + 1] > 0
    assert effect[start + 1] < effect[start]


def test_the_price_on_the_shelf_is_the_regular_one_less_the_offer(life):
    on = life.offers.active > 0
    np.testing.assert_allclose(life.price[~on], life.regular[~on])
    np.testing.assert_allclose((1 - life.price / life.regular)[on], life.offers.depth[on], atol=0.03)


def test_an_offer_of_one_item_takes_sales_from_its_rivals(life):
    r = life.retailer
    on = life.offers.active > 0
    taken = []
    for n in np.flatnonzero(r.listed > 0):
        rivals = np.flatnonzero((r.place_of == r.place_of[n]) & (life.share[n][r.item_of] > 0.3))
        if len(rivals) and on[rivals].any(0).any() and life.mu[n].any():
            both = life.alive[n] > 0
            effect, busy = life.effects["rivalry"][n][both], on[rivals].any(0)[both]
            if 5 < busy.sum() < both.sum() - 5:
                taken.append(effect[busy].mean() - effect[~busy].mean())
    assert len(taken) > 10 and np.median(taken) < -0.01


def test_a_shock_reaches_nearer_places_earlier_and_stronger_and_dies_away(life):
    latitude, longitude = np.array([50.0, 50.0, 50.0]), np.array([8.0, 9.0, 11.0])
    away = distance(latitude, longitude)[:1]
    course = travelling_shocks(away, 400, start=np.array([10.0]), size=np.array([0.5]), speed=np.array([20.0]),
                               life=np.array([40.0]), reach=300.0, rise=4.0)[0]
    begins = [int(np.argmax(c > 1e-6)) for c in course]
    peaks = course.max(1)
    assert begins == sorted(begins) and begins[0] == 11 and begins[2] - begins[0] == pytest.approx(away[0, 2] / 20, abs=1.5)
    assert peaks[0] > peaks[1] > peaks[2] > 0
    assert course[0, 60] > 0.1 * peaks[0] and course[0, 399] < 1e-3


def test_distances_are_those_of_the_globe():
    berlin_munich = distance(np.array([52.52, 48.137]), np.array([13.405, 11.575]))
    assert berlin_munich[0, 1] == pytest.approx(504, abs=3)
    assert np.allclose(np.diag(berlin_munich), 0)


def test_a_new_place_sells_nothing_before_it_opens_and_grows_up_after(life):
    r = life.retailer
    new = int(np.flatnonzero(r.opened > 0)[0])
    opened = int(r.opened[new])
    rows = r.place_of == new
    assert not life.demand[rows][:, :opened].any()
    growth = life.effects["growth"][rows]
    assert growth[:, opened:opened + 7].mean() < growth[:, opened + 150:opened + 157].mean() - 0.2


def test_without_all_effects_demand_is_the_level_alone(life_without):
    quiet = life_without("life", "week", "year", "holidays", "payday", "weather", "prices", "promotions", "rivalry", "shocks",
                         "growth")
    listed = quiet.retailer.listed > 0
    expected = np.broadcast_to(np.exp(quiet.retailer.level)[:, None], quiet.mu.shape)
    np.testing.assert_allclose(quiet.mu[listed], expected[listed])
    assert not quiet.mu[~listed].any()


def test_bulk_purchases_are_rare_and_large(life):
    hit = life.outliers > 0
    assert 0 < hit.mean() < 5 * Outliers().rate
    assert (life.outliers[hit] >= 4 * life.mu[hit]).all()


def test_a_till_that_fails_silences_the_whole_place_for_days():
    life = alive_in(replace(WORLD, gaps=Gaps(till=0.01)))
    r = life.retailer
    silent = np.stack([(life.reported[r.place_of == p] == 0).all(0) for p in range(WORLD.places)])
    starts = silent[:, 1:] & ~silent[:, :-1]
    assert starts.any()
    assert silent.sum() >= 2 * starts.sum()


def test_irrelevant_covariates_do_nothing_and_can_be_left_out():
    small = ChainSettings(places=2, items=6, days=120, horizon=7)
    chain, bare = demo_chain(small), demo_chain(without(small, "irrelevant"))
    assert {"fuel_price", "lottery_draw"} == set(chain.sales.columns) - set(bare.sales.columns)
    assert chain.truth.days.equals(bare.truth.days)
    stubborn = replace(small, irrelevant=replace(small.irrelevant, flag=0.9))
    assert demo_chain(stubborn).truth.days.equals(chain.truth.days)

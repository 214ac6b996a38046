"""The simulated chain: all mechanisms put together, from settings and chance to what happened.

`demo_chain()` gives the chain that examples, exams and `make demo` use. Its settings and its tables are frozen: a test
compares their hashes. To change it in the open: change `DEMO` in `blueprint.py` or a mechanism, run
`python -m pytest tests/world/test_demo_chain.py`, put the new hashes that it prints into that test, and say in the
changelog what changed, since every figure measured against the demo chain moves with it.
"""

from types import MappingProxyType

import numpy as np

from shelfcast.world.arrays import Array, days_of, index_like, like, namespace, number, whole
from shelfcast.world.blueprint import DEMO, ChainSettings
from shelfcast.world.calendar import Days, calendar
from shelfcast.world.demand import (
    bulk_purchases,
    customers,
    life_cycle,
    opening,
    pantry_dip,
    payday_effect,
    promotion_effect,
    rival_effect,
    yearly_season,
)
from shelfcast.world.draws import Draws, draw
from shelfcast.world.life import Life
from shelfcast.world.prices import general_log_level, promotion_calendar, regular_log_price
from shelfcast.world.retailer import Retailer, between, draw_retailer, ending, sizes_of
from shelfcast.world.shocks import distance, travelling_shocks
from shelfcast.world.stock import Shelf, Supply, planned_multiple, run_shelves
from shelfcast.world.tables import DemoChain, tables_of
from shelfcast.world.weather import autoregression, foreseen, temperature


def demo_chain(settings: ChainSettings = DEMO) -> DemoChain:
    """The demo chain as tables, with its truth; the same settings give the same tables.

    Examples
    --------
    >>> from shelfcast.world.blueprint import ChainSettings
    >>> chain = demo_chain(ChainSettings(places=2, items=3, days=100, horizon=14))
    >>> chain.places.columns
    ['location', 'latitude', 'longitude', 'region', 'size', 'opened']
    """
    return tables_of(settings, live(settings, draw(sizes_of(settings), settings.seed)))


def live(settings: ChainSettings, draws: Draws) -> Life:
    """Simulate a chain on numpy or torch, whichever the draws are of."""
    s, x = settings, draws
    some = x["place_size"]
    xp = namespace(some)
    r = draw_retailer(s, x)
    total = s.days + s.horizon
    days = calendar(s.first, total)
    day, angle = days_of(some, total), like(days.year_angle, some)
    place, item = r.place_of, r.item_of
    category = r.category_of[item]

    is_open = _open(s, r, days)
    normal, departure = temperature(s.weather, r.latitude, angle, region=r.region_of, regional=x["weather_region"],
                                    local=x["weather_place"])
    exists, young = opening(day, r.opened, young=s.growth.young, young_days=s.growth.young_days)
    life = life_cycle(s.life, day, launched=r.launched, withdrawn=r.withdrawn)
    alive = number(life > 0, some)[item] * exists[place] * r.listed[:, None]

    offers = promotion_calendar(s.promotions, total, cadence=x["item_cadence"], phase=x["item_phase"],
                                duration=x["item_duration"], shift=x["promotion_shift"], depth=x["promotion_depth"],
                                joins=x["promotion_joins"], item_of=item)
    path = regular_log_price(s.prices, total, step_day=x["step_day"], step_size=x["step_size"])
    regular = ending(r.price[item][:, None] * xp.exp(path[item] + r.zone[place][:, None]))
    price = xp.floor(100.0 * regular * (1.0 - offers.depth) + 0.5) / 100.0
    elastic = r.elasticity if s.prices.on else xp.zeros_like(r.elasticity)
    price_effect = elastic[:, None] * (xp.log(regular / r.price[item][:, None]) - general_log_level(s.prices, day)[None, :])
    promotion = promotion_effect(s.promotions, active=offers.active, depth=1.0 - price / regular, progress=offers.progress,
                                 elasticity=elastic, uplift=r.uplift)
    groups = s.places * len(s.departments)
    group = place * len(s.departments) + category
    # Not-yet-launched items are no rivals; what counts is the item's usual size while it is sold.
    rivals = rival_effect((price_effect + promotion) * alive, group_of=group, groups=groups,
                          weight=xp.exp(r.level) * r.listed, exposure=r.rival)
    origin, start = whole(xp.floor(x["shock_origin"] * s.places)), _shock_start(x, total)
    shock_size = s.shocks.size * x["shock_size"] * float(s.shocks.on)
    speed, lifetime = between(s.shocks.speed, x["shock_speed"]), between(s.shocks.life, x["shock_life"])
    shocks = travelling_shocks(distance(r.latitude, r.longitude)[origin], total, start=start, size=shock_size, speed=speed,
                               life=lifetime, reach=s.shocks.reach, rise=s.shocks.rise)
    years = day / 365.25
    wander = s.growth.wander * float(s.growth.on) * autoregression(x["wander"], s.growth.wander_persistence)

    effects = {
        "growth": (r.growth[place] + r.trend[item])[:, None] * years[None, :] + young[place] * float(s.growth.on) + wander,
        "week": r.week[:, index_like(days.weekday, some)],
        "year": yearly_season(angle, swing=r.season, peak=r.peak, second=s.year.second)[item],
        "holidays": (r.taste @ like(days.near_feast, some))[category],
        "payday": payday_effect(like(days.since_payday, some), strength=r.payday, days=s.payday.days)[category],
        "weather": r.warmth[item][:, None] * departure[place],
        "price": price_effect,
        "promotion": promotion,
        "dip": pantry_dip(promotion, active=offers.active, share=r.dip, days=s.promotions.pantry_days),
        "rivalry": rivals,
        "shocks": shocks.sum(0)[place],
    }
    logs = r.level[:, None] + sum(effects.values())
    mu = alive * is_open[place] * life[item] * xp.exp(logs)
    units = customers(s.counts, mu, dispersion=r.dispersion, empty=r.empty, lump=r.lump, crowd=x["crowd"],
                      crowd_root=x["crowd_root"], count=x["count"], count_many=x["count_many"], nobody=x["nobody"])
    extra = bulk_purchases(s.outliers, mu, chance=x["outlier"], size=x["outlier_size"])
    demand = units + extra
    shelf = _shelves(s, r, x, demand, is_open=is_open, promotion=promotion)
    return Life(days=days, retailer=r, effects=MappingProxyType(effects), alive=alive, is_open=is_open, mu=mu, demand=demand,
                outliers=extra, shelf=shelf, offers=offers, regular=regular, price=price, temperature=normal + departure,
                foreseen=foreseen(normal, departure, persistence=s.weather.persistence, known_until=s.days - 1),
                shocks=shocks, shock_origin=origin, shock_start=start, shock_size=shock_size, shock_speed=speed,
                shock_life=lifetime, share=_rival_share(s, r), reported=_reported(s, x),
                irrelevant_walk=autoregression(x["irrelevant_walk"], s.irrelevant.persistence)[0],
                irrelevant_flag=number(x["irrelevant_flag"] < s.irrelevant.flag, some))


def _open(s: ChainSettings, r: Retailer, days: Days) -> Array:
    xp = namespace(r.latitude)
    sunday = like(days.weekday == 6, r.latitude)
    shut = r.sunday_closed[:, None] * sunday[None, :]
    if s.holidays.on:
        feast = like(days.closed, r.latitude)
        shut = xp.clip(shut + feast[None, :], 0.0, 1.0)
    return 1.0 - shut


def _shock_start(x: Draws, total: int) -> Array:
    """Days on which shocks start; some before the first day, so that history starts in the middle of things."""
    xp = namespace(x["shock_day"])
    return xp.floor((x["shock_day"] * 1.1 - 0.1) * total)


def _shelves(s: ChainSettings, r: Retailer, x: Draws, demand: Array, *, is_open: Array, promotion: Array) -> Shelf:
    xp = namespace(demand)
    item, place = r.item_of, r.place_of
    past = slice(0, s.days)
    zero = xp.zeros_like(r.level)
    first = xp.maximum(r.launched[item], r.opened[place])
    supply = Supply(first=xp.maximum(first, zero), last=r.withdrawn[item], rate=xp.exp(r.level) * r.listed,
                    lead=r.lead[item], pack=r.pack[item], safety=r.safety,
                    turn=(place + item) % s.stocking.review)
    planned = planned_multiple(s.stocking, promotion, r.lead[item])
    return run_shelves(s.stocking, demand[:, past], supply=supply, is_open=is_open[place][:, past], planned=planned[:, past],
                       failed=number(x["delivery_fails"][:, past] < s.stocking.fails, demand))


def _rival_share(s: ChainSettings, r: Retailer) -> Array:
    """How the rivals of each series share its exposure: (N, K)."""
    xp = namespace(r.level)
    weight = (xp.exp(r.level) * r.listed).reshape(s.places, s.items)
    same = number(r.category_of[:, None] == r.category_of[None, :], weight)
    same = same * (1.0 - like(np.eye(s.items), weight))
    others = same[None, :, :] * weight[:, None, :]
    return (others / xp.clip(others.sum(2), 1e-9, None)[:, :, None]).reshape(s.places * s.items, s.items)


def _reported(s: ChainSettings, x: Draws) -> Array:
    """1 where a row reached the head office: tills fail for a few days at a place, single lines get lost."""
    some = x["line_lost"]
    xp = namespace(some)
    failing = number(x["till_fails"] < s.gaps.till, some)
    silent = failing
    for lag in range(1, s.gaps.till_days):
        silent = silent + xp.concatenate([xp.zeros_like(failing[:, :lag]), failing[:, :-lag]], 1)
    place = index_like(np.repeat(np.arange(s.places), s.items), some)
    lost = number(some < s.gaps.line, some)
    return 1.0 - float(s.gaps.on) * xp.clip(silent[place] + lost, 0.0, 1.0)



"""Who the retailer is: places, items, and what each answers to, drawn from the settings.

Turns settings and chance into parameters; the mechanics in the other files turn parameters into time series. Whoever wants
another prior over retailers fills `Retailer` in another way and keeps the mechanics.
"""

from dataclasses import dataclass

import numpy as np

from shelfcast.world.arrays import Array, index_like, like, namespace, number, whole
from shelfcast.world.blueprint import ChainSettings
from shelfcast.world.calendar import FEASTS
from shelfcast.world.draws import Draws, Sizes


@dataclass(frozen=True)
class Retailer:
    """Parameters; P places, K items, G categories, N series = P * K, the items of the first place first.

    Attributes
    ----------
    place_of, item_of, category_of, region_of : (N,), (N,), (K,), (P,) positions
    latitude, longitude : (P,), degrees
    size, growth : (P,), log size; log growth a year
    opened : (P,), day number of opening; before 0 means long ago
    sunday_closed : (P,), 1 or 0
    zone : (P,), log of the price level
    listed : (N,), 1 where the place sells the item
    level : (N,), log units a day, in the middle of its life, at the first day's price
    trend : (K,), log a year
    launched, withdrawn : (K,), day numbers of the first and the last day; before 0, after the end: outside the time
    week : (N, 7), log effects, mean of their exponentials 1
    season, peak : (K,), swing on the log; angle of the peak, radians
    warmth : (K,), log per degree
    taste : (G, H), log effect of each feast at its peak
    payday : (G,), log effect right after payday
    price, cost : (K,), money, regular price on the first day
    elasticity : (N,), negative
    uplift : (N,), log; dip : (N,), share; rival : (N,), share
    dispersion : (N,), r; empty : (N,), share of days when nobody comes; lump : (N,), units bought at a time
    pack : (K,), units in a case; lead : (K,), days; safety : (N,), standard deviations
    """

    place_of: Array
    item_of: Array
    category_of: Array
    region_of: Array
    latitude: Array
    longitude: Array
    size: Array
    growth: Array
    opened: Array
    sunday_closed: Array
    zone: Array
    listed: Array
    level: Array
    trend: Array
    launched: Array
    withdrawn: Array
    week: Array
    season: Array
    peak: Array
    warmth: Array
    taste: Array
    payday: Array
    price: Array
    cost: Array
    elasticity: Array
    uplift: Array
    dip: Array
    rival: Array
    dispersion: Array
    empty: Array
    lump: Array
    pack: Array
    lead: Array
    safety: Array


def sizes_of(settings: ChainSettings) -> Sizes:
    """How much chance a chain needs."""
    days = settings.days + settings.horizon
    slots = 2 + days // (7 * settings.promotions.cadence[0])
    return Sizes(P=settings.places, K=settings.items, G=len(settings.departments), R=settings.regions,
                 N=settings.places * settings.items, T=days, E=slots, J=max(1, settings.prices.steps),
                 S=max(1, settings.shocks.count), H=len(FEASTS))


def draw_retailer(settings: ChainSettings, draws: Draws) -> Retailer:
    """One retailer from the settings' distributions.

    Levels, prices, elasticities and dispersions are log-normal; shares and days are uniform between two bounds.
    """
    s, x = settings, draws
    xp = namespace(x["place_size"])
    some = x["place_size"]
    places, items = s.places, s.items
    place_of = index_like(np.repeat(np.arange(places), items), some)
    item_of = index_like(np.tile(np.arange(items), places), some)
    category_of = index_like(np.arange(items) % len(s.departments), some)
    region_of = index_like(np.arange(places) % s.regions, some)
    of_category = {name: like([getattr(d, name) for d in s.departments], some)[category_of]
                   for name in ("level", "price", "season", "peak", "warmth")}

    corner, extent = like([s.south, s.west], some), like([s.north - s.south, s.east - s.west], some)
    centre = corner + (0.1 + 0.8 * x["region_centre"]) * extent
    spot = centre[region_of] + s.region_spread * x["place_offset"]
    spot = corner + xp.clip((spot - corner) / extent, 0.0, 1.0) * extent

    level = s.level
    item_level = xp.log(of_category["level"]) + (level.item * x["item_level"] if level.on else 0.0)
    size = level.place * x["place_size"] * float(level.on)
    listed = number(x["series_listed"] < level.listed, some) if level.on else xp.ones_like(x["series_listed"])
    series_level = item_level[item_of] + size[place_of] + level.series * x["series_level"] * float(level.on)

    launched, withdrawn = _life(s, x)
    opens = number(x["place_opens"] < s.growth.opens, some) * float(s.growth.on)
    opened = opens * xp.floor((0.15 + 0.6 * x["place_opened"]) * s.days) - (1.0 - opens)
    sunday = number(x["place_sunday"] < s.week.sunday_closed, some) * float(s.week.on)

    # Promoted prices can cost the shop money; the regular margin is what is drawn.
    price = ending(of_category["price"] * xp.exp(s.prices.spread * x["item_price"]))
    low, high = s.stocking.margin
    cost = xp.floor(100.0 * price * (1.0 - low - (high - low) * x["item_margin"])) / 100.0

    elasticity = -s.prices.elasticity * xp.exp(s.prices.elasticity_spread * x["item_elasticity"][item_of]
                                               + s.prices.elasticity_place * x["series_elasticity"])
    promotions = s.promotions
    uplift = xp.clip(promotions.uplift + promotions.uplift_spread * x["item_uplift"][item_of]
                     + promotions.uplift_place * x["series_uplift"], 0.0, None)
    counts = s.counts
    sparse = number(x["item_sparse"] < counts.sparse, some)
    lumpy = number(x["item_lumpy"] < counts.lumpy, some)
    lump = 1.0 + lumpy * (counts.lump[0] - 1.0 + xp.floor(x["item_lump"] * (counts.lump[1] - counts.lump[0] + 1)))
    return Retailer(
        place_of=place_of, item_of=item_of, category_of=category_of, region_of=region_of,
        latitude=spot[:, 0], longitude=spot[:, 1], size=size, growth=s.growth.place * x["place_growth"] * float(s.growth.on),
        opened=opened, sunday_closed=sunday, zone=s.prices.zone * x["place_zone"] * float(s.prices.on), listed=listed,
        level=series_level, trend=s.growth.item * x["item_trend"] * float(s.growth.on), launched=launched,
        withdrawn=withdrawn, week=_week(s, x, category_of, item_of),
        season=of_category["season"] * xp.clip(1.0 + s.year.spread * x["item_season"], 0.0, None) * float(s.year.on),
        peak=2 * np.pi * (of_category["peak"] + s.year.peak_days * x["item_peak"]) / 365.25,
        warmth=of_category["warmth"] / 10.0 * (1.0 + s.weather.spread * x["item_weather"]) * float(s.weather.on),
        taste=(like([[f.strength for f in FEASTS]], some) * like([[d.festive] for d in s.departments], some)
               * xp.exp(s.holidays.spread * x["category_holiday"]) * float(s.holidays.on)),
        payday=s.payday.most * x["category_payday"] * float(s.payday.on), price=price, cost=cost, elasticity=elasticity,
        uplift=uplift, dip=between(promotions.dip, x["item_dip"])[item_of] * float(promotions.on),
        rival=between((0.1, s.rivalry.most), x["item_rival"])[item_of] * float(s.rivalry.on),
        dispersion=(counts.dispersion * xp.exp(counts.dispersion_spread * x["item_spread"]))[item_of],
        empty=(sparse * between(counts.zeros, x["item_zeros"]))[item_of] * float(counts.on),
        lump=lump[item_of] if counts.on else xp.ones_like(series_level), pack=_packs(s, x, item_level, lump),
        lead=s.stocking.lead[0] + xp.floor(x["item_lead"] * (s.stocking.lead[1] - s.stocking.lead[0] + 1)),
        safety=s.stocking.safety + s.stocking.safety_spread * x["series_safety"])


def between(bounds: tuple[float, float], share: Array) -> Array:
    """A number between two bounds.

    >>> between((2.0, 6.0), 0.25)
    3.0
    """
    return bounds[0] + (bounds[1] - bounds[0]) * share


def ending(price: Array) -> Array:
    """A price as shops write it: down to the next ten cents, and nine on top; at least 0.19 money.

    >>> ending(np.array([2.5, 0.01])).tolist()
    [2.59, 0.19]
    """
    xp = namespace(price)
    # A millionth keeps 2.5999999 and 2.6 of two machines on the same side.
    return xp.clip(xp.floor(price * 10.0 + 1e-6), 1.0, None) / 10.0 + 0.09


def _life(s: ChainSettings, x: Draws) -> tuple[Array, Array]:
    """Days of launch and withdrawal: launches on Mondays-like sevenths, at least 60 days of life."""
    some = x["item_new"]
    xp = namespace(some)
    new = number(x["item_new"] < s.life.new, some) * float(s.life.on)
    launched = new * (7.0 * xp.floor((0.05 + 0.92 * x["item_launched"]) * s.days / 7.0) + 1.0) - 1.0
    gone = number(x["item_gone"] < s.life.gone, some) * float(s.life.on)
    last = xp.floor((0.25 + 0.70 * x["item_withdrawn"]) * s.days)
    short = number(last < launched + 60.0, some)
    gone = gone * (1.0 - short)
    return launched, gone * last + (1.0 - gone) * (s.days + s.horizon)


def _week(s: ChainSettings, x: Draws, category_of: Array, item_of: Array) -> Array:
    some = x["series_week"]
    xp = namespace(some)
    if not s.week.on:
        return xp.zeros_like(some)
    typical = xp.log(like([d.week for d in s.departments], some))
    effect = (typical + s.week.category * x["category_week"])[category_of[item_of]] + s.week.series * some
    return effect - xp.log(xp.exp(effect).mean(1))[:, None]


def _packs(s: ChainSettings, x: Draws, item_level: Array, lump: Array) -> Array:
    """Units in a case: as drawn, or the next smaller case that a middling shop sells within about a week; whole lumps."""
    some = x["item_pack"]
    xp = namespace(some)
    packs = like(s.stocking.packs, some)
    drawn = packs[whole(xp.floor(some * len(s.stocking.packs)))]
    week = xp.floor(7.0 * xp.exp(item_level) / lump) + 1.0
    least = float(min(s.stocking.packs))
    fits = xp.clip(xp.amax(packs[None, :] * number(packs[None, :] <= week[:, None], some), 1), least, None)
    return xp.minimum(drawn, fits) * lump

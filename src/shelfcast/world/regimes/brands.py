"""Weekly units of brands at places: prices, deals and features that move sales several times over, and rivals on the same shelf."""

import numpy as np

from shelfcast.names import PRICE, PROMO
from shelfcast.periods import Frequency
from shelfcast.world.demand import pantry_dip, rival_effect
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import draw_feasts, draw_tastes
from shelfcast.world.ledger import Covariate, Ledger, names_of
from shelfcast.world.lives import life_courses
from shelfcast.world.patterns import draw_week, memory, returning, shifts, swings, trends, year_angle
from shelfcast.world.surroundings import draw_spots, irrelevant


def draw_brands(dice: Dice) -> Ledger:
    """128 to 400 series of 60 to 200 weeks: 3 to 25 brands at as many places as that allows."""
    rng = dice.stream("sizes")
    brands, weeks = int(rng.integers(3, 26)), int(rng.integers(60, 201))
    places = max(1, int(rng.integers(128, 401)) // brands)
    number, first, anchor = draw_week(rng, weeks)
    days = 7 * weeks
    item_of, place_of = np.repeat(np.arange(brands), places), np.tile(np.arange(places), brands)
    n = brands * places
    rng = dice.stream("brands")
    logs = (rng.uniform(np.log(3.0), np.log(8_000.0)) + rng.uniform(0.3, 1.2) * rng.standard_normal(brands)[item_of]
            + rng.uniform(0.1, 0.6) * rng.standard_normal(places)[place_of] + rng.uniform(0.1, 0.5) * rng.standard_normal(n))
    level = np.exp(logs)
    logs = np.repeat(logs[:, None], weeks, axis=1)
    angle = year_angle(first, days)
    if dice.on("year", 0.8):
        r = dice.stream("year")
        logs += swings(r, angle, brands, most=0.4)[:, 3::7][item_of] + swings(r, angle, 1, most=0.4)[:, 3::7]
    if dice.on("returning", 0.3):
        r = dice.stream("returning")
        logs += returning(r, number, weeks, 1, period=52.18, size=r.uniform(0.0, 0.15))
    if dice.on("holidays", 0.6):
        feasts = draw_feasts(dice.stream("feasts"), first, days)
        felt = draw_tastes(dice.stream("tastes"), feasts, 1) @ feasts.felt()
        logs += felt.reshape(1, weeks, 7).mean(axis=2)
    if dice.on("trend", 0.8):
        r = dice.stream("trend")
        logs += trends(r, brands, weeks, per_year=52.18, size=r.uniform(0.02, 0.3))[item_of]
        logs += trends(r, n, weeks, per_year=52.18, size=r.uniform(0.01, 0.15))
    if dice.on("level_shifts", 0.4):
        r = dice.stream("shifts")
        logs += shifts(r, n, weeks, share=r.uniform(0.02, 0.3), size=0.4)
    prices, deal, feature, effect = _offers(dice, item_of=item_of, place_of=place_of, weeks=weeks)
    logs += effect
    if dice.on("dips", 0.6):
        r = dice.stream("dips")
        logs += pantry_dip(np.clip(effect, 0.0, None), active=((deal + feature) > 0).astype(np.float64),
                           share=r.uniform(0.0, 0.6, n), days=r.uniform(0.5, 3.0))
    if dice.on("rivalry", 0.75):
        r = dice.stream("rivalry")
        logs += rival_effect(effect, group_of=place_of, groups=places, weight=level,
                             exposure=r.uniform(0.0, r.uniform(0.2, 1.0), brands)[item_of])
    r = dice.stream("noise")
    logs += r.uniform(0.02, 0.25) * memory(r, (n, weeks), 0.9)
    logs += r.uniform(0.0, 0.15) * r.standard_normal((brands, weeks))[item_of]
    logs += r.uniform(0.0, 0.12) * r.standard_normal((places, weeks))[place_of]
    logs += r.uniform(0.08, 0.45) * np.exp(0.3 * r.standard_normal((n, 1))) * r.standard_normal((n, weeks))
    row = np.ones((n, weeks), dtype=bool)
    if dice.on("life_cycles", 0.4):
        share = life_courses(dice.stream("lives"), n, weeks, per_year=52.18)
        logs, row = logs + np.log(np.maximum(share, 1e-9)), share > 0
    sold = dice.stream("counts").poisson(np.exp(np.clip(logs, -8.0, 14.0))).astype(np.float64)
    if dice.on("packs", 0.3):
        sold = sold * float(dice.stream("packs").choice([4, 6, 12, 24, 64]))
    if dice.on("gaps", 0.5):
        r = dice.stream("gaps")
        row &= r.random((n, weeks)) >= r.uniform(0.001, 0.06)
    known: dict[str, Covariate] = {PRICE: prices}
    form = rng.random()
    if form < 0.5:
        known |= {"deal": deal, "feature": feature}
    elif form < 0.8:
        known[PROMO] = np.maximum(deal, feature)
    if dice.on("irrelevant", 0.4):
        known |= irrelevant(dice.stream("irrelevant"), places, weeks)
    facts, near = draw_spots(dice.stream("spots"), places, min(places, 5), np.arange(places) % min(places, 5))
    return Ledger(frequency=Frequency("W", anchor), first=number, items=names_of("B", brands), places=names_of("S", places),
                  item_of=item_of, place_of=place_of, sold=sold, truth=np.where(row, sold, np.nan), row=row, known=known,
                  place_facts=facts | near)


def _offers(dice: Dice, *, item_of: np.ndarray, place_of: np.ndarray, weeks: int) -> tuple[np.ndarray, ...]:
    """Prices (money), deal and feature flags, and their effect on the log, (N, T) each.

    Elasticities of 0.5 to 8 by brand and place; a feature sells up to ten times as much, in few weeks; a quarter of the series
    answer to flags not at all.
    """
    rng = dice.stream("offers")
    brands, places, n = item_of.max() + 1, place_of.max() + 1, len(item_of)
    usual = np.exp(rng.normal(1.0, 0.5, brands))
    steps = 0.05 * rng.standard_normal((brands, weeks)) * (rng.random((brands, weeks)) < 0.04)
    regular = np.cumsum(steps, axis=1)[item_of] + rng.uniform(0.0, 0.08) * rng.standard_normal(places)[place_of, None]
    regular = regular + rng.uniform(0.0, 0.03) * memory(rng, (n, weeks), 0.8) * (rng.random() < 0.4)
    on = np.zeros((brands, weeks))
    depth = np.zeros((brands, weeks))
    if dice.on("promotions", 0.95):
        r = dice.stream("promotions")
        starts = r.random((brands, weeks)) < r.uniform(0.04, 0.35, (brands, 1))
        cut = r.choice([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5], (brands, weeks))
        for lag in range(int(r.integers(1, 4))):
            on[:, lag:] = np.maximum(on[:, lag:], starts[:, :weeks - lag])
            depth[:, lag:] = np.maximum(depth[:, lag:], (starts * cut)[:, :weeks - lag])
    rng = dice.stream("answers")
    joins = rng.random((n, weeks)) < rng.uniform(0.5, 1.0)
    on, depth = on[item_of] * joins, depth[item_of] * joins
    featured = rng.random((brands, weeks)) < rng.uniform(0.1, 0.7)
    feature = on * featured[item_of]
    deal = on * (rng.random((n, weeks)) < rng.uniform(0.6, 1.0))
    prices = np.round(usual[item_of, None] * np.exp(regular) * (1.0 - depth), 2)
    elasticity = -np.exp(np.log(rng.uniform(1.2, 4.0)) + 0.4 * rng.standard_normal(brands)[item_of]
                         + rng.uniform(0.05, 0.4) * rng.standard_normal(n))
    silent = rng.random((n, 1)) < 0.25 * (rng.random() < 0.6)
    lift = rng.uniform(0.1, 1.6) * np.exp(0.5 * rng.standard_normal(brands))[item_of, None] * np.exp(
        rng.uniform(0.1, 0.4) * rng.standard_normal((n, 1)))
    deals = rng.uniform(0.0, 0.5) * np.exp(0.4 * rng.standard_normal((n, 1)))
    said = np.clip(np.where(silent, 0.0, lift), 0.0, 2.3) * feature + np.where(silent, 0.0, deals) * deal
    effect = elasticity[:, None] * np.log(np.maximum(prices, 0.01) / usual[item_of, None]) + said
    effect = np.clip(effect, -3.0, 3.3)  # no shelf holds more than that
    return prices, deal, feature, effect if dice.on("price_response", 0.95) else np.zeros_like(effect)

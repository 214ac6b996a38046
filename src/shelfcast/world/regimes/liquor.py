"""Orders of many items by many places, by week: buyers who order a case every few weeks, weeks without a row, few covariates."""

import numpy as np

from shelfcast.names import PRICE
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import draw_feasts, draw_tastes
from shelfcast.world.ledger import Covariate, Ledger, names_of
from shelfcast.world.lives import life_courses
from shelfcast.world.patterns import crisis, draw_week, memory, shifts, swings, trends, year_angle
from shelfcast.world.surroundings import draw_spots, irrelevant


def draw_liquor(dice: Dice) -> Ledger:
    """128 to 400 series of 78 to 210 weeks."""
    rng = dice.stream("sizes")
    weeks = int(rng.integers(78, 211))
    places = int(np.exp(rng.uniform(0.0, np.log(100.0))))
    items = max(1, int(rng.integers(128, 401)) // places)
    number, first, anchor = draw_week(rng, weeks)
    item_of, place_of = np.repeat(np.arange(items), places), np.tile(np.arange(places), items)
    n, days = items * places, 7 * weeks
    rng = dice.stream("liquor")
    logs = (rng.uniform(np.log(0.3), np.log(30.0)) + rng.uniform(0.5, 1.3) * rng.standard_normal(items)[item_of]
            + rng.uniform(0.3, 1.2) * rng.standard_normal(places)[place_of]
            + rng.uniform(0.1, 0.6) * rng.standard_normal(n))[:, None]
    angle = year_angle(first, days)[3::7]
    if dice.on("year", 0.85):
        r = dice.stream("year")
        logs = logs + swings(r, angle, 1, most=0.3) + swings(r, angle, items, most=0.6)[item_of]
    if dice.on("holidays", 0.7):
        feasts = draw_feasts(dice.stream("feasts"), first, days)
        felt = draw_tastes(dice.stream("tastes"), feasts, min(items, 5)) @ feasts.felt(lead=1.5 * feasts.lead)
        logs = logs + felt.reshape(-1, weeks, 7).mean(axis=2)[np.arange(items) % min(items, 5)][item_of]
    if dice.on("trend", 0.85):
        r = dice.stream("trend")
        logs = logs + trends(r, items, weeks, per_year=52.18, size=r.uniform(0.02, 0.3))[item_of] + trends(
            r, places, weeks, per_year=52.18, size=r.uniform(0.02, 0.25))[place_of]
    if dice.on("level_shifts", 0.4):
        logs = logs + shifts(dice.stream("shifts"), n, weeks, share=0.15, size=0.6)
    if dice.on("crisis", 0.2):
        logs = logs + crisis(dice.stream("crisis"), places, weeks, per_year=52.18)[place_of]
    r = dice.stream("wander")
    logs = logs + r.uniform(0.05, 0.5) * memory(r, (n, weeks), 0.93)
    r = dice.stream("noise")
    steady = r.uniform(1.0, 8.0)
    drunk = np.exp(np.clip(logs, -6.0, 9.0)) * r.gamma(steady, 1.0 / steady, (n, weeks))
    row = np.ones((n, weeks), dtype=bool)
    if dice.on("life_cycles", 0.6):
        share = life_courses(dice.stream("lives"), n, weeks, per_year=52.18, new=0.4, gone=0.25)
        drunk, row = drunk * share, share > 0
    sold = _orders(dice, drunk)
    known: dict[str, Covariate] = {}
    summed = dice.on("rows_of_sales_alone", 0.75)
    if not summed and dice.on("prices", 0.3):  # prices hardly move
        r = dice.stream("prices")
        steps = 0.04 * r.standard_normal((items, weeks)) * (r.random((items, weeks)) < 0.01)
        known[PRICE] = np.round((np.exp(r.normal(2.3, 0.5, (items, 1))) * np.exp(np.cumsum(steps, axis=1)))[item_of], 2)
    if dice.on("outliers", 0.5):
        r = dice.stream("outliers")
        sold = np.where((r.random((n, weeks)) < 0.002) & (sold > 0), np.rint(sold * r.uniform(3.0, 12.0, (n, weeks))), sold)
    returns = dice.on("returns", 0.15)
    if returns:
        r = dice.stream("returns")
        sold = np.where(r.random((n, weeks)) < 0.002, -np.rint(sold * r.random((n, weeks))), sold)
    if dice.on("irrelevant", 0.3):
        known |= irrelevant(dice.stream("irrelevant"), places, weeks)
    facts, near = draw_spots(dice.stream("spots"), places, min(places, 8), np.arange(places) % min(places, 8))
    truth = np.where(row, sold, np.nan)
    if summed:
        row = row & (sold != 0)
        # A series begins with its first order, which nobody could have forecast from its own past.
        truth = np.where(np.maximum.accumulate(row, axis=1), truth, np.nan)
        known = {k: v for k, v in known.items() if isinstance(v, np.ndarray) and v.ndim == 1}
    return Ledger(frequency=Frequency("W", anchor), first=number, items=names_of("I", items), places=names_of("S", places),
                  item_of=item_of, place_of=place_of, sold=sold, truth=truth, row=row, known=known, place_facts=facts | near,
                  absent="zero" if summed else "missing", net_of_returns=returns)


def _orders(dice: Dice, drunk: np.ndarray) -> np.ndarray:
    """(N, T) units ordered: whole cases as soon as what was drunk fills one, on the weeks in which the buyer comes by.

    ordered[t] = case * (floor(phase + drunk up to t / case) - the same at the last visit)
    """
    rng = dice.stream("orders")
    n, weeks = drunk.shape
    if not dice.on("ordering", 0.8):
        return rng.poisson(drunk).astype(np.float64)
    case = rng.choice([1.0, 1.0, 2.0, 3.0, 6.0, 6.0, 12.0, 12.0, 24.0], (n, 1))
    case = np.where(drunk.mean(axis=1, keepdims=True) * 26 < case, 1.0, case)  # nobody buys half a year's cases
    full = np.floor(rng.random((n, 1)) + np.cumsum(drunk, axis=1) / case)
    every = rng.choice([1, 1, 1, 2, 2, 4], (n, 1))
    visits = (np.arange(weeks) + rng.integers(0, 4, (n, 1))) % every == 0
    visits &= rng.random((n, weeks)) < rng.uniform(0.6, 1.0, (n, 1))
    got = np.maximum.accumulate(np.where(visits, full, 0.0), axis=1)
    return case * np.diff(got, axis=1, prepend=0.0)

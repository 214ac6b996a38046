"""Weekly money by department and shop: departments have seasons of their own, and peaks of one week that return each year."""

import numpy as np

from shelfcast.names import PROMO
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import Feasts, draw_feasts, draw_tastes
from shelfcast.world.ledger import Covariate, Ledger, names_of
from shelfcast.world.lives import life_courses
from shelfcast.world.patterns import (
    crisis,
    draw_week,
    memory,
    own_peaks,
    returning,
    shifts,
    swings,
    trends,
    windows,
    year_angle,
)
from shelfcast.world.surroundings import draw_spots, irrelevant, nearby_shocks


def draw_departments(dice: Dice) -> Ledger:
    """128 to 400 series of 80 to 180 weeks: 8 to 60 departments at as many shops as that allows."""
    rng = dice.stream("sizes")
    departments, weeks = int(rng.integers(8, 61)), int(rng.integers(80, 181))
    places = max(1, int(rng.integers(128, 401)) // departments)
    number, first, anchor = draw_week(rng, weeks)
    item_of, place_of = np.repeat(np.arange(departments), places), np.tile(np.arange(places), departments)
    n, days = departments * places, 7 * weeks
    rng = dice.stream("departments")
    feasts = draw_feasts(dice.stream("feasts"), first, days)
    # Shops differ in how far they follow a department's season.
    follows = np.exp(rng.uniform(0.02, 0.25) * rng.standard_normal((n, 1)))
    level = (rng.uniform(np.log(100.0), np.log(30_000.0)) + rng.uniform(0.5, 1.6) * rng.standard_normal(departments)[item_of]
             + rng.uniform(0.1, 0.6) * rng.standard_normal(places)[place_of] + rng.uniform(0.1, 0.5) * rng.standard_normal(n))
    logs = level[:, None] + follows * _seasons(dice, feasts, departments, weeks)[item_of]
    logs += _paths(dice, item_of, place_of, weeks)
    facts, near = draw_spots(dice.stream("spots"), places, min(places, 6), np.arange(places) % min(places, 6))
    if dice.on("shocks", 0.2):
        logs += nearby_shocks(dice.stream("shocks"), facts, days).reshape(places, weeks, 7).mean(axis=2)[place_of]
    known: dict[str, Covariate] = {}
    if dice.on("promotions", 0.3):
        r = dice.stream("promotions")
        log, known = _markdowns(r, places, weeks)
        logs += log[place_of] * r.uniform(0.0, 1.0, departments)[item_of, None]
    logs += _noise(dice, item_of, place_of, weeks, level)
    sold, row = np.exp(np.clip(logs, -12.0, 16.0)), np.ones((n, weeks), dtype=bool)
    if dice.on("sparse", 0.7):
        sold, row = _sparse(dice.stream("sparse"), sold, row)
    if dice.on("life_cycles", 0.5):
        share = life_courses(dice.stream("lives"), n, weeks, per_year=52.18, new=0.2, gone=0.15)
        sold, row = sold * share, row & (share > 0)
    if dice.on("outliers", 0.4):
        r = dice.stream("outliers")
        hit = r.random((n, weeks)) < r.choice([0.0005, 0.002, 0.006])
        sold = np.where(hit, sold * np.exp(r.normal(0.3, 0.9, (n, weeks))), sold)
    returns = dice.on("returns", 0.15)
    if returns:
        sold = np.where(dice.stream("returns").random((n, weeks)) < 0.002, -0.3 * sold, sold)
    if dice.on("gaps", 0.3):
        r = dice.stream("gaps")
        row &= r.random((n, weeks)) >= r.uniform(0.001, 0.02)
    sold = np.round(sold, int(rng.choice([0, 2, 2])))
    if dice.on("holiday_flag", 0.6):
        r = dice.stream("flag")
        marked = feasts.on(r.random(len(feasts.names)) < r.uniform(0.15, 0.6)) >= 0
        known["holiday"] = np.asarray(marked.reshape(weeks, 7).max(axis=1), dtype=np.float64)
    if dice.on("irrelevant", 0.6):
        known |= irrelevant(dice.stream("irrelevant"), places, weeks)
    item_facts = {"family": np.array([f"F{k % 7}" for k in range(departments)])} if rng.random() < 0.3 else {}
    return Ledger(frequency=Frequency("W", anchor), first=number, items=names_of("D", departments), places=names_of("S", places),
                  item_of=item_of, place_of=place_of, sold=sold, truth=np.where(row, sold, np.nan), row=row, known=known,
                  item_facts=item_facts, place_facts=facts | near, net_of_returns=returns)


def _seasons(dice: Dice, feasts: Feasts, departments: int, weeks: int) -> np.ndarray:
    """(K, weeks), log of what returns each year: laid out by day, since feasts fall on days and move, and summed over each week."""
    shape, angle = np.zeros((departments, feasts.days)), year_angle(feasts.first, feasts.days)
    if dice.on("year", 0.95):
        r = dice.stream("year")
        most = r.choice([0.2, 0.5, 1.0])
        shape += swings(r, angle, departments, most=most) + swings(r, angle, 1, most=0.2)
        shape += windows(r, angle, departments, chance=r.uniform(0.05, 0.4), most=2.5)
    if dice.on("own_peaks", 0.5):
        r = dice.stream("own_peaks")
        shape += own_peaks(r, angle, departments, share=r.uniform(0.02, 0.3))
    if dice.on("returning", 0.5):
        r = dice.stream("returning")
        shape += returning(r, feasts.first, feasts.days, departments, period=365.2425, size=r.uniform(0.0, 0.12))
    if dice.on("holidays", 0.95):
        shape += _peaks(dice.stream("tastes"), feasts, departments)
    if dice.on("payday", 0.5):  # the weeks of a month differ
        r = dice.stream("payday")
        dates = (feasts.first + np.arange(feasts.days)).astype("datetime64[D]")
        into = (dates - dates.astype("datetime64[M]")).astype(int)
        shape += r.uniform(0.0, 0.25) * r.random((departments, 1)) * np.exp(-into / r.uniform(3.0, 8.0))
    weekday = np.exp(0.3 * dice.stream("week").standard_normal(7))
    by_day = np.exp(np.clip(shape, -8.0, 5.0)).reshape(departments, weeks, 7)
    return np.log((by_day * weekday / weekday.mean()).mean(axis=2))


def _paths(dice: Dice, item_of: np.ndarray, place_of: np.ndarray, weeks: int) -> np.ndarray:
    """(N, T), what does not return: growth, steps of the level, a crisis."""
    n, departments, places = len(item_of), item_of.max() + 1, place_of.max() + 1
    logs = np.zeros((n, weeks))
    if dice.on("trend", 0.85):
        r = dice.stream("trend")
        logs += trends(r, departments, weeks, per_year=52.18, size=r.uniform(0.005, 0.12))[item_of]
        logs += trends(r, places, weeks, per_year=52.18, size=r.uniform(0.005, 0.08))[place_of]
        logs += trends(r, n, weeks, per_year=52.18, size=r.uniform(0.0, 0.08))
    if dice.on("level_shifts", 0.5):
        r = dice.stream("shifts")
        logs += shifts(r, n, weeks, share=r.uniform(0.02, 0.25), size=0.35)
    if dice.on("crisis", 0.1):
        logs += crisis(dice.stream("crisis"), departments, weeks, per_year=52.18)[item_of]
    return logs


def _peaks(rng: np.random.Generator, feasts: Feasts, departments: int) -> np.ndarray:
    """(K, days), what feasts do to each department: buying ahead over days or weeks, a hole after, at each year's date."""
    lead = feasts.lead * np.exp(0.3 * rng.standard_normal(len(feasts.lead)))
    tastes = draw_tastes(rng, feasts, departments, none=0.45, strong=0.35)
    # Most departments live through Christmas together; some have nothing else.
    tastes *= np.exp(0.5 * rng.standard_normal((departments, 1)))
    return np.clip(tastes, -1.0, 3.5) @ feasts.felt(lead=lead, after=rng.uniform(0.0, 0.6), relief=rng.uniform(3.0, 12.0))


def _markdowns(rng: np.random.Generator, places: int, weeks: int) -> tuple[np.ndarray, dict[str, Covariate]]:
    """(P, weeks), the log effect of money given away by shop and week, and what is told of it: nan before it was kept."""
    count = int(rng.integers(1, 4))
    log, known = np.zeros((places, weeks)), dict[str, Covariate]()
    for i in range(count):
        when = rng.random((1, weeks)) < rng.uniform(0.05, 0.5)
        amount = when * np.exp(rng.normal(7.0, 1.0, (places, weeks)))
        log += rng.choice([0.0, 0.0, 0.03, 0.08]) * np.log1p(amount / 1000.0)
        told = np.round(amount, 2)
        if rng.random() < 0.4:
            told[:, :int(rng.uniform(0.0, 0.6) * weeks)] = np.nan
        known[f"markdown_{i + 1}"] = told
    if rng.random() < 0.4:
        flag = rng.random((1, weeks)) < rng.uniform(0.05, 0.4)
        log += rng.uniform(0.0, 0.3) * flag * (1.0 + 0.3 * rng.standard_normal((places, 1)))
        known[PROMO] = np.broadcast_to(flag, (places, weeks)).astype(np.float64)
    return log, known


def _noise(dice: Dice, item_of: np.ndarray, place_of: np.ndarray, weeks: int, level: np.ndarray) -> np.ndarray:
    """(N, T): 2 to 15 % from week to week for most, more where little is sold, shared in part by departments and by shops."""
    rng = dice.stream("noise")
    n, departments, places = len(item_of), item_of.max() + 1, place_of.max() + 1
    own = np.exp(rng.uniform(np.log(0.02), np.log(0.11)) + 0.5 * rng.standard_normal((departments, 1))[item_of]
                 + 0.2 * rng.standard_normal((n, 1)) - rng.uniform(0.0, 0.4) * (level - level.mean())[:, None])
    noise = np.clip(own, 0.01, 0.8) * rng.standard_normal((n, weeks))
    noise += rng.uniform(0.0, 0.04) * rng.standard_normal((departments, weeks))[item_of]
    noise += rng.uniform(0.0, 0.03) * rng.standard_normal((places, weeks))[place_of]
    noise += rng.uniform(0.0, 0.07) * memory(rng, (departments, weeks), 0.9)[item_of]
    return noise + rng.uniform(0.0, 0.1) * memory(rng, (n, weeks), 1.0 - 1.0 / rng.uniform(4.0, 40.0))


def _sparse(rng: np.random.Generator, sold: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some departments hardly sell at some shops: little, very uneven, and weeks without a row."""
    n, weeks = sold.shape
    few = rng.random((n, 1)) < rng.uniform(0.02, 0.3)
    small = np.exp(rng.normal(3.0, 1.5, (n, 1)) + rng.uniform(0.3, 1.2, (n, 1)) * rng.standard_normal((n, weeks)))
    there = rng.random((n, weeks)) < rng.uniform(0.1, 1.0, (n, 1))
    return np.where(few, small, sold), row & (there | ~few)

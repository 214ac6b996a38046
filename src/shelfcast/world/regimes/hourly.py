"""Counts by the hour: opening hours, a course of the day that differs by weekday, weeks."""

import numpy as np

from shelfcast.names import PROMO
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.ledger import Covariate, Ledger, names_of
from shelfcast.world.patterns import draw_first, memory, trends, weekdays
from shelfcast.world.surroundings import draw_spots, irrelevant


def draw_hourly(dice: Dice) -> Ledger:
    """128 to 220 series of 30 to 90 days."""
    rng = dice.stream("sizes")
    days = int(rng.integers(30, 91))
    places = int(np.exp(rng.uniform(0.0, np.log(128.0))))
    items = max(1, int(rng.integers(128, 221)) // places)
    first = draw_first(rng, days)
    item_of, place_of = np.repeat(np.arange(items), places), np.tile(np.arange(places), items)
    n, hours = items * places, 24 * days
    time = np.arange(hours)
    hour, day, weekday = time % 24, time // 24, (first + time // 24 + 3) % 7
    rng = dice.stream("hourly")
    logs = (rng.uniform(np.log(0.3), np.log(60.0)) + rng.uniform(0.2, 1.0) * rng.standard_normal(items)[item_of]
            + rng.uniform(0.1, 0.7) * rng.standard_normal(places)[place_of])[:, None]
    if dice.on("day", 0.97):
        r = dice.stream("day")
        logs = logs + (_course(r, items)[item_of] + _course(r, places)[place_of])[:, hour]
        if r.random() < 0.6:  # weekends have a course of their own
            logs = logs + 0.7 * _course(r, items)[item_of][:, hour] * (weekday >= 5)
    if dice.on("week", 0.9):
        r = dice.stream("week")
        logs = logs + weekdays(r, places, spread=r.uniform(0.02, 0.2))[place_of][:, weekday]
    if dice.on("trend", 0.4):
        logs = logs + trends(dice.stream("trend"), n, hours, per_year=8766.0, size=0.8)
    known: dict[str, Covariate] = {}
    if dice.on("promotions", 0.35):
        r = dice.stream("promotions")
        active = (r.random((places, days)) < r.uniform(0.03, 0.3))[:, day]
        uplift = np.clip(r.normal(0.3, 0.2, (n, 1)), 0.0, None) * (r.random((n, 1)) < 0.75)
        logs = logs + uplift * active[place_of]
        known[PROMO] = active.astype(np.float64)
    is_open = np.ones((places, hours), dtype=bool)
    if dice.on("opening_hours", 0.75):
        r = dice.stream("opening")
        opens, shuts = r.integers(5, 11, (places, 1)), r.integers(17, 25, (places, 1))
        is_open = (hour >= opens) & (hour < shuts)
        if r.random() < 0.5:
            is_open &= ~((weekday == 6) & (r.random((places, 1)) < 0.8))
        known["open"] = is_open.astype(np.float64)
    r = dice.stream("noise")
    logs = logs + r.uniform(0.02, 0.3) * memory(r, (places, hours), 0.97)[place_of]
    logs = logs + r.uniform(0.02, 0.3) * memory(r, (n, hours), 0.7)
    rate = np.exp(np.clip(logs, -8.0, 9.0)) * is_open[place_of]
    sold = dice.stream("counts").poisson(rate).astype(np.float64)
    row = np.ones((n, hours), dtype=bool)
    if dice.on("gaps", 0.3):
        row &= dice.stream("gaps").random((n, hours)) >= 0.003
    if dice.on("irrelevant", 0.4):
        known |= irrelevant(dice.stream("irrelevant"), places, hours)
    facts, near = draw_spots(dice.stream("spots"), places, min(places, 6), np.arange(places) % min(places, 6))
    return Ledger(frequency=Frequency("h"), first=24 * first, items=names_of("I", items), places=names_of("S", places),
                  item_of=item_of, place_of=place_of, sold=sold, truth=np.where(row & is_open[place_of], sold, np.nan), row=row,
                  known=known, place_facts=facts | near, closed_when="open" if "open" in known else None, closed=~is_open)


def _course(rng: np.random.Generator, rows: int) -> np.ndarray:
    """(N, 24), log courses of the day: one or two humps and a quiet night."""
    hour = np.arange(24)
    out = np.zeros((rows, 24))
    for _ in range(2):
        centre = rng.uniform(7.0, 20.0) + rng.normal(0.0, 1.0, (rows, 1))
        away = np.abs((hour - centre + 12.0) % 24.0 - 12.0)
        out += rng.uniform(0.2, 1.5) * np.exp(-0.5 * (away / rng.uniform(1.0, 4.0)) ** 2)
    return out - rng.uniform(0.0, 1.5) * (hour < 6) - out.mean(axis=1, keepdims=True)

"""Daily fast sellers without covariates: level x weekday x season x trend, and little else."""

import numpy as np

from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import draw_feasts, draw_tastes
from shelfcast.world.ledger import Ledger, names_of
from shelfcast.world.lives import life_courses
from shelfcast.world.patterns import draw_first, memory, shifts, swings, trends, weekdays, year_angle
from shelfcast.world.views import weekly


def draw_fast(dice: Dice) -> Ledger:
    """128 to 400 series of one to five years: items at places that share their rhythm."""
    rng = dice.stream("sizes")
    places = int(np.exp(rng.uniform(0.0, np.log(40.0))))
    items = max(1, int(rng.integers(128, 401)) // places)
    days = int(rng.integers(365, 1826))
    if days * items * places > 400_000:  # long worlds have fewer series, so that none takes long
        items = max(1, 400_000 // (days * places), 128 // places)
    first = draw_first(rng, days)
    item_of, place_of = np.repeat(np.arange(items), places), np.tile(np.arange(places), items)
    n, day = items * places, np.arange(days)
    rng = dice.stream("fast")
    logs = (rng.uniform(np.log(8.0), np.log(400.0)) + rng.uniform(0.2, 0.9) * rng.standard_normal(items)[item_of]
            + rng.uniform(0.05, 0.5) * rng.standard_normal(places)[place_of]
            + rng.uniform(0.0, 0.2) * rng.standard_normal(n))[:, None]
    if dice.on("week", 0.95):
        r = dice.stream("week")
        weekday = (first + day + 3) % 7
        profile = weekdays(r, 1, spread=0.0) + weekdays(r, items, spread=r.uniform(0.0, 0.15))[item_of] * r.uniform(0.0, 0.5)
        logs = logs + (profile + r.uniform(0.0, 0.06) * r.standard_normal((n, 7)))[:, weekday]
    if dice.on("year", 0.95):
        r = dice.stream("year")
        angle = year_angle(first, days)
        if r.random() < 0.4:  # a factor for each month
            months = (first + day).astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
            logs = logs + (r.uniform(0.05, 0.4) * r.standard_normal((1, 12)) + r.uniform(0.0, 0.1) * r.standard_normal((items, 12))[
                item_of])[:, months]
        else:
            logs = logs + swings(r, angle, 1, most=0.6) + r.uniform(0.0, 1.0) * swings(r, angle, items, most=0.3)[item_of]
    if dice.on("trend", 0.9):
        r = dice.stream("trend")
        logs = logs + trends(r, 1, days, per_year=365.25, size=0.15) + trends(
            r, items, days, per_year=365.25, size=r.uniform(0.0, 0.1))[item_of] + trends(
            r, places, days, per_year=365.25, size=r.uniform(0.0, 0.1))[place_of]
    if dice.on("level_shifts", 0.15):
        r = dice.stream("shifts")
        logs = logs + shifts(r, n, days, share=r.uniform(0.02, 0.2), size=0.3)
    if dice.on("holidays", 0.35):
        feasts = draw_feasts(dice.stream("feasts"), first, days)
        r = dice.stream("tastes")
        groups = min(items, 4)
        logs = logs + (draw_tastes(r, feasts, groups) @ feasts.felt())[r.integers(0, groups, items)][item_of] * r.uniform(0.2, 1.0)
    if dice.on("wander", 0.35):
        r = dice.stream("wander")
        logs = logs + r.uniform(0.01, 0.1) * memory(r, (n, days), 1.0 - 1.0 / r.uniform(10.0, 100.0))
    row = np.ones((n, days), dtype=bool)
    if dice.on("life_cycles", 0.25):
        share = life_courses(dice.stream("lives"), n, days, per_year=365.25, new=0.2, gone=0.1)
        logs, row = logs + np.log(np.maximum(share, 1e-9)), share > 0
    r = dice.stream("noise")
    logs = logs + r.uniform(0.0, 0.05) * r.standard_normal((1, days)) + r.uniform(0.0, 0.12) * r.standard_normal((n, days))
    mean = np.exp(np.clip(np.broadcast_to(logs, (n, days)), -6.0, 12.0))
    sold = dice.stream("counts").poisson(mean).astype(np.float64)
    books = Ledger(frequency=Frequency("D"), first=first, items=names_of("I", items), places=names_of("S", places), item_of=item_of,
                  place_of=place_of, sold=sold, truth=np.where(row, sold, np.nan), row=row)
    rng = dice.stream("view")
    if days >= 7 * 60 and rng.random() < 0.35:
        return weekly(books, how={}, anchor=int(rng.choice([0, 0, 5, 6])))
    return books

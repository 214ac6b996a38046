"""Monthly volumes of products at agencies: few periods, price, promotion, special months."""

from datetime import date

import numpy as np

from shelfcast.names import PRICE, PROMO
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import EPOCH, draw_feasts, draw_tastes
from shelfcast.world.ledger import Covariate, Ledger, names_of
from shelfcast.world.lives import life_courses
from shelfcast.world.patterns import crisis, memory, shifts, swings, trends, windows
from shelfcast.world.surroundings import draw_spots, irrelevant


def draw_monthly(dice: Dice) -> Ledger:
    """128 to 400 series of 18 to 72 months."""
    rng = dice.stream("sizes")
    places = int(np.exp(rng.uniform(0.0, np.log(200.0))))
    items = max(1, int(rng.integers(128, 401)) // places)
    months = int(rng.integers(18, 73))
    first = int(rng.integers(12 * 2004, 12 * 2024 - months))
    item_of, place_of = np.repeat(np.arange(items), places), np.tile(np.arange(places), items)
    n = items * places
    rng = dice.stream("monthly")
    month = first + np.arange(months)
    edges = np.array([date(m // 12, m % 12 + 1, 1).toordinal() - EPOCH for m in (*month, month[-1] + 1)])
    length = np.diff(edges)
    angle = 2 * np.pi * (month % 12 + 0.5) / 12.0
    groups = min(items, int(rng.integers(1, 7)))
    group_of = rng.integers(0, groups, items)
    logs = (rng.uniform(np.log(2.0), np.log(5_000.0)) + rng.uniform(0.5, 1.6) * rng.standard_normal(items)[item_of]
            + rng.uniform(0.2, 1.0) * rng.standard_normal(places)[place_of] + rng.uniform(0.1, 0.6) * rng.standard_normal(n))
    logs = logs[:, None] + np.log(length / 30.44) * (rng.random() < 0.7)
    if dice.on("year", 0.9):
        r = dice.stream("year")
        logs = logs + (swings(r, angle, groups, most=0.7)[group_of][item_of] + windows(r, angle, groups, chance=0.2, most=1.5)[
            group_of][item_of]) * np.exp(0.3 * rng.standard_normal((n, 1)))
        logs = logs + swings(r, angle, places, most=0.25)[place_of]
    known: dict[str, Covariate] = {}
    if dice.on("holidays", 0.7):
        first_day, days = int(edges[0]), int(edges[-1] - edges[0])
        feasts = draw_feasts(dice.stream("feasts"), first_day, days)
        daily = np.exp(draw_tastes(dice.stream("tastes"), feasts, groups, strong=0.3) @ feasts.felt())
        logs = logs + np.log(np.add.reduceat(daily, edges[:-1] - edges[0], axis=1) / length)[group_of][item_of]
        r = dice.stream("holidays told")
        kept = feasts.on(r.random(len(feasts.names)) < 0.4) >= 0
        if r.random() < 0.5:
            known["holidays"] = np.add.reduceat(kept.astype(np.float64), edges[:-1] - edges[0])
    if dice.on("special_months", 0.5):
        r = dice.stream("special")
        special = r.random(months) < 0.08
        logs = logs + special * (r.normal(0.2, 0.2) + 0.15 * r.standard_normal((n, 1)))
        known["special"] = special.astype(np.float64)
    if dice.on("trend", 0.85):
        r = dice.stream("trend")
        logs = logs + trends(r, 1, months, per_year=12.0, size=0.08) + trends(r, items, months, per_year=12.0, size=0.2)[
            item_of] + trends(r, n, months, per_year=12.0, size=r.uniform(0.01, 0.2))
    if dice.on("level_shifts", 0.5):
        r = dice.stream("shifts")
        logs = logs + shifts(r, n, months, share=r.uniform(0.02, 0.3), size=0.5)
    if dice.on("crisis", 0.15):
        logs = logs + crisis(dice.stream("crisis"), places, months, per_year=12.0)[place_of]
    if dice.on("prices", 0.75):
        r = dice.stream("prices")
        moves = 0.06 * r.standard_normal((items, months)) * (r.random((items, months)) < 0.15) + 0.002
        relative = np.cumsum(moves, axis=1)[item_of] + 0.03 * r.standard_normal((n, months)) * (r.random() < 0.4)
        price = np.exp(r.normal(2.5, 1.0, items))[item_of, None] * np.exp(relative)
        off = np.zeros_like(price)
        if dice.on("promotions", 0.7):
            off = np.where(r.random((n, months)) < r.uniform(0.05, 0.4), r.uniform(0.02, 0.4, (n, months)), 0.0)
            known[("discount", PROMO)[int(r.random() < 0.5)]] = np.round(off * price, 2) if r.random() < 0.5 else np.round(off, 3)
        elasticity = np.exp(r.normal(0.3, 0.6, (n, 1)))
        common = np.log(np.exp(relative).mean(axis=0, keepdims=True))
        logs = logs - elasticity * (relative - common + np.log1p(-off))
        known[PRICE] = np.round(price * (1.0 - off), 2)
    r = dice.stream("noise")
    logs = logs + r.uniform(0.02, 0.25) * memory(r, (n, months), 0.7)
    logs = logs + r.uniform(0.0, 0.1) * r.standard_normal((places, months))[place_of]
    logs = logs + r.uniform(0.03, 0.25) * np.exp(0.6 * r.standard_normal((n, 1))) * r.standard_normal((n, months))
    row = np.ones((n, months), dtype=bool)
    if dice.on("life_cycles", 0.5):
        share = life_courses(dice.stream("lives"), n, months, per_year=12.0)
        logs, row = logs + np.log(np.maximum(share, 1e-9)), share > 0
    mean = np.exp(np.clip(logs, -8.0, 14.0))
    counts = rng.random() < 0.5
    sold = dice.stream("counts").poisson(mean).astype(np.float64) if counts else np.round(mean, 2)
    if dice.on("intermittent", 0.5):
        r = dice.stream("intermittent")
        empty = np.where(r.random((n, 1)) < r.uniform(0.05, 0.5), r.uniform(0.1, 0.9, (n, 1)), 0.0)
        sold = np.where(r.random((n, months)) < empty, 0.0, sold)
    if dice.on("gaps", 0.25):
        row &= dice.stream("gaps").random((n, months)) >= 0.01
    if dice.on("irrelevant", 0.4):
        known |= irrelevant(dice.stream("irrelevant"), places, months)
    facts, near = draw_spots(dice.stream("spots"), places, min(places, 6), np.arange(places) % min(places, 6))
    item_facts = {"group": np.array([f"G{g + 1}" for g in group_of])} if rng.random() < 0.5 else {}
    return Ledger(frequency=Frequency("M"), first=first, items=names_of("P", items), places=names_of("A", places), item_of=item_of,
                  place_of=place_of, sold=sold, truth=np.where(row, sold, np.nan), row=row, known=known, item_facts=item_facts,
                  place_facts=facts | near)

"""Turnover of whole shops, daily or by week: large numbers whose noise is small beside what weekday, promotion and feast do."""

from dataclasses import replace

import numpy as np

from shelfcast.names import ALL, PROMO
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import Feasts, draw_feasts, draw_tastes
from shelfcast.world.ledger import Covariate, Ledger, Texts, names_of
from shelfcast.world.patterns import (
    crisis,
    memory,
    promotion_weeks,
    school_holidays,
    shifts,
    swings,
    trends,
    weekdays,
    windows,
    year_angle,
)
from shelfcast.world.surroundings import draw_spots, irrelevant, nearby_shocks
from shelfcast.world.views import weekly

_EARLIEST, _LATEST = 12_800, 19_800  # 2005 to 2024, day numbers of the first day


def draw_stores(dice: Dice) -> Ledger:
    """Daily turnover of 60 to 300 shops over 400 to 1,100 days."""
    rng = dice.stream("sizes")
    return _stores(dice, places=int(rng.integers(60, 301)), days=int(rng.integers(400, 1101)))


def draw_stores_weekly(dice: Dice) -> Ledger:
    """The same by week, 90 to 200 weeks: days of promotion, days open."""
    rng = dice.stream("sizes")
    books = _stores(dice, places=int(rng.integers(60, 301)), days=7 * int(rng.integers(90, 201)))
    counted = {n: "sum" if rng.random() < 0.6 else "most" for n in books.known if n not in ("open",)}
    weeks = weekly(books, how={**counted, "open": "sum"}, anchor=int(rng.choice([0, 0, 6, 4, 5])))
    if rng.random() < 0.3 and isinstance(weeks.known.get(PROMO), np.ndarray):
        weeks = replace(weeks, known={**weeks.known, PROMO: (np.asarray(weeks.known[PROMO]) > 0).astype(np.float64)})
    return weeks


def _stores(dice: Dice, *, places: int, days: int) -> Ledger:
    rng = dice.stream("stores")
    first = int(rng.integers(_EARLIEST, _LATEST))
    regions = int(rng.integers(1, 17))
    region_of = rng.integers(0, regions, places)
    day = np.arange(days)
    weekday = (first + day + 3) % 7
    angle = year_angle(first, days)
    feasts = draw_feasts(dice.stream("feasts"), first, days)
    logs = rng.uniform(np.log(300.0), np.log(20_000.0)) + rng.uniform(0.2, 0.7) * rng.standard_normal((places, 1))
    logs = np.repeat(logs, days, axis=1)
    if dice.on("week", 0.97):
        logs += weekdays(dice.stream("week"), places, spread=rng.uniform(0.01, 0.12))[:, weekday]
    if dice.on("year", 0.9):
        logs += swings(dice.stream("year"), angle, 1, most=0.25) + rng.uniform(0.0, 1.0, (places, 1)) * swings(
            dice.stream("season"), angle, 1, most=0.2) + windows(dice.stream("window"), angle, 1, chance=0.15, most=0.8) * (
            rng.random((places, 1)) < 0.15)
    if dice.on("trend", 0.85):
        logs += trends(dice.stream("trend"), 1, days, per_year=365.25, size=0.06)
        logs += trends(dice.stream("trends"), places, days, per_year=365.25, size=rng.uniform(0.01, 0.12))
    if dice.on("level_shifts", 0.6):
        logs += shifts(dice.stream("shifts"), places, days, share=rng.uniform(0.05, 0.5), size=0.15)
    if dice.on("crisis", 0.12):
        logs += crisis(dice.stream("crisis"), places, days, per_year=365.25)
    if dice.on("payday", 0.7):
        logs += _month(dice.stream("payday"), first, days, places)
    known: dict[str, Covariate] = {}
    flag, log = _promotions(dice, first, days, places)
    if flag is not None:
        known[PROMO], logs = flag, logs + log
    if dice.on("school_holidays", 0.6):
        r = dice.stream("school")
        off = school_holidays(r, first, days, regions)[region_of]
        logs += (r.normal(0.02, 0.03) + 0.03 * r.standard_normal((places, 1))) * off
        known["school_holiday"] = off.astype(np.float64)
    if dice.on("weather", 0.4):
        logs += rng.uniform(0.01, 0.06) * memory(dice.stream("weather"), (regions, days), 0.8)[region_of]
    facts, near = draw_spots(dice.stream("spots"), places, regions, region_of)
    if dice.on("shocks", 0.25):
        logs += nearby_shocks(dice.stream("shocks"), facts, days)
    is_open, kind = _opening(dice, feasts, region_of=region_of, regions=regions, weekday=weekday, places=places)
    if dice.on("holidays", 0.95):
        logs += _feasts_of(dice, feasts, places)
        logs += _before_and_after(dice.stream("closing"), is_open, weekday)
        r = dice.stream("holiday flag")
        form = r.random()
        if form < 0.45:
            known["holiday"] = (kind >= 0).astype(np.float64)
        elif form < 0.75:
            few = Texts(np.where(kind >= 0, 1 + kind % 3, 0), ("none", "public", "easter", "christmas"))
            named = Texts(kind + 1, ("none", *feasts.names))
            known["holiday"] = few if r.random() < 0.5 else named
    exists = _lives(dice, places, days)
    logs += _noise(dice, places, days, region_of, regions)
    sold = np.where(is_open, np.exp(logs), 0.0)
    sold = np.maximum(np.rint(sold) if rng.random() < 0.8 else np.round(sold, 2), 0.0)
    if dice.on("outliers", 0.4):
        r = dice.stream("outliers")
        sold = np.where(r.random((places, days)) < r.choice([0.0002, 0.001, 0.003]),
                        sold * np.exp(r.normal(0.0, 0.6, (places, days))), sold)
    row = exists.copy()
    if dice.on("gaps", 0.35):
        row &= ~_gaps(dice.stream("gaps"), places, days)
    truth = np.where(is_open & row, sold, np.nan)
    if dice.on("irrelevant", 0.4):
        known |= irrelevant(dice.stream("irrelevant"), places, days)
    known["open"] = is_open.astype(np.float64)
    return Ledger(frequency=Frequency("D"), first=first, items=(ALL,), places=names_of("S", places),
                  item_of=np.zeros(places, dtype=int), place_of=np.arange(places), sold=sold, truth=truth, row=row,
                  known=known, place_facts=facts | near, closed_when="open")


def _month(rng: np.random.Generator, first: int, days: int, places: int) -> np.ndarray:
    """(P, T), more is bought after payday: at the month's start, or twice a month."""
    dates = (first + np.arange(days)).astype("datetime64[D]")
    into = (dates - dates.astype("datetime64[M]")).astype(int)
    since = (into + int(rng.choice([0, 0, 0, 2, 5]))) % (15 if rng.random() < 0.2 else 31)
    felt = np.exp(-since / rng.uniform(1.5, 7.0))
    strength = rng.uniform(0.0, 0.2) + 0.03 * rng.standard_normal((places, 1))
    return strength * (felt - felt.mean())


def _promotions(dice: Dice, first: int, days: int, places: int) -> tuple[np.ndarray | None, np.ndarray]:
    """The chain's promotion flag, (T,) or (P, T), and what it does at each shop, (P, T).

    A quarter of the shops see nothing of it; the others' uplift differs by shop and by weekday, and is greatest on the first day.
    """
    if not dice.on("promotions", 0.88):
        return None, np.zeros((1, 1))
    rng = dice.stream("promotions")
    calendars = int(rng.choice([1, 1, 1, 2, 3]))
    runs = [promotion_weeks(rng, first, days) for _ in range(calendars)]
    of = rng.integers(0, calendars, places)
    active, since = (np.array(parts)[of] for parts in zip(*runs, strict=True))
    if rng.random() < 0.25:  # not every shop joins every time
        week = (first + np.arange(days) + 3) // 7
        joins = rng.random((places, week[-1] - week[0] + 1)) < rng.uniform(0.6, 0.98)
        active = active & joins[:, week - week[0]]
    uplift = rng.uniform(0.05, 0.5) + rng.uniform(0.03, 0.2) * rng.standard_normal((places, 1))
    uplift = np.where(rng.random((places, 1)) < 0.25 * (rng.random() < 0.7), 0.0, np.clip(uplift, -0.3, None))
    by_day = 1.0 + rng.uniform(0.0, 0.3) * rng.standard_normal(7)[(first + np.arange(days) + 3) % 7]
    course = 1.0 + rng.uniform(0.0, 1.2) * np.exp(-since / rng.uniform(0.4, 3.0))
    each = 1.0 + rng.uniform(0.0, 0.3) * rng.standard_normal((calendars, days // 7 + 2))[of][:, np.arange(days) // 7]
    log = uplift * active * by_day * course * each
    if dice.on("dips", 0.4):
        after = np.zeros_like(log)
        after[:, 7:] = log[:, :-7]
        log -= rng.uniform(0.05, 0.35) * after * ~active
    alike = (active == active[:1]).all()
    return (active[0] if alike else active).astype(np.float64), log


def _opening(dice: Dice, feasts: Feasts, *, region_of: np.ndarray, regions: int, weekday: np.ndarray,
             places: int) -> tuple[np.ndarray, np.ndarray]:
    """bool (P, T) open; int (P, T), which feast is kept on a day at a place, -1 where none."""
    rng = dice.stream("opening")
    everywhere = rng.random(len(feasts.names)) < 0.75
    by_region = np.array([feasts.on(everywhere | (rng.random(len(everywhere)) < 0.5)) for _ in range(regions)])
    kind = by_region[region_of]
    is_open = np.ones((places, len(weekday)), dtype=bool)
    if dice.on("closed_sundays", 0.65):
        is_open &= ~((rng.random((places, 1)) < rng.uniform(0.7, 1.05)) & (weekday == 6))
    if dice.on("closed_holidays", 0.85):
        keeps = rng.random((places, 1)) < rng.uniform(0.9, 1.02)
        is_open &= ~(keeps & np.append(feasts.shut, False)[kind])
    if dice.on("rebuilding", 0.5):
        start = rng.integers(0, len(weekday), (places, 1))
        length = np.where(rng.random((places, 1)) < rng.uniform(0.02, 0.2), rng.integers(4, 90, (places, 1)), 0)
        day = np.arange(len(weekday))
        is_open &= ~((day >= start) & (day < start + length))
    return is_open, kind


def _feasts_of(dice: Dice, feasts: Feasts, places: int) -> np.ndarray:
    """(P, T), what feasts do: kinds of shop differ in their tastes."""
    rng = dice.stream("tastes")
    kinds = int(rng.choice([1, 1, 2, 4]))
    tastes = draw_tastes(rng, feasts, kinds, strong=0.05) * rng.choice([0.3, 0.6, 1.0])
    felt = tastes @ feasts.felt(after=rng.uniform(0.0, 0.5), relief=rng.uniform(2.0, 8.0))
    return felt[rng.integers(0, kinds, places)] * np.exp(0.25 * rng.standard_normal((places, 1)))


def _before_and_after(rng: np.random.Generator, is_open: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    """(P, T), what is not sold on a closed working day is sold the day before and the day after, and when a shop opens anew."""
    shut = ~is_open & (weekday != 6)
    before, after = rng.uniform(0.0, 0.4), rng.uniform(0.0, 0.3)
    out = np.zeros(is_open.shape)
    out[:, :-1] += before * shut[:, 1:]
    out[:, 1:] += after * shut[:, :-1]
    return out * np.exp(0.3 * rng.standard_normal((len(is_open), 1)))


def _lives(dice: Dice, places: int, days: int) -> np.ndarray:
    """bool (P, T), the place exists: some open within the history, some close for good."""
    rng, day = dice.stream("lives"), np.arange(days)
    out = np.ones((places, days), dtype=bool)
    if dice.on("new_places", 0.4):
        opened = np.where(rng.random((places, 1)) < rng.uniform(0.02, 0.3), rng.integers(0, days - 20, (places, 1)), 0)
        out &= day >= opened
    if dice.on("closing_places", 0.2):
        last = np.where(rng.random((places, 1)) < rng.uniform(0.0, 0.1), rng.integers(days // 3, days, (places, 1)), days)
        out &= day < last
    return out


def _noise(dice: Dice, places: int, days: int, region_of: np.ndarray, regions: int) -> np.ndarray:
    """(P, T): days that are good or bad everywhere, slow wandering of each shop, and 3 to 15 % of its own from day to day."""
    rng = dice.stream("noise")
    level = np.exp(rng.uniform(np.log(0.03), np.log(0.13)))
    own = level * np.exp(0.25 * rng.standard_normal((places, 1)))
    noise = own * rng.standard_normal((places, days), dtype=np.float32)
    noise = noise + rng.uniform(0.0, 0.04) * rng.standard_normal((1, days))
    noise = noise + rng.uniform(0.0, 0.03) * memory(rng, (regions, days), 0.7)[region_of]
    return noise + rng.uniform(0.01, 0.08) * memory(rng, (places, days), 1.0 - 1.0 / rng.uniform(10.0, 120.0))


def _gaps(rng: np.random.Generator, places: int, days: int) -> np.ndarray:
    """bool (P, T), nothing was reported: for half a year by some places at the same time, or for days here and there."""
    day = np.arange(days)
    out = np.zeros((places, days), dtype=bool)
    if rng.random() < 0.5:
        start, length = int(rng.integers(days)), int(rng.integers(30, 200))
        out |= (rng.random((places, 1)) < rng.uniform(0.03, 0.25)) & (day >= start) & (day < start + length)
    if rng.random() < 0.6:
        begins = rng.random((places, days)) < 0.001
        for lag in range(int(rng.integers(1, 8))):
            out[:, lag:] |= begins[:, :days - lag]
    return out

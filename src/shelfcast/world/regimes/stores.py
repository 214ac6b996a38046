"""Turnover of whole shops, daily or by week: large numbers whose noise is small beside what weekday, promotion and feast do."""

import numpy as np

from shelfcast.names import ALL, PROMO
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import Feasts, draw_feasts, draw_tastes
from shelfcast.world.ledger import Covariate, Ledger, Texts, names_of
from shelfcast.world.patterns import (
    crisis,
    draw_first,
    memory,
    promotion_weeks,
    returning,
    school_holidays,
    shifts,
    swings,
    trends,
    weekdays,
    windows,
    year_angle,
)
from shelfcast.world.surroundings import draw_spots, irrelevant, nearby_shocks
from shelfcast.world.views import MEAN, MOST, SUM, weekly


def draw_stores(dice: Dice) -> Ledger:
    """Daily turnover of 60 to 300 shops over 400 to 1,100 days."""
    rng = dice.stream("sizes")
    return _stores(dice, places=int(rng.integers(60, 301)), days=int(rng.integers(400, 1101)))


def draw_stores_weekly(dice: Dice) -> Ledger:
    """The same by week, 90 to 200 weeks: how many days of promotion, how many days open."""
    rng = dice.stream("sizes")
    books = _stores(dice, places=int(rng.integers(60, 301)), days=7 * int(rng.integers(90, 201)) + 6)
    form = rng.random()
    ways = {n: SUM if form < 0.4 else MEAN if form < 0.6 else str(rng.choice([SUM, MOST, MEAN])) for n in books.known}
    return weekly(books, how={**ways, "open": MEAN if 0.4 <= form < 0.6 else SUM}, anchor=int(rng.choice([0, 0, 6, 4, 5])))


def _stores(dice: Dice, *, places: int, days: int) -> Ledger:
    rng = dice.stream("stores")
    first = draw_first(rng, days)
    regions = int(rng.integers(1, 17))
    region_of = rng.integers(0, regions, places)
    weekday = (first + np.arange(days) + 3) % 7
    feasts = draw_feasts(dice.stream("feasts"), first, days)
    usual = rng.uniform(np.log(300.0), np.log(20_000.0)) + rng.uniform(0.2, 0.7) * rng.standard_normal((places, 1))
    logs = usual + _rhythms(dice, first, days, places=places, region_of=region_of)
    logs += _paths(dice, days, places)
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
        r = dice.stream("weather")
        warmth = memory(r, (regions, days), 0.8)
        logs += (r.uniform(0.01, 0.06) * warmth)[region_of]
        if r.random() < 0.3:
            season = 10.0 - 9.0 * np.cos(year_angle(first, days) - 0.3)
            known["temperature"] = np.round(season + 3.5 * warmth, 1)[region_of]
    facts, near = draw_spots(dice.stream("spots"), places, regions, region_of)
    if dice.on("shocks", 0.25):
        logs += nearby_shocks(dice.stream("shocks"), facts, days)
    is_open, kind = _opening(dice, feasts, region_of=region_of, regions=regions, weekday=weekday, places=places)
    if dice.on("holidays", 0.95):
        logs += _feasts_of(dice, feasts, places)
        logs += _before_and_after(dice.stream("closing"), is_open, weekday)
        known |= _feasts_told(dice.stream("holiday flag"), feasts, kind)
    row = _lives(dice, places, days)
    logs += _noise(dice, places, days, region_of, regions)
    sold = np.where(is_open, np.exp(logs), 0.0)
    sold = np.rint(sold) if rng.random() < 0.8 else np.round(sold, 2)
    if dice.on("outliers", 0.4):
        r = dice.stream("outliers")
        hit = r.random((places, days)) < r.choice([0.0002, 0.001, 0.003])
        sold = np.where(hit, sold * np.exp(r.normal(0.0, 0.6, (places, days))), sold)
    if dice.on("gaps", 0.35):
        row &= ~_gaps(dice.stream("gaps"), places, days)
    if dice.on("irrelevant", 0.4):
        known |= irrelevant(dice.stream("irrelevant"), places, days)
    known["open"] = is_open.astype(np.float64)
    return Ledger(frequency=Frequency("D"), first=first, items=(ALL,), places=names_of("S", places),
                  item_of=np.zeros(places, dtype=int), place_of=np.arange(places), sold=sold,
                  truth=np.where(is_open & row, sold, np.nan), row=row, known=known, place_facts=facts | near, closed_when="open",
                  closed=~is_open)


def _rhythms(dice: Dice, first: int, days: int, *, places: int, region_of: np.ndarray) -> np.ndarray:
    """(P, T), what comes back: by weekday, by day of the month, by season."""
    logs, angle = np.zeros((places, days)), year_angle(first, days)
    weekday = (first + np.arange(days) + 3) % 7
    if dice.on("week", 0.97):
        r = dice.stream("week")
        profile = weekdays(r, places, spread=r.uniform(0.03, 0.16))
        logs += profile[:, weekday]
        if r.random() < 0.3:  # weekends matter more at one time of the year
            tilt = r.normal(0.0, 0.08, (places, 1)) + r.normal(0.0, 0.1)
            logs += tilt * (weekday >= 5) * np.cos(angle - 2 * np.pi * r.random())
    if dice.on("year", 0.9):
        r = dice.stream("year")
        logs += swings(r, angle, 1, most=0.25) + r.uniform(0.0, 1.0, (places, 1)) * swings(r, angle, 1, most=0.2)
        tourists = r.random((places, 1)) < r.uniform(0.0, 0.25)
        logs += windows(r, angle, 1, chance=0.4, most=1.0) * tourists
    if dice.on("returning", 0.4):
        r = dice.stream("returning")
        logs += returning(r, first, days, 1, period=365.2425, size=r.uniform(0.0, 0.06))
        regional = returning(r, first, days, region_of.max() + 1, period=365.2425, size=r.uniform(0.0, 0.05))
        logs += regional[region_of]
    if dice.on("payday", 0.7):
        logs += _month(dice.stream("payday"), first, days, places)
    return logs


def _paths(dice: Dice, days: int, places: int) -> np.ndarray:
    """(P, T), what does not come back: growth, steps of the level, a crisis."""
    logs = np.zeros((places, days))
    if dice.on("trend", 0.85):
        r = dice.stream("trend")
        logs += trends(r, 1, days, per_year=365.25, size=0.07)
        logs += trends(r, places, days, per_year=365.25, size=r.uniform(0.01, 0.08))
    if dice.on("level_shifts", 0.6):
        r = dice.stream("shifts")
        logs += shifts(r, places, days, share=r.uniform(0.02, 0.35), size=0.15)
    if dice.on("crisis", 0.1):
        logs += crisis(dice.stream("crisis"), places, days, per_year=365.25)
    return logs


def _feasts_told(rng: np.random.Generator, feasts: Feasts, kind: np.ndarray) -> dict[str, Covariate]:
    """How the books mark holidays, if they do: one flag, a few letters that several share, or by name."""
    form = rng.random()
    if form < 0.4:
        return {"holiday": (kind >= 0).astype(np.float64)}
    if form < 0.6:
        letter = np.append(1 + rng.integers(0, 3, len(feasts.names)), 0)  # the last stands for no feast
        return {"holiday": Texts(letter[kind], ("none", "a", "b", "c"))}
    if form < 0.75:
        return {"holiday": Texts(kind + 1, ("none", *feasts.names))}
    return {}


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
        log -= dice.stream("dips").uniform(0.05, 0.35) * after * ~active
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
        r = dice.stream("closed_sundays")
        is_open &= ~((r.random((places, 1)) < r.uniform(0.7, 1.1)) & (weekday == 6))
    if dice.on("closed_holidays", 0.85):
        r = dice.stream("closed_holidays")
        keeps = r.random((places, 1)) < r.uniform(0.9, 1.02)
        is_open &= ~(keeps & np.append(feasts.shut, False)[kind])
    if dice.on("rebuilding", 0.5):
        r = dice.stream("rebuilding")
        start = r.integers(0, len(weekday), (places, 1))
        length = np.where(r.random((places, 1)) < r.uniform(0.02, 0.2), r.integers(4, 90, (places, 1)), 0)
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
    day = np.arange(days)
    out = np.ones((places, days), dtype=bool)
    if dice.on("new_places", 0.4):
        r = dice.stream("new_places")
        opened = np.where(r.random((places, 1)) < r.uniform(0.02, 0.3), r.integers(0, days - 3, (places, 1)), 0)
        out &= day >= opened
    if dice.on("closing_places", 0.2):
        r = dice.stream("closing_places")
        last = np.where(r.random((places, 1)) < r.uniform(0.0, 0.1), r.integers(days // 3, days, (places, 1)), days)
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
    return noise + rng.uniform(0.005, 0.05) * memory(rng, (places, days), 1.0 - 1.0 / rng.uniform(10.0, 120.0))


def _gaps(rng: np.random.Generator, places: int, days: int) -> np.ndarray:
    """bool (P, T), nothing was reported: for half a year by some places at the same time, or for days here and there."""
    day = np.arange(days)
    out = np.zeros((places, days), dtype=bool)
    form = rng.random()
    if form < 0.5:
        start, length = int(rng.integers(days)), int(rng.integers(30, 200))
        out |= (rng.random((places, 1)) < rng.uniform(0.03, 0.25)) & (day >= start) & (day < start + length)
    if form > 0.35:
        begins = rng.random((places, days)) < 0.001
        for lag in range(int(rng.integers(1, 8))):
            out[:, lag:] |= begins[:, :days - lag]
    return out

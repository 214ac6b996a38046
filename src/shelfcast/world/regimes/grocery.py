"""Daily units of items at places, by the demo chain's own mechanics with its settings drawn."""

from dataclasses import replace
from datetime import date

import numpy as np

from shelfcast.names import AVAILABLE, PRICE, PROMO, STOCK
from shelfcast.periods import Frequency
from shelfcast.world.blueprint import (
    Category,
    ChainSettings,
    Counts,
    Gaps,
    Growth,
    Holidays,
    Level,
    LifeCycle,
    Outliers,
    Payday,
    Prices,
    Promotions,
    Rivalry,
    Shocks,
    Stocking,
    Week,
    Year,
    without,
)
from shelfcast.world.calendar import FEASTS
from shelfcast.world.chain import live
from shelfcast.world.dice import Dice
from shelfcast.world.draws import Draws, draw
from shelfcast.world.feasts import EPOCH
from shelfcast.world.ledger import Covariate, Ledger, Texts, names_of
from shelfcast.world.life import Life
from shelfcast.world.patterns import draw_first
from shelfcast.world.retailer import sizes_of
from shelfcast.world.surroundings import irrelevant
from shelfcast.world.views import LAST, MEAN, MOST, SUM, monthly, over_items, over_places, weekly


def draw_grocery(dice: Dice) -> Ledger:
    """128 to 400 series of 180 to 900 days; two worlds in five sell less than one a day of most items."""
    settings = _settings(dice)
    chance = draw(sizes_of(settings), settings.seed)
    if dice.on("deaf_series", 0.6):
        chance = _deaf(chance, dice.stream("deaf_series"))
    return _books(dice, settings, live(settings, chance))


def _deaf(chance: Draws, rng: np.random.Generator) -> Draws:
    """The same chance, but a share of the series answers neither to prices nor to offers: e to the minus infinity is nothing."""
    deaf = rng.random(chance.sizes.N) < rng.uniform(0.05, 0.45)
    changed = {name: np.where(deaf, -np.inf, chance[name]) for name in ("series_elasticity", "series_uplift")}
    return Draws(chance.sizes, {**chance.values, **changed})


def _settings(dice: Dice) -> ChainSettings:
    rng = dice.stream("grocery")
    places = int(np.exp(rng.uniform(0.0, np.log(60.0))))
    items = max(1, int(rng.integers(128, 361)) // places)
    regions = min(places, int(rng.integers(1, 7)))
    slow = rng.random() < 0.4
    usual = rng.normal(-1.2, 0.7) if slow else rng.normal(1.2, 0.9)
    departments = tuple(_category(rng, k, usual) for k in range(min(items, int(rng.integers(1, 9)))))
    cadence = rng.integers(3, 26, 2)  # weeks
    days = int(rng.integers(180, 901))
    settings = ChainSettings(
        seed=int(rng.integers(2**31)), places=places, items=items, regions=regions,
        first=date.fromordinal(EPOCH + draw_first(rng, days)), days=days, horizon=0,
        region_spread=float(rng.uniform(0.1, 0.8)), departments=departments,
        level=Level(item=float(rng.uniform(0.4, 1.4)), place=float(rng.uniform(0.1, 0.7)), series=float(rng.uniform(0.1, 0.6)),
                    listed=float(rng.uniform(0.7, 1.0))),
        life=LifeCycle(new=float(rng.uniform(0.0, 0.5)), gone=float(rng.uniform(0.0, 0.35)), ramp=float(rng.uniform(3.0, 60.0)),
                       novelty=float(rng.uniform(0.0, 1.5)), novelty_days=float(rng.uniform(10.0, 90.0)),
                       decay_days=float(rng.uniform(10.0, 200.0)), decay_to=float(rng.uniform(0.05, 0.9))),
        week=Week(category=float(rng.uniform(0.0, 0.2)), series=float(rng.uniform(0.0, 0.15)),
                  sunday_closed=float(rng.choice([0.0, 0.0, 0.5, 1.0]))),
        year=Year(spread=float(rng.uniform(0.1, 0.7)), peak_days=float(rng.uniform(5.0, 40.0)),
                  second=float(rng.uniform(0.0, 0.6))),
        payday=Payday(most=float(rng.uniform(0.0, 0.4)), days=float(rng.uniform(2.0, 8.0))),
        prices=Prices(spread=float(rng.uniform(0.1, 0.8)), steps=int(rng.integers(0, 9)), rise=float(rng.uniform(0.0, 0.04)),
                      step=float(rng.uniform(0.01, 0.12)), zone=float(rng.uniform(0.0, 0.06)),
                      elasticity=float(np.exp(rng.uniform(np.log(0.3), np.log(3.5)))),
                      elasticity_spread=float(rng.uniform(0.2, 0.8)),
                      elasticity_place=float(rng.uniform(0.05, 0.3))),
        promotions=Promotions(cadence=(int(cadence.min()), int(cadence.max())), joins=float(rng.uniform(0.5, 1.0)),
                              uplift=float(rng.uniform(0.0, 0.8)), uplift_spread=float(rng.uniform(0.05, 0.4)),
                              uplift_place=float(rng.uniform(0.02, 0.2)), fatigue=float(rng.uniform(0.0, 0.7)),
                              dip=(0.0, float(rng.uniform(0.0, 0.9))), pantry_days=float(rng.uniform(3.0, 20.0))),
        rivalry=Rivalry(most=float(rng.uniform(0.1, 0.8))),
        holidays=Holidays(spread=float(rng.uniform(0.2, 1.2))),
        shocks=Shocks(count=int(rng.integers(1, 20)), size=float(rng.uniform(0.05, 0.5)), reach=float(rng.uniform(50.0, 500.0))),
        growth=Growth(place=float(rng.uniform(0.0, 0.15)), item=float(rng.uniform(0.0, 0.35)), opens=float(rng.uniform(0.0, 0.3)),
                      wander=float(rng.uniform(0.0, 0.25)), wander_persistence=float(1.0 - 1.0 / rng.uniform(10.0, 150.0))),
        counts=Counts(dispersion=float(np.exp(rng.uniform(0.0, 3.5))), dispersion_spread=float(rng.uniform(0.2, 0.9)),
                      sparse=float(rng.uniform(0.0, 0.5)), lumpy=float(rng.uniform(0.0, 0.3)), lump=(2, int(rng.integers(2, 13)))),
        outliers=Outliers(rate=float(rng.choice([0.0002, 0.0005, 0.002]))),
        gaps=Gaps(till=float(rng.uniform(0.0, 0.003)), line=float(rng.uniform(0.0, 0.003))),
        stocking=Stocking(safety=float(rng.uniform(-0.5, 2.5)), fails=float(rng.uniform(0.0, 0.08)),
                          cover=float(rng.uniform(2.0, 12.0))))
    chances = {"level": 1.0, "life": 0.7, "week": 0.95, "year": 0.9, "holidays": 0.85, "payday": 0.5, "weather": 0.6, "prices": 0.8,
               "promotions": 0.8, "rivalry": 0.7, "shocks": 0.4, "growth": 0.85, "counts": 1.0, "outliers": 0.6, "gaps": 0.4,
               "stocking": 0.55, "irrelevant": 0.4}
    if dice.on("crisis", 0.1):  # a shock that reaches everybody at once
        r = dice.stream("crisis")
        settings = replace(settings, shocks=Shocks(count=int(r.integers(1, 3)), size=0.5, speed=(1e6, 1e6), reach=1e9,
                                                   rise=float(r.uniform(1.0, 20.0)), life=(20.0, 500.0)))
        chances["shocks"] = 1.0
    return without(settings, *(name for name, chance in chances.items() if not dice.on(name, chance)))


def _category(rng: np.random.Generator, number: int, usual: float) -> Category:
    shape = np.array([0.9, 0.88, 0.92, 1.0, 1.2, 1.3, 0.9]) ** rng.uniform(-0.5, 2.5)
    week = shape * np.exp(0.1 * rng.standard_normal(7))
    return Category(f"C{number + 1}", ("Item",), float(np.exp(usual + 0.6 * rng.standard_normal())),
                    float(np.exp(rng.normal(1.2, 0.8))), tuple(float(w) for w in week),  # type: ignore[arg-type]
                    float(1.2 * rng.random() ** 2), float(rng.uniform(0.0, 365.0)), float(rng.normal(0.0, 0.2)),
                    float(np.exp(rng.normal(0.0, 0.7))))


def _books(dice: Dice, s: ChainSettings, life: Life) -> Ledger:
    rng = dice.stream("books")
    order = np.arange(s.places * s.items).reshape(s.places, s.items).T.ravel()
    r = life.retailer
    place_of, item_of = r.place_of[order], r.item_of[order]
    sold, demand = life.shelf.sold[order], life.demand[order]
    is_open = life.is_open > 0
    on_sale = (life.alive[order] > 0)
    row = on_sale & (life.reported[order] > 0)
    alive = row & is_open[place_of]
    known: dict[str, Covariate] = {}
    past: dict[str, Covariate] = {}
    if s.prices.on:
        known[PRICE] = np.round(life.price[order], 2)
    if s.promotions.on:
        known[PROMO] = life.offers.active[order]
        if rng.random() < 0.2:
            known["discount"] = np.round(life.offers.depth[order], 2)
    if (~is_open).any():
        known["open"] = is_open.astype(np.float64)
    if s.holidays.on and rng.random() < 0.7:
        feast = life.days.feast
        names = ("none", *(f.name for f in FEASTS))
        known["holiday"] = (feast >= 0).astype(np.float64) if rng.random() < 0.5 else Texts(feast + 1, names)
    if s.weather.on and rng.random() < 0.4:
        known["temperature"] = np.asarray(np.round(life.temperature, 1))
    if s.stocking.on and dice.on("availability_told", 0.8):
        form = rng.random()
        if form < 0.85:
            past[AVAILABLE] = np.round(life.shelf.available[order], 2)
        if form > 0.6:
            past[STOCK] = life.shelf.stock[order]
    if s.irrelevant.on:
        known |= irrelevant(dice.stream("irrelevant"), s.places, s.days)
    first = s.first.toordinal() - EPOCH
    item_facts = {"category": np.array([s.departments[g].name for g in r.category_of])}
    books = Ledger(frequency=Frequency("D"), first=first, items=names_of("I", s.items), places=names_of("S", s.places),
                   item_of=item_of, place_of=place_of, sold=sold, truth=np.where(alive, sold, np.nan), row=row,
                   known=known, past=past, item_facts=item_facts,
                   place_facts={"latitude": np.asarray(np.round(r.latitude, 5)),
                                "longitude": np.asarray(np.round(r.longitude, 5))},
                   closed_when="open" if "open" in known else None, demand=demand if s.stocking.on else None, closed=~is_open)
    return _seen_as(dice, books, r.category_of, settings=s)


def _seen_as(dice: Dice, books: Ledger, category_of: np.ndarray, *, settings: ChainSettings) -> Ledger:
    """The books by day, week or month, or summed over places or the items of a category, or as rows of what was sold."""
    rng = dice.stream("view")
    if dice.on("rows_of_sales_alone", 0.12):  # summed transactions: no row where nothing was sold
        kept = books.row & (books.sold > 0)
        plain = {k: v for k, v in books.known.items() if not isinstance(v, np.ndarray) or v.ndim == 1}
        on_sale = np.maximum.accumulate(kept, axis=1) & np.isfinite(books.truth)
        return replace(books, row=kept, truth=np.where(on_sale, books.sold, np.nan), known=plain, past={}, absent="zero",
                       closed_when=None, closed=None)
    if dice.on("sums_over_items", 0.12):
        books = over_items(books, category_of, tuple(f"C{g + 1}" for g in range(len(settings.departments))))
    if len(books.places) > 1 and dice.on("sums_over_places", 0.1):
        books = over_places(books)
    ways = {PROMO: str(rng.choice([MEAN, MOST, SUM])), "holiday": str(rng.choice([MOST, SUM])), STOCK: LAST}
    if dice.on("weekly_view", 0.15):
        return weekly(books, how=ways, anchor=int(rng.choice([0, 0, 5, 6])))
    if settings.days > 550 and dice.on("monthly_view", 0.05):
        return monthly(books, how=ways)
    return books

"""What the simulated retailer is to be like: one frozen group of settings for each mechanism, and the demo chain's own.

Every mechanism has `on`; `without(settings, "weather")` is the same world, same chance, without that mechanism.
Rates are per day unless said otherwise, effects are on the natural logarithm of expected demand.
"""

from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Final

from shelfcast.errors import SettingsError, UnknownNameError


@dataclass(frozen=True)
class Category:
    """A department and what is typical of it.

    Attributes
    ----------
    name : what it is called
    things : names of products
    level : median units a day of an item in a middling shop
    price : median shelf price, money
    week : demand by weekday, Monday first, any scale
    season : yearly swing, on the log
    peak : day of the year of its peak
    warmth : effect on the log of ten degrees above normal
    festive : multiple of a feast's usual strength
    """

    name: str
    things: tuple[str, ...]
    level: float
    price: float
    week: tuple[float, float, float, float, float, float, float]
    season: float
    peak: float
    warmth: float
    festive: float


@dataclass(frozen=True, kw_only=True)
class Level:
    """How much sells: log level = category + item + size of the place + their meeting."""

    on: bool = True
    item: float = 0.95  # standard deviation of the log between items
    place: float = 0.35  # between places
    series: float = 0.30  # what an item does at one place beyond both
    listed: float = 0.92  # share of items that a place sells


@dataclass(frozen=True, kw_only=True)
class LifeCycle:
    """Items come, grow, ripen, decay and go."""

    on: bool = True
    new: float = 0.22  # share of items launched within the history
    gone: float = 0.15  # share of items withdrawn within the history
    ramp: float = 25.0  # days, time constant of the launch
    novelty: float = 0.35  # extra demand at the launch, share
    novelty_days: float = 45.0  # time constant with which novelty wears off
    decay_days: float = 75.0  # days before withdrawal over which demand falls
    decay_to: float = 0.3  # share of demand left on the last day


@dataclass(frozen=True, kw_only=True)
class Week:
    """Weekday profiles, and places that shut on Sundays."""

    on: bool = True
    category: float = 0.06  # standard deviation of a weekday's log effect around the category's own
    series: float = 0.06
    sunday_closed: float = 0.5  # share of places


@dataclass(frozen=True, kw_only=True)
class Year:
    """The seasons."""

    on: bool = True
    spread: float = 0.35  # relative standard deviation of an item's swing around its category's
    peak_days: float = 12.0  # standard deviation of its peak, days
    second: float = 0.25  # second harmonic, share of the first


@dataclass(frozen=True, kw_only=True)
class Holidays:
    """Feasts with what is bought ahead and not bought after."""

    on: bool = True
    spread: float = 0.5  # standard deviation of a category's log taste for a feast


@dataclass(frozen=True, kw_only=True)
class Payday:
    """Money in the pocket at the month's end."""

    on: bool = True
    most: float = 0.16  # largest effect of a category right after payday; the least is 0
    days: float = 4.0  # time constant


@dataclass(frozen=True, kw_only=True)
class Weather:
    """Temperature with seasons, regions and persistence."""

    on: bool = True
    mean: float = 19.0  # degrees Celsius, yearly mean at latitude 40
    per_latitude: float = -0.75  # degrees per degree north of 40
    swing: float = 9.0  # degrees, half the distance from winter to summer
    anomaly: float = 3.2  # degrees, standard deviation of a region's departure from normal
    persistence: float = 0.82  # of that departure, from a day to the next
    local: float = 0.8  # degrees, standard deviation of a place's own departure
    spread: float = 0.3  # standard deviation of an item's sensitivity around its category's, per ten degrees, relative


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Regular prices move in steps; demand answers by an elasticity to the price relative to what everything costs."""

    on: bool = True
    spread: float = 0.45  # standard deviation of log price within a category
    steps: int = 5  # in the whole time
    rise: float = 0.025  # mean step of log price
    step: float = 0.045  # its standard deviation
    zone: float = 0.02  # standard deviation of log price between places
    elasticity: float = 1.8  # median size; demand is proportional to (price / general level) ** -elasticity
    elasticity_spread: float = 0.4  # of its log between items
    elasticity_place: float = 0.12  # of its log between places


@dataclass(frozen=True, kw_only=True)
class Promotions:
    """A calendar of price cuts, with display, fatigue, and a hole afterwards."""

    on: bool = True
    cadence: tuple[int, int] = (4, 14)  # weeks between the starts of an item's promotions, least and most
    durations: tuple[int, ...] = (4, 7, 7, 14)  # days
    depths: tuple[float, ...] = (0.10, 0.15, 0.20, 0.25, 0.30, 0.40)  # share off the regular price
    joins: float = 0.9  # share of places that take part in one
    uplift: float = 0.28  # mean effect of display and leaflet on the log, beyond the price's
    uplift_spread: float = 0.15
    uplift_place: float = 0.06
    fatigue: float = 0.3  # share of the uplift that is lost by the last day
    dip: tuple[float, float] = (0.1, 0.6)  # least and most share of the effect that comes back as a hole
    pantry_days: float = 9.0  # time constant with which pantries empty


@dataclass(frozen=True, kw_only=True)
class Rivalry:
    """Items of one category at one place take sales from each other."""

    on: bool = True
    most: float = 0.5  # largest share of an item's exposure to its rivals' effects; the least is 0.1


@dataclass(frozen=True, kw_only=True)
class Shocks:
    """Regional events that start at a place, travel, and die away."""

    on: bool = True
    count: int = 14  # in the whole time
    size: float = 0.30  # standard deviation of the effect on the log where it starts
    speed: tuple[float, float] = (12.0, 45.0)  # kilometres a day, least and most
    reach: float = 320.0  # kilometres over which the effect falls by e
    rise: float = 4.0  # days, time constant of its coming
    life: tuple[float, float] = (25.0, 80.0)  # days, time constant of its going, least and most


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Places and items that grow or shrink, places that open, and levels that wander."""

    on: bool = True
    place: float = 0.04  # standard deviation of log growth a year
    item: float = 0.08
    opens: float = 0.15  # share of places that open within the history
    young: float = -0.6  # log level on the day of opening
    young_days: float = 120.0  # time constant of a new place's growing up
    wander: float = 0.10  # standard deviation of a series' slow wandering
    wander_persistence: float = 0.985  # from a day to the next


@dataclass(frozen=True, kw_only=True)
class Counts:
    """From expected demand to customers: negative binomial, empty days, packs bought whole."""

    on: bool = True
    dispersion: float = 6.0  # median r; the variance is mean + mean^2 / r
    dispersion_spread: float = 0.6  # of log r between items
    sparse: float = 0.15  # share of items with days when nobody comes
    zeros: tuple[float, float] = (0.2, 0.65)  # their share of such days, least and most
    lumpy: float = 0.10  # share of items bought several at a time
    lump: tuple[int, int] = (2, 6)  # how many, least and most


@dataclass(frozen=True, kw_only=True)
class Outliers:
    """Now and then somebody buys up the shelf."""

    on: bool = True
    rate: float = 0.0004  # share of days
    size: tuple[float, float] = (4.0, 14.0)  # multiples of expected demand plus one


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """Days that nobody reported."""

    on: bool = True
    till: float = 0.0006  # chance a day that a place begins to report nothing
    till_days: int = 3  # how long it then lasts
    line: float = 0.0004  # chance that a single line is lost


@dataclass(frozen=True, kw_only=True)
class Stocking:
    """Orders by an (s, S) rule with lead time; what is not on the shelf is not sold."""

    on: bool = True
    lead: tuple[int, int] = (1, 6)  # days from order to delivery, least and most
    review: int = 2  # days between looks at the shelf
    cover: float = 5.0  # days of sales between s and S
    safety: float = 1.1  # median safety stock, in standard deviations of Poisson demand over lead time and review
    safety_spread: float = 0.5  # standard deviation between series
    memory: float = 0.06  # weight of the newest day in the shop's own smoothed forecast
    promotion_known: float = 0.75  # share of a coming promotion's effect that the shop orders for
    fails: float = 0.02  # share of orders that never come
    packs: tuple[int, ...] = (1, 4, 6, 6, 12, 12, 24)  # units in a case; large ones only for what sells
    margin: tuple[float, float] = (0.18, 0.45)  # share of the shelf price, least and most


@dataclass(frozen=True, kw_only=True)
class Irrelevant:
    """Covariates that do nothing."""

    on: bool = True
    persistence: float = 0.995  # of the wandering one
    flag: float = 0.1  # share of days with the flag


DEPARTMENTS: Final = (
    Category("Bakery", ("Rye bread", "Baguette", "Croissant", "Bagel", "Toast", "Apple pie", "Pretzel"),
             9.0, 2.6, (0.95, 0.9, 0.9, 1.0, 1.15, 1.35, 0.9), 0.05, 340.0, -0.03, 0.8),
    Category("Dairy", ("Whole milk", "Butter", "Yoghurt", "Cheddar", "Cream", "Cottage cheese", "Eggs"),
             8.0, 2.2, (1.0, 0.92, 0.92, 1.0, 1.15, 1.25, 0.75), 0.04, 350.0, -0.02, 0.9),
    Category("Drinks", ("Cola", "Orange juice", "Mineral water", "Lemonade", "Iced tea", "Pilsner", "Apple juice"),
             6.0, 3.0, (0.85, 0.85, 0.9, 1.0, 1.3, 1.4, 0.8), 0.28, 200.0, 0.22, 1.0),
    Category("Snacks", ("Potato crisps", "Salted nuts", "Milk chocolate", "Wine gums", "Pretzel sticks", "Popcorn", "Cookies"),
             4.0, 2.4, (0.85, 0.85, 0.95, 1.0, 1.25, 1.3, 0.9), 0.12, 350.0, -0.05, 1.6),
    Category("Household", ("Dish soap", "Kitchen roll", "Washing powder", "Bin bags", "Sponges", "Candles", "Foil"),
             1.6, 4.5, (1.05, 0.95, 0.95, 1.0, 1.1, 1.25, 0.6), 0.05, 80.0, 0.0, 0.3),
    Category("Garden", ("Potting soil", "Flower seeds", "Charcoal", "Watering can", "Garden gloves", "Bird food", "Plant pot"),
             0.9, 7.5, (0.8, 0.75, 0.8, 0.95, 1.3, 1.7, 0.9), 0.75, 145.0, 0.25, 0.2),
)


@dataclass(frozen=True, kw_only=True)
class ChainSettings:
    """Everything a simulated chain depends on.

    Attributes
    ----------
    seed : the chance
    places, items, regions : how many
    first : first day of history
    days, horizon : days of history, and of future with known covariates
    south, west, north, east : the country, degrees
    region_spread : standard deviation of a place around its region's centre, degrees
    departments : the categories; items are dealt to them in turn
    """

    seed: int = 1
    places: int = 12
    items: int = 42
    regions: int = 4
    first: date = date(2021, 10, 4)
    days: int = 910
    horizon: int = 42
    south: float = 47.5
    west: float = 6.5
    north: float = 53.5
    east: float = 14.0
    region_spread: float = 0.45
    departments: tuple[Category, ...] = DEPARTMENTS
    level: Level = field(default_factory=Level)
    life: LifeCycle = field(default_factory=LifeCycle)
    week: Week = field(default_factory=Week)
    year: Year = field(default_factory=Year)
    holidays: Holidays = field(default_factory=Holidays)
    payday: Payday = field(default_factory=Payday)
    weather: Weather = field(default_factory=Weather)
    prices: Prices = field(default_factory=Prices)
    promotions: Promotions = field(default_factory=Promotions)
    rivalry: Rivalry = field(default_factory=Rivalry)
    shocks: Shocks = field(default_factory=Shocks)
    growth: Growth = field(default_factory=Growth)
    counts: Counts = field(default_factory=Counts)
    outliers: Outliers = field(default_factory=Outliers)
    gaps: Gaps = field(default_factory=Gaps)
    stocking: Stocking = field(default_factory=Stocking)
    irrelevant: Irrelevant = field(default_factory=Irrelevant)

    def __post_init__(self) -> None:
        for name in ("places", "items", "regions", "days"):
            if getattr(self, name) < 1:
                raise SettingsError(f"A chain with {name} = {getattr(self, name)} is empty; choose at least 1.")
        if self.horizon < 0:
            raise SettingsError(f"The horizon is {self.horizon} days; choose 0 or more.")
        if not self.departments:
            raise SettingsError("A chain needs at least one department.")


MECHANISMS: Final = tuple(f.name for f in fields(ChainSettings) if hasattr(f.default_factory, "on"))
"""The names that `without` takes."""


def without(settings: ChainSettings, *names: str) -> ChainSettings:
    """The same chain with these mechanisms switched off.

    >>> without(DEMO, "weather", "shocks").weather.on
    False
    """
    changed = {}
    for name in names:
        if name not in MECHANISMS:
            raise UnknownNameError("mechanism", name, MECHANISMS)
        changed[name] = replace(getattr(settings, name), on=False)
    return replace(settings, **changed)


DEMO: Final = ChainSettings(seed=4)
"""The demo chain. Frozen: see `shelfcast.world.chain` for how to change it in the open.

Its seed is the first whose chain has places that open, as many items that come as go, and sales that neither grow nor shrink
by half in a year.
"""

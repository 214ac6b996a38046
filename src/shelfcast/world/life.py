"""What a simulation leaves: every quantity of a chain's life as arrays, before it becomes tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from shelfcast.world.arrays import Array
from shelfcast.world.calendar import Days
from shelfcast.world.prices import Offers
from shelfcast.world.retailer import Retailer
from shelfcast.world.stock import Shelf


@dataclass(frozen=True)
class Life:
    """What happened to a simulated chain; N series, P places, T days (history, then horizon), A days of history.

    Attributes
    ----------
    days : the calendar
    retailer : its parameters
    effects : {mechanism: (N, T), effect on log expected demand}
    alive : (N, T), 1 where the item is listed, launched, not withdrawn, and the place exists
    is_open : (P, T), 1 or 0
    mu : (N, T), expected units a day, stock aside; given weather, shocks and all
    demand : (N, T), units asked for
    outliers : (N, T), how many of them were bulk purchases
    shelf : what was sold, (N, A)
    offers : promotions; regular, price : (N, T), money, without and with them
    temperature, foreseen : (P, T), degrees as they came, and as known on the last day of history
    shocks : (S, P, T), log; shock_origin : (S,), positions of places; shock_start : (S,), day numbers, negative before history;
        shock_size : (S,), log; shock_speed : (S,), km a day; shock_life : (S,), days
    share : (N, K), usual share of the rivals of an item at its place, 0 for items that are no rivals
    reported : (N, A), 1 where a row reached the head office
    irrelevant_walk : (T,); irrelevant_flag : (P, T)
    """

    days: Days
    retailer: Retailer
    effects: Mapping[str, Array]
    alive: Array
    is_open: Array
    mu: Array
    demand: Array
    outliers: Array
    shelf: Shelf
    offers: Offers
    regular: Array
    price: Array
    temperature: Array
    foreseen: Array
    shocks: Array
    shock_origin: Array
    shock_start: Array
    shock_size: Array
    shock_speed: Array
    shock_life: Array
    share: Array
    reported: Array
    irrelevant_walk: Array
    irrelevant_flag: Array

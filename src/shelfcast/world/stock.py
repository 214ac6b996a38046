"""Stock: orders, lead times, empty shelves, and the sales they hide.

The only place with a loop over days, since what is on the shelf today depends on yesterday. Each day: deliveries arrive,
customers buy what is there, the shop updates its own simple forecast, looks at the shelf, and orders.
"""

from dataclasses import dataclass

import numpy as np

from shelfcast.world.arrays import Array, along, index_like, later, like, namespace, number, whole
from shelfcast.world.blueprint import Stocking


@dataclass(frozen=True)
class Shelf:
    """What happened on the shelves; N series, T days.

    Attributes
    ----------
    sold : (N, T), units
    stock : (N, T), units on hand at the end of the day
    available : (N, T), share of the day in which the item could be bought
    due : (N, L), units that arrive 1 to L days after the last day
    """

    sold: Array
    stock: Array
    available: Array
    due: Array


@dataclass(frozen=True)
class Supply:
    """How each series is supplied; all (N,).

    Attributes
    ----------
    first, last : first and last day on which it is sold, day numbers
    rate : what the shop expects to sell a day when it begins, units
    lead : days from an order to the morning it arrives, at least 1
    pack : units in a case
    safety : standard deviations of Poisson demand held beyond what is expected
    turn : the day on which the shelf is first looked at, 0 to review - 1
    """

    first: Array
    last: Array
    rate: Array
    lead: Array
    pack: Array
    safety: Array
    turn: Array


def run_shelves(settings: Stocking, demand: Array, *, supply: Supply, is_open: Array, planned: Array, failed: Array) -> Shelf:
    """Live through all days under an (s, S) rule.

    need = f * m * (lead + review);  s = need + safety * sqrt(need);  S = s + f * m * cover
    order ceil((S - position) / pack) * pack if position <= s, where f is the shop's exponentially smoothed sales on days
    when the item was there, m the planned multiple, position what is on hand and on order.

    Of n customers spread evenly over the day, the k-th comes after k / (n + 1) of it: if k units end the shelf, the item
    was available for that share.

    Parameters
    ----------
    demand : (N, T), units asked for
    is_open : (N, T), 1 on days when the place is open
    planned : (N, T), multiple of usual sales that the shop expects over lead and review days from each day on
    failed : (N, T), 1 where an order given on that day never comes
    """
    if not settings.on:
        xp = namespace(demand)
        nothing = xp.zeros_like(demand[:, :settings.lead[1]])
        return Shelf(demand, xp.zeros_like(demand) + float("nan"), xp.ones_like(demand), nothing)
    xp = namespace(demand)
    days = demand.shape[1]
    longest = settings.lead[1]
    coming = [xp.zeros_like(supply.rate) for _ in range(longest + 1)]
    on_hand, on_order, forecast = xp.zeros_like(supply.rate), xp.zeros_like(supply.rate), supply.rate
    sold, stock, available = [], [], []
    for t in range(days):
        begins = number(supply.first == t, demand)
        first_need = supply.rate * planned[:, t] * (supply.lead + settings.review + settings.cover)
        on_hand = on_hand + begins * _cases(first_need + supply.safety * xp.sqrt(first_need), supply.pack)
        arrived = coming[t % (longest + 1)]
        coming[t % (longest + 1)] = xp.zeros_like(arrived)
        on_hand, on_order = on_hand + arrived, on_order - arrived

        asked = demand[:, t]
        bought = xp.minimum(asked, on_hand)
        there = xp.where(asked >= on_hand, on_hand / (asked + 1.0), xp.ones_like(asked))
        on_hand = on_hand - bought
        sold.append(bought)
        stock.append(on_hand)
        available.append(there)

        learns = is_open[:, t] * number((there > 0.5) & (supply.first <= t), demand)
        # A promotion's extra sales would make the shop over-order after it, so it divides them out.
        forecast = forecast + learns * settings.memory * (bought / planned[:, t] - forecast)

        looks = number((t - supply.turn) % settings.review == 0, demand) * number(supply.first <= t, demand)
        sells_on = number(supply.last >= t + supply.lead, demand)
        daily = forecast * planned[:, t]
        need = daily * (supply.lead + settings.review)
        low = need + supply.safety * xp.sqrt(need)
        position = on_hand + on_order
        wanted = _cases(low + daily * settings.cover - position, supply.pack)
        order = wanted * looks * sells_on * number(position <= low, demand) * (1.0 - failed[:, t])
        on_order = on_order + order
        for lead in range(settings.lead[0], longest + 1):
            at = (t + lead) % (longest + 1)
            coming[at] = coming[at] + order * number(supply.lead == lead, demand)
    due = [coming[(days - 1 + ahead) % (longest + 1)] for ahead in range(1, longest + 1)]
    return Shelf(xp.stack(sold, 1), xp.stack(stock, 1), xp.stack(available, 1), xp.stack(due, 1))


def _cases(units: Array, pack: Array) -> Array:
    """Whole cases that hold at least so many units."""
    xp = namespace(units)
    return xp.clip(xp.ceil(units / pack - 1e-9), 0.0, None) * pack


def planned_multiple(settings: Stocking, effect: Array, lead: Array) -> Array:
    """What the shop makes of its own promotion calendar: mean of exp(promotion_known * effect) over lead and review days ahead.

    Parameters
    ----------
    effect : (N, T), log effect of offers
    lead : (N,), days
    """
    xp = namespace(effect)
    days = effect.shape[1]
    expected = xp.exp(settings.promotion_known * effect)
    sums = xp.cumsum(expected, 1)
    ahead = whole(lead)[:, None] + settings.review
    here = index_like(np.arange(days), effect)[None, :]
    until = xp.clip(here + ahead, None, days - 1)
    count = like(np.arange(days), effect)[None, :]
    before = later(sums, 1)
    width = number(until, effect) - count + 1.0
    return (along(sums, until) - before) / width

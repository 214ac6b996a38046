"""What things cost and when they are on offer: regular price steps and the promotion calendar."""

from dataclasses import dataclass

from shelfcast.world.arrays import Array, along, days_of, like, namespace, number, whole
from shelfcast.world.blueprint import Prices, Promotions


@dataclass(frozen=True)
class Offers:
    """The promotion calendar by series and day.

    Attributes
    ----------
    active : (N, T), 1 on days of a promotion
    depth : (N, T), share off the regular price, 0 without promotion
    progress : (N, T), share of the promotion that is over, 0 on its first day
    """

    active: Array
    depth: Array
    progress: Array


def regular_log_price(settings: Prices, days: int, *, step_day: Array, step_size: Array) -> Array:
    """Log of the regular price relative to the first day: the sum of all steps so far.

    path[k, t] = sum over j of (rise + step * z[k, j]) where u[k, j] * days <= t

    Parameters
    ----------
    step_day : (K, J), uniform; step_size : (K, J), standard normal

    Returns
    -------
    (K, days)
    """
    xp = namespace(step_size)
    at = xp.floor(step_day * days)
    size = settings.rise + settings.step * step_size
    today = days_of(step_size, days)
    path = xp.zeros_like(step_size[:, :1]) * today[None, :]
    for j in range(step_size.shape[1]):  # a handful of steps; (K, J, T) at once would not fit for a large K
        path = path + size[:, j:j + 1] * number(today[None, :] >= at[:, j:j + 1], path)
    return path * float(settings.on)


def general_log_level(settings: Prices, day: Array) -> Array:
    """Log of what everything costs, everywhere, relative to the first day: the mean of all items' steps; (T,) to (T,).

    Customers compare with it: a price that rises with all others sells no less.
    """
    return settings.rise * settings.steps * float(settings.on) * day / day.shape[0]


def promotion_calendar(settings: Promotions, days: int, *, cadence: Array, phase: Array, duration: Array, shift: Array,
                       depth: Array, joins: Array, item_of: Array) -> Offers:
    """Who has what on offer when.

    Item k has a slot every `7 * weeks[k]` days; in slot e one promotion starts, whole weeks late by chance, always over
    before the slot ends. It lasts a duration of the item's and cuts a depth of the slot's; a place joins or does not.

    Parameters
    ----------
    cadence, phase, duration : (K,), uniform
    shift, depth : (K, E), uniform
    joins : (N, E), uniform
    item_of : (N,), positions

    Returns
    -------
    Offers of shape (N, days)
    """
    xp = namespace(shift)
    least, most = settings.cadence
    weeks = least + xp.floor(cadence * (most - least + 1))
    lengths, depths = like(settings.durations, shift), like(settings.depths, shift)
    length = lengths[whole(xp.floor(duration * len(settings.durations)))]
    # The first slot begins before the first day, so that the start of history is like the rest.
    day = days_of(shift, days)[None, :] + 7.0 * xp.floor(phase * weeks)[:, None]
    slot = whole(xp.floor(day / (7.0 * weeks)[:, None]))
    room = xp.clip(weeks - xp.ceil(length / 7.0), 0.0, None)
    late = 7.0 * xp.floor(along(shift, slot) * (room + 1.0)[:, None])
    into = day - number(slot >= 0, shift[:, :1]) * slot * (7.0 * weeks)[:, None] - late
    active = number((into >= 0) & (into < length[:, None]), shift)
    cut = along(depths[whole(xp.floor(depth * len(settings.depths)))], slot)
    takes_part = number(along(joins, slot[item_of]) < settings.joins, shift)
    on = active[item_of] * takes_part * float(settings.on)
    return Offers(on, on * cut[item_of], on * (into / length[:, None])[item_of])

"""Demand: what customers would buy if the shelf were always full.

Expected demand is a product; on the log it is a sum of named effects, each a function of its own below.

    mu[n, t] = open[n, t] * life[n, t] * exp(level[n] + growth + week + season + holidays + payday + weather
                                             + price + promotion + dip + rivals + shocks)

`customers` then draws units from it. All arrays are (N, T) unless said otherwise, numpy or torch alike.
"""

import numpy as np

from shelfcast.world.arrays import Array, decaying_sum, index_like, later, namespace, number
from shelfcast.world.blueprint import Counts, LifeCycle, Outliers, Promotions

_FEW = 12.0  # units; up to here counts are drawn exactly, above by a normal approximation with skewness
_STEPS = 40  # P(Poisson(12) > 40) is 1e-10


def life_cycle(settings: LifeCycle, day: Array, *, launched: Array, withdrawn: Array) -> Array:
    """Share of mature demand by age: 0 before the launch and after the last day.

    age = t - launched;  ramp = 1 - exp(-(age + 1) / ramp) ;  novelty = 1 + novelty * exp(-age / novelty_days)
    left = withdrawn - t;  decay falls linearly from 1 at `decay_days` left to `decay_to` at 0 left

    Parameters
    ----------
    day : (T,); launched, withdrawn : (N,), day numbers; launched < 0: mature from the first day on

    Returns
    -------
    (N, T), in [0, 1 + novelty]
    """
    xp = namespace(day)
    age = day[None, :] - launched[:, None]
    grown = xp.clip(age, 0.0, None)
    young = ((1.0 - xp.exp(-(grown + 1.0) / settings.ramp)) * (1.0 + settings.novelty * xp.exp(-grown / settings.novelty_days)))
    old = number(launched < 0, day)[:, None]
    left = withdrawn[:, None] - day[None, :]
    leaving = xp.clip(settings.decay_to + (1.0 - settings.decay_to) * left / settings.decay_days, settings.decay_to, 1.0)
    alive = number((age >= 0) & (left >= 0), day)
    # Whoever leaves after the end of time is not leaving in it.
    stays = number(withdrawn > day[-1], day)[:, None]
    return alive * (old + (1.0 - old) * young) * (stays + (1.0 - stays) * leaving)


def opening(day: Array, opened: Array, *, young: float, young_days: float) -> tuple[Array, Array]:
    """Whether a place exists, and the log effect of its youth: young * exp(-(t - opened) / young_days).

    Parameters
    ----------
    day : (T,); opened : (P,), day numbers, negative for places that always were

    Returns
    -------
    exists, effect : (P, T) each
    """
    xp = namespace(day)
    age = day[None, :] - opened[:, None]
    new = number(opened >= 0, day)[:, None]
    return number(age >= 0, day), new * young * xp.exp(-xp.clip(age, 0.0, None) / young_days)


def yearly_season(angle: Array, *, swing: Array, peak: Array, second: float) -> Array:
    """Two harmonics: swing * (cos(angle - peak) + second * cos(2 * (angle - peak))); angle (T,), swing and peak (K,)."""
    xp = namespace(angle)
    around = angle[None, :] - peak[:, None]
    return swing[:, None] * (xp.cos(around) + second * xp.cos(2.0 * around))


def payday_effect(since: Array, *, strength: Array, days: float) -> Array:
    """strength * (exp(-since / days) - its mean), so that paydays move demand within the month only; since (T,), strength (G,)."""
    xp = namespace(since)
    felt = xp.exp(-since / days)
    return strength[:, None] * (felt - felt.mean())[None, :]


def promotion_effect(settings: Promotions, *, active: Array, depth: Array, progress: Array, elasticity: Array,
                     uplift: Array) -> Array:
    """Log effect of an offer: elasticity * log(1 - depth) + uplift * (1 - fatigue * progress) while it lasts.

    Parameters
    ----------
    elasticity, uplift : (N,)
    """
    xp = namespace(active)
    return elasticity[:, None] * xp.log(1.0 - depth) + uplift[:, None] * active * (1.0 - settings.fatigue * progress)


def pantry_dip(effect: Array, *, active: Array, share: Array, days: float) -> Array:
    """The hole after an offer: what was bought ahead is not bought later.

    dip[t] = -share * (1 - active[t]) * (1 - d) / d * sum over l >= 1 of d^l * effect[t - l],  d = exp(-1 / days)

    Parameters
    ----------
    effect : (N, T), log effect of offers; share : (N,)
    """
    xp = namespace(effect)
    d = float(np.exp(-1.0 / days))
    pantry = later(decaying_sum(effect, xp.zeros_like(share) + d), 1)
    return -share[:, None] * (1.0 - active) * (1.0 - d) * pantry


def rival_effect(attraction: Array, *, group_of: Array, groups: int, weight: Array, exposure: Array) -> Array:
    """What rivals in the same group take away when they attract more than usual.

    effect[n, t] = -exposure[n] * sum over m in group of n, m != n, of share[n, m] * attraction[m, t]
    share[n, m] = weight[m] / sum over the others' weights

    So the elasticity of n's demand to m's price is -exposure[n] * share[n, m] * elasticity[m], which is positive.

    Parameters
    ----------
    attraction : (N, T), log effects of price and offers
    group_of : (N,), positions of groups; weight : (N,), usual units a day where sold, else 0; exposure : (N,)
    """
    xp = namespace(attraction)
    total, weights = _group_sums(attraction * weight[:, None], group_of, groups), _group_sums(weight[:, None], group_of, groups)
    others = xp.clip(weights[group_of] - weight[:, None], 1e-9, None)
    return -exposure[:, None] * (total[group_of] - attraction * weight[:, None]) / others


def _group_sums(x: Array, group_of: Array, groups: int) -> Array:
    """Sums over the members of each group: (N, T) to (groups, T), as one product with the membership matrix."""
    members = number(group_of[None, :] == index_like(np.arange(groups), x)[:, None], x)
    return members @ x


def customers(settings: Counts, expected: Array, *, dispersion: Array, empty: Array, lump: Array, crowd: Array,
              crowd_root: Array, count: Array, count_many: Array, nobody: Array) -> Array:
    """Units asked for: lump * Poisson(rate * gamma), none on empty days. Its mean is `expected`.

    gamma has mean 1 and shape r, so that counts are negative binomial; it is drawn as G(r + 1) * u^(1 / r) (Stuart 1962)
    with G by Wilson and Hilferty (1931), whose mean is right to 1e-3 / r^3. Poisson counts up to a rate of 12 are drawn by
    inversion, above it as rate + sqrt(rate) * z + (z^2 - 1) / 6, rounded.

    Parameters
    ----------
    expected : (N, T), units a day
    dispersion, empty, lump : (N,)
    crowd, count_many : (N, T), standard normal; crowd_root, count, nobody : (N, T), uniform
    """
    xp = namespace(expected)
    rate = expected / (lump * (1.0 - empty))[:, None]
    if settings.on:
        r = dispersion[:, None]
        a = r + 1.0
        cube = xp.clip(1.0 - 1.0 / (9.0 * a) + crowd / (3.0 * xp.sqrt(a)), 0.0, None)
        rate = rate * (a * cube**3) * crowd_root ** (1.0 / r) / r
    units = _poisson(rate, count, count_many)
    return units * lump[:, None] * number(nobody >= empty[:, None], expected)


def _poisson(rate: Array, uniform: Array, normal: Array) -> Array:
    xp = namespace(rate)
    many = xp.clip(xp.floor(rate + xp.sqrt(rate) * normal + (normal * normal - 1.0) / 6.0 + 0.5), 0.0, None)
    small = xp.clip(rate, None, _FEW)
    chance = xp.exp(-small)
    below = chance
    few = xp.zeros_like(rate)
    for k in range(1, _STEPS + 1):
        few = few + number(uniform >= below, rate)
        chance = chance * small / k
        below = below + chance
    return xp.where(rate <= _FEW, few, many)


def bulk_purchases(settings: Outliers, expected: Array, *, chance: Array, size: Array) -> Array:
    """Extra units of somebody who buys up the shelf: ceil(multiple * (expected + 1)) with a small chance, while it is sold.

    Parameters
    ----------
    chance, size : (N, T), uniform
    """
    xp = namespace(expected)
    low, high = settings.size
    hit = number((chance < settings.rate) & (expected > 0), expected) * float(settings.on)
    return hit * xp.ceil((low + (high - low) * size) * (expected + 1.0))

"""The prior over retailers: from a seed to a simulated retailer as a user would have it, with the truth beside it.

What a network is pretrained on. Each regime is a kind of retailer, in a file of its own under `regimes`; every draw switches
mechanisms on and off by chance and writes down which. `docs/prior.md` says what is drawn from what.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from shelfcast.errors import UnknownNameError
from shelfcast.names import AVAILABLE, LATITUDE, LONGITUDE, STOCK
from shelfcast.panel import SalesPanel
from shelfcast.world.dice import Dice
from shelfcast.world.ledger import Ledger, panel_of, without_covariates
from shelfcast.world.mishaps import with_mishaps
from shelfcast.world.regimes.brands import draw_brands
from shelfcast.world.regimes.departments import draw_departments
from shelfcast.world.regimes.fast import draw_fast
from shelfcast.world.regimes.generic import draw_generic
from shelfcast.world.regimes.grocery import draw_grocery
from shelfcast.world.regimes.hourly import draw_hourly
from shelfcast.world.regimes.liquor import draw_liquor
from shelfcast.world.regimes.monthly import draw_monthly
from shelfcast.world.regimes.stores import draw_stores, draw_stores_weekly

_DRAWN: Final[Mapping[str, Callable[[Dice], Ledger]]] = MappingProxyType({
    "stores": draw_stores, "stores_weekly": draw_stores_weekly, "departments": draw_departments, "grocery": draw_grocery,
    "brands": draw_brands, "fast": draw_fast, "monthly": draw_monthly, "liquor": draw_liquor, "hourly": draw_hourly,
    "generic": draw_generic})

REGIMES: Final[Mapping[str, float]] = MappingProxyType({
    "stores": 0.20, "stores_weekly": 0.12, "departments": 0.13, "grocery": 0.17, "brands": 0.10,
    "fast": 0.08, "monthly": 0.07, "liquor": 0.05, "hourly": 0.03, "generic": 0.05})
"""{regime: weight}; how often each is drawn, any scale."""


@dataclass(frozen=True)
class DrawnWorld:
    """A simulated retailer.

    Attributes
    ----------
    panel : as a user would have it; no future rows
    truth : (N, T), in the order of `panel.series`: units wanted where the panel tells availability or stock, else what was
        recorded as sold; nan where the item was not on sale, closed (if the panel tells when), or not reported
    first : period number of the truth's first column; the last is `panel.cutoff`
    regime : a name of `REGIMES`
    mechanisms : what this world has, as `draw_world` takes them in `without`
    """

    panel: SalesPanel
    truth: np.ndarray
    first: int
    regime: str
    mechanisms: tuple[str, ...]


def draw_world(seed: int, *, regime: str | None = None, without: Collection[str] = ()) -> DrawnWorld:
    """One retailer; the same arguments give the same one on every machine.

    Parameters
    ----------
    seed : whole number from 0 on
    regime : a name of `REGIMES`; by chance if None
    without : mechanisms that must not come up; the rest of the world stays as it was

    Examples
    --------
    >>> world = draw_world(7, regime="monthly")
    >>> world.truth.shape[0] == len(world.panel), world.panel.cutoff == world.first + world.truth.shape[1] - 1
    (True, True)
    """
    dice = Dice(seed, without=without)
    if regime is None:
        names, weights = list(REGIMES), np.array(list(REGIMES.values()))
        regime = names[int(dice.stream("regime").choice(len(names), p=weights / weights.sum()))]
    elif regime not in _DRAWN:
        raise UnknownNameError("regime", regime, list(REGIMES))
    ledger = _told(with_mishaps(_DRAWN[regime](dice), dice), dice)
    if ledger.closed_when is None and ledger.closed is not None:
        # Who is not told of closed days has to expect their zeros.
        shut = ledger.closed[ledger.place_of] & ledger.row & np.isfinite(ledger.sold)
        ledger = replace(ledger, truth=np.where(shut, ledger.sold, ledger.truth))
    if ledger.demand is not None and {AVAILABLE, STOCK} & set(ledger.past):
        ledger = replace(ledger, truth=np.where(np.isfinite(ledger.truth), ledger.demand, np.nan))
    panel, truth, first = panel_of(ledger)
    return DrawnWorld(panel, truth, first, regime, dice.mechanisms)


def _told(ledger: Ledger, dice: Dice) -> Ledger:
    """What of it the user has: all, all but some covariates, or sales alone."""
    rng = dice.stream("told")
    names = [*ledger.known, *ledger.past, *ledger.item_facts, *ledger.place_facts]
    where = {LATITUDE, LONGITUDE}
    if set(names) - where and dice.on("sales_alone", 0.15):
        return without_covariates(ledger, set(names) - where)
    hideable = [n for n in names if n != "open" and n not in where]
    if hideable and dice.on("hidden_covariates", 0.4):
        ledger = without_covariates(ledger, {n for n in hideable if rng.random() < 0.25} | {str(rng.choice(hideable))})
    if where <= set(names) and dice.on("no_coordinates", 0.5):
        ledger = without_covariates(ledger, where)
    return ledger

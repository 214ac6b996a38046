"""Does the forecast know what a promotion does? Drawn worlds live twice: their last four weeks all in promotion, and without any.

Chance of a drawn world comes in streams, one for each mechanism, so that the two lives of a world differ by the promotion calendar
of those weeks alone: the same past, the same weather, the same noise. The true log uplift of a series is log(sum with / sum
without) over the days that are in promotion in the one life and not in the other; of stores what was sold, of items the units
expected (`Life.mu`), since single counts are mostly noise. The predicted one is the same of the means of the two forecasts. Counted
are series with at least ten promotion days in the network's context, of items those that sell at least one a day.

Of a chain's stores all are in promotion; of items a third, while the others keep their calendar: what rivals take away is part of
the truth, and all at once would be a world that no past shows. Left out are worlds that do not tell of promotions, views of weeks,
months and sums, and mechanisms that would change the past with the calendar (orders ahead of a promotion) or the unit of sales.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from figures import Figure, Make
from shelfcast.data.split import cut
from shelfcast.models.in_context import CONTEXT
from shelfcast.names import ITEM, LOCATION, PROMO
from shelfcast.panel import SalesPanel
from shelfcast.world import chain
from shelfcast.world.life import Life
from shelfcast.world.prior import DrawnWorld, draw_world
from shelfcast.world.regimes import grocery, stores

CHECK: Final = "uplift"
CORRELATION: Final = "correlation of log uplift"
DAYS: Final = 28
FEWEST: Final = 10  # promotion days in the context
REGIMES: Final = ("stores", "grocery")
UNSEEN: Final = 71 * 10**7
"""Seeds of worlds from here on; those of training are drawn from 63 bits."""
_LEFT_OUT: Final = ("sales_alone", "hidden_covariates", "unit_changes", "gaps_as_zeros", "stocking", "rows_of_sales_alone",
                    "sums_over_items", "sums_over_places", "weekly_view", "monthly_view")


@dataclass(frozen=True)
class Uplifts:
    """Of one world's series that count.

    Attributes
    ----------
    true, predicted : (n,), logs
    """

    true: np.ndarray
    predicted: np.ndarray


@contextmanager
def promotions_forced(on: bool, days: int = DAYS, *, expected: bool = False) -> Iterator[None]:
    """Within it, worlds of stores and items are drawn with their last days in promotion, or without any.

    Parameters
    ----------
    expected : items sell what is expected instead of what came
    """
    weeks_of, calendar_of, live_of = stores.promotion_weeks, chain.promotion_calendar, grocery.live

    def weeks(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        active, since = (part.copy() for part in weeks_of(*given))
        active[-days:], since[-days:] = on, np.arange(days) % 7 if on else 0
        return active, since

    def calendar(*given: Any, item_of: np.ndarray, **named: Any) -> Any:
        offers = calendar_of(*given, item_of=item_of, **named)
        active, depth, progress = (np.array(part) for part in (offers.active, offers.depth, offers.progress))
        times = active.sum(axis=1, keepdims=True)
        usual = np.where(times > 0, depth.sum(axis=1, keepdims=True) / np.maximum(times, 1.0), 0.2)
        chosen = np.flatnonzero(item_of % 3 == 0)
        active[chosen, -days:] = float(on)
        depth[chosen, -days:] = usual[chosen] * on
        progress[chosen, -days:] = (np.arange(days) % 7) / 7 * on
        return type(offers)(active, depth, progress)

    def live(settings: Any, draws: Any) -> Life:
        life = live_of(settings, draws)
        return replace(life, demand=life.mu, shelf=replace(life.shelf, sold=life.mu[:, :settings.days]))

    with ExitStack() as stack:
        stack.enter_context(patch.object(stores, "promotion_weeks", weeks))
        stack.enter_context(patch.object(chain, "promotion_calendar", calendar))
        if expected:
            stack.enter_context(patch.object(grocery, "live", live))
        yield


def lived(seed: int, regime: str, *, on: bool, expected: bool = False) -> DrawnWorld:
    """One of the lives of a world."""
    with promotions_forced(on, expected=expected):
        return draw_world(seed, regime=regime, without=_LEFT_OUT)


def uplifts(make: Make, seed: int, regime: str, *, most: int | None = None) -> Uplifts | None:
    """True and predicted uplifts of a world; None where nothing is told of promotions, or no series counts.

    Parameters
    ----------
    most : series, for a quick look
    """
    told = {on: lived(seed, regime, on=on) for on in (True, False)}
    base = told[False]
    if "promotions" not in base.mechanisms or PROMO not in base.panel.covariates or base.truth.shape[1] < 4 * DAYS:
        return None
    worlds = told if regime == "stores" else {on: lived(seed, regime, on=on, expected=True) for on in (True, False)}
    cutoff = base.panel.cutoff - DAYS
    panels = {on: cut(world.panel, cutoff) for on, world in told.items()}
    known = [name for name, kind in base.panel.covariates.items() if kind == "known"]
    whole = np.all([panels[False].given(name, DAYS) for name in known], axis=(0, 2))  # a shop that closes for good has no future
    if not whole.any():
        return None
    fitted = make(DAYS).fit(panels[False])
    panels = {on: panel.select(whole) for on, panel in panels.items()}
    flags = {on: panel.dense(horizon=DAYS, covariates=(PROMO,)).known[PROMO] for on, panel in panels.items()}
    at = _positions(panels[False], base.panel)
    forced = (flags[True][:, -DAYS:] > 0) & (flags[False][:, -DAYS:] == 0)
    truth = {on: world.truth[at, -DAYS:] for on, world in worlds.items()}
    days = forced & np.isfinite(truth[True]) & np.isfinite(truth[False])
    context = min(CONTEXT["D"], flags[False].shape[1] - DAYS)
    sold = panels[False].dense(context=context, covariates=()).sales
    often = ((flags[False][:, -DAYS - context:-DAYS] > 0) & np.isfinite(sold)).sum(axis=1) >= FEWEST
    brisk = np.nan_to_num(np.nansum(sold, axis=1) / np.maximum(np.isfinite(sold).sum(axis=1), 1)) >= 1
    counted = np.flatnonzero(often & brisk & (days.sum(axis=1) >= 7))
    if most is not None:
        counted = counted[:most]
    if not len(counted):
        return None
    means = {on: fitted.predict(panel, horizon=DAYS, levels=(0.5,)).mean for on, panel in panels.items()}

    def log_ratio(of: dict[bool, np.ndarray]) -> np.ndarray:
        with_, without = ((np.where(days, of[on], 0.0)[counted]).sum(axis=1) for on in (True, False))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(with_ / without))

    true, predicted = log_ratio(truth), log_ratio(means)
    sound = np.isfinite(true) & np.isfinite(predicted)
    return Uplifts(true[sound], predicted[sound]) if sound.any() else None


def _positions(part: SalesPanel, whole: SalesPanel) -> np.ndarray:
    rows = whole.series.select(ITEM, LOCATION).with_row_index("at")
    return part.series.select(ITEM, LOCATION).join(rows, on=[ITEM, LOCATION], how="left", maintain_order="left")["at"].to_numpy()


def correlation(found: list[Uplifts], *, replicates: int = 1_000, seed: int = 0) -> tuple[float, float, float]:
    """Correlation over the series of all worlds, with the 95 % interval of drawing worlds again."""
    def of(some: list[Uplifts]) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.corrcoef(np.concatenate([u.true for u in some]), np.concatenate([u.predicted for u in some]))[0, 1])

    drawn = np.random.default_rng(seed).integers(0, len(found), (replicates, len(found)))
    # A draw of one world alone, in which all series are alike, has no correlation.
    low, high = np.nanquantile([of([found[k] for k in row]) for row in drawn], (0.025, 0.975))
    return of(found), float(low), float(high)


def uplift(make: Make, *, worlds: int = 8, most: int | None = None) -> list[Figure]:
    """Correlation, slope, and what is predicted where nothing happens, by regime.

    Parameters
    ----------
    worlds : with series that count, of each regime
    most : series of a world, for a quick look
    """
    figures = []
    for regime in REGIMES:
        found: list[Uplifts] = []
        for seed in count(UNSEEN):
            with np.errstate(all="ignore"):
                one = uplifts(make, seed, regime, most=most)
            found += [one] if one is not None else []
            if len(found) == worlds or seed - UNSEEN >= 20 * worlds:
                break
        true, predicted = (np.concatenate([getattr(u, name) for u in found]) for name in ("true", "predicted"))
        value, low, high = correlation(found)
        size = {"check": CHECK, "set": regime, "series": len(true), "windows": len(found)}
        figures.append(Figure(measure=CORRELATION, value=value, low=low, high=high, **size))  # type: ignore[arg-type]
        figures.append(Figure(measure="slope of predicted over true", value=float(np.polyfit(true, predicted, 1)[0]),
                              **size))  # type: ignore[arg-type]
        for measure, some in (("predicted where the true one is below 0.02", np.abs(true) < 0.02),
                              ("predicted over true where that is above 0.3", true > 0.3)):
            if some.any():
                value = float(predicted[some].mean() / (true[some].mean() if "over" in measure else 1.0))
                figures.append(Figure(check=CHECK, set=regime, measure=measure, value=value, series=int(some.sum()),
                                      windows=len(found)))
    return figures

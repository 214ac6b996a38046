"""What `auto` tries: which models on how many windows of the past, and what of it a time budget allows.

Depends on the shape of the data, the settings and the budget alone. Seconds are estimates for a quiet machine of two cores; the
first trial corrects them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from shelfcast.models.registry import missing_package
from shelfcast.panel import SalesPanel

BASE: Final = "boosted"
NETWORK: Final = "spacetime"
PRETRAINED: Final = "pretrained"
RIVAL: Final = "naive"
YEAR_AND_LEVEL: Final = 1.25
"""Years of history that show last year's season and the level that it stood on."""
FEWEST_HORIZONS: Final = 2
"""Horizons of history from which on boosting is no worse than the profile."""
MOST_WINDOWS: Final = 3
SAMPLE: Final = 3_000
"""Series of the trials: more cost time and hardly move weights that are shared by a class."""
_CLASSICAL: Final = 400_000  # series times periods up to which classical models, one series at a time, cost seconds
_SECONDS_PER_ROW: Final = {"fast": 1.6e-4, "full": 4e-4}  # of a fit of the booster, by effort
_SECONDS_PER_SERIES: Final = 2e-3  # of the pretrained network, to read a panel and forecast it
_SECONDS_PER_STEP: Final = 0.25  # of the network's training
_DISTANCES: Final = 2  # from so many distances a period of a series is seen, when rows are few


def too_short(panel: SalesPanel, horizon: int) -> str:
    """Why boosting cannot learn from this past; empty where it can."""
    length = _length(panel)
    past = f"{length:,} {panel.frequency.noun}s of history and {panel.rows.height:,} rows"
    if length < FEWEST_HORIZONS * horizon or panel.rows.height < 300:
        return f"{past} are too few for boosting at horizon {horizon}"
    if panel.frequency.unit in "MQY" and length < 1.5 * panel.frequency.season:
        return f"{past} show no season twice"
    return ""


def candidates(series: int, length: int, *, more: Sequence[str] = ()) -> tuple[str, ...]:
    """The models to try on so many series of so many periods, the rival first; then those that are asked for."""
    wanted = [RIVAL, "profile", BASE, *(["statistical"] if series * min(length, 730) <= _CLASSICAL else []), *more]
    return tuple(n for n in wanted if missing_package(n) is None)


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """What is to be tried.

    Attributes
    ----------
    models : names
    windows : how many windows of the past
    horizon : periods of each; less than asked for where no window of that length could be replayed
    quick : the last fit is made with little effort, too
    base : the model that forecasts where nothing is tried
    trial_s, full_s, quick_s : seconds that a trial and the last fit (full and quick) are expected to take
    wanted : windows that the data alone ask for; `windows` when None
    """

    models: tuple[str, ...]
    windows: int
    horizon: int
    base: str
    trial_s: float
    full_s: float
    quick_s: float
    quick: bool = False
    wanted: int | None = None

    @property
    def told(self) -> tuple[str, ...]:
        """What the budget left out, in sentences about this plan as it stands."""
        wanted = self.windows if self.wanted is None else self.wanted
        told = [f"The time budget left out {wanted - self.windows} of {wanted} trials."] if self.windows < wanted else []
        if self.quick:
            told.append("The time budget asked for less effort in the last fit.")
        if BASE in self.models and self.base != BASE:
            told.append("The time budget leaves no room for boosting.")
        if told:
            told.append("A budget counts seconds: on a busier machine, or in another window of a backtest, it may leave out other "
                        "work, and the scores then are of different plans.")
        return tuple(told)

    def within(self, budget_s: float) -> "TrialPlan":
        """The plan with as many trials as the budget allows, then with less effort, then with the profile alone."""
        for quick, last in ((False, self.full_s), (True, self.quick_s)):
            fewest = 0 if quick else min(self.windows, 1)  # weights and calibration are worth more than effort
            for count in range(self.windows, fewest - 1, -1):
                if count * self.trial_s + last <= budget_s:
                    return self._cut(windows=count, quick=quick or self.quick, base=self.base)
        return self._cut(windows=0, quick=True, base=self.base if self.quick_s <= budget_s else "profile")

    def corrected(self, spent: float, left_s: float) -> "TrialPlan":
        """The rest of the plan once the first trial has shown how quick this machine is.

        The ratio to what was expected is rounded up to a power of two, so that its noise seldom decides.
        """
        ratio = 2.0 ** max(0, int(np.ceil(np.log2(max(spent / self.trial_s, 1e-9)))))
        wanted = self.windows if self.wanted is None else self.wanted
        slow = replace(self, windows=self.windows - 1, wanted=wanted, trial_s=self.trial_s * ratio, full_s=self.full_s * ratio,
                       quick_s=self.quick_s * ratio)
        rest = slow.within(max(left_s, 0.0))
        return replace(rest, windows=rest.windows + 1, base=self.base)

    def ended(self, left_s: float) -> "TrialPlan":
        """The plan after the trials: less effort in the last fit where full effort would not end within what is left."""
        return self if self.quick or self.full_s <= left_s else replace(self, quick=True)

    def _cut(self, *, windows: int, quick: bool, base: str) -> "TrialPlan":
        wanted = self.windows if self.wanted is None else self.wanted
        return replace(self, windows=windows, quick=quick, base=base, wanted=wanted)


def make_plan(panel: SalesPanel, horizon: int, budget_s: float | None, options: Mapping[str, Any] | None = None, *,
              more: Sequence[str] = ()) -> TrialPlan:
    """What the data ask for, and what of it the budget allows.

    Parameters
    ----------
    budget_s : seconds; None lets the data decide alone
    options : settings of the members, by name; the booster's effort and rows decide what the last fit takes
    more : members beyond those that are always tried
    """
    length, series = _length(panel), len(panel)
    models = candidates(series, length, more=more)
    base = BASE if BASE in models else "profile"
    classical = series * min(length, 730) / _CLASSICAL * 8.0 if "statistical" in models else 0.0
    quick = full = 1.0 + classical
    if base == BASE:
        ways = 2 if length >= panel.frequency.per_year else 1  # from a year on, the past is learned from backwards, too
        rows = ways * _learned(series * length, horizon, {**(options or {}), "effort": "fast"})
        quick += _SECONDS_PER_ROW["fast"] * rows
        full += _SECONDS_PER_ROW[_effort(options)] * ways * _learned(series * length, horizon, options)
    if PRETRAINED in more:
        quick, full = quick + _SECONDS_PER_SERIES * series, full + _SECONDS_PER_SERIES * series
    if NETWORK in more:
        from shelfcast.models.spacetime import SpaceTimeSettings

        steps = (options or {}).get("steps") or SpaceTimeSettings().steps
        quick, full = quick + _SECONDS_PER_STEP * steps, full + _SECONDS_PER_STEP * steps
    tried = trial_horizon(panel, horizon)
    cells = min(series, SAMPLE) * tried
    plan = TrialPlan(models=models, windows=window_count(panel, tried), horizon=tried, base=base,
                     trial_s=1.0 + quick + cells * 5e-5, full_s=full, quick_s=quick)
    return plan if budget_s is None else plan.within(budget_s)


def _effort(options: Mapping[str, Any] | None) -> str:
    return "fast" if (options or {}).get("effort") == "fast" else "full"


def _learned(cells: int, horizon: int, options: Mapping[str, Any] | None) -> int:
    """Rows that the booster learns from: a row is a period of a series seen from one of some distances, up to its own limit."""
    from shelfcast.models.boosted import SIZES  # imports lightgbm

    most = (options or {}).get("max_rows") or SIZES[_effort(options)].rows
    return int(min(cells * min(horizon, _DISTANCES), most))


def window_count(panel: SalesPanel, horizon: int) -> int:
    """How many windows of the past can be replayed and still resemble the task: 0 to 3.

    Each must leave three horizons and half of the history to learn from, and a year and a quarter where the whole past holds
    more than a year and the window: a model that knows last year's shape and its level, and one that does not, are two models.
    """
    length, year = _length(panel), panel.frequency.per_year
    least = max(3 * horizon, length / 2)
    if length - horizon >= year:
        least = max(least, YEAR_AND_LEVEL * year)
    return int(np.clip((length - least) // horizon, 0, MOST_WINDOWS))


def trial_horizon(panel: SalesPanel, horizon: int) -> int:
    """How long the windows of the past are: as asked for, else the longest that can be replayed, a quarter of that at least.

    A shorter window leaves as much to learn from as boosting needs at the horizon asked for. Where none fits: as asked for.
    """
    most = _length(panel) - FEWEST_HORIZONS * horizon
    shorter = range(horizon, max(1, -(-horizon // 4)) - 1, -1)
    return next((h for h in shorter if window_count(panel, h) and (h == horizon or h <= most)), horizon)


def _length(panel: SalesPanel) -> int:
    return panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]



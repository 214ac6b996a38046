"""`auto`: which models, how much each, and how sure, decided by the data's own past and a time budget.

The last windows of the past are forecast by several quick models that learned from what came before. What they would have
scored gives the weights (`adjust/combine.py`) and shows how far quantiles have to move (`adjust/calibrate.py`); then the members
that count are fitted on everything. A history too short for a window is left to the profile.

What is done depends on the data, the settings and the seed alone. Only where a budget is given, and binds, is work left out:
first windows, then effort; that is decided by estimated costs, which the first fit corrects, and it is told.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from shelfcast.adjust.calibrate import Calibration, Scored, learn_calibration
from shelfcast.adjust.combination import Combination, combined_traits
from shelfcast.adjust.combine import DECILES, Weights, combine, learn_weights
from shelfcast.adjust.trial import Trial, run_trial
from shelfcast.adjust.unseen import Unseen
from shelfcast.data.split import windows
from shelfcast.errors import SettingsError, shorten
from shelfcast.evaluate.metrics import sql, wape
from shelfcast.evaluate.replay import still_sold
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster, Traits
from shelfcast.models.registry import make_model, missing_package, setting_names
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

BASE: Final = "boosted"
RIVAL: Final = "naive"
MOST_WINDOWS: Final = 3
SAMPLE: Final = 3_000  # series that the trials are made on
"""Series of the trials: more cost time and hardly move weights that are shared by a class."""
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def parse_budget(text: str) -> float:
    """Seconds of `90s`, `5m`, `1h`, or a plain number of seconds.

    >>> parse_budget("5m"), parse_budget("1.5h"), parse_budget("90")
    (300.0, 5400.0, 90.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not found or float(found[1]) <= 0:
        raise SettingsError(f"{shorten(text)!r} is no time budget. Write seconds, minutes or hours: 90s, 5m, 1h.")
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, kw_only=True)
class AutoSettings:
    """What `auto` may do.

    Attributes
    ----------
    horizon : periods ahead that it will be asked for
    seed : of every draw
    budget_s : seconds that `fit` may take, about; None lets the data decide alone
    options : settings of the booster, by name
    """

    horizon: int
    seed: int = 0
    budget_s: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.horizon, bool) or self.horizon < 1:
            raise SettingsError(f"auto needs a horizon of at least 1 period; got {shorten(self.horizon)}.")
        if self.budget_s is not None and not self.budget_s > 0:
            raise SettingsError(f"The time budget is {shorten(self.budget_s)} seconds; it must be more than none.")


class AutoForecaster:
    """Tries, weighs, calibrates, and forecasts. See the file's docstring.

    Attributes
    ----------
    combination_ : what it arrived at
    trials_ : table `window` (last day of its past), `model`, `SQL`, `WAPE`, `coverage`, `seconds`: what was tried
    told_ : sentences for the user: what was tried, what won and by how much
    """

    def __init__(self, settings: AutoSettings) -> None:
        self.settings = settings
        self.traits: Traits = combined_traits([make_model(name).traits for name in candidates()])

    def fit(self, panel: SalesPanel) -> Self:
        """Try, weigh, calibrate, and fit what counts on the whole past."""
        s = self.settings
        began = time.perf_counter()
        reason = too_short(panel, s.horizon)
        self.trials_ = pl.DataFrame(schema=_TRIALS)
        if reason:
            self.told_: tuple[str, ...] = (f"The profile forecasts: {reason}.",)
            self.combination_ = self._made(panel, Weights.alone("profile"), Calibration.none(), {})
            return self
        count = window_count(panel, s.horizon)
        names = candidates()
        trials: list[Trial] = []
        rows: list[tuple[Any, ...]] = []
        days: list[str] = []
        sample = _sample(panel, s.seed)
        for window in map(still_sold, windows(sample, horizon=s.horizon, count=count) if count else ()):
            fitted, seconds = {}, {}
            for name in names:
                start = time.perf_counter()
                fitted[name] = self._model(name, quick=True).fit(window.past)
                seconds[name] = time.perf_counter() - start
            one = run_trial(window, fitted)
            if np.isfinite(one.truth).any():
                trials.append(one)
                day = str(panel.frequency.date(window.past.cutoff))
                days.append(day)
                rows += [(day, name, *_measured(one, f), seconds[name]) for name, f in one.forecasts.items()]
        if not trials:
            weights, calibration = Weights.alone(BASE if BASE in names else "profile"), Calibration.none()
            self.told_ = (f"{weights.used[0]} forecasts: the past is too short to try models on.",)
        else:
            weights = learn_weights(trials, seed=s.seed)
            mixed = [combine(r.forecasts, weights, r.classes) for r in trials]
            floor = -np.inf if panel.net_of_returns else 0.0
            calibration = learn_calibration([Scored(f, r.truth, r.classes) for f, r in zip(mixed, trials, strict=True)],
                                            floor=floor, seed=s.seed)
            rows += [(day, "auto", *_measured(r, f), 0.0) for day, f, r in zip(days, mixed, trials, strict=True)]
            self.trials_ = pl.DataFrame(rows, schema=_TRIALS, orient="row")
            self.told_ = _sentences(self.trials_, weights, len(trials), s.horizon, panel)
        self.combination_ = self._made(panel, weights, calibration, {})
        self.seconds_ = time.perf_counter() - began
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series of the panel."""
        self._require()
        return self.combination_.predict(panel, horizon=horizon, levels=levels)

    def save(self, folder: Path) -> None:
        """Write the combination; `adjust.saving.load_forecaster` reads it."""
        self._require()
        self.combination_.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; fitted, and without the memory of its trials."""
        combination = Combination.load(folder)
        made = cls(AutoSettings(horizon=1))
        made.combination_, made.trials_, made.told_ = combination, pl.DataFrame(schema=_TRIALS), ()
        return made

    def _require(self) -> None:
        if not hasattr(self, "combination_"):
            raise SettingsError("auto has tried nothing yet: call fit(panel) first, or load a saved forecaster.")

    def _made(self, panel: SalesPanel, weights: Weights, calibration: Calibration,
              fitted: Mapping[str, Forecaster]) -> Combination:
        members = {n: fitted[n] if n in fitted else self._model(n, quick=False).fit(panel) for n in weights.used}
        first = int(panel.series["start"].min())  # type: ignore[arg-type]
        return Combination(members, weights, calibration=calibration, unseen=Unseen(first=first))

    def _model(self, name: str, *, quick: bool) -> Forecaster:
        s = self.settings
        known = setting_names(name)
        given: dict[str, Any] = {k: v for k, v in (("seed", s.seed), ("horizon", s.horizon)) if k in known}
        given |= {k: v for k, v in s.options.items() if k in known}
        if quick and "effort" in known:
            given["effort"] = "fast"
        return make_model(name, given)


_TRIALS: Final = {"window": pl.String, "model": pl.String, "SQL": pl.Float64, "WAPE": pl.Float64, "coverage": pl.Float64,
                  "seconds": pl.Float64}


def too_short(panel: SalesPanel, horizon: int) -> str:
    """Why boosting cannot learn from this past; empty where it can."""
    length = _length(panel)
    past = f"{length:,} {panel.frequency.noun}s of history and {panel.rows.height:,} rows"
    if length < 3 * horizon or panel.rows.height < 300:
        return f"{past} are too few for boosting at horizon {horizon}"
    if panel.frequency.unit in "MQY" and length < 1.5 * panel.frequency.season:
        return f"{past} show no season twice"
    return ""


def candidates() -> list[str]:
    """The models to try, the rival first."""
    return [n for n in (RIVAL, "profile", BASE) if missing_package(n) is None]


def window_count(panel: SalesPanel, horizon: int) -> int:
    """How many windows of the past can be replayed and still resemble the task: 0 to 3.

    Each must leave three horizons and half of the history to learn from, and a whole year where the whole past holds more
    than a year and the window: a model that knows last year and one that does not are two models.
    """
    length, year = _length(panel), panel.frequency.per_year
    least = max(3 * horizon, length / 2)
    if length - horizon >= year:
        least = max(least, year)
    return int(np.clip((length - least) // horizon, 0, MOST_WINDOWS))


def _length(panel: SalesPanel) -> int:
    return panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]


def _sample(panel: SalesPanel, seed: int) -> SalesPanel:
    if len(panel) <= SAMPLE:
        return panel
    return panel.select(np.sort(np.random.default_rng(seed).choice(len(panel), SAMPLE, replace=False)))


def _measured(one: Trial, forecast: Forecast) -> tuple[float, float, float]:
    """SQL, WAPE and the share of truths within the 0.1 and 0.9 quantiles."""
    at = [forecast.levels.index(q) for q in DECILES]
    seen = np.isfinite(one.truth)
    inside = (forecast.at(0.1) <= one.truth) & (one.truth <= forecast.at(0.9))
    return (sql(one.truth, forecast.quantiles[:, :, at], np.array(DECILES), scale=one.scale), wape(one.truth, forecast.at(0.5)),
            float(inside[seen].mean()) if seen.any() else float("nan"))


def _sentences(trials: pl.DataFrame, weights: Weights, count: int, horizon: int, panel: SalesPanel) -> tuple[str, ...]:
    noun = panel.frequency.noun
    mean = dict(trials.group_by("model").agg(pl.col("SQL").mean()).iter_rows())
    tried = ", ".join(f"{n} {v:.3f}" for n, v in sorted(mean.items(), key=lambda pair: pair[1]) if n != "auto")
    share = ", ".join(f"{m} {weights.of(m).mean():.0%}" for m in sorted(weights.used, key=lambda m: -weights.of(m).mean()))
    told = [f"Tried on the last {count} window{'s' * (count > 1)} of {horizon} {noun}s, scaled quantile loss: {tried}.",
            f"Weights, mean over the demand classes: {share}."]
    if mean.get(RIVAL, 0) > 0:
        told.append(f"There the combination is {1 - mean['auto'] / mean[RIVAL]:.1%} better than seasonal naive.")
    return tuple(told)

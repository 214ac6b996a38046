"""`auto`: which models, how much each, and how sure, decided by the data's own past and a time budget.

The last windows of the past are forecast by several quick models that learned from what came before. What they would have
scored gives the weights (`adjust/combine.py`) and shows how far quantiles have to move (`adjust/calibrate.py`); then the members
that count are fitted on everything. Where no window as long as the horizon can be replayed, a shorter one has a say.

What is done depends on the data, the settings and the seed alone. Only where a budget is given, and binds, is work left out:
first windows, then effort; that is decided by estimated costs, which the first fit corrects, and it is told.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from shelfcast.adjust.calibrate import Calibration
from shelfcast.adjust.combination import NAME, Combination, combined_traits
from shelfcast.adjust.combine import Weights, tempered
from shelfcast.adjust.proof import left_out, weigh
from shelfcast.adjust.trial import Trial, run_trial
from shelfcast.adjust.unseen import Unseen, first_seen, widen_unseen
from shelfcast.data.split import Window, windows
from shelfcast.errors import SettingsError, shorten
from shelfcast.evaluate.metrics import sql, wape
from shelfcast.evaluate.replay import still_sold
from shelfcast.evaluate.scores import DECILES
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster, Traits
from shelfcast.models.registry import make_model, setting_names
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel
from shelfcast.workflow.planning import BASE, RIVAL, SAMPLE, TrialPlan, candidates, make_plan, too_short

UNTRIED: Final = {"boosted": 0.7, "profile": 0.3}
"""Weights where nothing can be tried: there trees err more than where they can be tested."""
UNTRIED_MORE: Final = 0.3
"""Of that, what members beyond those two get together: between the half that earlier windows of walmart asked for and dominicks'
nothing."""
SHORTER: Final = 0.5
"""How far weights of other members are trusted that come from windows shorter than the horizon asked for."""


@dataclass(frozen=True, kw_only=True)
class AutoSettings:
    """What `auto` may do.

    Attributes
    ----------
    horizon : periods ahead that it will be asked for
    seed : of every draw
    budget_s : seconds that `fit` may take, about; None lets the data decide alone
    options : settings of the members, by name; a setting goes to each member that has it
    more : members beyond those that are always tried. The space-time network takes minutes, and gains something on some data,
        nothing on other; the pretrained one takes seconds
    """

    horizon: int
    seed: int = 0
    budget_s: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.horizon, bool) or self.horizon < 1:
            raise SettingsError(f"auto needs a horizon of at least 1 period; got {shorten(self.horizon)}.")
        if self.budget_s is not None and not self.budget_s > 0:
            raise SettingsError(f"The time budget is {shorten(self.budget_s)} seconds; it must be more than none.")


@dataclass(frozen=True, eq=False)
class Proof:
    """The last window that was tried, forecast without having learned from it.

    Attributes
    ----------
    window : of the series that were tried
    forecasts : {name: forecast} of the combination and of seasonal naive
    learned : windows, all earlier, that its weights and calibration are from; none for weights that are believed in untried
    """

    window: Window
    forecasts: Mapping[str, Forecast]
    learned: int


def _untried(more: Sequence[str]) -> dict[str, float]:
    """Weights where nothing can be tried."""
    if not more:
        return dict(UNTRIED)
    left = {name: round((1 - UNTRIED_MORE) * share, 3) for name, share in UNTRIED.items()}
    return left | {name: UNTRIED_MORE / len(more) for name in more}


class AutoForecaster:
    """Tries, weighs, calibrates, and forecasts. See the file's docstring.

    Attributes
    ----------
    combination_ : what it arrived at
    trials_ : table `window` (last day of its past), `model`, `SQL`, `WAPE`, `coverage`, `seconds`: what was tried; rows
        of `auto` are weighed and calibrated on the other windows alone, or, where there is but one, not at all
    told_ : sentences for the user: what was tried, what won and by how much
    gain_ : share of seasonal naive's loss that the combination saves in the trials; nan without trials
    proof_ : the last of them, for a score of all measures; None without trials of the horizon asked for
    """

    def __init__(self, settings: AutoSettings) -> None:
        self.settings = settings
        self.traits: Traits = combined_traits([make_model(name).traits for name in candidates(1, 1, more=settings.more)])

    def fit(self, panel: SalesPanel) -> Self:
        """Try, weigh, calibrate, and fit what counts on the whole past."""
        s = self.settings
        began = time.perf_counter()
        self.trials_, self.gain_, self.proof_ = pl.DataFrame(schema=_TRIALS), float("nan"), None
        reason = too_short(panel, s.horizon)
        if reason:
            told = [f"The profile forecasts: {reason}."]
            return self._settle(panel, Weights.alone("profile"), Calibration.none(), told, s.options)
        plan = make_plan(panel, s.horizon, s.budget_s, s.options, more=s.more)
        replayed, rows, plan = self._try(panel, plan, began)
        if s.budget_s is not None:
            plan = plan.ended(s.budget_s - (time.perf_counter() - began))
        options = {**s.options, **({"effort": "fast"} if plan.quick else {})}
        shares = _untried(s.more) if plan.base == BASE else {plan.base: 1.0}
        if not replayed:
            mixed = " and ".join(f"{name} ({share:.0%})" for name, share in shares.items())
            told = [f"Untried, for no window of the past could be replayed: {mixed}.", *plan.told]
            return self._settle(panel, Weights.believed(shares), Calibration.none(), told, options)
        floor = None if panel.net_of_returns else 0.0
        trials = [trial for _, trial in replayed]
        believed, shorter = Weights.believed(shares), plan.horizon < s.horizon
        weights, calibration = weigh(trials, base=plan.base, floor=floor, seed=s.seed)
        proof = left_out(trials, base=plan.base, believed=believed, floor=floor, seed=s.seed)
        if shorter:  # spreads of a shorter horizon say nothing of a longer one: calibrated by them, coverage got worse
            weights, calibration = tempered(weights, believed, SHORTER), Calibration.none()
        else:
            self.proof_ = _proof(*replayed[-1], proof[-1], floor=floor, learned=len(trials) - 1)
        days = list(dict.fromkeys(row[0] for row in rows))
        rows += [(day, NAME, *_measured(t, f), 0.0) for day, t, f in zip(days, trials, proof, strict=True)]
        self.trials_ = pl.DataFrame(rows, schema=_TRIALS, orient="row")
        self.gain_ = _gain(self.trials_)
        told = _sentences(self.trials_, weights, self.gain_, panel, plan.horizon)
        if shorter:
            told.append(f"No window of {s.horizon} {panel.frequency.noun}s could be replayed: {' and '.join(shares)} share as they "
                        f"do untried, other models have half of what shorter windows ask for, and nothing is calibrated.")
        if BASE in weights.used and options.get("effort", "full") != "fast":
            told.append("The trials were made with effort fast, the forecast with full effort: weights and calibration are those "
                        "of the former, and what that does to coverage is not measured here.")
        return self._settle(panel, weights, calibration, [*told, *plan.told], options)

    def _try(self, panel: SalesPanel, plan: TrialPlan,
             began: float) -> tuple[list[tuple[Window, Trial]], list[tuple[Any, ...]], TrialPlan]:
        """Forecast windows of the past, the newest first, and what each model did there; in order of time."""
        s = self.settings
        trials: list[tuple[Window, Trial]] = []
        rows: list[tuple[Any, ...]] = []
        sample = _sample(panel, s.seed)
        made = list(windows(sample, horizon=plan.horizon, count=plan.windows)) if plan.windows else []
        for k, window in enumerate(map(still_sold, reversed(made))):
            if k >= plan.windows:  # the budget was found to bind after the first trial
                break
            start = time.perf_counter()
            fitted: dict[str, Forecaster] = {}
            seconds: dict[str, float] = {}
            for name in plan.models:
                fitted[name] = self._model(name, {**s.options, "effort": "fast"}).fit(window.past)
                seconds[name] = time.perf_counter() - start - sum(seconds.values())
            one = run_trial(window, fitted)
            spent = time.perf_counter() - start
            if np.isfinite(one.truth).any():
                day = str(panel.frequency.date(window.past.cutoff))
                trials.insert(0, (window, one))
                rows = [(day, name, *_measured(one, f), round(seconds[name], 3)) for name, f in one.forecasts.items()] + rows
            if k == 0 and s.budget_s is not None:
                plan = plan.corrected(spent, s.budget_s - (time.perf_counter() - began))
        return trials, rows, plan

    def _settle(self, panel: SalesPanel, weights: Weights, calibration: Calibration, told: Sequence[str],
                options: Mapping[str, Any]) -> Self:
        """Fit what counts on the whole past."""
        first = first_seen(panel.series["start"].to_numpy())
        members = {name: self._model(name, options).fit(panel) for name in weights.used}
        self.combination_ = Combination(members, weights, calibration=calibration, unseen=Unseen(first=first))
        self.traits = self.combination_.traits
        self.told_ = tuple(told)
        return self

    def account(self) -> dict[str, Any]:
        """What was tried, what counts and how much, as plain values for a summary, a manifest or a page."""
        self._require()
        return {"told": list(self.told_), "gain_over_naive": self.gain_, "trials": self.trials_.to_dicts(),
                "weights": self.combination_.weights.table().to_dicts(), "calibration": self.combination_.calibration.as_json()}

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
        made.combination_, made.traits = combination, combination.traits
        made.trials_, made.told_, made.gain_, made.proof_ = pl.DataFrame(schema=_TRIALS), (), float("nan"), None
        return made

    def _require(self) -> None:
        if not hasattr(self, "combination_"):
            raise SettingsError("auto has tried nothing yet: call fit(panel) first, or load a saved forecaster.")

    def _model(self, name: str, options: Mapping[str, Any]) -> Forecaster:
        s = self.settings
        known = setting_names(name)
        given: dict[str, Any] = {k: v for k, v in (("seed", s.seed), ("horizon", s.horizon)) if k in known}
        return make_model(name, {**given, **{k: v for k, v in options.items() if k in known}})


_TRIALS: Final = {"window": pl.String, "model": pl.String, "SQL": pl.Float64, "WAPE": pl.Float64, "coverage": pl.Float64,
                  "seconds": pl.Float64}


def _sample(panel: SalesPanel, seed: int) -> SalesPanel:
    if len(panel) <= SAMPLE:
        return panel
    return panel.select(np.sort(np.random.default_rng(seed).choice(len(panel), SAMPLE, replace=False)))


def _proof(window: Window, trial: Trial, mixed: Forecast, *, floor: float | None, learned: int) -> Proof:
    """What the combination would have said of a window, wider where the calendar was new then, beside seasonal naive."""
    starts = window.past.series["start"].to_numpy()
    wider = widen_unseen(mixed, Unseen(first=first_seen(starts)), starts=starts, floor=floor)
    return Proof(window, {NAME: wider, RIVAL: trial.forecasts[RIVAL]}, learned)


def _measured(one: Trial, forecast: Forecast) -> tuple[float, float, float]:
    """SQL, WAPE and the share of truths within the 0.1 and 0.9 quantiles."""
    at = [forecast.levels.index(q) for q in DECILES]
    seen = np.isfinite(one.truth)
    inside = (forecast.at(0.1) <= one.truth) & (one.truth <= forecast.at(0.9))
    return (sql(one.truth, forecast.quantiles[:, :, at], np.array(DECILES), scale=one.scale), wape(one.truth, forecast.at(0.5)),
            float(inside[seen].mean()) if seen.any() else float("nan"))


def _gain(trials: pl.DataFrame) -> float:
    """1 - loss of the combination over that of the rival, mean over the windows."""
    mean = dict(trials.group_by("model").agg(pl.col("SQL").fill_nan(None).mean()).iter_rows())
    rival = mean.get(RIVAL)
    return 1 - mean[NAME] / rival if rival and mean[NAME] is not None else float("nan")


def _sentences(trials: pl.DataFrame, weights: Weights, gain: float, panel: SalesPanel, horizon: int) -> list[str]:
    noun, count = panel.frequency.noun, trials["window"].n_unique()
    mean = {m: v for m, v in trials.group_by("model").agg(pl.col("SQL").fill_nan(None).mean()).iter_rows() if v is not None}
    tried = ", ".join(f"{n} {v:.3f}" for n, v in sorted(mean.items(), key=lambda pair: (pair[1], pair[0])) if n != NAME)
    share = ", ".join(f"{m} {weights.of(m).mean():.0%}" for m in sorted(weights.used, key=lambda m: -weights.of(m).mean()))
    which = f"{count} windows" if count > 1 else "window"
    told = [f"Tried on the last {which} of {horizon} {noun}s, scaled quantile loss: {tried}.",
            f"Weights, mean over the demand classes: {share}."]
    if np.isfinite(gain):
        inside = float(np.nanmean(trials.filter(pl.col("model") == NAME)["coverage"].to_numpy()))
        how = "weighed and calibrated on the other windows," if count > 1 else "untried, as it would have been before that window,"
        told.append(f"There the combination, {how} is {abs(gain):.1%} {'better' if gain >= 0 else 'worse'} than seasonal naive; "
                    f"{inside:.0%} of sales lay inside its 80 % interval.")
    return told

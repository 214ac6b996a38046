"""What a model's settings are worth in windows of the past: the objective of `tune`.

In each window a model with these settings learns from what came before it, forecasts it, and is measured by what came, by the
same code as a backtest.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from shelfcast.data.split import Window, window_cutoffs, windows
from shelfcast.errors import SettingsError
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import scored_part, still_sold
from shelfcast.evaluate.search import LAST, LOOK
from shelfcast.models.base import Forecaster, resumes
from shelfcast.models.registry import make_model, setting_names
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel
from shelfcast.workflow.pieces import cutoff_name

METRIC: Final = "SQL"
USUAL_WINDOWS: Final = 2
_LOOK_SHARE: Final = 4  # a first look trains for one part in so many
_FEWEST_HORIZONS: Final = 2  # of history before a window that is chosen without being asked for


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """Which windows are tried.

    Attributes
    ----------
    backs : how many windows from the end each one is, in the order of trying: the newest of those first
    last : whether the last one is kept aside
    names : the cutoffs of `backs`
    aside : the cutoff of the last window, where it is kept aside
    """

    backs: tuple[int, ...]
    last: bool
    names: tuple[str, ...]
    aside: str | None


def plan_windows(panel: SalesPanel, *, horizon: int, asked: int | None) -> WindowPlan:
    """The windows to choose by: the last is kept aside unless it is the only one.

    Parameters
    ----------
    asked : how many to choose by; None: two, or one where two would leave less than half of the history to learn from

    Raises
    ------
    SettingsError
        If the past is too short for so many.
    """
    if asked is None:
        length = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
        room = int((length - max(_FEWEST_HORIZONS * horizon, length / 2)) // horizon)
        count, last = (min(USUAL_WINDOWS, room - 1), True) if room > 1 else (1, False)
    else:
        count, last = asked, True
        if asked == 1:
            try:
                window_cutoffs(panel, horizon=horizon, count=2)
            except SettingsError:
                last = False
    total = count + last
    names = [cutoff_name(c, panel.frequency) for c in window_cutoffs(panel, horizon=horizon, count=total)][::-1]
    backs = tuple(range(int(last), total))
    return WindowPlan(backs=backs, last=last, names=tuple(names[k] for k in backs), aside=names[0] if last else None)


class WindowLoss:
    """SQL of a model's settings in windows of a panel's past; an `evaluate.search.Objective`.

    Parameters
    ----------
    model : a registered name
    fixed : settings that are given
    work : the setting that says how long it learns, for a first look; None for none
    folder : for checkpoints of models that train long, so that a killed training goes on
    """

    def __init__(self, panel: SalesPanel, plan: WindowPlan, *, model: str, fixed: Mapping[str, Any], work: str | None, horizon: int,
                 seed: int, max_series: int, folder: Path) -> None:
        self.windows, self.look, self.last = plan.names, work is not None, plan.last
        self._panel, self._model, self._work, self._horizon = panel, model, work, horizon
        self._seed, self._max_series, self._folder = seed, max_series, folder
        self._backs = dict(zip(plan.names, plan.backs, strict=True)) | {LOOK: plan.backs[0], LAST: 0}
        known = setting_names(model)
        self._given = {k: v for k, v in (("seed", seed), ("horizon", horizon)) if k in known} | dict(fixed)
        self.stood_back = ""  # why the model left it to another, where it did: then its settings change nothing

    def defaults(self) -> dict[str, Any]:
        """{setting: value} of the model as it would be made without tuning."""
        return dict(vars(make_model(self._model, self._given).settings))  # type: ignore[attr-defined]

    def score(self, options: Mapping[str, Any], where: str, pulse: Callable[[], None]) -> float:
        """SQL of all series together in a window."""
        window = self._window(self._backs[where])
        chosen = {**self._given, **options}
        if where == LOOK and self._work is not None:
            chosen[self._work] = max(1, {**self.defaults(), **options}[self._work] // _LOOK_SHARE)
        model = make_model(self._model, chosen)
        pulse()
        key = hashlib.sha256(json.dumps([sorted(chosen.items()), where]).encode()).hexdigest()[:12]
        self._fit(model, window.past, pulse, self._folder / key)
        judged = scored_part(window, max_series=self._max_series, seed=self._seed)
        scores = measure(judged, model, levels=LEVELS, keep=lambda part: pulse()).scores  # noqa: ARG005
        found = scores.filter((pl.col("kind") == "all") & (pl.col("metric") == METRIC))["value"].to_list()
        shutil.rmtree(self._folder / key, ignore_errors=True)
        return float(found[0]) if found and found[0] is not None else float("nan")

    def _window(self, back: int) -> Window:
        """The window so many from the end; made when it is asked for, for the cut panels of all might not fit."""
        return still_sold(next(windows(self._panel, horizon=self._horizon, count=back + 1)))

    def _fit(self, model: Forecaster, past: SalesPanel, pulse: Callable[[], None], folder: Path) -> None:
        if resumes(model):
            folder.mkdir(parents=True, exist_ok=True)
            model.fit(past, folder=folder, progress=_Pulse(pulse))
        else:
            model.fit(past)
        self.stood_back = self.stood_back or getattr(model, "reason_", "")
        pulse()


class _Pulse:
    """Progress of a training that is shown to nobody, and is ended when the time is over."""

    def __init__(self, pulse: Callable[[], None]) -> None:
        self._pulse = pulse

    def start(self, what: str, total: int) -> None:  # noqa: ARG002
        """A piece of work begins."""
        self._pulse()

    def advance(self, steps: int = 1) -> None:  # noqa: ARG002
        """It goes on."""
        self._pulse()

    def finish(self) -> None:
        """It is over: nothing to end."""

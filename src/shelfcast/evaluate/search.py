"""Search for settings under which a model errs least: trial after trial, within a time budget.

Trial 0 is the default, so the result is never worse than it in the windows that are tried. Each further trial goes from the
cheap to the dear: a first look (a short training, in the newest window), then window by window; one that does worse than most
did by then is given up. The budget counts everything since the work began, by all processes that worked on the study.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from shelfcast.errors import DataError, MissingExtraError, ShelfcastError, shorten
from shelfcast.evaluate.study import MOST_DEATHS, Study, Trial, Tried, opened
from shelfcast.models.spaces import Dimension
from shelfcast.progress import Progress, Silent, stage

LOOK: Final = "first look"
LAST: Final = "last window"
FEWEST_IMPORTANT: Final = 10
"""Trials from which on it is said which settings mattered; of fewer, chance says it."""
_REPEATS: Final = 20  # proposals in a row that were tried before: then there is hardly anything left to try
_BEAT: Final = 15.0  # seconds of a measurement that a kill may hide from the budget
_LEAST: Final = 1e-12  # of a loss, to divide by


class OutOfTime(Exception):
    """The time budget is over: raised inside a trial, which then is unfinished."""


Pulse = Callable[[], None]


class Objective(Protocol):
    """What is searched for.

    Attributes
    ----------
    windows : names of the windows that settings are chosen by, in the order of trying
    look : whether there is a first look
    last : whether there is a window that nothing is chosen by
    """

    windows: tuple[str, ...]
    look: bool
    last: bool

    def score(self, options: Mapping[str, Any], where: str, pulse: Pulse) -> float:
        """The loss of settings in a window, in the first `LOOK` or in the `LAST` window; nan where nothing can be measured.

        Parameters
        ----------
        pulse : to be called now and then; raises `OutOfTime` when the time is over
        """


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search has found so far.

    Attributes
    ----------
    trials : all that ended, in order
    best : of the trials scored in all windows, the one with the least loss; the earlier one of equals
    default : trial 0
    spent_s : seconds, of all processes
    last : {"default": loss, "best": loss} in the window that nothing was chosen by; empty before it was measured
    importances : {setting: share}, the largest first; empty with too few trials
    told : sentences for the user
    """

    trials: tuple[Tried, ...]
    best: Tried
    default: Tried
    spent_s: float
    last: Mapping[str, float] = field(default_factory=dict)
    importances: Mapping[str, float] = field(default_factory=dict)
    told: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """By which share the best loss lies below the default's, in the windows that were tried."""
        assert self.best.loss is not None and self.default.loss is not None
        return 1 - self.best.loss / max(self.default.loss, _LEAST)

    @property
    def last_gain(self) -> float:
        """The same in the window that nothing was chosen by; nan where it was not measured."""
        return 1 - self.last["best"] / max(self.last["default"], _LEAST) if self.last else float("nan")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How long and how.

    Attributes
    ----------
    budget_s : seconds for everything; None for no limit
    trials : at most so many are decided, the default included; None for no limit
    seed : of what is proposed
    since : what the clock said when the work began: what was prepared before the search counts, too; None: now
    """

    budget_s: float | None = None
    trials: int | None = None
    seed: int = 0
    since: float | None = None


def search(objective: Objective, dimensions: Mapping[str, Dimension], settings: SearchSettings, *, default: Mapping[str, Any],
           path: Path, identity: Mapping[str, Any], told: Callable[[Found], None] | None = None,
           progress: Progress = Silent(), clock: Callable[[], float] = time.perf_counter) -> Found:  # noqa: B008 (has no state)
    """Try settings until the budget is spent; a study that is found in the file goes on.

    Parameters
    ----------
    dimensions : {setting: what it may be}
    default : {setting: value} of trial 0, which is run to its end whatever the budget
    path : SQLite file of the study
    identity : plain values that tell this study from others
    told : told after each trial what has been found so far
    clock : seconds, rising

    Raises
    ------
    DataError
        If nothing can be measured in the windows.
    SettingsError
        If the file holds another study; or what the default's fit raises.
    """
    with opened(path, dimensions, identity=identity, seed=settings.seed) as study:
        run = _Search(objective, study, settings, dimensions, default=default, progress=progress, clock=clock)
        return run.go(told or _nobody)


def _nobody(_found: "Found") -> None:
    """Nobody is told."""


class _Search:
    """A search between its trials."""

    def __init__(self, objective: Objective, study: Study, settings: SearchSettings, dimensions: Mapping[str, Dimension], *,
                 default: Mapping[str, Any], progress: Progress, clock: Callable[[], float]) -> None:
        self.objective, self.study, self.settings, self.dimensions = objective, study, settings, dimensions
        self.default = dict(default)
        self.progress, self.clock = progress, clock
        self.began = (clock() if settings.since is None else settings.since) - study.spent
        self.notes: list[str] = []
        self.kept = self._spent()  # seconds that the study knows of
        self.drawn = 0  # whole seconds that the bar has been moved by

    # ---- time

    def _spent(self) -> float:
        return self.clock() - self.began

    def _left(self) -> float:
        """Seconds left for trials: what the last window will take is kept aside."""
        if self.settings.budget_s is None:
            return float("inf")
        return self.settings.budget_s - self._spent() - self._reserve()

    def _reserve(self) -> float:
        """Seconds to keep aside for the last window: for the default, and for the best, that may yet be found."""
        finalists = self._finalists()
        if not self.objective.last or not finalists:
            return 0.0
        return self._proof(finalists) + (self._usual(self.default) if len(finalists) == 1 else 0.0)

    def _proof(self, finalists: Iterable[Mapping[str, Any]]) -> float:
        """Seconds that those of them take in the last window that were not measured there yet."""
        return sum(self._usual(options) for options in finalists if self.study.find(options, LAST) is None)

    def _usual(self, options: Mapping[str, Any]) -> float:
        """Seconds that settings take in a window."""
        return float(np.mean([self._seconds(options, w) for w in self.objective.windows]))

    def _finalists(self) -> list[Mapping[str, Any]]:
        best = self._best()
        if best is None:
            return []
        return [self.default] if best.options == self.default else [self.default, best.options]

    def _best(self) -> Tried | None:
        return min((t for t in self.study.decided() if t.loss is not None), key=lambda t: t.loss or 0.0, default=None)

    def _slowness(self) -> float:
        """How much longer than the default a trial takes, in the middle of those that were scored."""
        mine = [t for t in self.study.decided() if t.state == "scored" and t.options != self.default]
        ratios = (self._took(t.options, t.losses) / max(self._took(self.default, t.losses), 1e-9) for t in mine)
        return float(np.median([1.0, *ratios]))

    def _took(self, options: Mapping[str, Any], places: Iterable[str]) -> float:
        return sum(self._seconds(options, p) for p in places)

    def _seconds(self, options: Mapping[str, Any], where: str) -> float:
        found = self.study.find(options, where)
        return 0.0 if found is None else found[1]

    # ---- the way

    def go(self, told: Callable[[Found], None]) -> Found:
        if not self.study.decided():
            self._try_default()
            told(self._found())
        places = self._places()
        repeats = 0
        while not self._enough(repeats):
            trial = self.study.propose(self.default)
            repeats = repeats + 1 if all(self.study.find(trial.options, p) for p in places) else 0
            if not self._run(trial, places):
                break
            told(self._found())
        if repeats >= _REPEATS:
            self.notes.append(f"The last {repeats} proposals had all been tried before: hardly anything is left to try.")
        self._prove()
        found = self._found(final=True)
        if found.last_gain < 0:
            self.notes.append(f"In the last window, which nothing was chosen by, the best settings do {-found.last_gain:.1%} worse "
                              f"than the defaults: what was gained before may be chance. More --windows would tell.")
            found = replace(found, told=tuple(self.notes))
        told(found)
        return found

    def _places(self) -> tuple[str, ...]:
        return ((LOOK,) if self.objective.look else ()) + self.objective.windows

    def _enough(self, repeats: int) -> bool:
        """Whether to begin no further trial."""
        decided, most = len(self.study.decided()), self.settings.trials
        if (most is not None and decided >= most) or repeats >= _REPEATS or not self.dimensions:
            return True
        if self.settings.budget_s is None:
            return False
        places = self._places()
        # Without the default's first look there was no time for it.
        looked = not self.objective.look or self.study.find(self.default, LOOK) is not None
        if looked and self._left() >= self._slowness() * self._took(self.default, places):
            return False
        if decided == 1:
            took = self._took(self.default, self.objective.windows)
            self.notes.append(f"The time budget of {self.settings.budget_s:,.0f} seconds holds no trial beside the default, which "
                              f"took {took:,.1f} of {self._spent():,.1f} seconds: nothing was tuned. Give a larger --budget.")
        return True

    def _try_default(self) -> None:
        """Trial 0, whatever it takes; its first look, where there is time for more trials, is what others are measured by."""
        trial = self.study.propose(self.default)
        with stage(self.progress, "tuning: the default", self._whole(self.settings.budget_s or 0.0)):
            losses = {}
            for window in self.objective.windows:
                losses[window] = self._measure(self.default, window, limit=None)
                if not np.isfinite(losses[window]):
                    raise DataError(f"Nothing can be measured in the window after {window}: no series there has both known sales "
                                    f"and a past to scale by. Give fewer --windows, a shorter --horizon, or more history.")
            took = self._took(self.default, self.objective.windows)
            if self.objective.look and (self.settings.budget_s is None or self._spent() + took < self.settings.budget_s):
                losses[LOOK] = self._measure(self.default, LOOK, limit=None)
        for step in range(len(self._places())):
            trial.hopeless(1.0, step)
        mean = float(np.mean([losses[w] for w in self.objective.windows]))
        trial.end("scored", loss=mean, ratio=1.0, at=self._spent(), seconds=self._took(self.default, losses), losses=losses)

    def _run(self, trial: Trial, places: tuple[str, ...]) -> bool:
        """One trial; False when the time is over."""
        best = self._best()
        said = f"tuning: trial {trial.number}" + ("" if best is None or best.loss is None else f", best {best.loss:.4g}")
        losses: dict[str, float] = {}
        ratio: float | None = None

        def end(state: Any, *, loss: float | None = None, why: str = "") -> None:
            trial.end(state, loss=loss, ratio=ratio, at=self._spent(), losses=losses, why=why,
                      seconds=self._took(trial.options, losses))

        if self.study.deaths(trial.options) >= MOST_DEATHS:
            end("failed", why=f"its process was killed {MOST_DEATHS} times")
            return True
        with stage(self.progress, said, self._whole(self._left())):
            for step, place in enumerate(places):
                try:
                    self._refuse_late(trial.options, places, step)
                    loss = self._measure(trial.options, place, limit=self._limit())
                except OutOfTime:
                    end("unfinished", why="the time was over")
                    return False
                except MissingExtraError:
                    raise
                except (ShelfcastError, MemoryError) as error:
                    end("failed", why=shorten(error or "out of memory", 200))
                    return True
                if not np.isfinite(loss):
                    end("failed", why=f"its loss in {place} is not finite")
                    return True
                losses[place] = loss
                ratio = self._ratio(losses)
                if step + 1 < len(places) and trial.hopeless(ratio, step):
                    end("pruned")
                    return True
        end("scored", loss=float(np.mean([losses[w] for w in self.objective.windows])))
        return True

    def _ratio(self, losses: Mapping[str, float]) -> float:
        """To the default's loss: over the windows so far, or in the first look before there is one."""
        over = [w for w in losses if w != LOOK] or [LOOK]
        ours, theirs = sum(losses[w] for w in over), sum(self._loss_of_default(w) for w in over)
        return ours / max(theirs, _LEAST)

    def _loss_of_default(self, where: str) -> float:
        found = self.study.find(self.default, where)
        assert found is not None, "the default is tried first"
        return found[0]

    def _limit(self) -> float | None:
        """Seconds of the study at which a trial is broken off."""
        return None if self.settings.budget_s is None else self.settings.budget_s - self._reserve()

    def _refuse_late(self, options: Mapping[str, Any], places: tuple[str, ...], step: int) -> None:
        """Do not begin what will not end in time: as much slower than the default as the trial was so far."""
        if self.settings.budget_s is None or self.study.find(options, places[step]) is not None:
            return
        mine, theirs = (self._took(o, places[:step]) for o in (options, self.default))
        slow = mine / max(theirs, 1e-9) if step else 1.0
        if self._left() < slow * self._seconds(self.default, places[step]):
            raise OutOfTime

    def _measure(self, options: Mapping[str, Any], where: str, *, limit: float | None) -> float:
        """The loss of settings somewhere, from the study where it is known."""
        found = self.study.find(options, where)
        if found is not None:
            return found[0]
        start = self.clock()

        def pulse() -> None:
            self._draw(start)
            if self._spent() - self.kept > _BEAT:
                self.kept = self._spent()
                self.study.keep_spent(self.kept)
            if limit is not None and self._spent() > limit:
                raise OutOfTime

        self.drawn = 0
        loss = float(self.objective.score(options, where, pulse))
        self._draw(start)
        self.study.keep(options, where, loss=loss, seconds=self.clock() - start, at=self._spent())
        return loss

    def _draw(self, start: float) -> None:
        """Move the bar, which counts seconds."""
        past = int(self.clock() - start)
        if past > self.drawn:
            self.progress.advance(past - self.drawn)
            self.drawn = past

    @staticmethod
    def _whole(seconds: float) -> int:
        return max(1, int(seconds)) if np.isfinite(seconds) else 1

    def _prove(self) -> None:
        """Measure the default and the best in the window that nothing was chosen by, where there is time."""
        if not self.objective.last:
            return
        finalists = self._finalists()
        with stage(self.progress, "tuning: the last window", self._whole(self._proof(finalists))):
            for options in finalists:
                if self.settings.budget_s is not None and self.settings.budget_s - self._spent() < self._proof(finalists):
                    self.notes.append("There was no time left to score the last window, which nothing was chosen by.")
                    return
                try:
                    self._measure(options, LAST, limit=None)
                except (ShelfcastError, MemoryError) as error:
                    self.notes.append(f"The last window could not be scored: {shorten(error or 'out of memory', 200)}")
                    return

    def _found(self, *, final: bool = False) -> Found:
        trials = self.study.trials
        best = self._best()
        assert best is not None, "the default is scored first"
        last = {}
        for name, options in zip(("default", "best"), (self.default, best.options), strict=True):
            known = self.study.find(options, LAST)
            if known is not None:
                last[name] = known[0]
        default = next(t for t in trials if t.state == "scored" and t.options == self.default)
        return Found(trials=tuple(trials), best=best, default=default, spent_s=self._spent(),
                     last=last if len(last) == 2 else {}, told=tuple(self.notes),
                     importances=self.study.importances(fewest=FEWEST_IMPORTANT) if final else {})

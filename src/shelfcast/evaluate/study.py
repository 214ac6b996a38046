"""A study: which settings were tried and how they did, in one SQLite file that outlives the process (by Optuna).

It proposes the next settings and keeps what came of them. What is proposed depends on the seed and on what was decided before,
never on when a process was killed: a study that was resumed proposes what one never killed would have.
"""

import json
import logging
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from shelfcast.errors import MissingExtraError, SettingsError, SourceError, shorten, shorten_path
from shelfcast.models.spaces import Choice, Dimension, Whole

_FORMAT: Final = 1
NEAR: Final = 12
"""Trials after the default that change a few of its settings each; from then on the sampler (TPE) has something to learn from."""
_CHANGED: Final = 4  # settings that one of these changes at most: far from a good default nearly everything is worse
MOST_DEATHS: Final = 3
"""Of a process in the same trial, before the trial is taken to have killed it."""
_NAME: Final = "shelfcast"

State = Literal["scored", "pruned", "failed", "unfinished"]


@dataclass(frozen=True)
class Tried:
    """One trial.

    Attributes
    ----------
    number : in the order of trying; 0 is the default
    options : {setting: value}
    state : scored in all windows; pruned: given up, for it did worse than others so far; failed: it could not be fitted;
        unfinished: the time was over
    loss : mean over the windows; None where it was not scored in all
    ratio : to the default's loss in the same windows, as far as it came; None before the first
    seconds : that it took
    at : seconds of the study when it ended
    losses : {where: loss}
    why : what failed
    """

    number: int
    options: Mapping[str, Any]
    state: State
    loss: float | None
    ratio: float | None
    seconds: float
    at: float
    losses: Mapping[str, float]
    why: str = ""


class Study:
    """An open study. Only `opened` makes one.

    Attributes
    ----------
    known : {(options, where): (loss, seconds, at)} of everything that was ever measured, also by trials that did not end
    trials : all that ended, in order; those of killed processes, and those that ran out of time, are unfinished ones
    """

    def __init__(self, study: Any, dimensions: Mapping[str, Dimension], *, seed: int) -> None:
        self._study, self._dimensions, self._seed = study, dimensions, seed
        self._distributions = {name: _distribution(one) for name, one in dimensions.items()}
        self.known: dict[str, tuple[float, float, float]] = dict(study.user_attrs.get("known", {}))
        self._end_the_dead()
        self.trials = [t for t in map(self._tried, study.get_trials(deepcopy=False)) if t is not None]

    @property
    def spent(self) -> float:
        """Seconds that it was worked on when last something was kept."""
        kept = float(self._study.user_attrs.get("spent", 0.0))
        return max([kept, *(t.at for t in self.trials), *(at for _, _, at in self.known.values())])

    def propose(self, default: Mapping[str, Any]) -> "Trial":
        """The next settings to try: the default, then its neighbours, then what Optuna's TPE finds promising."""
        import optuna

        index = len(self.decided())
        if index <= NEAR:
            near = dict(default) if index == 0 else neighbour(default, self._dimensions, seed=self._seed, index=index)
            self._study.enqueue_trial(near)
        self._study.sampler = optuna.samplers.TPESampler(seed=_mixed(self._seed, index), multivariate=True, n_startup_trials=1)
        asked = self._study.ask(self._distributions)
        return Trial(self._study, asked, self._options(asked), self.trials.append)

    def keep(self, options: Mapping[str, Any], where: str, *, loss: float, seconds: float, at: float) -> None:
        """Remember a measured loss, whatever becomes of its trial."""
        self.known[_key(options, where)] = (loss, seconds, at)
        self._study.set_user_attr("known", self.known)

    def find(self, options: Mapping[str, Any], where: str) -> tuple[float, float] | None:
        """(loss, seconds) of settings that were measured there before; else None."""
        found = self.known.get(_key(options, where))
        return None if found is None else (float(found[0]), float(found[1]))

    def keep_spent(self, seconds: float) -> None:
        """Remember how long it was worked on, in the midst of a long measurement."""
        self._study.set_user_attr("spent", seconds)

    def decided(self) -> list[Tried]:
        """Trials of which all is known that ever will be, in order."""
        return [t for t in self.trials if t.state != "unfinished"]

    def importances(self, *, fewest: int) -> dict[str, float]:
        """{setting: share of the differences in loss that it explains, alone and with others}, the largest first.

        By functional ANOVA on a forest (Hutter, Hoos, Leyton-Brown 2014). Trials that were given up count with the loss that
        they were heading for, for what makes settings bad matters, too. Empty with fewer trials than `fewest`.
        """
        import optuna

        told = [t for t in self.decided() if t.ratio is not None and np.isfinite(t.ratio)]
        if len(told) < fewest or len({round(t.ratio, 12) for t in told if t.ratio is not None}) < 2:
            return {}
        with _quiet(optuna):
            copy = optuna.create_study()
            for t in told:
                copy.add_trial(optuna.trial.create_trial(
                    params={k: t.options[k] for k in self._dimensions}, distributions=self._distributions,
                    value=float(np.log(max(t.ratio or 0.0, 1e-9)))))  # a ratio of 30 must not hide all differences near 1
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
            found = optuna.importance.get_param_importances(copy, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def deaths(self, options: Mapping[str, Any]) -> int:
        """How often a process was killed while it tried these settings."""
        return int(self._study.user_attrs.get("deaths", {}).get(_key(options, ""), 0))

    def _options(self, trial: Any) -> dict[str, Any]:
        return {name: _value(one, trial.params[name]) for name, one in self._dimensions.items()}

    def _tried(self, trial: Any) -> Tried | None:
        told = trial.user_attrs.get("told")
        return None if told is None else Tried(trial.number, self._options(trial), **told)

    def _end_the_dead(self) -> None:
        """End trials that a killed process left; what they measured is known, so they go on when they are proposed again."""
        states = _states()
        while any(t.state == states.WAITING for t in self._study.get_trials(deepcopy=False)):
            self._study.tell(self._study.ask(self._distributions), state=states.FAIL)  # it was never begun
        for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if "began" in trial.user_attrs:
                key = _key(self._options(trial), "")
                deaths = dict(self._study.user_attrs.get("deaths", {}))
                self._study.set_user_attr("deaths", {**deaths, key: deaths.get(key, 0) + 1})
            self._study.tell(trial.number, state=states.FAIL)


class Trial:
    """A trial that runs: it is told how it does, and says whether to go on.

    Attributes
    ----------
    options : {setting: value}
    """

    def __init__(self, study: Any, trial: Any, options: Mapping[str, Any], ended: Callable[[Tried], None]) -> None:
        self._study, self._trial, self.options, self._ended = study, trial, options, ended
        trial.set_user_attr("began", True)

    @property
    def number(self) -> int:
        """Its place in the order of trying."""
        return int(self._trial.number)

    def hopeless(self, ratio: float, step: int) -> bool:
        """Tell the ratio to the default's loss after a step; whether the trial is in the worse half of those that ended."""
        self._trial.report(ratio, step)
        return bool(self._trial.should_prune())

    def end(self, state: State, *, at: float, seconds: float, losses: Mapping[str, float], loss: float | None = None,
            ratio: float | None = None, why: str = "") -> None:
        """Keep what came of it."""
        states = _states()
        told: dict[str, Any] = {"state": state, "loss": loss, "ratio": ratio, "seconds": seconds, "at": at, "losses": dict(losses),
                                "why": why}
        self._trial.set_user_attr("told", told)
        if state == "scored":
            self._study.tell(self._trial, loss)
        else:  # Optuna learns from pruned trials, and that the settings of a failed one are bad; not from an unfinished one
            self._study.tell(self._trial, state=states.FAIL if state == "unfinished" else states.PRUNED)
        self._ended(Tried(self.number, self.options, **told))


@contextmanager
def opened(path: Path, dimensions: Mapping[str, Dimension], *, identity: Mapping[str, Any], seed: int) -> Iterator[Study]:
    """Open the study in a SQLite file, or begin one.

    Parameters
    ----------
    identity : plain values that tell this study from others: a file that holds another is refused

    Raises
    ------
    SettingsError
        If the file holds another study.
    SourceError
        If it is no study.
    MissingExtraError
        If Optuna is not installed.
    """
    optuna = require_optuna()
    from sqlalchemy.pool import NullPool

    with _quiet(optuna):
        # The file is given by a function: an address would take some characters of its name for something else.
        engine = {"creator": lambda: sqlite3.connect(str(path), timeout=60), "poolclass": NullPool}
        try:
            storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=engine)
        except Exception as error:  # of sqlite3, SQLAlchemy, Alembic or Optuna, as the file may be anything
            raise SourceError(f"{shorten_path(path)!r} cannot be read as a study ({shorten(error)}). Delete it to begin anew, or "
                              f"give another --run.") from error
        try:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_min_trials=3)
            study = optuna.create_study(storage=storage, study_name=_NAME, direction="minimize", load_if_exists=True, pruner=pruner)
            wanted = json.loads(json.dumps({"format": _FORMAT, **identity}))
            found = study.user_attrs.get("identity")
            if found is None:
                study.set_user_attr("identity", wanted)
            elif found != wanted:
                raise SettingsError(_other(found, wanted, path))
            yield Study(study, dimensions, seed=seed)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def require_optuna() -> Any:
    """The package, or the error that says how to install it."""
    try:
        import optuna
        import sklearn  # noqa: F401 (importances are grown from its trees)
    except ImportError as error:
        raise MissingExtraError("Tuning", "tune", error.name or "optuna") from error
    return optuna


def neighbour(default: Mapping[str, Any], dimensions: Mapping[str, Dimension], *, seed: int, index: int) -> dict[str, Any]:
    """The default with one to four of its settings changed, drawn by (seed, index)."""
    random = np.random.default_rng([seed, index])
    names = list(dimensions)
    changed = random.choice(len(names), size=int(random.integers(1, min(_CHANGED, len(names)) + 1)), replace=False)
    drawn = {names[i]: _draw(dimensions[names[i]], random, other_than=default[names[i]]) for i in sorted(changed)}
    return {**default, **drawn}


def _draw(one: Dimension, random: np.random.Generator, *, other_than: Any) -> Any:
    if isinstance(one, Choice):
        left = [v for v in one.values if v != other_than or type(v) is not type(other_than)]
        return left[int(random.integers(len(left)))] if left else other_than
    if isinstance(one, Whole):
        left = [v for v in range(one.low, one.high + 1, one.step) if v != other_than]
        return left[int(random.integers(len(left)))] if left else other_than
    low, high = (np.log(one.low), np.log(one.high)) if one.log else (one.low, one.high)
    drawn = random.uniform(low, high)
    return float(np.exp(drawn) if one.log else drawn)


def _distribution(one: Dimension) -> Any:
    from optuna import distributions as d

    if isinstance(one, Choice):
        return d.CategoricalDistribution(one.values)
    if isinstance(one, Whole):
        return d.IntDistribution(one.low, one.high, step=one.step)
    return d.FloatDistribution(one.low, one.high, log=one.log)


def _value(one: Dimension, stored: Any) -> Any:
    """A parameter as the model's settings take it: whole numbers without a trace of numpy."""
    if isinstance(one, Choice):
        return next(v for v in one.values if v == stored and type(v) is type(stored))
    return int(stored) if isinstance(one, Whole) else float(stored)


def _key(options: Mapping[str, Any], where: str) -> str:
    return json.dumps([sorted(options.items()), where])


def _mixed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _other(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> str:
    """Which study a file holds instead."""
    words = {"panel": "other sales", "space": "another space of settings", "fixed": "other fixed settings (--set)",
             "model": "another model", "horizon": "another horizon", "windows": "other windows", "seed": "another seed",
             "shelfcast": "another version of shelfcast", "format": "another version of shelfcast",
             "max_series": "another sample of series"}
    differs = [k for k in wanted if found.get(k) != wanted[k]]
    said = ", ".join(dict.fromkeys(words.get(k, k) for k in differs)) or "something else"
    short = [f"{k} {shorten(found.get(k), 40)}, now {shorten(wanted[k], 40)}" for k in differs if k not in ("space", "format")]
    return (f"The study in {shorten_path(path)!r} is of {said}{f' ({short[0]})' if short else ''}; its losses cannot be compared "
            f"with new ones. Give another --run, or delete that file to begin anew.")


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Optuna without its own log lines and warnings of what is experimental; its settings are as before afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)

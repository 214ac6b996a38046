"""The search for settings: within its budget, never worse than the defaults, the same whether it was killed or not."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfcast.errors import DataError, MissingExtraError, SettingsError, SourceError
from shelfcast.evaluate import study
from shelfcast.evaluate.search import LAST, LOOK, Found, SearchSettings, search
from shelfcast.models.spaces import Choice, Real, Whole

SPACE = {"kind": Choice((None, "good", "bad")), "size": Whole(2, 20, 2), "rate": Real(1e-3, 1.0, log=True)}
DEFAULT = {"kind": None, "size": 10, "rate": 0.5}
IDENTITY = {"panel": "abc", "space": "small"}


class FakeClock:
    """Seconds that pass when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bowl:
    """Losses by a formula: least at kind good, size 16, rate 0.01. Each measurement takes `seconds`, a bad kind twice as long."""

    def __init__(self, clock: FakeClock, *, seconds: float = 10.0, look: bool = True, last: bool = True, die_at: int | None = None,
                 fail: Callable[[Mapping[str, Any]], bool] = lambda options: False) -> None:
        self.windows, self.look, self.last = ("June", "May"), look, last
        self.clock, self.seconds, self.die_at, self.fail = clock, seconds, die_at, fail
        self.measured: list[tuple[tuple[Any, ...], str]] = []
        self.shift = 0.0  # of the last window

    def score(self, options: Mapping[str, Any], where: str, pulse: Callable[[], None]) -> float:
        self.measured.append((tuple(options.values()), where))
        if self.die_at is not None and len(self.measured) == self.die_at:
            raise KeyboardInterrupt
        if self.fail(options):
            raise SettingsError("The loss is nan.")
        for _ in range(10):
            self.clock.now += self.seconds / 10 * (0.25 if where == LOOK else 1.0) * (2 if options["kind"] == "bad" else 1)
            pulse()
        loss = 1.0 + {"good": 0.0, "bad": 3.0, None: 0.5}[options["kind"]]
        loss += 0.02 * abs(options["size"] - 16) + 0.1 * abs(np.log10(options["rate"]) + 2)
        return loss + (self.shift if where == LAST else {"June": 0.0, "May": 0.1, LOOK: 0.3}[where])


def run(folder: Path, bowl: Bowl, *, seed: int = 0, identity: Mapping[str, Any] = IDENTITY, **asked: Any) -> Found:
    return search(bowl, SPACE, SearchSettings(seed=seed, **asked), default=DEFAULT, path=folder / "study.db", identity=identity,
                  clock=bowl.clock)


def story(found: Found) -> list[tuple[Any, ...]]:
    """What was tried and how it ended, without when."""
    return [(tuple(t.options.values()), t.state, t.loss) for t in found.trials if t.state != "unfinished"]


def test_the_defaults_are_tried_first_and_the_best_is_no_worse(tmp_path):
    found = run(tmp_path, Bowl(FakeClock()), trials=5)
    assert found.trials[0] is found.default
    assert found.default.options == DEFAULT
    assert found.best.loss == min(t.loss for t in found.trials if t.loss is not None) <= found.default.loss


def test_a_search_finds_better_settings_than_the_defaults(tmp_path):
    found = run(tmp_path, Bowl(FakeClock()), trials=14)
    assert found.best.options["kind"] == "good"
    assert found.gain > 0.3


def test_nothing_better_to_be_found_leaves_the_defaults(tmp_path):
    bowl = Bowl(FakeClock(), fail=lambda options: dict(options) != DEFAULT)
    found = run(tmp_path, bowl, trials=6)
    assert found.best is found.default
    assert found.gain == 0
    assert [t.state for t in found.trials] == ["scored", *["failed"] * 5]
    assert "The loss is nan" in found.trials[1].why


@pytest.mark.parametrize("budget", [60.0, 95.0, 300.0])
def test_the_budget_is_kept(tmp_path, budget):
    bowl = Bowl(FakeClock())
    found = run(tmp_path, bowl, budget_s=budget)
    assert bowl.clock.now - 100.0 <= budget + 2.0  # a tenth of the slowest measurement: how often the clock is looked at
    assert found.last["best"] > 0
    assert (len(found.trials) > 5) == (budget >= 300)


def test_what_was_done_before_the_search_counts(tmp_path):
    bowl = Bowl(FakeClock())
    found = run(tmp_path, bowl, budget_s=300.0, since=-50.0)  # 150 seconds before the search
    assert bowl.clock.now - 100.0 <= 152.0
    assert found.spent_s >= 150.0


def test_a_budget_too_small_for_one_trial_runs_the_defaults_and_says_so(tmp_path):
    found = run(tmp_path, Bowl(FakeClock()), budget_s=5.0)
    assert [t.options for t in found.trials] == [DEFAULT]
    assert found.best is found.default
    assert "5 seconds" in found.told[0]
    assert "larger --budget" in found.told[0]
    assert not found.last
    assert any("last window" in sentence for sentence in found.told)


def test_hopeless_trials_are_given_up_early(tmp_path):
    found = run(tmp_path, Bowl(FakeClock()), trials=18)
    pruned = [t for t in found.trials if t.state == "pruned"]
    assert pruned
    assert all(t.loss is None and t.ratio is not None and len(t.losses) < 3 for t in pruned)
    median = np.median([t.ratio for t in found.trials if t.state == "scored"])
    assert np.mean([t.ratio for t in pruned]) > median


def test_the_last_window_is_scored_for_the_defaults_and_the_best_alone_and_decides_nothing(tmp_path):
    stories = []
    for shift in (0.0, 100.0):
        bowl = Bowl(FakeClock())
        bowl.shift = shift
        (tmp_path / str(shift)).mkdir()
        found = run(tmp_path / str(shift), bowl, trials=8)
        stories.append((story(found), found.best.options))
        assert [options for options, where in bowl.measured if where == LAST] == [
            tuple(DEFAULT.values()), tuple(found.best.options.values())]
    assert stories[0] == stories[1]
    assert bowl.measured[-1][1] == LAST


def test_worse_in_the_last_window_is_said(tmp_path):
    bowl = Bowl(FakeClock())
    score = bowl.score
    bowl.score = lambda options, where, pulse: (1.0 if dict(options) == DEFAULT else 2.0) if where == LAST else score(  # type: ignore[method-assign]
        options, where, pulse)
    found = run(tmp_path, bowl, trials=8)
    assert found.gain > 0 > found.last_gain
    assert any("100.0% worse" in sentence for sentence in found.told)


def test_a_killed_search_goes_on_as_if_it_had_never_been_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "NEAR", 3)
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = story(run(whole, Bowl(FakeClock()), trials=7))
    for die_at in (1, 4, 9):
        folder = tmp_path / str(die_at)
        folder.mkdir()
        killed = Bowl(FakeClock(), die_at=die_at)
        with pytest.raises(KeyboardInterrupt):
            run(folder, killed, trials=7)
        again = Bowl(FakeClock())
        assert story(run(folder, again, trials=7)) == expected, die_at
        assert not set(killed.measured[:-1]) & set(again.measured), "nothing is measured twice"


def test_time_spent_before_a_kill_counts(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Bowl(FakeClock(), die_at=16), budget_s=300.0)
    bowl = Bowl(FakeClock())
    run(tmp_path, bowl, budget_s=300.0)
    assert bowl.clock.now - 100.0 < 200.0


def test_time_within_a_killed_measurement_counts(tmp_path):
    class Dies(Bowl):
        def score(self, options: Mapping[str, Any], where: str, pulse: Callable[[], None]) -> float:
            for _ in range(9):
                self.clock.now += 10.0
                pulse()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Dies(FakeClock()), trials=1)
    assert run(tmp_path, Bowl(FakeClock()), trials=1).spent_s >= 80.0


def test_a_trial_that_ran_out_of_time_goes_on_with_a_larger_budget(tmp_path):
    first = run(tmp_path, Bowl(FakeClock()), budget_s=140.0)
    bowl = Bowl(FakeClock())
    second = run(tmp_path, bowl, budget_s=240.0)
    assert story(second)[: len(story(first))] == story(first)
    assert len(story(second)) > len(story(first))
    (tmp_path / "whole").mkdir()
    assert story(run(tmp_path / "whole", Bowl(FakeClock()), trials=len(story(second)))) == story(second)


def test_a_trial_that_kills_its_process_is_left_out_in_the_end(tmp_path):
    first = study.neighbour(DEFAULT, SPACE, seed=0, index=1)

    class Deadly(Bowl):
        def score(self, options: Mapping[str, Any], where: str, pulse: Callable[[], None]) -> float:
            if options == first:
                raise KeyboardInterrupt
            return super().score(options, where, pulse)

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, Deadly(FakeClock()), trials=3)
    found = run(tmp_path, Deadly(FakeClock()), trials=3)
    assert [t.state for t in found.trials] == ["scored", "failed", "scored"]
    assert found.trials[1].options == first
    assert "killed 3 times" in found.trials[1].why


def test_another_study_in_the_file_is_refused(tmp_path):
    run(tmp_path, Bowl(FakeClock()), trials=1)
    with pytest.raises(SettingsError, match="other sales"):
        run(tmp_path, Bowl(FakeClock()), trials=2, identity={**IDENTITY, "panel": "def"})
    with pytest.raises(SettingsError, match="another space of settings"):
        run(tmp_path, Bowl(FakeClock()), trials=2, identity={**IDENTITY, "space": "large"})


def test_a_file_that_is_no_study_is_refused(tmp_path):
    (tmp_path / "study.db").write_text("sales,of,tea\n" * 500)
    with pytest.raises(SourceError, match="Delete it"):
        run(tmp_path, Bowl(FakeClock()), trials=1)


def test_a_name_with_odd_characters_holds_a_study(tmp_path):
    folder = tmp_path / "50% off? é #1"
    folder.mkdir()
    run(folder, Bowl(FakeClock()), trials=1)
    assert (folder / "study.db").stat().st_size > 0


def test_the_settings_that_matter_are_found_out(tmp_path):
    found = run(tmp_path, Bowl(FakeClock()), trials=18)
    assert next(iter(found.importances)) == "kind"
    assert sum(found.importances.values()) == pytest.approx(1.0)


def test_few_trials_do_not_say_what_mattered(tmp_path):
    assert not run(tmp_path, Bowl(FakeClock()), trials=5).importances


def test_nothing_measurable_is_an_error(tmp_path):
    bowl = Bowl(FakeClock())
    bowl.score = lambda options, where, pulse: float("nan")  # type: ignore[method-assign]
    with pytest.raises(DataError, match="June"):
        run(tmp_path, bowl, trials=3)


def test_a_small_space_is_searched_and_then_left(tmp_path):
    clock = FakeClock()

    class Few:
        windows, look, last = ("June",), False, False

        def score(self, options: Mapping[str, Any], where: str, pulse: Callable[[], None]) -> float:
            clock.now += 1.0
            return {None: 2.0, 1: 1.0, 7: 3.0}[options["season"]]

    found = search(Few(), {"season": Choice((None, 1, 7))}, SearchSettings(budget_s=1000.0), default={"season": None},
                   path=tmp_path / "study.db", identity=IDENTITY, clock=clock)
    assert found.best.options == {"season": 1}
    assert any("hardly anything" in sentence for sentence in found.told)


def test_without_optuna_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"shelfcast\[tune\]"):
        run(tmp_path, Bowl(FakeClock()), trials=1)

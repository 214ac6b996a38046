"""`shelfcast tune`: settings that are no worse than the defaults on the past, kept at all times, and taken by `fit`."""

import contextlib
import io
import json
import re
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
import pytest

from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.errors import SettingsError, SourceError, UnknownNameError
from shelfcast.evaluate.search import LOOK, OutOfTime
from shelfcast.models.base import Traits
from shelfcast.models.registry import make_model
from shelfcast.operate.taken import taken
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress
from shelfcast.settings import BacktestSettings, ForecastSettings, TuneSettings, options_from_toml, options_to_toml
from shelfcast.workflow import trying, tuning
from shelfcast.workflow.trying import WindowLoss, plan_windows

DAYS, HORIZON = 98, 7


def sales(*, after: int = DAYS, later: float = 1.0) -> pl.DataFrame:
    """Six series that repeat every 28 days, so that a naive season of 28 beats the weekly default; and a bit of noise."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(6):
        shape = rng.integers(2, 30, 28)
        sold = np.tile(shape, 4)[:DAYS] + rng.integers(0, 2, DAYS)
        rows += [{"item": f"tea {i // 2}", "location": f"shop {i % 2}", "date": date(2024, 1, 1) + timedelta(days=d),
                  "sales": float(sold[d]) * (later if d >= after else 1.0)} for d in range(DAYS)]
    return pl.DataFrame(rows)


def ask(folder: Path, **changes: Any) -> TuneSettings:
    asked: dict[str, Any] = {"sales": sales(), "model": "naive", "horizon": HORIZON, "trials": 4, "run": folder / "run"}
    return TuneSettings(**{**asked, **changes})


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A tuning by the command line of sales whose season is 28 days; its folder and what was said."""
    folder = tmp_path_factory.mktemp("tune")
    sales().write_csv(folder / "sales.csv")
    out, talk = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(talk):
        assert main(["tune", str(folder / "sales.csv"), "--model", "naive", "--horizon", str(HORIZON), "--trials", "5", "--run",
                     str(folder / "run")]) == 0
    return folder, out.getvalue(), talk.getvalue()


def test_the_best_settings_are_found_and_told(tuned):
    folder, out, talk = tuned
    assert options_from_toml(folder / "run" / "best.toml", model="naive") == {"season": 28}
    assert "season=28" in out
    assert "Trial 0: SQL" in talk
    assert "the last one, after 2024-03-31, is kept aside" in talk


def test_the_run_folder_holds_the_trials_the_study_and_the_page(tuned):
    folder = tuned[0] / "run"
    assert {p.name for p in folder.iterdir()} == {"study.db", "best.toml", "trials.csv", "importances.csv", "report.html",
                                                  "settings.toml", "manifest.json"}
    trials = pl.read_csv(folder / "trials.csv")
    scored = trials.filter(pl.col("state") == "scored")
    assert scored["SQL"].min() < scored["SQL"][0]
    windows = [c for c in trials.columns if re.fullmatch(r"SQL \d{4}-.*", c)]
    assert scored["SQL"][0] == pytest.approx(scored.select(pl.mean_horizontal(windows))[0, 0])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["verb"] == "tune"
    assert manifest["counts"]["trials"] == trials.height
    assert "season" in (folder / "report.html").read_text()


def test_fit_takes_the_best_settings_from_the_file_and_what_is_written_out_goes_before(tuned, tmp_path, capsys):
    folder = tuned[0]
    asked = ["fit", str(folder / "sales.csv"), "--model", "naive", "--horizon", "7", "--set", f"@{folder / 'run' / 'best.toml'}"]
    assert main([*asked, "--run", str(tmp_path / "one")]) == 0
    label = json.loads((tmp_path / "one" / "model" / "model.json").read_text())
    assert label["settings"]["season"] == 28
    assert main([*asked, "--set", "season=7", "--run", str(tmp_path / "two")]) == 0
    assert json.loads((tmp_path / "two" / "model" / "model.json").read_text())["settings"]["season"] == 7
    capsys.readouterr()


def test_settings_of_another_model_are_refused(tuned, tmp_path, capsys):
    folder = tuned[0]
    assert main(["fit", str(folder / "sales.csv"), "--model", "profile", "--horizon", "7", "--run", str(tmp_path / "run"), "--set",
                 f"@{folder / 'run' / 'best.toml'}"]) == 2
    assert "--model naive" in capsys.readouterr().err


def test_the_default_score_is_that_of_a_backtest(tmp_path):
    found = workflow.tune(ask(tmp_path, trials=1))
    asked = BacktestSettings(sales=sales(), horizon=HORIZON, windows=3, models=("naive",), run=tmp_path / "back")
    replayed = workflow.backtest(asked)
    rows = replayed.scores.filter((pl.col("kind") == "all") & (pl.col("metric") == "SQL")).sort("window")
    assert found.summary["default"] == pytest.approx(rows["value"][:2].mean())  # the last of the three is kept aside


def test_the_window_kept_aside_decides_nothing(tmp_path):
    """Sales of the last window a hundred times as large change neither what is tried nor what is found, only the last score."""
    stories = []
    for later in (1.0, 100.0):
        folder = tmp_path / str(later)
        folder.mkdir()
        found = workflow.tune(ask(folder, sales=sales(after=DAYS - HORIZON, later=later), rules={"outliers": "keep"}))
        stories.append((found.trials.drop("seconds", "at_seconds"), found.options, found.summary["last"]))
    assert stories[0][0].equals(stories[1][0])
    assert stories[0][1] == stories[1][1]
    assert stories[0][2] != stories[1][2]


def test_a_tuning_that_was_killed_goes_on_and_had_kept_its_best_all_the_while(tmp_path, monkeypatch):
    expected = workflow.tune(ask(tmp_path, run=tmp_path / "whole")).trials.drop("seconds", "at_seconds")
    score, calls = WindowLoss.score, []

    def dies(self: WindowLoss, *given: Any) -> float:
        calls.append(given)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return score(self, *given)

    monkeypatch.setattr(WindowLoss, "score", dies)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        workflow.tune(ask(tmp_path), say=said.append)
    assert "the same command goes on" in said[-1]
    assert options_from_toml(tmp_path / "run" / "best.toml", model="naive") is not None
    monkeypatch.setattr(WindowLoss, "score", score)
    assert workflow.tune(ask(tmp_path)).trials.drop("seconds", "at_seconds").drop("trial").equals(expected.drop("trial"))


def test_other_sales_other_fixed_settings_and_other_windows_are_refused(tmp_path):
    workflow.tune(ask(tmp_path, trials=1))
    with pytest.raises(SettingsError, match="other sales"):
        workflow.tune(ask(tmp_path, sales=sales(after=50, later=2.0)))
    with pytest.raises(SettingsError, match="other fixed settings"):
        workflow.tune(ask(tmp_path, options={"max_series": 10}))
    with pytest.raises(SettingsError, match="other windows"):
        workflow.tune(ask(tmp_path, windows=1))
    with pytest.raises(SettingsError, match="another model"):
        workflow.tune(ask(tmp_path, model="profile"))


def test_a_fixed_setting_is_not_searched(tmp_path):
    found = workflow.tune(ask(tmp_path, options={"season": 14}))
    assert found.options == {"season": 14}
    assert found.trials.height == 1, "nothing is left to search"


def test_a_short_past_leaves_one_window_and_that_is_said(tmp_path):
    said: list[str] = []
    short = sales().filter(pl.col("date") < date(2024, 1, 22))
    found = workflow.tune(ask(tmp_path, sales=short, trials=2), say=said.append)
    assert found.summary["last_window"] is None
    assert not found.summary["last"]
    assert any("the only one that the past allows" in sentence for sentence in said)


@pytest.mark.parametrize(("asked", "count", "last"), [(None, 2, True), (1, 1, True), (4, 4, True)])
def test_windows_lie_before_the_last_one(asked, count, last):
    plan = plan_windows(SalesPanel.from_frame(sales(), freq="D"), horizon=HORIZON, asked=asked)
    assert len(plan.names) == count
    assert plan.last is last
    assert plan.aside == "2024-03-31"
    assert plan.names[0] == "2024-03-24"
    assert plan.names == tuple(sorted(plan.names, reverse=True))


def test_a_budget_too_small_for_one_trial_still_gives_the_defaults(tmp_path):
    said: list[str] = []
    found = workflow.tune(ask(tmp_path, trials=None, budget="1s"), say=said.append,
                          clock=iter(np.arange(0.0, 1e5, 0.7)).__next__)
    assert found.summary["trials"]["scored"] == 1
    assert found.options == {"season": None}
    assert any("larger --budget" in sentence for sentence in said)


@pytest.mark.parametrize(("changes", "kind", "match"), [
    ({"model": "auto"}, SettingsError, "Name the model to tune"),
    ({"model": "spactime"}, UnknownNameError, "spacetime"),
    ({"options": {"seasn": 7}}, UnknownNameError, "season"),
    ({"model": "boosted", "options": {"horizon": 7}}, SettingsError, "--horizon"),
    ({"windows": 50}, SettingsError, "need more than"),
])
def test_what_cannot_be_is_refused_with_what_to_do(tmp_path, changes, kind, match):
    with pytest.raises(kind, match=match):
        workflow.tune(ask(tmp_path, **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"budget": "soon"}, {"trials": 0}, {"windows": 0}, {"horizon": 0}, {"seed": -1}])
def test_settings_are_checked_as_they_are_made(tmp_path, changes):
    with pytest.raises(SettingsError):
        ask(tmp_path, **changes)


def test_without_a_budget_it_takes_twenty_minutes_at_most(tmp_path):
    assert ask(tmp_path, trials=None).budget == 1200
    assert ask(tmp_path, trials=3).budget is None


def test_a_folder_with_other_things_and_one_that_is_at_work_are_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("dear")
    with pytest.raises(SettingsError, match="other files"):
        workflow.tune(ask(tmp_path))
    (tmp_path / "run" / "letter.txt").unlink()
    with taken(tmp_path / "run", work="a test"), pytest.raises(SettingsError, match="at work"):
        (tmp_path / "run" / tuning.STUDY).touch()
        workflow.tune(ask(tmp_path))


def test_a_file_of_settings_comes_back_as_it_was(tmp_path):
    options = {"a": 1, "b": 0.25, "c": "mlp", "d": True, "e": None, "odd name": "x\"y"}
    (tmp_path / "best.toml").write_text(options_to_toml("m", options, about="two\nlines"), encoding="utf-8")
    assert options_from_toml(tmp_path / "best.toml", model="m") == {k: v for k, v in options.items() if v is not None}


def test_a_file_that_holds_no_settings_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"best\.toml"):
        options_from_toml(tmp_path / "none.toml", model="m")
    (tmp_path / "odd.toml").write_text("[[[")
    with pytest.raises(SettingsError, match="no file of a model's settings"):
        options_from_toml(tmp_path / "odd.toml", model="m")


def test_the_result_as_json_is_what_python_gives(tuned, tmp_path, capsys):
    folder = tuned[0]
    assert main(["tune", str(folder / "sales.csv"), "--model", "naive", "--horizon", "7", "--trials", "5", "--json", "--quiet",
                 "--run", str(folder / "run")]) == 0  # the finished study is taken as it is
    told = json.loads(capsys.readouterr().out)
    assert told["options"] == {"season": 28}
    found = workflow.tune(TuneSettings(sales=folder / "sales.csv", model="naive", horizon=7, trials=5, run=folder / "run"))
    assert found.summary["best"] == told["best"]


class Slow:
    """A model that trains in ten steps, keeps a file in its folder as it goes, and forecasts as the naive one does."""

    folders: ClassVar[list[Path]] = []

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.traits = Traits(name="spacetime", summary="slow", resumes=True)

    def fit(self, panel: SalesPanel, *, folder: Path, progress: Progress) -> Self:
        self.folders.append(folder)
        progress.start("training", 10)
        for step in range(10):
            (folder / "checkpoint").write_text(f"{step} of {self.settings.steps}")
            progress.advance()
        progress.finish()
        self.naive = make_model("naive", {"season": 28 if self.settings.width > 64 else 7}).fit(panel)
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Any) -> Any:
        return self.naive.predict(panel, horizon=horizon, levels=levels)


@pytest.fixture
def loss(monkeypatch, tmp_path) -> WindowLoss:
    """The objective for that model."""
    monkeypatch.setattr(Slow, "folders", [])
    usual = {"steps": 100, "width": 64}
    monkeypatch.setattr(trying, "make_model", lambda name, settings: Slow(SimpleNamespace(**{**usual, **settings})))
    panel = SalesPanel.from_frame(sales(), freq="D")
    return WindowLoss(panel, plan_windows(panel, horizon=HORIZON, asked=2), model="spacetime", fixed={"layers": 1}, work="steps",
                      horizon=HORIZON, seed=0, max_series=100, folder=tmp_path / "training")


def test_a_long_training_has_a_folder_of_its_own_for_each_settings_and_window_until_it_ends(loss, tmp_path):
    worse, better = (loss.score({"width": w}, loss.windows[0], lambda: None) for w in (64, 96))
    assert better < worse
    loss.score({"width": 64}, loss.windows[1], lambda: None)
    assert len(set(Slow.folders)) == 3
    assert not any((tmp_path / "training").iterdir())


def test_a_training_is_ended_when_the_time_is_over_and_what_it_kept_stays(loss):
    pulses = []

    def pulse() -> None:
        pulses.append(1)
        if len(pulses) > 5:
            raise OutOfTime

    with pytest.raises(OutOfTime):
        loss.score({"width": 64}, loss.windows[0], pulse)
    assert (Slow.folders[0] / "checkpoint").read_text() == "3 of 100"
    loss.score({"width": 64}, loss.windows[0], lambda: None)
    assert Slow.folders[1] == Slow.folders[0], "the next one goes on there"


def test_a_first_look_trains_for_a_quarter(loss, monkeypatch):
    monkeypatch.setattr(trying.shutil, "rmtree", lambda *given, **how: None)
    loss.score({"width": 64}, LOOK, lambda: None)
    assert (Slow.folders[0] / "checkpoint").read_text() == "9 of 25"


@pytest.mark.slow
def test_a_network_is_tuned_and_its_settings_are_taken_by_fit(tmp_path):
    fixed = {"width": 16, "heads": 2, "layers": 1, "steps": 8, "series": 32}
    found = workflow.tune(ask(tmp_path, model="spacetime", options=fixed, trials=3))
    assert found.trials["state"].to_list()[0] == "scored"
    assert found.summary["best"] <= found.summary["default"]
    assert not (tmp_path / "run" / "training").exists()
    made = workflow.fit(ForecastSettings(sales=sales(), horizon=HORIZON, model="spacetime", options=found.options,
                                         run=tmp_path / "fitted"))
    assert made["model"] == "spacetime"

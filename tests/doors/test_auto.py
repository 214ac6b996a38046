"""auto: tries models on the past alone, weighs them, keeps to a budget, and can be kept and loaded."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.adjust.saving import check_forecaster, load_forecaster, save_forecaster
from shelfcast.cli.main import main
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.models.registry import make_model, missing_package, save_model
from shelfcast.panel import SalesPanel
from shelfcast.settings import ForecastSettings, parse_budget
from shelfcast.workflow import forecasting
from shelfcast.workflow.automatic import AutoForecaster, AutoSettings
from shelfcast.workflow.choosing import auto_options
from shelfcast.workflow.planning import TrialPlan, make_plan, trial_horizon, window_count
from shelfcast.workflow.proving import score_of_proof

H = 7
DAYS = 150
FIRST = date(2024, 1, 1)
FAST = {"effort": "fast", "threads": 1}

pytestmark = pytest.mark.skipif(missing_package("boosted") is not None, reason="needs lightgbm")


def frame(kind: str = "rhythm", *, days: int = DAYS, seed: int = 0) -> pl.DataFrame:
    """4 items in 3 places: a weekday rhythm with Poisson noise, or walks whose best forecast is the value of last week."""
    rng = np.random.default_rng(seed)
    when = [FIRST + timedelta(days=t) for t in range(days)]
    parts = []
    for i in range(4):
        for j in range(3):
            if kind == "rhythm":
                sales = rng.poisson(3 * (i + 1) * (j + 1) * np.array([1.0, 0.8, 0.9, 1.0, 1.4, 1.8, 0.7])[np.arange(days) % 7])
            else:
                steps = rng.normal(0, 20, (-(-days // 7), 7))
                sales = 1000 + np.cumsum(steps, axis=0).reshape(-1)[:days]
            parts.append(pl.DataFrame({"item": f"i{i}", "location": f"l{j}", "date": when, "sales": sales.astype(float)}))
    return pl.concat(parts)


def fitted(panel: SalesPanel, **more: object) -> AutoForecaster:
    return AutoForecaster(AutoSettings(horizon=H, options=FAST, **more)).fit(panel)


@pytest.fixture(scope="module")
def panel() -> SalesPanel:
    return SalesPanel.from_frame(frame(), freq="D")


@pytest.fixture(scope="module")
def auto(panel: SalesPanel) -> AutoForecaster:
    return fitted(panel)


def test_it_tells_what_was_tried_what_counts_and_what_that_gains(auto):
    account = auto.account()
    assert {row["model"] for row in account["trials"]} >= {"naive", "profile", "boosted", "auto"}
    assert len({row["window"] for row in account["trials"]}) == 3
    assert "calibrated on the other windows" in " ".join(account["told"])
    assert account["gain_over_naive"] > 0.1 and "better than seasonal naive" in " ".join(account["told"])
    assert all(sum(v for k, v in row.items() if k != "group") == pytest.approx(1) for row in account["weights"])


def test_members_without_weight_are_not_fitted(auto):
    assert set(auto.combination_.members) == set(auto.combination_.weights.used)


def test_slices_give_the_same_numbers_as_the_whole(auto, panel):
    whole = auto.predict(panel, horizon=H)
    parts = [auto.predict(part, horizon=H) for part in panel.chunks(5)]
    np.testing.assert_allclose(np.concatenate([p.quantiles for p in parts]), whole.quantiles, rtol=1e-9)


def test_a_level_means_the_same_whatever_levels_are_asked_beside_it(auto, panel):
    alone = auto.predict(panel, horizon=H, levels=(0.25, 0.9))
    np.testing.assert_allclose(alone.at(0.9), auto.predict(panel, horizon=H).at(0.9), rtol=1e-9)
    assert (alone.at(0.25) <= alone.at(0.9)).all()


def test_it_comes_back_from_its_folder_and_forecasts_the_same(auto, panel, tmp_path):
    save_forecaster(auto, tmp_path / "model", panel=panel)
    check_forecaster(tmp_path / "model")
    back = load_forecaster(tmp_path / "model", panel=panel)
    np.testing.assert_allclose(back.predict(panel, horizon=H).quantiles, auto.predict(panel, horizon=H).quantiles, rtol=1e-6)
    assert not list((tmp_path / "model").rglob("*.pkl"))


def test_a_changed_weight_is_called_tampered_with(auto, panel, tmp_path):
    save_forecaster(auto, tmp_path / "model", panel=panel)
    about = tmp_path / "model" / "learned" / "combination.json"
    about.write_text(about.read_text().replace("boosted", "naive"))
    with pytest.raises(WeightsError, match="damaged"):
        load_forecaster(tmp_path / "model")


def test_a_single_model_is_loaded_by_the_same_door(panel, tmp_path):
    save_model(make_model("naive").fit(panel), tmp_path / "model")
    assert load_forecaster(tmp_path / "model").traits.name == "naive"


def test_it_looks_at_nothing_behind_the_cutoff():
    cutoff = FIRST + timedelta(days=DAYS - 1)
    later = pl.col("date") > cutoff
    told = []
    for sales in (pl.col("sales"), pl.when(later).then(1e6).otherwise("sales").alias("sales")):
        panel = SalesPanel.from_frame(frame(days=DAYS + 20).with_columns(sales), freq="D", cutoff=cutoff)
        told.append(fitted(panel).predict(panel, horizon=H).quantiles)
    np.testing.assert_array_equal(*told)


def test_the_same_seed_gives_the_same_forecast(auto, panel):
    np.testing.assert_array_equal(fitted(panel).predict(panel, horizon=H).quantiles, auto.predict(panel, horizon=H).quantiles)


def test_naive_wins_where_last_week_is_all_there_is_to_know():
    walk = SalesPanel.from_frame(frame("walk"), freq="D")
    made = fitted(walk)
    mean = dict(made.trials_.group_by("model").agg(pl.col("SQL").mean()).iter_rows())
    assert mean["auto"] <= 1.02 * mean["naive"]


def test_a_short_past_is_left_to_the_profile():
    short = SalesPanel.from_frame(frame(days=18), freq="D")
    made = fitted(short)
    assert made.combination_.weights.used == ("profile",) and "too few" in made.told_[0]


def test_a_budget_leaves_out_trials_and_says_so(panel):
    made = fitted(panel, budget_s=0.5)
    assert made.trials_.height == 0 and made.combination_.weights.used == ("profile",)
    assert "time budget" in " ".join(made.told_)


def test_one_window_is_judged_by_what_was_believed_before_it_and_says_so():
    made = fitted(SalesPanel.from_frame(frame(days=28), freq="D"))
    assert made.trials_["window"].n_unique() == 1 and "untried, as it would have been before" in " ".join(made.told_)
    assert made.proof_.learned == 0


def test_an_ample_budget_changes_nothing(panel, auto):
    np.testing.assert_array_equal(fitted(panel, budget_s=86_400.0).predict(panel, horizon=H).quantiles,
                                  auto.predict(panel, horizon=H).quantiles)


def test_what_came_in_the_last_window_moves_nothing_in_its_own_score(panel, auto):
    spoilt = frame().with_columns(pl.when(pl.col("date") > FIRST + timedelta(days=DAYS - 1 - H)).then(pl.col("sales") * 50)
                                  .otherwise("sales").alias("sales"))
    other = fitted(SalesPanel.from_frame(spoilt, freq="D"))
    assert auto.proof_.learned == 2
    for name, forecast in auto.proof_.forecasts.items():
        np.testing.assert_array_equal(forecast.quantiles, other.proof_.forecasts[name].quantiles)


def test_the_score_shown_is_that_of_the_trials_and_says_what_it_is(panel, auto):
    scores = score_of_proof(auto.proof_, panel)
    last = auto.trials_.filter(pl.col("window") == auto.trials_["window"].max())
    assert scores.headline()["SQL"]["model"] == pytest.approx(last.filter(pl.col("model") == "auto")["SQL"].item())
    assert scores.headline()["WAPE"]["rival"] == pytest.approx(last.filter(pl.col("model") == "naive")["WAPE"].item())
    assert "effort fast, weights and calibration from the 2 windows before it alone" in scores.told[0]
    assert {"all", "class", "location", "step"} <= set(scores.scores["kind"])


def plan(**more: object) -> TrialPlan:
    usual = {"models": ("naive", "boosted"), "windows": 3, "horizon": 7, "base": "boosted", "trial_s": 10.0, "full_s": 40.0,
             "quick_s": 10.0}
    return TrialPlan(**{**usual, **more})


@pytest.mark.parametrize(("budget", "count", "quick", "base"), [
    (100.0, 3, False, "boosted"), (65.0, 2, False, "boosted"), (45.0, 3, True, "boosted"), (25.0, 1, True, "boosted"),
    (12.0, 0, True, "boosted"), (5.0, 0, True, "profile")])
def test_a_budget_cuts_trials_then_effort_then_boosting(budget, count, quick, base):
    cut = plan().within(budget)
    assert (cut.windows, cut.quick, cut.base) == (count, quick, base)


def test_without_windows_an_ample_budget_keeps_full_effort():
    assert not plan(windows=0).within(100.0).quick


def test_where_only_a_shorter_window_fits_it_has_a_say_in_other_models_and_calibrates_nothing(panel):
    made = fitted(SalesPanel.from_frame(frame(days=26), freq="D"))  # 7 days leave 19; three times 7 would be needed
    assert made.trials_["window"].n_unique() == 1 and made.proof_ is None
    told = " ".join(made.told_)
    assert "the last window of 6 days" in told and "No window of 7 days could be replayed" in told
    weights = made.combination_.weights
    np.testing.assert_allclose(weights.of("boosted") * 0.3, weights.of("profile") * 0.7)
    assert weights.of("boosted").min() >= 0.35
    assert (made.combination_.calibration.factors == 1).all()
    assert np.isfinite(made.predict(panel, horizon=H).quantiles).all()


def test_a_slow_machine_is_found_out_by_the_first_trial():
    slow = plan().corrected(spent=35.0, left_s=100.0)  # four times slower: 40 s a trial and a quick fit, 160 s a full one
    assert slow.windows == 2 and slow.quick and slow.told


def test_effort_is_saved_at_the_end_where_trials_took_longer_than_planned():
    assert plan().ended(30.0).quick and not plan().ended(50.0).quick


def test_rows_that_the_last_fit_learns_from_are_those_of_the_booster(panel, monkeypatch):
    from shelfcast.models import boosted
    usual = make_plan(panel, H, None).full_s
    monkeypatch.setitem(boosted.SIZES, "full", replace(boosted.SIZES["full"], rows=100))
    assert make_plan(panel, H, None).full_s < usual
    assert make_plan(panel, H, None, {"max_rows": 50}).full_s < make_plan(panel, H, None, {"max_rows": 5_000}).full_s


def test_what_is_told_of_a_budget_is_about_the_plan_that_was_carried_out():
    slow = plan().corrected(spent=500.0, left_s=1.0)  # nothing more fits: the trial that was made stands, and boosting forecasts
    assert (slow.windows, slow.base, slow.quick) == (1, "boosted", True)
    told = " ".join(slow.told)
    assert "left out 2 of 3 trials" in told and "less effort" in told and "no room for boosting" not in told
    assert "no room for boosting" in " ".join(plan().within(5.0).told) and not plan().within(1000.0).told


def test_windows_of_the_past_leave_enough_to_learn_from(panel):
    assert window_count(panel, H) == 3 and window_count(panel, 45) == 0
    assert trial_horizon(panel, H) == H and trial_horizon(panel, 45) == 37 and trial_horizon(panel, 75) == 75
    assert make_plan(panel, H, None).windows == 3


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("5m", 300.0), ("1h", 3600.0), ("45", 45.0), (None, None)])
def test_a_budget_is_read_as_people_write_it(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-5m", "5 weeks", True])
def test_a_budget_that_is_none_is_refused(text):
    with pytest.raises(SettingsError, match="90s, 5m, 1h"):
        ForecastSettings(sales="x.csv", horizon=1, budget=text)


def test_a_fitted_auto_forecasts_from_its_folder_on_the_command_line(tmp_path, capsys):
    frame().write_parquet(tmp_path / "sales.parquet")
    asked = [str(tmp_path / "sales.parquet"), "--horizon", str(H), "--quiet", "--json"]
    assert main(["fit", *asked, "--set", "effort=fast", "--run", str(tmp_path / "run")]) == 0
    account = json.loads(capsys.readouterr().out)["auto"]
    assert account["weights"] and account["trials"] and account["gain_over_naive"] > 0
    kept = json.loads((tmp_path / "run" / "manifest.json").read_text())["models"][0]
    assert kept["weights"] == account["weights"]
    assert main(["forecast", *asked, "--no-backtest", "--model", str(tmp_path / "run"), "--out", str(tmp_path / "f.parquet")]) == 0
    assert pl.read_parquet(tmp_path / "f.parquet").height == 12 * H


def test_the_command_line_shows_the_score_of_the_trials_and_says_so(tmp_path, capsys):
    frame().write_parquet(tmp_path / "sales.parquet")
    asked = ["forecast", str(tmp_path / "sales.parquet"), "--horizon", str(H), "--json"]
    assert main([*asked, "--set", "effort=fast", "--set", "threads=1"]) == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    tried = [t for t in summary["auto"]["trials"] if t["model"] == "auto"]
    assert summary["backtest"]["SQL"]["model"] == pytest.approx(max(tried, key=lambda t: t["window"])["SQL"])
    assert summary["backtest"]["SQL"]["skill"] > 0 and "is that of auto's own trial there" in summary["why_model"]
    assert "is that of auto's own trial there" in told.err


def test_a_budget_without_room_for_a_score_says_so(tmp_path, capsys):
    frame().write_parquet(tmp_path / "sales.parquet")
    assert main(["forecast", str(tmp_path / "sales.parquet"), "--horizon", str(H), "--json", "--budget", "0.001s"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["backtest"] is None and "No score: no window of this horizon was tried" in told.err
    assert "give a larger --budget, or --no-backtest" in told.err


def test_a_shorter_window_that_was_tried_is_not_denied_where_no_time_is_left_for_a_score(tmp_path, capsys, monkeypatch):
    frame(days=26).write_parquet(tmp_path / "sales.parquet")
    ticks = iter(range(0, 10**9, 100))  # each look at the clock finds 100 seconds gone
    monkeypatch.setattr(forecasting.time, "perf_counter", lambda: float(next(ticks)))
    assert main(["forecast", str(tmp_path / "sales.parquet"), "--horizon", str(H), "--json", "--budget", "3000s"]) == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert summary["auto"]["trials"] and summary["backtest"] is None
    assert "the last window of 6 days" in told.err and "No score: no window of this horizon was tried" in told.err


def test_the_network_is_a_member_where_it_is_asked_for(panel, tmp_path):
    if missing_package("spacetime") is not None:
        pytest.skip("needs onnxruntime")
    pytest.importorskip("torch")
    tiny = {"steps": 4, "width": 16, "heads": 2, "layers": 1, "spatial": "none"}
    made = AutoForecaster(AutoSettings(horizon=H, options={**FAST, **tiny}, more=("spacetime",))).fit(panel)
    assert "spacetime" in set(made.trials_["model"])
    assert "spacetime" not in set(AutoForecaster(AutoSettings(horizon=H, options=FAST)).fit(panel).trials_["model"])
    save_forecaster(made, tmp_path / "kept", panel=panel)
    assert load_forecaster(tmp_path / "kept").predict(panel, horizon=H).quantiles.shape == (12, H, 13)


def test_settings_of_auto_are_those_of_its_members():
    assert auto_options({"network": True, "steps": 9, "effort": "fast"}) == ({"steps": 9, "effort": "fast"}, ("spacetime",))
    with pytest.raises(SettingsError, match="'network' of auto is 'yes'; it must be true or false"):
        auto_options({"network": "yes"})
    with pytest.raises(UnknownNameError, match="No setting of auto is called 'steps'"):
        auto_options({"steps": 9})  # of the network, which is no member here

"""`shelfcast backtest`: the run folder, the same numbers for any number of processes, and a killed run that goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.data.split import windows
from shelfcast.errors import SettingsError
from shelfcast.evaluate import metrics
from shelfcast.forecast import Forecast
from shelfcast.models.registry import make_model
from shelfcast.operate.runs import code_hash
from shelfcast.operate.taken import taken
from shelfcast.panel import SalesPanel
from shelfcast.settings import BacktestSettings
from shelfcast.workflow import backtesting
from shelfcast.workflow.pieces import Plan

DAYS, HORIZON, SERIES = 140, 14, 8


def sales(*, later: float = 1.0, after: int = DAYS) -> pl.DataFrame:
    """Eight series in two places, with promotions; what comes after day `after` is multiplied by `later`."""
    rng = np.random.default_rng(5)
    rows = []
    for i in range(SERIES):
        promo = (rng.random(DAYS) < 0.2).astype(float)
        sold = rng.poisson(5 + 3 * i + 4 * promo) * (1.0 if i % 3 else rng.random(DAYS) < 0.4)
        rows += [{"item": f"item {i // 2}", "location": f"place {i % 2}", "date": date(2024, 1, 1) + timedelta(days=d),
                  "sales": float(sold[d]) * (later if d > after else 1.0), "promo": promo[d]} for d in range(DAYS)]
    return pl.DataFrame(rows)


def ask(folder: Path, **changes: Any) -> BacktestSettings:
    """A backtest of two models in two windows."""
    asked: dict[str, Any] = {"sales": sales(), "known": ("promo",), "horizon": HORIZON, "windows": 2,
                             "models": ("profile", "naive"), "run": folder / "run"}
    return BacktestSettings(**{**asked, **changes})


def table(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "run" / "scores.csv", schema_overrides={"group": pl.String})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    workflow.backtest(ask(folder))
    return folder


def test_a_run_folder_holds_all_that_was_found(finished):
    run = finished / "run"
    assert {p.name for p in run.iterdir()} >= {"manifest.json", "settings.toml", "scores.csv", "results.csv", "losses.parquet",
                                                "forecasts", "actuals"}
    assert not (finished / "run.partial").exists()
    scores = table(finished)
    assert scores.columns == ["window", "cutoff", "model", "kind", "group", "series", "metric", "value"]
    assert set(scores["kind"]) >= {"all", "class", "age", "location", "step", "promoted"}
    assert scores["window"].unique().sort().to_list() == [0, 1] and set(scores["model"]) == {"profile", "naive"}
    losses = pl.read_parquet(run / "losses.parquet")
    assert losses.columns == ["window", "cutoff", "model", "item", "location", "class", "scale", "cells", "actual", "absolute",
                              "square", "excess", "absolute_scaled", "quantile", "quantile_scaled", "inside", "symmetric", "crps",
                              "square_scale"]
    assert losses.height == 2 * 2 * SERIES
    manifest = json.loads((run / "manifest.json").read_text())
    assert len(manifest["models"]) == 4 and all(one["trained_on"] == [] for one in manifest["models"])
    results = pl.read_csv(run / "results.csv")
    assert {"shelfcast", "fingerprint", "seed", "settings", "trained_on"} <= set(results.columns)
    assert results["fingerprint"].unique().to_list() == [manifest["fingerprint"]]


def test_scores_are_those_of_the_stored_forecasts_and_actuals(finished):
    scores = table(finished).filter((pl.col("kind") == "all") & (pl.col("model") == "profile"))
    for window, cutoff in scores.select("window", "cutoff").unique(maintain_order=True).rows():
        forecast = Forecast.load(finished / "run" / "forecasts" / "profile" / f"{cutoff}.parquet")
        actual = pl.read_parquet(finished / "run" / "actuals" / f"{cutoff}.parquet")["sales"].to_numpy().reshape(SERIES, HORIZON)
        found = dict(scores.filter(pl.col("window") == window).select("metric", "value").rows())
        assert found["WAPE"] == pytest.approx(metrics.wape(actual, forecast.at(0.5)))
        assert found["CRPS"] == pytest.approx(metrics.crps(actual, forecast.quantiles, np.array(forecast.levels)))
        assert found["Winkler 0.1-0.9"] == pytest.approx(
            metrics.interval_score(actual, forecast.at(0.1), forecast.at(0.9), share=0.8))


def test_losses_by_series_add_up_to_the_scores(finished):
    losses = pl.read_parquet(finished / "run" / "losses.parquet")
    sums = losses.group_by("window", "model").agg(
        (pl.col("absolute").sum() / pl.col("actual").sum()).alias("WAPE"),
        (pl.col("quantile").sum() / pl.col("actual").sum()).alias("WQL"),
        (pl.col("quantile_scaled").sum() / pl.col("cells").sum()).alias("SQL"),
        (pl.col("excess").sum() / pl.col("actual").sum()).alias("bias"),
        (pl.col("symmetric").sum() / pl.col("cells").sum()).alias("sMAPE"),
        (pl.col("crps").sum() / pl.col("cells").sum()).alias("CRPS"),
        (pl.col("inside").sum() / pl.col("cells").sum()).alias("coverage 0.1-0.9"))
    long = sums.unpivot(index=["window", "model"], variable_name="metric", value_name="added")
    joined = long.join(table(finished).filter(pl.col("kind") == "all"), on=["window", "model", "metric"])
    assert joined.height == long.height
    np.testing.assert_allclose(joined["added"], joined["value"])


def test_promoted_days_are_measured_apart(finished):
    panel = SalesPanel.from_frame(sales(), known=["promo"], freq="D")
    window = list(windows(panel, horizon=HORIZON, count=2))[1]
    forecast = make_model("naive").fit(window.past).predict(window.past, horizon=HORIZON)
    promoted = window.later("promo") > 0
    expected = metrics.wape(np.where(promoted, window.truth(), np.nan), forecast.at(0.5))
    found = table(finished).filter((pl.col("kind") == "promoted") & (pl.col("group") == "promoted") & (pl.col("window") == 1)
                                   & (pl.col("model") == "naive") & (pl.col("metric") == "WAPE"))
    assert found["value"].to_list() == [pytest.approx(expected)]


@pytest.mark.parametrize("refit", ["every", "once"])
def test_two_processes_find_what_one_finds(tmp_path, refit):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, jobs in ((one, 1), (two, 2)):
        folder.mkdir()
        workflow.backtest(ask(folder, jobs=jobs, refit=refit))
    assert (one / "run" / "scores.csv").read_bytes() == (two / "run" / "scores.csv").read_bytes()
    assert pl.read_parquet(one / "run" / "losses.parquet").equals(pl.read_parquet(two / "run" / "losses.parquet"))


def test_fitted_once_a_model_has_learned_from_the_oldest_window_alone(tmp_path):
    workflow.backtest(ask(tmp_path, refit="once", models=("profile",)))
    panel = SalesPanel.from_frame(sales(), known=["promo"], freq="D")
    old, new = windows(panel, horizon=HORIZON, count=2)
    forecast = make_model("profile", {"horizon": HORIZON}).fit(old.past).predict(new.past, horizon=HORIZON)
    stored = Forecast.load(tmp_path / "run" / "forecasts" / "profile" / f"{panel.frequency.date(new.past.cutoff)}.parquet")
    np.testing.assert_allclose(stored.quantiles, forecast.quantiles, rtol=1e-9)


def test_what_comes_after_a_window_changes_nothing_in_it(finished, tmp_path):
    """The last day of the older window's truth is day 125; everything later is made fifty times as much."""
    workflow.backtest(ask(tmp_path, sales=sales(later=50.0, after=DAYS - HORIZON - 1)))
    one, two = (table(folder).filter(pl.col("window") == 0) for folder in (finished, tmp_path))
    assert one.height > 100 and one.equals(two)
    newer = [table(folder).filter((pl.col("window") == 1) & (pl.col("metric") == "WAPE")) for folder in (finished, tmp_path)]
    assert not newer[0].equals(newer[1])


def test_windows_may_overlap(tmp_path):
    result = workflow.backtest(ask(tmp_path, step=3, models=("naive",)))
    first, second = (date.fromisoformat(c) for c in result.summary["cutoffs"])
    assert second - first == timedelta(days=3)


def test_a_run_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(finished, tmp_path):
    sales().write_parquet(tmp_path / "sales.parquet")
    command = [sys.executable, "-m", "shelfcast", "backtest", str(tmp_path / "sales.parquet"), "--known", "promo", "--horizon",
               str(HORIZON), "--windows", "2", "--models", "profile,naive", "--run", str(tmp_path / "run"), "--json", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    pieces = tmp_path / "run.partial"
    until = time.monotonic() + 60
    while not list(pieces.glob("profile-*/piece.json")) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run").exists(), "it was to be killed half-way, and had already finished"
    before = {p: p.stat().st_mtime_ns for p in pieces.glob("*/piece.json")}
    assert 1 <= len(before) < 4
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["pieces_kept"] == len(before)
    told = json.loads((tmp_path / "run" / "manifest.json").read_text())["models"]
    assert len({one["process"] for one in told}) == 2
    assert table(tmp_path).equals(table(finished)) and not pieces.exists()


def test_pieces_of_other_sales_are_not_taken(tmp_path):
    settings = ask(tmp_path, models=("naive",))
    result = workflow.backtest(settings)
    other = workflow.backtest(ask(tmp_path, models=("naive",), sales=sales(later=2.0, after=10)))
    assert result.summary["pieces_kept"] == other.summary["pieces_kept"] == 0
    assert result.summary["fingerprint"] != other.summary["fingerprint"]


def test_pieces_that_other_code_made_are_not_taken(tmp_path, monkeypatch):
    """A run is stopped after its pieces are done, and the sources change before it goes on."""
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backtesting, "judge_overrides", stop)
        with pytest.raises(KeyboardInterrupt):
            workflow.backtest(ask(tmp_path, models=("naive",)))
    assert len(list((tmp_path / "run.partial").glob("naive-*"))) == 2
    with monkeypatch.context() as patch:
        patch.setattr(backtesting, "judge_overrides", stop)
        patch.setattr(backtesting, "Plan", partial(Plan, code="other"))
        with pytest.raises(KeyboardInterrupt):
            workflow.backtest(ask(tmp_path, models=("naive",)))
    assert len(list((tmp_path / "run.partial").glob("naive-*"))) == 4
    result = workflow.backtest(ask(tmp_path, models=("naive",)))
    assert result.summary["pieces_kept"] == 2
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert set(result.results["code"]) == {manifest["code"]} == {code_hash()}


def test_a_second_run_into_the_same_folder_is_refused_and_harms_nothing(tmp_path):
    told = r"is at work in .*give another --run"
    with taken(tmp_path / "run.partial", work="another run"), pytest.raises(SettingsError, match=told):
        workflow.backtest(ask(tmp_path, models=("naive",)))
    assert not (tmp_path / "run").exists()
    workflow.backtest(ask(tmp_path, models=("naive",)))
    assert (tmp_path / "run").exists() and not (tmp_path / "run.partial").exists()


@pytest.mark.parametrize(("flags", "words"), [
    (("--models", "nave"), "Did you mean 'naive'"), (("--metrics", "wpae"), "No measure is called 'wpae'. Did you mean 'WAPE'"),
    (("--models", "naive,naive"), "'naive' is named twice"),
    (("--models", ",,"), "at least one model"), (("--metrics", ","), "at least one measure"),
    (("--windows", "0"), "number of windows is 0"), (("--windows", "99"), "need more than"),
    (("--jobs", "0"), "number of jobs is 0"),
    (("--step", "0"), "step between windows is 0"), (("--levels", "0.1,0.9"), "must hold 0.5"),
    (("--set", "trees=3"), "setting of these models"),
    (("--set", "boosted.effort=fast"), "model of this backtest"),
    (("--models", "."), "has seen the windows"), (("--refit", "often"), "invalid choice"),
    (("--max-series", "0"), "series to score is 0"),
    (("--horizon", "x"), "not a whole number"), (("--run", "/nowhere/at/all"), "does not exist"),
])
def test_nonsense_is_refused_before_the_work(tmp_path, capsys, flags, words):
    sales().write_parquet(tmp_path / "sales.parquet")
    asked = {"--horizon": "7", "--windows": "1", "--models": "naive", "--run": str(tmp_path / "run"), **dict([flags])}
    code = main(["backtest", str(tmp_path / "sales.parquet"), "--known", "promo", *(x for pair in asked.items() for x in pair)])
    assert code == 2 and words in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_the_table_says_who_won_and_json_says_the_same(finished, tmp_path, capsys):
    sales().write_parquet(tmp_path / "sales.parquet")
    command = ["backtest", str(tmp_path / "sales.parquet"), "--known", "promo", "--horizon", str(HORIZON), "--windows", "2",
               "--models", "profile,naive", "--metrics", "wape,sql", "--quiet", "--run", str(tmp_path / "run")]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metrics"] == ["WAPE", "SQL"] and f"best by WAPE: {document['won']['model']}" in text
    values = {m: found["WAPE"]["mean"] for m, found in document["models"].items()}
    assert document["won"]["model"] == min(values, key=values.__getitem__)
    assert document["models"]["profile"]["WAPE"]["skill"] == pytest.approx(1 - values["profile"] / values["naive"])
    windows_of = table(tmp_path).filter((pl.col("kind") == "all") & (pl.col("metric") == "WAPE") & (pl.col("model") == "naive"))
    assert document["models"]["naive"]["WAPE"]["spread"] == pytest.approx(windows_of["value"].std())

"""`backtest --hierarchy`: in every window sums are forecast, made to agree with their parts, and scored like series."""

import json
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.errors import SettingsError, UnknownNameError
from shelfcast.forecast import Forecast
from shelfcast.settings import BacktestSettings

DAYS, HORIZON = 98, 7
LEVELS = {"total", "category", "region", "category x region"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two categories of items at three places in two regions; all move together with the weather."""
    folder = tmp_path_factory.mktemp("chain")
    rng = np.random.default_rng(0)
    weather = np.exp(0.2 * rng.normal(size=DAYS))
    mean = (8 + 3 * np.sin(2 * np.pi * np.arange(DAYS) / 7)) * weather
    rows = [{"item": item, "location": place, "date": date(2024, 1, 1) + timedelta(days=d), "sales": int(sold)}
            for item in ("jam", "tea", "rum") for place in ("A", "B", "C") for d, sold in enumerate(rng.poisson(mean))]
    pl.DataFrame(rows).write_csv(folder / "sales.csv")
    pl.DataFrame({"item": ["jam", "tea", "rum"], "category": ["sweet", "drink", "drink"]}).write_csv(folder / "items.csv")
    pl.DataFrame({"location": ["A", "B", "C"], "region": ["north", "north", "south"]}).write_csv(folder / "places.csv")
    return folder


def ask(files, folder, **changes):
    folder.mkdir(exist_ok=True)
    return BacktestSettings(**{"sales": files / "sales.csv", "static": (files / "items.csv", files / "places.csv"),
                               "models": ("naive",), "horizon": HORIZON, "windows": 2, "hierarchy": ("category", "region"),
                               "run": folder / "run", **changes})


def written_on(path, *, first, last, when="2024-03-01"):
    """A file with one override: ten units more of jam in A in each period."""
    pl.DataFrame({"item": ["jam"], "location": ["A"], "first": [first], "last": [last], "kind": ["add"], "amount": [10.0],
                  "who": ["kim"], "when": [when], "why": ["fair"]}).write_csv(path)


@pytest.mark.parametrize("how", ["mint", "bottom_up", "auto"])
def test_in_every_window_series_and_sums_agree_and_sums_are_scored_by_quantiles(files, tmp_path, how):
    said = []
    result = workflow.backtest(ask(files, tmp_path, reconcile=how), say=said.append)
    (cost,) = (s for s in said if "every model is fitted up to" in s)
    assert "replayed 4 times" in cost and "budget" not in cost
    assert ("the levels are forecast, too" in cost) == (how != "bottom_up") == ("added up, not forecast" not in cost)
    for cutoff in result.summary["cutoffs"]:
        bottom = Forecast.load(tmp_path / "run" / "forecasts" / "naive" / f"{cutoff}.parquet")
        folder = tmp_path / "run" / "levels" / "naive" / cutoff
        levels = {path.stem: Forecast.load(path) for path in folder.iterdir()}
        assert set(levels) == {name.replace(" ", "-") for name in LEVELS}
        assert np.allclose(levels["total"].mean[0], bottom.mean.sum(axis=0), atol=1e-6)
        actual = pl.read_parquet(tmp_path / "run" / "actuals" / f"{cutoff}.parquet").group_by("date").agg(pl.col("sales").sum())
        truth = actual.sort("date")["sales"].to_numpy()
        rows = result.scores.filter((pl.col("cutoff") == cutoff) & (pl.col("kind") == "level") & (pl.col("group") == "total"))
        found = dict(rows.select("metric", "value").iter_rows())
        total = levels["total"]
        inside = (total.at(0.1)[0] <= truth) & (truth <= total.at(0.9)[0])
        assert found["coverage 0.1-0.9"] == pytest.approx(inside.mean())
        assert found["WAPE"] == pytest.approx(np.abs(truth - total.at(0.5)[0]).sum() / truth.sum())
        assert {"WQL", "SQL", "pinball q0.1", "coverage q0.95", "coverage 0.01-0.99", "WRMSSE"} <= set(found)
    assert set(result.scores.filter((pl.col("kind") == "level") & (pl.col("metric") == "WQL"))["group"]) == LEVELS
    told = json.loads((tmp_path / "run" / "manifest.json").read_text())["models"][0]["reconciled"]
    assert told["method"] == how or (how == "auto" and told["replayed"]["method"] == told["method"])


def test_sums_that_are_only_added_up_are_not_said_to_be_forecast_and_a_budget_not_to_bound_them(files, tmp_path):
    table = pl.read_csv(files / "sales.csv", try_parse_dates=True)
    short = table.filter(pl.col("date") < date(2024, 1, 1) + timedelta(days=14))
    told = {}
    for name, changes in (("short", {"sales": short, "reconcile": "bottom_up", "horizon": 8}),
                          ("budget", {"reconcile": "wls", "budget": "1h"})):
        said = []
        settings = ask(files, tmp_path / name, windows=1, **changes)
        workflow.backtest(settings, say=said.append)
        (told[name],) = (s for s in said if s.startswith("Sums by"))
    assert "fitted no more often" in told["short"] and "forecast, too" not in told["short"]
    assert "for the levels are forecast, too. The time budget does not bound these fits." in told["budget"]


def test_without_a_hierarchy_levels_of_the_attributes_have_quantiles_too(files, tmp_path):
    result = workflow.backtest(ask(files, tmp_path, hierarchy=()))
    rows = result.scores.filter((pl.col("kind") == "level") & (pl.col("metric") == "coverage 0.01-0.99"))
    assert set(rows["group"]) >= LEVELS and rows["value"].is_between(0.5, 1).all()
    assert not (tmp_path / "run" / "levels").exists()


def test_what_comes_after_a_window_changes_nothing_of_its_sums(files, tmp_path):
    table = pl.read_csv(files / "sales.csv", try_parse_dates=True)
    late = pl.col("date") > date(2024, 1, 1) + timedelta(days=DAYS - HORIZON - 1)
    changed = table.with_columns(pl.when(late).then(pl.col("sales") * 3).otherwise(pl.col("sales")).alias("sales"))
    found = []
    for name, sales in (("as it was", table), ("altered", changed)):
        result = workflow.backtest(ask(files, tmp_path / name, sales=sales, reconcile="mint", windows=1))
        folder = tmp_path / name / "run" / "levels" / "naive" / result.summary["cutoffs"][0]
        found.append({path.name: Forecast.load(path).quantiles for path in folder.iterdir()})
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0]) and found[0]


def test_two_processes_and_one_find_the_same_and_overridden_sums_go_along(files, tmp_path):
    written_on(tmp_path / "o.csv", first="2024-04-01", last="2024-04-07")
    one, two = (workflow.backtest(ask(files, tmp_path / str(jobs), reconcile="bottom_up", jobs=jobs, overrides=tmp_path / "o.csv"))
                for jobs in (1, 2))
    assert one.scores.sort(pl.all()).equals(two.scores.sort(pl.all()))
    run = tmp_path / "1" / "run" / "levels"
    last = one.summary["cutoffs"][-1]
    plain, moved = (Forecast.load(run / name / last / "total.parquet").mean for name in ("naive", "naive + overrides"))
    assert (moved - plain).sum() == pytest.approx(70)


def test_sums_left_apart_do_not_move_where_no_override_stands(files, tmp_path):
    written_on(tmp_path / "o.csv", first="2024-04-01", last="2024-04-07")  # stands in the second window alone
    result = workflow.backtest(ask(files, tmp_path, reconcile="none", overrides=tmp_path / "o.csv"))
    run = tmp_path / "run" / "levels"
    for cutoff in result.summary["cutoffs"]:
        for plain in (run / "naive" / cutoff).iterdir():
            assert pl.read_parquet(run / "naive + overrides" / cutoff / plain.name).equals(pl.read_parquet(plain))
    sums = result.scores.filter((pl.col("kind") == "level") & (pl.col("metric") == "WQL"))
    values = dict(sums.filter(pl.col("window") == 0).group_by("model").agg(pl.col("value").sort_by("group")).iter_rows())
    assert set(values) == {"naive", "naive + overrides"} and values["naive"] == values["naive + overrides"]


def test_sums_of_two_quarters_go_along_with_overrides(tmp_path):
    rng = np.random.default_rng(1)
    firsts = [date(2014 + k // 4, 3 * (k % 4) + 1, 1) for k in range(40)]
    sales = pl.DataFrame([{"item": item, "location": place, "date": day, "sales": int(rng.poisson(50))}
                          for item in ("jam", "tea") for place in ("A", "B") for day in firsts])
    written_on(tmp_path / "o.csv", first="2023-07-01", last="2023-12-31", when="2023-06-01")
    result = workflow.backtest(BacktestSettings(sales=sales, models=("naive",), horizon=2, windows=1, hierarchy=("item",), freq="Q",
                                                reconcile="bottom_up", run=tmp_path / "run", overrides=tmp_path / "o.csv"))
    plain, moved = (pl.read_parquet(tmp_path / "run" / "levels" / name / result.summary["cutoffs"][0] / "item.parquet")
                    for name in ("naive", "naive + overrides"))
    assert (moved["mean"] - plain["mean"]).to_list() == pytest.approx([10, 10, 0, 0])  # jam, tea


def test_a_sample_of_series_is_summed_as_it_is_scored(files, tmp_path):
    result = workflow.backtest(ask(files, tmp_path, reconcile="wls", max_series=5, windows=1))
    bottom = Forecast.load(tmp_path / "run" / "forecasts" / "naive" / f"{result.summary['cutoffs'][0]}.parquet")
    total = Forecast.load(tmp_path / "run" / "levels" / "naive" / result.summary["cutoffs"][0] / "total.parquet")
    assert len(bottom) == 5 and np.allclose(total.mean[0], bottom.mean.sum(axis=0), atol=1e-6)


def test_what_cannot_be_reconciled_is_refused_before_the_work(files, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'category'"):
        workflow.backtest(ask(files, tmp_path, hierarchy=("categry",)))
    with pytest.raises(SettingsError, match="give --hierarchy"):
        ask(files, tmp_path, hierarchy=(), reconcile="mint")
    with pytest.raises(SettingsError, match="--own-ends"):
        ask(files, tmp_path, own_ends=True)
    with pytest.raises(SettingsError, match="--refit once"):
        ask(files, tmp_path, refit="once")


def test_the_command_line_reads_the_flags_as_forecast_does(files, tmp_path, capsys):
    code = main(["backtest", str(files / "sales.csv"), "--static", str(files / "items.csv"), "--horizon", "7", "--windows", "1",
                 "--models", "naive", "--hierarchy", "category", "--reconcile", "wls", "--run", str(tmp_path / "run"), "--json"])
    assert code == 0 and json.loads(capsys.readouterr().out)["models"]["naive"]
    assert {path.stem for path in (tmp_path / "run" / "levels" / "naive").glob("*/*")} == {"total", "category"}

"""`--overrides` of forecast and backtest: what comes out, what is kept, and what is refused before the work starts."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from adjust.override_cases import one, overrides
from broken.builders import FIRST, forecast, sales_csv, sound
from shelfcast import workflow
from shelfcast.adjust.override_table import read_overrides
from shelfcast.adjust.value_added import in_words, judge_moves, value_added
from shelfcast.cli.main import main
from shelfcast.forecast import Forecast
from shelfcast.settings import BacktestSettings, ForecastSettings

NEXT = FIRST + timedelta(days=60)  # the sound sales have 60 days
KEYS = ["item", "location", "date"]


def written(folder: Path, *rows: dict) -> Path:
    path = folder / "overrides.csv"
    overrides(*rows).table.drop("row").write_csv(path)
    return path


def test_the_result_is_the_overridden_forecast_and_the_run_keeps_the_models_own(tmp_path, capfd):
    given = written(tmp_path, one("value", 40, item="item0", location="shop1", first=NEXT, id="x"),
                    one("value", 30, location="shop0", first=NEXT, who="bob"), one("lock", 9, item="item1", first=date(2030, 1, 1)))
    plain, out, run = tmp_path / "plain.parquet", tmp_path / "f.parquet", tmp_path / "run"
    assert main([*forecast(sales_csv(tmp_path)), "--out", str(plain)]) == 0
    assert main([*forecast(sales_csv(tmp_path)), "--out", str(out), "--run", str(run), "--overrides", str(given)]) == 0
    said = capfd.readouterr()
    assert "overrides  ann moved 1 periods" in said.out and "Of 3 overrides, 1 speak of other days" in said.err
    own, moved, result = (pl.read_parquet(p) for p in (run / "forecast.parquet", run / "overridden.parquet", out))
    assert own.equals(pl.read_parquet(plain)) and moved.equals(result)
    first = result.filter(pl.col("date") == NEXT)
    assert first.filter((pl.col("item") == "item0") & (pl.col("location") == "shop1"))["mean"].item() == 40
    assert first.filter(pl.col("location") == "shop0")["mean"].sum() == pytest.approx(30)
    ledger = pl.read_csv(run / "ledger.csv", try_parse_dates=True)
    changed = own.join(moved, on=KEYS, suffix=" after").filter(pl.col("mean") != pl.col("mean after"))
    assert changed.select(KEYS).sort(KEYS).equals(ledger.select(KEYS).sort(KEYS)) and set(ledger["who"]) == {"ann", "bob"}
    assert read_overrides(run / "overrides.csv").table.equals(read_overrides(given).table)


def test_in_batches_the_numbers_are_the_same(tmp_path):
    table = overrides(one("value", 100, first=NEXT), one("add", 5, location="shop1", first=NEXT + timedelta(days=1))).table
    made = []
    for batch in (1, 3, 100):
        out = tmp_path / f"{batch}.parquet"
        workflow.forecast(ForecastSettings(sales=sales_csv(tmp_path), horizon=3, model="naive", backtest=False, batch=batch,
                                           out=out, overrides=table))
        made.append(pl.read_parquet(out))
    for other in made[1:]:
        assert other.select(KEYS).equals(made[0].select(KEYS))
        np.testing.assert_allclose(other.drop(KEYS).to_numpy(), made[0].drop(KEYS).to_numpy())
    assert made[0].filter(pl.col("date") == NEXT)["mean"].sum() == pytest.approx(100)


def test_the_summary_counts_what_was_moved(tmp_path, capfd):
    given = written(tmp_path, one("factor", 2, item="item0", first=NEXT))
    assert main([*forecast(sales_csv(tmp_path)), "--json", "--overrides", str(given)]) == 0
    found = json.loads(capfd.readouterr().out)["overrides"]
    assert (found["given"], found["standing"], found["periods"], found["down"]) == (1, 1, 2, 0) and found["by"][0]["who"] == "ann"
    assert main([*forecast(sales_csv(tmp_path)), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["overrides"] is None


@pytest.mark.parametrize(("change", "code", "words"), [
    ({"kind": "factr"}, 2, "No kind of override is called 'factr'"), ({"amount": -3.0}, 1, "negative amount -3"),
    ({"item": "itm0"}, 2, "No item is called 'itm0'. Did you mean 'item0'?"), ({"who": ""}, 1, "does not say who"),
    ({"category": "food"}, 2, "No attribute of items or places is called 'category'"),
])
def test_a_mistake_is_told_before_anything_is_fitted_or_written(change, code, words, tmp_path, capfd):
    row = {**one("value", 3, item="item0", first=NEXT), **change}
    pl.DataFrame([row]).write_csv(tmp_path / "o.csv")
    out = tmp_path / "f.parquet"
    assert main([*forecast(sales_csv(tmp_path)), "--out", str(out), "--overrides", str(tmp_path / "o.csv")]) == code
    said = capfd.readouterr().err
    assert words in said and "Model:" not in said and not out.exists()


def test_a_result_must_not_replace_the_overrides(tmp_path, capfd):
    given = written(tmp_path, one("value", 3, first=NEXT))
    assert main([*forecast(sales_csv(tmp_path)), "--out", str(given), "--overrides", str(given)]) == 2
    assert "is one of the files that are read" in capfd.readouterr().err


def test_a_withdrawn_series_may_be_spoken_of(tmp_path, capfd):
    gone = sound(days=260).filter((pl.col("item") != "item0") | (pl.col("date") < FIRST + timedelta(days=20)))
    given = written(tmp_path, one("value", 3, item="item0", first=FIRST + timedelta(days=260)))
    assert main([*forecast(sales_csv(tmp_path, gone)), "--overrides", str(given)]) == 0
    assert "withdrawn" in (said := capfd.readouterr()).out and "1 override of nothing that is forecast" in said.err


def test_what_a_run_kept_is_judged_when_the_sales_have_come(tmp_path):
    given = written(tmp_path, one("lock", 6, first=NEXT, location="shop0"),
                    one("factor", 3, item="item1", location="shop1", first=NEXT))
    run = tmp_path / "run"
    assert main([*forecast(sales_csv(tmp_path)), "--quiet", "--run", str(run), "--overrides", str(given)]) == 0
    came = np.where(np.arange(4)[:, None] % 2, 20.0, np.array([[3.0, np.nan, np.nan]]))
    judged = judge_moves(Forecast.load(run / "forecast.parquet"), Forecast.load(run / "overridden.parquet"),
                         pl.read_csv(run / "ledger.csv", try_parse_dates=True), actual=came)
    assert judged.height == 3 and judged["error after"].is_finite().all()
    assert in_words(value_added(judged)).startswith("2 overrides moved")


def test_a_backtest_scores_the_overridden_forecast_beside_the_models_own(tmp_path, capfd):
    day = FIRST + timedelta(days=57)
    truth = sound().filter((pl.col("date") == day) & (pl.col("item") == "item0"))
    rows = [one("value", row["sales"], item="item0", location=row["location"], first=day, when=datetime(2024, 2, 1), why="knows")
            for row in truth.to_dicts()]
    given = written(tmp_path, *rows, one("factor", 4, item="item1", first=day, when=datetime(2024, 2, 1), who="bob", why="hopes"))
    asked = ["backtest", str(sales_csv(tmp_path)), "--horizon", "5", "--windows", "2", "--models", "naive", "--run",
             str(tmp_path / "run"), "--overrides", str(given)]
    assert main(asked) == 0
    assert "overrides of naive: 3 overrides moved" in capfd.readouterr().out
    added = pl.read_csv(tmp_path / "run" / "value_added.csv")
    by = dict(added.filter(pl.col("by") == "who").select("group", "value added").iter_rows())
    assert by["ann"] > 0 > by["bob"], "what is known helps, what is hoped does not"
    scores = pl.read_csv(tmp_path / "run" / "scores.csv").filter((pl.col("kind") == "all") & (pl.col("metric") == "WAPE"))
    wape = {(w, m): v for w, m, v in scores.select("window", "model", "value").iter_rows()}
    assert wape[0, "naive"] == wape[0, "naive + overrides"] and wape[1, "naive"] != wape[1, "naive + overrides"]
    losses = pl.read_parquet(tmp_path / "run" / "losses.parquet")
    assert losses.filter(pl.col("model") == "naive + overrides").height == losses.filter(pl.col("model") == "naive").height
    kept = tmp_path / "run" / "forecasts" / "naive + overrides"
    assert len(list(kept.glob("*.parquet"))) == 2
    # errors of the ledger are the errors of the scores
    ledger, n = pl.read_parquet(tmp_path / "run" / "ledger.parquet"), 4 * 5
    gained = (ledger["error before"] - ledger["error after"]).sum()
    size = sound().filter(pl.col("date") >= FIRST + timedelta(days=55))["sales"].sum()
    assert wape[1, "naive"] - wape[1, "naive + overrides"] == pytest.approx(gained / size) and ledger.height < n


def test_of_a_sample_no_total_is_applied_and_series_with_ends_of_their_own_are_judged_at_their_own_cutoffs(tmp_path):
    said: list[str] = []
    table = sound().filter((pl.col("item") != "item1") | (pl.col("date") < FIRST + timedelta(days=50)))
    day = FIRST + timedelta(days=47)  # in the window of item1, which ends ten days before the others
    given = overrides(one("factor", 2, item="item1", first=day, when=datetime(2024, 2, 1)),
                      one("value", 9, first=day, last=NEXT, when=datetime(2024, 2, 1))).table
    ask = BacktestSettings(sales=sales_csv(tmp_path, table), horizon=5, windows=1, models=("naive",), own_ends=True,
                           overrides=given, run=tmp_path / "run")
    result = workflow.backtest(ask, say=said.append)
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    assert ledger["item"].unique().to_list() == ["item1"] and ledger["cutoff"].unique().to_list() == [date(2024, 2, 14)]
    assert any("not applied" in s for s in said) and result.summary["overrides"]["naive"]["periods"] == 2

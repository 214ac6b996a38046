"""The command line's contract: what later work, and programs that call it, rely on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from broken.builders import FIRST, sales_csv, sound
from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.names import LEVELS, quantile_column
from shelfcast.settings import ForecastSettings

KEYS = ["item", "location", "date"]
QUANTILES = [quantile_column(q) for q in LEVELS]


@dataclass(frozen=True)
class Answer:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def shelfcast(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command in this process."""
    def run(*arguments: object) -> Answer:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        return Answer(code, *capfd.readouterr())
    return run


@pytest.fixture
def forecast(shelfcast: Callable[..., Answer], tmp_path: Path) -> Callable[..., pl.DataFrame]:
    """Forecast a table by naive without a backtest, and give the table that was written."""
    def run(sales: pl.DataFrame | Path, *flags: object, horizon: int = 3, model: str = "naive") -> pl.DataFrame:
        if isinstance(sales, pl.DataFrame):
            sales.write_parquet(tmp_path / "sales.parquet")
            sales = tmp_path / "sales.parquet"
        out = tmp_path / "f.parquet"
        answer = shelfcast("forecast", sales, "--horizon", horizon, "--model", model, "--no-backtest", "--out", out, *flags)
        assert answer.code == 0, answer.err
        return pl.read_parquet(out)
    return run


def weekly(weekday: int, weeks: int = 30) -> pl.DataFrame:
    """Sales by week, dated on one weekday, 1 Monday to 7 Sunday."""
    first = FIRST + timedelta(days=weekday - FIRST.isoweekday())
    return pl.DataFrame([{"item": i, "location": "shop", "date": first + timedelta(weeks=t), "sales": 5 + (t + i) % 4}
                         for i in (1, 2) for t in range(weeks)])


def steps(table: pl.DataFrame) -> set[timedelta]:
    """Steps between the dates of the first series."""
    dates = table.filter((pl.col("item") == table["item"][0]) & (pl.col("location") == table["location"][0]))["date"]
    return set(dates.diff().drop_nulls())


# -- the result -------------------------------------------------------------------------------------------------------


def test_columns_order_and_completeness(forecast) -> None:
    table = forecast(sound())
    assert table.columns == [*KEYS, "mean", *QUANTILES]
    assert table.select(KEYS).equals(table.select(KEYS).sort(KEYS)) and not table.select(KEYS).is_duplicated().any()
    assert table.height == 4 * 3 and table.group_by("item", "location").len()["len"].to_list() == [3] * 4
    assert table["date"].min() == FIRST + timedelta(days=60)


@pytest.mark.parametrize("model", ["naive", "profile", "boosted"])
def test_quantiles_are_finite_rise_and_are_not_negative(model: str, forecast) -> None:
    quantiles = forecast(sound(), model=model).select(QUANTILES).to_numpy()
    assert np.isfinite(quantiles).all() and (np.diff(quantiles, axis=1) >= 0).all() and (quantiles >= 0).all()


def test_sales_net_of_returns_may_be_forecast_below_zero(forecast) -> None:
    table = sound().with_columns(sales=-pl.col("sales"))
    assert (forecast(table, "--returns", "net")["q0.5"] < 0).all()


@pytest.mark.parametrize("kind", [pl.Int64, pl.Int32, pl.String])
def test_keys_keep_the_type_that_they_have_in_the_input(kind, forecast) -> None:
    table = sound().with_columns(pl.col("item").str.slice(4).cast(pl.Int64).cast(kind), location=pl.lit(7).cast(kind))
    made = forecast(table)
    assert made.schema["item"] == kind and made.schema["location"] == kind


def test_whole_numbers_in_a_csv_sort_as_numbers_and_leading_zeros_stay(forecast, tmp_path: Path) -> None:
    numbers = pl.concat([sound(items=1, locations=1).with_columns(item=pl.lit(i), location=pl.lit(f"00{i}")) for i in (2, 10)])
    made = forecast(sales_csv(tmp_path, numbers))
    assert made["item"].unique(maintain_order=True).to_list() == [2, 10]
    assert made["location"].unique(maintain_order=True).to_list() == ["002", "0010"]


@pytest.mark.parametrize("weekday", [1, 3, 5, 7])
def test_weekly_sales_keep_their_weekday(weekday: int, forecast) -> None:
    made = forecast(weekly(weekday))
    assert made.schema["date"] == pl.Date and set(made["date"].dt.weekday()) == {weekday} and steps(made) == {timedelta(days=7)}
    assert made["date"].min() == weekly(weekday)["date"].max() + timedelta(days=7)


def test_transactions_summed_to_weeks_are_dated_on_mondays(forecast) -> None:
    lines = pl.concat([sound(days=77).with_columns(invoice=pl.lit(i)) for i in range(3)])
    made = forecast(lines, "--freq", "W")
    assert set(made["date"].dt.weekday()) == {1} and steps(made) == {timedelta(days=7)}


def test_months_are_dated_on_their_first_day_whatever_day_the_input_uses(forecast) -> None:
    for day in ("1mo", "month_end"):
        months = pl.date_range(date(2021, 1, 1), date(2023, 12, 1), "1mo", eager=True)
        months = months.dt.month_end() if day == "month_end" else months
        table = pl.DataFrame({"item": "tea", "date": months, "sales": [10 + i % 12 for i in range(len(months))]})
        made = forecast(table)
        assert made["date"].to_list() == [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]


def test_hours_are_datetimes(forecast) -> None:
    table = pl.DataFrame([{"item": "tea", "date": datetime(2024, 1, 1) + timedelta(hours=t), "sales": 1 + t % 24}
                          for t in range(240)])
    made = forecast(table)
    assert made["date"].to_list() == [datetime(2024, 1, 11, h) for h in range(3)]


@pytest.mark.parametrize(("left", "whole"), [("item", "location"), ("location", "item")])
def test_an_absent_key_is_called_all(left: str, whole: str, forecast) -> None:
    made = forecast((sound(items=2, locations=1) if left == "item" else sound(items=1, locations=2)).drop(whole))
    assert set(made[whole]) == {"all"} and made[left].n_unique() == 2


def test_sales_without_any_key_are_one_series(forecast) -> None:
    made = forecast(sound(items=1, locations=1).select("date", "sales"))
    assert made.select("item", "location").unique().rows() == [("all", "all")]


def test_every_sold_series_is_whole_and_withdrawn_ones_are_listed(forecast, shelfcast, tmp_path: Path) -> None:
    table = sound(days=400).filter(~((pl.col("item") == "item0") & (pl.col("date") > FIRST + timedelta(days=100))))
    made = forecast(table, "--run", tmp_path / "run")
    assert made.select("item", "location").unique().sort("location").rows() == [("item1", "shop0"), ("item1", "shop1")]
    withdrawn = pl.read_csv(tmp_path / "run" / "withdrawn.csv")
    assert withdrawn["item"].to_list() == ["item0", "item0"] and withdrawn["reason"].str.len_chars().min() > 5
    answer = shelfcast("forecast", tmp_path / "sales.parquet", "--horizon", 2, "--model", "naive", "--no-backtest")
    assert "2 of 4 series are judged withdrawn" in answer.err and "2 series are no longer sold" in answer.out


def test_only_rows_up_to_the_cutoff_are_history(forecast) -> None:
    cutoff = FIRST + timedelta(days=49)
    changed = sound().with_columns(sales=pl.when(pl.col("date") > cutoff).then(1e6).otherwise("sales"))
    one, other = (forecast(t, "--cutoff", cutoff) for t in (sound(), changed))
    assert one.equals(other) and one["date"].min() == cutoff + timedelta(days=1)


def test_a_known_covariate_after_the_cutoff_is_used(forecast) -> None:
    table = sound(days=400).with_columns(promo=(pl.col("date").dt.day() % 5 == 0).cast(pl.Int8))
    table = table.with_columns(sales=pl.when(pl.col("promo") == 1).then(30.0).otherwise(5.0))
    cutoff = FIRST + timedelta(days=380)
    made = forecast(table, "--known", "promo", "--cutoff", cutoff, horizon=10, model="boosted")
    promoted = made.filter(pl.col("date").dt.day() % 5 == 0)["q0.5"].mean()
    assert promoted > 2 * made.filter(pl.col("date").dt.day() % 5 != 0)["q0.5"].mean()


def test_the_future_of_a_covariate_may_come_in_a_file_of_its_own(forecast, tmp_path: Path) -> None:
    rain = pl.DataFrame({"date": [FIRST + timedelta(days=t) for t in range(70)], "rain": [t % 2 for t in range(70)]})
    rain.write_csv(tmp_path / "rain.csv")
    assert forecast(sound(), "--covariates", tmp_path / "rain.csv", "--known", "rain").height == 12


def test_asked_levels_are_the_columns(forecast) -> None:
    assert forecast(sound(), "--levels", "0.025,0.5,0.975").columns == [*KEYS, "mean", "q0.025", "q0.5", "q0.975"]


@pytest.mark.parametrize("model", ["auto", "profile", "boosted"])
def test_a_model_that_is_to_learn_fewer_periods_than_are_asked_for_is_refused(model: str, shelfcast, tmp_path: Path) -> None:
    sound(days=200).write_parquet(tmp_path / "sales.parquet")
    answer = shelfcast("forecast", tmp_path / "sales.parquet", "--horizon", 7, "--model", model, "--set", "horizon=3",
                       "--out", tmp_path / "f.parquet")
    assert answer.code == 2 and "horizon=3" in answer.err and "--horizon 3" in answer.err
    assert not (tmp_path / "f.parquet").exists()


# -- doors that agree -------------------------------------------------------------------------------------------------


def test_parquet_and_csv_hold_the_same_numbers(forecast, shelfcast, tmp_path: Path) -> None:
    made = forecast(sound())
    answer = shelfcast("forecast", tmp_path / "sales.parquet", "--horizon", 3, "--model", "naive", "--no-backtest",
                       "--out", tmp_path / "f.csv")
    assert answer.code == 0
    assert pl.read_csv(tmp_path / "f.csv", try_parse_dates=True).equals(made)


def test_a_csv_and_a_parquet_of_the_same_sales_give_the_same_forecast(forecast, tmp_path: Path) -> None:
    assert forecast(sound()).equals(forecast(sales_csv(tmp_path)))


@pytest.mark.parametrize("model", ["profile", "boosted"])
def test_two_runs_give_the_same_numbers_and_so_does_a_model_fitted_before(model: str, forecast, shelfcast, tmp_path: Path) -> None:
    table = sound(days=300)
    one, other = forecast(table, model=model), forecast(table, model=model)
    assert one.equals(other)
    fitted = shelfcast("fit", tmp_path / "sales.parquet", "--horizon", 3, "--model", model, "--run", tmp_path / "fitted")
    assert fitted.code == 0 and "--model" in fitted.out
    assert forecast(table, model=str(tmp_path / "fitted")).equals(one)
    assert forecast(table, model=str(tmp_path / "fitted" / "model")).equals(one)


def test_scoring_a_fitted_model_first_does_not_change_its_forecast(shelfcast, tmp_path: Path) -> None:
    sales = sales_csv(tmp_path, sound(days=300))
    assert shelfcast("fit", sales, "--horizon", 3, "--model", "boosted", "--run", tmp_path / "fitted").code == 0
    tables = []
    for flags in (["--no-backtest"], []):
        answer = shelfcast("forecast", sales, "--horizon", 3, "--model", tmp_path / "fitted", "--out", tmp_path / "f.parquet",
                           *flags)
        assert answer.code == 0, answer.err
        tables.append(pl.read_parquet(tmp_path / "f.parquet"))
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("model", ["profile", "boosted"])
def test_the_size_of_a_batch_changes_no_number(model: str, tmp_path: Path) -> None:
    sound(days=120, items=4, locations=3).write_parquet(tmp_path / "sales.parquet")
    tables = []
    for batch in (1, 5, 4096):
        workflow.forecast(ForecastSettings(sales=tmp_path / "sales.parquet", horizon=3, model=model, backtest=False, batch=batch,
                                           out=tmp_path / "f.parquet"))
        tables.append(pl.read_parquet(tmp_path / "f.parquet"))
    for other in tables[1:]:  # sums over one row are taken in another order than over many: the last digit may differ
        assert_frame_equal(tables[0], other, rel_tol=1e-12)


def test_python_gives_the_numbers_of_the_command_line(forecast, tmp_path: Path) -> None:
    from shelfcast.data.clean import clean_sales
    from shelfcast.data.read import read_sales
    from shelfcast.models.registry import make_model

    made = forecast(sound(days=200), model="boosted")
    panel = clean_sales(read_sales(tmp_path / "sales.parquet")).panel
    by_hand = make_model("boosted", {"horizon": 3}).fit(panel).predict(panel, horizon=3).to_frame()
    assert by_hand.equals(made)


# -- the run folder ---------------------------------------------------------------------------------------------------


def test_a_run_folder_holds_everything_and_always_the_default_levels(forecast, tmp_path: Path) -> None:
    run = tmp_path / "run"
    made = forecast(sound(), "--levels", "0.5,0.75", "--run", run)
    assert made.columns == [*KEYS, "mean", "q0.5", "q0.75"]
    assert {p.name for p in run.iterdir()} >= {"settings.toml", "manifest.json", "forecast.parquet", "findings.csv", "changes.csv",
                                               "rejected.csv", "withdrawn.csv", "model", "report.html"}
    kept = pl.read_parquet(run / "forecast.parquet")
    assert kept.columns == [*KEYS, "mean", *sorted({*QUANTILES, "q0.75"}, key=lambda c: float(c[1:]))]
    assert kept.select(made.columns).equals(made)
    manifest = json.loads((run / "manifest.json").read_text())
    assert {"shelfcast", "made", "python", "packages", "seed", "fingerprint", "device", "why_device", "seconds", "model",
            "why_model", "settings"} <= set(manifest)


def test_the_settings_of_a_run_can_be_read_and_run_again(forecast, tmp_path: Path) -> None:
    import tomllib

    made = forecast(sound(), "--run", tmp_path / "run", "--levels", "0.1,0.9", "--cutoff", "2024-02-20")
    settings = tomllib.loads((tmp_path / "run" / "settings.toml").read_text())
    assert settings["horizon"] == 3 and settings["cutoff"] == date(2024, 2, 20) and settings["levels"] == [0.1, 0.9]
    again = {**settings, "levels": tuple(settings["levels"]), "out": tmp_path / "again.parquet", "run": None}
    workflow.forecast(ForecastSettings(**again))
    assert pl.read_parquet(tmp_path / "again.parquet").equals(made)


def test_a_backtest_is_told_and_kept(shelfcast, tmp_path: Path) -> None:
    sales = sales_csv(tmp_path)
    answer = shelfcast("forecast", sales, "--horizon", 3, "--model", "naive", "--run", tmp_path / "run")
    assert answer.code == 0 and "beside the seasonal naive forecast" in answer.out
    assert pl.read_csv(tmp_path / "run" / "scores.csv").height > 0


def test_names_that_a_spreadsheet_would_run_are_harmless_in_the_tables_for_people(forecast, tmp_path: Path) -> None:
    gone = pl.col("date") > FIRST + timedelta(days=60)
    table = sound(days=300).with_columns(item=pl.lit("=cmd|' /C calc'!A0"), sales=pl.when(gone).then(0).otherwise("sales"))
    both = pl.concat([table, sound(days=300)])
    made = forecast(both, "--run", tmp_path / "run")
    for name in ("withdrawn", "findings", "rejected"):
        text = (tmp_path / "run" / f"{name}.csv").read_text()
        assert not any(cell.startswith(("=", "+", "@")) for line in text.splitlines() for cell in line.replace('"', "").split(","))
    assert "'=cmd|" in (tmp_path / "run" / "withdrawn.csv").read_text() or "=cmd|' /C calc'!A0" in set(made["item"])


def test_names_that_a_browser_would_run_are_texts_in_the_report(forecast, tmp_path: Path) -> None:
    name = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    forecast(sound().with_columns(item=pl.lit(name) + pl.col("item")), "--report", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<script>alert(1)" not in page and "<img src=x" not in page and "&lt;script&gt;alert(1)" in page


# -- talk, codes and documents ----------------------------------------------------------------------------------------


def test_results_go_to_stdout_and_talk_to_stderr(shelfcast, tmp_path: Path) -> None:
    sales = sales_csv(tmp_path)
    answer = shelfcast("forecast", sales, "--horizon", 3, "--model", "naive", "--no-backtest")
    assert answer.code == 0 and "Forecast of 4 series over 3 periods" in answer.out and "item0" in answer.out
    assert "Model: naive" in answer.err and "Model: naive" not in answer.out


def test_quiet_says_nothing_but_errors(shelfcast, tmp_path: Path) -> None:
    sales = sales_csv(tmp_path)
    assert shelfcast("forecast", sales, "--horizon", 3, "--model", "naive", "--no-backtest", "--quiet").err == ""
    wrong = shelfcast("forecast", tmp_path / "absent.csv", "--horizon", 3, "--quiet")
    assert wrong.code == 2 and "There is no file" in wrong.err


@pytest.mark.parametrize("verb", [["check", "SALES"], ["models"], ["doctor"], ["clean", "SALES", "--out", "OUT"],
                                  ["fit", "SALES", "--horizon", "3", "--model", "naive", "--run", "OUT"],
                                  ["forecast", "SALES", "--horizon", "3", "--model", "naive", "--run", "OUT"]],
                         ids=lambda verb: verb[0])
def test_json_is_one_document_on_stdout(verb: list[str], shelfcast, tmp_path: Path) -> None:
    put = {"SALES": sales_csv(tmp_path), "OUT": tmp_path / "out"}
    answer = shelfcast(*(put.get(word, word) for word in verb), "--json")
    assert answer.code == 0 and isinstance(answer.document, dict)


@pytest.mark.parametrize("wrong", [["forecast", "absent.csv", "--horizon", "3"], ["forecast", "x", "--horizon", "zero"],
                                   ["forecast", "x", "--horizon", "3", "--modle", "a"], ["forecats", "x"], ["check"]])
def test_an_error_is_one_json_document_too(wrong: list[str], shelfcast) -> None:
    answer = shelfcast(*wrong, "--json")
    assert answer.code == 2 and answer.document["error"]["exit"] == 2
    assert answer.document["error"]["message"] in answer.err


def test_check_ends_with_one_where_the_data_have_an_error(shelfcast, tmp_path: Path) -> None:
    assert shelfcast("check", sales_csv(tmp_path)).code == 0
    rain = pl.DataFrame({"date": [FIRST + timedelta(days=t) for t in range(61)], "rain": 1.0})
    rain.write_parquet(tmp_path / "rain.parquet")
    wrong = ["check", tmp_path / "sales.csv", "--covariates", tmp_path / "rain.parquet", "--known", "rain", "--horizon", 9]
    answer = shelfcast(*wrong, "--json")
    severities = {f["severity"] for f in answer.document["findings"]}
    assert answer.code == ("ERROR" in severities) == 1
    assert shelfcast(*wrong).code == 1


def test_clean_leaves_the_input_and_cleaning_again_changes_nothing(shelfcast, tmp_path: Path) -> None:
    messy = pl.concat([sound(), sound().head(9)])
    messy = messy.with_columns(sales=pl.when(pl.int_range(pl.len()) == 5).then(-3).otherwise("sales"))
    sales = sales_csv(tmp_path, messy)
    before = sales.read_bytes()
    assert shelfcast("clean", sales, "--out", tmp_path / "once").code == 0 and sales.read_bytes() == before
    assert {p.name for p in (tmp_path / "once").iterdir()} == {"panel", "sales.parquet", "changes.csv", "rejected.csv"}
    assert shelfcast("clean", tmp_path / "once" / "sales.parquet", "--out", tmp_path / "twice").code == 0
    assert pl.read_parquet(tmp_path / "once" / "sales.parquet").equals(pl.read_parquet(tmp_path / "twice" / "sales.parquet"))


def test_models_lists_what_each_needs(shelfcast) -> None:
    listed = {m["name"]: m for m in shelfcast("models", "--json").document["models"]}
    assert {"naive", "profile", "boosted"} <= set(listed)
    assert all(m["available"] or "pip install" in m["needs"] for m in listed.values())
    assert all(name in shelfcast("models").out for name in listed)


def test_a_model_whose_package_is_missing_ends_with_three(shelfcast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shelfcast.models.registry.missing_package", lambda name: "statsforecast")
    answer = shelfcast("forecast", sales_csv(tmp_path), "--horizon", 3, "--model", "ets", "--out", tmp_path / "f.csv")
    assert answer.code == 3 and "pip install 'shelfcast[statistical]'" in answer.err and not (tmp_path / "f.csv").exists()


def test_doctor_says_what_is_installed_and_where_files_go(shelfcast) -> None:
    answer = shelfcast("doctor", "--json")
    assert {"shelfcast", "python", "device", "why_device", "core", "extras", "temporary_files", "results"} <= set(answer.document)


def test_a_bug_of_ours_ends_with_70_and_says_how_to_report_it(shelfcast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slip(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a slip of ours")

    monkeypatch.setattr("shelfcast.workflow.doctor", slip)
    answer = shelfcast("doctor", "--json")
    assert answer.code == 70 and "Please report it" in answer.err and "ZeroDivisionError" in answer.err
    assert answer.document["error"]["exit"] == 70


def test_no_verb_shows_the_help_and_version_is_told(shelfcast) -> None:
    assert shelfcast().code == 2
    assert shelfcast("--version").code == 0 and shelfcast("forecast", "--help").code == 0


def test_standard_input_is_a_source(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shelfcast", "forecast", "-", "--horizon", "2", "--model", "naive", "--no-backtest",
               "--out", str(tmp_path / "f.csv")]
    done = subprocess.run(command, input=sound().write_csv().encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pl.read_csv(tmp_path / "f.csv").height == 8


@pytest.mark.parametrize(("content", "says"), [
    (b"", "standard input is empty"), (bytes(range(256)) * 40, "standard input is no format"),
    (None, "Nothing is piped into standard input")], ids=["empty", "binary", "closed"])
def test_a_standard_input_without_sales_is_answered(content: bytes | None, says: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shelfcast", "forecast", "-", "--horizon", "2", "--out", str(tmp_path / "f.csv")]
    given: dict[str, Any] = {"input": content} if content is not None else {"preexec_fn": lambda: os.close(0)}
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, **given)
    assert done.returncode in (1, 2) and says in done.stderr.decode() and "Traceback" not in done.stderr.decode()
    assert not (tmp_path / "f.csv").exists()


def test_a_rule_of_cleaning_can_be_switched_and_an_unknown_one_is_refused(shelfcast, tmp_path):
    days = pl.date_range(date(2024, 1, 1), date(2024, 3, 31), eager=True)
    sales = pl.DataFrame({"item": "a", "location": "x", "date": days, "sales": [5.0] * 90 + [500.0]})
    sales = pl.concat([sales, sales.head(1).with_columns(sales=9.0)])
    sales.write_csv(tmp_path / "sales.csv")
    totals = {}
    for how in ("sum", "last"):
        answer = shelfcast("clean", tmp_path / "sales.csv", "--out", tmp_path / how, "--rule", f"repeated={how}", "--quiet")
        assert answer.code == 0
        totals[how] = pl.read_parquet(tmp_path / how / "sales.parquet")["sales"][0]
    assert totals == {"sum": 14.0, "last": 9.0}
    refused = shelfcast("clean", tmp_path / "sales.csv", "--out", tmp_path / "no", "--rule", "repeeted=sum")
    assert refused.code == 2 and "'repeated'" in refused.err and not (tmp_path / "no").exists()

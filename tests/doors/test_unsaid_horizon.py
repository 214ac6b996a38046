"""Without a horizon: fit, forecast and tune choose one, say which and why, and keep it; a fitted folder has its own."""

import json
import tomllib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from broken.builders import FIRST, sound
from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.errors import DataError, SettingsError
from shelfcast.models.registry import make_model, save_model
from shelfcast.models.spacetime import MOST_AHEAD
from shelfcast.panel import SalesPanel
from shelfcast.settings import ForecastSettings, TuneSettings
from shelfcast.workflow.horizons import horizon_by_data


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """60 days of four series."""
    sound().write_parquet(tmp_path / "sales.parquet")
    return tmp_path / "sales.parquet"


@pytest.fixture
def fitted(sales: Path, tmp_path: Path) -> Callable[..., Path]:
    """The run folder of a fit for some horizon."""
    def fit(model: str, horizon: int = 5) -> Path:
        run = tmp_path / f"fitted-{model}"
        workflow.fit(ForecastSettings(sales=sales, model=model, horizon=horizon, run=run))
        return run
    return fit


def asked(sales: Path, model: object, **more: object) -> ForecastSettings:
    return ForecastSettings(sales=sales, model=str(model), backtest=False, **more)


def ahead(path: Path) -> int:
    """How many periods a forecast file has."""
    return pl.read_parquet(path)["date"].n_unique()


def spells(count: int, every: str) -> pl.DataFrame:
    """One series of so many periods."""
    dates = pl.date_range(date(2015, 1, 4), date(2060, 1, 1), every, eager=True)[:count]
    return pl.DataFrame({"date": dates, "sales": [float(3 + t % 4) for t in range(count)]})


@pytest.mark.parametrize(("freq", "every", "periods"), [("D", "1d", 28), ("W", "1w", 13), ("M", "1mo", 6), ("Q", "1q", 4)])
def test_by_frequency_where_nothing_is_known_of_the_future(freq: str, every: str, periods: int) -> None:
    found, why = horizon_by_data(SalesPanel.from_frame(spells(40, every), freq=freq))
    assert found == periods and why.startswith("as is usual for")


def test_as_far_as_known_covariates_reach_and_not_for_years() -> None:
    for reach, periods in ((9, 9), (400, MOST_AHEAD)):
        table = spells(40 + reach, "1d").with_columns(promo=1.0, sales=pl.when(pl.int_range(pl.len()) < 40).then("sales"))
        panel = SalesPanel.from_frame(table, freq="D", known=["promo"], cutoff=table["date"][39])
        found, why = horizon_by_data(panel)
        assert found == periods and "known covariates reach" in why


@pytest.mark.parametrize("model", ["naive", "auto"])
def test_the_command_line_chooses_and_says_and_keeps(model: str, sales: Path, tmp_path: Path, capsys) -> None:
    run, out = tmp_path / "run", tmp_path / "f.parquet"
    assert main(["forecast", str(sales), "--model", model, "--no-backtest", "--run", str(run), "--out", str(out)]) == 0
    told = "No --horizon is given: 28 days, as is usual for daily sales."
    said = capsys.readouterr()
    assert told in said.err and "over 28 periods" in said.out and ahead(out) == 28
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["horizon"] == 28 and told in manifest["notes"] and manifest["settings"]["horizon"] == 28
    settings = tomllib.loads((run / "settings.toml").read_text())
    assert settings["horizon"] == 28
    again = {**settings, "levels": tuple(settings["levels"]), "out": tmp_path / "again.parquet", "run": None}
    workflow.forecast(ForecastSettings(**again))
    assert pl.read_parquet(tmp_path / "again.parquet").equals(pl.read_parquet(out))


def test_it_is_the_horizon_that_tune_takes(sales: Path, tmp_path: Path, monkeypatch) -> None:
    promo = pl.read_parquet(sales).select("item", "location", date=pl.col("date") + timedelta(days=11), promo=pl.lit(1.0))
    given = {"sales": sales, "covariates": (promo,), "known": ("promo",), "model": "naive"}
    fitted = workflow.fit(ForecastSettings(**given, run=tmp_path / "run"))
    assert "11 days, as far as known covariates reach" in json.loads((tmp_path / "run" / "manifest.json").read_text())["notes"][-1]
    taken = []

    def seen(*_: object, horizon: int, **__: object) -> None:
        taken.append(horizon)
        raise InterruptedError

    monkeypatch.setattr("shelfcast.workflow.tuning.plan_windows", seen)
    with pytest.raises(InterruptedError):
        workflow.tune(TuneSettings(**given, trials=1, run=tmp_path / "tuned"))
    assert taken == [fitted["horizon"]] == [11]


@pytest.mark.parametrize("model", ["naive", "profile", "boosted", "auto"])
def test_a_fitted_folder_is_asked_for_what_it_learned(model: str, sales: Path, fitted, tmp_path: Path, capsys) -> None:
    """A naive model learns for any horizon; then the one that its run was asked for counts."""
    run = fitted(model)
    for folder in (run, run / "model") if model == "naive" else (run,):
        out = tmp_path / "f.parquet"
        assert main(["forecast", str(sales), "--model", str(folder), "--no-backtest", "--out", str(out)]) == 0
        assert "is given: 5 days, as the model in" in capsys.readouterr().err and ahead(out) == 5
    workflow.forecast(asked(sales, run, horizon=3, out=out))
    assert ahead(out) == 3, "what is asked for goes before"


def test_the_commands_follow_each_other_as_typed_and_twice_is_the_same(sales: Path, tmp_path: Path, capsys) -> None:
    tables = []
    for _ in range(2):
        assert main(["fit", str(sales), "--model", "boosted", "--run", str(tmp_path / "run")]) == 0
        said = capsys.readouterr()
        assert "for 28 periods ahead" in said.out and "is given: 28 days" in said.err
        assert f"Next: shelfcast forecast SALES --model {tmp_path / 'run'}\n" in said.out
        assert main(["forecast", str(sales), "--model", str(tmp_path / "run"), "--out", str(tmp_path / "f.parquet")]) == 0
        tables.append(pl.read_parquet(tmp_path / "f.parquet"))
        capsys.readouterr()
    assert tables[0].equals(tables[1]) and ahead(tmp_path / "f.parquet") == 28
    assert tomllib.loads((tmp_path / "run" / "settings.toml").read_text())["horizon"] == 28


def test_what_a_fit_is_told_a_model_shall_learn_is_its_horizon(sales: Path, tmp_path: Path) -> None:
    said: list[str] = []
    asked_for = ForecastSettings(sales=sales, model="boosted", options={"horizon": 9}, run=tmp_path / "run")
    assert workflow.fit(asked_for, say=said.append)["horizon"] == 9
    assert any("9 days, as its setting horizon says" in s for s in said)


def test_a_run_of_a_fitted_model_has_its_horizon_too(sales: Path, fitted, tmp_path: Path) -> None:
    """A loaded auto is a combination without settings: the run folder says what it was asked for."""
    workflow.forecast(asked(sales, fitted("auto"), run=tmp_path / "second"))
    workflow.forecast(asked(sales, tmp_path / "second", out=tmp_path / "f.parquet"))
    assert ahead(tmp_path / "f.parquet") == 5


def test_a_folder_of_another_frequency_is_refused_for_that(sales: Path, tmp_path: Path, fitted) -> None:
    weeks = pl.concat([spells(60, "1w").with_columns(item=pl.lit("tea"), location=pl.lit("Oslo"))])
    with pytest.raises(DataError, match="was fitted on periods 'D', and these sales are weekly"):
        workflow.forecast(asked(weeks, fitted("boosted")))


@pytest.mark.parametrize("damage", ["none", "manifest", "nonsense"])
def test_a_folder_that_does_not_say_its_horizon_asks_for_it(damage: str, sales: Path, tmp_path: Path, fitted) -> None:
    if damage == "none":
        folder = tmp_path / "bare"
        save_model(make_model("naive").fit(panel := SalesPanel.from_frame(sound())), folder, panel=panel)
    else:
        folder = fitted("naive")
        (folder / "manifest.json").write_text("{" if damage == "manifest" else json.dumps({"horizon": "many"}))
    with pytest.raises(SettingsError, match=r"does not say for how many periods .* --horizon N\."):
        workflow.forecast(asked(tmp_path / "not even read.csv", folder))
    workflow.forecast(asked(sales, folder, horizon=2, out=tmp_path / "f.parquet"))
    assert ahead(tmp_path / "f.parquet") == 2


def test_too_far_ahead_for_the_covariates_of_the_folder_says_which(sales: Path, tmp_path: Path) -> None:
    promo = pl.read_parquet(sales).select("item", "location", "date", promo=pl.lit(1.0))
    later = promo.with_columns(date=pl.col("date") + timedelta(days=8))
    given = {"sales": sales, "covariates": (pl.concat([promo, later]).unique(),), "known": ("promo",), "model": "boosted"}
    assert workflow.fit(ForecastSettings(**given, run=tmp_path / "run"))["horizon"] == 8
    short = {**given, "covariates": (promo,), "model": str(tmp_path / "run")}
    with pytest.raises(DataError, match=f"'promo' has no row for 32 of 32 future periods.*{FIRST + timedelta(days=60)}"):
        workflow.forecast(ForecastSettings(**short, backtest=False))

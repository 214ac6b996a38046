"""`--cache FOLDER`: the second forecast of the same sales is read, is the same, and says so."""

import json

import polars as pl
import pytest

from broken.builders import forecast, sales_csv, sound
from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.models.naive import SeasonalNaive
from shelfcast.operate.cache import MARK
from shelfcast.settings import ForecastSettings


def ask(folder, *, table=None, **other):
    """Forecast and give the table, and what was said about the cache."""
    path = folder / "sales.parquet"
    (sound() if table is None else table).write_parquet(path)
    said = []
    workflow.forecast(ForecastSettings(**{"sales": path, "horizon": 3, "model": "naive", "backtest": False, "batch": 3,
                                          "out": folder / "f.parquet", "cache": folder / "cache", **other}), say=said.append)
    return pl.read_parquet(folder / "f.parquet"), [s for s in said if s.startswith("Cache:")]


def test_the_second_time_every_batch_is_read_and_no_model_asked(tmp_path, monkeypatch):
    plain = ask(tmp_path, cache=None)[0]
    made, said = ask(tmp_path)
    batches = -(-plain.n_unique(["item", "location"]) // 3)
    assert made.equals(plain) and said == [f"Cache: 0 of {batches} batches of the forecast were there."] and batches > 1
    monkeypatch.setattr(SeasonalNaive, "predict", lambda *_, **__: pytest.fail("it was asked again"))
    again, said = ask(tmp_path, run=tmp_path / "run")
    assert again.equals(plain) and said == [f"Cache: {batches} of {batches} batches of the forecast were there."]
    notes = json.loads((tmp_path / "run" / "manifest.json").read_text())["notes"]
    assert said[0] in notes and any("seconds say nothing" in note for note in notes)


@pytest.mark.parametrize("other", [{"horizon": 4}, {"levels": (0.25, 0.5)}, {"options": {"season": 1}}, {"model": "profile"},
                                   {"table": sound().with_columns(pl.col("sales") + 1)}], ids=lambda o: next(iter(o)))
def test_another_question_or_other_sales_are_forecast_anew(tmp_path, other):
    ask(tmp_path)
    table, said = ask(tmp_path, **other)
    assert said[0].startswith("Cache: 0 of ") and table.equals(ask(tmp_path, **other, cache=None)[0])


def test_the_command_line_takes_a_folder_and_without_one_keeps_nothing(tmp_path, capfd):
    command = [*forecast(sales_csv(tmp_path)), "--no-backtest", "--out", str(tmp_path / "f.csv")]
    assert main(command) == 0 and "Cache:" not in capfd.readouterr().err
    for had in ("0 of 1", "1 of 1"):
        assert main([*command, "--cache", str(tmp_path / "kept")]) == 0
        assert f"Cache: {had} batches" in capfd.readouterr().err
    assert (tmp_path / "kept" / MARK).exists()


def test_a_folder_of_other_things_is_refused_before_the_work_starts(tmp_path, capfd):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    assert main(["forecast", str(tmp_path / "nowhere.csv"), "--cache", str(tmp_path / "letters")]) == 2
    assert "holds other files (letter.txt)" in capfd.readouterr().err

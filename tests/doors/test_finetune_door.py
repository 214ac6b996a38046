"""`shelfcast finetune`: a table before and after, a run folder that forecasts, and a training that may be killed."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from shelfcast import workflow
from shelfcast.cli.main import command_line, main
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.models.pretrained import CARD, TENSORS
from shelfcast.nn.adapt import Method
from shelfcast.nn.callbacks import CsvHistory
from shelfcast.settings import FinetuneMethod, FinetuneSettings
from shelfcast.workflow import finetune
from weights.shop import sales
from weights.toy import toy_folder

OPTIONS = {"validate_every": 3, "series": 8, "context": 32, "rate": 0.02, "ema": 0.0}


def ask(run: Path, **changes) -> FinetuneSettings:
    return FinetuneSettings(**{"sales": sales(), "known": ("promo",), "method": "full", "weights": str(toy_folder()), "horizon": 7,
                               "steps": 12, "options": OPTIONS, "run": run, **changes})


def flags(folder: Path, *more: str) -> list[str]:
    table = folder / "sales.csv"
    if not table.exists():
        sales().write_csv(table)
    return ["finetune", str(table), "--known", "promo", "--method", "full", "--weights", str(toy_folder()), "--horizon", "7",
            "--steps", "12", *(w for k, v in OPTIONS.items() for w in ("--set", f"{k}={v}")), "--run", str(folder / "run"), *more]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    """The folder of a fine-tuning that nobody disturbed, with the sales beside it and what was said."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("finetune")
    out, talk = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(talk):
        assert main(flags(folder)) == 0
    (folder / "out.txt").write_text(out.getvalue())
    (folder / "talk.txt").write_text(talk.getvalue())
    return folder


def test_it_prints_a_table_before_and_after(tuned):
    text, talk = (tuned / "out.txt").read_text(), (tuned / "talk.txt").read_text()
    for name in ("MSE", "MAE", "WAPE", "SQL", "WQL", "coverage 0.1-0.9", "zero-shot", "fine-tuned", "should be 0.8"):
        assert name in text
    assert "which neither the training nor its early stopping has seen" in talk
    assert f"Next: shelfcast forecast SALES --model {tuned / 'run'}" in text


def test_the_run_keeps_scores_page_card_and_settings(tuned):
    run = tuned / "run"
    assert {p.name for p in run.iterdir()} == {"weights", "model", "scores.csv", "training.html", "history.csv", "settings.toml",
                                               "manifest.json"}
    scores = pl.read_csv(run / "scores.csv")
    assert scores.height == 6 and scores["unseen"].all() and scores["cutoff"].unique().to_list() == ["2024-04-02"]
    row = scores.filter(pl.col("measure") == "SQL").row(0, named=True)
    assert row["before"] != row["after"] and row["before"] > 0
    page = (run / "training.html").read_text()
    assert "Before and after" in page and "Losses are shares of zero-shot" in page and "kept for this table alone" in page
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["verb"] == "finetune" and manifest["models"][0]["kept"] == "fine-tuned" and manifest["horizon"] == 7
    card = json.loads((run / "weights" / CARD).read_text())
    assert card["finetuning"]["settings"]["steps"] == 12
    assert card["command"].startswith("shelfcast finetune sales.csv --known promo") and str(tuned) not in card["command"]
    assert not list(tuned.glob("*.partial"))


def test_the_run_forecasts(tuned, tmp_path):
    """Also from its weights: the same numbers, for both read the same statistics of the same sales."""
    def forecast(*model: str) -> pl.DataFrame:
        out = tmp_path / "f.csv"
        assert main(["forecast", str(tuned / "sales.csv"), "--known", "promo", "--no-backtest", "--quiet", "--out", str(out),
                     *model]) == 0
        return pl.read_csv(out)

    mine = forecast("--model", str(tuned / "run"))
    assert mine.height == 4 * 7, "the horizon is the one that it learned for"
    other = forecast("--model", "pretrained", "--horizon", "7", "--set", f"weights={tuned / 'run' / 'weights'},context=32")
    assert mine.equals(other)
    before = forecast("--model", "pretrained", "--horizon", "7", "--set", f"weights={toy_folder()},context=32")
    assert not mine.equals(before)


def test_interrupted_it_says_so_and_the_same_command_goes_on(tuned, tmp_path, monkeypatch, capsys):
    record, told = CsvHistory.record, []

    def slip(self, row):
        told.append(row)
        if len(told) == 3:
            raise KeyboardInterrupt
        record(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(CsvHistory, "record", slip)
        assert main(flags(tmp_path)) == 130
    assert "up to step 6 of 12 is kept in" in capsys.readouterr().err
    assert not (tmp_path / "run").exists() and list(tmp_path.glob("run.partial/training-*/checkpoint.safetensors"))
    assert main(flags(tmp_path)) == 0
    assert "goes on from step 6 of 12" in capsys.readouterr().err
    assert (tmp_path / "run/weights" / TENSORS).read_bytes() == (tuned / "run/weights" / TENSORS).read_bytes()
    assert not (tmp_path / "run.partial").exists()


def test_several_sales_each_have_a_model(tmp_path):
    sales(days=60, every=7, seed=3).write_csv(tmp_path / "weekly.csv")
    found = finetune(ask(tmp_path / "run", sales=sales(), more=(str(tmp_path / "weekly.csv"),), steps=3, method="top"))
    assert [one["sales"] for one in found.summary["sales"]] == ["sales", "weekly"]
    assert found.scores["sales"].unique(maintain_order=True).to_list() == ["sales", "weekly"]
    assert (tmp_path / "run/sales/model/model.json").is_file() and (tmp_path / "run/weekly/model/model.json").is_file()


def test_where_zero_shot_is_kept_before_and_after_are_the_same_and_it_is_said(tmp_path):
    told: list[str] = []
    found = finetune(ask(tmp_path / "run", options={**OPTIONS, "rate": 0.9}, steps=3), say=told.append)
    assert not found.summary["better"] and any("nothing was better than zero-shot" in s for s in told)
    assert found.scores["before"].equals(found.scores["after"])
    assert found.summary["sales"][0]["kept"] == "zero-shot"


def test_a_history_too_short_for_a_window_of_its_own_says_what_the_scores_are(tmp_path):
    told: list[str] = []
    found = finetune(ask(tmp_path / "run", sales=sales(days=27), steps=2, options={**OPTIONS, "windows": 1}), say=told.append)
    assert not found.scores["unseen"].any() and any("a little too kind" in s for s in told)


@pytest.mark.parametrize(("changes", "error", "said"), [
    ({"options": {"stepps": 3}}, UnknownNameError, "stepps.*steps"),
    ({"options": {"steps": 3}}, SettingsError, "write --steps"),
    ({"options": {"series": "many"}}, SettingsError, "wrong kind"),
    ({"sales": sales(days=20)}, SettingsError, "shorter --horizon"),
])
def test_what_cannot_be_done_is_said_before_anything_is_left_behind(tmp_path, changes, error, said):
    with pytest.raises(error, match=said):
        finetune(ask(tmp_path / "run", **changes))
    assert not list(tmp_path.iterdir())


def test_weights_that_cannot_learn_are_refused_before_sales_are_read(tmp_path):
    few = tmp_path / "eight-bits"
    few.mkdir()
    for path in toy_folder().iterdir():
        if path.name != TENSORS:
            (few / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match="forecast and not learn"):
        finetune(ask(tmp_path / "run", sales=str(tmp_path / "nowhere.csv"), weights=str(few)))
    assert [p.name for p in tmp_path.iterdir()] == ["eight-bits"]


@pytest.mark.parametrize("typed", ["a.csv b.csv c.csv --method full --run r", "a.csv --method full b.csv --run r c.csv",
                                   "--method full --run r a.csv b.csv c.csv"])
def test_several_sales_may_stand_anywhere_among_the_flags(typed, monkeypatch):
    asked = []
    monkeypatch.setattr(workflow, "finetune", lambda settings, **_: asked.append(settings) or sys.exit(0))
    with pytest.raises(SystemExit):
        main(["finetune", *typed.split()])
    assert (asked[0].sales, asked[0].more, asked[0].method) == ("a.csv", ("b.csv", "c.csv"), "full")


def test_a_command_is_told_without_folders_and_passwords():
    typed = ["finetune", "/home/ann/my sales.csv", "postgresql://ann:secret@host/shop", "--run=/srv/run", "--set",
             "weights=/srv/tiny,context=32", "--columns", "item=a/b"]
    assert command_line(typed) == ("shelfcast finetune 'my sales.csv' 'postgresql://ann:***@host/shop' --run=run --set "
                                   "weights=tiny,context=32 --columns item=a/b")


def test_a_wrong_flag_among_several_sales_is_named(capsys):
    assert main(["finetune", "a.csv", "--method", "full", "b.csv", "-x", "--run", "r"]) == 2
    assert "'-x' is not known here" in capsys.readouterr().err


def test_the_methods_of_the_settings_are_those_of_the_network():
    assert FinetuneMethod == Method
    with pytest.raises(UnknownNameError, match="'tops'"):
        FinetuneSettings(sales="x", run=Path("y"), method="tops")  # type: ignore[arg-type]

"""`shelfcast compress`: a table before and after, a folder that `forecast` takes, and refusals in words."""

import contextlib
import io
import json
import shutil
from datetime import date, timedelta

import polars as pl
import pytest

from shelfcast.cli.main import main
from shelfcast.models import compressing
from shelfcast.models.pretrained import CARD, GRAPH
from shelfcast.models.worlds import Drawing, Worlds
from shelfcast.nn import quantise
from weights.tiny_pretrained import FEW, few_worlds, write_tiny_pretrained


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of weights."""
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_pretrained(folder, layers=1)
    return folder


@pytest.fixture(autouse=True)
def _few_worlds(monkeypatch):
    """Worlds that are quick to draw, and few of them; products of all sizes."""
    monkeypatch.setattr(compressing, "validation_worlds", lambda drawing, _: [(b, "monthly") for b in few_worlds(drawing.seed, 1)])
    monkeypatch.setattr(Worlds, "validation", lambda self: few_worlds(0, 1))
    monkeypatch.setattr(compressing, "Drawing", lambda **asked: Drawing(**{**asked, **FEW}))
    monkeypatch.setattr(quantise, "_LEAST", 1_000)
    monkeypatch.setattr(compressing, "_ROUNDS", 1)


def said(*arguments):
    """Exit code, what was printed, what was told on the side."""
    out, talk = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(talk):
        code = main([str(a) for a in arguments])
    return code, out.getvalue(), talk.getvalue()


def test_compressed_weights_are_told_in_a_table_and_forecast_sales(weights, tmp_path):
    code, out, talk = said("compress", weights, "--int8", "--rise", "0.5", "--out", tmp_path / "small")
    assert code == 0, talk
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["before", "int8"]
    assert "1.00 x" in out and f"--set weights={tmp_path / 'small'}" in out and "Eight bits add" in talk
    rows = [{"item": f"tea {k}", "date": date(2024, 1, 1) + timedelta(days=d), "sales": float((d * (k + 1)) % 7)}
            for k in range(3) for d in range(60)]
    pl.DataFrame(rows).write_csv(tmp_path / "sales.csv")
    code, _, talk = said("forecast", tmp_path / "sales.csv", "--model", "pretrained", "--set", f"weights={tmp_path / 'small'}",
                         "--horizon", "7", "--no-backtest", "--out", tmp_path / "forecast.parquet")
    assert code == 0, talk
    assert pl.read_parquet(tmp_path / "forecast.parquet").height == 21


def test_programs_read_the_same_as_one_document(weights, tmp_path):
    code, out, _ = said("compress", weights, "--int8", "--rise", "0.5", "--out", tmp_path / "small", "--json", "--quiet")
    found = json.loads(out)
    assert code == 0 and found["done"] and [row["name"] for row in found["table"]] == ["before", "int8"]
    assert found["files"] == {"weights": str(tmp_path / "small")} and found["settings"]["int8"]


def test_without_out_the_result_has_a_name_of_its_own_and_a_run_may_stand_for_its_weights(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(weights, tmp_path / "run" / "weights")
    code, out, talk = said("compress", tmp_path / "run", "--int8", "--rise", "0.5")
    assert code == 0, talk
    assert "--set weights=compressed" in out
    card = json.loads((tmp_path / "compressed" / CARD).read_text())
    assert card["precision"] == "int8" and card["command"] == "shelfcast compress run --int8 --rise 0.5"
    code, _, talk = said("compress", "run", "--int8", "--out", "run/weights")
    assert code == 2 and "holds the weights that are to be compressed" in talk
    code, _, talk = said("compress", "compressed", "--int8")
    assert code == 1 and "in eight bits already" in talk


def test_a_saved_model_has_weights_that_can_be_put_into_eight_bits_and_not_pruned(weights, tmp_path):
    (tmp_path / "run/model/learned").mkdir(parents=True)
    for name in (CARD, GRAPH):
        shutil.copy(weights / name, tmp_path / "run/model/learned" / name)
    for where in ("run", "run/model"):
        code, _, talk = said("compress", tmp_path / where, "--prune", "0.3", "--out", tmp_path / "small")
        assert code == 1 and "neither pruned nor distilled" in talk
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(("flags", "told"), [
    (["--out", "small"], "Nothing is asked for"), (["--int8", "--out", "small", "--device", "gpu"], "must be cpu or cuda"),
    (["--prune", "30", "--out", "small"], "above 0 and below 1"),
    (["--distil-into", "teeny", "--out", "small"], "Did you mean 'tiny'")])
def test_wrong_usage_is_refused_with_what_to_do(weights, tmp_path, monkeypatch, flags, told):
    monkeypatch.chdir(tmp_path)
    code, _, talk = said("compress", weights, *flags)
    assert code == 2 and told in talk and not (tmp_path / "small").exists()


def test_weights_that_are_nowhere_are_refused(tmp_path):
    code, _, talk = said("compress", tmp_path / "nowhere", "--int8", "--out", tmp_path / "small")
    assert code == 1 and "no pretrained weights" in talk

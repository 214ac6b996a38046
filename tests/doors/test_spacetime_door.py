"""The space-time network through the command line: killed and gone on with, kept, moved to a place without PyTorch, damaged."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import shelfcast.models.registry as registry
from shelfcast.cli.main import main
from shelfcast.errors import WeightsError
from shelfcast.models.registry import load_model, missing_package
from shelfcast.nn.callbacks import CsvHistory
from shelfcast.panel import SalesPanel
from shelfcast.workflow.pieces import Plan, Task, run_task

pytestmark = pytest.mark.skipif(missing_package("spacetime") is not None, reason="needs the extra train")

TINY = "steps=20,width=8,heads=1,layers=1,series=16,context=28"
PLACES = {"Oslo": (59.9, 10.7), "Bergen": (60.4, 5.3), "Paris": (48.9, 2.3), "Lyon": (45.8, 4.8)}
BARE = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    # as where what only training needs is not installed

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in ("torch", "onnx", "onnxscript") else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from shelfcast.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sales.csv of 2 items in 4 places, and stores.parquet with their coordinates."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    rows = [(i, p, date(2024, 1, 1) + timedelta(days=t), int(rng.poisson(3 + n + 4 * (t % 7 == 5))))
            for n, p in enumerate(PLACES) for i in ("bread", "tea") for t in range(120)]
    pl.DataFrame(rows, schema=["item", "store", "date", "sales"], orient="row").write_csv(folder / "sales.csv")
    lat, lon = zip(*PLACES.values(), strict=True)
    pl.DataFrame({"Store": list(PLACES), "Lat": lat, "Lng": lon}).write_parquet(folder / "stores.parquet")
    return folder


def fit_flags(data: Path, run: Path, *more: str) -> list[str]:
    return ["fit", str(data / "sales.csv"), "--places", str(data / "stores.parquet"), "--model", "spacetime", "--horizon", "7",
            "--set", TINY, "--run", str(run), *more]


def forecast_flags(data: Path, run: Path, out: Path) -> list[str]:
    return ["forecast", str(data / "sales.csv"), "--places", str(data / "stores.parquet"), "--horizon", "7", "--model", str(run),
            "--no-backtest", "--quiet", "--out", str(out)]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a fit that nobody disturbed."""
    run = tmp_path_factory.mktemp("fitted") / "run"
    assert main(fit_flags(data, run, "--quiet")) == 0
    return run


def interrupted_after(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as the so many-th row of the history is written."""
    record, told = CsvHistory.record, []

    def slip(self: CsvHistory, row: object) -> None:
        told.append(row)
        if len(told) == rows:
            raise KeyboardInterrupt
        record(self, row)

    monkeypatch.setattr(CsvHistory, "record", slip)


@pytest.mark.slow  # three processes that each load PyTorch; the tests below do the same inside this one
def test_killed_at_any_time_a_fit_goes_on_and_ends_in_the_same_bytes(data, fitted, tmp_path):
    """The real command line, killed as soon as it has written a checkpoint."""
    run, quiet = tmp_path / "run", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-m", "shelfcast", *fit_flags(data, run)], **quiet)
    while process.poll() is None and not list(tmp_path.glob("run.partial/training-*/checkpoint.safetensors")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not run.exists(), "a run folder is there whole or not at all"
    done = subprocess.run([sys.executable, "-m", "shelfcast", *fit_flags(data, run)], capture_output=True, text=True, check=True)
    found = re.search(r"goes on from step (\d+) of 20\.", done.stderr)
    assert found, f"it began anew (were the sources changed while the test ran?): {done.stderr}"
    assert 1 <= int(found[1]) <= 20
    assert contents(run / "model") == contents(fitted / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_interrupted_it_says_where_it_can_go_on(data, fitted, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupted_after(6, patch)
        assert main(fit_flags(data, run)) == 130
    said = capsys.readouterr().err
    assert "The training up to step 11 of 20 is kept in" in said and "the same command goes on from there" in said
    assert main(fit_flags(data, run)) == 0
    said = capsys.readouterr()
    assert "goes on from step 11 of 20." in said.err and "The network learned" in said.out
    assert contents(run / "model") == contents(fitted / "model")
    assert pl.read_csv(run / "history.csv")["step"].to_list() == list(range(2, 21, 2))


def test_another_command_begins_anew_and_says_why(data, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupted_after(3, patch)
        assert main(fit_flags(data, run)) == 130
    assert main(fit_flags(data, run, "--set", "rate=0.01")) == 0
    said = capsys.readouterr().err
    assert "begun with something else (rate was 0.002, now 0.01). This one starts from the beginning" in said
    assert "goes on from step" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_what_failed_before_anything_was_learned_leaves_nothing(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("shelfcast.nn.task.ForecastTask.batch", lambda *_: 1 / 0)
        main(fit_flags(data, tmp_path / "run"))
    assert not list(tmp_path.iterdir())


def test_a_folder_beside_it_that_is_not_ours_is_not_touched(data, tmp_path, capsys):
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "thesis.docx").write_text("mine")
    assert main(fit_flags(data, tmp_path / "run")) == 2
    assert "thesis.docx" in capsys.readouterr().err


def test_two_at_once_into_one_folder_are_refused(data, tmp_path, capsys):
    (tmp_path / "run.partial").mkdir()
    other = {"process": os.getppid(), "started": None, "machine": os.uname().nodename, "since": "2024-05-01"}
    (tmp_path / "run.partial" / "at-work.json").write_text(json.dumps(other))
    assert main(fit_flags(data, tmp_path / "run")) == 2
    assert "Another training for the same --run is at work" in capsys.readouterr().err


def test_a_run_folder_tells_how_its_network_was_trained(data, fitted):
    told = json.loads((fitted / "manifest.json").read_text())["models"][0]["training"]
    assert told["steps"] == told["asked"] == 20 and told["parameters"] > 1_000 and told["seconds"] > 0
    history = pl.read_csv(fitted / "history.csv")
    assert history["step"][-1] == 20 and told["last_loss"] == history["loss"][-1]
    page = (fitted / "training.html").read_text()
    assert f"learned {told['parameters']:,} numbers in 20 of 20 steps" in page
    assert "Loss by step" in page and "Which places lean on others" in page and "Bergen" in page
    weights = pl.read_csv(fitted / "place_weights.csv")
    assert weights.height == 8 and weights["weight"].is_between(0, 1).all() and weights["weight"].n_unique() > 1


def test_a_fitted_network_forecasts_the_same_where_pytorch_is_not_installed(data, fitted, tmp_path):
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    assert main(forecast_flags(data, fitted, here)) == 0
    done = subprocess.run([sys.executable, "-c", BARE, *forecast_flags(data, fitted, there)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_frame_equal(pl.read_parquet(here), pl.read_parquet(there), check_exact=True)
    bare = subprocess.run([sys.executable, "-c", BARE, *fit_flags(data, tmp_path / "run")], capture_output=True, text=True,
                          check=False)
    assert bare.returncode == 3
    assert "needs the package 'torch', which is not installed. Install it with: pip install 'shelfcast[train]'" in bare.stderr


def without(flags: list[str], *names: str) -> list[str]:
    """A command without some of its flags and their values."""
    for name in names:
        at = flags.index(name)
        flags = flags[:at] + flags[at + 2:]
    return flags


def test_a_folder_brings_the_places_and_the_horizon_that_it_learned_with(data, fitted, tmp_path, capsys):
    given, kept = tmp_path / "given.parquet", tmp_path / "kept.parquet"
    assert main([*forecast_flags(data, fitted, given), "--run", str(tmp_path / "given")]) == 0
    flags = [f for f in without(forecast_flags(data, fitted, kept), "--places", "--horizon") if f != "--quiet"]
    assert main([*flags, "--run", str(tmp_path / "kept")]) == 0
    said = capsys.readouterr().err
    assert "Attributes of 4 locations from the model in" in said and "latitude, longitude." in said
    assert "No --horizon is given: 7 days, as the model in" in said
    assert_frame_equal(pl.read_parquet(kept), pl.read_parquet(given), check_exact=True)
    one, other = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("given", "kept"))
    assert one["fingerprint"] == other["fingerprint"] and one["horizon"] == other["horizon"] == 7
    again = without(forecast_flags(data, tmp_path / "kept", tmp_path / "again.parquet"), "--places", "--horizon")
    assert main(again) == 0, "the folder of a run with a fitted model keeps them, too"
    assert_frame_equal(pl.read_parquet(tmp_path / "again.parquet"), pl.read_parquet(given), check_exact=True)


def test_where_a_folder_keeps_no_places_or_others_they_are_asked_for(data, fitted, tmp_path, capsys):
    shutil.copytree(fitted / "model", tmp_path / "old")
    label = json.loads((tmp_path / "old" / "model.json").read_text())
    del label["places"]  # as it was written before tables were kept
    (tmp_path / "old" / "model.json").write_text(json.dumps(label))
    assert main(without(forecast_flags(data, tmp_path / "old", tmp_path / "f.csv"), "--places")) == 1
    assert "Give the same table of places (--places)" in capsys.readouterr().err
    elsewhere = pl.read_csv(data / "sales.csv").with_columns(pl.col("store").str.to_uppercase() + " 2")
    elsewhere.write_csv(tmp_path / "sales.csv")
    assert main(without(forecast_flags(tmp_path, fitted, tmp_path / "f.csv"), "--places")) == 1
    assert "Give the same table of places (--places)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["network.onnx", "network.safetensors", "spacetime.json"])
@pytest.mark.parametrize("signed", [False, True], ids=["damaged", "forged"])
def test_damage_is_an_error_that_says_what_to_do(name, signed, fitted, tmp_path):
    """Damaged: another hash than the label says. Forged: with the label changed to match, so that the file itself is read."""
    for path, content in contents(fitted / "model").items():
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).write_bytes(content)
    path = tmp_path / "learned" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if signed:
        label = json.loads((tmp_path / "model.json").read_text())
        label["files"][name] = registry._hash(path)
        (tmp_path / "model.json").write_text(json.dumps(label))
    with pytest.raises(WeightsError, match="again" if signed else f"{name}.* is not what was written"):
        load_model(tmp_path)


@pytest.mark.parametrize(("given", "said"), [
    ("temporal=transfromer", "Did you mean 'transformer'? Known: transformer, lstm, gru, mlp, conv."),
    ("spatial=graf", "No mixer of places is called 'graf'. Did you mean 'graph'? Known: attention, graph, conv, none."),
    ("fusion=sum", "No way of fusion is called 'sum'. Known: gate, concat, attention."),
    ("steps=many", "it must be a whole number"), ("rate=-1", "rate is -1; it must be a number above 0"),
    ("width=30", "the width must be a multiple of twice the heads"), ("layer=2", "Did you mean 'layers'?"),
])
def test_settings_are_checked_before_anything_is_read(given, said, tmp_path, capsys):
    assert main(["fit", "nothing.csv", "--model", "spacetime", "--horizon", "7", "--set", given, "--run", str(tmp_path / "r")]) == 2
    assert said in capsys.readouterr().err


def test_too_short_a_past_is_said_and_the_profile_answers(data, tmp_path, capsys):
    lines = (data / "sales.csv").read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join([lines[0], *lines[1:15]]))
    flags = ["fit", str(tmp_path / "short.csv"), "--model", "spacetime", "--horizon", "3", "--run", str(tmp_path / "run")]
    assert main(flags) == 0
    said = capsys.readouterr()
    assert "No network was trained: history gives" in said.err and "learned" not in said.out
    assert not (tmp_path / "run" / "training.html").exists()
    assert "history gives" in json.loads((tmp_path / "run" / "manifest.json").read_text())["why_model"]


def test_a_killed_backtest_goes_on_inside_a_training(data, tmp_path, monkeypatch):
    flags = ["backtest", str(data / "sales.csv"), "--horizon", "7", "--windows", "1", "--models", "spacetime", "--set", TINY,
             "--quiet", "--run", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        interrupted_after(6, patch)
        assert main(flags) == 130
    begin, known = CsvHistory.start, []

    def spied(self: CsvHistory, settings: object, history: Sequence[object]) -> None:
        known.append(len(history))
        begin(self, settings, history)

    monkeypatch.setattr(CsvHistory, "start", spied)
    assert main(flags) == 0
    assert known == [5] and [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_damaged_checkpoint_says_which_file_to_remove(data, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupted_after(3, patch)
        assert main(fit_flags(data, tmp_path / "run", "--quiet")) == 130
    (checkpoint,) = tmp_path.glob("run.partial/*/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert main(fit_flags(data, tmp_path / "run", "--quiet")) == 1
    assert "checkpoint.safetensors" in (said := capsys.readouterr().err) and "Remove it to train from the start." in said
    checkpoint.unlink()
    assert main(fit_flags(data, tmp_path / "run", "--quiet")) == 0


def test_a_command_under_torchrun_is_refused_before_anything_is_read_or_written(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(fit_flags(data, tmp_path / "run")) != 0
    said = capsys.readouterr().err
    assert "WORLD_SIZE=2" in said and "without torchrun" in said and "Several processes" in said
    assert not list(tmp_path.iterdir())


def test_processes_of_a_backtest_leave_a_network_its_threads(tmp_path):
    """Its numbers depend on them; those of trees do not."""
    plan = Plan(horizon=7, windows=1, step=7, own_ends=False, refit="every", models={"spacetime": {}, "boosted": {}}, levels=(0.5,),
                seed=0, max_series=10, fingerprint="", folder=tmp_path, threads=4)
    assert plan.settings_of("spacetime") == {} and plan.settings_of("boosted") == {"threads": 4}


@pytest.mark.parametrize("reconcile", [None, "bottom_up"])
def test_a_backtest_of_a_sample_tells_of_a_series_what_a_backtest_of_all_of_them_tells(reconcile, tmp_path):
    """Though the network looks at the other places: those that are not scored are there to be seen, too."""
    rng = np.random.default_rng(1)
    rows = [(i, p, date(2024, 1, 1) + timedelta(days=t), float(rng.poisson(3 + 2 * n + 4 * (t % 7 == 5))))
            for n, p in enumerate(PLACES) for i in ("bread", "tea") for t in range(120)]
    latitude, longitude = zip(*PLACES.values(), strict=True)
    panel = SalesPanel.from_frame(pl.DataFrame(rows, schema=["item", "location", "date", "sales"], orient="row"), freq="D",
                                  places=pl.DataFrame({"location": list(PLACES), "latitude": latitude, "longitude": longitude}))
    options = {"steps": 4, "width": 8, "heads": 1, "layers": 1, "series": 16, "context": 28}
    told = []
    for size in (3, 100):
        folder = tmp_path / str(size)
        folder.mkdir()
        plan = Plan(horizon=7, windows=1, step=7, own_ends=False, refit="every", models={"spacetime": options}, levels=(0.1, 0.5),
                    seed=0, max_series=size, fingerprint="", folder=folder, hierarchy=("item",) if reconcile else (),
                    reconcile=reconcile)
        assert run_task((plan, panel), Task("spacetime", (0,))) == [0]
        told.append(pl.concat(map(pl.read_parquet, sorted(folder.glob("spacetime-*/forecasts/*.parquet")))))
    some, whole = told
    assert some.select("item", "location").n_unique() == 3 and whole.select("item", "location").n_unique() == 8
    shown = ["item", "location", "date", "mean", *([] if reconcile else ["q0.1", "q0.5"])]  # a sum's bands go by its own parts
    same = whole.join(some, on=["item", "location"], how="semi")
    assert_frame_equal(some.select(shown), same.select(shown), abs_tol=1e-9)

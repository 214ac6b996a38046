"""How a broken input is judged: its own message, its exit code, bounded time and memory, and nothing half-written."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from broken.corpus import (
    MOST_MEGABYTES,
    MOST_SECONDS,
    Case,
    memory_limit,
    problems_of,
    standard_input,
    state_of,
    time_limit,
)
from shelfcast.cli.main import main


@pytest.fixture
def answer(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Case], None]:
    """Run one case in this process and judge the answer."""
    def judge(case: Case) -> None:
        inputs, outputs = tmp_path / "in", tmp_path / "out"
        inputs.mkdir()
        _earlier_state(outputs)
        monkeypatch.chdir(inputs)
        arguments = case.build(inputs)
        arguments += _targets(arguments, outputs)
        before, given = state_of(outputs), state_of(inputs)
        capfd.readouterr()
        start = time.perf_counter()
        with standard_input(b""), time_limit(MOST_SECONDS), memory_limit(MOST_MEGABYTES):
            code = main(arguments)
        seconds = time.perf_counter() - start
        out, err = capfd.readouterr()
        assert code == case.code, f"ended with {code}, said: {err}\n{out[:500]}"
        assert not problems_of(err), f"the message {' and '.join(problems_of(err))}: {err[:2000]}"
        assert re.search(case.says, err + (out if code in (0, 1) else "")), f"said: {err}\n{out[:1500]}"
        assert seconds < MOST_SECONDS
        after = state_of(outputs)
        assert not [name for name in after if ".partial" in name]
        assert state_of(inputs) == given, "the input was changed"
        if code != 0:
            assert after == before, "something was written although the command failed"
            assert "--json" in arguments or not out or arguments[0] == "check"
        elif arguments[0] == "forecast":
            _whole(outputs, case)
    return judge


def _earlier_state(outputs: Path) -> None:
    """What an earlier run left, which a failing one must not touch."""
    (outputs / "run").mkdir(parents=True)
    (outputs / "run" / "manifest.json").write_text(json.dumps({"verb": "forecast", "shelfcast": "0"}))
    (outputs / "forecast.parquet").write_bytes(b"earlier")
    (outputs / "report.html").write_text("earlier")


def _targets(arguments: list[str], outputs: Path) -> list[str]:
    """Every output that the verb has, unless the case is about outputs."""
    if any(a.split("=")[0] in ("--out", "--run", "--report") for a in arguments):
        return []
    if arguments[:1] == ["forecast"]:
        return ["--out", str(outputs / "forecast.parquet"), "--run", str(outputs / "run"), "--report", str(outputs / "report.html")]
    return ["--out", str(outputs / "clean")] if arguments[:1] == ["clean"] else []


def _whole(outputs: Path, case: Case) -> None:
    """A mended input gives a whole forecast, and the run folder tells what was found."""
    forecast = pl.read_parquet(outputs / "forecast.parquet")
    assert forecast.height and forecast.null_count().sum_horizontal().item() == 0
    quantiles = forecast.select(c for c in forecast.columns if c.startswith("q"))
    assert quantiles.select(pl.all().is_finite().all()).transpose()["column_0"].all()
    if case.finding is not None:
        kinds = pl.read_csv(outputs / "run" / "findings.csv")["name"].to_list()
        assert case.finding in kinds, f"found only {kinds}"

"""Runs that are killed, interrupted, or out of room leave nothing or a whole earlier state."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from broken.builders import sales_csv, sound
from broken.corpus import state_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")

# Ends the process, with no chance to clean up, at the n-th time that it flushes something to the disk: the moments at which
# results are half there. With n = 0 it lives, and says how many such moments there are.
KILLED = """
import os, signal, sys
moment, flush, count = int(sys.argv[1]), os.fsync, 0
def fsync(handle):
    global count
    count += 1
    if count == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    flush(handle)
os.fsync = fsync
from shelfcast.cli.main import main
code = main(sys.argv[2:])
print(count)
sys.exit(code)
"""


def targets(folder: Path) -> list[str]:
    return ["--run", str(folder / "run"), "--out", str(folder / "f.parquet"), "--report", str(folder / "r.html")]


def command(sales: Path, folder: Path, *flags: str) -> list[str]:
    return ["forecast", str(sales), "--horizon", "3", "--model", "naive", "--no-backtest", "--quiet", *targets(folder), *flags]


def start(arguments: list[str], **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "shelfcast", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def horizons(folder: Path) -> list[int]:
    """The horizon of each result that is there: run folder, forecast, report; reading fails where one is half there."""
    found = []
    if (folder / "run").exists():
        parts = {p.name for p in (folder / "run").iterdir()}
        assert parts >= {"forecast.parquet", "findings.csv", "changes.csv", "rejected.csv", "withdrawn.csv", "settings.toml",
                         "manifest.json", "report.html", "model"}
        found.append(json.loads((folder / "run" / "manifest.json").read_text())["horizon"])
        assert pl.read_parquet(folder / "run" / "forecast.parquet")["date"].n_unique() == found[0]
    if (folder / "f.parquet").exists():
        found.append(pl.read_parquet(folder / "f.parquet")["date"].n_unique())
    if (folder / "r.html").exists():
        page = (folder / "r.html").read_text()
        assert page.rstrip().endswith("</html>")
        found.append(found[0] if found else 3)
    return found


@pytest.mark.parametrize("earlier", [False, True], ids=["nothing", "an_earlier_run"])
def test_killed_at_any_moment_of_writing_each_result_is_absent_or_whole(earlier: bool, tmp_path: Path) -> None:
    sales, first = sales_csv(tmp_path), tmp_path / "first"
    first.mkdir()
    lived = subprocess.run([sys.executable, "-c", KILLED, "0", *command(sales, first)], capture_output=True, text=True, check=True)
    moments = int(lived.stdout.split()[-1])
    assert moments > 10
    folders = {moment: tmp_path / f"killed-{moment}" for moment in (1, moments // 3, 2 * moments // 3, moments - 2, moments)}
    processes = []
    for moment, out in folders.items():
        shutil.copytree(first, out) if earlier else out.mkdir()
        processes.append(subprocess.Popen([sys.executable, "-c", KILLED, str(moment), *command(sales, out, "--horizon", "4")]))
    assert [p.wait(timeout=60) for p in processes] == [-signal.SIGKILL] * len(processes)
    for out in folders.values():
        periods = horizons(out)
        assert set(periods) <= {3, 4} and (len(periods) == 3 or not earlier), "a result is half there, or an earlier one was lost"
    out = folders[moments // 3]
    assert subprocess.run([sys.executable, "-m", "shelfcast", *command(sales, out)], check=False).returncode == 0
    assert horizons(out) == [3, 3, 3] and not list(out.glob(".*")), "the next run removes what a killed one left"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_an_interrupted_run_ends_with_130_and_leaves_nothing(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    sales, out = sales_csv(tmp_path, sound(days=1500, items=60, locations=10)), tmp_path / "out"
    out.mkdir()
    arguments = [a for a in command(sales, out, "--model", "boosted") if a != "--quiet"]
    with start(arguments) as process:
        for line in process.stderr:
            if line.startswith("Model: boosted"):  # read, checked and cleaned; now it learns
                break
        time.sleep(0.2)
        process.send_signal(sent)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert "Interrupted; what was not finished was not written." in said and "Traceback" not in said
    assert state_of(out) == {}


@pytest.mark.slow
def test_killed_at_any_time_a_run_leaves_nothing_or_everything(tmp_path: Path) -> None:
    sales, out = sales_csv(tmp_path, sound(days=300, items=30, locations=4)), tmp_path / "out"
    out.mkdir()
    begun = time.perf_counter()
    assert subprocess.run([sys.executable, "-m", "shelfcast", *command(sales, tmp_path)], check=False).returncode == 0
    whole = time.perf_counter() - begun
    for part in range(1, 13):
        with start(command(sales, out)) as process:
            time.sleep(whole * part / 12)
            process.kill()
        assert set(horizons(out)) <= {3}


def test_a_second_run_replaces_the_first_as_a_whole(tmp_path: Path) -> None:
    sales, out = sales_csv(tmp_path), tmp_path / "out"
    out.mkdir()
    for horizon in ("5", "2"):
        done = subprocess.run([sys.executable, "-m", "shelfcast", *command(sales, out), "--horizon", horizon], check=False)
        assert done.returncode == 0
        (out / "run" / "note-of-mine.txt").write_text("of the first run")
    (out / "run" / "note-of-mine.txt").unlink()
    assert pl.read_parquet(out / "run" / "forecast.parquet").height == 8
    assert pl.read_parquet(out / "f.parquet").height == 8
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("size", [2**12, 2**17])
def test_a_full_disk_is_an_error_and_leaves_the_earlier_results(size: int, tmp_path: Path) -> None:
    import resource

    sales, out = sales_csv(tmp_path, sound(days=30, items=60, locations=20)), tmp_path / "out"
    out.mkdir()
    earlier = {"f.parquet": b"earlier", "r.html": b"earlier"}
    for name, content in earlier.items():
        (out / name).write_bytes(content)

    def small_disk() -> None:  # no file may grow beyond so many bytes; writing more then fails as it does on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    with start([*command(sales, out), "--horizon", "60"], preexec_fn=small_disk) as process:
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1, said
    assert "Traceback" not in said and "File too large: a result or a temporary file could not be written. Make room" in said
    assert {p.name: p.read_bytes() for p in out.iterdir() if not p.is_dir()} == earlier and not (out / "run").exists()
    assert not list(out.glob(".*"))


def test_a_closed_reader_is_no_error(tmp_path: Path) -> None:
    sales = sales_csv(tmp_path)
    line = f"{sys.executable} -m shelfcast forecast {sales} --horizon 3 --model naive --no-backtest | head -1"
    done = subprocess.run(["bash", "-c", line + "; exit ${PIPESTATUS[0]}"], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 141) and "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_closed_standard_output_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m shelfcast models >&-"], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr

"""What every benchmark shares: where the data are, runs measured as whole processes, rows that say where they came from."""

import csv
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA = Path(os.environ.get("SHELFCAST_DATA", ROOT.parent / "shared" / "data"))
TASKS = DATA.parent / "bench"


@dataclass(frozen=True)
class Run:
    """A finished process: exit code, its output, wall seconds, and the peak memory of the largest of its processes (GB)."""

    code: int
    output: str
    errors: str
    seconds: float
    peak_gb: float


def measured_run(command: Sequence[str], *, cwd: Path | None = None) -> Run:
    """Run a command as a process of its own and measure it by the system's accounting."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd) as process:
        assert process.stdout is not None and process.stderr is not None
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))  # type: ignore[union-attr]
        reader.start()
        output = process.stdout.read()
        reader.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1e9 if sys.platform == "darwin" else 1e6  # bytes there, kilobytes here
    return Run(process.returncode, output, "".join(errors), time.perf_counter() - start, usage.ru_maxrss / unit)


def append_row(table: str, row: Mapping[str, object]) -> None:
    """Append to benchmarks/results/TABLE.csv with date, commit and command."""
    path = HERE / "results" / f"{table}.csv"
    path.parent.mkdir(exist_ok=True)
    full = {"date": datetime.now(UTC).date().isoformat(), "commit": commit(), "command": command(), **row}
    known = path.read_text(encoding="utf-8").splitlines()[0].split(",") if path.exists() else None
    if known is not None and known != list(full):
        raise ValueError(f"{path.name} has the columns {known}, this row has {list(full)}: move the old table away first")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(full))
        if known is None:
            writer.writeheader()
        writer.writerow(full)


def commit() -> str:
    """The commit that ran, with + when the tree had changes."""
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src")
    return (git("rev-parse", "--short", "HEAD") or "none") + ("+" if changed else "")


def command() -> str:
    """The command that ran, without this machine's paths."""
    program = Path(sys.argv[0]).resolve()
    name = program.relative_to(HERE).as_posix() if program.is_relative_to(HERE) else program.name
    # Where a result was kept, or weights lie, on one machine is nobody else's business.
    arguments = [re.sub(r"(^|[=,])/(?:[^/=,]+/)*", r"\1", a) for a in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{name}", *arguments])

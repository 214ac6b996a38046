"""A command's wall time and peak memory, measured from a process so small that its own memory does not count.

The system starts a process's peak at that of the process that forked it; a driver with tables in memory would lend every peer
its own size. So the command is started by this file, run as a program that imports next to nothing.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """What a command cost: exit code, seconds of wall time, seconds of processor time (all its processes),
    peak memory (MB) of the largest of its processes; where its output is."""

    code: int
    seconds: float
    cpu: float
    megabytes: float
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def measured(command: Sequence[str], *, log: Path, limit: float) -> Measured:
    """Run a command, its output into `log`; past `limit` seconds it is ended, and what it started with it."""
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(log), str(limit), *command]
    told = subprocess.run(launcher, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Measured(**json.loads(told), log=log)


def _launch(log: str, limit: float, command: Sequence[str]) -> dict[str, float]:
    began = time.perf_counter()
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        alarm = threading.Timer(limit, lambda: os.killpg(process.pid, signal.SIGKILL))
        alarm.daemon = True
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        alarm.cancel()
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes here
    return {"code": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - began,
            "cpu": usage.ru_utime + usage.ru_stime, "megabytes": usage.ru_maxrss / unit}


if __name__ == "__main__":
    print(json.dumps(_launch(sys.argv[1], float(sys.argv[2]), sys.argv[3:])))

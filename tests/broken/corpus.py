"""The corpus of broken inputs: what a case is, and how one is judged."""

import hashlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

Build = Callable[[Path], list[str]]

MOST_SECONDS = 20  # any answer; nearly all come well within one
MOST_MEGABYTES = 600  # growth of peak memory over one answer
LONGEST_MESSAGE = 4_000  # characters; a person must be able to read it
INSIDES = r"polars\.|ComputeError|SchemaError|\.rs:\d+|LazyFrame|ArrowInvalid|PROJECT|raise_if_empty|ignore_errors|dtype"


@dataclass(frozen=True)
class Case:
    """One broken input.

    Attributes
    ----------
    name : a sentence about the world
    build : makes the files in a folder and returns the arguments of the command line
    code : exit code that it must end with
    says : regular expression that standard error must match: this case's own message
    finding : for an input that is mended (code 0): the kind of finding that tells of it
    """

    name: str
    build: Build
    code: int
    says: str
    finding: str | None = None


class Corpus:
    """Cases of one file of tests, in order."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(self, code: int, says: str, *, finding: str | None = None) -> Callable[[Build], Build]:
        """`@corpus.add(1, "is empty")` over a function that builds the input and is named after it."""
        def keep(build: Build) -> Build:
            self.cases.append(Case(build.__name__, build, code, says, finding))
            return build
        return keep

    def params(self) -> list:
        """For `pytest.mark.parametrize`."""
        return [pytest.param(case, id=case.name) for case in self.cases]


class TooLongError(BaseException):
    """The time is over; not an Exception, so that nothing on the way catches it."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Interrupt a hang in Python."""
    def over(_signal: int, _frame: object) -> None:
        raise TooLongError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def memory_limit(megabytes: int) -> Iterator[None]:
    """Fail when the peak of resident memory grows by more; only where the system says what it is (Linux)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not (status.exists() and os.access(reset, os.W_OK)):
        yield
        return
    reset.write_text("5")  # the peak starts again at the present value
    before = _kilobytes(status, "VmHWM")
    yield
    grown = (_kilobytes(status, "VmHWM") - before) / 1024
    assert grown <= megabytes, f"peak memory grew by {grown:,.0f} MB"


def _kilobytes(status: Path, name: str) -> int:
    return int(re.search(rf"{name}:\s+(\d+)", status.read_text()).group(1))


@contextmanager
def standard_input(content: bytes | None) -> Iterator[None]:
    """Feed bytes to `-`; None for a closed standard input."""
    before = sys.stdin
    sys.stdin = None if content is None else io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdin = before


def state_of(folder: Path) -> dict[str, str]:
    """{path: hash of what it holds} of everything below a folder, hidden names included."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("latin-1")
        if path.is_symlink() or not path.is_file():
            found[name] = "folder" if path.is_dir() and not path.is_symlink() else "special"
        else:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def problems_of(message: str) -> list[str]:
    """What is wrong with the talk on standard error, whatever it says."""
    found = []
    if "Traceback (most recent call last)" in message or "panicked at" in message:
        found.append("shows a trace of the program")
    if "bug in shelfcast" in message:
        found.append("calls it our bug")
    if len(message) > LONGEST_MESSAGE:
        found.append(f"is {len(message):,} characters long")
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]", message):
        found.append("sends control characters of the data to the terminal")
    if re.search(INSIDES, message):
        found.append("speaks of the program's insides")
    return found

"""Progress bars with an estimate: shown on a terminal, silent elsewhere.

Code that works long takes a `Progress` and reports to it; it never asks where the report goes.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told what is being done and how far it is."""

    def start(self, what: str, total: int) -> None:
        """A piece of work of `total` steps begins."""

    def advance(self, steps: int = 1) -> None:
        """So many more steps are done."""

    def finish(self) -> None:
        """The piece of work is over."""


class Silent:
    """Shows nothing."""

    def start(self, what: str, total: int) -> None:
        """Nothing to show."""

    def advance(self, steps: int = 1) -> None:
        """Nothing to show."""

    def finish(self) -> None:
        """Nothing to show."""


class Bar:
    """One tqdm bar at a time on standard error, erased when done."""

    def __init__(self) -> None:
        self._bar = None

    def start(self, what: str, total: int) -> None:
        """Draw a bar for `what`."""
        from tqdm import tqdm

        self.finish()
        self._bar = tqdm(total=total, desc=what, leave=False, file=sys.stderr, dynamic_ncols=True, mininterval=0.2)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(steps)

    def finish(self) -> None:
        """Erase the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def for_terminal() -> Progress:
    """A bar when a person watches standard error, silence otherwise."""
    return Bar() if sys.stderr is not None and sys.stderr.isatty() else Silent()


@contextmanager
def stage(progress: Progress, what: str, total: int) -> Iterator[Progress]:
    """`with stage(progress, "forecasting", 12) as p:` starts, and finishes whatever happens inside."""
    progress.start(what, total)
    try:
        yield progress
    finally:
        progress.finish()

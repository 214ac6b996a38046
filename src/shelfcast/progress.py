"""Progress bars with an estimate: shown on a terminal and in a notebook, silent elsewhere.

Code that works long takes a `Progress` and reports to it; it never asks where the report goes.
"""

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ClassVar, Protocol


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
    """One tqdm bar at a time, erased when done: on standard error, or a widget where a notebook has widgets."""

    drawn: ClassVar[int] = 0  # bars that are on the screen, of all in this process

    def __init__(self) -> None:
        self._bar: Any = None

    def start(self, what: str, total: int) -> None:
        """Draw a bar for `what`."""
        self.finish()
        if is_notebook() and find_spec("ipywidgets") is not None:
            from tqdm.notebook import tqdm
        else:
            from tqdm import tqdm
        self._bar = tqdm(total=total, desc=what, leave=False, file=sys.stderr, dynamic_ncols=True, mininterval=0.2)
        Bar.drawn += 1

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(steps)

    def finish(self) -> None:
        """Erase the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            Bar.drawn -= 1


def for_terminal() -> Progress:
    """A bar when a person watches, silence otherwise.

    Somebody watches a terminal, and a notebook's cell. Nobody watches a worker process, nor work that is a part of other work
    whose bar is drawn.
    """
    if Bar.drawn or multiprocessing.parent_process() is not None:
        return Silent()
    return Bar() if is_notebook() or (sys.stderr is not None and sys.stderr.isatty()) else Silent()


def is_notebook() -> bool:
    """Whether this code runs in a kernel that shows its output in a page, such as Jupyter's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()  # whoever runs in one has imported it
    return getattr(shell, "kernel", None) is not None


@contextmanager
def stage(progress: Progress, what: str, total: int) -> Iterator[Progress]:
    """`with stage(progress, "forecasting", 12) as p:` starts, and finishes whatever happens inside."""
    progress.start(what, total)
    try:
        yield progress
    finally:
        progress.finish()

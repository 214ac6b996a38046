"""Progress: told what happens, shown only where a person watches."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from shelfcast.progress import Bar, Silent, for_terminal, stage


class Recorder:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def start(self, what: str, total: int) -> None:
        self.heard.append((what, total))

    def advance(self, steps: int = 1) -> None:
        self.heard.append(steps)

    def finish(self) -> None:
        self.heard.append("finished")


def test_a_stage_is_finished_also_when_its_work_fails():
    listener = Recorder()
    with pytest.raises(ZeroDivisionError), stage(listener, "dividing", 3) as told:
        told.advance(2)
        raise ZeroDivisionError
    assert listener.heard == [("dividing", 3), 2, "finished"]


def test_nothing_is_shown_where_nobody_watches(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(for_terminal(), Silent)
    with stage(Silent(), "waiting", 2) as told:
        told.advance()


def test_a_bar_is_drawn_on_a_terminal_and_erased(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    bar = for_terminal()
    assert isinstance(bar, Bar)
    with stage(bar, "forecasting", 2) as told:
        told.advance(2)
    assert "forecasting" in screen.getvalue()
    bar.advance()  # after the end: nothing to move, no error


def test_a_part_of_work_whose_bar_is_drawn_draws_none(monkeypatch):
    """A training inside a backtest: two bars would overwrite each other."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    with stage(for_terminal(), "replaying", 2):
        assert isinstance(for_terminal(), Silent)
    assert isinstance(for_terminal(), Bar)


def test_a_worker_process_draws_no_bar(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("multiprocessing.parent_process", lambda: "somebody")
    assert isinstance(for_terminal(), Silent)


def test_a_kernel_of_a_notebook_is_watched(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    for shell, watched in ((SimpleNamespace(kernel=object()), True), (SimpleNamespace(), False), (None, False)):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert isinstance(for_terminal(), Bar) == watched


def test_a_notebook_shows_the_bar_with_its_estimate():
    """In a real kernel, whose standard error is no terminal."""
    nbformat = pytest.importorskip("nbformat", reason="needs the extra dev")
    pytest.importorskip("nbclient", reason="needs the extra dev")
    pytest.importorskip("ipykernel", reason="needs the extra dev")
    code = ("import time\nfrom shelfcast.progress import for_terminal, stage\n"
            "with stage(for_terminal(), 'training', 4) as bar:\n"
            "    for _ in range(4):\n        time.sleep(0.25)\n        bar.advance()")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    program = ("import sys, nbformat; from nbclient import NotebookClient; book = nbformat.reads(sys.stdin.read(), as_version=4);"
               "NotebookClient(book, timeout=60, kernel_name='python3').execute(); print(book.cells[0].outputs)")
    done = subprocess.run([sys.executable, "-c", program], input=nbformat.writes(book), capture_output=True, text=True, check=True)
    assert "training:" in done.stdout and "2/4 [00:00<00:0" in done.stdout

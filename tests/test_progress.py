"""Progress: told what happens, shown only where a person watches."""

import io

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

"""Work shared out to processes: every task is done once, and what goes wrong in one is told here."""

import operator
import pydoc
import signal

import pytest

from shelfcast.errors import SettingsError
from shelfcast.models.registry import make_model
from shelfcast.operate.processes import share_out


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_task_is_done_once_whatever_the_number_of_processes(jobs):
    found = dict(share_out([1, 2, 3, 4], prepare=float, argument="10", work=operator.add, jobs=jobs))
    assert found == {1: 11.0, 2: 12.0, 3: 13.0, 4: 14.0}


def test_processes_see_the_variables_that_were_given_and_this_one_does_not(monkeypatch):
    monkeypatch.delenv("SHELFCAST_TEST", raising=False)
    environ = dict(share_out(["SHELFCAST_TEST"], prepare=pydoc.locate, argument="os.environ", work=operator.getitem, jobs=1,
                             environment={"SHELFCAST_TEST": "seen"}))
    assert environ == {"SHELFCAST_TEST": "seen"}
    with pytest.raises(RuntimeError, match="KeyError: 'SHELFCAST_TEST'"):
        list(share_out(["SHELFCAST_TEST"], prepare=pydoc.locate, argument="os.environ", work=operator.getitem, jobs=1))


@pytest.mark.parametrize(("settings", "words"), [({"season": 0}, "at least 1; got 0"), ({"sesaon": 1}, "Did you mean 'season'")])
def test_our_errors_come_back_as_what_they_are(settings, words):
    with pytest.raises(SettingsError, match=words):
        list(share_out([settings], prepare=str, argument="naive", work=make_model, jobs=1))


def test_other_errors_come_back_with_their_traceback():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(share_out([1, 0], prepare=float, argument="1", work=operator.truediv, jobs=1))


def test_a_process_that_dies_is_told():
    with pytest.raises(RuntimeError, match="exit code 3"):
        list(share_out([3], prepare=pydoc.locate, argument="os._exit", work=operator.call, jobs=1))
    with pytest.raises(MemoryError, match="was killed"):
        list(share_out([signal.SIGKILL], prepare=pydoc.locate, argument="signal.raise_signal", work=operator.call, jobs=1))

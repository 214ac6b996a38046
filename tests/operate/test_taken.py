"""A folder is held by one process at a time, and not for longer than that process lives."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from shelfcast.errors import SettingsError
from shelfcast.operate.taken import LOCK, refuse_taken, remove_taken, taken

HOLD = """
import sys
from pathlib import Path
from shelfcast.operate.taken import taken
with taken(Path(sys.argv[1]), work="the other one"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder until its input ends."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "work")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def take(folder: Path) -> None:
    with taken(folder, work="the other one"):
        pass


def test_who_comes_second_is_told_who_is_at_work_and_what_to_do(tmp_path, other):
    for second in (take, lambda folder: refuse_taken(folder, work="the other one")):
        with pytest.raises(SettingsError, match=rf"^The other one is at work in .*process {other.pid}, since .*give another --run"):
            second(tmp_path / "work")
    assert json.loads((tmp_path / "work" / LOCK).read_text())["process"] == other.pid


def test_a_folder_is_free_when_the_work_has_ended_well_or_badly(tmp_path, other):
    assert other.stdin is not None
    other.stdin.close()
    other.wait()
    assert not (tmp_path / "work" / LOCK).exists()
    with pytest.raises(ValueError, match="went wrong"), taken(tmp_path / "work", work="a run"):
        raise ValueError("went wrong")
    take(tmp_path / "work")


def test_what_a_killed_process_held_is_taken_over(tmp_path, other):
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has asked for its result yet
    assert (tmp_path / "work" / LOCK).exists()
    with taken(tmp_path / "work", work="a run"):
        assert json.loads((tmp_path / "work" / LOCK).read_text())["process"] == os.getpid()


def held_by(folder: Path, **changes) -> None:
    """A holder's file as this process would write it, with something else in it."""
    with taken(folder, work="a run"):
        holder = json.loads((folder / LOCK).read_text())
    (folder / LOCK).write_text(json.dumps(holder | changes))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="nobody says here when a process began")
def test_a_number_that_is_another_process_by_now_holds_nothing(tmp_path):
    held_by(tmp_path / "work", started=1)
    take(tmp_path / "work")


def test_of_another_machine_nobody_can_tell_so_the_file_to_delete_is_named(tmp_path):
    held_by(tmp_path / "work", machine=platform.node() + "2")
    with pytest.raises(SettingsError, match=rf"on the machine .*2, since .*delete .*{LOCK}"):
        take(tmp_path / "work")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_file_that_was_half_written_holds_nothing(tmp_path, text):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / LOCK).write_text(text)
    refuse_taken(tmp_path / "work", work="a run")
    take(tmp_path / "work")


def test_a_folder_removed_within_the_work_leaves_the_next_ones_alone(tmp_path):
    with taken(tmp_path / "work", work="a run"):
        remove_taken(tmp_path / "work")
        held_by(tmp_path / "work", process=os.getppid(), started=None)
    assert [p.name for p in tmp_path.rglob("*")] == ["work", LOCK]

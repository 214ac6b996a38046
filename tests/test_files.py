"""Files and folders that appear whole or not at all, also when the process that writes them is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shelfcast.errors import SettingsError
from shelfcast.files import check_target, remove_partials, scratch_folder, whole_file, whole_folder

KILLED_IN_A_FOLDER = """
import sys, time
from shelfcast.files import whole_folder
with whole_folder(sys.argv[1]) as out:
    (out / "a").write_text("new a")
    print("half-way", flush=True)
    time.sleep(60)
    (out / "b").write_text("new b")
"""
KILLED_IN_A_FILE = """
import sys, time
from shelfcast.files import whole_file
with whole_file(sys.argv[1]) as out:
    out.write_text("new, but not all of")
    print("half-way", flush=True)
    time.sleep(60)
"""


def kill_half_way(program: str, target: Path) -> None:
    """Run a program until it says that it is half-way, then kill it with no chance to clean up."""
    with subprocess.Popen([sys.executable, "-c", program, str(target)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half-way\n"
        process.send_signal(signal.SIGKILL)
        process.wait()


def content(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir()}


def test_a_folder_killed_half_way_keeps_its_earlier_state_whole(tmp_path):
    target = tmp_path / "run"
    with whole_folder(target) as out:
        (out / "a").write_text("old a")
        (out / "b").write_text("old b")
    kill_half_way(KILLED_IN_A_FOLDER, target)
    assert content(target) == {"a": "old a", "b": "old b"}
    assert len(list(tmp_path.iterdir())) == 2  # and what was left behind ...
    with whole_folder(target) as out:
        (out / "a").write_text("newest")
    assert content(target) == {"a": "newest"} and [p.name for p in tmp_path.iterdir()] == ["run"]  # ... the next write removes


def test_a_first_folder_killed_half_way_leaves_nothing_under_its_name(tmp_path):
    kill_half_way(KILLED_IN_A_FOLDER, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_killed_half_way_keeps_its_earlier_state_whole(tmp_path):
    target = tmp_path / "f.csv"
    target.write_text("old")
    kill_half_way(KILLED_IN_A_FILE, target)
    assert target.read_text() == "old"
    with whole_file(target) as out:
        out.write_text("newest")
    assert target.read_text() == "newest" and [p.name for p in tmp_path.iterdir()] == ["f.csv"]


@pytest.mark.slow
def test_whenever_a_writer_is_killed_a_reader_finds_one_whole_state(tmp_path):
    program = """
import sys
from shelfcast.files import whole_folder
print("half-way", flush=True)
for n in range(10**6):
    with whole_folder(sys.argv[1]) as out:
        for name in "abcdef":
            (out / name).write_text(str(n))
"""
    for delay in range(12):
        with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            time.sleep(0.01 + 0.013 * delay)
            process.kill()
            process.wait()
        found = content(tmp_path / "run") if (tmp_path / "run").exists() else {}
        assert found == {} or (len(found) == 6 and len(set(found.values())) == 1)
    assert found


def test_a_folder_is_exchanged_as_a_whole(tmp_path):
    target = tmp_path / "run"
    for names in ("abc", "bd"):
        with whole_folder(target) as out:
            for name in names:
                (out / name).write_text(names)
    assert content(target) == {"b": "bd", "d": "bd"} and len(list(tmp_path.iterdir())) == 1


def test_where_names_cannot_be_exchanged_two_renames_do(tmp_path, monkeypatch):
    monkeypatch.setattr("shelfcast.files._exchange", lambda one, other: False)
    test_a_folder_is_exchanged_as_a_whole(tmp_path)


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_an_error_inside_leaves_the_earlier_state_and_no_rubbish(tmp_path, whole):
    target = tmp_path / "t"
    with whole(target) as out:
        (out / "x" if whole is whole_folder else out).write_text("old")
    with pytest.raises(ZeroDivisionError), whole(target) as out:
        (out / "x" if whole is whole_folder else out).write_text("new")
        raise ZeroDivisionError
    assert (target / "x" if whole is whole_folder else target).read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_what_a_living_process_still_writes_is_not_removed(tmp_path):
    mine, dead = tmp_path / f".run.{os.getpid()}.partial", tmp_path / ".run.999999999.partial"
    for folder in (mine, dead):
        folder.mkdir()
    remove_partials(tmp_path / "run")
    assert mine.exists() and not dead.exists()


def test_a_target_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="is a folder; give the name of a file"):
        check_target(tmp_path)
    with pytest.raises(SettingsError, match="is a file; give the name of a folder"), whole_folder(tmp_path / "file"):
        pass
    with pytest.raises(SettingsError, match=r"does not exist.*mkdir -p"):
        check_target(tmp_path / "nowhere" / "f.csv")
    with pytest.raises(SettingsError, match="more than the 255 bytes"):
        check_target(tmp_path / ("x" * 300))
    with pytest.raises(SettingsError, match="does not exist"):
        check_target(tmp_path / ("x" * 300) / "f.csv")


def test_the_partial_file_keeps_the_ending_that_writers_look_at(tmp_path):
    with whole_file(tmp_path / "f.parquet") as out:
        assert out.suffix == ".parquet" and out.name.startswith(".")
        out.write_bytes(b"x")


def test_a_very_long_name_still_has_room_for_its_partial(tmp_path):
    name = "é" * 120 + ".csv"  # 244 bytes of the 255 that a name may have
    with whole_file(tmp_path / name) as out:
        out.write_text("x")
    assert (tmp_path / name).read_text() == "x"


def test_scratch_of_a_killed_process_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = "import os; from shelfcast.files import scratch_folder; f = scratch_folder(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    (tmp_path / "shelfcast-scratch-notes").mkdir()
    assert len(list(tmp_path.iterdir())) == 2
    with scratch_folder() as mine:
        assert {p.name for p in tmp_path.iterdir()} == {Path(mine).name, "shelfcast-scratch-notes"}

"""One process at a time in a folder: a file in it says which process works there, and ends with the work.

A process that is killed leaves the file behind. It says the process, its start and its machine, so that the next process on that
machine sees that nobody is there any more, and takes the folder over.
"""

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shelfcast.errors import SettingsError, shorten, shorten_path
from shelfcast.files import is_alive, remove_partials

LOCK: Final = "at-work.json"


@contextmanager
def taken(folder: Path, *, work: str) -> Iterator[None]:
    """Make a folder if it is not there and hold it for this process until the block ends.

    Raises
    ------
    SettingsError
        If another process that is alive holds it, or one of another machine, of which nobody can tell.
    """
    lock = folder / LOCK
    remove_partials(folder)
    _write(folder, work)
    try:
        yield
    finally:
        holder = _read(lock)
        if holder is not None and {k: holder[k] for k in _who()} == _who():
            lock.unlink(missing_ok=True)


def refuse_taken(folder: Path, *, work: str) -> None:
    """Raise what `taken` would, and take nothing."""
    _refuse(folder, _read(folder / LOCK), work)


def remove_taken(folder: Path) -> None:
    """Remove a folder that this process holds; its name is free at once, so that nothing of the next one's is removed."""
    aside = folder.with_name(f".{folder.name[:60]}.{os.getpid()}.old.partial")
    try:
        os.rename(folder, aside)
    except OSError:
        aside = folder
    shutil.rmtree(aside, ignore_errors=True)


def _write(folder: Path, work: str) -> None:
    """Read who holds the folder and write that it is us, with nobody in between."""
    path = folder / LOCK
    while True:
        folder.mkdir(exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # whoever held it has just removed it
            continue
        with os.fdopen(handle, "r+", encoding="utf-8") as file:
            if sys.platform != "win32":
                import fcntl

                with suppress(OSError):  # some network disks know no such locks; it is for these few lines alone
                    fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if os.fstat(handle).st_ino != os.stat(path).st_ino:
                    continue
            except FileNotFoundError:
                continue
            _refuse(folder, _parsed(file.read()), work)
            file.seek(0)
            file.truncate()
            file.write(json.dumps({**_who(), "since": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n")
            return


def _refuse(folder: Path, holder: dict[str, Any] | None, work: str) -> None:
    if holder is None:
        return
    here = holder["machine"] == platform.node()
    if here and not (is_alive(holder["process"]) and holder["started"] in (None, _started(holder["process"]))):
        return
    who = f"process {holder['process']}" + ("" if here else f" on the machine {shorten(holder['machine'])}")
    advice = "" if here else f" If that machine no longer works on it, delete {shorten_path(folder / LOCK)!r}."
    raise SettingsError(f"{work[:1].upper()}{work[1:]} is at work in {shorten_path(folder)!r} ({who}, since {holder['since']}). "
                        f"Wait for it to end, or give another --run.{advice}")


def _who() -> dict[str, Any]:
    return {"process": os.getpid(), "started": _started(os.getpid()), "machine": platform.node()}


def _read(lock: Path) -> dict[str, Any] | None:
    """Who holds a folder; None for nobody."""
    try:
        return _parsed(lock.read_text(encoding="utf-8"))
    except OSError:
        return None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
        return {"process": int(found["process"]), "started": found["started"], "machine": str(found["machine"]),
                "since": str(found["since"])}
    except (ValueError, KeyError, TypeError):  # a process was killed while it wrote
        return None


def _started(process: int) -> int | None:
    """When a process began, in ticks since the machine did: numbers of processes are used again.

    None where nobody says, and for one that has ended and whose parent has not asked for its result yet.
    """
    try:
        # The second field, the program's name in brackets, may hold blanks and brackets itself.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None

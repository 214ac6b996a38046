"""Files and folders that appear whole or not at all.

Everything is written beside its target under a name that starts with `.` and ends in `.partial`, flushed to the disk,
and renamed. A process that is killed leaves the earlier state, and at worst a `.partial` that the next write removes.
"""

import ctypes
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shelfcast.errors import SettingsError, SourceError, shorten

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_SCRATCH = "shelfcast-scratch"


@contextmanager
def whole_file(target: Path | str) -> Iterator[Path]:
    """Give a path to write to; move it to `target` when the block ends well, remove it when it does not.

    Raises
    ------
    SettingsError
        If `target` is a folder, or its folder does not exist or cannot be written to.
    """
    target = Path(target)
    check_target(target)
    remove_partials(target)
    # The suffix stays last, so that writers which look at it still know the format.
    partial = target.with_name(f".{target.stem[:60]}.{os.getpid()}.partial{target.suffix}")
    try:
        yield partial
        _sync(partial)
        os.replace(partial, target)
        _sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def check_target(target: Path | str) -> None:
    """Refuse a file that could not be written, before the work starts rather than after it."""
    target = Path(target)
    if os.path.isdir(target):
        raise SettingsError(f"{str(target)!r} is a folder; give the name of a file to write.")
    if os.path.exists(target) and not os.path.isfile(target):
        raise SettingsError(f"{str(target)!r} is a device or a pipe; give the name of a file to write.")
    _check_parent(target)


def check_folder(target: Path | str, *, marks: Iterable[str] = ()) -> None:
    """Refuse a folder that could not be written, or that would be replaced although it was not made by us.

    Parameters
    ----------
    marks : names, of which an earlier result holds at least one; a folder with other things in it alone is refused
    """
    target = Path(target)
    if os.path.exists(target) and not os.path.isdir(target):
        raise SettingsError(f"{str(target)!r} is a file; give the name of a folder.")
    _check_parent(target)
    marks = list(marks)
    if not marks or not os.path.isdir(target) or any((target / mark).exists() for mark in marks):
        return
    held = sorted(entry.name for entry in os.scandir(target))
    if held:
        listed = ", ".join(shorten(h, 40) for h in held[:3]) + (" ..." if len(held) > 3 else "")
        raise SettingsError(f"{str(target)!r} holds other files ({listed}) and no earlier result, which alone may be replaced. "
                            f"Give another folder.")


@contextmanager
def whole_folder(target: Path | str) -> Iterator[Path]:
    """Give an empty folder to fill; exchange it with `target` when the block ends well, remove it when it does not.

    An earlier `target` is replaced as one step where the system can exchange two names (Linux), else by two renames.
    """
    target = Path(target)
    check_folder(target)
    remove_partials(target)
    partial = target.with_name(f".{target.name[:60]}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for path in partial.rglob("*"):
            _sync(path)
        _replace_folder(partial, target)
        _sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder of this process in the system's temporary folder, removed when it is closed or the process ends.

    What killed processes left there is removed first: it may be large.
    """
    for left in os.scandir(tempfile.gettempdir()):
        found = re.fullmatch(rf"{_SCRATCH}-(\d+)-\w+", left.name)
        if found and not is_alive(int(found[1])) and left.is_dir(follow_symlinks=False):
            shutil.rmtree(left.path, ignore_errors=True)  # another user's cannot be removed, and need not
    return tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}-{os.getpid()}-")


def remove_partials(target: Path) -> None:
    """Remove what killed processes left beside `target`; what a living process still writes stays."""
    # As `whole_file`, `whole_folder` and `_replace_folder` name them; a name may hold the marks of a glob, so it is compared.
    stem, name, suffix = (re.escape(n) for n in (target.stem[:60], target.name[:60], target.suffix))
    partial = re.compile(rf"\.({stem}|{name})\.(\d+)(\.old)?\.partial({suffix})?")
    for left in os.scandir(target.parent):
        found = partial.fullmatch(left.name)
        if found and not is_alive(int(found[2])):
            if left.is_dir(follow_symlinks=False):
                shutil.rmtree(left.path, ignore_errors=True)
            else:
                Path(left.path).unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Whether a process of this machine, told by its number, still runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _check_parent(target: Path) -> None:
    parent = target.parent
    if any("\ud800" <= c <= "\udfff" for c in str(target)):
        raise SettingsError(f"The name {shorten(target)!r} is not valid Unicode, and writers of tables need a name that is. "
                            f"Choose another, or rename its folder.")
    if os.path.exists(parent) and not os.path.isdir(parent):
        raise SettingsError(f"{str(parent)!r} is a file and no folder, so {target.name!r} cannot be written there.")
    if not os.path.isdir(parent):  # Path.is_dir raises where a name is too long
        raise SettingsError(f"The folder {str(parent)!r} does not exist, so {target.name!r} cannot be written there. "
                            f"Make it first: mkdir -p {str(parent)!r}")
    try:
        longest = os.pathconf(parent, "PC_NAME_MAX")
    except (OSError, ValueError):
        longest = 255
    if len(os.fsencode(target.name)) > longest:
        raise SettingsError(f"The file name {target.name[:40]!r}... has more than the {longest} bytes that a name may have.")
    try:  # trying is the only sure way: permissions say nothing of read-only disks, quotas, or to root
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise SettingsError(f"The folder {str(parent)!r} cannot be written to ({error.strerror}); choose another place for "
                            f"{target.name!r}.") from error


def _sync(path: Path) -> None:
    """Flush a file or a folder's list of names to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise SourceError(f"{str(path)!r} could not be written: {error.strerror}.") from error
    try:
        os.fsync(handle)
    except OSError as error:  # some file systems cannot sync a folder; the rename is still atomic
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(handle)


def _replace_folder(partial: Path, target: Path) -> None:
    if not target.exists():
        os.rename(partial, target)
    elif not _exchange(partial, target):
        aside = target.with_name(f".{target.name[:60]}.{os.getpid()}.old.partial")
        os.rename(target, aside)
        os.rename(partial, target)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0

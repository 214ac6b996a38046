"""Files and folders that appear whole or not at all.

Everything is written beside its target under a name that starts with `.` and ends in `.partial`, flushed to the disk,
and renamed. A process that is killed leaves the earlier state, and at worst a `.partial` that the next write removes.
"""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shelfcast.errors import SettingsError, SourceError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


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
    if target.is_dir():
        raise SettingsError(f"{str(target)!r} is a folder; give the name of a file to write.")
    _check_parent(target)


@contextmanager
def whole_folder(target: Path | str) -> Iterator[Path]:
    """Give an empty folder to fill; exchange it with `target` when the block ends well, remove it when it does not.

    An earlier `target` is replaced as one step where the system can exchange two names (Linux), else by two renames.
    """
    target = Path(target)
    if target.exists() and not target.is_dir():
        raise SettingsError(f"{str(target)!r} is a file; give the name of a folder.")
    _check_parent(target)
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


def remove_partials(target: Path) -> None:
    """Remove what killed processes left beside `target`; what a living process still writes stays."""
    for left in target.parent.glob(f".{target.name[:60]}.*.partial"):
        process = left.name.split(".")[-2]
        if process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _check_parent(target: Path) -> None:
    parent = target.parent
    if not parent.is_dir():
        raise SettingsError(f"The folder {str(parent)!r} does not exist, so {target.name!r} cannot be written there. "
                            f"Make it first: mkdir -p {str(parent)!r}")
    if not os.access(parent, os.W_OK):
        raise SettingsError(f"The folder {str(parent)!r} cannot be written to; choose another place for {target.name!r}.")
    try:
        longest = os.pathconf(parent, "PC_NAME_MAX")
    except (OSError, ValueError):
        longest = 255
    if len(os.fsencode(target.name)) > longest:
        raise SettingsError(f"The file name {target.name[:40]!r}... has more than the {longest} bytes that a name may have.")


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

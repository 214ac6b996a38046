"""Which files a name, a glob or a folder means; bounded, however large or circular the disk is."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Final

from shelfcast.errors import SourceError, shorten_path

MOST_FILES: Final = 20_000  # files one source may have
MOST_VISITED: Final = 500_000  # names looked at before a search is given up; a few seconds

_READABLE: Final = (".parquet", ".pq", ".csv", ".tsv", ".txt", ".gz", ".bz2", ".xz", ".zst", ".zip", ".xlsx", ".xls", ".xlsm",
                    ".xlsb", ".ods", ".feather", ".arrow", ".ipc", ".json", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class Found:
    """Files in name order; `hive` when folders called `key=value` hold columns."""

    files: list[Path]
    hive: bool = False


def is_readable(path: Path) -> bool:
    """Whether a file's ending is one that tables have."""
    return path.suffix.lower() in _READABLE


def find_files(text: str) -> Found:
    """The files that a name, a glob or a folder means.

    Raises
    ------
    SourceError
        If there is none, or there are more than can be meant.
    """
    if "\0" in text or not text:
        raise SourceError("The name of the sales file is empty." if not text else "A file name cannot hold a NUL character.")
    path = Path(text)
    try:
        if path.is_dir():
            return _folder(path)
        if path.exists():
            return Found([path])
        if os.path.islink(path):
            raise SourceError(f"{text!r} is a link to a file that does not exist, or to itself.")
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        if not any(c in text for c in "*?"):
            raise SourceError(f"{shorten_path(text, 200)!r} cannot be opened: {error.strerror}.") from error
    if not any(c in text for c in "*?["):
        raise SourceError(_no_such_file(path))
    files = _limited((p for p in _expand(path) if _is(p, "file")), text)
    if not files and not any(c in text for c in "*?"):  # a bracket in a name
        raise SourceError(_no_such_file(path))
    if not files:
        raise SourceError(f"No file matches {shorten_path(text)!r}. Is the folder right? Put the pattern in quotes.")
    return Found(files, hive=all("=" in f.parent.name for f in files))


def _no_such_file(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"There is no file {shorten_path(path, 300)!r}: the folder {shorten_path(parent, 300)!r} does not exist."
    names = [e.name for e in islice(os.scandir(parent), 2_000)]
    near = get_close_matches(path.name, names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no file {shorten_path(path, 300)!r}.{guess}"


def _folder(path: Path) -> Found:
    every = _limited((p for p in _walk(path) if p.suffix.lower() in _READABLE), str(path))
    if not every:
        raise SourceError(f"The folder {str(path)!r} holds no file that can be read (CSV, Parquet, Excel ...).")
    kinds = {p.suffix.lower() for p in every}
    if len(kinds) > 1:
        raise SourceError(f"The folder {str(path)!r} holds files of several kinds ({', '.join(sorted(kinds))}). "
                          f"Name those that are meant: '{path}/*{sorted(kinds)[0]}'")
    return Found(every, hive=all("=" in p.parent.name for p in every))


def _limited(found: Iterator[Path], text: str) -> list[Path]:
    files: list[Path] = []
    for file in found:
        files.append(file)
        if len(files) > MOST_FILES:
            raise SourceError(f"{shorten_path(text)!r} means more than {MOST_FILES:,} files. Name fewer.")
    return sorted(files)


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder; links to folders are not followed, so a circle ends."""
    seen = 0
    for base, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "_")))
        seen += len(files) + len(folders)
        if seen > MOST_VISITED:
            raise SourceError(f"{str(folder)!r} holds more than {MOST_VISITED:,} names. Name a smaller folder.")
        yield from (Path(base, f) for f in sorted(files) if not f.startswith((".", "_")))


def _expand(pattern: Path) -> Iterator[Path]:
    """Files that match; `**` means any folders, and links to folders are not followed below it."""
    parts = pattern.parts
    fixed = next(i for i, p in enumerate(parts) if any(c in p for c in "*?["))
    yield from _match(Path(*parts[:fixed]), parts[fixed:], [0], str(pattern))


def _match(base: Path, parts: tuple[str, ...], visited: list[int], text: str) -> Iterator[Path]:
    if not parts:
        yield base
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        yield from _match(base, rest, visited, text)
        for child in _children(base, visited, text):
            if not child.name.startswith(".") and not child.is_symlink() and _is(child, "folder"):
                yield from _match(child, parts, visited, text)
    elif any(c in head for c in "*?["):
        for child in _children(base, visited, text):
            hidden = child.name.startswith(".") and not head.startswith(".")
            if not hidden and fnmatchcase(child.name, head) and (not rest or _is(child, "folder")):
                yield from _match(child, rest, visited, text)
    elif _is(base / head, "there"):
        yield from _match(base / head, rest, visited, text)


def _is(path: Path, what: str) -> bool:
    """Whether a path is a file, a folder, or there at all; what may not be looked at is not."""
    try:
        return path.is_file() if what == "file" else path.is_dir() if what == "folder" else path.exists()
    except OSError:
        return False


def _children(folder: Path, visited: list[int], text: str) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = []
            for entry in entries:
                names.append(entry.name)
                visited[0] += 1
                if visited[0] > MOST_VISITED:
                    raise SourceError(f"{shorten_path(text)!r} looks at more than {MOST_VISITED:,} names. Name a smaller folder.")
    except SourceError:
        raise
    except OSError:  # a folder that may not be looked into, or is gone
        return
    yield from (folder / n for n in sorted(names))

"""What a file holds by its first bytes, and temporary plain copies of what cannot be scanned where it is.

Packed files, standard input and texts in other encodings are written out once, in pieces of a megabyte, so that memory stays
small however large they are. Sizes that a file promises are never believed: what is unpacked is counted while it is written.
The copies lie in one folder of the system's temporary folder, which is removed when the process ends.
"""

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from shelfcast.errors import DataError, MissingExtraError, SourceError, shorten, shorten_path
from shelfcast.files import scratch_folder

LEAST_PLAIN: Final = 0.15  # share of letters, digits and delimiters in a table in UTF-16
MOST_UNPACKED: Final = 64 * 2**30  # bytes; a year of every line of a large chain is smaller
HIGHEST_RATIO: Final = 400  # unpacked to packed; real sales tables reach some 20 to 100, gzip's bombs 1,030
MOST_IN_WORKBOOK: Final = 2**30  # bytes of XML; a full sheet of a million rows and ten columns has some 400 MB
_RATIO_FROM: Final = 64 * 2**20  # bytes below which the ratio does not matter
_KEEP_FREE: Final = 2**30  # bytes that stay free on the temporary disk
PIECE: Final = 2**20

_folder: tempfile.TemporaryDirectory[str] | None = None
_count = 0


@dataclass(frozen=True)
class Packed:
    """A plain copy, and the name of what was packed."""

    path: Path
    name: str


def new_copy(suffix: str = "") -> Path:
    """A fresh path in this process's temporary folder."""
    global _folder, _count
    if _folder is None:
        _folder = scratch_folder()
    _count += 1
    return Path(_folder.name, f"{_count}{suffix}")


def content_kind(path: Path) -> str:
    """parquet, arrow, excel, gzip, bzip2, xz, zstd, zip, sqlite, pdf, json, text, empty or binary, by the first bytes."""
    head = first_bytes(path, 4096)
    if not head:
        return "empty"
    for magic, kind in ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"),
                        (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"SQLite format 3\x00", "sqlite"),
                        (b"%PDF", "pdf"), (b"\xd0\xcf\x11\xe0", "excel")):
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return "excel" if _is_workbook(path) else "zip"
    if head.startswith((b"PK\x05\x06", b"PK\x07\x08")):
        return "zip"
    if re.match(rb"(\xef\xbb\xbf)?\s*(\{\s*\"|\[\s*\{)", head):
        return "json"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in head:
        return "text"
    return "text" if unmarked_utf16(head) or head.count(0) < 16 else "binary"


def unmarked_utf16(head: bytes) -> str | None:
    """Which UTF-16 the beginning of a text without a mark is in; None where it is in none.

    Read by pairs it holds letters, digits and delimiters, and no NUL, which no text holds. Counting noughts would not do: some
    letters (U+0100) have theirs on the other side.
    """
    def plain(encoding: str) -> float:
        text = head[:len(head) // 2 * 2].decode(encoding, errors="replace")
        return 0.0 if "\0" in text or not text else len(re.findall(r"[\t\n\r -~]", text)) / len(text)

    shares = {encoding: plain(encoding) for encoding in ("utf-16-le", "utf-16-be")}
    likely = max(shares, key=shares.__getitem__)
    return likely if shares[likely] > LEAST_PLAIN else None


def first_bytes(path: Path, count: int) -> bytes:
    """The beginning of a regular file."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise SourceError(f"{str(path)!r} is not a regular file. Pipe it in instead: `... | shelfcast forecast -`.")
        with open(path, "rb") as file:
            return file.read(count)
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{shorten_path(path)!r} cannot be opened: {error.strerror}.") from error


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist()[:1000])
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods")
    return any(n.startswith("xl/") for n in names) or {"content.xml", "mimetype"} <= names


def keep_stream() -> Path:
    """A copy of standard input."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        raise SourceError("Nothing is piped into standard input. Write for example: cat sales.csv | shelfcast forecast -")
    target = new_copy()
    with _guarded_copy(target, "standard input", None) as write:
        while piece := stream.read(PIECE):
            write(piece)
    return target


def unpack(path: Path, kind: str, name: str) -> Packed:
    """A plain copy of a packed file; of a zip with one table in it, that table.

    Raises
    ------
    DataError
        If it unpacks to more than a table can be.
    SourceError
        If it is damaged.
    """
    try:
        if kind == "zip":
            return _unzip(path, name)
        inner = Path(name).stem if Path(name).suffix.lower() in (".gz", ".bz2", ".xz", ".zst") else name
        target = new_copy(Path(inner).suffix)
        with open(path, "rb") as raw, _opened(raw, kind, name) as stream, _guarded_copy(target, name, raw) as write:
            while piece := stream.read(PIECE):
                write(piece)
        return Packed(target, inner)
    except (DataError, SourceError, MissingExtraError):
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise SourceError(f"{name} is damaged and cannot be unpacked: {shorten(error, 200)}") from error


@contextmanager
def _opened(raw: BinaryIO, kind: str, name: str) -> Iterator[BinaryIO]:
    if kind == "zstd":
        try:
            import pyarrow as pa
        except ImportError as error:
            raise MissingExtraError(f"Unpacking {name}", "pandas", "pyarrow") from error
        with pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd") as stream:
            yield stream
        return
    openers: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    with openers[kind](raw, "rb") as stream:
        yield stream


def check_workbook(path: Path, name: str) -> None:
    """Unpack a spreadsheet's parts to nowhere, counting: a workbook is a zip file, and can be a bomb.

    Raises
    ------
    DataError
        If it unpacks to more than a workbook can be.
    """
    if not first_bytes(path, 4).startswith(b"PK"):
        return
    total = 0
    try:
        with open(path, "rb") as raw, zipfile.ZipFile(raw) as archive:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    while piece := stream.read(PIECE):
                        total += len(piece)
                        if total > MOST_IN_WORKBOOK:
                            raise DataError(f"{name} unpacks to more than {MOST_IN_WORKBOOK / 2**20:,.0f} MiB, which no "
                                            f"spreadsheet of a million rows needs; it was refused. Write it as CSV or Parquet.")
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{name} is damaged and cannot be read: {shorten(error, 200)}") from error


def _unzip(path: Path, name: str) -> Packed:
    with open(path, "rb") as raw, zipfile.ZipFile(raw) as archive:
        members = [m for m in archive.infolist() if m.filename and not m.is_dir() and not m.filename.startswith("__MACOSX/")
                   and not Path(m.filename).name.startswith(".")]
        if len(members) != 1:
            listed = ", ".join(shorten(m.filename, 40) for m in members[:5])
            raise SourceError(f"{name} holds {len(members):,} files{f' ({listed})' if listed else ''}; one table was expected. "
                              f"Unpack it and name the file.")
        inner = Path(members[0].filename).name
        if members[0].flag_bits & 1:
            raise SourceError(f"{name} is locked with a password. Unpack it first.")
        target = new_copy(Path(inner).suffix)
        start = members[0].header_offset
        with archive.open(members[0]) as stream, _guarded_copy(target, name, raw, start) as write:
            while piece := stream.read(PIECE):
                write(piece)
    return Packed(target, inner)


@contextmanager
def _guarded_copy(target: Path, name: str, packed: BinaryIO | None, start: int = 0) -> Iterator["Writer"]:
    """Write pieces to `target`, counting; refuse what grows beyond reason, and leave nothing behind then."""
    try:
        with open(target, "wb") as file:
            yield Writer(file, name, packed, start)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class Writer:
    """Called with each piece; refuses when the total is beyond reason, seen from what was read of the packed file so far."""

    def __init__(self, file: BinaryIO, name: str, packed: BinaryIO | None, start: int) -> None:
        self._file, self._name, self._packed, self._start = file, name, packed, start
        self._total = 0

    def __call__(self, piece: bytes) -> None:
        """Write one piece."""
        self._total += len(piece)
        if self._total > MOST_UNPACKED:
            raise DataError(f"{self._name} unpacks to more than {MOST_UNPACKED / 2**30:.0f} GiB; it was refused.")
        if self._packed is not None and self._total > _RATIO_FROM:
            read = max(1, self._packed.tell() - self._start)
            if self._total > HIGHEST_RATIO * read:
                raise DataError(f"{self._name} unpacks to more than {HIGHEST_RATIO} times its size, which sales tables do not; it "
                                f"was refused. If it is right, unpack it yourself and name the plain file.")
        if self._total % (64 * PIECE) < len(piece) and shutil.disk_usage(os.path.dirname(self._file.name)).free < _KEEP_FREE:
            raise SourceError(f"The temporary folder has no room to unpack {self._name}. Set TMPDIR to a larger disk.")
        self._file.write(piece)

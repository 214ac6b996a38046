"""Open anything as a lazy table: files, globs, folders, standard input, databases, Arrow frames.

Says nothing about what the columns mean. Text files arrive as texts; `parsing` makes dates and numbers of them.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import polars as pl

from shelfcast.data.formats.databases import is_address, open_database
from shelfcast.data.formats.globs import find_files
from shelfcast.data.formats.spool import Packed, check_workbook, content_kind, first_bytes, keep_stream, new_copy, unpack
from shelfcast.data.formats.texts import open_text
from shelfcast.errors import DataError, MissingExtraError, SettingsError, SourceError, shorten

LONGEST_NAME: Final = 1_000  # characters of a column name; longer ones are damaged files, and make every message unreadable


@runtime_checkable
class ArrowStream(Protocol):
    """A frame of any library that gives an Arrow stream: polars, pandas, pyarrow, DuckDB ..."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule protocol."""


Source: TypeAlias = str | Path | pl.LazyFrame | ArrowStream


@dataclass(frozen=True)
class Table:
    """A lazy table and where it came from.

    Attributes
    ----------
    frame : nothing is loaded yet
    name : for messages; holds no password
    files : how many files it has
    first_line : line number of row 0 in the one text file, else None
    told : sentences on how it was read
    untyped : every column is text, because the format has no types
    sheets : names of the sheets of a workbook, where it has several
    path : of that workbook
    """

    frame: pl.LazyFrame
    name: str
    files: int = 1
    first_line: int | None = None
    told: tuple[str, ...] = ()
    untyped: bool = False
    sheets: tuple[str, ...] = ()
    path: Path | None = None


def open_table(source: Source | Table, *, query: str | None = None) -> Table:
    """Open a source.

    Parameters
    ----------
    source : a file, a glob, a folder, `-` for standard input, a database address, a frame, or a table that is open already
    query : SQL or the name of a table, for a database address only

    Raises
    ------
    SourceError
        If it cannot be opened, or is not what its name says.
    DataError
        If it has no rows, no header, or names that repeat.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, (str, Path)):
        text = str(source)
        if is_address(text):
            frame, name = open_database(text, query)
            return _checked(Table(frame, name))
        if query is not None:
            raise SettingsError(f"A query goes with a database address (postgresql://..., sqlite:///...), "
                                f"not with {shorten(text)!r}.")
        return _checked(_open_files(text))
    if query is not None:
        raise SettingsError("A query goes with a database address, not with a frame.")
    return _checked(_open_frame(source))


def _open_frame(source: Any) -> Table:
    name = f"the given {type(source).__module__.partition('.')[0]} frame"
    if isinstance(source, pl.LazyFrame):
        return Table(source, name)
    if isinstance(source, pl.DataFrame):
        return Table(source.lazy(), name)
    if not hasattr(source, "__arrow_c_stream__"):
        raise SettingsError(f"Sales can be read from a file, a glob, a folder, a database address or a frame of polars, pandas, "
                            f"pyarrow or DuckDB; a {type(source).__name__} is none of these.")
    try:
        source, told = _with_labels(source, name)
        return Table(pl.DataFrame(source).lazy(), name, told=told)
    except ImportError as error:
        raise MissingExtraError("Reading a pandas frame", "pandas", "pyarrow") from error
    except Exception as error:  # each library has its own errors for columns of mixed types
        raise SourceError(f"{name[0].upper()}{name[1:]} cannot be turned into Arrow: {shorten(error, 300)}") from error


def _with_labels(frame: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """Row labels that have names become columns (of pandas; AutoGluon keeps `item_id` and `timestamp` there); a sentence on it."""
    names = getattr(getattr(frame, "index", None), "names", None)
    reset = getattr(frame, "reset_index", None)
    if names is None or not callable(reset):
        return frame, ()
    there = set(frame.columns)
    labels = [n for n in names if n is not None and n not in there]
    if not labels:
        return frame, ()
    return reset(level=labels), (f"The row labels of {name} became columns: {', '.join(shorten(n, 30) for n in labels)}.",)


def _open_files(text: str) -> Table:
    if text == "-":
        return replace(_open_one(keep_stream(), "standard input"), name="standard input")
    found = find_files(text)
    if len(found.files) == 1 and not found.hive:
        return _open_one(found.files[0], _shown(found.files[0]))
    return _open_many(found.files, text, hive=found.hive)


def open_files(files: list[Path], name: str) -> Table:
    """Several files with the same columns as one table."""
    return _checked(_open_many(files, name, hive=False))


def _open_many(files: list[Path], text: str, *, hive: bool) -> Table:
    kinds = {content_kind(f) for f in files[::1 + len(files) // 50]}  # a look at some fifty of them
    if kinds == {"parquet"}:
        return _open_parquets(files, text, hive=hive)
    return _join([_open_one(f, _shown(f)) for f in files], text)


def _shown(path: Path) -> str:
    """The name of a file as it can be written."""
    return os.fsencode(path.name).decode("utf-8", errors="replace")


def _open_one(path: Path, name: str) -> Table:
    """One file, by its content; an ending that says otherwise is an error."""
    kind = content_kind(path)
    _refuse_misnamed(kind, Path(name).suffix.lower(), name)
    path, inner = _scannable(path), name
    for _ in range(_MOST_LAYERS):
        if kind not in _PACKED:
            break
        packed: Packed = unpack(path, kind, inner)
        path, inner = packed.path, packed.name
        kind = content_kind(path)
    if kind in _PACKED:
        raise SourceError(f"{name} is packed more than {_MOST_LAYERS} times over. Unpack it and name the plain file.")
    if kind == "empty":
        raise DataError(f"{name} is empty: it has no bytes. Check how it was written.")
    _refuse_misnamed(kind, Path(inner).suffix.lower(), inner)
    table = _OPENERS.get(kind, open_text_table)(path, inner)
    return table if inner == name else replace(table, name=name, told=(f"{name} was unpacked.", *table.told))


def _scannable(path: Path) -> Path:
    """The path, or a link to it where its name is no Unicode, which a scan cannot take."""
    try:
        str(path).encode()
        return path
    except UnicodeEncodeError:
        link = new_copy(path.suffix)
        link.symlink_to(path.absolute())
        return link


def open_text_table(path: Path, name: str) -> Table:
    """A delimited text file."""
    frame, first_line, told = open_text(path, name)
    return Table(frame, name, first_line=first_line, told=told, untyped=True)


def _open_parquet(path: Path, name: str) -> Table:
    return Table(_scanned(lambda: pl.scan_parquet(path, hive_partitioning=False), name), name)


def _open_parquets(files: list[Path], text: str, *, hive: bool) -> Table:
    """Many Parquet files with the same columns; of different number types they are brought together."""
    schemas = {f: _schema(f) for f in files}
    first = schemas[files[0]]
    for file, schema in schemas.items():
        _same_columns(files[0].name, list(first), file.name, list(schema))
    if all(s == first for s in schemas.values()):
        return Table(_scanned(lambda: pl.scan_parquet(files, hive_partitioning=hive, glob=False), text), text, files=len(files))
    for file, schema in schemas.items():
        _like_types(files[0].name, first, file.name, schema)
    parts = [pl.scan_parquet(f, hive_partitioning=hive, glob=False).select(list(first)) for f in files]
    return Table(_scanned(lambda: pl.concat(parts, how="vertical_relaxed"), text), text, files=len(files))


def _schema(file: Path) -> dict[str, pl.DataType]:
    return dict(_scanned(lambda: pl.scan_parquet(file, hive_partitioning=False), file.name).collect_schema())


def _open_arrow(path: Path, name: str) -> Table:
    return Table(_scanned(lambda: pl.scan_ipc(path, hive_partitioning=False), name), name)


def _open_json(path: Path, name: str) -> Table:
    if not re.match(rb"(\xef\xbb\xbf)?\s*\[", first_bytes(path, 64)):
        return Table(_scanned(lambda: pl.scan_ndjson(path, infer_schema_length=10_000), name), name)
    if path.stat().st_size > _LONGEST_LIST:
        raise SourceError(f"{name} is one JSON list of more than {_LONGEST_LIST / 2**20:.0f} MiB, which has to be read at once. "
                          f"Write one object a line.")
    return Table(_scanned(lambda: pl.read_json(path).lazy(), name), name)


def _open_excel(path: Path, name: str) -> Table:
    try:
        import fastexcel
    except ImportError as error:
        raise MissingExtraError(f"Reading {name}", "excel", "fastexcel") from error
    check_workbook(path, name)
    try:
        sheets = fastexcel.read_excel(path).sheet_names
        table = pl.read_excel(path, engine="calamine", raise_if_empty=False)
    except Exception as error:  # the engine's errors share no base with polars'
        raise SourceError(f"{name} cannot be read: {shorten(error, 200)}") from error
    if not table.width:
        raise DataError(f"The first sheet of {name} is empty.")
    if len(sheets) == 1:
        return Table(table.lazy(), name)
    told = (f"{name} has {len(sheets)} sheets; the first, {shorten(sheets[0], 40)!r}, is read.",)
    return Table(table.lazy(), name, told=told, sheets=tuple(sheets), path=path)


def every_sheet(table: Table) -> Table:
    """All sheets of a workbook that have the columns of the first, one below the other; any other table as it is."""
    if table.path is None:
        return table
    first = table.frame.collect()
    parts = [first]
    for sheet in table.sheets[1:]:
        more = pl.read_excel(table.path, sheet_name=sheet, engine="calamine", raise_if_empty=False)
        if more.columns == first.columns:
            parts.append(more)
    if len(parts) == 1:
        return table
    told = f"{len(parts)} of the {len(table.sheets)} sheets of {table.name} have the same columns and are read one below the other."
    return replace(table, frame=pl.concat(parts, how="vertical_relaxed").lazy(), told=(told, *table.told[1:]), sheets=(), path=None)


_LONGEST_LIST: Final = 256 * 2**20  # bytes
_PACKED: Final = ("gzip", "bzip2", "xz", "zstd", "zip")
_MOST_LAYERS: Final = 3  # packed files within packed files
_OPENERS: Final[dict[str, Callable[[Path, str], Table]]] = {
    "parquet": _open_parquet, "arrow": _open_arrow, "json": _open_json, "excel": _open_excel, "text": open_text_table,
}
# What a file's ending promises: content kind by suffix.
_PROMISES: Final = {
    ".parquet": "parquet", ".pq": "parquet", ".feather": "arrow", ".arrow": "arrow", ".ipc": "arrow",
    ".xlsx": "excel", ".xls": "excel", ".xlsm": "excel", ".xlsb": "excel", ".ods": "excel",
    ".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip", ".csv": "text", ".tsv": "text", ".txt": "text",
    ".json": "json", ".jsonl": "json", ".ndjson": "json",
}
_CALLED: Final = {
    "parquet": "a Parquet file", "arrow": "an Arrow file", "excel": "a spreadsheet", "gzip": "a gzip file", "bzip2": "a bzip2 file",
    "xz": "an xz file", "zstd": "a zstd file", "zip": "a zip file", "text": "a text file", "json": "JSON lines",
    "empty": "an empty file", "sqlite": "a SQLite database", "pdf": "a PDF document", "binary": "no format that is known here",
}


def _refuse_misnamed(kind: str, suffix: str, name: str) -> None:
    promised = _PROMISES.get(suffix)
    if kind == "sqlite":
        raise SourceError(f"{name} is a SQLite database. Write its address and a query: sqlite:///{name} --query 'SELECT ...'")
    if kind == "empty" or promised in (None, kind):
        if kind in ("pdf", "binary"):
            raise SourceError(f"{name} is {_CALLED[kind]}. Known: CSV, Parquet, Excel, Arrow, JSON lines, and these packed.")
        return
    raise SourceError(f"{name} is not {_CALLED[promised]}, as its name says: it holds {_CALLED[kind]}. "
                      f"Rename it, or write it again.")


def _scanned(scan: Callable[[], pl.LazyFrame], name: str) -> pl.LazyFrame:
    """Run a scan far enough to know the columns; a damaged file is an error here and not later."""
    try:
        frame = scan()
        frame.collect_schema()
        return frame
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: BaseException) -> SourceError:
    """The error for a file that the table library gave up on, with its reason and without its plans."""
    reason = re.split(r"\n|; consider|\s+Resolved plan", str(error).strip())[0].rstrip(". ")
    if isinstance(error, pl.exceptions.PanicException) or "Panic" in reason:
        reason = "its parts contradict one another"
    return SourceError(f"{shorten(name)} cannot be read: {shorten(reason, 300)}. It is damaged, cut off or still being "
                       f"written: copy or write it again.")


def _same_columns(first_name: str, first: list[str], name: str, columns: list[str]) -> None:
    if set(first) == set(columns):
        return
    lacks = [c for c in first if c not in columns]
    adds = [c for c in columns if c not in first]
    parts = [f"{verb} {', '.join(map(shorten, which[:5]))}" for verb, which in (("lacks", lacks), ("has", adds)) if which]
    raise DataError(f"The files have different columns: {name} {' and '.join(parts)}, unlike {first_name}. "
                    f"Read them one by one, or choose files of one kind.")


def _like_types(first_name: str, first: dict[str, pl.DataType], name: str, schema: dict[str, pl.DataType]) -> None:
    """Numbers may differ in size; everything else must be of one type."""
    for column, kind in schema.items():
        other = first[column]
        if kind != other and not (kind.is_numeric() and other.is_numeric()) and pl.Null not in (kind, other):
            raise DataError(f"The files have different types: {shorten(column)!r} of {name} is of type {kind}, in {first_name} of "
                            f"type {other}. Write them alike.")


def _join(tables: list[Table], text: str) -> Table:
    first = tables[0].frame.collect_schema().names()
    for table in tables[1:]:
        _same_columns(tables[0].name, first, table.name, table.frame.collect_schema().names())
        _like_types(tables[0].name, dict(tables[0].frame.collect_schema()), table.name, dict(table.frame.collect_schema()))
    frame = pl.concat([t.frame.select(first) for t in tables], how="vertical_relaxed")
    told = tuple(dict.fromkeys(s for t in tables[:20] for s in t.told))
    return Table(_scanned(lambda: frame, text), text, files=len(tables), told=told[:10],
                 untyped=all(t.untyped for t in tables))


def _checked(table: Table) -> Table:
    """Names must be usable, and there must be a row."""
    names = table.frame.collect_schema().names()
    if not names:
        raise DataError(f"{table.name} has no columns.")
    for place, name in enumerate(names, start=1):
        if len(name) > LONGEST_NAME:
            raise DataError(f"Column {place} of {table.name} has a name of {len(name):,} characters ({shorten(name, 40)}). "
                            f"Names may have {LONGEST_NAME:,}: is its first line a header?")
    try:
        rows = table.frame.head(1).collect().height
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise unreadable(table.name, error) from error
    if not rows:
        raise DataError(f"{table.name} has columns ({', '.join(map(shorten, names[:6]))}) and no rows.")
    return table

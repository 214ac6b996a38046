"""Delimited text files: encoding, delimiter, header; every column arrives as text.

A file in UTF-8 is scanned where it lies. Others are written once as UTF-8 to a temporary copy.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from shelfcast.data.formats.spool import PIECE, first_bytes, new_copy, unmarked_utf16
from shelfcast.errors import DataError, SourceError, shorten

_DELIMITERS: Final = (",", ";", "\t", "|")
_WORDS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_HEAD: Final = 2**20  # bytes looked at to find delimiter and header; also the longest first line
_ROWS: Final = 200  # rows compared for the delimiter
_NUMBER: Final = re.compile(r"\s*[-+(]?[$€£¥]?\s*\d[\d.,'\s]*\)?\s*%?\s*$")
_DATE: Final = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?$")


@dataclass(frozen=True)
class _Layout:
    delimiter: str
    names: list[str]
    skipped: int  # lines above the header


def open_text(path: Path, name: str) -> tuple[pl.LazyFrame, int | None, tuple[str, ...]]:
    """The lazy table (all texts), the line number of its first data row, and what was found out.

    Raises
    ------
    DataError
        If there is no header, names repeat, a row has too many fields, or NUL bytes occur.
    """
    encoding, returns = _encoding(path, name)
    told = []
    if encoding != "utf-8" or returns:
        path = _as_utf8(path, encoding)
        if encoding != "utf-8":
            told.append(f"{name} is encoded as {encoding}.")
    layout = _layout(path, name)
    if layout.delimiter != ",":
        told.append(f"{name} has columns divided by a {_WORDS[layout.delimiter]}.")
    quoted, more = _check_lines(path, name, layout)
    frame = pl.scan_csv(path, separator=layout.delimiter, has_header=True, infer_schema=False, quote_char='"' if quoted else None,
                        glob=False, schema=dict.fromkeys(layout.names, pl.String), skip_lines=layout.skipped)
    return frame, 2 + layout.skipped, (*told, *more)


def _encoding(path: Path, name: str) -> tuple[str, bool]:
    """The encoding of the whole file, and whether its lines end in a lone carriage return."""
    head = first_bytes(path, _HEAD)
    returns = b"\n" not in head and b"\r" in head
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) and not head.startswith(codecs.BOM_UTF16_LE + b"\0\0\0"):
        return "utf-32", returns
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", False
    if b"\0" in head:
        wide = unmarked_utf16(head)
        if wide is not None:
            return wide, False
    decoder, position = codecs.getincrementaldecoder("utf-8")(), 0
    for piece in _pieces(path):
        at = piece.find(b"\0")
        if at >= 0:
            raise DataError(f"{name} holds a NUL byte at position {position + at:,}: it is damaged, or not a text file. "
                            f"Write it again.")
        try:
            decoder.decode(piece)
        except UnicodeDecodeError:
            return _single_byte(path), returns
        position += len(piece)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _single_byte(path), returns
    return "utf-8", returns


def _single_byte(path: Path) -> str:
    """GB18030 if the high bytes come in pairs that give Chinese, else Windows-1252, else Latin-1."""
    head = first_bytes(path, _HEAD)
    runs = re.findall(rb"[\xa1-\xfe]+", head)
    pairs = sum(len(r) % 2 == 0 for r in runs)
    low = len(head) - len(head.translate(None, bytes(range(128, 161))))  # bytes that Chinese uses rarely
    if runs and pairs >= 0.9 * len(runs) and low < 0.1 * sum(map(len, runs)):
        try:
            codecs.getincrementaldecoder("gb18030")().decode(head)
            return "gb18030"
        except UnicodeDecodeError:
            pass
    undefined = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
    return "latin-1" if any(u in piece for piece in _pieces(path) for u in undefined) else "cp1252"


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _as_utf8(path: Path, encoding: str) -> Path:
    target = new_copy(".csv")
    try:
        with open(path, encoding=encoding, newline=None) as source, open(target, "w", encoding="utf-8", newline="") as out:
            while piece := source.read(PIECE):
                if "\0" in piece:
                    raise DataError(f"{path.name} holds NUL characters: it is damaged, or not a text file. Write it again.")
                out.write(piece.removeprefix("\ufeff"))
    except UnicodeError as error:
        target.unlink(missing_ok=True)
        raise DataError(f"{path.name} begins as {encoding} and then does not hold to it: {shorten(error, 150)}. "
                        f"Write it as UTF-8.") from error
    return target


def _layout(path: Path, name: str) -> _Layout:
    """Delimiter and header from the first lines."""
    head = first_bytes(path, _HEAD)
    whole = len(head) < _HEAD
    text = head.decode("utf-8", errors="ignore").removeprefix("\ufeff")
    if not text.strip():
        raise DataError(f"{name} is empty: it holds blank lines only.")
    if "\n" not in text and not whole:
        raise DataError(f"The first line of {name} is longer than {_HEAD / 2**20:.0f} MiB: it is damaged, or not a table.")
    if not whole:
        text = text[: text.rindex("\n") + 1]
    rows, delimiter = _best(text)
    names = rows[0]
    _check_header(names, rows[1:], name)
    return _Layout(delimiter, names, 0)


def _best(text: str) -> tuple[list[list[str]], str]:
    """The rows under the delimiter that gives most rows as many fields as the header."""
    best: tuple[float, int, list[list[str]], str] | None = None
    for delimiter in _DELIMITERS:
        rows = _parsed(text, delimiter)
        width = len(rows[0]) if rows else 0
        agree = sum(len(r) == width for r in rows) / max(1, len(rows))
        score = agree if width > 1 else 0.0
        if rows and (best is None or (score, width) > best[:2]):
            best = (score, width, rows, delimiter)
    if best is None:
        raise DataError("The file holds blank lines only.")
    return best[2], best[3]


def _parsed(text: str, delimiter: str) -> list[list[str]]:
    old = csv.field_size_limit(_HEAD * 2)
    try:
        reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
        return [row for row, _ in zip((r for r in reader if r), range(_ROWS), strict=False)]
    except csv.Error:
        return []
    finally:
        csv.field_size_limit(old)


def _kind(field: str) -> str:
    return "date" if _DATE.match(field) else "number" if _NUMBER.match(field) else "text"


def _check_header(names: list[str], rows: list[list[str]], name: str) -> None:
    kinds = [_kind(n) for n in names]
    if rows and len(rows[0]) == len(names) and any(k != "text" for k in kinds) and kinds == [_kind(f) for f in rows[0]]:
        raise DataError(f"{name} has no header: its first line ({shorten(', '.join(names), 60)}) looks like data. "
                        f"Add a first line with the names of the columns.")
    repeated = sorted({n for n in names if names.count(n) > 1}) if len(names) < 5_000 else _repeats(names)
    if repeated:
        shown = ", ".join(repr(shorten(n, 40)) for n in repeated[:5])
        raise DataError(f"{name} has more than one column called {shown}. Give each column its own name.")


def _repeats(names: list[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({n for n in names if n in seen or seen.add(n)})  # type: ignore[func-returns-value]


def _check_lines(path: Path, name: str, layout: _Layout) -> tuple[bool, list[str]]:
    """Whether fields are quoted, and sentences; one streaming pass over the lines.

    Every row must have as many fields as the header: more is an error, fewer are told (the rest is missing). Lines with
    quotes are left to the scan itself, for a delimiter may stand inside them. A quote that is never closed is an error;
    a file whose quotes never open a field (32" screens) has none.
    """
    wanted = len(layout.names) - 1
    # A separator that cannot occur makes each line one column.
    lines = pl.scan_csv(path, separator="\x01", quote_char=None, has_header=False, skip_lines=layout.skipped, infer_schema=False,
                        glob=False, schema={"line": pl.String}, truncate_ragged_lines=True).with_row_index("at")
    line, at = pl.col("line"), pl.col("at")
    many, quotes = pl.col("many"), pl.col("quotes")
    there = line.is_not_null() & (line.str.strip_chars() != "")
    counted = lines.with_columns(line.str.count_matches(layout.delimiter, literal=True).cast(pl.Int32).alias("many"),
                                 line.str.count_matches('"', literal=True).alias("quotes"))
    opens = line.filter(quotes > 0).str.contains(rf'(^|{re.escape(layout.delimiter)})\s*"')
    more, fewer = there & (quotes == 0) & (many > wanted), there & (quotes == 0) & (many < wanted)
    try:
        found = counted.select(
            opens.any().alias("quoted"), quotes.sum().alias("quotes"), at.filter(quotes % 2 == 1).min().alias("odd"),
            more.sum().alias("more"), at.filter(more).min().alias("first_more"),
            fewer.sum().alias("fewer"), at.filter(fewer).min().alias("first_fewer"),
        ).collect(engine="streaming").row(0, named=True)
        first = next((found[k] for k in ("first_more", "first_fewer") if found[k] is not None), None)
        fields = None if first is None else counted.filter(at == first).select(many + 1).collect(engine="streaming").item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{name} cannot be read: {shorten(error, 200)}") from error
    if found["quoted"] and found["quotes"] % 2:
        raise DataError(f"{name} has a quote (\") in line {found['odd'] + 1 + layout.skipped:,} that is never closed. Close it, "
                        f"or remove it.")
    if found["more"]:
        raise DataError(f"Line {found['first_more'] + 1 + layout.skipped:,} of {name} has {fields} fields, its header has "
                        f"{wanted + 1} ({found['more']:,} such lines). Put texts that hold a {_WORDS[layout.delimiter]} in quotes.")
    if found["fewer"]:
        return found["quoted"], [f"{found['fewer']:,} lines of {name} have fewer fields than its header (first: line "
                                 f"{found['first_fewer'] + 1 + layout.skipped:,} with {fields} of {wanted + 1}); "
                                 f"what they lack is missing."]
    return found["quoted"], []

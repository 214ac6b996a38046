"""Sound sales to break, and files that are not what they promise."""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

import polars as pl

DAYS = 60
FIRST = date(2024, 1, 1)
HUGE_ROWS = 2**60


def sound(days: int = DAYS, items: int = 2, locations: int = 2) -> pl.DataFrame:
    """Sales that nothing is wrong with: item, location, date, sales."""
    return pl.DataFrame([
        {"item": f"item{i}", "location": f"shop{k}", "date": FIRST + timedelta(days=t), "sales": 5 + (3 * t + 7 * i + k) % 9}
        for i in range(items) for k in range(locations) for t in range(days)
    ])


def sales_csv(folder: Path, table: pl.DataFrame | None = None, name: str = "sales.csv") -> Path:
    """Sales as a CSV file; the sound ones by default."""
    path = folder / name
    (sound() if table is None else table).write_csv(path)
    return path


def text(folder: Path, content: str | bytes, name: str = "sales.csv") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def forecast(sales: Path | str, *flags: str, horizon: int = 3) -> list[str]:
    """Arguments of a forecast by the quickest model, without its backtest."""
    chosen = [] if "--model" in flags else ["--model", "naive"]
    return ["forecast", str(sales), "--horizon", str(horizon), "--no-backtest", *chosen, *flags]


def with_column(name: str, value: Callable[[int, dict], object]) -> pl.DataFrame:
    """Sound sales with one column made by `value(row number, row)`, all as texts when it gives texts."""
    table = sound()
    made = [value(i, row) for i, row in enumerate(table.iter_rows(named=True))]
    return table.with_columns(pl.Series(name, made, strict=False))


# -- files that promise what they do not hold -------------------------------------------------------------------------


def zeros_deflated(gigabytes: int) -> bytes:
    """A raw deflate stream of that many GiB of blanks, made in no time: one flushed block, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * 2**26) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (gigabytes * 16) + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def gzip_bomb(path: Path, gigabytes: int = 40) -> Path:
    """A gzip file that inflates to that many GiB."""
    head = b"\x1f\x8b\x08\x00" + b"\0" * 6
    path.write_bytes(head + zeros_deflated(gigabytes) + struct.pack("<II", 0, gigabytes * 2**30 & 0xFFFFFFFF))
    return path


def zip_bomb(path: Path, member: str, gigabytes: int = 40, *, beside: Mapping[str, bytes] | None = None,
             promised: int | None = None) -> Path:
    """A zip file with a member that inflates to that many GiB, beside others; `promised` is the size it claims to have."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (beside or {}).items():
            archive.writestr(name, content)
        archive.writestr(member, b"")
    body = zeros_deflated(gigabytes)
    raw = path.read_bytes()
    claimed = min(gigabytes * 2**30, 0xFFFFFFFE) if promised is None else promised
    local = raw.rindex(b"PK\x03\x04")
    directory = raw.index(b"PK\x01\x02")
    last = raw.rindex(b"PK\x01\x02")
    end = raw.rindex(b"PK\x05\x06")
    # compression method, date, checksum, packed and plain size, from the second field after the signature on
    fields = struct.pack("<HHHIII", 8, 0, 0x21, 0, len(body), claimed)
    head = raw[local:local + 8] + fields + raw[local + 26:local + 30 + len(member)]
    listed = raw[directory:last] + raw[last:last + 10] + fields + raw[last + 28:end]
    start = local + len(head) + len(body)
    closing = raw[end:end + 12] + struct.pack("<II", len(listed), start) + raw[end + 20:]
    path.write_bytes(raw[:local] + head + body + listed + closing)
    return path


def gzip_onion(path: Path, layers: int) -> Path:
    """Gzip within gzip within gzip ..."""
    content = sound().write_csv().encode()
    for _ in range(layers):
        content = gzip.compress(content, 1)
    path.write_bytes(content)
    return path


def parquet_that_lies(path: Path, rows: int = HUGE_ROWS) -> Path:
    """A Parquet file whose footer says that its three columns have `rows` rows."""
    true = 12_345
    table = pl.DataFrame({"item": ["a"] * true, "date": [FIRST] * true, "sales": [1.0] * true})
    table.write_parquet(path, compression="uncompressed", use_pyarrow=False)
    raw = path.read_bytes()
    length = struct.unpack("<I", raw[-8:-4])[0]
    footer = raw[-8 - length:-8].replace(_varint(2 * true), _varint(2 * rows))
    path.write_bytes(raw[:-8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1")
    return path


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])

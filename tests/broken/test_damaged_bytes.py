"""Files damaged at random: whatever happens to the bytes, the answer is a finding or an error, never a trace of the program."""

import gzip
import io
import os
import random
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from broken.builders import sound
from broken.corpus import memory_limit, problems_of, time_limit
from shelfcast.cli.main import main

SEEDS = int(os.environ.get("SHELFCAST_DAMAGES", "12"))  # damages of each kind of file


@cache
def whole(kind: str) -> bytes:
    """The sound sales as a file of one kind."""
    table = sound(days=20)
    csv = table.write_csv().encode()
    out = io.BytesIO()
    if kind == "parquet":
        table.write_parquet(out)
    elif kind == "uncompressed.parquet":
        table.write_parquet(out, compression="uncompressed")
    elif kind == "arrow":
        table.write_ipc(out)
    elif kind == "xlsx":
        table.write_excel(out)
    elif kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("sales.csv", csv)
    elif kind == "jsonl":
        table.write_ndjson(out)
    others = {"csv": csv, "utf16.csv": table.write_csv().encode("utf-16"), "csv.gz": gzip.compress(csv, mtime=0)}
    return others.get(kind, out.getvalue())


KINDS = ["csv", "utf16.csv", "csv.gz", "zip", "parquet", "uncompressed.parquet", "arrow", "xlsx", "jsonl"]


def damaged(content: bytes, draw: random.Random) -> bytes:
    """One to four random damages: bytes changed, cut out, doubled, put in, swapped, or the end lost."""
    out = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(out) + 1)
        length = draw.choice([1, 1, 2, 8, 100, 1000])
        how = draw.randrange(6)
        if how == 0:
            for i in range(at, min(at + min(length, 8), len(out))):
                out[i] = draw.randrange(256)
        elif how == 1:
            del out[at:at + length]
        elif how == 2:
            out[at:at] = out[at:at + length]
        elif how == 3:
            out[at:at] = draw.choice([b"\0", b'"', b"\n", b",", b";", b"\xff\xfe", b"1e999", b"-", b"\r", b"\xc3"])
        elif how == 4:
            other = draw.randrange(len(out) + 1)
            out[at:at + 4], out[other:other + 4] = out[other:other + 4], out[at:at + 4]
        else:
            del out[max(at, 1):]
        if not out:
            break
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_end_in_an_answer(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_damages(kind, range(SEEDS), tmp_path, lambda: "".join(capfd.readouterr()))


def run_damages(kind: str, seeds: range, folder: Path, said: Callable[[], str]) -> None:
    """Check each damaged file."""
    path = folder / f"sales.{kind}"
    for seed in seeds:
        path.write_bytes(damaged(whole(kind), random.Random(f"{kind} {seed}")))
        with time_limit(20), memory_limit(600):
            code = main(["check", str(path)])
        # What a damaged Arrow file makes the table library itself print cannot be kept back; our own words follow it.
        told = re.sub(r"(?s)\nthread '[^']*' .*?panicked at .*?verbose backtrace\.\n", "", said())
        problems = problems_of(told[:4000])
        assert code in (0, 1, 2) and not problems, f"seed {seed} ended with {code}: {problems}\n{told[-3000:]}"

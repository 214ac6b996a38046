"""Sales drawn at random, with odd values strewn in: a forecast that is whole, or an error that says why; never a trace."""

import csv
import io
import os
import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from broken.builders import FIRST
from broken.corpus import memory_limit, problems_of, time_limit
from shelfcast.cli.main import main

SEEDS = int(os.environ.get("SHELFCAST_ODD_TABLES", "24"))

NUMBERS = ["", "0", "-1", "1e308", "-1e308", "inf", "nan", "1,5", "1.234,5", "abc", "9" * 30, "0.000001", "1e-320", " 7 ", "$5",
           "5%", "(3)", "TRUE", "=1+1", "\u0663", "1e5", "-0", "NULL"]
DATES = ["", "2024-02-30", "9999-12-31", "0001-01-01", "1969-12-31", "2024-13-01", "01/02/2024", "2024-01-05T25:00:00",
         "2024-01-05 12:30:15+02:00", "soon", "20240105", "1e300", "2200-01-01", "2024-W05", "1704412800", "-5", "2024-01-05\n"]
NAMES = ["", "a,b", '"q"', "=cmd()", "<b>", "x" * 300, "\u202e", "é", "  item0 ", "ITEM0", "item\n0", "0", "007", "NA",
         "null", "\x07"]
COLUMNS = ["item", "location", "price", "promo", "stock", "extra", "open"]


def odd_table(draw: random.Random) -> tuple[list[str], str, int]:
    """Columns, the table as delimited text, and how many days it spans."""
    days, step = draw.choice([1, 2, 5, 20, 60, 120]), draw.choice([1, 1, 1, 7, 30])
    columns = ["date", "sales", *(c for c in COLUMNS if draw.random() < 0.5)]
    share, odd = draw.choice([0, 0.002, 0.02, 0.2]), [c for c in columns if draw.random() < 0.5]
    rows = []
    for item in range(draw.choice([1, 2, 3, 8])):
        for place in range(draw.choice([1, 2, 3])):
            gaps, start = draw.choice([0, 0, 0.3]), draw.randrange(days)
            for t in range(days):
                if draw.random() < gaps or (t < start and draw.random() < 0.5):
                    continue
                day = FIRST + timedelta(days=t * step)
                row = {"date": day, "sales": draw.choice([0, 0, 1, 2, 5, 9]), "item": f"item{item}", "location": place + 1,
                       "price": 1 + item, "promo": int(draw.random() < 0.2), "stock": draw.randrange(50),
                       "extra": draw.randrange(3), "open": int(day.isoweekday() != 7)}
                for column in odd:
                    if draw.random() < share:
                        row[column] = draw.choice({"date": DATES, "item": NAMES, "location": NAMES}.get(column, NUMBERS))
                rows.append([row[c] for c in columns])
    text = io.StringIO()
    table = csv.writer(text, delimiter=draw.choice([",", ",", ";", "\t"]))
    table.writerow(columns)
    table.writerows(rows)
    return columns, text.getvalue(), days * step


def odd_command(draw: random.Random, columns: list[str], span: int, folder: Path) -> list[str]:
    """A forecast of it, with flags as they may come."""
    horizon = draw.choice([1, 3, 14])
    model = draw.choice(["naive", "profile", "boosted", "auto"])
    words = ["forecast", str(folder / "odd.csv"), "--horizon", str(horizon), "--model", model,
             "--run", str(folder / "run"), "--out", str(folder / "f.parquet")]
    if draw.random() < 0.5:
        words += ["--cutoff", str(FIRST + timedelta(days=max(0, span - 1 - draw.choice([0, horizon]))))]
    named = [c for c in ("promo", "open", "extra", "price") if c in columns and draw.random() < 0.5]
    words += [draw.choice(["--known", "--past", "--past"]), ",".join(named)] if named else []
    words += ["--freq", draw.choice("DWMQ")] if draw.random() < 0.4 else []
    return words + (["--returns", "net"] if draw.random() < 0.2 else [])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_odd_sales_end_in_a_whole_forecast_or_an_error(seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(seed)
    columns, text, span = odd_table(draw)
    (tmp_path / "odd.csv").write_text(text)
    words = odd_command(draw, columns, span, tmp_path)
    with time_limit(60), memory_limit(1000):
        code = main(words)
    told = capfd.readouterr().err
    assert code in (0, 1, 2) and not problems_of(told), f"ended with {code}: {' '.join(words)}\n{told[-3000:]}"
    if code:
        assert not (tmp_path / "run").exists() and not (tmp_path / "f.parquet").exists()
        return
    quantiles = pl.read_parquet(tmp_path / "f.parquet").select(pl.col("^q.*$")).to_numpy()
    assert np.isfinite(quantiles).all() and (np.diff(quantiles, axis=1) >= 0).all()
    assert "--returns" in words or (quantiles >= 0).all()

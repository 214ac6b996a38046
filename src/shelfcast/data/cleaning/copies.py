"""Lines that equal another one in every column of the source, the number of their invoice or receipt included.

Such a line may have been written twice; but a till also writes an item that was scanned twice as two equal lines. Where lines
carry no such number, equal ones are two sales, and nothing is looked for.
"""

from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.cleaning.flaws import money_of
from shelfcast.data.cleaning.rules import Change
from shelfcast.data.cleaning.tally import canonical
from shelfcast.data.lines import PLACE, ROW, SalesLines
from shelfcast.data.split import lines_until
from shelfcast.names import DATE, KEYS, PRICE, SALES

MOST_COMPARED: Final = 5_000_000  # lines compared column by column; of more, 64 bits of each line must do
MONEY: Final = "money"


def equal_lines(lines: SalesLines) -> pl.DataFrame | None:
    """The lines that equal an earlier one, by row: `row`, the keys, `date`, `sales`, and `money` where there are prices.

    None where the source has no number of invoices or receipts.
    """
    again = _positions(lines)
    if again is None:
        return None
    frame = canonical(lines)
    schema = frame.collect_schema()
    money = money_of(schema)
    keys = [c for c in (ROW, *KEYS, DATE, SALES, PRICE) if c in schema]
    found = frame.join(again.lazy(), on=ROW, how="semi").filter(pl.col(DATE).is_not_null() & pl.col(SALES).is_finite())
    return found.select(*keys, *([] if money is None else [money.alias(MONEY)])).sort(ROW).collect(engine="streaming")


def without_copies(lines: SalesLines, cutoff: date | None) -> tuple[SalesLines, list[Change]]:
    """Equal lines once, and what was left out up to the cutoff."""
    again = _positions(lines)
    gone = equal_lines(lines if cutoff is None else lines_until(lines, cutoff))
    if again is None or gone is None or not gone.height:
        return lines, []
    once = lines.frame.join(again.lazy(), on=ROW, how="anti", maintain_order="left")
    keys = [k for k in KEYS if k in gone.columns]
    what = f"lines that equal another one in every column, {lines.document} included, count once"
    touched = gone.select(keys).n_unique() if keys else 1
    return replace(lines, frame=once, written=None), [Change("copies", what, gone.height, touched, -float(gone[SALES].sum()))]


def _positions(lines: SalesLines) -> pl.DataFrame | None:
    """Table `row` of the lines that equal an earlier one."""
    written = lines.written
    if written is None:
        return None
    own = pl.struct(pl.exclude(PLACE))
    hashes = written.select(PLACE, own.hash(seed=0).alias("hash")).collect(engine="streaming")
    twice = hashes.filter(pl.col("hash").is_duplicated())
    if twice.height <= MOST_COMPARED:
        twice = written.join(twice.lazy().select(PLACE), on=PLACE, how="semi").collect(engine="streaming")
        twice = twice.sort(PLACE).filter(~own.is_first_distinct())
    else:
        twice = twice.sort(PLACE).filter(~pl.col("hash").is_first_distinct())
    return twice.select(pl.col(PLACE).alias(ROW))

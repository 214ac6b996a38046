"""What a period without a row means in a recorded table: nothing sold, or not known.

Some tills write a row for every period, zeros included, and what lacks is lost; others write only what was sold. Taken for the
other kind, the first is forecast too low and the second many times too high. The table itself tells in most cases; where it does
not, that is said, and the user decides.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from shelfcast.data.cleaning.tally import RETURNED, SOLD, Tally
from shelfcast.data.lines import SalesLines
from shelfcast.data.long import Rows
from shelfcast.names import Absent
from shelfcast.panel import PERIOD, SERIES

MOST: Final = 0.5  # of the periods within series lack a row: a table that loses more than it keeps would not be kept
MANY: Final = 0.25  # lack a row: closing days alone leave out one of seven; the public recorded tables lack at most 0.06
RARE_ZEROS: Final = 0.02  # share of rows that say 0, up to which a table with many gaps is not clear
ENOUGH: Final = 100  # rows before anything is inferred
_FEW: Final = 20  # rows before a doubt is worth a word
_RUN: Final = 4.0  # rows in a row, on average; independent silences of more than half leave fewer than 2, outages leave long runs
_STEPS: Final = 8  # rows of a series before equal steps between them are a rhythm of recording

Why = Literal["asked", "transactions", "source", "inferred", "unclear", "recorded"]


@dataclass(frozen=True)
class Absence:
    """What a period without a row means, and why.

    Attributes
    ----------
    means : `zero` (nothing was sold) or `missing` (not known)
    why : the user `asked` for it; lines are `transactions`; the `source` is known; `inferred` from the table; `unclear`, so that it
        stays missing; or `recorded`: the table has nearly all rows, or writes its zeros
    told : a sentence for the user; empty when nothing was inferred
    """

    means: Absent
    why: Why
    told: str = ""


def judge_absence(lines: SalesLines, found: Tally) -> Absence:
    """Decide, from what was asked, from the source, else from the table as it was recorded, whatever period is asked for.

    A recorded table means nothing sold by an absent row when it lacks a row in most periods between the first and the last of its
    series, never writes a zero, and has neither long runs of rows (an outage) nor equal steps (a longer period among shorter ones).
    """
    if lines.absent is not None:
        return Absence(lines.absent, "asked")
    if lines.shape == "transactions":
        return Absence("zero", "transactions")
    if lines.dialect_absent is not None:
        return Absence(lines.dialect_absent, "source")
    known = found.rows.lazy().filter(pl.col(SOLD).is_not_null()).select(pl.col(PERIOD).max()).collect().item()
    if known is None:
        return Absence("missing", "recorded")
    rows = found.rows.filter(pl.col(PERIOD) <= known)  # later ones are given covariates
    table = Rows(rows[SERIES].to_numpy(), rows[PERIOD].to_numpy(), np.empty(0), found.series.height)
    count = rows.height
    span = int((table.last - table.first + 1)[table.filled].sum())
    lacking = 1.0 - count / span
    nothing = pl.col(SOLD) == 0
    if RETURNED in rows.columns:
        nothing &= pl.col(RETURNED).fill_null(0) == 0
    zeros = int(rows.select(nothing.sum()).item())
    if lacking <= MANY or count < _FEW or zeros > RARE_ZEROS * count:
        return Absence("missing", "recorded")
    share = f"{lacking:.0%} of the periods between the first and the last row of their series have no row"
    if lacking > MOST and not zeros and count >= ENOUGH and _scattered(table):
        return Absence("zero", "inferred", f"{share}, and no row says 0: a period without a row is taken for one in which nothing "
                                           f"was sold. If it is not known, say --absent missing.")
    rarely = "and no row says 0" if not zeros else f"and only {zeros:,} of {count:,} rows say 0"
    return Absence("missing", "unclear", f"{share}, {rarely}: they are taken for not known. If nothing was sold in them, the "
                                         f"forecast will be far too high: say --absent zero.")


def _scattered(table: Rows) -> bool:
    """Rows stand alone or in short runs, and not at equal steps."""
    step = table.gap.astype(np.int64)
    inside = ~table.begins
    runs = int(table.begins.sum() + (inside & (step > 1)).sum())
    if len(step) > _RUN * runs:
        return False
    smallest = table.least(np.where(inside, step, np.iinfo(np.int64).max), 1)
    equal = table.total(inside & (step == smallest[table.series]))
    rhythm = (table.rows >= _STEPS) & (smallest > 1) & (equal >= 0.8 * (table.rows - 1))
    return bool(2 * table.rows[rhythm].sum() < len(step))

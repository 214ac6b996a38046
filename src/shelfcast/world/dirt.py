"""A clean sales table as a messy export of the same shops, and a list of every spoilt place.

Only history is spoilt: what is known of the future stays, for without it nothing can be forecast. The kinds are called as
checking calls its findings.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from shelfcast.errors import DataError
from shelfcast.files import whole_file
from shelfcast.names import DATE, ITEM, LOCATION, PRICE, SALES

KINDS: Final = ("repeated_keys", "returns", "differing_names", "unit_jumps", "zero_prices", "negative_prices",
                "unparsable_dates", "unparsable_sales", "outliers")
"""What is spoilt, in this order; a row is spoilt once."""

PACK: Final = 12  # pieces in the case that was counted as one
_DAYS_TWICE: Final = 3  # days of one place that were sent twice
_FEW: Final = 6  # rows of each of the smaller kinds
_QUIET_DAYS: Final = 60  # the last days of history hold no wrong numbers, so that scores on them mean something
_SPELLINGS: Final = (str.lower, lambda name: f" {name}", lambda name: f"{name} ")
_NO_DATES: Final = ("30.02.", "2023-13-41", "last tuesday", "0000-00-00")
_NO_NUMBERS: Final = ("see note", "sold out", "5 or 6", "x")


@dataclass(frozen=True)
class Soiled:
    """A messy export.

    Attributes
    ----------
    table : the columns of the sales as texts, as a CSV file would hold them
    marks : one row a spoilt row: `kind` (one of `KINDS`), `item`, `location`, `date`, `was` and `became` (texts)
    """

    table: pl.DataFrame
    marks: pl.DataFrame


def soil(sales: pl.DataFrame, *, seed: int) -> Soiled:
    """Spoil a chain's sales as careless shops would.

    Parameters
    ----------
    sales : the sales of a `DemoChain`: item, location, date, sales (null after history), price, and what else there is
    seed : the same seed spoils the same rows

    Raises
    ------
    DataError
        If the history is too short to hide a change of units in it.
    """
    rng = np.random.default_rng([seed, len(KINDS)])
    rows = sales.with_row_index("row")
    text = sales.with_columns(pl.col(c).cast(pl.String) for c in sales.columns)
    history = rows.filter(pl.col(SALES).is_not_null())
    last = history[DATE].max()
    early = history.filter(pl.col(DATE) < last - timedelta(_QUIET_DAYS))  # type: ignore[operator]
    changes: list[pl.DataFrame] = []

    jump = _counted_in_pieces(early)
    changes.append(_change("unit_jumps", jump, SALES, [str(PACK * v) for v in jump[SALES]]))
    free = early.join(jump, on=[ITEM, LOCATION], how="anti")  # the other kinds stay away from that series

    def take(candidates: pl.DataFrame, count: int = _FEW) -> pl.DataFrame:
        """Some rows by chance; they are taken once."""
        nonlocal free
        chosen = candidates[np.sort(rng.permutation(candidates.height)[:count])]
        free = free.join(chosen, on="row", how="anti")
        return chosen

    one = take(free.filter(pl.col(SALES) > 0), 1)[ITEM].item()
    odd = take(free.filter(pl.col(ITEM) == one), 5 * _FEW)
    changes.append(_change("differing_names", odd, ITEM, [_SPELLINGS[i % len(_SPELLINGS)](one) for i in range(odd.height)]))
    back = take(free.filter(pl.col(SALES) == 0))
    changes.append(_change("returns", back, SALES, [str(-v) for v in rng.integers(1, 4, back.height)]))
    changes.append(_change("zero_prices", take(free.filter(pl.col(SALES) > 0)), PRICE, ["0.0"] * _FEW))
    changes.append(_change("negative_prices", take(free.filter(pl.col(SALES) > 0)), PRICE, ["-1.0"] * _FEW))
    changes.append(_change("unparsable_dates", take(free.filter(pl.col(SALES) > 0)), DATE, _cycle(_NO_DATES)))
    changes.append(_change("unparsable_sales", take(free.filter(pl.col(SALES) > 0)), SALES, _cycle(_NO_NUMBERS)))
    # Two zeros slipped, at an item that sells steadily: nobody would believe the number.
    high = take(free.filter(pl.col(SALES) > pl.col(SALES).mean().over(ITEM, LOCATION),
                            _steadiness().over(ITEM, LOCATION) < 0.6))
    changes.append(_change("outliers", high, SALES, [f"{v}00" for v in high[SALES]]))

    days = free.select(LOCATION, DATE).unique(maintain_order=True)
    twice = free.join(days[np.sort(rng.permutation(days.height)[:_DAYS_TWICE])], on=[LOCATION, DATE], how="semi")
    changes.append(_change("repeated_keys", twice, SALES, [str(v) for v in twice[SALES]]))

    marks = pl.concat(changes)
    for column in (ITEM, DATE, SALES, PRICE):
        new = marks.filter((pl.col("column") == column) & (pl.col("kind") != "repeated_keys"))
        became = text[column].to_numpy().copy()
        became[new["row"].to_numpy()] = new["became"].to_numpy()
        text = text.with_columns(pl.Series(column, became, dtype=pl.String))
    again = text[marks.filter(pl.col("kind") == "repeated_keys")["row"].to_numpy()]
    return Soiled(pl.concat([text, again]), marks.select("kind", ITEM, LOCATION, DATE, "was", "became"))


def write_soiled(soiled: Soiled, path: Path | str) -> None:
    """Write the table as CSV, whole or not at all."""
    with whole_file(path) as new:
        soiled.table.write_csv(new)


def _change(kind: str, rows: pl.DataFrame, column: str, became: list[str]) -> pl.DataFrame:
    return rows.select(pl.lit(kind).alias("kind"), "row", ITEM, LOCATION, DATE, pl.lit(column).alias("column"),
                       pl.col(column).cast(pl.String).alias("was"),
                       pl.Series("became", became[:rows.height], dtype=pl.String))


def _cycle(words: tuple[str, ...]) -> list[str]:
    return [words[i % len(words)] for i in range(_FEW)]


def _steadiness() -> pl.Expr:
    """Standard deviation of the log of sales on days with any."""
    return pl.col(SALES).filter(pl.col(SALES) > 0).log().std()


def _counted_in_pieces(early: pl.DataFrame) -> pl.DataFrame:
    """The rows with sales of one series up to a day: there the shop counted pieces, and cases from then on.

    The series is the steadiest of the better sellers, and the day one around which it sold alike, so that nothing but the unit
    changes.
    """
    series = (early.group_by(ITEM, LOCATION, maintain_order=True)
              .agg(_steadiness().alias("spread"), (pl.col(SALES) > 0).sum().alias("days"), pl.col(SALES).mean().alias("mean"))
              .filter((pl.col("days") >= 150) & (pl.col("mean") >= 3)).sort("spread", ITEM, LOCATION))
    if not series.height:
        raise DataError("No series of these sales has 150 days with sales to hide a change of units in. Take a longer chain.")
    rows = early.join(series.head(1), on=[ITEM, LOCATION], how="semi").sort(DATE)
    logs = rows.filter(pl.col(SALES) > 0).select("row", DATE, pl.col(SALES).log().alias("log"))
    values, side = logs["log"].to_numpy(), 28
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(side, len(values) - side + 1)
    step = np.abs((sums[at + side] - sums[at]) - (sums[at] - sums[at - side]))
    return rows.filter(pl.col(DATE) < logs[DATE][int(at[np.argmin(step)])], pl.col(SALES) > 0)

"""What the pretrained model can do, measured: calibration, covariates, uplift of promotions, and the regimes that are hard.

    python benchmarks/pretrained_checks.py                                    all checks of the weights in the box
    python benchmarks/pretrained_checks.py --only calibration,uplift --weights small
    python benchmarks/pretrained_checks.py --series 100 --windows 1            a quick look
    python benchmarks/pretrained_checks.py --append                            rows in benchmarks/results/pretrained_checks.csv

Checks: `calibration`, `shown`, `irrelevant`, `uplift`, `intermittent`, `new`, `sold_out`; each file `checks_*.py` says how it
measures. No test window of a public task is looked at. A row names the weights and the hash of their network.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from checks_calibration import calibration
from checks_covariates import shown, unmoved
from checks_regimes import intermittent, new_items, sold_out
from checks_uplift import uplift
from figures import Figure, Make
from provenance import append_row
from shelfcast.models.pretrained import Pretrained, PretrainedSettings
from which_weights import USUAL, stamp

TABLE: Final = "pretrained_checks"
CHECKS: Final[Mapping[str, tuple[Callable[..., list[Figure]], tuple[str, ...]]]] = {
    "calibration": (calibration, ("count", "most")), "shown": (shown, ("count", "most")), "irrelevant": (unmoved, ("most",)),
    "uplift": (uplift, ("most", "worlds")), "intermittent": (intermittent, ("count", "most")),
    "new": (new_items, ("count", "most")), "sold_out": (sold_out, ("count",))}
"""{check: (what measures it, which of the limits it takes)}"""


def pretrained(weights: str | Path = USUAL, threads: int = 1) -> Make:
    """The pretrained model with these weights."""
    return lambda horizon: Pretrained(PretrainedSettings(weights=str(weights), horizon=horizon, threads=threads))


def run(name: str, make: Make, limits: Mapping[str, int | None] | None = None) -> list[Figure]:
    """The figures of one check.

    Parameters
    ----------
    limits : {`count` windows, `most` series, `worlds`: at most so many}; the check's own where not said
    """
    measure, takes = CHECKS[name]
    given: dict[str, Any] = {k: v for k, v in (limits or {}).items() if k in takes and v is not None}
    with np.errstate(all="ignore"):
        return partial(measure, make, **given)()


def main() -> None:
    """Measure, print a table, append rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=USUAL, help="name of weights in the box, or a folder")
    parser.add_argument("--only", default=",".join(CHECKS), help="checks, with commas")
    parser.add_argument("--series", type=int, default=None, help="at most so many series of a set: a quick look")
    parser.add_argument("--windows", type=int, default=None)
    parser.add_argument("--worlds", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--append", action="store_true")
    asked = parser.parse_args()
    unknown = [name for name in asked.only.split(",") if name not in CHECKS]
    if unknown:
        parser.error(f"there is no check {unknown[0]!r}; known are {', '.join(CHECKS)}")
    limits = {"count": asked.windows, "most": asked.series, "worlds": asked.worlds}
    if asked.append and any(v is not None for v in limits.values()):
        parser.error("rows are of whole measurements: leave --series, --windows and --worlds out to append them")
    make, whose = pretrained(asked.weights, asked.threads), stamp(asked.weights)
    for name in asked.only.split(","):
        began = time.perf_counter()
        rows = [{"weights": whose, **figure.row()} for figure in run(name, make, limits)]
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True,
                       tbl_width_chars=150, fmt_str_lengths=60):
            print(pl.DataFrame(rows, infer_schema_length=None).drop("weights"), flush=True)
        print(f"{name}: {whose}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        for row in rows:
            if asked.append:
                append_row(TABLE, row)


if __name__ == "__main__":
    main()

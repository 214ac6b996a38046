"""Limits above which a period's sales do not look like sales of their series."""

from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.long import Long
from shelfcast.names import SALES
from shelfcast.panel import PERIOD, SERIES

ENOUGH: Final = 8  # periods with sales before a series can say what is usual
FAR: Final = 6.0  # standard deviations of the logarithm


def upper_limits(rows: pl.DataFrame, count: int) -> np.ndarray:
    """float (N,), units: the most that a series' other periods make believable; inf where there are too few.

    Sales above zero are taken as log-normal. The limit is exp(m + FAR s) with m and s the mean and standard deviation of the
    logarithms without the largest period, so that a single absurd number does not excuse itself; s is at least 0.35, so that
    eight times the usual sales of a steady seller are the least to be flagged.
    """
    long = Long.of(rows.select(SERIES, PERIOD, SALES), count)
    return long.limits(enough=ENOUGH, far=FAR)

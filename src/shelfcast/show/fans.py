"""One fan: a whole history and a forecast, cut down to what a chart can show."""

from typing import Final

import polars as pl

from shelfcast.names import DATE, SALES
from shelfcast.panel import PERIOD
from shelfcast.periods import Frequency
from shelfcast.show.content import Fan

YEAR_LAG: Final = {"h": 24 * 364, "D": 364, "W": 52, "M": 12, "Q": 4, "Y": 1}
"""Periods back to the same part of last year: whole weeks, so that weekdays meet weekdays."""

DETAIL: Final = {"h": 24 * 7, "D": 84, "W": 65, "M": 36, "Q": 16, "Y": 12}  # periods of history in a chart, at least
MOST_DETAIL: Final = 220  # and at most: each is a row of the table under the chart
COARSE: Final = 180  # points of the whole history in small


def make_fan(name: str, why: str, frequency: Frequency, *, history: pl.DataFrame, forecast: pl.DataFrame, horizon: int) -> Fan:
    """A fan from the whole history (period, sales, marks) and the forecast (date, mean, q...), cut to what a chart can show."""
    last = int(history[PERIOD][-1])
    detail = min(history.height, max(3 * horizon, DETAIL[frequency.unit]), MOST_DETAIL)
    lag = YEAR_LAG[frequency.unit]
    ghost = (history.select((pl.col(PERIOD) + lag).alias(PERIOD), SALES)
             .filter(pl.col(PERIOD).is_between(last - detail + 1, last + horizon)) if frequency.unit != "Y" else history.head(0))
    step = max(1, -(-history.height // COARSE))
    season = {"h": 24, "D": 7}.get(frequency.unit, 1)  # whole days or weeks, or the buckets would beat against the rhythm
    step = -(-step // season) * season if step > 1 else 1
    coarse = (history.with_columns((last - pl.col(PERIOD)) // step).group_by(PERIOD, maintain_order=True)
              .agg(pl.col(SALES).mean()).with_columns(last - pl.col(PERIOD) * step).sort(PERIOD))
    dated = [frame.with_columns(frequency.date_of(pl.col(PERIOD)).alias(DATE)).drop(PERIOD).select(DATE, pl.exclude(DATE))
             for frame in (history.tail(detail), ghost.select(PERIOD, SALES), coarse)]
    return Fan(name=name, why=why, history=dated[0], forecast=forecast, ghost=dated[1], overview=dated[2])

"""Demand classes: how often something sells, and how much the amounts vary.

Syntetos and Boylan (2005): with ADI the mean number of periods between sales, and CV2 the squared coefficient of variation of
the amounts when something sells,

    class          ADI       CV2
    smooth         < 1.32    < 0.49    sells nearly always, similar amounts
    erratic        < 1.32    >= 0.49   sells nearly always, amounts vary
    intermittent   >= 1.32   < 0.49    sells now and then, similar amounts
    lumpy          >= 1.32   >= 0.49   sells now and then, amounts vary

and `new` for a series too young to say. Periods when the place was closed, and gaps where nobody knows, are not counted.
"""

from typing import Final

import numpy as np
import polars as pl

from shelfcast.names import SALES
from shelfcast.panel import PERIOD, SERIES, SalesPanel

ADI_BOUND: Final = 1.32
CV2_BOUND: Final = 0.49
CLASSES: Final = ("smooth", "erratic", "intermittent", "lumpy", "new")
_YOUNG: Final = {"h": 7 * 24, "D": 28, "W": 13, "M": 6, "Q": 4, "Y": 3}
"""Periods of history below which a series is new: enough to meet each phase of the short rhythm a few times."""
_CHUNK: Final = 4096


def demand_classes(panel: SalesPanel) -> pl.Series:
    """The class of each series, rows as in `panel.series`; a series that never sold is intermittent.

    Returns
    -------
    String series named `class`
    """
    table = demand_figures(panel)
    often, steady = pl.col("adi") < ADI_BOUND, pl.col("cv2") < CV2_BOUND
    kind = (pl.when(pl.col("periods") < _YOUNG[panel.frequency.unit]).then(pl.lit("new"))
            .when(often & steady).then(pl.lit("smooth")).when(often).then(pl.lit("erratic"))
            .when(steady).then(pl.lit("intermittent")).otherwise(pl.lit("lumpy")))
    return table.select(kind.alias("class"))["class"]


def demand_figures(panel: SalesPanel) -> pl.DataFrame:
    """What the classes are made from, one row a series: `periods` counted, `adi` in periods (infinite: never sold), `cv2`."""
    closing = panel.closed_when
    if closing is None or (closing in panel.rows.columns and not any(closing in t.values for t in panel.tables)):
        counts = _count_rows(panel)
    else:  # opening hours in a table of their own: laid out for a slice of series at a time
        parts = []
        for part in panel.chunks(_CHUNK):
            dense = part.dense(covariates=(closing,))
            parts.append(_count_dense(np.where(dense.known[closing] == 0, np.nan, dense.sales)))
        counts = pl.concat(parts)
    sold, mean = pl.col("sold"), pl.col("total") / pl.col("sold")
    # population variance from sums; rounding may make it a hair negative
    spread = (pl.col("squares") / sold - mean**2).clip(lower_bound=0.0)
    return counts.select(pl.col("periods"), pl.when(sold > 0).then(pl.col("periods") / sold).otherwise(float("inf")).alias("adi"),
                         pl.when(sold > 0).then(spread / mean**2).otherwise(0.0).alias("cv2"))


def _count_rows(panel: SalesPanel) -> pl.DataFrame:
    """From the long rows, without a dense view: 22 million rows in seconds."""
    history = panel.rows.lazy().filter(pl.col(PERIOD) <= panel.cutoff)
    is_open = pl.lit(True) if panel.closed_when is None else pl.col(panel.closed_when).cast(pl.Float64).fill_null(1.0) != 0
    sells = is_open & (pl.col(SALES) > 0)
    counts = history.group_by(SERIES).agg(
        (is_open & pl.col(SALES).is_not_null()).sum().cast(pl.Int64).alias("rows"),
        (~is_open).sum().cast(pl.Int64).alias("shut"),
        (is_open & pl.col(SALES).is_null()).sum().cast(pl.Int64).alias("unknown"),
        sells.sum().cast(pl.Int64).alias("sold"),
        pl.col(SALES).filter(sells).sum().alias("total"),
        (pl.col(SALES).filter(sells) ** 2).sum().alias("squares"))
    span = (panel.cutoff - pl.col("start") + 1).cast(pl.Int64)
    periods = span - pl.col("shut") - pl.col("unknown") if panel.absent == "zero" else pl.col("rows")
    series = panel.series.lazy().select("start").with_row_index(SERIES)
    joined = series.join(counts, on=SERIES, how="left", maintain_order="left")
    filled = joined.with_columns(pl.exclude(SERIES, "start").fill_null(0))
    return filled.select(periods.alias("periods"), "sold", "total", "squares").collect()


def _count_dense(sales: np.ndarray) -> pl.DataFrame:
    """The same from an array (N, T) in which closed and unknown periods are nan."""
    sells = np.where(np.isfinite(sales) & (sales > 0), sales, 0.0)
    return pl.DataFrame({"periods": np.isfinite(sales).sum(axis=1).astype(np.int64),
                         "sold": (sells > 0).sum(axis=1).astype(np.int64),
                         "total": sells.sum(axis=1), "squares": (sells**2).sum(axis=1)})

"""What a pretrained network is shown of a panel: statistics of the panel's own past in closed form, told in universal channels.

Nothing here is a gradient step: which covariates move sales, effects of weekdays and promotions, levels, last year's shape, and
what siblings and neighbours did are sums over the past (`models.profile`). The same is done for drawn worlds in pretraining and
for a customer's sales in forecasting.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import polars as pl

from shelfcast.features.pooled import Pooled
from shelfcast.features.table import Standing
from shelfcast.models.boosted_rows import draw_sample, pool_panel
from shelfcast.models.profile import Profile, ProfileSettings, apply_coefficients
from shelfcast.names import AVAILABLE, ITEM, LOCATION, SALES
from shelfcast.nn.channels import BANDS, FULL_SHELF
from shelfcast.nn.surroundings import Surroundings
from shelfcast.nn.universal import Universal
from shelfcast.panel import PERIOD, SERIES, CovariateTable, SalesPanel

MOST_CONTEXT: Final = 1_024
MOST_AHEAD: Final = 128
AHEAD: Final = {"h": MOST_AHEAD, "D": MOST_AHEAD, "W": 56, "M": 24, "Q": 24, "Y": 24}
"""Periods that pretraining asked for in one pass, in whole tokens; beyond them the network is asked again."""
CONTEXT: Final = {"h": 336, "D": 256, "W": 128, "M": 48, "Q": 24, "Y": 16}
"""Periods that the network itself looks at; further back reach the statistics: what was a year ago, levels, effects."""
_ROWS: Final = 20_000  # past forecasts from which the profile's coefficients are learned
_SERIES: Final = 1_000  # series from which these are drawn
_LEAST_SHARE: Final = 0.25  # of a period in which the item could be bought, for its sales to tell those of the whole
_PARTS: Final = 2  # of an origin's series, each with steps of its own


@dataclass(frozen=True)
class InContext:
    """The statistics of a panel.

    Attributes
    ----------
    profile : fitted on the panel
    layout : which covariate takes which slot
    """

    profile: Profile
    layout: Universal

    @classmethod
    def of(cls, panel: SalesPanel, *, context: int, horizon: int | None, seed: int = 0, country: str | None = None) -> Self:
        """Learn a panel's statistics.

        Parameters
        ----------
        context : periods of the past that the network looks at
        horizon : periods ahead, or as far as known covariates reach
        """
        panel = undo_sold_out(panel)
        sample = draw_sample(panel, horizon=horizon, most_series=_SERIES, seed=seed, country=country)
        settings = ProfileSettings(seed=seed, max_rows=_ROWS, max_series=_SERIES, horizon=horizon, country=country)
        profile = Profile(settings).fit_sample(sample, net_of_returns=panel.net_of_returns, most_parts=_PARTS)
        return cls(profile, Universal.learn(sample.block, sample.scheme, context=context, horizon=min(sample.horizon, MOST_AHEAD)))

    def around(self, panel: SalesPanel, *, horizon: int, pooled: Pooled | None = None) -> Surroundings:
        """What windows of a panel (this one, or a later one like it) are made with; `pooled` of it, where that is at hand."""
        profile = self.profile
        pooled = pooled or pool_panel(panel, profile.scheme_)
        nobody = {kind: keys.head(0) for kind, keys in pooled.keys.items()}  # a pretrained network knows no names
        found = Surroundings.of(panel, pooled, scheme=profile.scheme_, layout=replace(self.layout, horizon=horizon),
                                expect=self._expect, names=nobody)
        return replace(found, bands=self._bands)

    def _expect(self, flat: np.ndarray, terms: np.ndarray) -> np.ndarray:
        return apply_coefficients(flat, terms, self.profile.coefficients_)

    def _bands(self, expected: np.ndarray, standing: Standing) -> np.ndarray:
        quantiles, _ = self.profile.spread_around(expected, standing.noise, standing.habits, BANDS)
        if not self.profile.net_of_returns_:
            quantiles = np.maximum(quantiles, 0.0)
        return np.maximum.accumulate(quantiles, axis=2)


def undo_sold_out(panel: SalesPanel) -> SalesPanel:
    """The panel with what would have sold in periods that were sold out in part, and nothing known of those that were so in most.

    What sells in a share of a period sells in proportion over the whole of it; under a quarter left that says too little. A panel
    that holds demand already stays as it is.
    """
    if panel.covariates.get(AVAILABLE) != "past" or panel.holds == "demand":
        return panel
    rows = panel.rows
    if AVAILABLE not in rows.columns:
        rows = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(AVAILABLE))
    for table in panel.tables:
        if AVAILABLE in table.values:
            rows = _with_shares(rows, panel, table)
    share = pl.col(AVAILABLE)
    whole = pl.when(share < _LEAST_SHARE).then(None).when(share < FULL_SHELF).then(pl.col(SALES) / share).otherwise(pl.col(SALES))
    undone = rows.with_columns(whole.alias(SALES)).select(*panel.rows.columns)
    return replace(panel, rows=undone, holds="demand")


def _with_shares(rows: pl.DataFrame, panel: SalesPanel, table: CovariateTable) -> pl.DataFrame:
    """Rows with the shares of a table filled in; a sold-out period of the past that has no row gets one, so that it is no zero."""
    told = table.frame.select(*table.keys, pl.col(AVAILABLE).cast(pl.Float64).alias("told"))
    series = panel.series.select(ITEM, LOCATION, "start").with_row_index(SERIES)
    series = series.with_columns(pl.col(SERIES).cast(rows.schema[SERIES]))
    keys = [k for k in table.keys if k != PERIOD]
    spread = series.join(told, on=keys, how="inner") if keys else series.join(told, how="cross")
    if PERIOD not in spread.columns:
        return rows.join(spread.select(SERIES, "told"), on=SERIES, how="left").with_columns(
            pl.coalesce(AVAILABLE, "told").alias(AVAILABLE)).drop("told")
    spread = spread.filter(pl.col(PERIOD).is_between(pl.col("start"), panel.cutoff)).select(
        SERIES, pl.col(PERIOD).cast(rows.schema[PERIOD]), "told")
    filled = rows.join(spread, on=[SERIES, PERIOD], how="left").with_columns(pl.coalesce(AVAILABLE, "told").alias(AVAILABLE))
    absent = spread.filter(pl.col("told") < FULL_SHELF).join(rows, on=[SERIES, PERIOD], how="anti")
    more = absent.select(SERIES, PERIOD, pl.lit(0.0).alias(SALES), pl.col("told").alias(AVAILABLE))
    return pl.concat([filled.drop("told"), more], how="diagonal_relaxed").sort(SERIES, PERIOD)
